//! Segments of released format versions, in `fixtures/segments/vN`, are read as on the day of their release.
//!
//! The files are never written again. Each `TABLE.parquet` has a `TABLE.json` with its Parquet schema, which contains
//! the column types, and its rows.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bouncewatch_schemas::bounce::BounceClass;
use bouncewatch_schemas::cause::Cause;
use bouncewatch_schemas::event::{Channel, EventKind, EventRow, Service};
use bouncewatch_schemas::send_counts::{self, SEND_COUNTS, SendCountRow, SendCountValues};
use bouncewatch_schemas::table::{self, Column};
use bouncewatch_schemas::time::{day_of, parse_ms};
use bouncewatch_store::compact::{CompactLimits, CompactSettings, compact};
use bouncewatch_store::quarantine::{QuarantineSegment, list};
use bouncewatch_store::segment::{EncodedSegment, EventSegment};
use bouncewatch_store::send_counts::{publish, read_all};
use bouncewatch_store::{Store, check_segment_file};
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::{Map, Value, json};

use crate::stored::rows_of_file;
use crate::test_store::{NOW, TestStore};

/// Time of all golden events, 2026-11-19 09:20 UTC.
const EVENT_AT: i64 = 1_795_080_000_000;

const TABLES: [(&str, &[Column]); 3] = [
    (table::EVENTS, table::COLUMNS),
    (table::QUARANTINE, table::QUARANTINE_COLUMNS),
    (SEND_COUNTS, send_counts::COLUMNS),
];

/// Channels and kinds of the golden events. The kinds about the account are newer than version 2; their keys and rows are
/// pinned by tests of their own.
const CHANNELS: [Channel; 3] =
    [Channel::IdentityFeedback, Channel::EventPublishing, Channel::WorkMailLog];

fn kinds() -> impl Iterator<Item = &'static EventKind> {
    EventKind::ALL.iter().filter(|kind| !EventKind::ACCOUNT_KINDS.contains(kind))
}

fn golden_folder(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../fixtures/segments/v{version}"))
}

/// Parquet schema, one line per column or group.
fn parquet_schema(path: &Path) -> Vec<String> {
    let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut text = Vec::new();
    let schema = reader.metadata().file_metadata().schema();
    parquet::schema::printer::print_schema(&mut text, schema);
    String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
}

/// The columns of a table that a file has. Later versions of the program can have more.
fn columns_of_file(path: &Path, columns: &[Column]) -> Vec<Column> {
    let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let schema = reader.metadata().file_metadata().schema_descr();
    let names: BTreeSet<&str> =
        schema.root_schema().get_fields().iter().map(|f| f.name()).collect();
    columns.iter().filter(|column| names.contains(column.name)).copied().collect()
}

/// Schema and rows of a segment as JSON.
fn content(path: &Path, columns: &[Column]) -> Value {
    let rows = rows_of_file(path, &columns_of_file(path, columns));
    json!({"schema": parquet_schema(path), "rows": rows})
}

#[test]
fn golden_segments_have_the_expected_schema_and_rows() {
    for version in 1..=table::FORMAT_VERSION {
        for (table, columns) in TABLES {
            let path = golden_folder(version).join(format!("{table}.parquet"));
            let facts = check_segment_file(&path, table).unwrap();
            let expected = std::fs::read(path.with_extension("json")).unwrap();
            let expected: Value = serde_json::from_slice(&expected).unwrap();
            let found = content(&path, columns);
            assert_eq!(found["schema"], expected["schema"], "{table} v{version}");
            let (found, expected) =
                (found["rows"].as_array().unwrap(), expected["rows"].as_array().unwrap());
            assert_eq!(found.len(), expected.len(), "{table} v{version}");
            if table == table::EVENTS {
                let times =
                    found.iter().map(|row| row[table::EVENT_AT].as_str().and_then(parse_ms));
                assert_eq!(facts.newest_event, times.max().flatten(), "v{version}");
            }
            for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
                assert_eq!(found, expected, "{table} v{version} row {row}");
            }
        }
    }
}

#[test]
fn golden_events_cover_every_kind_column_and_keys_with_and_without_the_highest_bit() {
    for version in 1..=table::FORMAT_VERSION {
        let path = golden_folder(version).join("events.parquet");
        let rows = rows_of_file(&path, &columns_of_file(&path, table::COLUMNS));
        let found: BTreeSet<&str> = rows.iter().map(|row| row["kind"].as_str().unwrap()).collect();
        for kind in kinds() {
            assert!(found.contains(kind.as_str()), "{kind:?}");
        }
        for (column, _) in &rows[0] {
            assert!(rows.iter().any(|row| !row[column].is_null()), "{column}");
        }
        // negative in version 2
        let is_large = |key: &Value| key.as_u64().is_none_or(|key| i64::try_from(key).is_err());
        let mixed = |row: &&Map<String, Value>| {
            is_large(&row["event_key"]) && !is_large(&row["message_key"])
        };
        assert!(rows.iter().any(|row| mixed(&row)), "{version}");
    }
}

