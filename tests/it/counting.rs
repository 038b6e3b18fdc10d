//! What counts and what does not (design 4, facts 5.1, 8).

use serde_json::json;

use crate::command::Place;
use crate::messages::{Message, NOW, message};

/// Bounces that count, attempts, and the other counts of the last day.
fn row(place: &Place, further: &str) -> serde_json::Value {
    let words = format!(
        "report --store STORE --from 2026-11-19 --to {NOW} --every 1d --window 24h --format json {further}"
    );
    let said = place.run(&words);
    assert_eq!(said.code, 0, "{said:?}");
    said.json()["rows"][0].clone()
}

fn sends(count: usize) -> String {
    (0..count).map(|number| message(number).send()).collect()
}

#[test]
fn both_channels_report_one_bounce() {
    let place = Place::new();
    let one = message(1);
    let other_clock = Message { at: "2026-11-19T23:00:04.000Z", ..message(1) };
    place.ingest(&sends(10));
    place.ingest(&one.bounce());
    place.ingest(&other_clock.feedback(
        "Bounce",
        "bounce",
        &other_clock.bounce_detail("Permanent", "General"),
    ));
    place.ingest(&one.bounce());
    let row = row(&place, "");
    assert_eq!((&row["bounces"], &row["attempts"]), (&json!(1), &json!(10)));
}

#[test]
fn copies_on_both_sides_of_midnight_are_one() {
    let place = Place::new();
    let before = Message { at: "2026-11-18T23:59:58.000Z", ..message(1) };
    let after = Message { at: "2026-11-19T00:00:03.000Z", ..message(1) };
    place.ingest(&sends(10));
    place.ingest(&after.bounce());
    assert_eq!(row(&place, "")["bounces"], 1);
    place.ingest(&before.feedback(
        "Bounce",
        "bounce",
        &before.bounce_detail("Permanent", "General"),
    ));
    // the earliest clock wins, and it lies before the window
    assert_eq!(row(&place, "")["bounces"], 0);
}

#[test]
fn a_copy_long_before_the_window_is_found() {
    let place = Place::new();
    let sent = "2026-11-01T10:00:00.000Z";
    let bounce = |at: &str| {
        let mut detail = message(1).bounce_detail("Permanent", "General");
        detail["timestamp"] = json!(at);
        Message { at: sent, ..message(1) }.event("Bounce", "bounce", &detail)
    };
    place.ingest(&sends(10));
    place.ingest(&bounce("2026-11-19T10:00:00.000Z"));
    assert_eq!(row(&place, "")["bounces"], 1);
    place.ingest(&bounce("2026-11-01T10:00:05.000Z"));
    assert_eq!(row(&place, "")["bounces"], 0);
}

#[test]
fn what_is_in_no_bounce_rate() {
    let place = Place::new();
    let bounced = |number: usize, bounce_type: &str, subtype: &str| {
        message(number).event(
            "Bounce",
            "bounce",
            &message(number).bounce_detail(bounce_type, subtype),
        )
    };
    place.ingest(&sends(20));
    place.ingest(&bounced(1, "Permanent", "OnAccountSuppressionList"));
    place.ingest(&bounced(2, "Permanent", "OnTenantSuppressionList"));
    place.ingest(&bounced(3, "Permanent", "UnsubscribedRecipient"));
    place.ingest(&bounced(4, "Transient", "MailboxFull"));
    place.ingest(&bounced(5, "Undetermined", "Undetermined"));
    let reply = json!({"bounceType": "Transient", "bounceSubType": "General", "timestamp": message(6).at,
        "bouncedRecipients": [{"emailAddress": message(6).to}]});
    place.ingest(&message(6).event("Bounce", "bounce", &reply));
    let delay = json!({"timestamp": message(7).at, "delayType": "MailboxFull",
        "delayedRecipients": [{"emailAddress": message(7).to, "status": "4.2.2"}]});
    place.ingest(&message(7).event("DeliveryDelay", "deliveryDelay", &delay));
    let simulator = Message { to: "bounce@simulator.amazonses.com".to_owned(), ..message(8) };
    place.ingest(&(simulator.send() + &simulator.bounce()));
    place.ingest(&bounced(9, "Permanent", "Suppressed"));
    let row = row(&place, "");
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
    // the simulator is in no denominator either
    assert_eq!(row["attempts"], 20);
}

#[test]
fn three_bounced_of_five_recipients() {
    let place = Place::new();
    let to: Vec<String> = (0..5).map(|number| format!("user{number}@example.org")).collect();
    let mail = json!({"timestamp": message(0).at, "messageId": "m", "source": "a@example.com", "destination": to});
    let bounced: Vec<_> =
        to.iter().take(3).map(|to| json!({"emailAddress": to, "status": "5.1.1"})).collect();
    let delayed = json!({"emailAddress": to[3], "action": "delayed", "status": "4.2.2"});
    let all = [bounced, vec![delayed]].concat();
    place.ingest(&format!(
        "{}\n{}\n",
        json!({"eventType": "Send", "mail": mail, "send": {}}),
        json!({"eventType": "Bounce", "mail": mail, "bounce": {"bounceType": "Permanent", "bounceSubType": "General",
            "timestamp": message(0).at, "bouncedRecipients": all}}),
    ));
    let row = row(&place, "");
    assert_eq!(
        (&row["bounces"], &row["attempts"], &row["delays"]),
        (&json!(3), &json!(5), &json!(1))
    );
    assert_eq!(row["bounce_rate"], 0.6);
}

