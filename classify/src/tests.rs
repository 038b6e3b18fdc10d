//! Tests the builtin rules with their samples, and the classifier.

use std::borrow::Cow;

use crate::*;
use bouncewatch_schemas::cause::{Action, Cause};
use bouncewatch_schemas::diagnostic;

mod texts;

use texts::{LabelledText, labelled};

#[test]
fn each_rule_wins_its_samples() {
    let classifier = Classifier::builtin();
    let mut lost = Vec::new();
    for (at, rule) in classifier.rules().iter().enumerate() {
        assert!(!rule.samples.is_empty() && !rule.source.is_empty(), "{}", rule.id);
        let gives_cause = rule.cause != Cause::Unknown && rule.kind != rule::PatternKind::Guard;
        if gives_cause {
            let samples = rule.samples.iter().map(|sample| classifier.check_sample(at, sample));
            lost.extend(samples.filter_map(Result::err).map(|error| error.to_string()));
        }
    }
    assert!(lost.is_empty(), "{}", lost.join("\n"));
}

/// Rules without a cause win no text; their samples must show their effect.
#[test]
fn samples_of_rules_without_a_cause_show_their_effect() {
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
                rule::PatternKind::Hedge => {
                    assert!(found.confidence < Confidence::High, "{sample}");
                }
                rule::PatternKind::Temporary
                | rule::PatternKind::Condition
                | rule::PatternKind::Alternative
                | rule::PatternKind::Recipient => {
                    assert_ne!(found.action, Action::Suppress, "{sample}");
                }
                rule::PatternKind::Retry => assert!(found.retry_after.is_some(), "{sample}"),
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
fn full_mailbox_and_invalid_recipient_as_possible_causes_are_unknown() {
    for (text, cause) in [
        (
            "554 5.1.1 <anna@example.org>: Recipient address rejected: undeliverable address: Mailbox might be disabled, full, or may not exist on the server.",
            Cause::Unknown,
        ),
        ("550 5.1.1 The mailbox may be full or the user may not exist", Cause::Unknown),
        ("550 5.1.1 Das Postfach ist m\u{f6}glicherweise voll oder unbekannt", Cause::Unknown),
        // without a word such as `may`, the next bounce decides
        ("550 5.1.1 Mailbox is full or user unknown", Cause::MailboxFull),
    ] {
        let diagnostic = diagnostic::parse(Some(Cow::Borrowed(text)), None);
        let (found, action, _) = outcome(&FailureFacts::from_diagnostic(&diagnostic));
        assert_eq!(found, cause, "{text}");
        assert_ne!(action, Action::Suppress, "{text}");
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
fn ip_address_of_the_remote_mta_in_a_reply_does_not_hide_an_unknown_mailbox() {
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
fn hedged_text_is_never_classified_with_high_confidence() {
    for (text, cause) in [
        (
            "550 The mailbox may not exist, may be full, or your message may have been blocked",
            Cause::Unknown,
        ),
        (
            "550 Recipient may be unknown, or your server may be listed on a blacklist",
            Cause::Unknown,
        ),
        ("550 5.7.1 This message may be spam", Cause::ContentSpam),
        ("550 5.1.1 user unknown. The mailbox may have been deleted", Cause::MailboxUnknown),
    ] {
        let facts = FailureFacts { text: Some(text), ..FailureFacts::default() };
        let found = Classifier::builtin().classify(&facts, &mut Scratch::default());
        assert_eq!(found.cause, cause, "{text}");
        assert!(found.confidence < Confidence::High, "{text}");
    }
}

#[test]
fn hedged_text_does_not_override_a_suppression_by_ses() {
    let facts = FailureFacts {
        bounce_type: Some("Permanent"),
        bounce_subtype: Some("OnAccountSuppressionList"),
        text: Some("550 The mailbox may not exist, or the message may be spam"),
        ..FailureFacts::default()
    };
    assert_eq!(outcome(&facts).0, Cause::Suppressed);
}

#[test]
fn advice_after_a_reason_does_not_outweigh_it() {
    for (text, cause) in [
        ("550 5.7.1 Message rejected as spam. Please set up SPF and DKIM", Cause::ContentSpam),
        ("552 5.2.2 Mailbox full. Please make sure that it is no phishing", Cause::MailboxFull),
        ("550 Please fix the SPF record of your domain", Cause::SenderAuth),
        (
            "550 no such user. Please see https://support.google.com/mail/?p=DisabledUser",
            Cause::MailboxDisabled,
        ),
    ] {
        assert_eq!(
            outcome(&FailureFacts { text: Some(text), ..FailureFacts::default() }).0,
            cause,
            "{text}"
        );
    }
}

#[test]
fn retry_delay_is_read_in_all_units() {
    for (text, seconds) in [
        ("451 4.7.1 Greylisted, please try again in 300 seconds", Some(300)),
        ("451 Greylisted, try again after 5 minutes", Some(300)),
        ("451 Greylisted, please retry after 00:04:58", Some(298)),
        ("451 Greylisted. Retry in 600s", Some(600)),
        ("450 4.7.1 Client host rejected: Greylisted for 5 minutes", Some(300)),
        ("451 Greylisted, you have to wait at least 2 minutes", Some(120)),
        ("450 too many mails, try again in 1 hour(s) 25 minute(s) and see", Some(5_100)),
        ("450 4.7.1 rate limit exceeded, wait 1 hour", Some(3_600)),
        ("450 4.7.1 rate limit exceeded, come back in 10 min.", Some(600)),
        ("450 4.7.1 rate limit: retry after 2 hr", Some(7_200)),
        ("421 4.7.0 Too many messages, please try again in two hours", Some(7_200)),
        ("421 4.7.0 rate limit; retry in half an hour", Some(1_800)),
        ("450 4.7.1 try again in one hour (greylisted)", Some(3_600)),
        ("421 4.7.0 Rate limited, try again in 1h30m", Some(5_400)),
        ("421 4.7.0 Rate limited, try again in 1.5 hours.", Some(5_400)),
        ("451 DEFER greylist: will be accepted in 25 minutes", Some(1_500)),
        ("452 4.2.2 mailbox full, try again in 12 hours", Some(43_200)),
        ("451 4.7.1 Greylisted: erneut versuchen in 15 Minuten", Some(900)),
        ("450 Greylisting: bitte in 15 Minuten erneut versuchen", Some(900)),
        ("450 4.7.1 Greylisting: vuelva a intentarlo en 10 minutos", Some(600)),
        ("450 4.7.1 Greylisting: tente novamente em 10 minutos", Some(600)),
        ("450 4.7.1 Greylisting: riprovare tra 10 minuti", Some(600)),
        ("450 4.7.1 Greylisting: réessayez dans 10 minutes", Some(600)),
        ("450 灰名单，请在10分钟后重试", Some(600)),
        ("450 グレイリスト中です。しばらくして、10分後に再送してください", Some(600)),
        ("450 Greylisting: повторите попытку через 10 минут", Some(600)),
        ("450 Серый список, повторите через 2 часа", Some(7_200)),
        ("451 Greylisted, try again later", None),
        ("451 Greylisted, wait a moment", None),
        ("451 Greylisted, try again in a while, error 300 something", None),
        ("451 Greylisted, try again in 99999999999 seconds", None),
        ("451 Greylisted, try again in 4000000000 hours", None),
        ("554 5.7.1 Message classified as spam, wait 300 seconds", None),
    ] {
        let facts = FailureFacts { text: Some(text), ..FailureFacts::default() };
        let found = Classifier::builtin().classify(&facts, &mut Scratch::default());
        assert_eq!(found.retry_after, seconds, "{text}");
    }
}

#[test]
fn block_list_is_known_by_its_usual_names() {
    for (text, list) in [
        ("550 5.7.1 your IP is listed in the SBL", Some("Spamhaus")),
        ("554 Client host [192.0.2.1] blocked using zen.spamhaus.org", Some("Spamhaus")),
        ("554 192.0.2.1 is listed on the Policy Block List (PBL)", Some("Spamhaus")),
        ("554 blocked using b.barracudacentral.org; 192.0.2.1", Some("Barracuda")),
        ("554 Client host [192.0.2.1] blocked using bl.example.net", Some("bl.example.net")),
        ("554 mx.example.org 192.0.2.1 found on one or more DNSBLs", Some("DNSBL")),
        ("550 csi.mimecast.org Poor Reputation Sender.", Some("Mimecast")),
        ("554 Client host [192.0.2.1] blocked", None),
    ] {
        let facts = FailureFacts { text: Some(text), ..FailureFacts::default() };
        let found = Classifier::builtin().classify(&facts, &mut Scratch::default());
        assert_eq!(found.block_list, list, "{text}");
    }
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

    /// The phrases of a rule against a search for each phrase at each position.
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
        fold::fold(&text, None, &mut scratch.folded, &mut scratch.classes);
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
            let is_found = index
                .clauses_of_found_phrases(&scratch)
                .any(|found| found.pattern == clause.pattern);
            proptest::prop_assert_eq!(is_found, expected, "{} in {}", phrase, folded);
        }
    }

    /// A text with an IP address of the sender is about the sender, whatever else it contains.
    #[test]
    fn text_with_sender_ip_is_never_a_recipient_failure(a in 0..500_usize, b in 0..500_usize) {
        let all = labelled();
        let text = format!("{} 192.0.2.77 {}", all[a % all.len()].text, all[b % all.len()].text);
        // of a text that wraps a reply only the inner reply is read
        proptest::prop_assume!(!frames::unwrap(&text).has_frame);
        let facts = FailureFacts { text: Some(&text), ..FailureFacts::default() };
        let found = Classifier::builtin().classify(&facts, &mut Scratch::default());
        proptest::prop_assert!(!found.cause.is_recipient_failure(), "{:?}", found);
    }
}
