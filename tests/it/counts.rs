//! `check --counts`: counts of a report, and of the views in DuckDB, give the result of `check`.

use std::collections::BTreeMap;
use std::path::Path;

use bouncewatch_fixtures::traffic::{Envelope, Options, Scenario, Traffic};
use serde_json::{Map, Value, json};

use crate::command::{CommandOutput, Workspace};
use crate::messages::sent_and_bounced;
use crate::workmail::one_message_each;

const AT: &str = "2026-11-20T00:00:00Z";
/// Keys of a verdict that counts do not contain, see `docs/src/counts.md`.
const UNKNOWN: [&str; 6] =
    ["before", "pace", "crosses_warning_at", "crosses_critical_at", "contributors", "mature"];

/// The JSON of a check without the keys that counts do not contain.
fn known(check: &CommandOutput) -> Value {
    let mut json = check.json();
    let report = json.as_object_mut().unwrap();
    for key in ["sending", "incidents", "incomplete_days"] {
        report.remove(key);
    }
    let feed = report["feed"].as_object_mut().unwrap();
    feed.remove("sends_without_outcome");
    feed.insert("missing".to_owned(), json!([]));
    for verdict in report["verdicts"].as_array_mut().unwrap() {
        let verdict = verdict.as_object_mut().unwrap();
        for key in UNKNOWN {
            verdict.remove(key);
        }
    }
    json
}

/// Counts as another engine would compute them: one line of NDJSON per scope and window of a check.
fn counts(check: &Value) -> String {
    let service = check.get("service").cloned().unwrap_or_else(|| json!("ses"));
    let mut rows: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for verdict in check["verdicts"].as_array().unwrap() {
        let scope = verdict["scope"].as_object().unwrap();
        let key = json!([scope, verdict["window"]]).to_string();
        let row = rows.entry(key).or_default();
        row.extend(scope.clone());
        let is_group = |name: &&String| !["account", "region"].contains(&name.as_str());
        let by: Vec<&str> = scope.keys().filter(is_group).map(String::as_str).collect();
        row.insert("by".to_owned(), json!(by.join(",")));
        row.insert("service".to_owned(), service.clone());
        row.insert("newest_event_at".to_owned(), check["feed"]["newest_event_at"].clone());
        for name in ["window", "from", "to", "attempts", "denominator"] {
            row.insert(name.to_owned(), verdict[name].clone());
        }
        let is_bounces = verdict["metric"] == "bounce_rate";
        let count = if is_bounces { "bounces" } else { "complaints" };
        row.insert(count.to_owned(), verdict["count"].clone());
        row.entry("complaints").or_insert_with(|| json!(0));
        if let Some(incoming) = verdict.get("incoming_bounces") {
            row.insert("incoming_bounces".to_owned(), incoming.clone());
        }
        if let Some(with_feedback) = verdict.get("with_feedback") {
            row.insert("attempts_with_feedback".to_owned(), with_feedback["attempts"].clone());
        }
    }
    rows.values().map(|row| json!(row).to_string() + "\n").collect()
}

/// Compares `check` with `check --counts` on the same numbers.
fn assert_same(workspace: &Workspace, arguments: &str, groupings: &str) -> Value {
    let expected = workspace
        .run(&format!("check --store STORE --at {AT} --format json {arguments} {groupings}"));
    let counts = counts(&expected.json());
    // the groupings are in the order of their first row
    let found = workspace
        .run_with_stdin(&format!("check --counts - --at {AT} --format json {arguments}"), &counts);
    assert_eq!(found.exit_code, expected.exit_code, "{found:?}");
    let (mut found, mut expected) = (known(&found), known(&expected));
    for json in [&mut found, &mut expected] {
        let verdicts = json["verdicts"].as_array_mut().unwrap();
        verdicts.sort_by_cached_key(|verdict| {
            json!([verdict["scope"], verdict["window"], verdict["metric"]]).to_string()
        });
    }
    assert!(found["verdicts"].as_array().unwrap().len() > 1);
    assert_eq!(found, expected);
    expected
}

fn sample() -> Workspace {
    let workspace = Workspace::new();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sample");
    let output = workspace.run(&format!("ingest {} --store STORE", sample.display()));
    assert_eq!(output.exit_code, 1, "{output:?}");
    workspace
}

#[test]
fn check_of_counts_equals_check_of_the_sample() {
    let workspace = sample();
    let check = assert_same(&workspace, "", "");
    assert_eq!(check["status"], "warning", "{check}");
    assert_same(&workspace, "--basis send", "--by identity --by tag:campaign,provider");
    assert_same(
        &workspace,
        "--minimum-volume 10",
        "--window 1h,30d,volume:50 --by recipient_domain",
    );
    assert_same(&workspace, "--counted-from 2026-11-19T12:00:00Z", "--window 24h,7d");
    assert_same(&workspace, "--stale-after 1s", "--window 24h");
}