/// A store with the golden segments of a version.
fn golden_store(version: u32) -> TestStore {
    let test = TestStore::new();
    for (table, folder) in [
        (table::EVENTS, "events/date=2026-11-19"),
        (table::QUARANTINE, "quarantine/date=2027-01-15"),
        (SEND_COUNTS, "volumes"),
    ] {
        let folder = test.path().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let file = format!("{table}.parquet");
        std::fs::copy(golden_folder(version).join(&file), folder.join(file)).unwrap();
    }
    test
}

#[tokio::test]
async fn golden_store_is_verified_read_and_compacted() {
    for version in 1..=table::FORMAT_VERSION {
        let test = golden_store(version);
        test.assert_verified().await;
        let bodies: Vec<Vec<u8>> =
            list(&test.store).await.unwrap().into_iter().map(|one| one.body).collect();
        assert_eq!(bodies, [b"broken".to_vec(), b"\xff\x00".to_vec()], "{version}");
        assert_eq!(read_all(&test.store).await.unwrap(), send_count_rows(), "{version}");
        let limits = CompactLimits::default();
        let settings = CompactSettings { grace_ms: 0, until_day: None, dry_run: false, limits };
        let report = compact(&test.store, &settings, NOW + 86_400_000).await.unwrap();
        assert_eq!((report.days.len(), report.problems.len()), (2, 0), "{report:?}");
        // the events of all versions are the same
        let current = golden_folder(table::FORMAT_VERSION).join("events.parquet");
        let expected = by_key(rows_of_file(&current, table::COLUMNS), version);
        assert_eq!(by_key(test.rows().await, version), expected, "{version}");
        test.assert_compacted().await;
    }
}

/// Rows by their keys. Columns that `version` does not have are left out.
fn by_key(rows: Vec<Map<String, Value>>, version: u32) -> BTreeMap<String, Value> {
    let entry = |mut row: Map<String, Value>| {
        if version == 1 {
            row.remove(table::REPORTED_RECIPIENT);
        }
        (format!("{} {}", row["message_key"], row["event_key"]), Value::from(row))
    };
    rows.into_iter().map(entry).collect()
}

/// Days that an older version compacted are compacted again, once.
#[tokio::test]
async fn compacted_day_of_an_older_version_is_compacted_again() {
    let test = golden_store(1);
    let folder = test.path().join("events/date=2026-11-19");
    std::fs::rename(folder.join("events.parquet"), folder.join("1-a.sealed.parquet")).unwrap();
    let limits = CompactLimits::default();
    let settings = CompactSettings { grace_ms: 0, until_day: None, dry_run: false, limits };
    for days in [2, 0] {
        let report = compact(&test.store, &settings, NOW + 86_400_000).await.unwrap();
        assert_eq!((report.days.len(), report.problems.len()), (days, 0), "{report:?}");
    }
    let current = golden_folder(table::FORMAT_VERSION).join("events.parquet");
    let expected = by_key(rows_of_file(&current, table::COLUMNS), 1);
    assert_eq!(by_key(test.rows().await, 1), expected);
}

/// An event with only the required columns.
fn minimal_event(
    kind: EventKind,
    channel: Channel,
    event_at: i64,
    message_id: &str,
) -> EventRow<'_> {
    EventRow {
        service: Service::WorkMail,
        channel,
        event_at,
        received_at: NOW,
        message_id,
        ..EventRow::of_kind(kind)
    }
}

