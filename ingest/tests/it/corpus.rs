//! Every file in `fixtures/payloads` becomes the rows, notices and quarantine entries that the file of its name in
//! `fixtures/expected` tells. A new pair of files is a new test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bouncewatch_ingest::pipeline::{Settings, Source, Summary, run};
use bouncewatch_ingest::telemetry::metrics::Telemetry;
use bouncewatch_store::Store;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::stored::rows;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    shows: String,
    #[serde(default)]
    rows: Vec<Map<String, Value>>,
    #[serde(default)]
    ignored: BTreeMap<String, u64>,
    #[serde(default)]
    quarantined: Vec<String>,
}

fn fixtures(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(folder)
}

async fn ingest(payload: &Path, store: &Path) -> Summary {
    let (_keep, stop) = watch::channel(false);
    let settings = Settings { workers: 1, ..Settings::default() };
    let sources = vec![Source::Files(vec![payload.to_path_buf()])];
    run(
        sources,
        Store::in_folder(store).unwrap(),
        settings,
        Arc::new(|| 1_800_000_000_000),
        Arc::new(Telemetry::new()),
        stop,
    )
    .await
    .unwrap()
}

/// What is different, in words; nothing, where all is as expected.
async fn differences(payload: &Path, expected: &Expected) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let summary = ingest(payload, folder.path()).await;
    let mut wrong = Vec::new();
    let mut left = rows(folder.path()).await;
    let stored = left.len();
    for row in &expected.rows {
        let fits = |got: &Map<String, Value>| {
            row.iter().all(|(column, value)| got.get(column) == Some(value))
        };
        if let Some(at) = left.iter().position(fits) {
            left.swap_remove(at);
            continue;
        }
        let nearest = left
            .iter()
            .max_by_key(|got| row.iter().filter(|(c, v)| got.get(*c) == Some(*v)).count());
        let off: Vec<String> = row
            .iter()
            .filter(|(column, value)| nearest.and_then(|got| got.get(*column)) != Some(*value))
            .map(|(column, value)| {
                format!(
                    "{column}: expected {value}, got {:?}",
                    nearest.and_then(|got| got.get(column))
                )
            })
            .collect();
        wrong.push(format!("no row fits: {}", off.join("; ")));
    }
    if stored != expected.rows.len() {
        wrong.push(format!("{} rows, expected {}", stored, expected.rows.len()));
    }
    let ignored: BTreeMap<String, u64> = summary
        .counts
        .ignored
        .iter()
        .map(|(reason, count)| ((*reason).to_owned(), *count))
        .collect();
    if ignored != expected.ignored {
        wrong.push(format!("ignored {ignored:?}, expected {:?}", expected.ignored));
    }
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for reason in &expected.quarantined {
        *reasons.entry(reason).or_default() += 1;
    }
    if summary.counts.quarantined != reasons {
        wrong.push(format!("quarantined {:?}, expected {reasons:?}", summary.counts.quarantined));
    }
    wrong.extend(summary.failures);
    wrong
}

#[tokio::test]
async fn every_payload_becomes_what_is_expected() {
    let mut payloads: Vec<PathBuf> = std::fs::read_dir(fixtures("payloads"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    payloads.sort();
    assert!(payloads.len() >= 60, "only {} payloads", payloads.len());
    let mut failed = Vec::new();
    for payload in &payloads {
        let name = payload.file_name().unwrap().to_string_lossy();
        let name = name.split('.').next().unwrap();
        let text = std::fs::read(fixtures("expected").join(format!("{name}.json")))
            .unwrap_or_else(|error| panic!("{name} has no expected rows beside it: {error}"));
        let expected: Expected = serde_json::from_slice(&text).unwrap();
        let wrong = differences(payload, &expected).await;
        if !wrong.is_empty() {
            failed.push(format!("{name} ({}):\n  {}", expected.shows, wrong.join("\n  ")));
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {} payloads:\n{}",
        failed.len(),
        payloads.len(),
        failed.join("\n")
    );
}
