//! A store in a temporary folder, and ingestion of text into it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bouncewatch_ingest::pipeline::{IngestSettings, IngestSummary, IntakeRules, Source, run};
use bouncewatch_ingest::telemetry::metrics::Telemetry;
use bouncewatch_store::Store;
use bouncewatch_store::addresses::AddressRedactor;
use bouncewatch_store::quarantine::QuarantineSegment;
use bouncewatch_store::verify::verify;
use serde_json::{Map, Value};
use tokio::sync::watch;

/// Time of every ingestion: 2027-01-15 08:00 UTC, long after all events.
pub(crate) const NOW: i64 = 1_800_000_000_000;

pub(crate) struct TestStore {
    folder: tempfile::TempDir,
    pub(crate) store: Store,
}

impl TestStore {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path().join("store")).unwrap();
        Self { folder, store }
    }

    /// Folder of the store.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// A folder beside the store.
    pub(crate) fn outside(&self) -> &Path {
        self.folder.path()
    }

    /// Ingests a text as one file.
    pub(crate) async fn ingest(&self, events: &str) -> IngestSummary {
        self.ingest_with(events, AddressRedactor::default()).await
    }

    pub(crate) async fn ingest_with(
        &self,
        events: &str,
        addresses: AddressRedactor,
    ) -> IngestSummary {
        let file = self.folder.path().join("in.ndjson");
        std::fs::write(&file, events).unwrap();
        let (_keep, stop) = watch::channel(false);
        let rules = IntakeRules { addresses, ..IntakeRules::default() };
        let settings = IngestSettings { workers: 1, rules, ..IngestSettings::default() };
        run(
            vec![Source::Files(vec![file])],
            self.store.clone(),
            settings,
            Arc::new(|| NOW),
            Arc::new(Telemetry::new()),
            stop,
        )
        .await
        .unwrap()
    }

    /// Publishes a document to the quarantine.
    pub(crate) async fn quarantine(&self, body: &str, reason: &str, received_at: i64) {
        let mut segment = QuarantineSegment::default();
        segment.push(body.as_bytes(), reason, "detail", "queue", received_at);
        segment.publish(&self.store, received_at).await.unwrap();
    }

    /// All rows of the event table.
    pub(crate) async fn rows(&self) -> Vec<Map<String, Value>> {
        crate::stored::rows(&self.path()).await
    }

    /// The first folder of a day of the event table.
    pub(crate) fn first_day_folder(&self) -> PathBuf {
        let mut folders = std::fs::read_dir(self.path().join("events")).unwrap();
        folders.next().unwrap().unwrap().path()
    }

    pub(crate) async fn assert_verified(&self) {
        let report = verify(&self.store).await.unwrap();
        assert!(report.problems.is_empty() && report.unpublished.is_empty(), "{report:?}");
    }
}
