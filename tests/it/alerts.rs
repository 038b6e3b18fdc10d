//! Alerts of periodic `check` runs: each alert is delivered once, also after failures of the run, the channel or the state.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::command::{CommandOutput, Workspace};
use crate::messages::{Message, message, minutes_after_now, sent_and_bounced};

/// Alert command that appends each message to a file, one line each.
const APPEND_TO_FILE: &str = "cat >> received";

/// Returns a `check` with a window of 1 hour at `minutes` after midnight; the messages were sent one hour before midnight.
fn check(workspace: &Workspace, minutes: i64, arguments: &str) -> Command {
    let at = minutes_after_now(minutes);
    workspace.command(&format!("check --store STORE --window 1h --at {at} {arguments}"))
}

/// Runs a `check`, with an alert command if `exec` is one.
fn run<'a>(
    workspace: &Workspace,
    minutes: i64,
    arguments: &str,
    exec: impl Into<Option<&'a str>>,
) -> CommandOutput {
    let mut command = check(workspace, minutes, arguments);
    if let Some(exec) = exec.into() {
        command.args(["--alert-exec", exec]);
    }
    CommandOutput::from(command.output().unwrap())
}

/// Returns the messages that the alert command received.
fn received(workspace: &Workspace) -> Vec<Value> {
    let text = std::fs::read_to_string(workspace.path("received")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns `change level` for each change of each message.
fn changes(messages: &[Value]) -> Vec<String> {
    let of_message = |message: &Value| -> Vec<String> {
        let changes = message["alert"]["changes"].as_array().unwrap();
        let text = |change: &Value| {
            let [change, level] = ["change", "level"].map(|key| change[key].as_str().unwrap());
            format!("{change} {level}")
        };
        changes.iter().map(text).collect()
    };
    messages.iter().flat_map(of_message).collect()
}

/// Returns a store with a bounce rate of 6.2 % at 23:00.
fn workspace_with_warning() -> Workspace {
    let workspace = Workspace::new();
    workspace.ingest(&sent_and_bounced(1_000, 62));
    workspace
}

#[test]
fn alert_stdout_prints_each_alert_once() {
    let workspace = workspace_with_warning();
    // an older event, so that the feed is not stale
    workspace.ingest(&Message { at: "2026-11-19T22:00:00.000Z", ..message(5_000) }.send());
    let (mut alert_minutes, mut alerts) = (Vec::new(), Vec::new());
    for step in -14..=10 {
        let output = run(&workspace, step * 5, "--alert-stdout", None);
        // the exit code is the current status, independent of alerts
        assert_eq!(output.exit_code, i32::from((-12..0).contains(&step)), "{step}: {output:?}");
        assert!(!output.stderr.contains("error") && !output.stderr.contains("note"), "{output:?}");
        if !output.stdout.is_empty() {
            alert_minutes.push(step * 5);
            alerts.push(output.stdout);
        }
    }
    assert_eq!(alert_minutes, [-60, 30]);
    insta::assert_snapshot!("alert_stdout", alerts.join("=====\n"));
}

#[test]
fn notes_are_printed_only_if_an_alert_is_due() {
    for channel in ["--alert-stdout", "--alert-exec true"] {
        let workspace = Workspace::new();
        workspace.ingest(&(0..30).map(|number| message(number).bounce()).collect::<String>());
        let day = 24 * 60;
        let mut noted = Vec::new();
        for minutes in [-30, -25, -20, day - 25, day - 20, day + 5, day + 10] {
            let output = run(&workspace, minutes, channel, None);
            assert_eq!(output.exit_code, 3, "{output:?}");
            if !output.stderr.is_empty() {
                let parts = ["unknown: no Send or Delivery events", "feed is stale"];
                noted.push((minutes, parts.map(|part| output.stderr.contains(part))));
            }
        }
        // the denominator is unknown, later the feed is stale too
        assert_eq!(noted, [(-30, [true, false]), (day - 25, [true, true])], "{channel}");
        // without a channel each run explains its status
        for _ in 0..2 {
            let output = run(&workspace, day + 15, "--no-alert", None);
            assert!(output.stderr.contains("feed is stale"), "{output:?}");
        }
    }
}

#[test]
fn commands_in_an_alert_name_the_store_and_the_settings() {
    let workspace = workspace_with_warning();
    std::fs::write(workspace.path("settings.toml"), "by = []\n").unwrap();
    let output = run(&workspace, -30, "--config settings.toml --dry-run", None);
    for command in ["causes", "report --by tag:campaign"] {
        let command = format!("`bouncewatch {command} --store store --config settings.toml`");
        assert!(output.stdout.contains(&command), "{output:?}");
        let again = workspace.run(command.trim_matches('`').trim_start_matches("bouncewatch "));
        assert_eq!(again.exit_code, 0, "{again:?}");
    }
}

#[test]
fn dry_run_prints_pending_alerts_and_leaves_state_unchanged() {
    let workspace = workspace_with_warning();
    let arguments = "--dry-run --alert-sns arn:aws:sns:us-east-1:123456789012:topic";
    let dry = run(&workspace, -30, arguments, APPEND_TO_FILE);
    assert_eq!(dry.exit_code, 1, "{dry:?}");
    for part in [
        "would send to sns:arn:aws:sns:us-east-1:123456789012:topic:\nSES WARNING: ",
        "would send to exec:\nSES WARNING: ",
    ] {
        assert!(dry.stdout.contains(part), "{dry:?}");
    }
    assert!(received(&workspace).is_empty());
    assert!(!workspace.path("store/alerts.json").try_exists().unwrap());
    assert_eq!(run(&workspace, -30, "", APPEND_TO_FILE).exit_code, 1);
    let after = run(&workspace, -25, "--dry-run", APPEND_TO_FILE);
    assert!(
        after.stdout.contains("no new alerts") && after.stdout.contains("would send to exec"),
        "{after:?}"
    );
}

#[test]
fn alert_exec_receives_json_and_is_retried_after_failure() {
    let workspace = workspace_with_warning();
    let failed = run(&workspace, -30, "", "exit 9");
    assert_eq!(failed.exit_code, 1, "{failed:?}");
    assert!(failed.stderr.contains("error: the alert command failed: exit code 9"), "{failed:?}");
    let retried = run(&workspace, -25, "", "cat >> received; echo talk; echo more >&2");
    assert!(
        retried.stderr.contains("talk\nmore\n") && retried.stdout.starts_with("WARNING"),
        "{retried:?}"
    );
    assert_eq!(run(&workspace, -20, "", APPEND_TO_FILE).exit_code, 1);
    let messages = received(&workspace);
    assert_eq!(changes(&messages), ["raised warning"]);
    let message = &messages[0];
    assert_eq!((&message["version"], &message["status"]), (&json!(1), &json!("warning")));
    assert_eq!(message["verdicts"][0]["count"], 62);
    let change = &message["alert"]["changes"][0];
    assert_eq!(change["scope"], json!({"account": "123456789012", "region": "us-east-1"}));
    // the time of the first run that saw it, although its delivery failed
    assert_eq!(change["raised_at"], "2026-11-19T23:30:00.000Z");
    assert_eq!(change["windows"], json!(["1h"]));
}

#[test]
fn alert_that_cleared_before_delivery_is_reported_as_missed() {
    let workspace = workspace_with_warning();
    for minutes in (-30..=30).step_by(10) {
        run(&workspace, minutes, "", "false");
    }
    run(&workspace, 40, "", APPEND_TO_FILE);
    run(&workspace, 45, "", APPEND_TO_FILE);
    let messages = received(&workspace);
    assert_eq!(changes(&messages), ["missed ok"]);
    let text = messages[0]["alert"]["text"].as_str().unwrap();
    assert!(
        text.contains("was WARNING from 2026-11-19 23:30 UTC to 2026-11-20 00:30 UTC"),
        "{text}"
    );
    assert!(text.contains("peak 6.20 % (62 of 1000 in 1h)"), "{text}");
    assert!(text.contains("no notification was delivered in that time"), "{text}");
}

#[test]
fn killed_run_repeats_at_most_one_message() {
    let workspace = workspace_with_warning();
    // the alert command kills its parent: after delivery, before the state is updated
    let killed = run(&workspace, -30, "", "cat >> received; kill -KILL $PPID");
    assert_eq!(killed.exit_code, -1, "{killed:?}");
    assert_eq!(run(&workspace, -25, "", APPEND_TO_FILE).exit_code, 1);
    assert_eq!(run(&workspace, -20, "", APPEND_TO_FILE).exit_code, 1);
    let messages = received(&workspace);
    assert_eq!(changes(&messages), ["raised warning", "raised warning"]);
    // the receiver can deduplicate by id
    assert_eq!(messages[0]["alert"]["id"], messages[1]["alert"]["id"]);
    // killed before delivery
    let workspace = workspace_with_warning();
    assert_eq!(run(&workspace, -30, "", "kill -KILL $PPID").exit_code, -1);
    run(&workspace, -25, "", APPEND_TO_FILE);
    assert_eq!(changes(&received(&workspace)), ["raised warning"]);
}

#[test]
fn concurrent_checks_deliver_an_alert_once() {
    let workspace = workspace_with_warning();
    for pipe in ["started", "go"] {
        assert!(Command::new("mkfifo").arg(workspace.path(pipe)).status().unwrap().success());
    }
    // the alert command of the first run blocks
    let blocking = format!("{APPEND_TO_FILE}; echo now > started; read line < go");
    let first = check(&workspace, -30, "")
        .args(["--alert-exec", &blocking])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(std::fs::read_to_string(workspace.path("started")).unwrap(), "now\n");
    let mut second = check(&workspace, -30, "-v");
    second.args(["--alert-exec", APPEND_TO_FILE]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut second = second.spawn().unwrap();
    let mut log = BufReader::new(second.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(log.any(|line| line.contains("another run that has locked the alert state")));
    std::fs::write(workspace.path("go"), "now\n").unwrap();
    for mut run in [first, second] {
        assert_eq!(run.wait().unwrap().code(), Some(1));
    }
    assert_eq!(log.find(|line| line.contains("error")), None);
    assert_eq!(changes(&received(&workspace)), ["raised warning"]);
}

#[test]
fn unusable_alert_state_is_reported_and_alerts_are_still_sent() {
    let workspace = workspace_with_warning();
    for (state, expected) in [
        ("{\"version\": 1, \"runs\"", "could not parse the alert state `store/alerts.json`: EOF"),
        ("[]", "missing field `version`"),
        ("{\"version\": 2}", "it has version 2, supported is version 1"),
        ("{\"version\": 1, \"runs\": {}, \"alarms\": [{}]}", "missing field `level`"),
    ] {
        std::fs::write(workspace.path("store/alerts.json"), state).unwrap();
        let before = received(&workspace).len();
        for _ in 0..2 {
            let output = run(&workspace, -30, "", APPEND_TO_FILE);
            assert_eq!(output.exit_code, 1, "{output:?}");
            assert!(
                output.stderr.contains(expected) && output.stderr.contains("hint:"),
                "{expected}: {output:?}"
            );
        }
        // the delivered alerts are unknown, so each run sends the alert again and states why
        let messages = received(&workspace);
        assert_eq!(messages.len(), before + 2);
        let text = messages[before]["alert"]["text"].as_str().unwrap();
        assert!(
            text.contains("This message repeats with each run") && text.contains(expected),
            "{text}"
        );
        assert_eq!(std::fs::read_to_string(workspace.path("store/alerts.json")).unwrap(), state);
    }
    // a folder that does not exist
    std::fs::remove_file(workspace.path("store/alerts.json")).unwrap();
    let output = run(&workspace, -30, "--alert-state nowhere/alerts.json", APPEND_TO_FILE);
    assert!(
        output.exit_code == 1
            && output.stderr.contains("could not lock `nowhere/alerts.json.lock`"),
        "{output:?}"
    );
}

#[test]
fn check_before_the_last_run_sends_no_alert() {
    let workspace = workspace_with_warning();
    run(&workspace, -20, "", APPEND_TO_FILE);
    let state = std::fs::read(workspace.path("store/alerts.json")).unwrap();
    let output = run(&workspace, -25, "", APPEND_TO_FILE);
    assert_eq!(output.exit_code, 1, "{output:?}");
    assert!(
        output
            .stderr
            .contains("error: no alerts sent: 2026-11-19T23:35:00.000Z is before the last run"),
        "{output:?}"
    );
    assert!(output.stderr.contains("--no-alert"), "{output:?}");
    assert_eq!(std::fs::read(workspace.path("store/alerts.json")).unwrap(), state);
    assert_eq!(received(&workspace).len(), 1);
}

#[test]
fn stale_feed_and_missing_denominator_raise_separate_alerts() {
    let workspace = Workspace::new();
    workspace.ingest(&(0..30).map(|number| message(number).bounce()).collect::<String>());
    for minutes in [-30, -25, 24 * 60 + 5, 24 * 60 + 10] {
        let output = run(&workspace, minutes, "--window 30d", APPEND_TO_FILE);
        assert_eq!(output.exit_code, 3, "{output:?}");
    }
    // Send events arrive again, so the rates are known
    let back = Message { at: "2026-11-21T00:10:00.000Z", ..message(1_000) };
    workspace.ingest(&(back.send() + &sent_and_bounced(1_000, 30)));
    for minutes in [24 * 60 + 15, 24 * 60 + 45] {
        assert_eq!(run(&workspace, minutes, "--window 30d", APPEND_TO_FILE).exit_code, 0);
    }
    let messages = received(&workspace);
    let metrics = |message: &Value| -> Vec<String> {
        let changes = message["alert"]["changes"].as_array().unwrap();
        let text = |change: &Value| {
            let [change, metric] = ["change", "metric"].map(|key| change[key].as_str().unwrap());
            format!("{change} {metric}")
        };
        changes.iter().map(text).collect()
    };
    assert_eq!(
        messages.iter().map(metrics).collect::<Vec<_>>(),
        [
            vec!["raised denominator"],
            // the reminder after a day is in the same message
            vec!["raised feed", "reminded denominator"],
            vec!["cleared feed", "cleared denominator"],
        ]
    );
    let first_line = |index: usize| {
        messages[index]["alert"]["text"].as_str().unwrap().lines().next().unwrap().to_owned()
    };
    assert!(
        first_line(0).starts_with("UNKNOWN: rate unknown, no denominator, 123456789012 us-east-1"),
        "{}",
        first_line(0)
    );
    assert!(first_line(1).starts_with("UNKNOWN: feed is stale"), "{}", first_line(1));
}

#[test]
fn simultaneous_alerts_form_one_message_with_the_widest_scope_first() {
    let workspace = workspace_with_warning();
    let by = "--by identity --by recipient_domain";
    run(&workspace, -30, by, APPEND_TO_FILE);
    let messages = received(&workspace);
    assert_eq!(changes(&messages), ["raised warning"; 3]);
    assert_eq!(messages.len(), 1);
    assert_eq!(
        messages[0]["alert"]["subject"],
        "SES WARNING: bounce rate 6.20 % (62 of 1000) in 1h, 123456789012 us-east-1 (+2 more)"
    );
    // a run with fewer groupings does not clear the alerts of the others
    run(&workspace, 0, "", APPEND_TO_FILE);
    run(&workspace, 30, "", APPEND_TO_FILE);
    assert_eq!(changes(&received(&workspace)[1..]), ["cleared ok"]);
    run(&workspace, 35, by, APPEND_TO_FILE);
    run(&workspace, 65, by, APPEND_TO_FILE);
    assert_eq!(changes(&received(&workspace)[2..]), ["cleared ok"; 2]);
}

#[test]
fn campaign_names_are_escaped_for_terminal_and_shell() {
    let workspace = Workspace::new();
    let campaign = "\"; touch pwned; $(touch pwned) \u{1b}[2J\u{202e}'`touch pwned`";
    let tagged =
        |number: usize| Message { tags: json!({"campaign": [campaign]}), ..message(number) };
    let sends = (0..100).map(|number| tagged(number).send());
    let bounces = (0..50).map(|number| tagged(number).bounce());
    workspace.ingest(&sends.chain(bounces).collect::<String>());
    let output = run(&workspace, -30, "--by tag:campaign", APPEND_TO_FILE);
    assert_eq!(output.exit_code, 2, "{output:?}");
    assert!(!workspace.path("pwned").try_exists().unwrap());
    let message = &received(&workspace)[0];
    // JSON has the raw name, texts for people have no control characters
    assert!(
        message["alert"]["changes"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["scope"]["tag:campaign"] == campaign)
    );
    for part in ["text", "subject"] {
        let text = message["alert"][part].as_str().unwrap();
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
    }
}

#[test]
fn alert_flags_override_the_config_file() {
    let workspace = workspace_with_warning();
    let settings = "[alert]\nexec = \"cat >> received\"\nstate = \"alert-state.json\"\nclear_after = \"0s\"\nrenotify_after = \"10m\"\n";
    std::fs::write(workspace.path("settings.toml"), settings).unwrap();
    let run = |minutes, arguments: &str| {
        let output = run(&workspace, minutes, &format!("--config settings.toml {arguments}"), None);
        assert!(!output.stderr.contains("error"), "{output:?}");
    };
    run(-30, "--no-alert");
    assert!(
        received(&workspace).is_empty()
            && !workspace.path("alert-state.json").try_exists().unwrap()
    );
    for minutes in [-30, -25, -20, -15, -10, -5, 0, 5] {
        run(minutes, "");
    }
    let expected = ["raised warning", "reminded warning", "reminded warning", "cleared ok"];
    assert_eq!(changes(&received(&workspace)), expected);
    let text = received(&workspace)[1]["alert"]["text"].as_str().unwrap().to_owned();
    assert!(
        text.starts_with("WARNING (reminder): bounce rate 6.20 % ")
            && text.contains("\n  raised 2026-11-19 23:30 UTC"),
        "{text}"
    );
    assert!(workspace.path("alert-state.json").try_exists().unwrap());
    run(-30, "--alert-state other.json --alert-exec true");
    assert_eq!(received(&workspace).len(), 4);
}

#[test]
fn alert_state_in_a_bucket_needs_a_key() {
    let workspace = workspace_with_warning();
    let output = run(&workspace, -30, "--alert-state s3://bucket", APPEND_TO_FILE);
    assert_eq!(output.exit_code, 3, "{output:?}");
    assert!(output.stderr.contains("hint: write s3://BUCKET/PREFIX/alerts.json"), "{output:?}");
}

#[test]
fn after_the_deadline_the_alert_of_the_account_is_sent_alone() {
    let workspace = workspace_with_warning();
    let run = |arguments: &str| {
        run(&workspace, -30, &format!("--by identity {arguments}"), APPEND_TO_FILE)
    };
    let late = run("--deadline 1ms");
    assert!(late.stderr.contains("error: groups were not evaluated"), "{late:?}");
    assert_eq!(late.exit_code, 1);
    let messages = received(&workspace);
    assert_eq!(changes(&messages), ["raised warning"]);
    let alert = &messages[0]["alert"];
    assert!(alert["changes"][0]["scope"].get("identity").is_none(), "{alert}");
    assert!(alert["text"].as_str().unwrap().contains("groups were not evaluated"), "{alert}");
    // the groups follow when there is time
    run("");
    assert!(received(&workspace)[1]["alert"]["changes"][0]["scope"].get("identity").is_some());
}
