//! The rules against their own samples and against texts with labels.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::*;
use bouncewatch_schemas::cause::{Action, Cause};
use bouncewatch_schemas::diagnostic;

/// Texts with their causes; `fixtures/causes/README.md` says where they are from.
const TEXTS: &str = include_str!("../../fixtures/causes/texts.tsv");

struct Labelled<'a> {
    cause: Cause,
    ses: rule::SesWords<'a>,
    text: String,
}

/// Texts that we composed, with their causes.
const COMPOSED: &str = include_str!("../../fixtures/causes/composed.tsv");

fn labelled() -> Vec<Labelled<'static>> {
    let lines = TEXTS.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let [cause, ses, text, source, _theirs, _note] = columns[..] else {
                panic!("not six columns: {line}")
            };
            assert!(!source.is_empty(), "no source: {line}");
            Labelled {
                cause: Cause::from_word(cause).unwrap_or_else(|| panic!("no such cause: {line}")),
                ses: rule::ses_words(ses),
                text: text.replace("\\n", "\n"),
            }
        })
        .collect()
}

fn composed() -> Vec<Labelled<'static>> {
    let lines = COMPOSED.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (cause, text) = line.split_once('\t').unwrap();
            Labelled {
                cause: Cause::from_word(cause).unwrap_or_else(|| panic!("no such cause: {line}")),
                ses: rule::SesWords::default(),
                text: text.replace("\\n", "\n"),
            }
        })
        .collect()
}

#[test]
fn labelled_texts_have_their_causes() {
    let all = labelled();
    assert!(all.len() >= 400, "{} texts", all.len());
    let counts: BTreeMap<Cause, usize> =
        all.iter().fold(BTreeMap::new(), |mut counts, labelled| {
            *counts.entry(labelled.cause).or_default() += 1;
            counts
        });
    // every cause but `unknown`, which is what is left over
    assert_eq!(counts.len(), Cause::ALL.len() - 1, "{counts:?}");
    assert_right(&all);
}

#[test]
fn composed_texts_have_their_causes() {
    assert_right(&composed());
}

/// 95 of 100 are right, and nothing is told as a dead address by mistake.
fn assert_right(all: &[Labelled<'_>]) {
    let mut wrong = Vec::new();
    let mut suppressed = Vec::new();
    for Labelled { cause, ses, text } in all {
        let said = diagnostic::read(Some(Cow::Borrowed(text)), None);
        let input = Input { ..ses.input(&said) };
        let found = Classifier::builtin().classify(&input, &mut Scratch::default());
        if found.cause == *cause {
            continue;
        }
        let line = format!(
            "{} is told as {} by {:?}: {text}",
            cause.as_str(),
            found.cause.as_str(),
            found.rule
        );
        if found.cause.is_dead_address() && !cause.is_dead_address() {
            suppressed.push(line);
        } else {
            wrong.push(line);
        }
    }
    assert!(suppressed.is_empty(), "addresses suppressed by mistake:\n{}", suppressed.join("\n"));
    let right = all.len() - wrong.len();
    assert!(right * 100 >= all.len() * 95, "{right} of {}:\n{}", all.len(), wrong.join("\n"));
}

#[test]
fn every_rule_wins_its_samples() {
    let classifier = Classifier::builtin();
    let mut lost = Vec::new();
    for (at, rule) in classifier.rules().iter().enumerate() {
        assert!(!rule.samples.is_empty() && !rule.source.is_empty(), "{}", rule.id);
        if !matches!(rule.kind, rule::Kind::Guard | rule::Kind::List) {
            let samples = rule.samples.iter().map(|sample| classifier.check_sample(at, sample));
            lost.extend(samples.filter_map(Result::err).map(|error| error.to_string()));
        }
    }
    assert!(lost.is_empty(), "{}", lost.join("\n"));
}

/// Names of block lists, and what bars causes 1 to 5, win nothing; what they do must be seen in their samples.
#[test]
fn guards_and_lists_do_something() {
    let classifier = Classifier::builtin();
    for rule in classifier.rules() {
        for sample in &rule.samples {
            let said = diagnostic::read(Some(Cow::Borrowed(sample)), None);
            let mut scratch = Scratch::default();
            let found = classifier.classify(&Input::of(&said), &mut scratch);
            match rule.kind {
                rule::Kind::List => {
                    assert_eq!(found.block_list, Some(rule.id.as_str()), "{sample}");
                }
                rule::Kind::Guard => assert!(!found.cause.is_dead_address(), "{sample}"),
                _ => {}
            }
        }
    }
}

#[test]
fn no_alternative_is_dead() {
    let classifier = Classifier::builtin();
    let dead = classifier.dead_alternatives();
    assert!(dead.is_empty(), "never found:\n{}", dead.join("\n"));
}

#[test]
fn order_does_not_change() {
    let classifier = Classifier::builtin();
    let again = Classifier::new(Vec::new()).unwrap();
    let mut scratch = Scratch::default();
    for Labelled { text, .. } in labelled() {
        let input = Input { text: Some(&text), ..Input::default() };
        let first = classifier.classify(&input, &mut scratch).rule;
        assert_eq!(first, again.classify(&input, &mut Scratch::default()).rule, "{text}");
    }
}

/// Texts that sound like a dead address and are about the sender, and the other way round.
#[test]
fn no_trap_catches_us() {
    let traps = include_str!("../../fixtures/causes/traps.tsv");
    let mut caught = Vec::new();
    for line in traps.lines().filter(|line| !line.starts_with('#')) {
        let (who, text) = line.split_once('\t').unwrap();
        let said = diagnostic::read(Some(Cow::Borrowed(text)), None);
        let cause = told(&Input::of(&said)).0;
        if cause.is_dead_address() != (who == "R") {
            caught.push(format!("{who} {}: {text}", cause.as_str()));
        }
    }
    assert!(caught.is_empty(), "{}", caught.join("\n"));
}

fn told(input: &Input<'_>) -> (Cause, Action, Option<bool>) {
    let found = Classifier::builtin().classify(input, &mut Scratch::default());
    (found.cause, found.action, found.agrees_with_ses)
}

#[test]
fn codes_that_lie() {
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
        let said = diagnostic::read(Some(Cow::Borrowed(text)), None);
        assert_eq!(told(&Input::of(&said)).0, cause, "{text}");
    }
}