#[test]
fn one_report_is_one_complaint() {
    let place = Place::new();
    let complaint = |message: &Message, at: &str, kind: &str| {
        let listed = [
            json!({"emailAddress": "user1@example.org"}),
            json!({"emailAddress": "user2@example.org"}),
        ];
        let detail =
            json!({"timestamp": at, "complainedRecipients": listed, "complaintFeedbackType": kind});
        message.event("Complaint", "complaint", &detail)
    };
    place.ingest(&sends(10));
    place.ingest(&complaint(&message(1), "2026-11-19T23:30:00.000Z", "abuse"));
    place.ingest(&complaint(&message(1), "2026-11-19T23:30:00.000Z", "abuse"));
    place.ingest(&complaint(&message(2), "2026-11-19T23:31:00.000Z", "not-spam"));
    assert_eq!(row(&place, "")["complaints"], 1);
}

#[test]
fn without_sends_deliveries_and_bounces_are_the_attempts() {
    let place = Place::new();
    let deliveries: String = (0..10).map(|number| message(number).delivery()).collect();
    // the first one was delivered, and came back later: one attempt
    place.ingest(&(deliveries + &message(0).bounce() + &message(20).bounce()));
    let row = row(&place, "");
    assert_eq!((&row["bounces"], &row["attempts"]), (&json!(2), &json!(11)));
    assert_eq!(row["denominator"], "deliveries_and_bounces");
}

#[test]
fn feedback_without_tags_takes_those_of_its_message() {
    let place = Place::new();
    place.ingest(&sends(10));
    place.ingest(&message(1).feedback(
        "Bounce",
        "bounce",
        &message(1).bounce_detail("Permanent", "General"),
    ));
    let row = row(&place, "--by tag:campaign,configuration_set");
    assert_eq!(row["scope"]["tag:campaign"], "spring");
    assert_eq!(row["scope"]["configuration_set"], "main");
    assert_eq!((&row["bounces"], &row["attempts"]), (&json!(1), &json!(10)));
}

#[test]
fn own_domains_leave_both_sides() {
    let place = Place::new();
    let own = Message { to: "me@mail.example.com".to_owned(), ..message(50) };
    place.ingest(&(sends(10) + &own.send() + &own.bounce()));
    assert_eq!(
        (&row(&place, "")["bounces"], &row(&place, "")["attempts"]),
        (&json!(1), &json!(11))
    );
    let row = row(&place, "--own-domain example.com");
    assert_eq!((&row["bounces"], &row["attempts"]), (&json!(0), &json!(10)));
}

#[test]
fn a_scope_that_was_silent_for_long_is_in_its_volume_window() {
    let place = Place::new();
    let long_ago = |number: usize| {
        let tags = json!({"campaign": ["winter"]});
        Message { at: "2026-10-20T10:00:00.000Z", tags, ..message(10_000 + number) }
    };
    let bounces: String = (0..30).map(|number| long_ago(number).bounce()).collect();
    place.ingest(&((0..100).map(|number| long_ago(number).send()).collect::<String>() + &bounces));
    for sent_today in [9, 11] {
        place.ingest(&sends(sent_today));
        let words = format!(
            "check --store STORE --at {NOW} --window volume:10 --by tag:campaign --format json"
        );
        let check = place.run(&words).json();
        let winter = check["verdicts"].as_array().unwrap().iter().find(|verdict| {
            verdict["metric"] == "bounce_rate" && verdict["scope"]["tag:campaign"] == "winter"
        });
        // all hundred were sent in one millisecond
        assert_eq!(winter.unwrap()["attempts"], 100, "{sent_today} sent today");
        assert_eq!(check["status"], "critical");
    }
}

#[test]
fn late_feedback_of_a_campaign_is_no_missing_denominator() {
    let place = Place::new();
    let campaign = Message {
        at: "2026-11-14T10:00:00.000Z",
        tags: json!({"campaign": ["old"]}),
        ..message(100)
    };
    let complaint = json!({"timestamp": "2026-11-19T10:00:00.000Z", "complainedRecipients": [{"emailAddress": campaign.to}]});
    place.ingest(
        &(sends(50) + &campaign.send() + &campaign.event("Complaint", "complaint", &complaint)),
    );
    let said = place.run(&format!("check --store STORE --at {NOW} --window 24h --by tag:campaign"));
    assert!(!said.out.contains("UNKNOWN"), "{said:?}");
}

#[test]
fn words_in_the_path_of_a_store_are_no_columns() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("account=prod/kind=send")).unwrap();
    let store = "account=prod/kind=send/store";
    let ingested = place.run_with(
        &format!("ingest - --store {store}"),
        &crate::messages::sent_and_bounced(100, 20),
    );
    assert_eq!(ingested.code, 0);
    let check = place.run(&format!("check --store {store} --at {NOW} --window 24h --format json"));
    assert_eq!(check.code, 2, "{check:?}");
    assert_eq!(check.json()["verdicts"][0]["scope"]["account"], "123456789012");
}
