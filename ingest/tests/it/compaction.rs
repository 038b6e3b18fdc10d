//! Compaction loses no information, also if it crashes or competes with other processes at any moment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bouncewatch_fixtures::traffic::{DEFAULT_END, Envelope, Options, Shuffle, Traffic};
use bouncewatch_schemas::event::EventKind;
use bouncewatch_schemas::table;
use bouncewatch_store::compact::{CompactLimits, CompactReport, CompactSettings, compact};
use bouncewatch_store::compacted_name::{CompactedName, complete_sets, is_compacted};
use bouncewatch_store::quarantine::list;
use bouncewatch_store::{Segment, SegmentContent, Store};
use serde_json::{Map, Value};

use crate::fault_injecting_store::{Fault, FaultInjectingStore};
use crate::stored::rows_of_file;
use crate::test_store::{NOW, TestStore};

const MINUTE: i64 = 60_000;

/// Settings with limits so small that a day needs several segments of both contents, passes, batches and row groups.
fn settings(grace_ms: i64) -> CompactSettings {
    let limits = CompactLimits {
        pass_rows_max: 100,
        segment_rows_max: 200,
        batch_rows: 7,
        row_group_rows: 11,
        split_rows_min: 100,
        open_day_segments_min: 3,
        ..CompactLimits::default()
    };
    CompactSettings { grace_ms, until_day: None, dry_run: false, limits }
}

/// 500 events of three days with copies, in `number` parts.
fn parts(number: usize) -> Vec<String> {
    traffic(500, 3, number)
}

/// Events with copies, in `number` parts.
fn traffic(events: u64, days: i64, number: usize) -> Vec<String> {
    let options = Options {
        events,
        seed: 5,
        envelope: Envelope::Mixed,
        duplicates: 0.3,
        shuffle: Shuffle::All,
        ..Options::default()
    }
    .spanning(DEFAULT_END, days);
    let events: Vec<String> = Traffic::new(&options).unwrap().collect();
    events.chunks(events.len().div_ceil(number)).map(|part| part.join("\n")).collect()
}

/// What a reader finds in a store: of each event the earliest times and all known values.
fn known_values(rows: Vec<Map<String, Value>>) -> BTreeSet<String> {
    let mut known = BTreeMap::<String, Vec<_>>::new();
    for row in rows {
        let key = format!("{} {}", row[table::MESSAGE_KEY], row[table::EVENT_KEY]);
        known.entry(key).or_default().push(row);
    }
    let event = |(key, copies): (String, Vec<Map<String, Value>>)| {
        let mut all = vec![key];
        for column in table::COLUMNS {
            let values =
                copies.iter().map(|row| &row[column.name]).filter(|value| !value.is_null());
            let mut values: Vec<String> = values.map(ToString::to_string).collect();
            values.sort();
            values.dedup();
            match column.name {
                // readers take the earliest
                table::EVENT_AT | table::SENT_AT | table::PUBLISHED_AT | table::RECEIVED_AT => {
                    values.truncate(1);
                }
                // describes how a copy arrived; merging keeps one of the values
                table::CHANNEL | table::ORIGIN | table::FEEDBACK_ID | table::PROCESSING_MS => {
                    values.clear();
                }
                table::PROVIDER if values.len() > 1 => values.retain(|value| value != "\"other\""),
                _ => {}
            }
            all.push(values.join("|"));
        }
        all.join(" ")
    };
    known.into_iter().map(event).collect()
}

impl TestStore {
    async fn with(parts: &[String]) -> Self {
        let test = Self::new();
        for part in parts {
            test.ingest(part).await;
        }
        test
    }

    async fn known(&self) -> BTreeSet<String> {
        known_values(self.rows().await)
    }

    async fn compact(&self, grace_ms: i64) -> CompactReport {
        compact(&self.store, &settings(grace_ms), NOW).await.unwrap()
    }

    /// File names of each day.
    async fn days(&self) -> Vec<(i64, Vec<String>)> {
        let mut days = BTreeMap::<i64, Vec<String>>::new();
        for segment in self.store.segments(table::EVENTS).await.unwrap() {
            days.entry(segment.day).or_default().push(segment.name().to_owned());
        }
        days.into_iter().collect()
    }

