//! Behaviour that every store has, in a folder and in a bucket of a real server.

use bouncewatch_ingest::decode::outcome::QuarantineReason;
use bouncewatch_ingest::pipeline::{IntakeRules, Source};
use bouncewatch_ingest::replay::replay_quarantine;
use bouncewatch_schemas::table;
use bouncewatch_store::Store;
use bouncewatch_store::quarantine::{QuarantineSegment, list};
use bouncewatch_store::stats::stats;
use bouncewatch_store::verify::verify;

use crate::s3_server::{ingest, sends, server, unreachable_buckets};
use crate::test_store::NOW;

/// Ingests a text as one file.
async fn ingest_text(store: &Store, text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("in.ndjson");
    std::fs::write(&file, text).unwrap();
    let summary = ingest(vec![Source::Files(vec![file])], store, false).await;
    assert!(summary.failures.is_empty(), "{summary:?}");
}

/// Checks the contract. The name of `neighbour` starts with the name of `store`.
async fn check_contract(store: Store, neighbour: Store) {
    assert!(store.segments(table::EVENTS).await.unwrap().is_empty());
    let later = sends("later", 3).replace("2026-11-19", "2026-11-20");
    ingest_text(&store, &(sends("early", 2) + "broken\n" + &later)).await;
    ingest_text(&store, &sends("again", 4)).await;

    // segments are listed in order of days
    let segments = store.segments(table::EVENTS).await.unwrap();
    let days: Vec<i64> = segments.iter().map(|segment| segment.day).collect();
    assert_eq!(days, [20_776, 20_776, 20_777]);
    assert!(segments.is_sorted());
    assert!(segments.iter().all(|segment| segment.bytes > 0 && segment.published_at > NOW / 2));

    // segments can be counted and verified
    let found = stats(&store).await.unwrap();
    assert_eq!((found.segments, found.rows, found.quarantined), (3, 9, 1));
    assert_eq!(found.bytes, segments.iter().map(|segment| segment.bytes).sum::<u64>());
    assert_eq!(found.rows_by_day["2026-11-20"], 3);
    let report = verify(&store).await.unwrap();
    assert!(report.problems.is_empty() && report.unpublished.is_empty(), "{report:?}");
    assert_eq!((report.segments, report.rows), (4, 10));

    // an invalid segment is reported
    let path = store.publish(table::EVENTS, 20_776, NOW, b"PAR1 no table".to_vec()).await.unwrap();
    let report = verify(&store).await.unwrap();
    let [problem] = report.problems.as_slice() else { panic!("{report:?}") };
    assert!(problem.path.starts_with(store.name()), "{problem:?}");
    assert!(problem.path.ends_with(path.filename().unwrap()), "{problem:?}");

    check_quarantine(&store).await;

    // the stores do not see each other's segments
    ingest_text(&neighbour, &sends("beside", 5)).await;
    assert_eq!(stats(&neighbour).await.unwrap().rows, 5);
    assert_eq!(store.segments(table::EVENTS).await.unwrap().len(), 5);
}

/// A quarantined document stays until it can be read, and is removed then.
async fn check_quarantine(store: &Store) {
    let mut segment = QuarantineSegment::default();
    let (reason, detail) =
        (QuarantineReason::NotAnEvent.as_str(), "an older version could not read it");
    segment.push(sends("old", 1).as_bytes(), reason, detail, "queue", NOW - 1);
    segment.publish(store, NOW).await.unwrap();
    assert_eq!(list(store).await.unwrap().len(), 2);
    let counts = replay_quarantine(store, unreachable_buckets(), IntakeRules::default(), NOW + 1)
        .await
        .unwrap();
    assert_eq!((counts.messages, counts.rows, counts.quarantined_total()), (2, 1, 1));
    let left = list(store).await.unwrap();
    assert_eq!(left.iter().map(|entry| entry.body.as_slice()).collect::<Vec<_>>(), [b"broken"]);
    assert_eq!(store.segments(table::QUARANTINE).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_in_a_folder_fulfils_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| Store::in_folder(folder.path().join(name)).unwrap();
    check_contract(open("store one"), open("store one more")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_below_a_prefix_of_a_bucket_fulfils_the_contract() {
    let (_server, buckets) = server("stores");
    let objects = buckets.open("stores").await.unwrap();
    let open =
        |name: &str| Store::in_objects(objects.clone(), name, &format!("s3://stores/{name}"));
    check_contract(open("deep/store one"), open("deep/store one more")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_at_the_root_of_a_bucket_works() {
    let (_server, buckets) = server("root");
    let store = Store::in_objects(buckets.open("root").await.unwrap(), "", "s3://root");
    ingest_text(&store, &sends("root", 2)).await;
    assert_eq!(stats(&store).await.unwrap().rows, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_follows_object_notifications() {
    let (server, buckets) = server("archive");
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_folder(folder.path()).unwrap();
    let notification = |key: &str| {
        format!(
            r#"{{"Records":[{{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{{"bucket":{{"name":"archive"}},"object":{{"key":"{key}"}}}}}}]}}{}"#,
            "\n"
        )
    };
    // notifications in a file are not followed
    ingest_text(&store, &(notification("a+b") + &notification("late") + &sends("beside", 1))).await;
    let reasons = async || -> Vec<String> {
        list(&store).await.unwrap().into_iter().map(|entry| entry.reason).collect()
    };
    assert_eq!(reasons().await, ["object_notification", "object_notification"]);
    server.put_object("archive", "a b", sends("a", 3).as_bytes()).unwrap();
    let counts =
        replay_quarantine(&store, buckets.clone(), IntakeRules::default(), NOW + 1).await.unwrap();
    assert_eq!((counts.messages, counts.rows, counts.quarantined_total()), (2, 3, 1));
    assert_eq!(reasons().await, ["object_missing"]);
    server.put_object("archive", "late", sends("late", 2).as_bytes()).unwrap();
    let counts = replay_quarantine(&store, buckets, IntakeRules::default(), NOW + 2).await.unwrap();
    assert_eq!((counts.messages, counts.rows, counts.quarantined_total()), (1, 2, 0));
    assert!(reasons().await.is_empty());
    assert_eq!(stats(&store).await.unwrap().rows, 6);
}
