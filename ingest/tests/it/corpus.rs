//! Ingests each file of `fixtures/payloads` and compares rows, ignored and quarantined documents with the file of the
//! same name in `fixtures/expected`. A new pair of files is a new test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bouncewatch_ingest::pipeline::{IngestSettings, IngestSummary, Source, run};
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

async fn ingest(payload: &Path, store: &Path) -> IngestSummary {
    let (_keep, stop) = watch::channel(false);
    let settings = IngestSettings { workers: 1, ..IngestSettings::default() };
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

/// Descriptions of all differences from the expected result.
async fn differences(payload: &Path, expected: &Expected) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let summary = ingest(payload, folder.path()).await;
    let mut differences = Vec::new();
    let mut remaining = rows(folder.path()).await;
    let stored = remaining.len();
    for row in &expected.rows {
        let matches = |got: &Map<String, Value>| {
            row.iter().all(|(column, value)| got.get(column) == Some(value))
        };
        if let Some(at) = remaining.iter().position(matches) {
            remaining.swap_remove(at);
            continue;
        }
        let nearest = remaining
            .iter()
            .max_by_key(|got| row.iter().filter(|(c, v)| got.get(*c) == Some(*v)).count());
        let mismatches: Vec<String> = row
            .iter()
            .filter(|(column, value)| nearest.and_then(|got| got.get(*column)) != Some(*value))
            .map(|(column, value)| {
                format!(
                    "{column}: expected {value}, got {:?}",
                    nearest.and_then(|got| got.get(column))
                )
            })
            .collect();
        differences.push(format!("no matching row: {}", mismatches.join("; ")));
    }
    if stored != expected.rows.len() {
        differences.push(format!("{} rows, expected {}", stored, expected.rows.len()));
    }
    let ignored: BTreeMap<String, u64> = summary
        .counts
        .ignored
        .iter()
        .map(|(reason, count)| ((*reason).to_owned(), *count))
        .collect();
    if ignored != expected.ignored {
        differences.push(format!("ignored {ignored:?}, expected {:?}", expected.ignored));
    }
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for reason in &expected.quarantined {
        *reasons.entry(reason).or_default() += 1;
    }
    if summary.counts.quarantined != reasons {
        differences
            .push(format!("quarantined {:?}, expected {reasons:?}", summary.counts.quarantined));
    }
    differences.extend(summary.failures);
    differences
}

#[tokio::test]
async fn every_payload_has_the_expected_rows_and_counts() {
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
        let text = std::fs::read(fixtures("expected").join(format!("{name}.json"))).unwrap_or_else(
            |error| panic!("{name}: fixtures/expected/{name}.json is not readable: {error}"),
        );
        let expected: Expected = serde_json::from_slice(&text).unwrap();
        let differences = differences(payload, &expected).await;
        if !differences.is_empty() {
            failed.push(format!("{name} ({}):\n  {}", expected.shows, differences.join("\n  ")));
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
