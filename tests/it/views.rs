//! `views`: DuckDB gives the numbers of `report` with the printed views; the text for each dialect.

use std::path::Path;
use std::process::Command;

use bouncewatch_fixtures::traffic::{Envelope, Options, Scenario, Traffic};

use crate::command::{CommandOutput, Workspace, tool};

/// Compares the views on a store with the command.
fn compare(store: &Path, options: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/referee/views.py");
    let mut command = Command::new(tool("venv/bin/python"));
    command.arg("-B").arg(script).arg(env!("CARGO_BIN_EXE_bouncewatch")).arg(store);
    let output = command.arg("duckdb").args(options).output().unwrap();
    assert!(output.status.success(), "{:?}", CommandOutput::from(output));
}

#[test]
fn views_in_duckdb_give_the_numbers_of_report() {
    // copies, identity feedback beside event publishing, late bounces, tags
    let options = Options { events: 6_000, envelope: Envelope::Raw, ..Options::default() };
    for scenario in [Scenario::Mixed, Scenario::Storm] {
        let traffic = Traffic::new(&Options { scenario, ..options.clone() }).unwrap();
        let workspace = Workspace::new();
        let events: Vec<String> = traffic.collect();
        std::fs::write(workspace.path("events.ndjson"), events.join("\n")).unwrap();
        for _ in 0..2 {
            // the second time, every event has a copy in another segment
            assert!(workspace.run("ingest events.ndjson --store STORE").exit_code < 2);
        }
        compare(&workspace.store(), &[]);
        compare(&workspace.store(), &["--own-domain", "gmail.com"]);
    }
}

#[test]
fn views_on_the_sample_give_the_numbers_of_report_with_a_quote_in_the_path() {
    let workspace = Workspace::new();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sample");
    let output = workspace.run(&format!("ingest {} --store it's", sample.display()));
    assert_eq!(output.exit_code, 1, "{output:?}");
    compare(&workspace.path("it's"), &[]);
}

/// A new column of the event table changes these texts.
#[test]
fn views_of_each_dialect_match_snapshot() {
    for dialect in ["duckdb", "spark", "datafusion", "athena", "trino", "bigquery"] {
        let arguments = format!(
            "views --store s3://bucket/it's/ --dialect {dialect} --prefix ses_ --own-domain Example.com \
             --by identity,tag:campaign --by provider --counted-from 2026-11-01"
        );
        let output = Workspace::new().run(&arguments);
        assert_eq!(output.exit_code, 0, "{output:?}");
        let text = output.stdout.replace(env!("CARGO_PKG_VERSION"), "VERSION");
        insta::assert_snapshot!(format!("views_{dialect}"), text);
    }
    let output = Workspace::new().run("views --store s3a://bucket/prefix/ --dialect spark");
    assert!(output.stdout.contains("(path 's3a://bucket/prefix/events',"), "{output:?}");
    for (arguments, expected) in [
        ("--prefix a-b", "use lower-case letters, digits and _"),
        ("--by tag:it's", "cannot group by `tag:it's` in SQL"),
        ("--window volume:100", "use --window with a duration"),
    ] {
        let output = Workspace::new().run(&format!("views --store s3://bucket {arguments}"));
        assert!(output.stderr.contains(expected), "{output:?}");
    }
}

/// A new column of the event table must be added to the template.
#[test]
fn template_of_athena_has_the_columns_of_the_view() {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/athena.yaml");
    let template = std::fs::read_to_string(template).unwrap();
    let listed = template.split_once("          Columns:\n").unwrap().1;
    let listed: Vec<String> = listed.lines().map(|line| line.replace('"', "")).collect();
    let output = Workspace::new().run("views --store s3://bucket/prefix --dialect athena");
    let columns = output.stdout.split_once("raw_events (\n  ").unwrap().1;
    let columns = columns.split_once("\n)\n").unwrap().0.split(",\n  ");
    let expected: Vec<String> = columns
        .map(|column| column.split_once(' ').unwrap())
        .map(|(name, column_type)| format!("            - {{Name: {name}, Type: {column_type}}}"))
        .collect();
    assert_eq!(listed, expected);
}
