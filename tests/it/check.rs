//! `check`: exit codes at the thresholds and output.

use bouncewatch_schemas::time::{format_ms, parse_ms};
use serde_json::{Value, json};

use crate::command::{CommandOutput, Workspace};
use crate::messages::{Message, NOW, message, sent_and_bounced};

/// Ingests events and runs `check` with default windows.
fn check_events(events: &str) -> CommandOutput {
    let workspace = Workspace::new();
    workspace.ingest(events);
    workspace.run(&format!("check --store STORE --at {NOW}"))
}

#[test]
fn check_exits_0_at_1_percent() {
    let output = check_events(&sent_and_bounced(1_000, 10));
    insta::assert_snapshot!(output.transcript());
}

#[test]
fn check_exits_1_at_exactly_5_percent() {
    let output = check_events(&sent_and_bounced(1_000, 50));
    insta::assert_snapshot!(output.transcript());
}

#[test]
fn check_exits_2_at_exactly_10_percent() {
    assert_eq!(check_events(&sent_and_bounced(1_000, 100)).exit_code, 2);
    assert_eq!(check_events(&sent_and_bounced(1_000, 99)).exit_code, 1);
    assert_eq!(check_events(&sent_and_bounced(1_000, 49)).exit_code, 0);
}

#[test]
fn check_exits_3_without_sends_and_deliveries() {
    let bounces: String = (0..30).map(|number| message(number).bounce()).collect();
    let output = check_events(&bounces);
    insta::assert_snapshot!(output.transcript());
}

#[test]
fn low_volume_is_critical_only_if_significant() {
    assert_eq!(check_events(&sent_and_bounced(20, 15)).exit_code, 2);
    assert_eq!(check_events(&sent_and_bounced(20, 2)).exit_code, 0);
}

#[test]
fn check_json_has_documented_keys_and_values() {
    let workspace = Workspace::new();
    workspace.ingest(&sent_and_bounced(10_000, 612));
    let output =
        workspace.run(&format!("check --store STORE --at {NOW} --window 24h --format json"));
    assert_eq!(output.exit_code, 1);
    let json = output.json();
    let verdict = &json["verdicts"][0];
    assert_eq!(json["version"], 1);
    assert_eq!(json["as_of"], "2026-11-20T00:00:00.000Z");
    assert_eq!((&json["status"], &json["exit_code"]), (&json!("warning"), &json!(1)));
    assert_eq!(json["feed"]["silent_seconds"], 3_600);
    assert_eq!(verdict["metric"], "bounce_rate");
    assert_eq!(verdict["scope"], json!({"account": "123456789012", "region": "us-east-1"}));
    assert_eq!((&verdict["count"], &verdict["attempts"]), (&json!(612), &json!(10_000)));
    assert_eq!((&verdict["denominator"], &verdict["basis"]), (&json!("sends"), &json!("event")));
    assert_eq!(verdict["headroom"], json!({"warning": 0, "critical": 388}));
    assert_eq!(verdict["from"], "2026-11-19T00:00:00.000Z");
    assert_eq!(verdict["contributors"][0]["value"], "example.org");
}

#[test]
fn repeated_windows_and_groupings_are_evaluated_once() {
    // two scopes, one window, two metrics
    let workspace = Workspace::new();
    workspace.ingest(&sent_and_bounced(10, 1));
    let arguments = format!(
        "check --store STORE --at {NOW} --window 24h,24h --by identity --by identity --format json"
    );
    assert_eq!(workspace.run(&arguments).json()["verdicts"].as_array().unwrap().len(), 4);
}

#[test]
fn check_exits_3_if_the_feed_is_stale() {
    let workspace = Workspace::new();
    workspace.ingest(&sent_and_bounced(1_000, 10));
    let output = workspace.run("check --store STORE --at 2026-11-21T00:00:00Z --window 30d");
    assert_eq!(output.exit_code, 3, "{output:?}");
    assert!(
        output.stderr.contains("feed is stale: newest event 2026-11-19 23:00 UTC"),
        "{output:?}"
    );
    assert_eq!(
        workspace
            .run("check --store STORE --at 2026-11-21T00:00:00Z --window 30d --stale-after 7d")
            .exit_code,
        0
    );
}

#[test]
fn status_unknown_without_counted_events_is_explained() {
    let workspace = Workspace::new();
    workspace.ingest(&sent_and_bounced(1_000, 10));
    std::fs::write(workspace.path("late.toml"), "counted_from = \"2026-11-19T23:30:00Z\"\n")
        .unwrap();
    let at = format!("check --store STORE --at {NOW}");
    for (arguments, expected) in [
        (
            format!("{at} --counted-from 2026-11-19T23:30:00Z"),
            "events before 2026-11-19 23:30 UTC do not count",
        ),
        (format!("{at} --config late.toml"), "events before 2026-11-19 23:30 UTC do not count"),
        (
            "check --store STORE --at 2026-12-20 --window 1h --stale-after 60d".to_owned(),
            "use a longer window",
        ),
    ] {
        let output = workspace.run(&arguments);
        assert_eq!(output.exit_code, 3, "{output:?}");
        assert!(output.stderr.contains("newest event is of 2026-11-19 23:00 UTC"), "{output:?}");
        assert!(output.stderr.contains(expected), "{output:?}");
    }
    for command in ["report --to", "reconcile --at"] {
        let output =
            workspace.run(&format!("{command} {NOW} --store STORE --counted-from 2026-11-21"));
        assert!(
            output.stderr.contains("events before 2026-11-21 00:00 UTC do not count"),
            "{output:?}"
        );
    }
}

