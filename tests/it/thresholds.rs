//! Thresholds per scope, low volume, and `check` output for Nagios and Prometheus.

use serde_json::{Value, json};

use crate::command::Workspace;
use crate::messages::{Message, NOW, message, sent_and_bounced};
use crate::telemetry::parse_metrics;

fn with_settings(
    workspace: &Workspace,
    settings: &str,
    arguments: &str,
) -> crate::command::CommandOutput {
    std::fs::write(workspace.path("settings.toml"), settings).unwrap();
    workspace.run(&format!(
        "--config settings.toml check --store STORE --at {NOW} --window 24h {arguments}"
    ))
}

/// Returns level, thresholds and minimum volume of the bounce rate of the scope with `dimensions` dimensions.
fn bounce(output: &crate::command::CommandOutput, dimensions: usize) -> Value {
    let found = output.json();
    let verdicts = found["verdicts"].as_array().unwrap();
    let is_it = |verdict: &&Value| {
        verdict["metric"] == "bounce_rate"
            && verdict["scope"].as_object().unwrap().len() == dimensions
    };
    let verdict = verdicts.iter().find(is_it).unwrap();
    json!([verdict["level"], verdict["warning"], verdict["critical"], verdict["minimum_volume"]])
}

#[test]
fn threshold_table_overrides_defaults_per_scope() {
    let workspace = Workspace::new();
    workspace.ingest(&sent_and_bounced(600, 24));
    let settings = r#"
        by = ["identity", "identity,tag:campaign"]
        [[threshold]]
        metric = "bounce_rate"
        identity = "example.com"
        warning = 0.01
        critical = 0.02
        minimum_volume = 500
        [[threshold]]
        metric = "bounce_rate"
        identity = "example.com"
        campaign = "spring"
        warning = 0.03
        critical = 0.2
    "#;
    let output = with_settings(&workspace, settings, "--format json");
    assert_eq!(output.exit_code, 2, "{output:?}");
    assert_eq!(bounce(&output, 2), json!(["ok", 0.05, 0.1, 1000]));
    assert_eq!(bounce(&output, 3), json!(["critical", 0.01, 0.02, 500]));
    assert_eq!(bounce(&output, 4), json!(["ok", 0.03, 0.2, 1000]));
    // a threshold that no grouping uses is reported
    let output = with_settings(&workspace, &settings.replace("by = [", "by = [] #"), "");
    assert_eq!(output.exit_code, 0, "{output:?}");
    assert!(
        output
            .stderr
            .contains("[[threshold]] for bounce_rate of identity=example.com has no effect"),
        "{output:?}"
    );
    let shown = workspace.run("--config settings.toml config show").stdout;
    assert!(
        shown.contains("[[threshold]]") && shown.contains("identity = \"example.com\""),
        "{shown}"
    );
    // the printed configuration is valid input
    std::fs::write(workspace.path("shown.toml"), &shown).unwrap();
    assert_eq!(workspace.run("--config shown.toml config show").stdout, shown);
}

#[test]
fn invalid_threshold_and_alert_settings_exit_3() {
    let workspace = Workspace::new();
    workspace.ingest(&sent_and_bounced(10, 0));
    let rule = |extra: &str| format!("[[threshold]]\nmetric = \"bounce_rate\"\n{extra}");
    for (settings, expected) in [
        (rule("warning = 0.1\ncritical = 0.2"), "no scope given"),
        (rule("colour = \"red\"\nwarning = 0.1\ncritical = 0.2"), "unknown dimension `colour`"),
        (
            rule("identity = \"a\"\nwarning = 0.3\ncritical = 0.2"),
            "[[threshold]] of bounce_rate identity=a: thresholds must satisfy",
        ),
        (rule("identity = \"a\"\nwarning = 0.1"), "missing field `critical`"),
        (
            rule("identity = \"a\"\nwarnin = 0.1\nwarning = 0.1\ncritical = 0.2"),
            "unknown dimension `warnin`",
        ),
        ("[alert]\nclear_below = 1.5".to_owned(), "clear_below"),
        ("[alert]\nclear_after = \"soon\"".to_owned(), "clear_after"),
        ("[alert]\npager = \"x\"".to_owned(), "unknown field `pager`"),
    ] {
        let output = with_settings(&workspace, &settings, "");
        assert_eq!(output.exit_code, 3, "{settings}: {output:?}");
        assert!(output.stderr.contains(expected), "{settings}: {output:?}");
    }
}

