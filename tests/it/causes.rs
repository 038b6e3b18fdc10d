//! `causes` and `suppress`: results of a scenario with three problems, output formats, and counts against DuckDB.

use std::path::Path;
use std::process::Command;

use bouncewatch_fixtures::traffic::{Envelope, Options, Scenario, Shuffle, Traffic};
use serde_json::{Value, json};

use crate::command::{CommandOutput, Workspace, sorted_json, tool};
use crate::messages::{Message, NOW, message};

/// A bounce of one recipient; `ses` is bounce type and subtype.
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
    /// Returns the bounce event of message `number`.
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

/// Returns a store with three problems: a blocked IP at one provider, full mailboxes (three of them for the third time), and
/// an import of mistyped addresses.
fn workspace_with_three_problems() -> Workspace {
    let workspace = Workspace::new();
    let mut events = String::new();
    let mut number = 0;
    let mut add = |bounce: &Bounce| {
        number += 1;
        events.push_str(&message(number).send());
        events.push_str(&bounce.event(number));
    };
    for index in 0..40 {
        let text = if index % 2 == 0 {
            "550 5.7.1 Unfortunately, messages from [192.0.2.7] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150)."
        } else {
            // the enhanced status code contradicts the text
            "550 5.1.1 Service unavailable; Client host [192.0.2.7] blocked using zen.spamhaus.org"
        };
        add(&bounce(&format!("blocked{index}@outlook.com"), HARD, text));
    }
    for index in 0..30 {
        let to = format!("full{index}@example.org");
        let text = format!("552 5.2.2 <{to}>: user is over quota");
        add(&bounce(&to, FULL, &text));
        if index < 3 {
            for at in ["2026-10-25T12:00:00.000Z", "2026-11-05T12:00:00.000Z"] {
                add(&Bounce { at, ..bounce(&to, FULL, &text) });
            }
        }
    }
    for index in 0..20 {
        let typo = bounce(&format!("typo{index}@gmial.com"), SOFT, "550 5.4.4 Invalid domain");
        add(&Bounce { campaign: "import", ..typo });
    }
    for index in 0..5 {
        events.push_str(&delay(1_000 + index, &format!("slow{index}@outlook.com"), "IPFailure"));
    }
    workspace.ingest(&events);
    workspace
}

fn causes(workspace: &Workspace, extra: &str) -> CommandOutput {
    let output = workspace.run(&format!("causes --store STORE --at {NOW} --window 24h {extra}"));
    assert_eq!(output.exit_code, 0, "{output:?}");
    output
}

#[test]
fn causes_ranks_three_problems_and_suppress_lists_invalid_recipients() {
    let workspace = workspace_with_three_problems();
    let json = causes(&workspace, "--by cause --by campaign,cause --format json").json();
    let advice = json["advice"].as_array().unwrap();
    let ranked: Vec<Value> = advice
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
        ranked,
        [
            json!(["ip_blocklisted", "sender_reputation", "delist", 40, "microsoft"]),
            json!(["mailbox_full", "recipient_mailbox", "suppress_if_repeated", 30, "example.org"]),
            json!(["domain_invalid", "recipient_address", "suppress", 20, "gmial.com"]),
        ]
    );
    for (index, expected) in
        [(0, "do not suppress"), (1, "three times within a month"), (2, "typing error")]
    {
        let text = format!("{}{}", advice[index]["meaning"], advice[index]["remedy"]);
        assert!(text.contains(expected), "{text}");
    }
    assert!(advice[0]["ses"].as_str().unwrap().contains("dedicated IP"), "{advice:?}");
    assert_eq!(
        advice[2]["suggestions"][0],
        json!({"domain": "gmial.com", "likely": "gmail.com", "count": 20})
    );
    // SES reports an invalid domain as a soft bounce
    assert_eq!(json["disagreements"][0]["cause"], "domain_invalid");
    assert_eq!((&json["bounces"], &json["counted"]), (&json!(90), &json!(40)));
    assert_eq!(json["bounces_before"], 0);
    assert_eq!(
        (&json["delays"][0]["delay_type"], &json["delays"][0]["about_sender"]),
        (&json!("IPFailure"), &json!(true))
    );

    let listed = workspace.run(&format!("suppress --store STORE --at {NOW} --format txt"));
    let mut expected: Vec<String> = (0..20).map(|index| format!("typo{index}@gmial.com")).collect();
    expected.extend((0..3).map(|index| format!("full{index}@example.org")));
    expected.sort();
    assert_eq!(listed.stdout.lines().collect::<Vec<_>>(), expected, "{listed:?}");
    assert_eq!((listed.exit_code, listed.stderr.as_str()), (0, ""));

    insta::assert_snapshot!("causes_table", causes(&workspace, "").transcript());
    insta::assert_snapshot!(
        "causes_csv",
        causes(&workspace, "--by cause,provider --by campaign --format csv").transcript()
    );
    insta::assert_snapshot!(
        "suppress_csv",
        workspace.run(&format!("suppress --store STORE --at {NOW}")).transcript()
    );
    let json = workspace.run(&format!("suppress --store STORE --at {NOW} --format json")).json();
    insta::assert_snapshot!("suppress_json", sorted_json(&json["addresses"][0]));
}

