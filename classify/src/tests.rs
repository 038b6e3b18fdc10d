//! Tests the builtin rules with their samples and with labelled texts.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::*;
use bouncewatch_schemas::cause::{Action, Cause};
use bouncewatch_schemas::diagnostic;

/// Collected texts with their causes. Sources: `fixtures/causes/README.md`.
const TEXTS: &str = include_str!("../../fixtures/causes/texts.tsv");

struct LabelledText<'a> {
    cause: Cause,
    ses: rule::SesTypes<'a>,
    text: String,
}

/// Texts written for this project, with their causes.
const COMPOSED: &str = include_str!("../../fixtures/causes/composed.tsv");

fn labelled() -> Vec<LabelledText<'static>> {
    let lines = TEXTS.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let [cause, ses, text, source, _theirs, _note] = columns[..] else {
                panic!("not six columns: {line}")
            };
            assert!(!source.is_empty(), "no source: {line}");
            LabelledText {
                cause: Cause::parse(cause).unwrap_or_else(|| panic!("unknown cause: {line}")),
                ses: rule::ses_types(ses),
                text: text.replace("\\n", "\n"),
            }
        })
        .collect()
}

fn composed() -> Vec<LabelledText<'static>> {
    let lines = COMPOSED.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (cause, text) = line.split_once('\t').unwrap();
            LabelledText {
                cause: Cause::parse(cause).unwrap_or_else(|| panic!("unknown cause: {line}")),
                ses: rule::SesTypes::default(),
                text: text.replace("\\n", "\n"),
            }
        })
        .collect()
}

#[test]
fn collected_texts_are_classified_95_percent_correctly() {
    let all = labelled();
    assert!(all.len() >= 400, "{} texts", all.len());
    let counts: BTreeMap<Cause, usize> =
        all.iter().fold(BTreeMap::new(), |mut counts, labelled| {
            *counts.entry(labelled.cause).or_default() += 1;
            counts
        });
    // all causes except `unknown`
    assert_eq!(counts.len(), Cause::ALL.len() - 1, "{counts:?}");
    assert_95_percent_correct(&all);
}

#[test]
fn composed_texts_are_classified_95_percent_correctly() {
    assert_95_percent_correct(&composed());
}

