//! Tests the builtin rules with labelled texts. The texts and their sources: `fixtures/causes/README.md`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use bouncewatch_schemas::cause::{Action, Cause};
use bouncewatch_schemas::diagnostic;

use crate::{Classifier, Scratch, frames, rule};

/// Collected texts: cause, SES types, text, source and two more columns.
const TEXTS: &str = include_str!("../../../fixtures/causes/texts.tsv");

/// Files with the columns cause and text, possibly with further columns.
const COMPOSED: &str = include_str!("../../../fixtures/causes/composed.tsv");
const REPORTED: &str = include_str!("../../../fixtures/causes/reported.tsv");
const TUNING: &str = include_str!("../../../fixtures/causes/texts_tuning.tsv");
const MEASURING: &str = include_str!("../../../fixtures/causes/texts_measuring.tsv");
const ROUND_2: &str = include_str!("../../../fixtures/causes/texts_round_2.tsv");
const ROUND_3: &str = include_str!("../../../fixtures/causes/texts_round_3.tsv");
const ROUND_4: &str = include_str!("../../../fixtures/causes/texts_round_4.tsv");
const ROUND_5: &str = include_str!("../../../fixtures/causes/texts_round_5.tsv");
const ROUND_6: &str = include_str!("../../../fixtures/causes/texts_round_6.tsv");
const ROUND_7_TUNING: &str = include_str!("../../../fixtures/causes/texts_round_7_tuning.tsv");
const ROUND_7_MEASURING: &str =
    include_str!("../../../fixtures/causes/texts_round_7_measuring.tsv");
const ROUND_8_TUNING: &str = include_str!("../../../fixtures/causes/texts_round_8_tuning.tsv");
const ROUND_8_MEASURING: &str =
    include_str!("../../../fixtures/causes/texts_round_8_measuring.tsv");
const ROUND_8_SERVERS: &str = include_str!("../../../fixtures/causes/texts_round_8_servers.tsv");
const ROUND_9_TUNING: &str = include_str!("../../../fixtures/causes/texts_round_9_tuning.tsv");
const ROUND_9_MEASURING: &str =
    include_str!("../../../fixtures/causes/texts_round_9_measuring.tsv");
const ROUND_10: &str = include_str!("../../../fixtures/causes/texts_round_10.tsv");
const ROUND_11_TUNING: &str = include_str!("../../../fixtures/causes/texts_round_11_tuning.tsv");
const ROUND_11_MEASURING: &str =
    include_str!("../../../fixtures/causes/texts_round_11_measuring.tsv");
const ROUND_12_TUNING: &str = include_str!("../../../fixtures/causes/texts_round_12_tuning.tsv");
const ROUND_12_MEASURING: &str =
    include_str!("../../../fixtures/causes/texts_round_12_measuring.tsv");

/// Texts that do not prove that a mailbox does not exist: kind, text.
const NOT_AT_ONCE: &str = include_str!("../../../fixtures/causes/not_at_once.tsv");

/// Texts of Sisimai's samples: cause, text, status, reason of Sisimai, reason if the cause differs.
const SISIMAI: &str = include_str!("../../../fixtures/causes/sisimai.tsv");

/// A text for each language and each cause that is not about the recipient: language, cause, text.
const SENDER_FAULTS: &str = include_str!("../../../fixtures/causes/sender_faults.tsv");

/// Texts that resemble a recipient failure but are about the sender (`S`), and the reverse (`R`).
const TRAPS: &str = include_str!("../../../fixtures/causes/traps.tsv");

pub(super) struct LabelledText<'a> {
    pub(super) cause: Cause,
    ses: rule::SesTypes<'a>,
    /// Status field of the bounce.
    status: Option<&'a str>,
    pub(super) text: String,
}

/// Cause, action and rule of a text.
struct Found {
    cause: Cause,
    action: Action,
    rule: Option<String>,
}

impl LabelledText<'_> {
    fn classify(&self) -> Found {
        classify_bounce(&self.ses, self.status, &self.text)
    }
}

fn classify(ses: &rule::SesTypes<'_>, text: &str) -> Found {
    classify_bounce(ses, None, text)
}

fn classify_bounce(ses: &rule::SesTypes<'_>, status: Option<&str>, text: &str) -> Found {
    let diagnostic = diagnostic::parse(Some(Cow::Borrowed(text)), status);
    let facts = ses.with_diagnostic(&diagnostic);
    let found = Classifier::builtin().classify(&facts, &mut Scratch::default());
    Found { cause: found.cause, action: found.action, rule: found.rule.map(str::to_owned) }
}

