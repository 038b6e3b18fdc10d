//! `check` and `report` give the same numbers as a brute-force count in DuckDB over the same Parquet files.

use std::path::Path;
use std::process::Command;

use bouncewatch_fixtures::traffic::{Envelope, Options, Scenario, Shuffle, Traffic};

use crate::command::{CommandOutput, Workspace, tool};

const GROUPINGS: &str = "--by identity --by tag:campaign --by recipient_domain --by provider --by configuration_set,tag:campaign";

/// Runs the referee script; panics unless all numbers are equal.
fn run_referee(workspace: &Workspace, extra: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/referee/referee.py");
    let mut command = Command::new(tool("venv/bin/python"));
    command.arg(script).arg("--store").arg(workspace.store()).args(extra);
    let output = CommandOutput::from(command.output().unwrap());
    assert_eq!(output.exit_code, 0, "{output:?}");
    assert!(output.stdout.contains("all equal"), "{output:?}");
}

/// Compares `check` and `report` with the referee for several windows and groupings.
fn compare_with_duckdb(options: &Options) {
    let workspace = Workspace::new();
    let events: Vec<String> = Traffic::new(options).unwrap().collect();
    // the middle third is in both runs: the table holds duplicates
    let third = events.len() / 3;
    for part in [&events[..2 * third], &events[third..], &events[third..2 * third]] {
        std::fs::write(workspace.path("part.ndjson"), part.join("\n")).unwrap();
        assert_eq!(workspace.run("ingest part.ndjson --store STORE").exit_code, 0);
    }
    let at = "2026-11-20T00:00:00Z";
    // volume windows load the full history, durations only load the days that they need
    for windows in ["24h,7d,30d,volume:1000,volume:100000", "24h", "1h,24h,7d", "volume:200"] {
        for at in [at, "2026-11-13T05:06:07.089Z"] {
            let arguments = format!(
                "check --store STORE --at {at} --window {windows} {GROUPINGS} --format json"
            );
            std::fs::write(workspace.path("check.json"), workspace.run(&arguments).stdout).unwrap();
            run_referee(&workspace, &["--check", workspace.path("check.json").to_str().unwrap()]);
        }
    }
    let cohort = format!(
        "check --store STORE --at {at} --window 24h,7d,volume:1000 --by identity --basis send --format json"
    );
    std::fs::write(workspace.path("check.json"), workspace.run(&cohort).stdout).unwrap();
    run_referee(&workspace, &["--check", workspace.path("check.json").to_str().unwrap()]);
    for windows in ["24h,7d,volume:1000", "6h,36h"] {
        let report = workspace.run(&format!(
            "report --store STORE --from 2026-11-10 --to {at} --every 13h --window {windows} --by tag:campaign --by identity --format json"
        ));
        assert_eq!(report.exit_code, 0, "{report:?}");
        std::fs::write(workspace.path("report.json"), &report.stdout).unwrap();
        run_referee(&workspace, &["--report", workspace.path("report.json").to_str().unwrap()]);
    }
}

#[test]
fn check_and_report_match_duckdb_on_mixed_traffic_with_duplicates() {
    compare_with_duckdb(&Options {
        events: 20_000,
        seed: 42,
        scenario: Scenario::Mixed,
        envelope: Envelope::Mixed,
        duplicates: 0.2,
        shuffle: Shuffle::All,
        accounts: 2,
        ..Options::default()
    });
}

#[test]
fn check_and_report_match_duckdb_without_send_events() {
    compare_with_duckdb(&Options {
        events: 6_000,
        seed: 7,
        scenario: Scenario::DeliveriesOnly,
        duplicates: 0.2,
        shuffle: Shuffle::All,
        ..Options::default()
    });
}

#[test]
fn check_and_report_match_duckdb_with_only_bounces() {
    compare_with_duckdb(&Options {
        events: 3_000,
        seed: 9,
        scenario: Scenario::BouncesOnly,
        ..Options::default()
    });
}
