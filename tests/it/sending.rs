//! Events about the account: `check` is critical, and alerts, while SES does not allow it to send.

use serde_json::{Value, json};

use crate::command::Workspace;
use crate::messages::{minutes_after_now, sent_and_bounced};

/// An event of EventBridge about the tenant `shop`.
fn event(detail_type: &str, minutes: i64, detail: &Value) -> String {
    let event = json!({
        "id": format!("{detail_type} {minutes}"), "detail-type": detail_type, "source": "aws.ses",
        "account": "123456789012", "region": "us-east-1", "time": minutes_after_now(minutes),
        "resources": ["arn:aws:ses:us-east-1:123456789012:tenant/shop/tn-1"], "detail": detail,
    });
    format!("{event}\n")
}

fn disabled(minutes: i64) -> String {
    let record = json!({"status": "DISABLED", "cause": "Bounces \u{1b}[31mtoo high"});
    let detail = json!({"data": {"origin": "AWS_MANAGED", "record": record}});
    event("Sending Status Disabled", minutes, &detail)
}

fn enabled(minutes: i64) -> String {
    let record = json!({"status": "REINSTATED", "cause": null});
    let detail = json!({"data": {"origin": "CUSTOMER_MANAGED", "record": record}});
    event("Sending Status Enabled", minutes, &detail)
}

fn check_at(workspace: &Workspace, minutes: i64, arguments: &str) -> crate::command::CommandOutput {
    let at = minutes_after_now(minutes);
    workspace.run(&format!("check --store STORE --window 24h --at {at} {arguments}"))
}

#[test]
fn check_is_critical_while_the_last_status_is_disabled() {
    let workspace = Workspace::new();
    workspace.ingest(&sent_and_bounced(1_000, 10));
    let before = check_at(&workspace, 0, "--format json").json();
    workspace.ingest(&(disabled(-50) + &enabled(-20) + &disabled(-50)));
    for (minutes, exit_code) in [(-51, 0), (-50, 2), (-21, 2), (-20, 0), (0, 0)] {
        let output = check_at(&workspace, minutes, "");
        assert_eq!(output.exit_code, exit_code, "{minutes}: {output:?}");
        assert_eq!(output.stdout.contains("STOPPED"), exit_code == 2, "{output:?}");
    }
    let table = check_at(&workspace, -21, "");
    insta::assert_snapshot!("sending_stopped_table", table.transcript());
    insta::assert_snapshot!(
        "sending_stopped_nagios",
        check_at(&workspace, -21, "--format nagios").stdout
    );
    let metrics = check_at(&workspace, -21, "--format prometheus").stdout;
    let series = r#"bouncewatch_sending_disabled{service="ses",by="tenant",account="123456789012",region="us-east-1",tenant="shop"} "#;
    assert!(metrics.contains(&format!("{series}1\n")), "{metrics}");
    // rates, feed and windows are those without the events
    let mut after = check_at(&workspace, 0, "--format json").json();
    let status = &after["sending"]["statuses"][0];
    assert_eq!(
        (&status["status"], &status["changed_by"], &status["scope"]["tenant"]),
        (&json!("enabled"), &json!("CUSTOMER_MANAGED"), &json!("shop"))
    );
    after.as_object_mut().unwrap().remove("sending");
    assert_eq!(after, before);
}

#[test]
fn events_about_the_account_do_not_hide_a_stale_feed() {
    let workspace = Workspace::new();
    workspace.ingest(&sent_and_bounced(1_000, 10));
    let two_days = 2 * 24 * 60;
    workspace.ingest(&enabled(two_days - 5));
    let output = check_at(&workspace, two_days, "--format json");
    assert_eq!((output.exit_code, &output.json()["feed"]["stale"]), (3, &json!(true)));
}

#[test]
fn status_is_forgotten_after_30_days() {
    let workspace = Workspace::new();
    workspace.ingest(&(sent_and_bounced(1_000, 10) + &disabled(-50)));
    let day = 24 * 60;
    for (minutes, exit_code) in [(30 * day - 51, 2), (30 * day - 50, 3)] {
        let output = check_at(&workspace, minutes, "");
        assert_eq!(output.exit_code, exit_code, "{minutes}: {output:?}");
    }
}

#[test]
fn open_findings_are_listed_and_change_no_status() {
    let workspace = Workspace::new();
    let detail =
        json!({"data": "Too many bounces", "metadata": {"impact": "HIGH", "type": "BOUNCE"}});
    let open = event("Advisor Recommendation Status Open", -50, &detail);
    let resolved = event("Advisor Recommendation Status Resolved", -20, &detail);
    workspace.ingest(&(sent_and_bounced(1_000, 10) + &open + &resolved));
    let output = check_at(&workspace, -21, "--format json");
    let finding = &output.json()["sending"]["findings"][0];
    assert_eq!((output.exit_code, &finding["impact"]), (0, &json!("HIGH")), "{output:?}");
    assert!(check_at(&workspace, -21, "").stdout.contains("Too many bounces"));
    assert_eq!(check_at(&workspace, 0, "--format json").json()["sending"], Value::Null);
}

#[test]
fn stopped_sending_raises_one_alert_and_clears_it_with_a_stale_feed() {
    let workspace = Workspace::new();
    workspace.ingest(&(sent_and_bounced(1_000, 10) + &disabled(-50) + &enabled(3_000)));
    let mut alerts = Vec::new();
    for minutes in [-55, -50, -45, 2_990, 3_000, 3_005, 3_030, 3_035] {
        let output = check_at(&workspace, minutes, "--alert-stdout --by tenant");
        let lines = output.stdout.lines();
        let subjects = lines.filter(|line| line.contains("sending")).map(str::to_owned);
        alerts.extend(subjects.map(|line| format!("{minutes}: {line}")));
    }
    insta::assert_snapshot!("sending_stopped_alerts", alerts.join("\n"));
}