fn rows(table: &str) -> impl Iterator<Item = &str> {
    table.lines().filter(|line| !line.starts_with('#'))
}

fn cause(text: &str) -> Cause {
    Cause::parse(text).unwrap_or_else(|| panic!("unknown cause: {text}"))
}

pub(super) fn labelled() -> Vec<LabelledText<'static>> {
    rows(TEXTS)
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let [label, ses, text, source, _theirs, _note] = columns[..] else {
                panic!("not six columns: {line}")
            };
            assert!(!source.is_empty(), "no source: {line}");
            let text = text.replace("\\n", "\n");
            LabelledText { cause: cause(label), ses: rule::ses_types(ses), status: None, text }
        })
        .collect()
}

fn labelled_text<'a>(label: &str, text: &str) -> LabelledText<'a> {
    let text = text.replace("\\n", "\n");
    LabelledText { cause: cause(label), ses: rule::SesTypes::default(), status: None, text }
}

fn plain(table: &'static str) -> Vec<LabelledText<'static>> {
    rows(table)
        .map(|line| {
            let mut columns = line.split('\t');
            labelled_text(columns.next().unwrap(), columns.next().unwrap())
        })
        .collect()
}

fn sisimai() -> Vec<LabelledText<'static>> {
    rows(SISIMAI)
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let [label, text, status, reason, _note] = columns[..] else {
                panic!("not five columns: {line}")
            };
            assert!(!reason.is_empty(), "no reason of Sisimai: {line}");
            let status = Some(status).filter(|status| !status.is_empty());
            LabelledText { status, ..labelled_text(label, text) }
        })
        .collect()
}

/// Texts with their language.
fn sender_faults() -> Vec<(&'static str, LabelledText<'static>)> {
    rows(SENDER_FAULTS)
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let [language, label, text] = columns[..] else { panic!("not three columns: {line}") };
            (language, labelled_text(label, text))
        })
        .collect()
}

/// The files of texts that were collected to measure the rules, or to tune them.
const MEASUREMENTS: [&str; 19] = [
    TUNING,
    MEASURING,
    ROUND_2,
    ROUND_3,
    ROUND_4,
    ROUND_5,
    ROUND_6,
    ROUND_7_TUNING,
    ROUND_7_MEASURING,
    ROUND_8_TUNING,
    ROUND_8_MEASURING,
    ROUND_8_SERVERS,
    ROUND_9_TUNING,
    ROUND_9_MEASURING,
    ROUND_10,
    ROUND_11_TUNING,
    ROUND_11_MEASURING,
    ROUND_12_TUNING,
    ROUND_12_MEASURING,
];

/// All texts with a cause.
fn all() -> Vec<LabelledText<'static>> {
    let files = [COMPOSED, REPORTED].into_iter().chain(MEASUREMENTS);
    labelled().into_iter().chain(files.flat_map(plain)).chain(sisimai()).collect()
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
    assert_correct(&all, 95);
}

#[test]
fn composed_texts_are_classified_95_percent_correctly() {
    assert_correct(&plain(COMPOSED), 95);
}

#[test]
fn texts_of_each_measurement_are_classified_95_percent_correctly() {
    for file in MEASUREMENTS {
        assert_correct(&plain(file), 95);
    }
}

/// A text that names an alternative, states a recipient failure as a condition only, or is about something else.
#[test]
fn text_that_does_not_prove_a_recipient_failure_never_suppresses_at_once() {
    for line in rows(NOT_AT_ONCE) {
        let (kind, text) = line.split_once('\t').unwrap();
        let found = classify(&rule::SesTypes::default(), text);
        assert_ne!(found.action, Action::Suppress, "{kind}: {text}: {:?}", found.rule);
    }
}

#[test]
fn texts_of_sisimai_are_classified_95_percent_correctly() {
    assert_correct(&sisimai(), 95);
}

#[test]
fn sender_faults_are_classified_95_percent_correctly_in_eight_languages() {
    let mut causes: BTreeMap<&str, BTreeSet<Cause>> = BTreeMap::new();
    for (language, labelled) in sender_faults() {
        assert!(!labelled.cause.is_recipient_failure(), "{}", labelled.text);
        causes.entry(language).or_default().insert(labelled.cause);
    }
    let languages: Vec<&str> = causes.keys().copied().collect();
    assert_eq!(languages, ["de", "en", "es", "fr", "it", "ja", "pt", "zh"]);
    for (language, in_language) in &causes {
        assert_eq!(in_language, &causes["en"], "{language}");
    }
    let all: Vec<LabelledText<'_>> = sender_faults().into_iter().map(|(_, text)| text).collect();
    assert_correct(&all, 95);
}

