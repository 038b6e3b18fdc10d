//! `suppress`: which failures list an address, what removes it, and comparison with external lists.

use bouncewatch_schemas::cause::{Cause, Fault};
use serde_json::{Value, json};

use crate::causes::{Bounce, FULL, HARD, SOFT, bounce};
use crate::command::{CommandOutput, Workspace};
use crate::messages::{Message, NOW, message};

fn suppress(workspace: &Workspace, extra: &str) -> CommandOutput {
    let output = workspace.run(&format!("suppress --store STORE --at {NOW} {extra}"));
    assert_eq!(output.exit_code, 0, "{output:?}");
    output
}

/// Returns address, reason and count of each suppressed address.
fn suppressed(workspace: &Workspace, extra: &str) -> Vec<Value> {
    let json = suppress(workspace, &format!("--format json {extra}")).json();
    let addresses = json["addresses"].as_array().unwrap();
    let columns = |entry: &Value| json!([entry["address"], entry["reason"], entry["count"]]);
    addresses.iter().map(columns).collect()
}

/// Hand-labelled texts, each as three hard bounces of one address on different days. A sender, content, policy, rate or
/// routing failure must not list the address.
#[test]
fn sender_faults_are_never_suppressed() {
    let workspace = Workspace::new();
    let texts = include_str!("../../fixtures/causes/texts.tsv");
    let days = ["2026-11-10T12:00:00.000Z", "2026-11-12T12:00:00.000Z", "2026-11-14T12:00:00.000Z"];
    let mut labels: Vec<Cause> = Vec::new();
    let mut events = String::new();
    for line in texts.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t');
        labels.push(columns.next().and_then(Cause::parse).unwrap());
        let text = columns.nth(1).unwrap().replace("\\n", "\n");
        for (day, at) in days.into_iter().enumerate() {
            let number = labels.len();
            let to = format!("u{number}@example.org");
            events.push_str(&Bounce { at, ..bounce(&to, HARD, &text) }.event(number * 10 + day));
        }
    }
    workspace.ingest(&events);
    let listed = suppressed(&workspace, "");
    let mut listed_by_cause = vec![0; Cause::ALL.len()];
    for one in &listed {
        let number: usize =
            one[0].as_str().unwrap().split(['u', '@']).nth(1).unwrap().parse().unwrap();
        let label = labels[number - 1];
        let is_about_recipient =
            matches!(label.fault(), Fault::RecipientAddress | Fault::RecipientMailbox)
                || matches!(label, Cause::NetworkTimeout | Cause::RelayDenied);
        assert!(
            is_about_recipient,
            "{label:?}: {}",
            texts.lines().filter(|line| !line.starts_with('#')).nth(number - 1).unwrap()
        );
        let at_once = one[1] == "hard_bounce";
        assert!(
            !at_once || !matches!(label, Cause::NetworkTimeout | Cause::RelayDenied),
            "{one} {label:?}"
        );
        listed_by_cause[label as usize] += 1;
    }
    // at least 80 % of the invalid recipients are listed
    for cause in
        [Cause::MailboxUnknown, Cause::MailboxDisabled, Cause::MailboxFull, Cause::DomainInvalid]
    {
        let all = labels.iter().filter(|label| **label == cause).count();
        assert!(
            listed_by_cause[cause as usize] * 10 >= all * 8,
            "{cause:?}: {} of {all}",
            listed_by_cause[cause as usize]
        );
    }
}

fn delivered(to: &str, number: usize, at: &'static str) -> String {
    Message { to: to.to_owned(), at, ..message(number) }.delivery()
}

fn complaint(to: &[&str], number: usize, kind: &str, subtype: Option<&str>) -> String {
    let listed: Vec<Value> = to.iter().map(|to| json!({"emailAddress": to})).collect();
    let detail = json!({"timestamp": "2026-11-18T10:00:00.000Z", "complainedRecipients": listed,
        "complaintFeedbackType": kind, "complaintSubType": subtype});
    let sent = Message { at: "2026-11-18T09:00:00.000Z", ..message(number) };
    sent.event_to(to, "Complaint", "complaint", &detail)
}

