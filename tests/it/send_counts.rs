//! Imported send counts (`volumes`): from CSV files and the SES API, in a local store and in an S3 store.

use std::path::PathBuf;

use bouncewatch_fixtures::bucket_server::BucketServer;
use serde_json::json;

use crate::command::{CommandOutput, Workspace, tool};
use crate::emulator::CREDENTIALS;
use crate::messages::{NOW, sent_and_bounced};

fn server() -> BucketServer {
    let tools = tool("venv/bin/moto_server").ancestors().nth(3).unwrap().to_path_buf();
    BucketServer::start(&tools).unwrap()
}

fn run(workspace: &Workspace, server: &BucketServer, arguments: &str) -> CommandOutput {
    let mut command = workspace.command(arguments);
    command.args(["--endpoint-url", &server.url()]).envs(CREDENTIALS);
    CommandOutput::from(command.output().unwrap())
}

const LINES: &str = "from,to,attempts,account,region,identity\n\
    2026-11-18,2026-11-19,1000,123456789012,us-east-1,\n\
    2026-11-19,2026-11-20,500,123456789012,us-east-1,=cmd|x\n";

#[test]
fn csv_is_imported_and_invalid_lines_are_reported() {
    let workspace = Workspace::new();
    std::fs::write(workspace.path("volumes.csv"), LINES).unwrap();
    let ingested = workspace.run("ingest volumes.csv --store STORE");
    assert_eq!((ingested.exit_code, ingested.stderr.as_str()), (0, ""), "{ingested:?}");
    assert!(
        ingested.stdout.ends_with("2 send counts: 2 new, 0 changed, 0 unchanged\n"),
        "{ingested:?}"
    );

    // the prefix `send-counts:` accepts any file name; another source of the same run has events
    let changed = LINES.replace(",1000,", ",1001,") + "yesterday,2026-11-20,1,,,\n";
    std::fs::write(workspace.path("sends.txt"), changed).unwrap();
    let arguments = "ingest send-counts:sends.txt - --store STORE --format json";
    let ingested = workspace.run_with_stdin(arguments, &sent_and_bounced(3, 1));
    assert_eq!(ingested.exit_code, 1, "{ingested:?}");
    assert!(ingested.stderr.contains("error: sends.txt:4: `from` is not a time"), "{ingested:?}");
    assert!(!ingested.stderr.contains("yesterday"), "{ingested:?}");
    let summary = ingested.json();
    assert_eq!(summary["rows"], 4);
    let mut volumes = summary["volumes"].clone();
    assert!(volumes["bytes"].take().as_u64().unwrap() > 0);
    let expected = json!({"points": 3, "new": 0, "changed": 1, "unchanged": 1, "covered": 0, "refused": 1, "bytes": null});
    assert_eq!(volumes, expected);

    let stats = workspace.run("store stats --store STORE");
    let expected =
        "send counts  2 rows, 2026-11-18T00:00:00.000Z to 2026-11-20T00:00:00.000Z, in 2 files";
    assert!(stats.stdout.contains(expected), "{stats:?}");
    let compacted = workspace.run("store compact --store STORE --grace 0s");
    assert!(compacted.stdout.contains("send counts  files 2 -> 1  rows 3 -> 2"), "{compacted:?}");
    let verified = workspace.run("store verify --store STORE");
    assert_eq!(verified.exit_code, 0, "{verified:?}");
    // retention removes send counts and keeps events
    let retained = workspace.run("store retain --send-count-days 0 --store STORE");
    assert_eq!(retained.exit_code, 0, "{retained:?}");
    assert!(retained.stdout.contains("removed 2 rows"), "{retained:?}");
    let stats = workspace.run("store stats --store STORE --format json").json();
    assert_eq!((&stats["volumes"]["points"], &stats["rows"]), (&json!(0), &json!(4)));
}

#[test]
fn old_names_of_send_counts_keep_working() {
    let workspace = Workspace::new();
    std::fs::write(workspace.path("sends.txt"), LINES).unwrap();
    let ingested = workspace.run("ingest volumes:sends.txt --store STORE");
    assert!(ingested.stdout.ends_with("2 send counts: 2 new, 0 changed, 0 unchanged\n"));
    let retained = workspace.run("store retain --volume-days 0 --store STORE");
    assert!(retained.stdout.contains("removed 2 rows"), "{retained:?}");
}

#[test]
fn invalid_send_count_sources_exit_2() {
    let workspace = Workspace::new();
    std::fs::write(workspace.path("events.csv"), sent_and_bounced(1, 0)).unwrap();
    std::fs::write(workspace.path("volumes.csv"), LINES).unwrap();
    for (arguments, expected) in [
        (
            "ingest events.csv --store STORE",
            "`events.csv` is not a CSV file of send counts: column 1 of its first line is not a known column\n  hint: the first line must name the columns: from,to,attempts,",
        ),
        ("ingest none.csv --store STORE", "none.csv"),
        ("ingest ses-statistics: --store STORE", "not a region: ``"),
        ("ingest volumes.csv --account me --store STORE", "not an AWS account ID: give 12 digits"),
        ("ingest volumes.csv --follow --store STORE", "send counts are imported once per run"),
    ] {
        let failed = workspace.run(arguments);
        assert_eq!(failed.exit_code, 2, "{arguments}: {failed:?}");
        assert!(failed.stderr.contains(expected), "{arguments}: {failed:?}");
    }
    // a failed source does not stop the other sources
    let ingested = workspace.run("ingest events.csv volumes.csv --store STORE --format json");
    assert_eq!(
        (ingested.exit_code, &ingested.json()["volumes"]["new"]),
        (2, &json!(2)),
        "{ingested:?}"
    );
}