#[test]
fn reported_texts_are_classified_correctly() {
    assert_correct(&plain(REPORTED), 100);
}

/// Asserts that a share is correct, and that no other failure is classified as a recipient failure.
fn assert_correct(all: &[LabelledText<'_>], percent: usize) {
    let mut wrong = Vec::new();
    let mut false_recipient = Vec::new();
    for labelled in all {
        let LabelledText { cause, text, .. } = labelled;
        let found = labelled.classify();
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
    assert!(
        correct * 100 >= all.len() * percent,
        "{correct} of {}:\n{}",
        all.len(),
        wrong.join("\n")
    );
}

#[test]
fn trap_texts_are_recipient_failures_only_where_labelled_r() {
    let mut wrong = Vec::new();
    for line in rows(TRAPS) {
        let (label, text) = line.split_once('\t').unwrap();
        let cause = classify(&rule::SesTypes::default(), text).cause;
        if cause.is_recipient_failure() != (label == "R") {
            wrong.push(format!("{label} {}: {text}", cause.as_str()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Invariant I-12: a text about the sender in the text of any other server, in eight languages.
#[test]
fn sender_fault_in_a_frame_is_never_a_recipient_failure() {
    let traps = rows(TRAPS).filter_map(|line| line.strip_prefix("S\t")).map(str::to_owned);
    let others = all().into_iter().filter(|labelled| {
        let cause = labelled.cause;
        !cause.is_recipient_failure() && !matches!(cause, Cause::Unknown | Cause::Suppressed)
    });
    let languages = sender_faults().into_iter().map(|(_, labelled)| labelled.text);
    let texts: Vec<String> =
        others.map(|labelled| labelled.text).chain(traps).chain(languages).collect();
    let mut wrong = Vec::new();
    for text in &texts {
        for frame in frames::samples() {
            let framed = frame.replace("{reply}", text);
            let found = classify(&rule::SesTypes::default(), &framed);
            if found.cause.is_recipient_failure() || found.action == Action::Suppress {
                wrong.push(format!("{}: {framed}", found.cause.as_str()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), texts.len(), wrong.join("\n"));
}

/// Frames do not change the cause of a reply about the recipient, except frames about the sender.
#[test]
fn recipient_failure_in_a_frame_keeps_its_cause() {
    let mut wrong = Vec::new();
    for labelled in plain(REPORTED).iter().filter(|labelled| labelled.cause.is_recipient_failure())
    {
        let inner = frames::unwrap(&labelled.text);
        if inner.has_frame || inner.text.as_bytes()[3] != b' ' {
            continue;
        }
        for frame in frames::samples() {
            let framed = frame.replace("{reply}", inner.text);
            let found = classify(&labelled.ses, &framed).cause;
            if found != labelled.cause && !frames::unwrap(&framed).about_sender {
                wrong.push(format!("{}: {framed}", found.as_str()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A log can contain a reply with its lines joined by blanks, each with its codes.
#[test]
fn reply_with_joined_lines_keeps_its_cause() {
    let mut wrong = Vec::new();
    for labelled in all() {
        let LabelledText { ses, text, .. } = &labelled;
        let cause = labelled.classify().cause;
        let mut joined = vec![text.replace('\n', " ")];
        // a long text loses its middle, and only a reply has lines
        let is_reply = text
            .split_once(' ')
            .is_some_and(|(code, _)| code.len() == 3 && code.parse::<u16>().is_ok());
        if is_reply && text.len() < 200 && !text.contains([':', '\n']) && !text.contains(" 503 ") {
            joined.extend(with_repeated_codes(text));
        }
        for text in joined {
            let found = classify(ses, &text).cause;
            if found != cause {
                wrong.push(format!("{} became {}: {text}", cause.as_str(), found.as_str()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// The codes before every third word: `550-5.1.1 no such 550 5.1.1 user`. With a status code, also after the codes of
/// another server, and the status code alone.
fn with_repeated_codes(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let has_status =
        words.get(1).is_some_and(|word| diagnostic::leading_status(word) == Some(word));
    let (codes, words) = words.split_at(if has_status { 2 } else { 1 });
    let lines: Vec<String> = words.chunks(3).map(|words| words.join(" ")).collect();
    let joined = format!("{} {}", codes.join("-"), lines.join(&format!(" {} ", codes.join(" "))));
    let mut all = Vec::new();
    if let [code, status] = codes {
        all.push(format!("{code} 5.0.0 {joined}"));
        all.push(format!("{code} {status} {}", lines.join(&format!(" {status} "))));
    }
    all.push(joined);
    all
}
