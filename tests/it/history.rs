//! `history`: which events of an address or message are found, in which order, and what is printed if none are.

use serde_json::{Value, json};

use crate::causes::{Bounce, FULL, HARD, bounce};
use crate::command::{CommandOutput, Workspace};
use crate::messages::{Message, NOW, message};

/// Runs `history` with the subject on stdin, as of [`NOW`].
fn history(workspace: &Workspace, subject: &str, arguments: &str) -> CommandOutput {
    let arguments = format!("history - --store STORE --at {NOW} {arguments}");
    workspace.run_with_stdin(&arguments, &format!("{subject}\n"))
}

/// Returns kind, message ID and campaign of each event.
fn listed(output: &CommandOutput) -> Vec<Value> {
    let json = output.json();
    let columns = |event: &Value| json!([event["kind"], event["message_id"], event["campaign"]]);
    json["events"].as_array().unwrap().iter().map(columns).collect()
}

/// Returns a workspace with a settings file for each policy, and one with another key.
fn workspace_with_settings() -> Workspace {
    let workspace = Workspace::new();
    for key in ["a", "b"] {
        std::fs::write(workspace.path(key), key.repeat(32)).unwrap();
    }
    for (name, settings) in [
        ("keep", "policy = \"keep\""),
        ("drop", "policy = \"drop\""),
        ("hash", "policy = \"hash\"\nkey_file = \"a\""),
        ("other", "policy = \"hash\"\nkey_file = \"b\""),
    ] {
        let file = workspace.path(&format!("{name}.toml"));
        std::fs::write(file, format!("[addresses]\n{settings}\n")).unwrap();
    }
    workspace
}

fn on(at: &'static str, to: &str, number: usize) -> Message {
    Message { to: to.to_owned(), at, ..message(number) }
}

fn delay(message: &Message, at: &str) -> String {
    let detail = json!({"timestamp": at, "delayType": "MailboxFull", "expirationTime": "2026-11-16T10:00:00.000Z",
        "delayedRecipients": [{"emailAddress": message.to, "status": "4.2.2", "diagnosticCode": "smtp; 452 4.2.2 mailbox full"}]});
    message.event("DeliveryDelay", "deliveryDelay", &detail)
}

fn complaint(message: &Message, at: &str) -> String {
    let detail = json!({"timestamp": at, "complainedRecipients": [{"emailAddress": message.to}],
        "complaintFeedbackType": "abuse", "feedbackId": "c"});
    message.event("Complaint", "complaint", &detail)
}

/// Returns an event of the WorkMail log about one recipient.
fn workmail(name: &str, detail: &Value) -> String {
    let mut event = json!({"eventName": name, "from": "bert@shop.example"});
    event.as_object_mut().unwrap().extend(detail.as_object().unwrap().clone());
    let line = json!({"traceId": "trace-1", "event": event}).to_string();
    let events = [json!({"id": "1", "timestamp": 1_795_000_000_000_i64, "message": line})];
    let document = json!({"messageType": "DATA_MESSAGE", "owner": "444455556666", "logGroup": "/aws/workmail/emailevents/shop",
        "logStream": "s", "logEvents": events, "region": "eu-west-1"});
    format!("{document}\n")
}

/// Returns events of every kind to anna@example.org, and mail to another recipient.
fn events_of_every_kind() -> String {
    let anna = "anna@example.org";
    let (first, second) =
        (on("2026-11-14T10:00:00.000Z", anna, 1), on("2026-11-18T10:00:00.000Z", anna, 2));
    let (third, rejected) =
        (on("2026-11-18T11:00:00.000Z", anna, 3), on("2026-11-18T12:00:00.000Z", anna, 4));
    let opened = json!({"timestamp": "2026-11-18T12:30:00.000Z", "ipAddress": "192.0.2.1", "userAgent": "x"});
    let clicked = json!({"timestamp": "2026-11-18T12:31:00.000Z", "link": "https://example.com/a"});
    let detail = |message: &Message| {
        let mut detail = message.bounce_detail("Permanent", "General");
        detail["timestamp"] = json!("2026-11-18T11:00:02.000Z");
        detail
    };
    [
        second.event("Click", "click", &clicked),
        second.event("Open", "open", &opened),
        complaint(&second, "2026-11-19T08:00:00.000Z"),
        second.delivery(),
        second.send(),
        first.send(),
        delay(&first, "2026-11-14T10:05:00.000Z"),
        delay(&first, "2026-11-14T11:05:00.000Z"),
        Message { at: "2026-11-14T12:00:00.000Z", ..on("", anna, 1) }.delivery(),
        third.send(),
        // without tags: the campaign is that of the send event
        third.feedback("Bounce", "bounce", &detail(&third)),
        rejected.event("Reject", "reject", &json!({"reason": "Bad content"})),
        message(9).send(),
        message(9).bounce(),
        workmail("OUTGOING_EMAIL_SENT", &json!({"recipient": anna})),
    ]
    .concat()
}