#[test]
fn ses_statistics_are_imported_from_the_api() {
    let (server, workspace) = (server(), Workspace::new());
    let arguments = "ingest ses-statistics:eu-west-1 --store STORE --format json";
    let ingested = run(&workspace, &server, arguments);
    assert_eq!(
        (ingested.exit_code, &ingested.json()["volumes"]["points"]),
        (0, &json!(1)),
        "{ingested:?}"
    );
    let arguments =
        "ingest ses-statistics:eu-west-1 --account 999999999999 --store STORE --format json";
    let ingested = run(&workspace, &server, arguments);
    assert_eq!(
        (ingested.exit_code, &ingested.json()["volumes"]["new"]),
        (0, &json!(1)),
        "{ingested:?}"
    );
}

#[test]
fn schema_prints_both_tables() {
    let output = Workspace::new().run("schema");
    let (events, volumes) =
        output.stdout.split_once("\nvolumes/  (imported send counts)\n").unwrap();
    assert!(events.starts_with("events/\n"), "{events}");
    assert!(events.contains("message_key") && !events.contains("point_key"));
    assert_eq!(volumes.lines().count(), 12, "{volumes}");
    assert!(volumes.contains("point_key            hash"), "{volumes}");
}

/// Returns the names of the send count files in the local cache.
fn cached(workspace: &Workspace) -> Vec<String> {
    let mut names = Vec::new();
    for folder in std::fs::read_dir(workspace.path("cache")).unwrap() {
        let folder: PathBuf = folder.unwrap().path().join("volumes");
        let files = std::fs::read_dir(folder).unwrap();
        names.extend(files.map(|file| file.unwrap().file_name().into_string().unwrap()));
    }
    names.sort();
    names
}

#[test]
fn send_counts_of_an_s3_store_are_cached() {
    let (server, workspace) = (server(), Workspace::new());
    server.make_bucket("stores").unwrap();
    let check = format!("check --store s3://stores/one --cache cache --at {NOW}");
    let ingest = "ingest in.ndjson volumes.csv --store s3://stores/one";
    std::fs::write(workspace.path("in.ndjson"), sent_and_bounced(5, 0)).unwrap();
    for attempts in ["1000", "2000"] {
        let lines = LINES.replace(",1000,", &format!(",{attempts},"));
        std::fs::write(workspace.path("volumes.csv"), lines).unwrap();
        let ingested = run(&workspace, &server, ingest);
        assert_eq!(ingested.exit_code, 0, "{ingested:?}");
    }
    let checked = run(&workspace, &server, &check);
    assert_eq!(checked.exit_code, 0, "{checked:?}");
    let first = cached(&workspace);
    assert_eq!(first.len(), 2, "{first:?}");
    // the compacted file replaces the merged files
    let compacted = run(&workspace, &server, "store compact --grace 0s --store s3://stores/one");
    assert_eq!(compacted.exit_code, 0, "{compacted:?}");
    run(&workspace, &server, &check);
    let second = cached(&workspace);
    assert_eq!(second.len(), 1, "{second:?}");
    assert!(second[0].ends_with(".sealed.parquet") && !first.contains(&second[0]));
}

#[test]
fn imported_send_counts_are_the_denominator_without_send_events() {
    let workspace = Workspace::new();
    // ten bounces one hour before midnight, no other events
    workspace.ingest(&sent_and_bounced(0, 10));
    let check =
        format!("check --store STORE --at {NOW} --window 24h,volume:150 --no-alert --format json");
    let unknown = workspace.run(&check);
    assert_eq!(unknown.exit_code, 3, "{unknown:?}");
    assert!(unknown.stderr.contains("ingest ses-statistics:REGION"), "{unknown:?}");
    // three intervals within the day, one before it, and one of another account
    let lines = "from,to,attempts,account\n\
        2026-11-18T23:45:00Z,2026-11-19T00:00:00Z,7000,123456789012\n\
        2026-11-19T00:00:00Z,2026-11-19T00:15:00Z,40,123456789012\n\
        2026-11-19T23:30:00Z,2026-11-19T23:45:00Z,60,123456789012\n\
        2026-11-19T23:45:00Z,2026-11-20T00:00:00Z,100,123456789012\n\
        2026-11-19T23:45:00Z,2026-11-20T00:00:00Z,9000,999999999999\n";
    std::fs::write(workspace.path("volumes.csv"), lines).unwrap();
    assert_eq!(workspace.run("ingest volumes.csv --store STORE").exit_code, 0);
    let known = workspace.run(&check);
    let verdicts = known.json()["verdicts"].as_array().unwrap().clone();
    for (window, count, attempts, from) in [
        ("24h", 10, 200, "2026-11-19T00:00:00.000Z"),
        // an interval counts completely
        ("volume:150", 0, 160, "2026-11-19T23:30:00.000Z"),
    ] {
        let is_match = |verdict: &&serde_json::Value| {
            verdict["window"] == window && verdict["metric"] == "bounce_rate"
        };
        let verdict = verdicts.iter().find(is_match).unwrap();
        let actual = ["count", "attempts", "denominator", "from"].map(|key| &verdict[key]);
        let expected = [json!(count), json!(attempts), json!("volumes"), json!(from)];
        assert_eq!(actual, expected.each_ref(), "{window}: {known:?}");
    }
    // Send events are the attempts from the first one on, imported send counts before it
    workspace.ingest(&sent_and_bounced(5, 0));
    let mixed = workspace.run(&check).json()["verdicts"][0].clone();
    assert_eq!(
        (&mixed["attempts"], &mixed["denominator"]),
        (&json!(45), &json!("volumes_and_sends")),
        "{mixed:?}"
    );
}
