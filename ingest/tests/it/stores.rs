//! Looking after a store: what was written can be read, what cannot is named, and quarantine can be tried again.

use std::sync::Arc;
use std::time::Duration;

use bouncewatch_fixtures::traffic::{DEFAULT_END, Envelope, Options, Shuffle, Traffic};
use bouncewatch_ingest::pipeline::{
    BatchLimits, IngestError, Rules, Settings, Source, Summary, replay_quarantine, run,
};
use bouncewatch_ingest::telemetry::metrics::Telemetry;
use bouncewatch_schemas::table;
use bouncewatch_store::Store;
use bouncewatch_store::addresses::Addresses;
use bouncewatch_store::quarantine::list;
use bouncewatch_store::verify::{stats, verify};
use tokio::sync::watch;

use crate::gate::Gate;
use crate::queue::GIVE_UP;
use crate::server::nowhere;
use crate::stored::rows;

const SEND: &str = r#"{"eventType":"Send","mail":{"timestamp":"2026-11-19T10:00:00.000Z","messageId":"m1","destination":["a@example.org","b@example.org"]},"send":{}}"#;

pub(crate) async fn ingest(store: &Store, folder: &std::path::Path, text: &str) -> Summary {
    ingest_with(store, folder, text, Addresses::default()).await
}

pub(crate) async fn ingest_with(
    store: &Store,
    folder: &std::path::Path,
    text: &str,
    addresses: Addresses,
) -> Summary {
    let file = folder.join("in.ndjson");
    std::fs::write(&file, text).unwrap();
    let (_keep, stop) = watch::channel(false);
    let rules = Rules { addresses, ..Rules::default() };
    let settings = Settings { workers: 1, rules, ..Settings::default() };
    let clock = Arc::new(|| 1_800_000_000_000);
    run(
        vec![Source::Files(vec![file])],
        store.clone(),
        settings,
        clock,
        Arc::new(Telemetry::new()),
        stop,
    )
    .await
    .unwrap()
}

#[tokio::test]
async fn what_is_written_can_be_verified_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_folder(folder.path().join("store")).unwrap();
    ingest(&store, folder.path(), &format!("{SEND}\nbroken\n{SEND}\n")).await;
    let found = stats(&store).await.unwrap();
    assert_eq!((found.rows, found.quarantined), (4, 1));
    assert_eq!(found.rows_by_kind["send"], 4);
    assert_eq!(found.first_day.as_deref(), Some("2026-11-19"));
    let verified = verify(&store).await.unwrap();
    assert!(verified.problems.is_empty() && verified.unpublished.is_empty(), "{verified:?}");
}

/// Another worker takes what waits when the first one fails, so that a source that waits for room can end.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_leaves_no_source_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("in.ndjson");
    std::fs::write(&file, SEND).unwrap();
    let (gate, keeper) = Gate::new();
    let store = Store::in_objects(Arc::new(gate), "", "gate");
    let telemetry = Arc::new(Telemetry::new());
    // documents of few bytes, and more of them than may wait
    let sources = vec![Source::Files(vec![file; 2_000])];
    let limits =
        BatchLimits { rows_max: 1, age_max: Duration::from_hours(1), ..Default::default() };
    let settings = Settings { workers: 2, limits, ..Settings::default() };
    let (_keep, stop) = watch::channel(false);
    let clock = Arc::new(|| 1_800_000_000_000);
    let running = tokio::spawn(run(sources, store, settings, clock, Arc::clone(&telemetry), stop));
    // one is being stored, 1,024 wait, and one waits for room
    let is_full = async {
        while telemetry.received.get() < 1_026 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(GIVE_UP, is_full).await.expect("the source waits for room");
    drop(keeper);
    let ended = tokio::time::timeout(GIVE_UP, running).await.expect("the run ends").unwrap();
    assert!(matches!(ended, Err(IngestError::Store(_))), "{ended:?}");
}