#[test]
fn causes_json_matches_snapshot() {
    let workspace = Workspace::new();
    workspace
        .ingest(&(message(1).send() + &message(1).bounce() + &delay(2, "a@example.org", "Novel")));
    let json = causes(&workspace, "--format json").json();
    insta::assert_snapshot!("causes_json", sorted_json(&json));
}

#[test]
fn stored_events_are_classified_with_current_rules() {
    let workspace = Workspace::new();
    let odd = "550 5.9.9 the gnomes of anna.smith say no, ticket 2026-11-19T12:00:00Z/77123456 at 192.0.2.9";
    let to = "anna.smith@example.org";
    workspace.ingest(
        &(bounce(to, HARD, odd).event(1)
            + &bounce(
                "bob@acme.example",
                HARD,
                "550 5.9.9 the gnomes of ACME (Bob) say no, ticket 1 at 192.0.2.1",
            )
            .event(2)),
    );
    let unknown = causes(&workspace, "--unknown");
    insta::assert_snapshot!("causes_unknown", unknown.transcript());
    for personal in ["anna", "smith", "bob", "acme", "192.0.2", "77123456"] {
        assert!(!unknown.stdout.to_lowercase().contains(personal), "{unknown:?}");
    }
    let json = causes(&workspace, "--unknown --format json").json();
    assert_eq!((&json["unknown_bounces"], &json["bounces"]), (&json!(2), &json!(2)));
    assert!(causes(&workspace, "--unknown --format csv").stdout.starts_with("count,smtp_code,"));

    let rule = "[[rule]]\nid = \"gnomes\"\ncause = \"policy_rejected\"\nphrase = \"the gnomes of\"\nsample = \"550 5.9.9 the gnomes of x say no\"\n";
    std::fs::write(workspace.path("c.toml"), rule).unwrap();
    let json = causes(&workspace, "--config c.toml --format json").json();
    assert_eq!(json["groups"][0]["scope"]["cause"], "policy_rejected");
    assert_eq!((&json["groups"][0]["count"], &json["unknown"]), (&json!(2), &json!([])));
}

#[test]
fn causes_and_suppress_escape_formulas_and_control_characters() {
    let workspace = Workspace::new();
    let hostile = "550 5.1.1 user unknown <script>alert(1)</script> \u{1b}[31m\u{202e}\u{7}";
    let formula = "=HYPERLINK(\"http://x.example\",\"550 5.1.1 no such user\")";
    let campaign = Bounce {
        campaign: "=cmd|' /C calc'!A0\u{1b}[2J",
        ..bounce("+1@example.org", HARD, formula)
    };
    workspace.ingest(&(bounce("x@example.org", HARD, hostile).event(1) + &campaign.event(2)));
    for arguments in [
        "causes --by campaign --window 24h",
        "causes --unknown --window 24h",
        "suppress",
        "suppress --format txt",
        "suppress --format ses",
    ] {
        let forms: &[&str] = if arguments.starts_with("causes") {
            &["--format table", "--format csv"]
        } else {
            &[""]
        };
        for form in forms {
            let output = workspace.run(&format!("{arguments} --store STORE --at {NOW} {form}"));
            assert_eq!(output.exit_code, 0, "{output:?}");
            let is_csv = form.ends_with("csv") || arguments == "suppress";
            let is_unsafe =
                |c: char| c.is_control() && !matches!(c, '\n' | '\r') || c == '\u{202e}';
            assert!(is_csv || !output.stdout.contains(is_unsafe), "{output:?}");
            if is_csv {
                let cells = output.stdout.lines().flat_map(|line| line.split(','));
                let formulas =
                    cells.filter(|cell| cell.trim_start_matches('"').starts_with(['=', '+', '@']));
                assert_eq!(formulas.count(), 0, "{output:?}");
            }
        }
    }
}

#[test]
fn invalid_causes_and_suppress_arguments_exit_2() {
    let workspace = Workspace::new();
    workspace.ingest(&message(1).bounce());
    for (arguments, expected) in [
        ("causes --by colour", "cannot group by `colour`"),
        ("causes --window volume:10", "--window: invalid duration `volume:10`"),
        ("causes --from 2026-11-21 --to 2026-11-20", "--from must be before --to"),
        ("causes --from 2026-11-19 --window 24h", "cannot be used with"),
        ("suppress --diff nowhere.txt", "nowhere.txt"),
        ("suppress --soft 0", "--soft"),
    ] {
        let output = workspace.run(&format!("{arguments} --store STORE"));
        assert_eq!(output.exit_code, 2, "{output:?}");
        assert!(output.stderr.contains(expected), "{output:?}");
    }
    let empty = workspace.run("causes --store STORE --at 2026-01-01");
    assert_eq!((empty.exit_code, empty.stderr.as_str()), (0, "note: no bounces in this period\n"));
}

