//! Every number of `check` and `report` equals what DuckDB counts by brute force over the same Parquet files.

use std::path::Path;
use std::process::Command;

use bouncewatch_fixtures::traffic::{Envelope, Options, Scenario, Shuffle, Traffic};

use crate::command::{Place, said, tool};

const CUTS: &str = "--by identity --by tag:campaign --by recipient_domain --by provider --by configuration_set,tag:campaign";

fn referee(place: &Place, further: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/referee/referee.py");
    let mut command = Command::new(tool("venv/bin/python"));
    command.arg(script).arg("--store").arg(place.store()).args(further);
    let said = said(command.output().unwrap());
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("all equal"), "{said:?}");
}

fn compare(options: &Options) {
    let place = Place::new();
    let events: Vec<String> = Traffic::new(options).unwrap().collect();
    // three runs, the middle part twice: the table holds copies
    let third = events.len() / 3;
    for part in [&events[..2 * third], &events[third..], &events[third..2 * third]] {
        std::fs::write(place.path("part.ndjson"), part.join("\n")).unwrap();
        assert_eq!(place.run("ingest part.ndjson --store STORE").code, 0);
    }
    let at = "2026-11-20T00:00:00Z";
    // volume windows load all history; without them only the part that is looked at is loaded
    for windows in ["24h,7d,30d,volume:1000,volume:100000", "24h", "1h,24h,7d", "volume:200"] {
        for at in [at, "2026-11-13T05:06:07.089Z"] {
            let words =
                format!("check --store STORE --at {at} --window {windows} {CUTS} --format json");
            std::fs::write(place.path("check.json"), place.run(&words).out).unwrap();
            referee(&place, &["--check", place.path("check.json").to_str().unwrap()]);
        }
    }
    let cohort = format!(
        "check --store STORE --at {at} --window 24h,7d,volume:1000 --by identity --basis send --format json"
    );
    std::fs::write(place.path("check.json"), place.run(&cohort).out).unwrap();
    referee(&place, &["--check", place.path("check.json").to_str().unwrap()]);
    for windows in ["24h,7d,volume:1000", "6h,36h"] {
        let report = place.run(&format!(
            "report --store STORE --from 2026-11-10 --to {at} --every 13h --window {windows} --by tag:campaign --by identity --format json"
        ));
        assert_eq!(report.code, 0, "{report:?}");
        std::fs::write(place.path("report.json"), &report.out).unwrap();
        referee(&place, &["--report", place.path("report.json").to_str().unwrap()]);
    }
}

#[test]
fn mixed_traffic_with_copies_in_any_order() {
    compare(&Options {
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
fn deliveries_without_sends() {
    compare(&Options {
        events: 6_000,
        seed: 7,
        scenario: Scenario::DeliveriesOnly,
        duplicates: 0.2,
        shuffle: Shuffle::All,
        ..Options::default()
    });
}

#[test]
fn bounces_without_anything_else() {
    compare(&Options {
        events: 3_000,
        seed: 9,
        scenario: Scenario::BouncesOnly,
        ..Options::default()
    });
}
