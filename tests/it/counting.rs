//! Which events count in rates: duplicates, subtypes, recipients, complaints and denominators.

use serde_json::json;

use crate::command::Workspace;
use crate::messages::{Message, NOW, message};

/// Returns the first row of a report of the last day.
fn row(workspace: &Workspace, extra: &str) -> serde_json::Value {
    let arguments = format!(
        "report --store STORE --from 2026-11-19 --to {NOW} --every 1d --window 24h --format json {extra}"
    );
    let output = workspace.run(&arguments);
    assert_eq!(output.exit_code, 0, "{output:?}");
    output.json()["rows"][0].clone()
}

fn sends(count: usize) -> String {
    (0..count).map(|number| message(number).send()).collect()
}

#[test]
fn same_bounce_from_event_and_feedback_counts_once() {
    let workspace = Workspace::new();
    let one = message(1);
    let other_clock = Message { at: "2026-11-19T23:00:04.000Z", ..message(1) };
    workspace.ingest(&sends(10));
    workspace.ingest(&one.bounce());
    workspace.ingest(&other_clock.feedback(
        "Bounce",
        "bounce",
        &other_clock.bounce_detail("Permanent", "General"),
    ));
    workspace.ingest(&one.bounce());
    let row = row(&workspace, "");
    assert_eq!((&row["bounces"], &row["attempts"]), (&json!(1), &json!(10)));
}

#[test]
fn duplicates_on_both_sides_of_midnight_count_once() {
    let workspace = Workspace::new();
    let before = Message { at: "2026-11-18T23:59:58.000Z", ..message(1) };
    let after = Message { at: "2026-11-19T00:00:03.000Z", ..message(1) };
    workspace.ingest(&sends(10));
    workspace.ingest(&after.bounce());
    assert_eq!(row(&workspace, "")["bounces"], 1);
    workspace.ingest(&before.feedback(
        "Bounce",
        "bounce",
        &before.bounce_detail("Permanent", "General"),
    ));
    // the earliest time of all duplicates counts, and it lies before the window
    assert_eq!(row(&workspace, "")["bounces"], 0);
}

#[test]
fn duplicate_long_before_the_window_excludes_the_bounce() {
    let workspace = Workspace::new();
    let sent = "2026-11-01T10:00:00.000Z";
    let bounce = |at: &str| {
        let mut detail = message(1).bounce_detail("Permanent", "General");
        detail["timestamp"] = json!(at);
        Message { at: sent, ..message(1) }.event("Bounce", "bounce", &detail)
    };
    workspace.ingest(&sends(10));
    workspace.ingest(&bounce("2026-11-19T10:00:00.000Z"));
    assert_eq!(row(&workspace, "")["bounces"], 1);
    workspace.ingest(&bounce("2026-11-01T10:00:05.000Z"));
    assert_eq!(row(&workspace, "")["bounces"], 0);
}