#[test]
fn a_failure_that_passes_suppresses_nobody_at_once() {
    for (text, cause, action) in [
        ("550 5.1.1 user unknown", Cause::MailboxUnknown, Action::Suppress),
        ("450 4.1.1 user unknown", Cause::MailboxUnknown, Action::SuppressIfRepeated),
        ("550 mailbox unavailable", Cause::MailboxUnknown, Action::SuppressIfRepeated),
        ("552 5.2.2 mailbox full", Cause::MailboxFull, Action::SuppressIfRepeated),
        ("552 5.2.2 out ?p=OverQuotaPerm x - gsmtp", Cause::MailboxFull, Action::Suppress),
        ("452 4.2.2 mailbox full", Cause::MailboxFull, Action::SuppressIfRepeated),
        ("550 5.7.1 blocked", Cause::PolicyRejected, Action::ContactPostmaster),
    ] {
        let said = diagnostic::read(Some(Cow::Borrowed(text)), None);
        let got = told(&Input::of(&said));
        assert_eq!((got.0, got.1), (cause, action), "{text}");
    }
}

#[test]
fn the_remote_server_may_be_quoted() {
    let text = "550 5.1.1 198.51.100.9 says: user unknown";
    let said = diagnostic::read(Some(Cow::Borrowed(text)), None);
    assert_eq!(told(&Input::of(&said)).0, Cause::Unknown);
    let input = Input { remote_mta: Some("198.51.100.9"), ..Input::of(&said) };
    assert_eq!(told(&input).0, Cause::MailboxUnknown);
}

#[test]
fn an_expired_message_has_the_cause_of_its_last_answer() {
    let said = |inner: &str| {
        let text = format!("554 4.4.7 Message expired: unable to deliver in 840 minutes.<{inner}>");
        let read = diagnostic::read(Some(Cow::Owned(text)), None);
        let found = Classifier::builtin().classify(&Input::of(&read), &mut Scratch::default());
        assert!(found.expired);
        found.cause
    };
    assert_eq!(said("421 4.4.2 Connection timed out"), Cause::NetworkTimeout);
    assert_eq!(said("450 4.2.0 Greylisted"), Cause::Greylisted);
    assert_eq!(said("452 4.2.2 mailbox full"), Cause::MailboxFull);
    assert_eq!(said("xyzzy"), Cause::NetworkTimeout);
}