#[test]
fn history_lists_events_of_an_address_in_order_of_time_and_copies_once() {
    let workspace = Workspace::new();
    for _ in 0..2 {
        workspace.ingest(&events_of_every_kind());
    }
    let table = history(&workspace, "anna@example.org", "");
    insta::assert_snapshot!("history_table", table.transcript());
    assert!(table.stdout.lines().skip(1).all(|line| line.chars().count() <= 200));
    let json = history(&workspace, "anna@example.org", "--format json");
    assert_eq!(json.json()["events_total"], 13, "{json:?}");
    let bounce = listed(&json).into_iter().find(|event| event[0] == "bounce");
    assert_eq!(bounce, Some(json!(["bounce", "message-3", "spring"])));
    let message = history(&workspace, "message-2", "--format json");
    let kinds = ["send", "delivery", "open", "click", "complaint"];
    let expected = kinds.map(|kind| json!([kind, "message-2", "spring"]));
    assert_eq!((listed(&message), message.exit_code), (expected.to_vec(), 0), "{message:?}");
    assert_eq!(message.json()["suppressed"][0]["reason"], "complaint");
    assert!(
        message.stdout.starts_with("{\"version\":1,\"address\":null,\"message_id\":\"message-2\"")
    );
}

/// Columns: policies under which a bounce of the address is stored, one message each; the address; policy of the search;
/// the text that is searched; numbers of the messages that are found; a part of the notes.
const STORED_FORMS: &str = "
keep      | anna@example.org        | keep  | Anna <ANNA@Example.org> | 1   |
keep      | anna@example.org        | keep  | ann@example.org         |     | hint: check the spelling
keep      | info@exämple.com        | keep  | info@xn--exmple-cua.com | 1   |
keep      | info@xn--exmple-cua.com | keep  | info@EXÄMPLE.com        | 1   |
hash      | anna@example.org        | hash  | anna@example.org        | 1   |
hash      | info@exämple.com        | hash  | info@xn--exmple-cua.com | 1   |
keep hash | anna@example.org        | hash  | anna@example.org        | 1 2 |
hash keep | anna@example.org        | hash  | anna@example.org        | 1 2 |
hash      | anna@example.org        | keep  | anna@example.org        |     | 1 rows at this domain have hashed addresses; set `key_file`
hash      | anna@example.org        | other | anna@example.org        |     | with another key
drop      | anna@example.org        | keep  | anna@example.org        |     | 1 rows at this domain are stored without address
keep drop | anna@example.org        | keep  | anna@example.org        | 1   | find them by message ID
drop      | anna@example.org        | drop  | message-1               | 1   |
keep      | anna@example.org        | keep  | message                 |     | use the message ID of SES
";

#[test]
fn address_is_found_in_every_form_in_which_it_is_stored() {
    for case in STORED_FORMS.trim().lines() {
        let mut columns = case.split('|').map(str::trim);
        let [policies, address, policy, searched, found, note] =
            std::array::from_fn(|_| columns.next().unwrap());
        let workspace = workspace_with_settings();
        for (number, policy) in policies.split(' ').enumerate() {
            let event = bounce(address, HARD, "550 5.1.1 user unknown").event(number + 1);
            let arguments = format!("ingest - --store STORE --config {policy}.toml");
            let ingested = workspace.run_with_stdin(&arguments, &event);
            assert_eq!(ingested.exit_code, 0, "{case}: {ingested:?}");
        }
        let arguments = format!("--format json --config {policy}.toml");
        let output = history(&workspace, searched, &arguments);
        let found = found.split_whitespace().map(|number| format!("message-{number}"));
        let expected: Vec<Value> = found.map(|id| json!(["bounce", id, "spring"])).collect();
        assert_eq!(listed(&output), expected, "{case}: {output:?}");
        assert_eq!(output.exit_code, i32::from(expected.is_empty()), "{case}: {output:?}");
        assert!(output.stderr.contains(note), "{case}: {output:?}");
        assert_eq!(output.stderr.is_empty(), note.is_empty(), "{case}: {output:?}");
        assert!(!output.stderr.contains("anna@"), "{case}: {output:?}");
    }
}