/// Asserts that 95 % are correct, and that no other failure is classified as a recipient failure.
fn assert_95_percent_correct(all: &[LabelledText<'_>]) {
    let mut wrong = Vec::new();
    let mut false_recipient = Vec::new();
    for LabelledText { cause, ses, text } in all {
        let diagnostic = diagnostic::parse(Some(Cow::Borrowed(text)), None);
        let facts = ses.with_diagnostic(&diagnostic);
        let found = Classifier::builtin().classify(&facts, &mut Scratch::default());
        if found.cause == *cause {
            continue;
        }
        let line = format!(
            "{} is classified as {} by {:?}: {text}",
            cause.as_str(),
            found.cause.as_str(),
            found.rule
        );
        if found.cause.is_recipient_failure() && !cause.is_recipient_failure() {
            false_recipient.push(line);
        } else {
            wrong.push(line);
        }
    }
    assert!(
        false_recipient.is_empty(),
        "recipient failures by mistake:\n{}",
        false_recipient.join("\n")
    );
    let correct = all.len() - wrong.len();
    assert!(correct * 100 >= all.len() * 95, "{correct} of {}:\n{}", all.len(), wrong.join("\n"));
}

#[test]
fn each_rule_wins_its_samples() {
    let classifier = Classifier::builtin();
    let mut lost = Vec::new();
    for (at, rule) in classifier.rules().iter().enumerate() {
        assert!(!rule.samples.is_empty() && !rule.source.is_empty(), "{}", rule.id);
        if !matches!(rule.kind, rule::PatternKind::Guard | rule::PatternKind::List) {
            let samples = rule.samples.iter().map(|sample| classifier.check_sample(at, sample));
            lost.extend(samples.filter_map(Result::err).map(|error| error.to_string()));
        }
    }
    assert!(lost.is_empty(), "{}", lost.join("\n"));
}

/// Block lists and most guards win no text; their samples must show their effect.
#[test]
fn samples_of_guards_and_block_lists_show_their_effect() {
    let classifier = Classifier::builtin();
    for rule in classifier.rules() {
        for sample in &rule.samples {
            let diagnostic = diagnostic::parse(Some(Cow::Borrowed(sample)), None);
            let mut scratch = Scratch::default();
            let found =
                classifier.classify(&FailureFacts::from_diagnostic(&diagnostic), &mut scratch);
            match rule.kind {
                rule::PatternKind::List => {
                    assert_eq!(found.block_list, Some(rule.id.as_str()), "{sample}");
                }
                rule::PatternKind::Guard => {
                    assert!(!found.cause.is_recipient_failure(), "{sample}");
                }
                _ => {}
            }
        }
    }
}

#[test]
fn each_alternative_matches_a_text_of_its_phrases() {
    let classifier = Classifier::builtin();
    let unmatchable = classifier.unmatchable_alternatives();
    assert!(unmatchable.is_empty(), "never matched:\n{}", unmatchable.join("\n"));
}

#[test]
fn result_does_not_depend_on_the_classifier_instance_or_buffers() {
    let classifier = Classifier::builtin();
    let again = Classifier::new(Vec::new()).unwrap();
    let mut scratch = Scratch::default();
    for LabelledText { text, .. } in labelled() {
        let facts = FailureFacts { text: Some(&text), ..FailureFacts::default() };
        let first = classifier.classify(&facts, &mut scratch).rule;
        assert_eq!(first, again.classify(&facts, &mut Scratch::default()).rule, "{text}");
    }
}

/// Texts that resemble a recipient failure but are about the sender (`S`), and the reverse (`R`).
#[test]
fn trap_texts_are_recipient_failures_only_where_labelled_r() {
    let traps = include_str!("../../fixtures/causes/traps.tsv");
    let mut wrong = Vec::new();
    for line in traps.lines().filter(|line| !line.starts_with('#')) {
        let (label, text) = line.split_once('\t').unwrap();
        let diagnostic = diagnostic::parse(Some(Cow::Borrowed(text)), None);
        let cause = outcome(&FailureFacts::from_diagnostic(&diagnostic)).0;
        if cause.is_recipient_failure() != (label == "R") {
            wrong.push(format!("{label} {}: {text}", cause.as_str()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn outcome(facts: &FailureFacts<'_>) -> (Cause, Action, Option<bool>) {
    let found = Classifier::builtin().classify(facts, &mut Scratch::default());
    (found.cause, found.action, found.agrees_with_ses)
}

#[test]
fn text_overrides_a_misleading_code() {
    for (text, cause) in [
        (
            "550 5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages",
            Cause::RateLimited,
        ),
        ("550 5.1.1 user unknown; your IP is banned", Cause::IpBlocklisted),
        ("550 5.1.1 user unknown; your IP again", Cause::Unknown),
        (
            "550 5.1.1 <anna@example.org> rejected, Client host [192.0.2.1] blocked",
            Cause::IpBlocklisted,
        ),
        ("550 5.1.1 [2001:db8::1] is on our list", Cause::Unknown),
        ("550 5.1.1 <news@example.com>: Sender address rejected: User unknown", Cause::SenderDns),
        ("550 5.4.1 Recipient address rejected: Access denied", Cause::MailboxUnknown),
        ("550 5.4.1 no answer from host", Cause::NetworkTimeout),
        (
            "552 5.1.1 Boite du destinataire pleine. Recipient overquota. OFR_417",
            Cause::MailboxFull,
        ),
        (
            "550 Requested action not taken: mailbox unavailable. Reject due to policy restrictions.",
            Cause::PolicyRejected,
        ),
        ("452 4.3.1 smtp.aruba.it policy violation", Cause::RateLimited),
        ("550 5.7.1 No such user here", Cause::MailboxUnknown),
        ("550 spam@blocked.example: user unknown", Cause::MailboxUnknown),
        ("550 5.1.1 Empf\u{e4}nger unbekannt", Cause::MailboxUnknown),
        ("550 xyzzy", Cause::Unknown),
        ("", Cause::Unknown),
    ] {
        let diagnostic = diagnostic::parse(Some(Cow::Borrowed(text)), None);
        assert_eq!(outcome(&FailureFacts::from_diagnostic(&diagnostic)).0, cause, "{text}");
    }
}

#[test]
fn temporary_failure_never_suppresses_at_once() {
    for (text, cause, action) in [
        ("550 5.1.1 user unknown", Cause::MailboxUnknown, Action::Suppress),
        ("450 4.1.1 user unknown", Cause::MailboxUnknown, Action::SuppressIfRepeated),
        ("550 mailbox unavailable", Cause::MailboxUnknown, Action::SuppressIfRepeated),
        ("552 5.2.2 mailbox full", Cause::MailboxFull, Action::SuppressIfRepeated),
        ("552 5.2.2 out ?p=OverQuotaPerm x - gsmtp", Cause::MailboxFull, Action::Suppress),
        ("452 4.2.2 mailbox full", Cause::MailboxFull, Action::SuppressIfRepeated),
        ("550 5.7.1 blocked", Cause::PolicyRejected, Action::ContactPostmaster),
    ] {
        let diagnostic = diagnostic::parse(Some(Cow::Borrowed(text)), None);
        let got = outcome(&FailureFacts::from_diagnostic(&diagnostic));
        assert_eq!((got.0, got.1), (cause, action), "{text}");
    }
}

#[test]
fn ip_address_of_the_remote_server_is_no_sender_sign() {
    let text = "550 5.1.1 198.51.100.9 says: user unknown";
    let diagnostic = diagnostic::parse(Some(Cow::Borrowed(text)), None);
    assert_eq!(outcome(&FailureFacts::from_diagnostic(&diagnostic)).0, Cause::Unknown);
    let facts = FailureFacts {
        remote_mta: Some("198.51.100.9"),
        ..FailureFacts::from_diagnostic(&diagnostic)
    };
    assert_eq!(outcome(&facts).0, Cause::MailboxUnknown);
}

#[test]
fn expired_message_has_the_cause_of_its_last_reply() {
    let cause_of = |inner: &str| {
        let text = format!("554 4.4.7 Message expired: unable to deliver in 840 minutes.<{inner}>");
        let read = diagnostic::parse(Some(Cow::Owned(text)), None);
        let found = Classifier::builtin()
            .classify(&FailureFacts::from_diagnostic(&read), &mut Scratch::default());
        assert!(found.expired);
        found.cause
    };
    assert_eq!(cause_of("421 4.4.2 Connection timed out"), Cause::NetworkTimeout);
    assert_eq!(cause_of("450 4.2.0 Greylisted"), Cause::Greylisted);
    assert_eq!(cause_of("452 4.2.2 mailbox full"), Cause::MailboxFull);
    assert_eq!(cause_of("xyzzy"), Cause::NetworkTimeout);
}

#[test]
fn disagreement_with_the_ses_type_is_reported() {
    let facts = |bounce_type, bounce_subtype, text| FailureFacts {
        bounce_type: Some(bounce_type),
        bounce_subtype: Some(bounce_subtype),
        text,
        smtp_code: text.map(|_| 550),
        ..FailureFacts::default()
    };
    for (facts, expected) in [
        (
            facts("Transient", "General", Some("550 5.4.4 Invalid domain")),
            (Cause::DomainInvalid, Some(false)),
        ),
        (
            facts("Permanent", "General", Some("550 5.1.1 user unknown")),
            (Cause::MailboxUnknown, Some(true)),
        ),
        (
            facts("Permanent", "OnAccountSuppressionList", Some("550 5.1.1 user unknown")),
            (Cause::Suppressed, Some(true)),
        ),
        (facts("Transient", "General", None), (Cause::AutoReply, Some(true))),
        (facts("Transient", "MailboxFull", None), (Cause::MailboxFull, Some(true))),
        (
            facts("Transient", "MailboxFull", Some("550 no such user")),
            (Cause::MailboxUnknown, Some(false)),
        ),
        (
            facts("Undetermined", "Undetermined", Some("550 no such user")),
            (Cause::MailboxUnknown, None),
        ),
    ] {
        let got = outcome(&facts);
        assert_eq!((got.0, got.2), expected, "{facts:?}");
    }
}

#[test]
fn custom_rules_take_precedence() {
    let custom = |id: &str, pattern: &str, sample: &str| rule::Rule {
        id: id.to_owned(),
        cause: Cause::PolicyRejected,
        action: Some(Action::Ignore),
        weight: rule::CUSTOM_RULE_WEIGHT,
        kind: rule::PatternKind::Phrase,
        patterns: vec![pattern.to_owned()],
        samples: vec![sample.to_owned()],
        source: "custom".to_owned(),
    };
    let sample = "550 5.1.1 user unknown ?p=NoSuchUser at our partner";
    let classifier = Classifier::new(vec![custom("partner", "at our partner", sample)]).unwrap();
    let facts = FailureFacts { text: Some(sample), ..FailureFacts::default() };
    let found = classifier.classify(&facts, &mut Scratch::default());
    assert_eq!((found.rule, found.action), (Some("partner"), Action::Ignore));
    let status = rule::Rule {
        cause: Cause::MailboxUnknown,
        kind: rule::PatternKind::Status,
        ..custom("gone", "5.7.1", "550 5.7.1 blocked, your IP 192.0.2.1")
    };
    // a builtin rule has the same status code
    assert!(Classifier::new(vec![status]).is_ok());
    let error = Classifier::new(vec![custom("partner", "at our partner", "550 no")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "rule `partner` does not win its own sample `550 no`: no rule matches it"
    );
    let error = Classifier::new(vec![custom("relay", "at our partner", sample)]).unwrap_err();
    assert_eq!(error, rule::RuleError::DuplicateId("relay".to_owned()));
    let error = Classifier::new(vec![custom("empty", " & !x", "x")]).unwrap_err();
    assert!(error.to_string().starts_with("rule `empty`: "), "{error}");
}

proptest::proptest! {
    #[test]
    fn any_text_gets_a_consistent_classification(text in "\\PC{0,300}", code in 400_u16..600) {
        let facts = FailureFacts { text: Some(&text), smtp_code: Some(code), ..FailureFacts::default() };
        let classifier = Classifier::builtin();
        let found = classifier.classify(&facts, &mut Scratch::default());
        proptest::prop_assert_eq!(found.fault, found.cause.fault());
        proptest::prop_assert_eq!(found.rule.is_none(), found.cause == Cause::Unknown);
        proptest::prop_assert_eq!(found.rule.is_none(), found.confidence == Confidence::None);
        proptest::prop_assert!(found.action != Action::Suppress || code >= 500);
        if let Some(id) = found.rule {
            let rule = classifier.rules().iter().find(|rule| rule.id == id).unwrap();
            proptest::prop_assert_eq!(rule.cause, found.cause);
            proptest::prop_assert!(rule.patterns.iter().any(|pattern| Some(pattern.as_str()) == found.matched));
        }
    }

    /// The automaton against a search for each phrase at each position.
    #[test]
    fn phrase_search_equals_naive_search(
        phrases in proptest::collection::vec("[ab]{1,4}( [ab]{1,4})?\\*?", 1..30),
        text in "[ab ]{0,24}",
    ) {
        let rule = rule::Rule {
            id: "phrases".to_owned(),
            cause: Cause::ServerError,
            action: None,
            weight: 5,
            kind: rule::PatternKind::Phrase,
            patterns: phrases.clone(),
            samples: Vec::new(),
            source: String::new(),
        };
        let index = index_builder::build(&[rule]).unwrap();
        let mut scratch = Scratch::default();
        fold::fold(&text, None, &mut scratch.folded);
        index.search(&mut scratch);
        let folded = str::from_utf8(&scratch.folded).unwrap();
        let is_word = |at: usize| folded.as_bytes().get(at).is_some_and(u8::is_ascii_alphanumeric);
        for (clause, phrase) in index.clauses.iter().zip(&phrases) {
            let bare = phrase.trim_end_matches('*');
            let expected = (1..folded.len()).any(|at| {
                folded.as_bytes()[at..].starts_with(bare.as_bytes())
                    && !is_word(at - 1)
                    && (phrase.ends_with('*') || !is_word(at + bare.len()))
            });
            let is_found = index.found_phrases(&scratch).any(|phrase| {
                let mut clauses = phrase.clauses.iter().map(|id| &index.clauses[*id as usize]);
                clauses.any(|found| found.pattern == clause.pattern)
            });
            proptest::prop_assert_eq!(is_found, expected, "{} in {}", phrase, folded);
        }
    }

    /// A text with an IP address of the sender is about the sender, whatever else it contains.
    #[test]
    fn text_with_sender_ip_is_never_a_recipient_failure(a in 0..500_usize, b in 0..500_usize) {
        let mut all = labelled();
        // of a text that wraps a reply only the inner reply is read
        all.retain(|labelled| !labelled.text.contains("said:") && !labelled.text.contains("]:"));
        let text = format!("{} 192.0.2.77 {}", all[a % all.len()].text, all[b % all.len()].text);
        let facts = FailureFacts { text: Some(&text), ..FailureFacts::default() };
        let found = Classifier::builtin().classify(&facts, &mut Scratch::default());
        proptest::prop_assert!(!found.cause.is_recipient_failure() || found.expired, "{:?}", found);
    }
}
