//! Why mail fails and whom not to mail again: the must-show of both, their forms, and their counts against DuckDB.

use std::path::Path;
use std::process::Command;

use bouncewatch_fixtures::traffic::{Envelope, Options, Scenario, Shuffle, Traffic};
use serde_json::{Value, json};

use crate::command::{Place, Said, in_order, said, tool};
use crate::messages::{Message, NOW, message};

/// A bounce of one recipient.
pub(crate) struct Bounce {
    pub(crate) to: String,
    pub(crate) at: &'static str,
    pub(crate) ses: (&'static str, &'static str),
    pub(crate) text: String,
    pub(crate) campaign: &'static str,
}

pub(crate) const HARD: (&str, &str) = ("Permanent", "General");
pub(crate) const FULL: (&str, &str) = ("Transient", "MailboxFull");
pub(crate) const SOFT: (&str, &str) = ("Transient", "General");

pub(crate) fn bounce(to: &str, ses: (&'static str, &'static str), text: &str) -> Bounce {
    let (at, campaign) = ("2026-11-19T12:00:00.000Z", "spring");
    Bounce { to: to.to_owned(), at, ses, text: text.to_owned(), campaign }
}

impl Bounce {
    /// Of the message of this number.
    pub(crate) fn event(&self, number: usize) -> String {
        let tags = json!({"ses:configuration-set": ["main"], "campaign": [self.campaign]});
        let message = Message { to: self.to.clone(), at: self.at, tags, ..message(number) };
        let mut recipient = json!({"emailAddress": self.to, "action": "failed"});
        if !self.text.is_empty() {
            recipient["diagnosticCode"] = json!(format!("smtp; {}", self.text));
        }
        let detail = json!({"bounceType": self.ses.0, "bounceSubType": self.ses.1, "timestamp": self.at,
            "feedbackId": "f", "bouncedRecipients": [recipient]});
        message.event("Bounce", "bounce", &detail)
    }
}

fn delay(number: usize, to: &str, delay_type: &str) -> String {
    let message = Message { to: to.to_owned(), ..message(number) };
    let detail = json!({"timestamp": message.at, "delayType": delay_type,
        "delayedRecipients": [{"emailAddress": to, "status": "4.7.0"}]});
    message.event("DeliveryDelay", "deliveryDelay", &detail)
}

/// A blocked IP at one provider, a wave of full mailboxes of which some are full for the third time, and an import of
/// mistyped addresses.
fn three_troubles() -> Place {
    let place = Place::new();
    let mut events = String::new();
    let mut number = 0;
    let mut add = |bounce: &Bounce| {
        number += 1;
        events.push_str(&message(number).send());
        events.push_str(&bounce.event(number));
    };
    for who in 0..40 {
        let text = if who % 2 == 0 {
            "550 5.7.1 Unfortunately, messages from [192.0.2.7] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150)."
        } else {
            // a code that lies
            "550 5.1.1 Service unavailable; Client host [192.0.2.7] blocked using zen.spamhaus.org"
        };
        add(&bounce(&format!("blocked{who}@outlook.com"), HARD, text));
    }
    for who in 0..30 {
        let to = format!("full{who}@example.org");
        let text = format!("552 5.2.2 <{to}>: user is over quota");
        add(&bounce(&to, FULL, &text));
        if who < 3 {
            for at in ["2026-10-25T12:00:00.000Z", "2026-11-05T12:00:00.000Z"] {
                add(&Bounce { at, ..bounce(&to, FULL, &text) });
            }
        }
    }
    for who in 0..20 {
        let typo = bounce(&format!("typo{who}@gmial.com"), SOFT, "550 5.4.4 Invalid domain");
        add(&Bounce { campaign: "import", ..typo });
    }
    for who in 0..5 {
        events.push_str(&delay(1_000 + who, &format!("slow{who}@outlook.com"), "IPFailure"));
    }
    place.ingest(&events);
    place
}

fn causes(place: &Place, further: &str) -> Said {
    let said = place.run(&format!("causes --store STORE --at {NOW} --window 24h {further}"));
    assert_eq!(said.code, 0, "{said:?}");
    said
}

