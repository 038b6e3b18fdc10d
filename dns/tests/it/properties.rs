//! Properties: parsers accept any bytes, limits hold, the linter agrees with the evaluation, failed lookups are no faults.

use bouncewatch_dns::dmarc::DmarcRecord;
use bouncewatch_dns::spf::{
    LOOKUPS_MAX, Qualifier, SpfQuery, SpfRecord, SpfResult, VOID_LOOKUPS_MAX, check_host, is_spf,
    walk,
};
use bouncewatch_dns::{
    Answer, Answers, DkimKeyRecord, FindingLevel, Lookup, Mx, Question, Record, RecordType,
    Request, gather_with, judge,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::corpus::Base;
use crate::zone::Zone;

/// An address that no generated record matches.
const STRANGER: &str = "192.0.2.250";

fn query<'a>(sender: &'a str, helo: &'a str) -> SpfQuery<'a> {
    SpfQuery { ip: STRANGER.parse().unwrap(), sender, helo, receiver: "r", time_unix_secs: 0 }
}

fn insert(zone: &mut Zone, name: &str, record_type: RecordType, records: Vec<Record>) {
    let question = Question::new(name, record_type).unwrap();
    zone.0.insert(question, Answer::Records(records));
}

fn text(text: &str) -> Vec<Record> {
    vec![Record::Txt(vec![text.as_bytes().to_vec()])]
}

/// Text made of pieces of SPF records.
fn spf_text() -> impl Strategy<Value = Vec<u8>> {
    let pieces = select(vec![
        "v=spf1 ",
        "a",
        "mx",
        "ptr",
        "all",
        "ip4:",
        "ip6:",
        "include:",
        "exists:",
        "redirect=",
        "exp=",
        "example.com",
        "192.0.2.1",
        "::1",
        "/",
        "//",
        "24",
        "033",
        "%{",
        "%%",
        "%_",
        "}",
        "i",
        "l1r-",
        "D",
        "p",
        "+",
        "-",
        "~",
        "?",
        " ",
        "=",
        ".",
        ":",
        "\u{0}",
        "ü",
    ]);
    vec(pieces, 0..14).prop_map(|pieces| format!("v=spf1 {}", pieces.concat()).into_bytes())
}

proptest! {
    #[test]
    fn parsers_accept_any_bytes(bytes in prop_oneof![vec(any::<u8>(), 0..200), spf_text()]) {
        if let Err(error) = SpfRecord::parse(&bytes) {
            prop_assert!(error.at <= bytes.len(), "{error}");
            prop_assert!(!error.to_string().contains(char::is_control), "{error}");
        } else {
            prop_assert!(is_spf(&bytes));
        }
        DmarcRecord::parse(&[b"v=DMARC1;", bytes.as_slice()].concat()).unwrap();
        DmarcRecord::parse(&bytes);
        let _any = DkimKeyRecord::parse(&bytes);
        let _any = DkimKeyRecord::parse(&[b"p=", bytes.as_slice()].concat());
        let _any = serde_json::from_slice::<Answers>(&bytes);
    }

    #[test]
    fn evaluation_of_any_record_ends_within_its_limits(
        record in spf_text(), sender in "\\PC{0,30}", helo in "\\PC{0,30}", is_sender in any::<bool>(),
    ) {
        let mut zone = Zone::default();
        insert(&mut zone, "example.com", RecordType::Txt, vec![Record::Txt(vec![record])]);
        let sender = if is_sender { format!("{sender}@example.com") } else { sender };
        let outcome = check_host(&zone, &query(&sender, &helo));
        prop_assert!(outcome.lookups <= LOOKUPS_MAX + 1);
        prop_assert!(outcome.void_lookups <= VOID_LOOKUPS_MAX + 1);
        prop_assert!(outcome.result != SpfResult::TempError, "no lookup failed");
    }

    #[test]
    fn text_records_survive_json(strings in vec(vec(any::<u8>(), 0..20), 0..4)) {
        let mut answers = Answers::default();
        let question = Question::new("example.com", RecordType::Txt).unwrap();
        answers.insert(question, Answer::Records(vec![Record::Txt(strings)]));
        let json = serde_json::to_string(&answers).unwrap();
        prop_assert_eq!(serde_json::from_str::<Answers>(&json).unwrap(), answers);
    }
}

/// A record of domain number `at`, which includes only domains with greater numbers.
fn record_of(at: usize, domains: usize) -> impl Strategy<Value = String> {
    let below = (at + 1..=domains).collect::<Vec<_>>();
    let term =
        (select(vec!["", "+", "-", "~", "?"]), 0..8_usize, select(below.clone()), 0..4_usize);
    let end = (select(vec!["", " +all", " -all", " ~all", " ?all", " redirect="]), select(below));
    (vec(term, 0..4), end).prop_map(|(terms, (end, target))| {
        let terms = terms.into_iter().map(|(qualifier, kind, target, host)| match kind {
            0..=2 => format!(" {qualifier}include:d{target}.example.com"),
            3 => format!(" {qualifier}a:h{host}.example.com"),
            4 => format!(" {qualifier}mx:m{host}.example.com"),
            5 => format!(" {qualifier}exists:h{host}.example.com"),
            6 => format!(" {qualifier}ip4:198.51.100.0/24"),
            _ => format!(" {qualifier}ptr:example.net"),
        });
        let terms: String = terms.collect();
        let target =
            if end.ends_with('=') { format!("d{target}.example.com") } else { String::new() };
        format!("v=spf1{terms}{end}{target}")
    })
}

const DOMAINS: usize = 5;

/// A tree of records. The last domain has none; hosts 2 and 3 do not exist.
fn spf_zone() -> impl Strategy<Value = Zone> {
    let records: Vec<_> = (0..DOMAINS).map(|at| record_of(at, DOMAINS)).collect();
    (records, any::<bool>()).prop_map(|(records, has_last)| {
        let mut zone = Zone::default();
        for (at, record) in records.iter().enumerate() {
            insert(&mut zone, &format!("d{at}.example.com"), RecordType::Txt, text(record));
        }
        if has_last {
            let record = text("v=spf1 ip4:198.51.100.9 -all");
            insert(&mut zone, &format!("d{DOMAINS}.example.com"), RecordType::Txt, record);
        }
        for host in 0..2 {
            let exchange = format!("h{host}.example.com");
            let address = vec![Record::A([198, 51, 100, host].into())];
            insert(&mut zone, &exchange, RecordType::A, address);
            let mx = Record::Mx(Mx { preference: 1, exchange });
            insert(&mut zone, &format!("m{host}.example.com"), RecordType::Mx, vec![mx]);
        }
        let reverse = bouncewatch_dns::reverse_name(STRANGER.parse().unwrap());
        let name = vec![Record::Ptr("stranger.example.org".to_owned())];
        insert(&mut zone, &reverse, RecordType::Ptr, name);
        zone
    })
}

proptest! {
    #[test]
    fn linter_counts_the_lookups_that_an_evaluation_makes(zone in spf_zone()) {
        let record = zone.texts("d0.example.com").unwrap().concat();
        let tree = walk(&zone, "d0.example.com", &SpfRecord::parse(&record).unwrap());
        let outcome = check_host(&zone, &query("jane@d0.example.com", ""));
        let is_error = tree.lookups > LOOKUPS_MAX
            || tree.void_lookups.len() > VOID_LOOKUPS_MAX
            || !tree.faults.is_empty();
        let expected = match tree.result {
            _ if is_error => SpfResult::PermError,
            Some(Qualifier::Pass) => SpfResult::Pass,
            Some(Qualifier::Fail) => SpfResult::Fail,
            Some(Qualifier::SoftFail) => SpfResult::SoftFail,
            Some(Qualifier::Neutral) | None => SpfResult::Neutral,
        };
        prop_assert_eq!(outcome.result, expected, "{:?} {:?}", outcome, tree);
        if !is_error {
            prop_assert_eq!(outcome.lookups, tree.lookups);
            prop_assert_eq!(outcome.void_lookups, tree.void_lookups.len());
        }
    }
}

/// A record can fill a DNS message. What is reported about it stays short.
#[test]
fn findings_of_long_records_are_short() {
    let fill = |start: &str, term: fn(usize) -> String| {
        let terms: String = (0..3000).map(term).collect();
        text(&format!("{start}{terms}"))
    };
    let (request, answers) = base_answers("sender");
    for (name, records) in [
        ("bounce.example.com", fill("v=spf1", |at| format!(" x{at}=1"))),
        ("bounce.example.com", fill("v=spf1", |at| format!(" include:d{at}.example.net"))),
        ("bounce.example.com", fill("v=spf1 ip4:", |_| "1.2.3.4".to_owned())),
        ("_dmarc.example.com", fill("v=DMARC1", |at| format!(";x{}=1", "y".repeat(at % 60)))),
        (
            "_dmarc.example.com",
            fill("v=DMARC1;p=none;rua=mailto:d@d.net", |at| format!(",mailto:d@d{at}.net")),
        ),
    ] {
        let mut answers = answers.clone();
        answers.insert(Question::new(name, RecordType::Txt).unwrap(), Answer::Records(records));
        let json = serde_json::to_string(&judge(&answers, &request)).unwrap();
        assert!(json.len() < 150_000, "{name}: {} bytes", json.len());
    }
}

/// All answers that the checks of a base ask for.
fn base_answers(name: &str) -> (Request, Answers) {
    let base = Base::read(name);
    let request: Request = serde_json::from_value(base.request).unwrap();
    let zone = Zone(serde_json::from_value(base.zone).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let answers = gather_with(&request, async |question| zone.answer(question));
    let answers = runtime.block_on(answers);
    (request, answers)
}

#[test]
fn failed_lookups_never_make_a_fault() {
    for name in ["sender", "work_mail", "exchange", "recipient", "relay"] {
        let (request, answers) = base_answers(name);
        assert!(answers.len() >= 3, "{name}");
        let failures = [Answer::ServFail, Answer::Refused, Answer::Timeout, Answer::NotAsked];
        let failures: Vec<Answer> =
            failures.into_iter().chain([Answer::Error("x".into())]).collect();
        let questions: Vec<Question> =
            answers.iter().map(|(question, _)| question.clone()).collect();
        for (at, question) in questions.iter().enumerate() {
            // one question alone, and all from this one on
            for failed in [&questions[at..=at], &questions[at..]] {
                let mut with_failures = answers.clone();
                for question in failed {
                    with_failures.insert(question.clone(), failures[at % failures.len()].clone());
                }
                let faults: Vec<_> = judge(&with_failures, &request)
                    .into_iter()
                    .filter(|finding| finding.level > FindingLevel::Unknown)
                    .collect();
                assert!(faults.is_empty(), "{name}, {question} failed: {faults:#?}");
            }
        }
    }
}

#[test]
fn resolver_that_does_not_ask_ends_the_run() {
    let (request, _) = base_answers("sender");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let answers = runtime.block_on(gather_with(&request, async |_| Answer::NotAsked));
    assert!(judge(&answers, &request).iter().any(|one| one.level == FindingLevel::Unknown));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn findings_of_any_answers_are_short_and_state_a_fix(
        texts in vec(prop_oneof![vec(any::<u8>(), 0..60), spf_text()], 1..4),
        target in "\\PC{1,30}", replaced in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        for name in ["sender", "work_mail", "recipient", "relay"] {
            let (mut request, mut answers) = base_answers(name);
            request.recipients.push(target.clone());
            let questions: Vec<Question> = answers.iter().map(|(question, _)| question.clone()).collect();
            for index in &replaced {
                let question = index.get(&questions).clone();
                let records = match question.record_type() {
                    RecordType::Txt => texts.iter().map(|text| Record::Txt(vec![text.clone()])).collect(),
                    RecordType::Mx => vec![Record::Mx(Mx { preference: 1, exchange: target.clone() })],
                    RecordType::Cname => vec![Record::Cname(target.clone())],
                    RecordType::Ptr => vec![Record::Ptr(format!("{target}\u{1b}[31m"))],
                    RecordType::A | RecordType::Aaaa => continue,
                };
                answers.insert(question, Answer::Records(records));
            }
            for finding in judge(&answers, &request) {
                let json = serde_json::to_value(&finding).unwrap();
                let mut texts = finding.evidence.iter().chain([&finding.what, &finding.fix]);
                prop_assert!(texts.all(|text| text.chars().count() <= 2_003), "{json}");
                prop_assert!(!finding.what.is_empty() && !finding.source.is_empty());
                let is_fault = finding.level >= FindingLevel::Warning;
                prop_assert!(!is_fault || !finding.fix.is_empty(), "{json}");
                let is_assumed_critical =
                    finding.assumption.is_some() && finding.level == FindingLevel::Critical;
                prop_assert!(!is_assumed_critical, "{json}");
            }
        }
    }
}