/// Adds two rows of each kind: one with every column, one with only the required ones.
fn push_events(segment: &mut EventSegment) {
    let tags = [("campaign", "spring"), ("campaign", "sale"), ("customer", "42")]
        .map(|(key, value)| (Cow::Borrowed(key), Cow::Borrowed(value)));
    let classes = BounceClass::ALL.iter().cycle();
    let causes = Cause::ALL.iter().cycle();
    let channels = CHANNELS.iter().cycle();
    let parts = kinds().zip(classes).zip(causes).zip(channels);
    for (number, (((kind, class), cause), channel)) in (0_i32..).zip(parts) {
        let message_id = format!("0100019a-{number:04}");
        let feedback_id = format!("0100019b-{number:04}");
        let event_at = EVENT_AT + i64::from(number);
        segment.push(&EventRow {
            service: Service::Ses,
            sent_at: Some(event_at - 1_500),
            published_at: Some(event_at + 700),
            feedback_id: Some(&feedback_id),
            recipient: Some("jäne+x@example.org"),
            reported_recipient: Some("forwarded@example.net"),
            recipient_domain: Some("example.org"),
            provider: Some("other"),
            source: Some("shop@example.com"),
            source_domain: Some("example.com"),
            identity: Some("example.com"),
            configuration_set: Some("bulk"),
            account: Some("012345678901"),
            region: Some("eu-west-1"),
            tenant: Some("tenant-a"),
            tags: &tags,
            source_ip: Some("192.0.2.1"),
            outgoing_ip: Some("198.51.100.2"),
            remote_mta: Some("mx.example.org"),
            reporting_mta: Some("a8-50.smtp-out.amazonses.com"),
            bounce_type: Some("Permanent"),
            bounce_subtype: Some("General"),
            complaint_type: Some("abuse"),
            complaint_subtype: Some("OnAccountSuppressionList"),
            delay_type: Some("TransientCommunicationFailure"),
            class: Some(*class),
            counts: true,
            smtp_code: Some(550),
            enhanced_status: Some("5.1.1"),
            diagnostic: Some("550 5.1.1 \u{201c}unknown\u{201d}"),
            cause: Some(*cause),
            cause_rule: Some("golden"),
            processing_ms: Some(1_234),
            expires_at: Some(event_at + 50_000_000),
            link: Some("https://example.com/?a=1"),
            origin: "golden.json",
            ..minimal_event(*kind, *channel, event_at, &message_id)
        });
        let message_id = format!("{message_id}-sparse");
        segment.push(&minimal_event(*kind, *channel, event_at, &message_id));
    }
}

fn send_count_rows() -> Vec<SendCountRow> {
    let full = SendCountRow {
        begin: EVENT_AT,
        end: EVENT_AT + 900_000,
        account: Some("012345678901".to_owned()),
        region: Some("eu-west-1".to_owned()),
        scope: BTreeMap::from([
            ("identity".to_owned(), "example.com".to_owned()),
            ("tag:campaign".to_owned(), "spring".to_owned()),
        ]),
        counts: SendCountValues {
            attempts: 10_432,
            bounces: Some(52),
            complaints: Some(1),
            rejects: Some(0),
        },
        received_at: NOW,
        origin: "golden.csv".to_owned(),
    };
    let sparse = SendCountRow {
        account: None,
        region: None,
        scope: BTreeMap::new(),
        counts: SendCountValues { attempts: 7, ..SendCountValues::default() },
        ..full.clone()
    };
    vec![full, sparse]
}

/// The golden segments of the current format version have the schema and the rows that are written today. When a format
/// version is released, run it once with `WRITE_GOLDEN_SEGMENTS=1`, which writes its segments.
#[tokio::test]
async fn golden_segments_of_the_current_version_are_written_today() {
    let place = tempfile::tempdir().unwrap();
    let store = Store::in_folder(place.path()).unwrap();
    let mut events = EventSegment::default();
    push_events(&mut events);
    for EncodedSegment { content, bytes } in events.finish().unwrap() {
        store.publish_events(day_of(EVENT_AT), NOW, content, bytes).await.unwrap();
    }
    let mut quarantine = QuarantineSegment::default();
    quarantine.push(b"broken", "not_json", "line 1", "golden.json", NOW);
    quarantine.push(b"\xff\x00", "not_an_event", "", "golden.json", NOW + 1);
    quarantine.publish(&store, NOW).await.unwrap();
    publish(&store, &send_count_rows(), NOW).await.unwrap();
    let segments = [
        store.segments(table::EVENTS).await.unwrap(),
        store.segments(table::QUARANTINE).await.unwrap(),
        store.send_count_files().await.unwrap(),
    ];
    let folder = golden_folder(table::FORMAT_VERSION);
    let is_release = std::env::var_os("WRITE_GOLDEN_SEGMENTS").is_some();
    assert!(!(is_release && folder.exists()), "golden segments are never written again");
    for ((table, columns), segments) in TABLES.into_iter().zip(segments) {
        let written = place.path().join(segments[0].path.as_ref());
        let golden = folder.join(format!("{table}.parquet"));
        let content_today = content(&written, columns);
        if is_release {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::copy(&written, &golden).unwrap();
            let text = serde_json::to_string_pretty(&content_today).unwrap();
            std::fs::write(golden.with_extension("json"), text + "\n").unwrap();
        }
        // the order of the rows is no part of the format
        let sorted = |mut content: Value| {
            content["rows"].as_array_mut().unwrap().sort_by_key(Value::to_string);
            content
        };
        let is_equal = sorted(content_today) == sorted(content(&golden, columns));
        assert!(is_equal, "{table}: other schema or rows than in {}", golden.display());
    }
}