#[test]
fn invalid_arguments_exit_3_in_check_and_2_elsewhere() {
    let workspace = Workspace::new();
    for arguments in [
        "check --store nowhere",
        "check --store STORE --window 1y",
        "check --by color --store STORE",
        "check --frobnicate",
    ] {
        let output = workspace.run(arguments);
        assert_eq!(output.exit_code, 3, "{arguments}: {output:?}");
        assert!(output.stderr.contains("error"), "{arguments}: {output:?}");
    }
    assert_eq!(workspace.run("ingest nowhere --store STORE").exit_code, 2);
    assert_eq!(workspace.run("report --store nowhere").exit_code, 2);
}

/// Numbers of a real AWS review notice: about 10,000 messages in 75 days with a bounce rate of 10.04 %. 24h has too few
/// messages for a critical level; the volume window that SES uses is critical.
#[test]
fn slow_sender_is_critical_in_volume_window_and_warning_in_24h() {
    let workspace = Workspace::new();
    let (messages, duration_ms) = (10_000_i64, 75 * 86_400_000);
    let end = parse_ms(NOW).unwrap();
    let mut events = String::new();
    for number in 0..messages {
        let at = format_ms(end - duration_ms + (number + 1) * duration_ms / messages - 1);
        let message = Message {
            id: format!("slow-{number}"),
            to: format!("u{number}@example.org"),
            at: Box::leak(at.into_boxed_str()),
            ..message(0)
        };
        events += &message.send();
        if (number + 1) * 1_004 / messages > number * 1_004 / messages {
            events += &message.bounce();
        }
    }
    workspace.ingest(&events);
    let output = workspace.run(&format!(
        "check --store STORE --at {NOW} --window 24h,volume:10000 --no-alert --format json"
    ));
    assert_eq!(output.exit_code, 2, "{output:?}");
    let verdicts = output.json()["verdicts"].as_array().unwrap().clone();
    let bounce_verdict = |window: &str| {
        let is_match =
            |verdict: &&Value| verdict["window"] == window && verdict["metric"] == "bounce_rate";
        let verdict = verdicts.iter().find(is_match).unwrap();
        let fields = ["level", "count", "attempts", "sure"].map(|field| verdict[field].clone());
        Value::from(fields.to_vec())
    };
    assert_eq!(bounce_verdict("volume:10000"), json!(["critical", 1_004, 10_000, true]));
    // the rate is above 10 %, but not significantly
    assert_eq!(bounce_verdict("24h"), json!(["warning", 14, 134, true]));
}

#[test]
fn contributors_are_left_out_above_1000_rates_of_a_grouping() {
    let workspace = Workspace::new();
    let event = |number: usize| {
        let mut message = message(number);
        message.tags = json!({"campaign": [format!("c{}", number / 5)]});
        message.send() + &message.bounce()
    };
    workspace.ingest(&(0..5 * 1_001).map(event).collect::<String>());
    let check =
        format!("check --store STORE --at {NOW} --window 24h --by tag:campaign --format json");
    let json = workspace.run(&check).json();
    let verdicts = json["verdicts"].as_array().unwrap();
    let raised = || verdicts.iter().filter(|verdict| verdict["level"] == "critical");
    let has_contributors = |verdict: &&Value| verdict["contributors"][0].is_object();
    assert_eq!((raised().count(), raised().filter(has_contributors).count()), (1_002, 1));
}

#[test]
fn run_with_a_clock_ahead_does_not_mute_later_runs() {
    let workspace = Workspace::new();
    workspace.ingest(&sent_and_bounced(1_000, 62));
    let check = |arguments: &str| {
        workspace.run(&format!("check --store STORE --window 1h --alert-stdout {arguments}"))
    };
    assert!(check("--at 2126-01-01T00:00:00Z").stdout.contains("feed is stale"));
    // the state of the future is not used for the time of the clock
    let now = check("");
    assert!(now.stdout.contains("feed is stale"), "{now:?}");
    assert!(now.stderr.contains("is in the future, 2126-01-01T00:00:00.000Z"), "{now:?}");
    let again = check("");
    assert_eq!((again.stdout.as_str(), again.stderr.contains("future")), ("", false), "{again:?}");
    // a past time that is given is no fault of the clock
    let past = check("--at 2026-11-20T00:00:00Z");
    assert!(past.stderr.contains("to check a past time, add --no-alert"), "{past:?}");
}
