//! Counting, verifying and replaying a store, and ingestion when the store fails.

use std::sync::Arc;
use std::time::Duration;

use bouncewatch_fixtures::traffic::{DEFAULT_END, Envelope, Options, Shuffle, Traffic};
use bouncewatch_ingest::decode::outcome::QuarantineReason;
use bouncewatch_ingest::pipeline::{
    BatchLimits, IngestError, IngestSettings, IntakeRules, Source, run,
};
use bouncewatch_ingest::replay::replay_quarantine;
use bouncewatch_ingest::telemetry::metrics::Telemetry;
use bouncewatch_schemas::table;
use bouncewatch_store::Store;
use bouncewatch_store::quarantine::list;
use bouncewatch_store::stats::stats;
use bouncewatch_store::verify::verify;
use tokio::sync::watch;

use crate::blocking_store::BlockingStore;
use crate::queue::RUN_TIMEOUT;
use crate::s3_server::unreachable_buckets;
use crate::test_store::{NOW, TestStore};

const SEND: &str = r#"{"eventType":"Send","mail":{"timestamp":"2026-11-19T10:00:00.000Z","messageId":"m1","destination":["a@example.org","b@example.org"]},"send":{}}"#;

#[tokio::test]
async fn stats_counts_and_verify_accepts_what_ingest_wrote() {
    let test = TestStore::new();
    test.ingest(&format!("{SEND}\nbroken\n{SEND}\n")).await;
    let found = stats(&test.store).await.unwrap();
    assert_eq!((found.rows, found.quarantined), (4, 1));
    assert_eq!(found.rows_by_kind["send"], 4);
    assert_eq!(found.first_day.as_deref(), Some("2026-11-19"));
    test.assert_verified().await;
}

/// When one worker fails, another one drains the queue, so that a source blocked by a full queue can end.
#[tokio::test(flavor = "multi_thread")]
async fn run_ends_with_an_error_when_the_store_fails_and_the_queue_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("in.ndjson");
    std::fs::write(&file, SEND).unwrap();
    let (gate, opener) = BlockingStore::new();
    let store = Store::in_objects(Arc::new(gate), "", "gate");
    let telemetry = Arc::new(Telemetry::new());
    // small documents, more than fit into the queue
    let sources = vec![Source::Files(vec![file; 2_000])];
    let limits =
        BatchLimits { rows_max: 1, age_max: Duration::from_hours(1), ..Default::default() };
    let settings = IngestSettings { workers: 2, limits, ..IngestSettings::default() };
    let (_keep, stop) = watch::channel(false);
    let clock = Arc::new(|| NOW);
    let running = tokio::spawn(run(sources, store, settings, clock, Arc::clone(&telemetry), stop));
    // one is being stored, 1,024 are queued, and one is blocked
    let is_full = async {
        while telemetry.received.get() < 1_026 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(RUN_TIMEOUT, is_full).await.expect("the source is blocked");
    drop(opener);
    let ended = tokio::time::timeout(RUN_TIMEOUT, running).await.expect("the run ends").unwrap();
    assert!(matches!(ended, Err(IngestError::Store(_))), "{ended:?}");
}

#[tokio::test]
async fn verify_reports_damaged_misplaced_and_staged_files() {
    let test = TestStore::new();
    test.ingest(SEND).await;
    let good = test.store.segments(table::EVENTS).await.unwrap().remove(0);
    let good = test.path().join(good.path.as_ref());
    let bytes = std::fs::read(&good).unwrap();
    let day = good.parent().unwrap();
    std::fs::write(day.join("cut.parquet"), &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(day.join("empty.parquet"), b"").unwrap();
    std::fs::write(day.join("left.parquet#1"), b"half").unwrap();
    let other = test.path().join("events/date=1970-01-01");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::copy(&good, other.join("elsewhere.parquet")).unwrap();
    let report = verify(&test.store).await.unwrap();
    let name = |path: &str| path.rsplit('/').next().unwrap().to_owned();
    let names: Vec<String> = report.problems.iter().map(|problem| name(&problem.path)).collect();
    assert_eq!(names, ["elsewhere.parquet", "cut.parquet", "empty.parquet"], "{report:?}");
    assert_eq!((report.segments, report.unpublished.len()), (1, 1));
}

#[tokio::test]
async fn replay_keeps_documents_that_still_cannot_be_read() {
    let test = TestStore::new();
    // twice, as when an archive is ingested again
    for _ in 0..2 {
        test.ingest("broken one\nbroken two\n").await;
    }
    let before = list(&test.store).await.unwrap();
    assert_eq!(before.len(), 2);
    let counts =
        replay_quarantine(&test.store, unreachable_buckets(), IntakeRules::default(), NOW + 1)
            .await
            .unwrap();
    assert_eq!((counts.messages, counts.quarantined_total(), counts.rows), (2, 2, 0));
    assert_eq!(list(&test.store).await.unwrap(), before);
    assert_eq!(test.store.segments(table::QUARANTINE).await.unwrap().len(), 1);
}

#[tokio::test]
async fn replay_stores_documents_that_can_be_read_now() {
    let test = TestStore::new();
    test.ingest("broken\n").await;
    // a document that an older version could not read
    test.quarantine(SEND, QuarantineReason::NotAnEvent.as_str(), NOW).await;
    let counts =
        replay_quarantine(&test.store, unreachable_buckets(), IntakeRules::default(), NOW + 1)
            .await
            .unwrap();
    assert_eq!((counts.events, counts.rows, counts.quarantined_total()), (1, 2, 1));
    assert_eq!(list(&test.store).await.unwrap().len(), 1);
    assert_eq!(test.rows().await.len(), 2);
}

/// A large batch is encoded in portions, a small one at once.
#[tokio::test]
async fn stored_rows_do_not_depend_on_the_batch_size() {
    for (days, shuffle) in [(1, Shuffle::Buffer(0)), (3, Shuffle::Buffer(0)), (40, Shuffle::All)] {
        let options =
            Options { events: 6_000, envelope: Envelope::Mixed, shuffle, ..Options::default() };
        let options = options.spanning(DEFAULT_END, days);
        let events: Vec<String> = Traffic::new(&options).unwrap().collect();
        let mut stored = Vec::new();
        for batch in [events.len(), 1_000] {
            let test = TestStore::new();
            for part in events.chunks(batch) {
                test.ingest(&part.join("\n")).await;
            }
            let rows = test.rows().await.into_iter().map(|mut row| {
                row.remove(table::ORIGIN);
                serde_json::to_string(&row).unwrap()
            });
            let mut rows: Vec<String> = rows.collect();
            rows.sort();
            test.assert_verified().await;
            stored.push(rows);
        }
        assert!(stored[0].len() >= 6_000);
        assert!(stored[0] == stored[1], "{days} days");
    }
}
