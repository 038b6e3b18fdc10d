//! Feeds with their numbers: each `fixtures/numbers/NAME.ndjson` has a `NAME.json` with the right answers.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::command::Workspace;

const AT: &str = "2026-11-18T12:00:00Z";

#[test]
fn commands_print_expected_numbers_for_each_fixture_feed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/numbers");
    let mut feeds = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "ndjson") {
            feeds += 1;
            let expected = std::fs::read(path.with_extension("json")).unwrap();
            let expected: Value = serde_json::from_slice(&expected).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            assert_feed(&name, &std::fs::read_to_string(&path).unwrap(), &expected);
        }
    }
    assert!(feeds > 0);
}

/// Ingests a feed line by line in both orders, each line twice, and compares all answers.
fn assert_feed(name: &str, feed: &str, expected: &Value) {
    let mut lines: Vec<&str> = feed.lines().collect();
    for order in ["as it is", "reversed"] {
        let workspace = Workspace::new();
        workspace.ingest(&format!("{}\n", lines.join("\n")));
        workspace.ingest(&format!("{}\n", lines.join("\n")));
        let run = |arguments: &str| {
            workspace
                .run(&format!("{arguments} --store STORE --at {AT} --window 24h --format json"))
        };
        let check = run("check --by recipient_domain");
        assert!(!check.stderr.contains("unknown:"), "{name}: {check:?}");
        let check = check.json();
        assert_ne!(check["status"], "unknown", "{name}: {check}");
        assert_eq!(
            check["feed"]["newest_event_at"], expected["newest_event_at"],
            "{name}, {order}"
        );
        let verdicts = check["verdicts"].as_array().unwrap();
        let of = |metric: &str| {
            let verdict = verdicts.iter().find(|one| one["metric"] == metric).unwrap();
            (verdict["count"].clone(), verdict["attempts"].clone())
        };
        let sends = || expected["sends"].clone();
        assert_eq!(of("bounce_rate"), (expected["bounces"].clone(), sends()), "{name}, {order}");
        assert_eq!(
            of("complaint_rate"),
            (expected["complaints"].clone(), sends()),
            "{name}, {order}"
        );
        let suppress = |format: &str| {
            workspace.run(&format!("suppress --store STORE --at {AT} --format {format}"))
        };
        let listed = suppress("json").json();
        let listed: BTreeMap<&str, &str> = listed["addresses"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["address"].as_str().unwrap(), one["reason"].as_str().unwrap()))
            .collect();
        assert_eq!(json!(listed), expected["suppressed"], "{name}, {order}");
        assert_eq!(json!(suppress("ses").stdout), expected["ses"], "{name}, {order}");
        lines.reverse();
    }
}
