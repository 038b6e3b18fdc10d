//! Every reader refuses segments of a newer format version, and leaves them unchanged.

use std::path::{Path, PathBuf};

use bouncewatch_ingest::pipeline::IntakeRules;
use bouncewatch_ingest::replay::replay_quarantine;
use bouncewatch_ingest::send_counts::import_csv;
use bouncewatch_schemas::send_counts::{SEND_COUNTS, SendCountRow, SendCountValues};
use bouncewatch_schemas::table;
use bouncewatch_store::addresses::AddressRedactor;
use bouncewatch_store::compact::{CompactLimits, CompactSettings, compact};
use bouncewatch_store::forget::forget;
use bouncewatch_store::quarantine::list;
use bouncewatch_store::retain::{RetainSettings, retain};
use bouncewatch_store::send_counts::{publish, read_all};
use bouncewatch_store::stats::stats;
use bouncewatch_store::verify::verify;
use bouncewatch_store::{Problem, check_segment_file};

use crate::s3_server::{sends, unreachable_buckets};
use crate::test_store::{NOW, TestStore};

const NEWER: &str = "format version 9 is newer than version 2";

/// Returns the position after the last occurrence of a text.
fn position_after(bytes: &[u8], text: &str) -> usize {
    let mut windows = bytes.windows(text.len());
    windows.rposition(|window| window == text.as_bytes()).unwrap() + text.len()
}

/// Changes the format version in the footer of a file from 2 to 9, and the kind of the checksum: with a checksum that this
/// release knows, it would be a damaged file of version 2.
fn make_newer(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = position_after(&bytes, table::VERSION_KEY);
    // Thrift compact protocol: field 2 of type binary, 1 byte long
    assert_eq!(bytes[at..at + 3], [0x18, 1, b'2']);
    bytes[at + 2] = b'9';
    let kind = position_after(&bytes, "xxh3");
    bytes[kind - 1] = b'9';
    std::fs::write(path, bytes).unwrap();
}

/// A store with segments of a newer version: one of events, one of the quarantine, two of send counts.
async fn newer_store() -> (TestStore, Vec<PathBuf>) {
    let test = TestStore::new();
    test.ingest(&(sends("m", 2) + "broken\n")).await;
    for attempts in [1, 2] {
        let row = SendCountRow {
            begin: NOW - 86_400_000,
            end: NOW - 1,
            account: None,
            region: None,
            scope: std::collections::BTreeMap::new(),
            counts: SendCountValues { attempts, ..SendCountValues::default() },
            received_at: NOW,
            origin: "a.csv".to_owned(),
        };
        publish(&test.store, &[row], NOW).await.unwrap();
    }
    let mut segments = test.store.segments(table::EVENTS).await.unwrap();
    segments.extend(test.store.segments(table::QUARANTINE).await.unwrap());
    segments.extend(test.store.send_count_files().await.unwrap());
    let files = segments.iter().map(|segment| test.path().join(segment.path.as_ref()));
    let files: Vec<PathBuf> = files.collect();
    assert_eq!(files.len(), 4);
    for file in &files {
        make_newer(file);
    }
    (test, files)
}

/// Number of files that are refused as newer.
fn newer(problems: &[Problem]) -> usize {
    problems.iter().filter(|problem| problem.problem.contains(NEWER)).count()
}

#[tokio::test]
async fn every_reader_refuses_a_newer_format_version() {
    let (test, files) = newer_store().await;
    let store = &test.store;
    let before: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();

    let error = stats(store).await.unwrap_err().to_string();
    assert!(error.contains(NEWER), "{error}");
    let report = verify(store).await.unwrap();
    assert_eq!((newer(&report.problems), report.segments), (4, 0), "{report:?}");

    let limits = CompactLimits::default();
    for dry_run in [true, false] {
        let settings = CompactSettings { grace_ms: 0, until_day: None, dry_run, limits };
        let report = compact(store, &settings, NOW + 86_400_000).await.unwrap();
        // the first file of send counts ends the merge of that table
        assert_eq!((newer(&report.problems), report.days.len()), (3, 0), "{report:?}");
        assert!(report.volumes.is_none(), "{report:?}");
        let days = Some(-2);
        let settings = RetainSettings {
            days,
            quarantine_days: days,
            volume_days: days,
            dry_run,
            ..RetainSettings::default()
        };
        let report = retain(store, &settings, NOW).await.unwrap();
        assert_eq!((newer(&report.problems), report.days, report.bodies), (4, 0, 0), "{report:?}");
    }

    // also for an address that is in no file
    for address in ["user0@example.org", "jane@example.com"] {
        let report = forget(store, address, &AddressRedactor::default(), NOW).await.unwrap();
        assert_eq!((newer(&report.problems), report.rows), (4, 0), "{report:?}");
    }

    let error = list(store).await.unwrap_err().to_string();
    assert!(error.contains(NEWER), "{error}");
    let error = replay_quarantine(store, unreachable_buckets(), IntakeRules::default(), NOW)
        .await
        .unwrap_err();
    assert!(error.to_string().contains(NEWER), "{error}");

    let error = read_all(store).await.unwrap_err().to_string();
    assert!(error.contains(NEWER), "{error}");
    let file = test.outside().join("counts.csv");
    std::fs::write(&file, "from,to,attempts\n2026-11-01,2026-11-02,1\n").unwrap();
    let error = import_csv(store, &file, None, NOW).await.unwrap_err().to_string();
    assert!(error.contains(NEWER), "{error}");

    let error = check_segment_file(&files[0], table::EVENTS).unwrap_err().to_string();
    assert!(error.contains(NEWER), "{error}");

    let after: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(after == before, "a file was changed");
}

#[tokio::test]
async fn segment_of_another_table_is_refused() {
    let test = TestStore::new();
    test.ingest("broken\n").await;
    let segment = test.store.segments(table::QUARANTINE).await.unwrap().remove(0);
    let from = test.path().join(segment.path.as_ref());
    let folder = test.path().join("events/date=2027-01-15");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("a.parquet");
    std::fs::copy(&from, &path).unwrap();
    let report = verify(&test.store).await.unwrap();
    let [problem] = report.problems.as_slice() else { panic!("{report:?}") };
    assert!(problem.problem.contains("it belongs to table `quarantine`"), "{problem:?}");
    for table in [table::EVENTS, SEND_COUNTS] {
        assert!(check_segment_file(&path, table).is_err());
    }
    check_segment_file(&path, table::QUARANTINE).unwrap();
}
