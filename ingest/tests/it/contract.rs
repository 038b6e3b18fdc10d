//! What every store promises, in a folder and in a bucket on a real server alike.

use bouncewatch_ingest::decode::outcome::Reason;
use bouncewatch_ingest::pipeline::{Rules, Source, replay_quarantine};
use bouncewatch_schemas::table;
use bouncewatch_store::Store;
use bouncewatch_store::quarantine::{QuarantineSegment, list};
use bouncewatch_store::verify::{stats, verify};

use crate::server::{ingest, nowhere, sends, server};

const NOW: i64 = 1_800_000_000_000;

/// Takes a text into a store, as a file.
async fn take(store: &Store, text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("in.ndjson");
    std::fs::write(&file, text).unwrap();
    let summary = ingest(vec![Source::Files(vec![file])], store, false).await;
    assert!(summary.failures.is_empty(), "{summary:?}");
}

/// All promises; `neighbour` is a store whose name begins as the first one's does.
async fn suite(store: Store, neighbour: Store) {
    assert!(store.segments(table::EVENTS).await.unwrap().is_empty());
    let later = sends("later", 3).replace("2026-11-19", "2026-11-20");
    take(&store, &(sends("early", 2) + "broken\n" + &later)).await;
    take(&store, &sends("again", 4)).await;

    // what was published is listed, in order of days
    let segments = store.segments(table::EVENTS).await.unwrap();
    let days: Vec<i64> = segments.iter().map(|segment| segment.day).collect();
    assert_eq!(days, [20_776, 20_776, 20_777]);
    assert!(segments.is_sorted());
    assert!(segments.iter().all(|segment| segment.bytes > 0 && segment.published_at > NOW / 2));

    // and can be read, counted and verified
    let found = stats(&store).await.unwrap();
    assert_eq!((found.segments, found.rows, found.quarantined), (3, 9, 1));
    assert_eq!(found.bytes, segments.iter().map(|segment| segment.bytes).sum::<u64>());
    assert_eq!(found.rows_by_day["2026-11-20"], 3);
    let verified = verify(&store).await.unwrap();
    assert!(verified.problems.is_empty() && verified.unpublished.is_empty(), "{verified:?}");
    assert_eq!((verified.segments, verified.rows), (4, 10));

    // what is none of its segments is named
    let path = store.publish(table::EVENTS, 20_776, NOW, b"PAR1 no table".to_vec()).await.unwrap();
    let verified = verify(&store).await.unwrap();
    let [problem] = verified.problems.as_slice() else { panic!("{verified:?}") };
    assert!(problem.path.starts_with(store.shown()), "{problem:?}");
    assert!(problem.path.ends_with(path.filename().unwrap()), "{problem:?}");

    quarantine(&store).await;

    // the neighbour saw nothing of all this, and is not seen
    take(&neighbour, &sends("beside", 5)).await;
    assert_eq!(stats(&neighbour).await.unwrap().rows, 5);
    assert_eq!(store.segments(table::EVENTS).await.unwrap().len(), 5);
}

/// What is in quarantine stays until it can be read, and is removed when it was.
async fn quarantine(store: &Store) {
    let mut segment = QuarantineSegment::default();
    let (reason, detail) = (Reason::NotAnEvent.as_str(), "an older version could not read it");
    segment.push(sends("old", 1).as_bytes(), reason, detail, "queue", NOW - 1);
    segment.publish(store, NOW).await.unwrap();
    assert_eq!(list(store).await.unwrap().len(), 2);
    let counts = replay_quarantine(store, nowhere(), Rules::default(), NOW + 1).await.unwrap();
    assert_eq!((counts.messages, counts.rows, counts.quarantined_total()), (2, 1, 1));
    let left = list(store).await.unwrap();
    assert_eq!(left.iter().map(|entry| entry.body.as_slice()).collect::<Vec<_>>(), [b"broken"]);
    assert_eq!(store.segments(table::QUARANTINE).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| Store::in_folder(folder.path().join(name)).unwrap();
    suite(open("store one"), open("store one more")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket() {
    let (_server, buckets) = server("stores");
    let objects = buckets.open("stores").unwrap();
    let open =
        |name: &str| Store::in_objects(objects.clone(), name, &format!("s3://stores/{name}"));
    suite(open("deep/store one"), open("deep/store one more")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_may_be_a_whole_bucket() {
    let (_server, buckets) = server("root");
    let store = Store::in_objects(buckets.open("root").unwrap(), "", "s3://root");
    take(&store, &sends("root", 2)).await;
    assert_eq!(stats(&store).await.unwrap().rows, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_follows_what_a_body_points_to() {
    let (server, buckets) = server("archive");
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_folder(folder.path()).unwrap();
    let pointer = |key: &str| {
        format!(
            r#"{{"Records":[{{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{{"bucket":{{"name":"archive"}},"object":{{"key":"{key}"}}}}}}]}}{}"#,
            "\n"
        )
    };
    // a file is not followed
    take(&store, &(pointer("a+b") + &pointer("late") + &sends("beside", 1))).await;
    let reasons = async || -> Vec<String> {
        list(&store).await.unwrap().into_iter().map(|entry| entry.reason).collect()
    };
    assert_eq!(reasons().await, ["object_notification", "object_notification"]);
    server.put_object("archive", "a b", sends("a", 3).as_bytes()).unwrap();
    let counts =
        replay_quarantine(&store, buckets.clone(), Rules::default(), NOW + 1).await.unwrap();
    assert_eq!((counts.messages, counts.rows, counts.quarantined_total()), (2, 3, 1));
    assert_eq!(reasons().await, ["object_missing"]);
    server.put_object("archive", "late", sends("late", 2).as_bytes()).unwrap();
    let counts = replay_quarantine(&store, buckets, Rules::default(), NOW + 2).await.unwrap();
    assert_eq!((counts.messages, counts.rows, counts.quarantined_total()), (1, 2, 0));
    assert!(reasons().await.is_empty());
    assert_eq!(stats(&store).await.unwrap().rows, 6);
}