#[test]
fn three_troubles_are_named_and_only_who_is_not_there_is_listed() {
    let place = three_troubles();
    let told = causes(&place, "--by cause --by campaign,cause --format json").json();
    let advice = told["advice"].as_array().unwrap();
    let named: Vec<Value> = advice
        .iter()
        .map(|one| {
            json!([
                one["cause"],
                one["fault"],
                one["action"],
                one["count"],
                one["mostly"][0]["value"]
            ])
        })
        .collect();
    assert_eq!(
        named,
        [
            json!(["ip_blocklisted", "sender_reputation", "delist", 40, "microsoft"]),
            json!(["mailbox_full", "recipient_mailbox", "suppress_if_repeated", 30, "example.org"]),
            json!(["domain_invalid", "recipient_address", "suppress", 20, "gmial.com"]),
        ]
    );
    for (at, says) in [(0, "do not suppress"), (1, "three times within a month"), (2, "typo")] {
        let said = format!("{}{}", advice[at]["meaning"], advice[at]["remedy"]);
        assert!(said.contains(says), "{said}");
    }
    assert!(advice[0]["ses"].as_str().unwrap().contains("dedicated IP"), "{advice:?}");
    assert_eq!(
        advice[2]["suggestions"][0],
        json!({"domain": "gmial.com", "likely": "gmail.com", "count": 20})
    );
    // SES calls a dead domain a soft bounce
    assert_eq!(told["disagreements"][0]["cause"], "domain_invalid");
    assert_eq!((&told["bounces"], &told["counted"]), (&json!(90), &json!(40)));
    assert_eq!(told["bounces_before"], 0);
    assert_eq!(
        (&told["delays"][0]["delay_type"], &told["delays"][0]["about_sender"]),
        (&json!("IPFailure"), &json!(true))
    );

    let listed = place.run(&format!("suppress --store STORE --at {NOW} --format txt"));
    let mut expected: Vec<String> = (0..20).map(|who| format!("typo{who}@gmial.com")).collect();
    expected.extend((0..3).map(|who| format!("full{who}@example.org")));
    expected.sort();
    assert_eq!(listed.out.lines().collect::<Vec<_>>(), expected, "{listed:?}");
    assert_eq!((listed.code, listed.err.as_str()), (0, ""));

    insta::assert_snapshot!("causes_table", causes(&place, "").whole());
    insta::assert_snapshot!(
        "causes_csv",
        causes(&place, "--by cause,provider --by campaign --format csv").whole()
    );
    insta::assert_snapshot!(
        "suppress_csv",
        place.run(&format!("suppress --store STORE --at {NOW}")).whole()
    );
    let json = place.run(&format!("suppress --store STORE --at {NOW} --format json")).json();
    insta::assert_snapshot!("suppress_json", in_order(&json["addresses"][0]));
}

#[test]
fn a_cause_json_is_a_contract() {
    let place = Place::new();
    place.ingest(&(message(1).send() + &message(1).bounce() + &delay(2, "a@example.org", "Novel")));
    let told = causes(&place, "--format json").json();
    insta::assert_snapshot!("causes_json", in_order(&told));
}

#[test]
fn old_events_are_judged_by_the_rules_of_now() {
    let place = Place::new();
    let odd = "550 5.9.9 the gnomes of anna.smith say no, ticket 2026-11-19T12:00:00Z/77123456 at 192.0.2.9";
    let to = "anna.smith@example.org";
    place.ingest(
        &(bounce(to, HARD, odd).event(1)
            + &bounce(
                "bob@acme.example",
                HARD,
                "550 5.9.9 the gnomes of ACME (Bob) say no, ticket 1 at 192.0.2.1",
            )
            .event(2)),
    );
    let unknown = causes(&place, "--unknown");
    insta::assert_snapshot!("causes_unknown", unknown.whole());
    for who in ["anna", "smith", "bob", "acme", "192.0.2", "77123456"] {
        assert!(!unknown.out.to_lowercase().contains(who), "{unknown:?}");
    }
    let json = causes(&place, "--unknown --format json").json();
    assert_eq!((&json["unknown_bounces"], &json["bounces"]), (&json!(2), &json!(2)));
    assert!(causes(&place, "--unknown --format csv").out.starts_with("count,smtp_code,"));

    let rule = "[[rule]]\nid = \"gnomes\"\ncause = \"policy_rejected\"\nphrase = \"the gnomes of\"\nsample = \"550 5.9.9 the gnomes of x say no\"\n";
    std::fs::write(place.path("c.toml"), rule).unwrap();
    let told = causes(&place, "--config c.toml --format json").json();
    assert_eq!(told["groups"][0]["scope"]["cause"], "policy_rejected");
    assert_eq!((&told["groups"][0]["count"], &told["unknown"]), (&json!(2), &json!([])));
}

#[test]
fn strangers_write_neither_formulas_nor_escapes_nor_markup() {
    let place = Place::new();
    let hostile = "550 5.1.1 user unknown <script>alert(1)</script> \u{1b}[31m\u{202e}\u{7}";
    let formula = "=HYPERLINK(\"http://x.example\",\"550 5.1.1 no such user\")";
    let campaign = Bounce {
        campaign: "=cmd|' /C calc'!A0\u{1b}[2J",
        ..bounce("+1@example.org", HARD, formula)
    };
    place.ingest(&(bounce("x@example.org", HARD, hostile).event(1) + &campaign.event(2)));
    for words in [
        "causes --by campaign --window 24h",
        "causes --unknown --window 24h",
        "suppress",
        "suppress --format txt",
        "suppress --format ses",
    ] {
        let forms: &[&str] =
            if words.starts_with("causes") { &["--format table", "--format csv"] } else { &[""] };
        for form in forms {
            let said = place.run(&format!("{words} --store STORE --at {NOW} {form}"));
            assert_eq!(said.code, 0, "{said:?}");
            let is_csv = form.ends_with("csv") || words == "suppress";
            let obeyed = |c: char| c.is_control() && !matches!(c, '\n' | '\r') || c == '\u{202e}';
            assert!(is_csv || !said.out.contains(obeyed), "{said:?}");
            if is_csv {
                let cells = said.out.lines().flat_map(|line| line.split(','));
                let run =
                    cells.filter(|cell| cell.trim_start_matches('"').starts_with(['=', '+', '@']));
                assert_eq!(run.count(), 0, "{said:?}");
            }
        }
    }
}