    pub(crate) async fn assert_compacted(&self) {
        for (day, names) in self.days().await {
            assert!(is_compacted(names.iter().map(String::as_str)), "{day}: {names:?}");
        }
        self.assert_verified().await;
    }

    /// Copies all events of another store into this one.
    fn copy_from(&self, other: &Path) {
        for day in std::fs::read_dir(other.join(table::EVENTS)).unwrap() {
            let day = day.unwrap();
            let into = self.path().join(table::EVENTS).join(day.file_name());
            std::fs::create_dir_all(&into).unwrap();
            for file in std::fs::read_dir(day.path()).unwrap() {
                let file = file.unwrap();
                std::fs::copy(file.path(), into.join(file.file_name())).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn compact_merges_copies_and_keeps_known_values() {
    let test = TestStore::with(&parts(4)).await;
    let before = test.known().await;
    let rows_before = test.rows().await.len();
    let report = test.compact(0).await;
    assert!(report.problems.is_empty() && report.skipped.is_empty(), "{report:?}");
    assert!(report.days.iter().any(|day| day.segments_after > Some(1)), "{report:?}");
    assert_eq!(test.known().await, before);
    let rows_after = test.rows().await.len();
    let merged: u64 = report.days.iter().filter_map(|day| day.copies_merged).sum();
    assert!(merged > 0 && rows_after >= before.len(), "{report:?}");
    assert_eq!(rows_before - rows_after, usize::try_from(merged).unwrap());
    test.assert_compacted().await;
    let again = test.compact(0).await;
    assert!(again.days.is_empty() && again.inputs_removed == 0, "{again:?}");
    assert_eq!(again.days_left, report.days.len());
}

#[tokio::test]
async fn compacted_segment_is_marked_unique_unless_copies_conflict() {
    let bounce = |subtype: &str| {
        format!(
            r#"{{"eventType":"Bounce","mail":{{"messageId":"m1","timestamp":"2026-11-10T10:00:00Z"}},
            "bounce":{{"bounceType":"Transient","bounceSubType":"{subtype}","timestamp":"2026-11-10T10:00:01Z",
            "bouncedRecipients":[{{"emailAddress":"jane@example.com"}}]}}}}"#
        )
    };
    for (subtype, rows, is_unique) in [("General", 1, true), ("MailboxFull", 2, false)] {
        let test = TestStore::with(&[bounce("General"), bounce(subtype)]).await;
        test.compact(0).await;
        assert_eq!(test.rows().await.len(), rows, "{subtype}");
        let day = std::fs::read_dir(test.path().join(table::EVENTS)).unwrap().next().unwrap();
        let files: Vec<_> = std::fs::read_dir(day.unwrap().path()).unwrap().collect();
        let [Ok(file)] = &files[..] else { panic!("{files:?}") };
        let bytes = std::fs::read(file.path()).unwrap();
        let key = table::UNIQUE_KEY.as_bytes();
        let is_marked = bytes.windows(key.len()).any(|window| window == key);
        assert_eq!(is_marked, is_unique, "{subtype}");
    }
}

/// Every limit alone, and all of them, at its smallest useful value. The day is compacted twice, because only compacted
/// segments have row groups that a pass can skip.
#[tokio::test]
async fn compact_assigns_each_key_to_one_segment_under_every_limit() {
    let parts = traffic(120, 2, 3);
    let expected = TestStore::with(&parts).await.known().await;
    let large = CompactLimits::default();
    for (limits, has_several_segments) in [
        (large, false),
        (CompactLimits { segment_rows_max: 30, ..large }, true),
        (CompactLimits { segment_bytes_max: 10_000, ..large }, true),
        (CompactLimits { pass_rows_max: 10, ..large }, false),
        (CompactLimits { pass_bytes_max: 5_000, ..large }, false),
        (CompactLimits { batch_rows: 1, ..large }, false),
        (CompactLimits { row_group_rows: 1, pass_rows_max: 10, ..large }, false),
        (CompactLimits { split_rows_min: 1, ..large }, true),
        (
            CompactLimits { split_rows_min: 1, segment_rows_max: 30, pass_rows_max: 9, ..large },
            true,
        ),
        (
            CompactLimits {
                segment_rows_max: 30,
                pass_rows_max: 10,
                batch_rows: 3,
                row_group_rows: 4,
                ..large
            },
            true,
        ),
    ] {
        let settings = CompactSettings { grace_ms: 0, until_day: None, dry_run: false, limits };
        let test = TestStore::with(&parts[..2]).await;
        compact(&test.store, &settings, NOW).await.unwrap();
        test.ingest(&parts[2]).await;
        compact(&test.store, &settings, NOW).await.unwrap();
        assert_eq!(test.known().await, expected, "{limits:?}");
        test.assert_compacted().await;
        let segments = test.store.segments(table::EVENTS).await.unwrap();
        let mut keys_by_day =
            BTreeMap::<(i64, SegmentContent), Vec<(usize, usize, i64, i64)>>::new();
        for segment in &segments {
            let name = CompactedName::parse(segment.name()).unwrap();
            let path = test.path().join(segment.path.as_ref());
            let rows = rows_of_file(&path, table::COLUMNS);
            let is_split = name.content != SegmentContent::Any;
            assert_eq!(is_split, limits.split_rows_min == 1);
            let of_split = |part: usize| if is_split { part.div_ceil(2) } else { part };
            let keys = rows.iter().map(|row| {
                let kind = EventKind::parse(row[table::KIND].as_str().unwrap()).unwrap();
                let is_failure = name.content == SegmentContent::Failures;
                assert!(!is_split || kind.is_failure() == is_failure, "{kind:?} in {name:?}");
                let key = |column: &str| row[column].as_i64().unwrap();
                let (part, parts) = (of_split(name.part), of_split(name.parts));
                (part, parts, key(table::MESSAGE_KEY), key(table::EVENT_KEY))
            });
            keys_by_day.entry((segment.day, name.content)).or_default().extend(keys);
        }
        for keys in keys_by_day.values_mut() {
            // rows of a segment are sorted by key: sorting by part only must sort a day by key
            keys.sort_by_key(|(part, ..)| *part);
            assert!(keys.is_sorted(), "{limits:?}");
            for (part, parts, message_key, _) in keys {
                let (first, last) = (*part as i128 - 1, *part as i128);
                let bound = |part: i128| (part << 64) / *parts as i128 + i128::from(i64::MIN);
                let range = bound(first)..bound(last);
                assert!(range.contains(&i128::from(*message_key)), "{part} of {parts}: {limits:?}");
            }
        }
        let days: BTreeSet<i64> = keys_by_day.keys().map(|(day, _)| *day).collect();
        assert_eq!(segments.len() > days.len(), has_several_segments, "{limits:?}");
    }
}

#[tokio::test]
async fn inputs_are_removed_after_the_grace_period() {
    let test = TestStore::with(&parts(3)).await;
    let before = test.known().await;
    let inputs: usize = test.days().await.iter().map(|(_, names)| names.len()).sum();
    // a crash after publishing and before removing leaves the same state
    let report = test.compact(i64::MAX).await;
    assert_eq!((report.inputs_waiting, report.inputs_removed), (inputs, 0));
    assert_eq!(test.known().await, before);
    let waiting = test.compact(i64::MAX).await;
    assert!(waiting.days.is_empty() && waiting.inputs_waiting == inputs, "{waiting:?}");
    // NOW is months after the clock of the file system
    let removed = test.compact(10 * MINUTE).await;
    assert_eq!((removed.inputs_waiting, removed.inputs_removed), (0, inputs));
    assert_eq!(test.known().await, before);
    test.assert_compacted().await;
}

#[tokio::test]
async fn late_segment_makes_its_day_uncompacted() {
    let parts = parts(4);
    let test = TestStore::with(&parts[..2]).await;
    test.compact(0).await;
    for part in &parts[2..] {
        test.ingest(part).await;
        let before = test.known().await;
        assert!(!test.compact(i64::MAX).await.days.is_empty());
        // the inputs include replaced segments and the segments that replaced them
        assert_eq!(test.known().await, before);
    }
    assert!(test.compact(0).await.days.is_empty());
    test.assert_compacted().await;
    assert_eq!(test.known().await, TestStore::with(&parts).await.known().await);
}

#[tokio::test]
async fn two_sets_of_the_same_inputs_are_merged() {
    let parts = parts(4);
    let (one, other) = (TestStore::with(&parts[..3]).await, TestStore::new());
    other.copy_from(&one.path());
    let before = one.known().await;
    one.compact(i64::MAX).await;
    other.compact(0).await;
    // two sets, and their inputs
    one.copy_from(&other.path());
    assert_eq!(one.known().await, before);
    one.ingest(&parts[3]).await;
    let before = one.known().await;
    one.compact(i64::MAX).await;
    assert_eq!(one.known().await, before);
    one.compact(0).await;
    assert_eq!(one.known().await, before);
    one.assert_compacted().await;
}

#[tokio::test]
async fn two_compactors_and_a_consumer_at_once_lose_no_events() {
    let parts = parts(6);
    for grace in [0, i64::MAX] {
        let test = TestStore::with(&parts[..4]).await;
        let settings = settings(grace);
        let (one, two, ()) = tokio::join!(
            compact(&test.store, &settings, NOW),
            compact(&test.store, &settings, NOW),
            async {
                test.ingest(&parts[4]).await;
                test.ingest(&parts[5]).await;
            }
        );
        assert!(one.unwrap().problems.is_empty() && two.unwrap().problems.is_empty());
        assert_eq!(test.known().await, TestStore::with(&parts).await.known().await);
        test.compact(0).await;
        test.compact(0).await;
        test.assert_compacted().await;
        assert_eq!(test.known().await, TestStore::with(&parts).await.known().await);
    }
}

#[tokio::test]
async fn incomplete_set_replaces_no_segment() {
    let test = TestStore::with(&parts(3)).await;
    let before = test.known().await;
    test.compact(i64::MAX).await;
    let mut removed = 0;
    for segment in test.store.segments(table::EVENTS).await.unwrap() {
        // a crash between two parts leaves the same state
        if CompactedName::parse(segment.name()).is_some_and(|name| name.part == 2) {
            std::fs::remove_file(test.path().join(segment.path.as_ref())).unwrap();
            removed += 1;
        }
    }
    assert!(removed > 0);
    let again = test.compact(0).await;
    assert!(again.days.len() >= removed, "{again:?}");
    assert_eq!(test.known().await, before);
    test.assert_compacted().await;
}

#[tokio::test]
async fn open_day_is_compacted_from_a_minimum_of_segments() {
    let parts = parts(4);
    let test = TestStore::with(&parts[..2]).await;
    let first = test.days().await[0].0;
    let now = first * 86_400_000 + 1;
    let all = settings(0);
    assert!(compact(&test.store, &all, now).await.unwrap().days.is_empty());
    for part in &parts[2..] {
        test.ingest(part).await;
    }
    let first_day = CompactSettings { until_day: Some(first), ..all };
    assert_eq!(compact(&test.store, &first_day, now).await.unwrap().days.len(), 1);
    assert!(compact(&test.store, &all, now).await.unwrap().days.len() > 1);
}

#[tokio::test]
async fn day_with_an_unreadable_segment_is_left_and_reported() {
    let test = TestStore::with(&parts(2)).await;
    let day = test.first_day_folder();
    std::fs::write(day.join("broken.parquet"), b"PAR1 no").unwrap();
    let before = std::fs::read_dir(&day).unwrap().count();
    let report = test.compact(0).await;
    assert_eq!(report.problems.len(), 1, "{report:?}");
    assert!(report.problems[0].path.ends_with("broken.parquet"));
    assert_eq!(std::fs::read_dir(&day).unwrap().count(), before);
    assert!(!report.days.is_empty());
}

#[tokio::test]
async fn dry_run_changes_nothing() {
    let test = TestStore::with(&parts(2)).await;
    let before = test.days().await;
    let dry = CompactSettings { dry_run: true, ..settings(0) };
    let report = compact(&test.store, &dry, NOW).await.unwrap();
    assert_eq!(report.days.len(), before.len());
    assert!(report.days.iter().all(|day| day.segments_after.is_none() && day.rows_before > 0));
    assert_eq!(test.days().await, before);
}

#[tokio::test]
async fn compacted_quarantine_has_each_document_once() {
    let test = TestStore::new();
    for _ in 0..3 {
        test.ingest("broken one\nbroken two\n").await;
    }
    test.ingest("broken two\nbroken three\n").await;
    let before = list(&test.store).await.unwrap();
    let report = test.compact(0).await;
    assert_eq!(report.days.len(), 1, "{report:?}");
    assert_eq!((report.days[0].rows_before, report.days[0].rows_after), (8, Some(3)));
    assert_eq!(list(&test.store).await.unwrap(), before);
    assert_eq!(test.store.segments(table::QUARANTINE).await.unwrap().len(), 1);
    test.assert_verified().await;
    assert!(test.compact(0).await.days.is_empty());
}

/// A day of two segments with copies, which is compacted into two segments by [`two_segments`].
fn small_day() -> [String; 2] {
    let options = Options { events: 40, seed: 3, duplicates: 0.5, ..Options::default() }
        .spanning(DEFAULT_END - chrono::TimeDelta::hours(6), 1);
    let day = options.end.date_naive().to_string();
    let is_of_day = |event: &String| event.matches(&day).count() > 2;
    let events: Vec<String> = Traffic::new(&options).unwrap().filter(is_of_day).collect();
    [events.join("\n"), events[events.len() / 3..].join("\n")]
}

fn two_segments(grace_ms: i64) -> CompactSettings {
    let limits =
        CompactLimits { pass_rows_max: 20, segment_rows_max: 40, ..CompactLimits::default() };
    CompactSettings { grace_ms, until_day: None, dry_run: false, limits }
}

#[tokio::test]
async fn crash_at_any_call_loses_no_events() {
    for (grace, first) in [(0, 0), (i64::MAX, 1)] {
        for at in (first..).step_by(2) {
            let test = TestStore::with(&small_day()).await;
            test.ingest("broken\n").await;
            test.ingest("broken\n").await;
            let (before, documents) = (test.known().await, list(&test.store).await.unwrap());
            let faulty = Arc::new(FaultInjectingStore::new(&test.path(), at, Fault::Crash));
            let store = Store::in_objects(Arc::clone(&faulty) as _, "", "faulty");
            let result = compact(&store, &two_segments(grace), NOW).await;
            assert_eq!(test.known().await, before, "{at}");
            assert_eq!(list(&test.store).await.unwrap(), documents, "{at}");
            compact(&test.store, &two_segments(0), NOW).await.unwrap();
            compact(&test.store, &two_segments(0), NOW).await.unwrap();
            assert_eq!(test.known().await, before, "{at}");
            test.assert_compacted().await;
            if !faulty.was_injected() {
                assert!(result.unwrap().days.iter().any(|day| day.segments_after > Some(1)));
                break;
            }
        }
    }
}

#[tokio::test]
async fn segment_removed_during_the_merge_does_not_come_back() {
    for at in 1.. {
        let test = TestStore::with(&small_day()).await;
        let segments = test.store.segments(table::EVENTS).await.unwrap();
        let removed = segments.last().unwrap().path.clone();
        let fault = Fault::Remove(removed.clone());
        let faulty = Arc::new(FaultInjectingStore::new(&test.path(), at, fault));
        let store = Store::in_objects(Arc::clone(&faulty) as _, "", "faulty");
        let report = compact(&store, &two_segments(i64::MAX), NOW).await.unwrap();
        if !faulty.was_injected() {
            assert!(report.skipped.is_empty() && !report.days.is_empty(), "{report:?}");
            break;
        }
        assert!(report.problems.is_empty(), "{report:?}");
        // the day is skipped, unless the segment was removed after the last check
        let listed = test.store.segments(table::EVENTS).await.unwrap();
        let is_complete = !complete_sets(listed.iter().map(Segment::name)).is_empty();
        assert_eq!(is_complete, report.skipped.is_empty(), "{at} {report:?}");
        assert!(listed.iter().all(|segment| segment.path != removed));
    }
}