#[test]
fn suppress_lists_and_delists_addresses() {
    let unknown = "550 5.1.1 user unknown";
    let full = "452 4.2.2 mailbox full";
    let on = |at: &'static str, to: &str, ses, text: &str, number: usize| {
        Bounce { at, ..bounce(to, ses, text) }.event(number)
    };
    let [d1, d2, d3, d4] = [
        "2026-11-01T12:00:00.000Z",
        "2026-11-05T12:00:00.000Z",
        "2026-11-10T12:00:00.000Z",
        "2026-11-12T12:00:00.000Z",
    ];
    let (soon, within_the_hour) = ("2026-11-01T13:00:00.001Z", "2026-11-01T13:00:00.000Z");
    for (case, events, expected) in [
        ("hard bounce", on(d1, "a@example.org", HARD, unknown, 1), json!([["a@example.org", "hard_bounce", 1]])),
        ("delivered later", on(d1, "a@example.org", HARD, unknown, 1) + &delivered("a@example.org", 2, soon), json!([])),
        ("delivered within 1 h: clock skew", on(d1, "a@example.org", HARD, unknown, 1) + &delivered("a@example.org", 2, within_the_hour), json!([["a@example.org", "hard_bounce", 1]])),
        // the remote server accepted the message and returned it later
        ("delivery of the same message", on(d1, "a@example.org", HARD, unknown, 1) + &delivered("a@example.org", 1, d2), json!([["a@example.org", "hard_bounce", 1]])),
        ("delivery to another address", on(d1, "a@example.org", HARD, unknown, 1) + &delivered("b@example.org", 2, d2), json!([["a@example.org", "hard_bounce", 1]])),
        ("delivered after --at", on(d1, "a@example.org", HARD, unknown, 1) + &delivered("a@example.org", 2, "2026-11-20T00:00:00.001Z"), json!([["a@example.org", "hard_bounce", 1]])),
        ("hard bounce after --at", on("2026-11-20T00:00:00.001Z", "a@example.org", HARD, unknown, 1), json!([])),
        ("duplicates", on(d1, "a@example.org", HARD, unknown, 1).repeat(3), json!([["a@example.org", "hard_bounce", 1]])),
        ("mailbox full twice", on(d1, "a@example.org", FULL, full, 1) + &on(d2, "a@example.org", FULL, full, 2), json!([])),
        ("mailbox full three times", on(d1, "a@example.org", FULL, full, 1) + &on(d2, "a@example.org", FULL, full, 2) + &on(d3, "a@example.org", FULL, full, 3), json!([["a@example.org", "repeated_failure", 3]])),
        ("delivered between full mailboxes", on(d1, "a@example.org", FULL, full, 1) + &on(d2, "a@example.org", FULL, full, 2) + &delivered("a@example.org", 9, d3) + &on(d4, "a@example.org", FULL, full, 3), json!([])),
        ("over quota and inactive", on(d1, "a@gmail.com", FULL, "552 5.2.2 The email account that you tried to reach is over quota and inactive. https://support.google.com/mail/?p=OverQuotaPerm x - gsmtp", 1), json!([["a@gmail.com", "hard_bounce", 1]])),
        ("on the account suppression list", on(d1, "a@example.org", ("Permanent", "OnAccountSuppressionList"), "", 1), json!([])),
        ("out of office", Message { to: "a@example.org".to_owned(), ..message(1) }.event("Bounce", "bounce", &json!({"bounceType": "Transient", "bounceSubType": "General", "timestamp": d1, "bouncedRecipients": [{"emailAddress": "a@example.org"}]})), json!([])),
        ("simulator", on(d1, "bounce@simulator.amazonses.com", HARD, unknown, 1), json!([])),
        ("complaint", complaint(&["a@example.org"], 1, "abuse", None) + &delivered("a@example.org", 2, "2026-11-19T12:00:00.000Z"), json!([["a@example.org", "complaint", 1]])),
        ("not spam", complaint(&["a@example.org"], 1, "not-spam", None), json!([])),
        ("complaint of a suppressed address", complaint(&["a@example.org"], 1, "abuse", Some("OnAccountSuppressionList")), json!([])),
        ("complaint takes precedence", on(d1, "a@example.org", HARD, unknown, 1) + &complaint(&["a@example.org"], 2, "abuse", None), json!([["a@example.org", "complaint", 1]])),
        ("soft bounce of an invalid domain", on(d1, "a@hotmial.it", SOFT, "550 5.4.4 Invalid domain", 1), json!([["a@hotmial.it", "hard_bounce", 1]])),
    ] {
        let workspace = Workspace::new();
        workspace.ingest(&events);
        assert_eq!(json!(suppressed(&workspace, "")), expected, "{case}");
    }
}

#[test]
fn soft_and_soft_days_set_the_repeat_limit() {
    let workspace = Workspace::new();
    let full = |at, number| {
        Bounce { at, ..bounce("a@example.org", FULL, "452 4.2.2 mailbox full") }.event(number)
    };
    workspace.ingest(&(full("2026-11-05T12:00:00.000Z", 1) + &full("2026-11-15T12:00:00.000Z", 2)));
    for (arguments, count) in
        [("", 0), ("--soft 2", 1), ("--soft 2 --soft-days 10", 0), ("--soft 1 --soft-days 5", 1)]
    {
        assert_eq!(suppressed(&workspace, arguments).len(), count, "{arguments}");
    }
    let one = suppress(&workspace, "--soft 2 --format json").json()["addresses"][0].clone();
    assert_eq!(
        (&one["first_at"], &one["last_at"], &one["expires_at"]),
        (
            &json!("2026-11-05T12:00:00.000Z"),
            &json!("2026-11-15T12:00:00.000Z"),
            &json!("2026-12-05T12:00:00.000Z")
        )
    );
    // the entry ends at expires_at
    let addresses_at = |at: &str| {
        workspace.run(&format!("suppress --store STORE --soft 2 --format txt --at {at}")).stdout
    };
    assert_eq!(addresses_at("2026-12-05T11:59:59.999Z"), "a@example.org\n");
    assert_eq!(addresses_at("2026-12-05T12:00:00.000Z"), "");
}