#[test]
fn soft_suppressed_and_simulator_bounces_are_not_in_the_rate() {
    let workspace = Workspace::new();
    let bounced = |number: usize, bounce_type: &str, subtype: &str| {
        message(number).event(
            "Bounce",
            "bounce",
            &message(number).bounce_detail(bounce_type, subtype),
        )
    };
    workspace.ingest(&sends(20));
    workspace.ingest(&bounced(1, "Permanent", "OnAccountSuppressionList"));
    workspace.ingest(&bounced(2, "Permanent", "OnTenantSuppressionList"));
    workspace.ingest(&bounced(3, "Permanent", "UnsubscribedRecipient"));
    workspace.ingest(&bounced(4, "Transient", "MailboxFull"));
    workspace.ingest(&bounced(5, "Undetermined", "Undetermined"));
    let reply = json!({"bounceType": "Transient", "bounceSubType": "General", "timestamp": message(6).at,
        "bouncedRecipients": [{"emailAddress": message(6).to}]});
    workspace.ingest(&message(6).event("Bounce", "bounce", &reply));
    let delay = json!({"timestamp": message(7).at, "delayType": "MailboxFull",
        "delayedRecipients": [{"emailAddress": message(7).to, "status": "4.2.2"}]});
    workspace.ingest(&message(7).event("DeliveryDelay", "deliveryDelay", &delay));
    let simulator = Message { to: "bounce@simulator.amazonses.com".to_owned(), ..message(8) };
    workspace.ingest(&(simulator.send() + &simulator.bounce()));
    workspace.ingest(&bounced(9, "Permanent", "Suppressed"));
    let row = row(&workspace, "");
    assert_eq!(
        (&row["bounces"], &row["hard"], &row["suppressed"]),
        (&json!(1), &json!(0), &json!(4)),
        "{row}"
    );
    assert_eq!(
        (&row["soft"], &row["undetermined"], &row["auto_replies"], &row["delays"]),
        (&json!(1), &json!(1), &json!(1), &json!(1)),
        "{row}"
    );
    // mail to the mailbox simulator is not an attempt either
    assert_eq!(row["attempts"], 20);
}

#[test]
fn bounce_rate_counts_recipients_not_messages() {
    let workspace = Workspace::new();
    let to: Vec<String> = (0..5).map(|number| format!("user{number}@example.org")).collect();
    let mail = json!({"timestamp": message(0).at, "messageId": "m", "source": "a@example.com", "destination": to});
    let bounced: Vec<_> =
        to.iter().take(3).map(|to| json!({"emailAddress": to, "status": "5.1.1"})).collect();
    let delayed = json!({"emailAddress": to[3], "action": "delayed", "status": "4.2.2"});
    let all = [bounced, vec![delayed]].concat();
    workspace.ingest(&format!(
        "{}\n{}\n",
        json!({"eventType": "Send", "mail": mail, "send": {}}),
        json!({"eventType": "Bounce", "mail": mail, "bounce": {"bounceType": "Permanent", "bounceSubType": "General",
            "timestamp": message(0).at, "bouncedRecipients": all}}),
    ));
    let row = row(&workspace, "");
    assert_eq!(
        (&row["bounces"], &row["attempts"], &row["delays"]),
        (&json!(3), &json!(5), &json!(1))
    );
    assert_eq!(row["bounce_rate"], 0.6);
}

#[test]
fn complaint_with_two_recipients_counts_once() {
    let workspace = Workspace::new();
    let complaint = |message: &Message, at: &str, kind: &str| {
        let recipients = ["user1@example.org", "user2@example.org"];
        let listed = recipients.map(|recipient| json!({"emailAddress": recipient}));
        let detail =
            json!({"timestamp": at, "complainedRecipients": listed, "complaintFeedbackType": kind});
        message.event_to(&recipients, "Complaint", "complaint", &detail)
    };
    workspace.ingest(&sends(10));
    workspace.ingest(&complaint(&message(1), "2026-11-19T23:30:00.000Z", "abuse"));
    workspace.ingest(&complaint(&message(1), "2026-11-19T23:30:00.000Z", "abuse"));
    workspace.ingest(&complaint(&message(2), "2026-11-19T23:31:00.000Z", "not-spam"));
    assert_eq!(row(&workspace, "")["complaints"], 1);
}

#[test]
fn deliveries_and_bounces_are_the_denominator_without_sends() {
    let workspace = Workspace::new();
    let deliveries: String = (0..10).map(|number| message(number).delivery()).collect();
    // the first message was delivered and bounced later: one attempt
    workspace.ingest(&(deliveries + &message(0).bounce() + &message(20).bounce()));
    let row = row(&workspace, "");
    assert_eq!((&row["bounces"], &row["attempts"]), (&json!(2), &json!(11)));
    assert_eq!(row["denominator"], "deliveries_and_bounces");
}