#[tokio::test]
async fn what_cannot_be_trusted_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_folder(folder.path().join("store")).unwrap();
    ingest(&store, folder.path(), SEND).await;
    let good = store.segments(table::EVENTS).await.unwrap().remove(0);
    let good = folder.path().join("store").join(good.path.as_ref());
    let bytes = std::fs::read(&good).unwrap();
    let day = good.parent().unwrap();
    std::fs::write(day.join("cut.parquet"), &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(day.join("empty.parquet"), b"").unwrap();
    std::fs::write(day.join("left.parquet#1"), b"half").unwrap();
    let other = folder.path().join("store/events/date=1970-01-01");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::copy(&good, other.join("elsewhere.parquet")).unwrap();
    let verified = verify(&store).await.unwrap();
    let named: Vec<String> =
        verified.problems.iter().map(|p| p.path.rsplit('/').next().unwrap().to_owned()).collect();
    assert_eq!(named, ["elsewhere.parquet", "cut.parquet", "empty.parquet"], "{verified:?}");
    assert_eq!((verified.segments, verified.unpublished.len()), (1, 1));
}

#[tokio::test]
async fn quarantine_keeps_what_still_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_folder(folder.path().join("store")).unwrap();
    // twice, as an archive that is ingested twice
    for _ in 0..2 {
        ingest(&store, folder.path(), "broken one\nbroken two\n").await;
    }
    assert_eq!(list(&store).await.unwrap().len(), 2);
    let before = list(&store).await.unwrap();
    let counts =
        replay_quarantine(&store, nowhere(), Rules::default(), 1_800_000_100_000).await.unwrap();
    assert_eq!((counts.messages, counts.quarantined_total(), counts.rows), (2, 2, 0));
    assert_eq!(list(&store).await.unwrap(), before);
    assert_eq!(store.segments(table::QUARANTINE).await.unwrap().len(), 1);
}

#[tokio::test]
async fn replay_stores_what_can_be_read_now() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_folder(folder.path().join("store")).unwrap();
    ingest(&store, folder.path(), "broken\n").await;
    // an older version could not read this body
    let mut segment = bouncewatch_store::quarantine::QuarantineSegment::default();
    let reason = bouncewatch_ingest::decode::outcome::Reason::NotAnEvent.as_str();
    segment.push(SEND.as_bytes(), reason, "old", "queue", 1_800_000_000_000);
    segment.publish(&store, 1_800_000_000_000).await.unwrap();
    let counts =
        replay_quarantine(&store, nowhere(), Rules::default(), 1_800_000_100_000).await.unwrap();
    assert_eq!((counts.events, counts.rows, counts.quarantined_total()), (1, 2, 1));
    assert_eq!(list(&store).await.unwrap().len(), 1);
    assert_eq!(crate::stored::rows(&folder.path().join("store")).await.len(), 2);
}

/// A large batch is encoded day by day and portion by portion, a small one at once: a store holds the same.
#[tokio::test]
async fn rows_are_the_same_however_many_come_at_once() {
    for (days, shuffle) in [(1, Shuffle::Buffer(0)), (3, Shuffle::Buffer(0)), (40, Shuffle::All)] {
        let options =
            Options { events: 6_000, envelope: Envelope::Mixed, shuffle, ..Options::default() };
        let options = options.spanning(DEFAULT_END, days);
        let events: Vec<String> = Traffic::new(&options).unwrap().collect();
        let mut stored = Vec::new();
        for at_once in [events.len(), 1_000] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("store");
            let store = Store::in_folder(path.clone()).unwrap();
            for part in events.chunks(at_once) {
                ingest(&store, folder.path(), &part.join("\n")).await;
            }
            let rows = rows(&path).await.into_iter().map(|mut row| {
                row.remove(table::ORIGIN);
                serde_json::to_string(&row).unwrap()
            });
            let mut rows: Vec<String> = rows.collect();
            rows.sort();
            assert_eq!(verify(&store).await.unwrap().problems.len(), 0);
            stored.push(rows);
        }
        assert!(stored[0].len() >= 6_000);
        assert!(stored[0] == stored[1], "{days} days");
    }
}
