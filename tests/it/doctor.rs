//! `doctor --from`: output, exit codes, errors. Findings have their tests in the package `doctor`.

use serde_json::{Value, json};

use crate::command::Workspace;
use crate::messages::{NOW, message, sent_and_bounced};

/// A snapshot of a healthy account, with one value replaced.
fn snapshot(pointer: &str, value: Value) -> Workspace {
    let text = include_str!("../../fixtures/doctor/healthy.base.json");
    let mut snapshot: Value = serde_json::from_str(text).unwrap();
    *snapshot.pointer_mut(pointer).unwrap() = value;
    let workspace = Workspace::new();
    std::fs::write(workspace.path("account.json"), snapshot.to_string()).unwrap();
    workspace
}

#[test]
fn findings_of_a_snapshot_decide_the_exit_code() {
    for (pointer, value, exit_code, id) in [
        ("/account/value/sending_enabled", json!(true), 0, "account.paused"),
        ("/account/value/production_access", json!(false), 2, "account.sandbox"),
        ("/account", json!({"denied": "ses:GetAccount"}), 3, "account.readable"),
    ] {
        let workspace = snapshot(pointer, value);
        let text = workspace.run("doctor --from account.json");
        assert_eq!(text.exit_code, exit_code, "{text:?}");
        assert!(text.stdout.contains(id), "{text:?}");
        let json = workspace.run("doctor --from account.json --format json");
        assert_eq!((json.exit_code, &json.json()["exit_code"]), (exit_code, &json!(exit_code)));
        let findings = json.json()["findings"].as_array().unwrap().clone();
        assert!(findings.iter().any(|finding| finding["id"] == id), "{findings:?}");
    }
}

#[test]
fn skipped_check_has_no_finding() {
    let workspace = snapshot("/account/value/production_access", json!(false));
    let skipped = workspace.run("doctor --from account.json --skip account.sandbox");
    assert_eq!(skipped.exit_code, 0, "{skipped:?}");
    assert!(!skipped.stdout.contains("account.sandbox"), "{skipped:?}");
    let unknown = workspace.run("doctor --from account.json --skip account.nothing");
    assert_eq!(unknown.exit_code, 3, "{unknown:?}");
    assert!(unknown.stderr.contains("unknown check `account.nothing`"), "{unknown:?}");
}

#[test]
fn file_that_is_no_snapshot_is_an_error() {
    let workspace = Workspace::new();
    std::fs::write(workspace.path("broken.json"), "{").unwrap();
    for (file, message) in [("broken.json", "not a snapshot"), ("none.json", "could not read")] {
        let output = workspace.run(&format!("doctor --from {file}"));
        assert_eq!(output.exit_code, 3, "{output:?}");
        assert!(output.stderr.contains(message) && output.stderr.contains(file), "{output:?}");
    }
}

/// Returns the finding of a check: level, sentence, evidence and fix.
fn finding(output: &crate::command::CommandOutput, id: &str) -> Option<Value> {
    let findings = output.json()["findings"].as_array().unwrap().clone();
    findings.into_iter().find(|finding| finding["id"] == id)
}

#[test]
fn store_is_compared_with_the_counts_of_ses_and_knows_the_recipient() {
    let workspace = snapshot(
        "",
        json!({
            "version": 1, "taken_at": NOW, "region": "us-east-1", "account_id": {"value": "123456789012"},
            "send_statistics": {"value": [{"at": "2026-11-19T20:00:00Z", "attempts": 10}]},
            "metrics": {"value": {"bounce_rate": {"at": "2026-11-19T22:00:00Z", "value": 0.06}}},
            "recipient": {"value": {"address": "User1@example.org", "suppressed": {"value": null}}},
        }),
    );
    let doctor =
        |store: &str| workspace.run(&format!("doctor --from account.json {store} --format json"));
    let other = message(99).send().replace("123456789012", "999999999999");
    workspace.ingest(&other);
    let silent = doctor("--store STORE");
    let events = finding(&silent, "reputation.events").unwrap();
    assert_eq!(events["level"], "critical", "{events}");
    assert!(finding(&doctor(""), "reputation.events").is_none());

    workspace.ingest(&sent_and_bounced(10, 2));
    let output = doctor("--store STORE");
    assert_eq!(finding(&output, "reputation.events").unwrap()["level"], "ok", "{output:?}");
    let rate = finding(&output, "reputation.bounce_rate").unwrap();
    assert!(rate["evidence"].to_string().contains("20.00 %"), "{rate}");
    let history = finding(&output, "recipient.history").unwrap();
    assert_eq!(history["level"], "warning", "{history}");
    assert!(history["evidence"].to_string().contains("550 5.1.1 user unknown"), "{history}");
    assert!(history["what"].to_string().contains("mailbox unknown"), "{history}");

    let missing = doctor("--store missing");
    let unread = finding(&missing, "store.readable").unwrap();
    assert_eq!(unread["level"], "unknown", "{unread}");
    assert!(unread["what"].to_string().contains("no store at `missing`"), "{unread}");
    assert!(finding(&missing, "reputation.events").is_none());
}

#[test]
fn page_lists_findings_without_arns() {
    let workspace = snapshot("/topics", json!({}));
    workspace.ingest(&sent_and_bounced(100, 2));
    let page = format!(
        "page --store STORE --at {NOW} --doctor account.json --data data.json -o page.html"
    );
    let output = workspace.run(&page);
    assert_eq!(output.exit_code, 0, "{output:?}");
    let data = std::fs::read_to_string(workspace.path("data.json")).unwrap();
    let findings = &serde_json::from_str::<Value>(&data).unwrap()["doctor"]["findings"];
    assert_eq!(
        (&findings[0]["level"], &findings[0]["subject"]),
        (&json!("unknown"), &json!("bounces"))
    );
    let html = std::fs::read_to_string(workspace.path("page.html")).unwrap();
    assert!(
        html.contains("AWS account and DNS") && html.contains(findings[0]["id"].as_str().unwrap())
    );
    assert!(!html.contains("arn:aws") && !data.contains("arn:aws"));
}

#[test]
fn rate_of_cloudwatch_that_cannot_be_read_is_an_error() {
    let workspace = Workspace::new();
    workspace.ingest(&sent_and_bounced(10, 1));
    let output = workspace.run("reconcile --store STORE --aws --endpoint-url http://127.0.0.1:1");
    assert_eq!(output.exit_code, 2, "{output:?}");
    assert!(output.stderr.contains("--aws: "), "{output:?}");
}

#[test]
fn init_prints_absolute_paths_and_never_changes_a_settings_file() {
    let workspace = snapshot("/account/value/production_access", json!(true));
    let first = workspace.run("init --from account.json --store store");
    let store = workspace.path("store").display().to_string();
    let settings = workspace.path("bouncewatch.toml");
    let written = std::fs::read_to_string(&settings).unwrap();
    assert!(written.contains(&format!("store = \"{store}\"")), "{written}");
    assert!(first.stdout.contains(&format!("--store {store} ")), "{first:?}");
    assert!(!first.stdout.contains("--store store"), "{first:?}");

    std::fs::write(&settings, "# edited\n").unwrap();
    let second = workspace.run("init --from account.json --store store");
    assert_eq!((&second.stdout, second.exit_code), (&first.stdout, first.exit_code));
    assert!(second.stderr.contains("exists and was not changed"), "{second:?}");
    assert_eq!(std::fs::read_to_string(&settings).unwrap(), "# edited\n");

    let bucket = workspace.run("init --from account.json --store s3://bucket/prefix");
    assert!(bucket.stdout.contains("--store s3://bucket/prefix "), "{bucket:?}");
}