#[test]
fn check_of_counts_equals_check_with_two_accounts_and_late_feedback() {
    let options = Options {
        events: 6_000,
        envelope: Envelope::Raw,
        scenario: Scenario::Storm,
        accounts: 2,
        ..Options::default()
    };
    let workspace = Workspace::new();
    let events: Vec<String> = Traffic::new(&options).unwrap().collect();
    std::fs::write(workspace.path("events.ndjson"), events.join("\n")).unwrap();
    assert!(workspace.run("ingest events.ndjson --store STORE").exit_code < 2);
    assert_same(&workspace, "", "--by tag:campaign --by recipient_domain");
}

#[test]
fn check_of_counts_equals_check_with_imported_send_counts() {
    let workspace = Workspace::new();
    workspace.ingest(&sent_and_bounced(0, 10));
    // without a denominator
    let unknown = assert_same(&workspace, "", "--window 24h,volume:150 --by identity");
    assert_eq!(unknown["status"], "unknown");
    let volumes = "from,to,attempts,account\n\
        2026-11-19T00:00:00Z,2026-11-19T00:15:00Z,40,123456789012\n\
        2026-11-19T23:45:00Z,2026-11-20T00:00:00Z,160,123456789012\n";
    std::fs::write(workspace.path("volumes.csv"), volumes).unwrap();
    assert_eq!(workspace.run("ingest volumes.csv --store STORE").exit_code, 0);
    let known = assert_same(&workspace, "", "--window 24h,volume:150");
    assert!(known.to_string().contains("\"volumes\""), "{known}");
    workspace.ingest(&sent_and_bounced(5, 0));
    let mixed = assert_same(&workspace, "", "--window 24h,volume:150");
    assert!(mixed.to_string().contains("\"volumes_and_sends\""), "{mixed}");
}

#[test]
fn check_of_counts_equals_check_of_workmail() {
    let workspace = Workspace::new();
    workspace.ingest(&one_message_each(1_000, 60));
    let check = assert_same(&workspace, "--service workmail", "--window 24h,volume:500");
    assert_eq!(check["verdicts"][0]["denominator"], "sent_and_bounced", "{check}");
    assert!(check["verdicts"][0]["incoming_bounces"].is_number(), "{check}");
}

/// The counts of an account above the critical threshold.
const CRITICAL: &str = "\
account,region,service,window,from,to,attempts,denominator,bounces,complaints,newest_event_at
1,eu-west-1,ses,24h,2026-11-19T00:00:00Z,2026-11-20T00:00:00Z,1000,sends,120,0,2026-11-19T23:59:00Z
";

#[test]
fn alerts_of_counts_are_sent_once_without_a_store() {
    let workspace = Workspace::new();
    std::fs::write(workspace.path("counts.csv"), CRITICAL).unwrap();
    let check = format!("check --counts counts.csv --at {AT} --alert-stdout");
    let without_state = workspace.run(&check);
    assert_eq!(without_state.exit_code, 3);
    assert!(without_state.stderr.contains("use --alert-state FILE"), "{without_state:?}");
    let first = workspace.run(&format!("{check} --alert-state alerts.json"));
    assert_eq!(first.exit_code, 2, "{first:?}");
    assert!(first.stdout.contains("bounce rate"), "{first:?}");
    let second = workspace.run(&format!("{check} --alert-state alerts.json"));
    assert_eq!((second.exit_code, second.stdout.as_str()), (2, ""), "{second:?}");
    // the job that counts does not run any more
    let late = check.replace(AT, "2026-11-22T00:00:00Z");
    let late = workspace.run(&format!("{late} --alert-state alerts.json"));
    assert!(late.stdout.contains("stale"), "{late:?}");
}

#[test]
fn wrong_counts_exit_3_and_name_file_and_line() {
    let workspace = Workspace::new();
    std::fs::write(workspace.path("counts.csv"), CRITICAL.replace("120", "-1")).unwrap();
    for (arguments, expected) in [
        ("--counts counts.csv", "counts from `counts.csv`: line 2: `bounces` is not a count: `-1`"),
        ("--counts none.csv", "could not read counts from `none.csv`"),
        ("--counts counts.csv --by identity", "cannot be used with"),
        ("--counts counts.csv --window 24h", "cannot be used with"),
    ] {
        let output = workspace.run(&format!("check --at {AT} {arguments}"));
        assert_eq!((output.exit_code, output.stdout.as_str()), (3, ""), "{output:?}");
        assert!(output.stderr.contains(expected), "{expected}: {output:?}");
    }
    let output = workspace.run_with_stdin("check --counts -", "");
    assert!(output.stderr.contains("counts from stdin: no rows of counts"), "{output:?}");
    let above = CRITICAL.replace("1000,sends", "100,sends");
    let output = workspace.run_with_stdin(&format!("check --counts - --at {AT}"), &above);
    assert!(output.stderr.contains("1 rows of counts have more bounces"), "{output:?}");
}