#[test]
fn feedback_without_tags_inherits_tags_of_its_message() {
    let workspace = Workspace::new();
    workspace.ingest(&sends(10));
    workspace.ingest(&message(1).feedback(
        "Bounce",
        "bounce",
        &message(1).bounce_detail("Permanent", "General"),
    ));
    let row = row(&workspace, "--by tag:campaign,configuration_set");
    assert_eq!(row["scope"]["tag:campaign"], "spring");
    assert_eq!(row["scope"]["configuration_set"], "main");
    assert_eq!((&row["bounces"], &row["attempts"]), (&json!(1), &json!(10)));
}

#[test]
fn own_domains_are_excluded_from_bounces_and_attempts() {
    let workspace = Workspace::new();
    let own = Message { to: "me@mail.example.com".to_owned(), ..message(50) };
    workspace.ingest(&(sends(10) + &own.send() + &own.bounce()));
    assert_eq!(
        (&row(&workspace, "")["bounces"], &row(&workspace, "")["attempts"]),
        (&json!(1), &json!(11))
    );
    let row = row(&workspace, "--own-domain example.com");
    assert_eq!((&row["bounces"], &row["attempts"]), (&json!(0), &json!(10)));
}

#[test]
fn volume_window_includes_old_sends_of_an_idle_scope() {
    let workspace = Workspace::new();
    let long_ago = |number: usize| {
        let tags = json!({"campaign": ["winter"]});
        Message { at: "2026-10-20T10:00:00.000Z", tags, ..message(10_000 + number) }
    };
    let bounces: String = (0..30).map(|number| long_ago(number).bounce()).collect();
    workspace
        .ingest(&((0..100).map(|number| long_ago(number).send()).collect::<String>() + &bounces));
    for sent_today in [9, 11] {
        workspace.ingest(&sends(sent_today));
        let arguments = format!(
            "check --store STORE --at {NOW} --window volume:10 --by tag:campaign --format json"
        );
        let check = workspace.run(&arguments).json();
        let winter = check["verdicts"].as_array().unwrap().iter().find(|verdict| {
            verdict["metric"] == "bounce_rate" && verdict["scope"]["tag:campaign"] == "winter"
        });
        // all 100 were sent in the same millisecond, so the window of 10 has all of them
        assert_eq!(winter.unwrap()["attempts"], 100, "{sent_today} sent today");
        assert_eq!(check["status"], "critical");
    }
}

#[test]
fn late_feedback_without_sends_in_window_is_not_unknown() {
    let workspace = Workspace::new();
    let campaign = Message {
        at: "2026-11-14T10:00:00.000Z",
        tags: json!({"campaign": ["old"]}),
        ..message(100)
    };
    let complaint = json!({"timestamp": "2026-11-19T10:00:00.000Z", "complainedRecipients": [{"emailAddress": campaign.to}]});
    workspace.ingest(
        &(sends(50) + &campaign.send() + &campaign.event("Complaint", "complaint", &complaint)),
    );
    let output =
        workspace.run(&format!("check --store STORE --at {NOW} --window 24h --by tag:campaign"));
    assert!(!output.stdout.contains("UNKNOWN"), "{output:?}");
}

#[test]
fn store_path_with_key_value_folders_adds_no_columns() {
    let workspace = Workspace::new();
    std::fs::create_dir_all(workspace.path("account=prod/kind=send")).unwrap();
    let store = "account=prod/kind=send/store";
    let ingested = workspace.run_with_stdin(
        &format!("ingest - --store {store}"),
        &crate::messages::sent_and_bounced(100, 20),
    );
    assert_eq!(ingested.exit_code, 0);
    let check =
        workspace.run(&format!("check --store {store} --at {NOW} --window 24h --format json"));
    assert_eq!(check.exit_code, 2, "{check:?}");
    assert_eq!(check.json()["verdicts"][0]["scope"]["account"], "123456789012");
}
