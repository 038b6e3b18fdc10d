//! `check`: exit codes at the thresholds, and what it prints.

use bouncewatch_schemas::time::{format_ms, parse_ms};
use serde_json::{Value, json};

use crate::command::{Place, Said};
use crate::messages::{Message, NOW, message, sent_and_bounced};

fn check_of(events: &str) -> Said {
    let place = Place::new();
    place.ingest(events);
    place.run(&format!("check --store STORE --at {NOW}"))
}

#[test]
fn a_quiet_account_is_ok() {
    let said = check_of(&sent_and_bounced(1_000, 10));
    insta::assert_snapshot!(said.whole());
}

#[test]
fn five_percent_exactly_is_a_warning() {
    let said = check_of(&sent_and_bounced(1_000, 50));
    insta::assert_snapshot!(said.whole());
}

#[test]
fn ten_percent_exactly_is_critical() {
    assert_eq!(check_of(&sent_and_bounced(1_000, 100)).code, 2);
    assert_eq!(check_of(&sent_and_bounced(1_000, 99)).code, 1);
    assert_eq!(check_of(&sent_and_bounced(1_000, 49)).code, 0);
}

#[test]
fn without_denominator_nobody_knows() {
    let bounces: String = (0..30).map(|number| message(number).bounce()).collect();
    let said = check_of(&bounces);
    insta::assert_snapshot!(said.whole());
}

#[test]
fn few_mails_alarm_only_when_sure() {
    assert_eq!(check_of(&sent_and_bounced(20, 15)).code, 2);
    assert_eq!(check_of(&sent_and_bounced(20, 2)).code, 0);
}

#[test]
fn the_json_is_a_contract() {
    let place = Place::new();
    place.ingest(&sent_and_bounced(10_000, 612));
    let said = place.run(&format!("check --store STORE --at {NOW} --window 24h --format json"));
    assert_eq!(said.code, 1);
    let found = said.json();
    let verdict = &found["verdicts"][0];
    assert_eq!(found["version"], 1);
    assert_eq!(found["as_of"], "2026-11-20T00:00:00.000Z");
    assert_eq!((&found["status"], &found["exit_code"]), (&json!("warning"), &json!(1)));
    assert_eq!(found["feed"]["silent_seconds"], 3_600);
    assert_eq!(verdict["metric"], "bounce_rate");
    assert_eq!(verdict["scope"], json!({"account": "123456789012", "region": "us-east-1"}));
    assert_eq!((&verdict["count"], &verdict["attempts"]), (&json!(612), &json!(10_000)));
    assert_eq!((&verdict["denominator"], &verdict["basis"]), (&json!("sends"), &json!("event")));
    assert_eq!(verdict["headroom"], json!({"warning": 0, "critical": 388}));
    assert_eq!(verdict["from"], "2026-11-19T00:00:00.000Z");
    assert_eq!(verdict["contributors"][0]["value"], "example.org");
}

#[test]
fn what_is_asked_twice_is_told_once() {
    let place = Place::new();
    place.ingest(&sent_and_bounced(10, 1));
    let words = format!(
        "check --store STORE --at {NOW} --window 24h,24h --by identity --by identity --format json"
    );
    // two scopes, one window, two metrics
    assert_eq!(place.run(&words).json()["verdicts"].as_array().unwrap().len(), 4);
}

#[test]
fn a_silent_feed_is_unknown() {
    let place = Place::new();
    place.ingest(&sent_and_bounced(1_000, 10));
    let said = place.run("check --store STORE --at 2026-11-21T00:00:00Z --window 30d");
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("the feed is silent since 2026-11-19T23:00:00.000Z"), "{said:?}");
    assert_eq!(
        place
            .run("check --store STORE --at 2026-11-21T00:00:00Z --window 30d --stale-after 7d")
            .code,
        0
    );
}

#[test]
fn misuse_and_failure_of_check_are_unknown() {
    let place = Place::new();
    for words in [
        "check --store nowhere",
        "check --store STORE --window 1y",
        "check --by color --store STORE",
        "check --frobnicate",
    ] {
        let said = place.run(words);
        assert_eq!(said.code, 3, "{words}: {said:?}");
        assert!(said.err.contains("error"), "{words}: {said:?}");
    }
    assert_eq!(place.run("ingest nowhere --store STORE").code, 2);
    assert_eq!(place.run("report --store nowhere").code, 2);
}

/// The shape of a real notice of AWS: some 10,000 mails in 75 days, 10.04 % of them bounced. A day holds too little to say,
/// what SES looks at is critical.
#[test]
fn a_slow_sender_is_critical_by_volume_and_not_by_day() {
    let place = Place::new();
    let (mails, span_ms) = (10_000_i64, 75 * 86_400_000);
    let end = parse_ms(NOW).unwrap();
    let mut events = String::new();
    for number in 0..mails {
        let at = format_ms(end - span_ms + (number + 1) * span_ms / mails - 1);
        let mail = Message { at: Box::leak(at.into_boxed_str()), ..message(0) };
        let mail =
            Message { id: format!("slow-{number}"), to: format!("u{number}@example.org"), ..mail };
        events += &mail.send();
        if (number + 1) * 1_004 / mails > number * 1_004 / mails {
            events += &mail.bounce();
        }
    }
    place.ingest(&events);
    let said = place.run(&format!(
        "check --store STORE --at {NOW} --window 24h,volume:10000 --no-alert --format json"
    ));
    assert_eq!(said.code, 2, "{said:?}");
    let verdicts = said.json()["verdicts"].as_array().unwrap().clone();
    let of = |window: &str| {
        let is_asked = |one: &&Value| one["window"] == window && one["metric"] == "bounce_rate";
        let one = verdicts.iter().find(is_asked).unwrap();
        let fields = ["level", "count", "attempts", "sure"].map(|field| one[field].clone());
        Value::from(fields.to_vec())
    };
    assert_eq!(of("volume:10000"), json!(["critical", 1_004, 10_000, true]));
    // over 10 % by its rate, and not for sure
    assert_eq!(of("24h"), json!(["warning", 14, 134, true]));
}
