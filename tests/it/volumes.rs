//! Volumes of an account without Send events: from SES's statistics, from files, in a folder and in a bucket.

use std::path::PathBuf;

use bouncewatch_fixtures::bucket_server::BucketServer;
use serde_json::json;

use crate::command::{Place, Said, said, tool};
use crate::emulator::CREDENTIALS;
use crate::messages::{NOW, sent_and_bounced};

fn server() -> BucketServer {
    let tools = tool("venv/bin/moto_server").ancestors().nth(3).unwrap().to_path_buf();
    BucketServer::start(&tools).unwrap()
}

fn run(place: &Place, server: &BucketServer, words: &str) -> Said {
    let mut command = place.command(words);
    command.args(["--endpoint-url", &server.url()]).envs(CREDENTIALS);
    said(command.output().unwrap())
}

const LINES: &str = "from,to,attempts,account,region,identity\n\
    2026-11-18,2026-11-19,1000,123456789012,us-east-1,\n\
    2026-11-19,2026-11-20,500,123456789012,us-east-1,=cmd|x\n";

#[test]
fn a_file_is_taken_and_its_bad_lines_are_told() {
    let place = Place::new();
    std::fs::write(place.path("volumes.csv"), LINES).unwrap();
    let taken = place.run("ingest volumes.csv --store STORE");
    assert_eq!((taken.code, taken.err.as_str()), (0, ""), "{taken:?}");
    assert!(
        taken.out.ends_with("2 points of volume: 2 new, 0 changed, 0 unchanged\n"),
        "{taken:?}"
    );

    // the name does not matter where it is said what it is; events come beside it
    let changed = LINES.replace(",1000,", ",1001,") + "yesterday,2026-11-20,1,,,\n";
    std::fs::write(place.path("sends.txt"), changed).unwrap();
    let words = "ingest volumes:sends.txt - --store STORE --format json";
    let taken = place.run_with(words, &sent_and_bounced(3, 1));
    assert_eq!(taken.code, 1, "{taken:?}");
    assert!(taken.err.contains("error: sends.txt:4: `from` is no time"), "{taken:?}");
    assert!(!taken.err.contains("yesterday"), "{taken:?}");
    let summary = taken.json();
    assert_eq!(summary["rows"], 4);
    let mut volumes = summary["volumes"].clone();
    assert!(volumes["bytes"].take().as_u64().unwrap() > 0);
    let expected = json!({"points": 3, "new": 0, "changed": 1, "unchanged": 1, "covered": 0, "refused": 1, "bytes": null});
    assert_eq!(volumes, expected);

    let found = place.run("store stats --store STORE");
    let told =
        "volumes      2 points, 2026-11-18T00:00:00.000Z to 2026-11-20T00:00:00.000Z, in 2 files";
    assert!(found.out.contains(told), "{found:?}");
    let compacted = place.run("store compact --store STORE --grace 0s");
    assert!(compacted.out.contains("volumes  files 2 -> 1  rows 3 -> 2"), "{compacted:?}");
    let verified = place.run("store verify --store STORE");
    assert_eq!(verified.code, 0, "{verified:?}");
    // what comes from a file of another day goes, and nothing else
    let retained = place.run("store retain --volume-days 0 --store STORE");
    assert_eq!(retained.code, 0, "{retained:?}");
    assert!(retained.out.contains("removed 2 rows"), "{retained:?}");
    let stats = place.run("store stats --store STORE --format json").json();
    assert_eq!((&stats["volumes"]["points"], &stats["rows"]), (&json!(0), &json!(4)));
}

#[test]
fn what_is_no_source_of_volumes_is_told() {
    let place = Place::new();
    std::fs::write(place.path("events.csv"), sent_and_bounced(1, 0)).unwrap();
    std::fs::write(place.path("volumes.csv"), LINES).unwrap();
    for (words, told) in [
        (
            "ingest events.csv --store STORE",
            "`events.csv` is no table of volumes: column 1 of its first line has a name that no column of volumes has\n  hint: its first line names the columns: from,to,attempts,",
        ),
        ("ingest none.csv --store STORE", "none.csv"),
        ("ingest ses-statistics: --store STORE", "not a region: ``"),
        ("ingest volumes.csv --account me --store STORE", "not an account: give the 12 digits"),
        ("ingest volumes.csv --follow --store STORE", "volumes are taken once"),
    ] {
        let failed = place.run(words);
        assert_eq!(failed.code, 2, "{words}: {failed:?}");
        assert!(failed.err.contains(told), "{words}: {failed:?}");
    }
    // one that fails does not stop the others
    let taken = place.run("ingest events.csv volumes.csv --store STORE --format json");
    assert_eq!((taken.code, &taken.json()["volumes"]["new"]), (2, &json!(2)), "{taken:?}");
}