#[test]
fn low_volume_scope_is_critical_only_with_5_significant_bounces() {
    for (sent, bounced, of_domain) in
        [(1, 1, "ok"), (4, 4, "ok"), (20, 2, "ok"), (20, 15, "critical"), (5, 5, "critical")]
    {
        let workspace = Workspace::new();
        workspace.ingest(&sent_and_bounced(sent, bounced));
        let arguments =
            format!("check --store STORE --at {NOW} --by recipient_domain --format json");
        let verdicts = workspace.run(&arguments).json()["verdicts"].as_array().unwrap().clone();
        let level = |is_domain: bool| {
            let is_asked = |one: &&serde_json::Value| {
                one["metric"] == "bounce_rate"
                    && one["scope"]["recipient_domain"].is_string() == is_domain
            };
            verdicts.iter().find(is_asked).unwrap()["level"].clone()
        };
        assert_eq!(level(true), of_domain, "{bounced} of {sent}");
        // account scope: a significant rate is sufficient
        let of_account = if bounced == 2 { "ok" } else { "critical" };
        assert_eq!(level(false), of_account, "{bounced} of {sent}");
    }
}

/// Returns a store with a bounce rate of 6.2 % and a campaign name of special characters.
fn workspace_with_hostile_campaign() -> Workspace {
    let workspace = Workspace::new();
    let campaign = "it's 50 % off | now=1\n\"\\'%s $HOME";
    let tagged =
        |number: usize| Message { tags: json!({"campaign": [campaign]}), ..message(number) };
    let sends = (0..1_000).map(|number| tagged(number).send());
    let bounces = (0..62).map(|number| tagged(number).bounce());
    workspace.ingest(&sends.chain(bounces).collect::<String>());
    workspace
}

#[test]
fn nagios_output_is_one_line_with_valid_perfdata() {
    let workspace = workspace_with_hostile_campaign();
    let output = workspace.run(&format!(
        "check --store STORE --at {NOW} --window 24h --by tag:campaign --format nagios"
    ));
    insta::assert_snapshot!("nagios", output.transcript());
    assert_eq!(output.stdout.lines().count(), 1);
    // status text, one bar, then quoted labels, each with value;warn;crit;min;max (Nagios plugin guidelines)
    let (text, data) = output.stdout.trim_end().split_once(" | ").unwrap();
    assert!(!text.contains('|') && !data.contains('|'));
    let mut rest = data;
    let mut labels = 0;
    while let Some(quoted) = rest.strip_prefix('\'') {
        let end = quoted.replace("''", "__").find('\'').unwrap();
        let (label, after) = quoted.split_at(end);
        assert!(!label.contains('='), "{label}");
        let values = after.strip_prefix("'=").unwrap();
        let (values, next) = values.split_once(' ').unwrap_or((values, ""));
        let numbers: Vec<&str> = values.split(';').collect();
        assert_eq!(numbers.len(), 5, "{values}");
        assert!(
            numbers[0].ends_with('%') && numbers[0].trim_end_matches('%').parse::<f64>().is_ok()
        );
        assert!(numbers[1..].iter().all(|number| number.parse::<f64>().is_ok()), "{values}");
        (labels, rest) = (labels + 1, next);
    }
    assert_eq!((labels, rest), (4, ""));
}