#[test]
fn history_prints_reason_and_expiry_of_a_suppression() {
    let workspace = Workspace::new();
    let days = ["2026-11-10T12:00:00.000Z", "2026-11-12T12:00:00.000Z", "2026-11-14T12:00:00.000Z"];
    let full = |(number, at)| {
        Bounce { at, ..bounce("full@example.org", FULL, "452 4.2.2 mailbox full") }.event(number)
    };
    let hard = bounce("gone@example.org", HARD, "550 5.1.1 user unknown").event(7);
    let valid = on("2026-11-18T10:00:00.000Z", "valid@example.org", 8).delivery();
    workspace
        .ingest(&(days.into_iter().enumerate().map(full).collect::<String>() + &hard + &valid));
    for (subject, arguments, expected, summary) in [
        (
            "full@example.org",
            "",
            json!(["repeated_failure", "mailbox_full", "2026-12-10T12:00:00.000Z"]),
            "suppressed because of repeated failure (mailbox_full) on 2026-11-14 12:00 UTC",
        ),
        (
            "gone@example.org",
            "",
            json!(["hard_bounce", "mailbox_unknown", null]),
            "suppressed because of hard bounce (mailbox_unknown) on 2026-11-19 12:00 UTC",
        ),
        // evidence before the period counts too
        (
            "gone@example.org",
            "--window 1h",
            json!(["hard_bounce", "mailbox_unknown", null]),
            ": no events; suppressed because",
        ),
        (
            "message-7",
            "",
            json!(["hard_bounce", "mailbox_unknown", null]),
            "message message-7: 1 event since",
        ),
        (
            "valid@example.org",
            "",
            json!([null, null, null]),
            "1 message since 2026-11-18, last delivered 2026-11-18 10:00 UTC; not suppressed",
        ),
    ] {
        let json = history(&workspace, subject, &format!("--format json {arguments}")).json();
        let one = &json["suppressed"][0];
        assert_eq!(json!([one["reason"], one["cause"], one["expires_at"]]), expected, "{json}");
        let table = history(&workspace, subject, arguments);
        assert!(table.stdout.lines().next().unwrap().contains(summary), "{table:?}");
    }
}

#[test]
fn newest_events_are_kept_and_a_note_states_how_many_are_left_out() {
    let workspace = Workspace::new();
    let days = [
        "2026-11-10T12:00:00.000Z",
        "2026-11-12T12:00:00.000Z",
        "2026-11-14T12:00:00.000Z",
        "2026-11-16T12:00:00.000Z",
        "2026-11-18T12:00:00.000Z",
    ];
    let send = |(number, at)| on(at, "anna@example.org", number).send();
    workspace.ingest(&days.into_iter().rev().enumerate().map(send).collect::<String>());
    for (arguments, messages, total) in [
        ("--top 2", &[1, 0][..], 5),
        ("--top 5", &[4, 3, 2, 1, 0], 5),
        ("--from 2026-11-12T12:00:00Z", &[2, 1, 0], 3),
        ("--window 2d --top 1", &[0], 1),
        ("--from 2026-11-11 --top 1", &[0], 4),
    ] {
        let output = history(&workspace, "anna@example.org", &format!("--format json {arguments}"));
        let ids = listed(&output).into_iter().map(|event| event[1].clone());
        let expected = messages.iter().map(|number| json!(format!("message-{number}")));
        assert!(ids.eq(expected), "{arguments}: {output:?}");
        let json = output.json();
        assert_eq!((&json["events_total"], &json["messages"]), (&json!(total), &json!(total)));
        let note = format!("note: the newest {} of {total} events are listed", messages.len());
        assert_eq!(
            output.stderr.contains(&note),
            messages.len() < total,
            "{arguments}: {output:?}"
        );
    }
}

#[test]
fn history_escapes_control_characters() {
    let workspace = Workspace::new();
    let text = "550 5.1.1 \u{1b}[2J\u{202e}user\tunknown\u{7}";
    let mut hostile =
        Bounce { campaign: "\u{1b}]0;x\u{7}", ..bounce("a\u{202e}b@example.org", HARD, text) };
    workspace.ingest(&hostile.event(1));
    hostile.text = "x".repeat(3_000);
    workspace.ingest(&hostile.event(2));
    let output = history(&workspace, "a\u{202e}b@example.org", "");
    let is_hostile = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
    assert!(output.exit_code == 0 && !output.stdout.contains(is_hostile), "{output:?}");
    assert!(output.stdout.contains("\\u{1b}") && output.stdout.lines().count() > 3, "{output:?}");
    assert!(output.stdout.lines().all(|line| line.chars().count() <= 200), "{output:?}");
}

#[test]
fn history_exits_2_without_subject_store_or_period() {
    let workspace = Workspace::new();
    workspace.ingest(&message(1).send());
    for (subject, arguments, error) in [
        ("", "--store STORE", "no address or message ID given"),
        ("a@example.org", "--store missing", "missing"),
        ("a@example.org", "--store STORE --from 2026-11-21", "--from must be before --to"),
        ("a@example.org", "--store STORE --top 0", "--top"),
        ("a@example.org", "--store STORE --window x", "--window: invalid duration"),
    ] {
        let output =
            workspace.run_with_stdin(&format!("history - --at {NOW} {arguments}"), subject);
        let is_error = output.exit_code == 2 && output.stderr.contains(error);
        assert!(is_error && !output.stderr.contains("a@example.org"), "{output:?}");
    }
}