#[test]
fn statistics_are_taken_from_the_server() {
    let (server, place) = (server(), Place::new());
    let words = "ingest ses-statistics:eu-west-1 --store STORE --format json";
    let taken = run(&place, &server, words);
    assert_eq!((taken.code, &taken.json()["volumes"]["points"]), (0, &json!(1)), "{taken:?}");
    let words =
        "ingest ses-statistics:eu-west-1 --account 999999999999 --store STORE --format json";
    let taken = run(&place, &server, words);
    assert_eq!((taken.code, &taken.json()["volumes"]["new"]), (0, &json!(1)), "{taken:?}");
}

#[test]
fn the_schema_tells_both_tables() {
    let said = Place::new().run("schema");
    let (events, volumes) = said.out.split_once("\nvolumes/\n").unwrap();
    assert!(events.contains("message_key") && !events.contains("point_key"));
    assert_eq!(volumes.lines().count(), 12, "{volumes}");
    assert!(volumes.contains("point_key            hash"), "{volumes}");
}

/// The files of volumes in the cache.
fn cached(place: &Place) -> Vec<String> {
    let mut names = Vec::new();
    for folder in std::fs::read_dir(place.path("cache")).unwrap() {
        let room: PathBuf = folder.unwrap().path().join("volumes");
        let files = std::fs::read_dir(room).unwrap();
        names.extend(files.map(|file| file.unwrap().file_name().into_string().unwrap()));
    }
    names.sort();
    names
}

#[test]
fn the_volumes_of_a_store_in_a_bucket_are_in_its_mirror() {
    let (server, place) = (server(), Place::new());
    server.make_bucket("stores").unwrap();
    let check = format!("check --store s3://stores/one --cache cache --at {NOW}");
    let ingest = "ingest in.ndjson volumes.csv --store s3://stores/one";
    std::fs::write(place.path("in.ndjson"), sent_and_bounced(5, 0)).unwrap();
    for attempts in ["1000", "2000"] {
        let lines = LINES.replace(",1000,", &format!(",{attempts},"));
        std::fs::write(place.path("volumes.csv"), lines).unwrap();
        let taken = run(&place, &server, ingest);
        assert_eq!(taken.code, 0, "{taken:?}");
    }
    let checked = run(&place, &server, &check);
    assert_eq!(checked.code, 0, "{checked:?}");
    let first = cached(&place);
    assert_eq!(first.len(), 2, "{first:?}");
    // what was merged takes their place
    let compacted = run(&place, &server, "store compact --grace 0s --store s3://stores/one");
    assert_eq!(compacted.code, 0, "{compacted:?}");
    run(&place, &server, &check);
    let second = cached(&place);
    assert_eq!(second.len(), 1, "{second:?}");
    assert!(second[0].ends_with(".sealed.parquet") && !first.contains(&second[0]));
}

#[test]
fn imported_volumes_are_a_denominator() {
    let place = Place::new();
    // bounces alone, and no other event: ten, an hour before midnight
    place.ingest(&sent_and_bounced(0, 10));
    let check =
        format!("check --store STORE --at {NOW} --window 24h,volume:150 --no-alert --format json");
    let unknown = place.run(&check);
    assert_eq!(unknown.code, 3, "{unknown:?}");
    assert!(unknown.err.contains("ingest ses-statistics:REGION"), "{unknown:?}");
    // three quarters of an hour that lie in the day, one before it, and one of another account
    let lines = "from,to,attempts,account\n\
        2026-11-18T23:45:00Z,2026-11-19T00:00:00Z,7000,123456789012\n\
        2026-11-19T00:00:00Z,2026-11-19T00:15:00Z,40,123456789012\n\
        2026-11-19T23:30:00Z,2026-11-19T23:45:00Z,60,123456789012\n\
        2026-11-19T23:45:00Z,2026-11-20T00:00:00Z,100,123456789012\n\
        2026-11-19T23:45:00Z,2026-11-20T00:00:00Z,9000,999999999999\n";
    std::fs::write(place.path("volumes.csv"), lines).unwrap();
    assert_eq!(place.run("ingest volumes.csv --store STORE").code, 0);
    let known = place.run(&check);
    let verdicts = known.json()["verdicts"].as_array().unwrap().clone();
    for (window, count, attempts, from) in [
        ("24h", 10, 200, "2026-11-19T00:00:00.000Z"),
        // a span is taken whole
        ("volume:150", 0, 160, "2026-11-19T23:30:00.000Z"),
    ] {
        let is_asked =
            |one: &&serde_json::Value| one["window"] == window && one["metric"] == "bounce_rate";
        let one = verdicts.iter().find(is_asked).unwrap();
        let told = [&one["count"], &one["attempts"], &one["denominator"], &one["from"]];
        let expected = [json!(count), json!(attempts), json!("volumes"), json!(from)];
        assert_eq!(told, expected.each_ref(), "{window}: {known:?}");
    }
    // from the first Send event on, these are the attempts, beside what volumes tell of before
    place.ingest(&sent_and_bounced(5, 0));
    let mixed = place.run(&check).json()["verdicts"][0].clone();
    assert_eq!(
        (&mixed["attempts"], &mixed["denominator"]),
        (&json!(45), &json!("volumes_and_sends")),
        "{mixed:?}"
    );
}