#[test]
fn nagios_prints_u_for_unknown_and_truncates_at_4000_bytes() {
    let workspace = Workspace::new();
    workspace.ingest(&(0..30).map(|number| message(number).bounce()).collect::<String>());
    let output =
        workspace.run(&format!("check --store STORE --at {NOW} --window 24h --format nagios"));
    assert_eq!(output.exit_code, 3);
    assert!(
        output
            .stdout
            .starts_with("BOUNCEWATCH UNKNOWN: bounce rate unknown (30, attempts unknown)"),
        "{output:?}"
    );
    assert!(output.stdout.contains("us-east-1'=U;5;10;0;100"), "{output:?}");
    // a long line is truncated between rates and states the total
    let workspace = Workspace::new();
    let many = (0..200).map(|number| {
        Message { tags: json!({"campaign": [format!("campaign-{number}")]}), ..message(number) }
            .send()
    });
    workspace.ingest(&many.collect::<String>());
    let output = workspace.run(&format!(
        "check --store STORE --at {NOW} --window 24h --by tag:campaign --format nagios"
    ));
    assert!(output.stdout.len() <= 4_000 && output.stdout.contains(" of 402 rates)"), "{output:?}");
    assert!(output.stdout.trim_end().ends_with(";0;100"), "{output:?}");
}

#[test]
fn check_metrics_are_valid_prometheus_text() {
    let workspace = workspace_with_hostile_campaign();
    let arguments = format!(
        "check --store STORE --at {NOW} --window 24h,7d --by tag:campaign --by tenant --format prometheus"
    );
    let output = workspace.run(&arguments);
    assert_eq!(output.exit_code, 1, "{output:?}");
    let families = parse_metrics(&output.stdout, "text");
    let names: Vec<&str> = families.iter().map(|family| family["name"].as_str().unwrap()).collect();
    assert!(
        names.len() > 15 && names.iter().all(|name| name.starts_with("bouncewatch_")),
        "{names:?}"
    );
    let mut series = std::collections::BTreeSet::new();
    for family in &families {
        assert_eq!(family["type"], "gauge", "{family}");
        assert!(family["help"].as_str().unwrap().ends_with('.'), "{family}");
        for sample in family["samples"].as_array().unwrap() {
            assert!(
                series.insert(sample.to_string().rsplit_once(',').unwrap().0.to_owned()),
                "twice: {sample}"
            );
        }
    }
    let samples = |name: &str| -> Vec<Value> {
        let family = families.iter().find(|family| family["name"] == format!("bouncewatch_{name}"));
        family.map_or_else(Vec::new, |family| family["samples"].as_array().unwrap().clone())
    };
    // three scopes (account, campaign, no tenant) in two windows
    assert_eq!(samples("bounce_ratio").len(), 6);
    assert!(samples("bounce_ratio").iter().all(|sample| sample[2] == 0.062));
    assert_eq!(samples("bounces")[0][2], 62.0);
    assert_eq!(samples("check_status")[0][2], 1.0);
    assert_eq!(samples("check_timestamp_seconds")[0][2], 1_795_132_800.0);
    assert_eq!(samples("feed_newest_event_timestamp_seconds")[0][2], 1_795_129_200.0);
    assert!(
        samples("bounce_ratio").iter().any(|sample| {
            sample[1]["tag_campaign"] == "it's 50 % off | now=1\\u{a}\"\\\\'%s $HOME"
        }),
        "{}",
        output.stdout
    );

    // -o writes the same text for the textfile collector of node_exporter
    assert_eq!(workspace.run(&format!("{arguments} -o bouncewatch.prom")).exit_code, 1);
    assert_eq!(std::fs::read_to_string(workspace.path("bouncewatch.prom")).unwrap(), output.stdout);
    // an unknown rate has no sample
    let workspace = Workspace::new();
    workspace.ingest(&message(1).bounce());
    let output =
        workspace.run(&format!("check --store STORE --at {NOW} --window 24h --format prometheus"));
    assert_eq!(output.exit_code, 3);
    assert!(
        !output.stdout.contains("bouncewatch_bounce_ratio") && !output.stdout.contains("attempts{"),
        "{output:?}"
    );
    assert!(
        output.stdout.contains("bouncewatch_bounce_level") && output.stdout.contains("} 3\n"),
        "{output:?}"
    );
}