/// Returns value and count of each campaign.
fn by_campaign(workspace: &Workspace) -> Value {
    let json = causes(workspace, "--by campaign --format json").json();
    let groups = json["groups"].as_array().unwrap();
    groups.iter().map(|group| json!([group["scope"]["tag:campaign"], group["count"]])).collect()
}

#[test]
fn bounce_inherits_tags_of_its_message_and_earliest_time_counts() {
    let workspace = Workspace::new();
    let sent = "2026-11-01T10:00:00.000Z";
    let bounced = |at: &str| {
        let mut detail = message(1).bounce_detail("Permanent", "General");
        detail["timestamp"] = json!(at);
        Message { at: sent, ..message(1) }.feedback("Bounce", "bounce", &detail)
    };
    workspace.ingest(&bounced("2026-11-19T10:00:00.000Z"));
    assert_eq!(by_campaign(&workspace), json!([[null, 1]]));
    // feedback has no tags; the Send event of its message has them, long before the window
    workspace.ingest(&Message { at: sent, ..message(1) }.send());
    assert_eq!(by_campaign(&workspace), json!([["spring", 1]]));
    // mail to own domains does not count
    assert_eq!(causes(&workspace, "--own-domain example.org --format json").json()["bounces"], 0);
    // an older duplicate moves the bounce before the window
    workspace.ingest(&bounced("2026-11-01T10:00:05.000Z"));
    assert_eq!(by_campaign(&workspace), json!([]));
}

#[test]
fn message_with_two_campaign_tags_counts_in_both() {
    let workspace = Workspace::new();
    let tags = json!({"campaign": ["spring", "summer"]});
    workspace.ingest(&Message { tags, ..message(1) }.bounce());
    assert_eq!(by_campaign(&workspace), json!([["spring", 1], ["summer", 1]]));
}

/// Compares `causes` and `suppress` with the referee script.
fn compare_with_duckdb(options: &Options, times: &[&str]) {
    let workspace = Workspace::new();
    let events: Vec<String> = Traffic::new(options).unwrap().collect();
    let third = events.len() / 3;
    for part in [&events[..2 * third], &events[third..]] {
        std::fs::write(workspace.path("part.ndjson"), part.join("\n")).unwrap();
        assert_eq!(workspace.run("ingest part.ndjson --store STORE").exit_code, 0);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/referee/causes.py");
    for at in times {
        for (file, arguments) in [
            (
                "causes.json",
                "causes --window 8d --by cause --by cause,provider --by identity --by tag:campaign,cause --by recipient_domain",
            ),
            ("suppress.json", "suppress"),
        ] {
            let output = workspace
                .run(&format!("{arguments} --store STORE --at {at} --format json -o {file}"));
            assert_eq!(output.exit_code, 0, "{output:?}");
        }
        let mut command = Command::new(tool("venv/bin/python"));
        command.arg("-B").arg(&script).arg("--store").arg(workspace.store());
        command.arg("--causes").arg(workspace.path("causes.json"));
        command.arg("--suppress").arg(workspace.path("suppress.json"));
        let output = CommandOutput::from(command.output().unwrap());
        assert!(output.exit_code == 0 && output.stdout.contains("all equal"), "{output:?}");
    }
}

#[test]
fn causes_and_suppress_match_duckdb() {
    let options = Options {
        events: 15_000,
        seed: 11,
        scenario: Scenario::Mixed,
        envelope: Envelope::Mixed,
        duplicates: 0.3,
        shuffle: Shuffle::All,
        accounts: 2,
        ..Options::default()
    };
    compare_with_duckdb(&options, &[NOW, "2026-11-11T05:06:07.089Z"]);
}

#[test]
fn causes_and_suppress_match_duckdb_without_send_events() {
    let options = Options {
        events: 4_000,
        seed: 12,
        scenario: Scenario::DeliveriesOnly,
        duplicates: 0.2,
        shuffle: Shuffle::All,
        ..Options::default()
    };
    compare_with_duckdb(&options, &[NOW, "2026-11-11T05:06:07.089Z"]);
}

#[test]
fn causes_and_suppress_match_duckdb_in_a_provider_outage() {
    let options = Options {
        events: 12_000,
        seed: 13,
        scenario: Scenario::Outage,
        duplicates: 0.2,
        shuffle: Shuffle::All,
        ..Options::default()
    };
    // during the outage, in the hold, when it ends, after the retry
    let times = ["2026-11-14T11:11:11.111Z", "2026-11-15T00:00:00Z", "2026-11-17T12:29:00Z", NOW];
    compare_with_duckdb(&options, &times);
}