#[test]
fn what_cannot_be_asked_is_told() {
    let place = Place::new();
    place.ingest(&message(1).bounce());
    for (words, told) in [
        ("causes --by colour", "cannot group by `colour`"),
        ("causes --window volume:10", "--window: not a duration"),
        ("causes --from 2026-11-21 --to 2026-11-20", "--from must lie before --to"),
        ("causes --from 2026-11-19 --window 24h", "cannot be used with"),
        ("suppress --diff nowhere.txt", "nowhere.txt"),
        ("suppress --soft 0", "--soft"),
    ] {
        let said = place.run(&format!("{words} --store STORE"));
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains(told), "{said:?}");
    }
    let empty = place.run("causes --store STORE --at 2026-01-01");
    assert_eq!((empty.code, empty.err.as_str()), (0, "note: nothing bounced in this span\n"));
}

/// The one group of a cut by campaign: its value and how many.
fn by_campaign(place: &Place) -> Value {
    let told = causes(place, "--by campaign --format json").json();
    let groups = told["groups"].as_array().unwrap();
    groups.iter().map(|group| json!([group["scope"]["tag:campaign"], group["count"]])).collect()
}

#[test]
fn what_a_message_knows_is_known_of_its_bounces_and_the_earliest_clock_wins() {
    let place = Place::new();
    let sent = "2026-11-01T10:00:00.000Z";
    let bounced = |at: &str| {
        let mut detail = message(1).bounce_detail("Permanent", "General");
        detail["timestamp"] = json!(at);
        Message { at: sent, ..message(1) }.feedback("Bounce", "bounce", &detail)
    };
    place.ingest(&bounced("2026-11-19T10:00:00.000Z"));
    assert_eq!(by_campaign(&place), json!([[null, 1]]));
    // feedback has no tags, and its message was sent long ago
    place.ingest(&Message { at: sent, ..message(1) }.send());
    assert_eq!(by_campaign(&place), json!([["spring", 1]]));
    // mail of one's own is not looked at
    assert_eq!(causes(&place, "--own-domain example.org --format json").json()["bounces"], 0);
    // a copy that proves the bounce to be an old one
    place.ingest(&bounced("2026-11-01T10:00:05.000Z"));
    assert_eq!(by_campaign(&place), json!([]));
}

#[test]
fn a_mail_of_two_campaigns_is_in_both() {
    let place = Place::new();
    let tags = json!({"campaign": ["spring", "summer"]});
    place.ingest(&Message { tags, ..message(1) }.bounce());
    assert_eq!(by_campaign(&place), json!([["spring", 1], ["summer", 1]]));
}

fn compare(options: &Options) {
    let place = Place::new();
    let events: Vec<String> = Traffic::new(options).unwrap().collect();
    let third = events.len() / 3;
    for part in [&events[..2 * third], &events[third..]] {
        std::fs::write(place.path("part.ndjson"), part.join("\n")).unwrap();
        assert_eq!(place.run("ingest part.ndjson --store STORE").code, 0);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/referee/causes.py");
    for at in [NOW, "2026-11-11T05:06:07.089Z"] {
        for (file, words) in [
            (
                "causes.json",
                "causes --window 8d --by cause --by cause,provider --by identity --by tag:campaign,cause --by recipient_domain",
            ),
            ("suppress.json", "suppress"),
        ] {
            let told =
                place.run(&format!("{words} --store STORE --at {at} --format json -o {file}"));
            assert_eq!(told.code, 0, "{told:?}");
        }
        let mut command = Command::new(tool("venv/bin/python"));
        command.arg("-B").arg(&script).arg("--store").arg(place.store());
        command.arg("--causes").arg(place.path("causes.json"));
        command.arg("--suppress").arg(place.path("suppress.json"));
        let said = said(command.output().unwrap());
        assert!(said.code == 0 && said.out.contains("all equal"), "{said:?}");
    }
}

#[test]
fn every_number_is_that_of_duckdb() {
    compare(&Options {
        events: 15_000,
        seed: 11,
        scenario: Scenario::Mixed,
        envelope: Envelope::Mixed,
        duplicates: 0.3,
        shuffle: Shuffle::All,
        accounts: 2,
        ..Options::default()
    });
}

#[test]
fn feedback_alone_is_counted_too() {
    compare(&Options {
        events: 4_000,
        seed: 12,
        scenario: Scenario::DeliveriesOnly,
        duplicates: 0.2,
        shuffle: Shuffle::All,
        ..Options::default()
    });
}