#[test]
fn complaint_with_two_recipients_lists_both() {
    let workspace = Workspace::new();
    workspace.ingest(&complaint(&["a@example.org", "b@example.org"], 1, "abuse", None));
    let answer = suppress(&workspace, "--format json").json();
    assert_eq!(answer["addresses"][1]["evidence"], "complaint (abuse), of one of 2 recipients");
    assert_eq!(
        suppress(&workspace, "--format ses").stdout,
        "a@example.org,COMPLAINT\nb@example.org,COMPLAINT\n"
    );
}

#[test]
fn diff_compares_with_external_lists() {
    let workspace = Workspace::new();
    let dead = |to: &str, number| bounce(to, HARD, "550 5.1.1 user unknown").event(number);
    workspace.ingest(
        &(dead("a@example.org", 1)
            + &dead("b@example.org", 2)
            + &delivered("c@example.org", 3, "2026-11-18T12:00:00.000Z")),
    );
    let ses = r#"{"SuppressedDestinationSummaries": [{"EmailAddress": "B@example.org", "Reason": "BOUNCE"},
        {"EmailAddress": "c@example.org", "Reason": "BOUNCE"}], "NextToken": "x"}"#;
    for (name, text) in [
        ("ses.json", ses),
        ("list.txt", "b@example.org\nc@example.org\n"),
        ("list.csv", "address,why\nb@example.org,x\nc@example.org,\"y, z\"\n"),
    ] {
        std::fs::write(workspace.path(name), text).unwrap();
        let output = suppress(&workspace, &format!("--format txt --diff {name}"));
        assert_eq!(output.stdout, "+ a@example.org\n- c@example.org\n", "{name}");
        assert_eq!(output.stderr.contains("NextToken"), name == "ses.json", "{output:?}");
    }
    let json = suppress(&workspace, "--format json --diff list.txt").json();
    assert_eq!(json["addresses"].as_array().unwrap().len(), 1);
    assert_eq!(
        json["without_evidence"],
        json!([{"address": "c@example.org", "delivered_at": "2026-11-18T12:00:00.000Z"}])
    );
    let output = suppress(&workspace, "--format ses --diff list.txt");
    assert_eq!(output.stdout, "a@example.org,BOUNCE\n");
    // each output format is valid input of --diff
    for format in ["csv", "json", "txt", "ses"] {
        suppress(&workspace, &format!("--format {format} -o own"));
        assert_eq!(suppress(&workspace, "--format txt --diff own").stdout, "", "{format}");
    }
    std::fs::write(workspace.path("wrong.json"), "{\"a\": 1}").unwrap();
    let output = workspace.run("suppress --store STORE --diff wrong.json");
    assert!(
        output.exit_code == 2
            && output.stderr.contains("wrong.json")
            && output.stderr.contains("hint:"),
        "{output:?}"
    );
}

#[test]
fn hashed_addresses_are_listed_and_dropped_addresses_are_not() {
    let workspace = Workspace::new();
    std::fs::write(workspace.path("key"), "0123456789abcdef0123456789abcdef").unwrap();
    std::fs::write(
        workspace.path("c.toml"),
        "[addresses]\npolicy = \"hash\"\nkey_file = \"key\"\n",
    )
    .unwrap();
    let dead = bounce("anna@gmial.com", HARD, "550 5.1.1 <anna@gmial.com>: user unknown").event(1);
    let ingested = workspace.run_with_stdin("ingest - --config c.toml --store STORE", &dead);
    assert_eq!(ingested.exit_code, 0, "{ingested:?}");
    let ingested = workspace.run_with_stdin(
        "ingest - --addresses drop --store STORE",
        &bounce("bob@example.org", HARD, "550 5.1.1 user unknown").event(2),
    );
    assert_eq!(ingested.exit_code, 0, "{ingested:?}");
    let output = suppress(&workspace, "");
    let line = output.stdout.lines().nth(1).unwrap();
    assert!(
        line.starts_with("h-")
            && line.contains("@gmial.com,hard_bounce")
            && line.contains(",gmail.com,"),
        "{output:?}"
    );
    assert!(!output.stdout.contains("anna") && output.stdout.lines().count() == 2, "{output:?}");
    assert!(
        output.stderr.contains("1 permanent failures have no address in the store"),
        "{output:?}"
    );
    let ses = suppress(&workspace, "--format ses");
    assert!(
        ses.stdout.is_empty() && ses.stderr.contains("1 hashed addresses are left out"),
        "{ses:?}"
    );
}