#[test]
fn ses_is_contradicted_where_it_is_wrong() {
    let input = |bounce_type, bounce_subtype, text| Input {
        bounce_type: Some(bounce_type),
        bounce_subtype: Some(bounce_subtype),
        text,
        smtp_code: text.map(|_| 550),
        ..Input::default()
    };
    for (input, expected) in [
        (
            input("Transient", "General", Some("550 5.4.4 Invalid domain")),
            (Cause::DomainInvalid, Some(false)),
        ),
        (
            input("Permanent", "General", Some("550 5.1.1 user unknown")),
            (Cause::MailboxUnknown, Some(true)),
        ),
        (
            input("Permanent", "OnAccountSuppressionList", Some("550 5.1.1 user unknown")),
            (Cause::Suppressed, Some(true)),
        ),
        (input("Transient", "General", None), (Cause::AutoReply, Some(true))),
        (input("Transient", "MailboxFull", None), (Cause::MailboxFull, Some(true))),
        (
            input("Transient", "MailboxFull", Some("550 no such user")),
            (Cause::MailboxUnknown, Some(false)),
        ),
        (
            input("Undetermined", "Undetermined", Some("550 no such user")),
            (Cause::MailboxUnknown, None),
        ),
    ] {
        let got = told(&input);
        assert_eq!((got.0, got.2), expected, "{input:?}");
    }
}

#[test]
fn rules_of_the_user_go_first() {
    let own = |id: &str, pattern: &str, sample: &str| rule::Rule {
        id: id.to_owned(),
        cause: Cause::PolicyRejected,
        action: Some(Action::Ignore),
        weight: rule::OWN_WEIGHT,
        kind: rule::Kind::Phrase,
        patterns: vec![pattern.to_owned()],
        samples: vec![sample.to_owned()],
        source: "own".to_owned(),
    };
    let sample = "550 5.1.1 user unknown ?p=NoSuchUser at our partner";
    let classifier = Classifier::new(vec![own("partner", "at our partner", sample)]).unwrap();
    let input = Input { text: Some(sample), ..Input::default() };
    let found = classifier.classify(&input, &mut Scratch::default());
    assert_eq!((found.rule, found.action), (Some("partner"), Action::Ignore));
    let status = rule::Rule {
        cause: Cause::MailboxUnknown,
        kind: rule::Kind::Status,
        ..own("gone", "5.7.1", "550 5.7.1 blocked, your IP 192.0.2.1")
    };
    // the same status stands in the table of codes
    assert!(Classifier::new(vec![status]).is_ok());
    let error = Classifier::new(vec![own("partner", "at our partner", "550 no")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "rule `partner` does not win its own sample `550 no`: no rule knows it"
    );
    let error = Classifier::new(vec![own("relay", "at our partner", sample)]).unwrap_err();
    assert_eq!(error, rule::RuleError::Twice("relay".to_owned()));
    let error = Classifier::new(vec![own("empty", " & !x", "x")]).unwrap_err();
    assert!(error.to_string().starts_with("rule `empty`: "), "{error}");
}

proptest::proptest! {
    #[test]
    fn any_text_is_classified(text in "\\PC{0,300}", code in 400_u16..600) {
        let input = Input { text: Some(&text), smtp_code: Some(code), ..Input::default() };
        Classifier::builtin().classify(&input, &mut Scratch::default());
    }

    /// A text that quotes an address of ours is about us, whatever else it says.
    #[test]
    fn our_address_is_never_about_the_recipient(a in 0..500_usize, b in 0..500_usize) {
        let mut all = labelled();
        // of a text that wraps a reply the inner one is read
        all.retain(|labelled| !labelled.text.contains("said:") && !labelled.text.contains("]:"));
        let text = format!("{} 192.0.2.77 {}", all[a % all.len()].text, all[b % all.len()].text);
        let input = Input { text: Some(&text), ..Input::default() };
        let found = Classifier::builtin().classify(&input, &mut Scratch::default());
        proptest::prop_assert!(!found.cause.is_dead_address() || found.expired, "{:?}", found);
    }
}
