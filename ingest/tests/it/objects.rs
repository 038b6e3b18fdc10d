//! S3 objects on a real server: all objects below a prefix are read, and a failed object does not stop the others.

use std::collections::BTreeMap;
use std::io::Write;

use bouncewatch_ingest::pipeline::Source;
use bouncewatch_ingest::source::objects::Objects;
use bouncewatch_store::Store;
use futures::TryStreamExt;

use crate::s3_server::{ingest, sends, server};
use crate::stored::rows;

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Number of rows by origin.
async fn origins(store: &std::path::Path) -> BTreeMap<String, usize> {
    let mut origins = BTreeMap::new();
    for row in rows(store).await {
        *origins.entry(row["origin"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    origins
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_objects_below_a_prefix_are_read_and_no_others() {
    let (server, buckets) = server("archive");
    let members = [gzip(&sends("b", 2)), gzip(&sends("c", 3))].concat();
    let truncated = gzip(&sends("d", 5_000));
    for (key, content) in [
        ("ses/one.ndjson", sends("a", 1).into_bytes()),
        ("ses/2026/11/19/a b+ü.gz", members),
        ("ses/2026/zstd", zstd::encode_all(sends("e", 4).as_bytes(), 1).unwrap()),
        ("ses/2026/cut.gz", truncated[..truncated.len() / 2].to_vec()),
        ("ses/2026/table.parquet", b"PAR1....PAR1".to_vec()),
        ("ses/2026/", Vec::new()),
        ("ses/empty", Vec::new()),
        ("ses-not/other", sends("f", 7).into_bytes()),
    ] {
        server.put_object("archive", key, &content).unwrap();
    }
    for address in ["s3://archive/ses", "s3://archive/ses/"] {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path()).unwrap();
        let objects = Objects::open(&buckets, address, None).await.unwrap();
        let mut summary = ingest(vec![Source::Objects(Box::new(objects))], &store, false).await;
        summary.failures.sort();
        assert!(!summary.interrupted);
        let [unsupported, truncated] = summary.failures.as_slice() else { panic!("{summary:?}") };
        assert!(
            truncated.starts_with("could not read `s3://archive/ses/2026/cut.gz` beyond byte")
                && unsupported
                    .starts_with("`s3://archive/ses/2026/table.parquet` is a Parquet file"),
            "{summary:?}"
        );
        let mut rows_by_origin = origins(folder.path()).await;
        // the documents before the end of the truncated file are stored
        assert!(
            rows_by_origin.remove("s3://archive/ses/2026/cut.gz").is_some_and(|rows| rows > 100)
        );
        let expected = [
            ("s3://archive/ses/2026/11/19/a b+ü.gz", 5),
            ("s3://archive/ses/2026/zstd", 4),
            ("s3://archive/ses/one.ndjson", 1),
        ];
        let expected = expected.map(|(name, rows)| (name.to_owned(), rows)).into();
        assert_eq!(rows_by_origin, expected, "{address}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn object_of_several_parts_is_read_to_the_end() {
    let (server, buckets) = server("archive");
    let text = sends("large", 60_000);
    assert!(text.len() > 8 * 1024 * 1024);
    server.put_object("archive", "large.ndjson", text.as_bytes()).unwrap();
    server.put_object("archive", "large.ndjson.more", text.as_bytes()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_folder(folder.path()).unwrap();
    let objects = Objects::open(&buckets, "s3://archive/large.ndjson", None).await.unwrap();
    let summary = ingest(vec![Source::Objects(Box::new(objects))], &store, false).await;
    assert!(summary.failures.is_empty(), "{summary:?}");
    assert_eq!((summary.counts.messages, summary.counts.rows), (60_000, 60_000));
    assert!(
        rows(folder.path())
            .await
            .iter()
            .all(|row| { row["origin"] == "s3://archive/large.ndjson" })
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_modified_before_since_are_skipped() {
    let (server, buckets) = server("archive");
    let listed = buckets.open("archive").await.unwrap();
    let modified = async |key: &str| {
        let metas: Vec<_> = listed.list(None).try_collect().await.unwrap();
        let meta = metas.iter().find(|meta| meta.location.as_ref() == key).unwrap();
        meta.last_modified.timestamp_millis()
    };
    server.put_object("archive", "a/old", sends("old", 3).as_bytes()).unwrap();
    let old = modified("a/old").await;
    // the modification time of the server has a coarse resolution
    let mut new = old;
    while new == old {
        server.put_object("archive", "a/new", sends("new", 2).as_bytes()).unwrap();
        new = modified("a/new").await;
    }
    for (since, expected) in [(None, 5), (Some(old), 5), (Some(new), 2), (Some(new + 1), 0)] {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path()).unwrap();
        let objects = Objects::open(&buckets, "s3://archive/a", since).await.unwrap();
        let summary = ingest(vec![Source::Objects(Box::new(objects))], &store, false).await;
        assert!(summary.failures.is_empty());
        assert_eq!(summary.counts.rows, expected, "{since:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_and_missing_addresses_fail_at_open() {
    let (server, buckets) = server("archive");
    server.put_object("archive", "a/b", b"x").unwrap();
    for (address, message) in [
        ("s3://archive/missing", "no object at `s3://archive/missing` or below it"),
        ("s3://archive/a/b/", "no object at `s3://archive/a/b/`"),
        ("s3://nowhere/a", "could not list `s3://nowhere/a`: no such bucket\n  hint: "),
        ("s3://archive//a", "not an object or a prefix in S3: `s3://archive//a`"),
        ("s3://", "not an object or a prefix in S3: `s3://`"),
    ] {
        let error = Objects::open(&buckets, address, None).await.unwrap_err().to_string();
        assert!(error.starts_with(message), "{address}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_run_reads_no_object() {
    let (server, buckets) = server("archive");
    server.put_object("archive", "a/b", sends("a", 3).as_bytes()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_folder(folder.path()).unwrap();
    let objects = Objects::open(&buckets, "s3://archive", None).await.unwrap();
    let summary = ingest(vec![Source::Objects(Box::new(objects))], &store, true).await;
    assert!(summary.interrupted && summary.failures.is_empty(), "{summary:?}");
    assert_eq!(summary.counts.rows, 0);
}
