//! Looking after a store: compaction loses nothing whatever happens at whatever moment.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bouncewatch_fixtures::traffic::{DEFAULT_END, Envelope, Options, Shuffle, Traffic};
use bouncewatch_schemas::table;
use bouncewatch_store::compact::{Compacted, Limits, Settings, compact};
use bouncewatch_store::compacted_name::{is_sealed, whole_sets};
use bouncewatch_store::quarantine::list;
use bouncewatch_store::verify::verify;
use bouncewatch_store::{Segment, Store};

use crate::meddling::{Meddle, Meddling};
use crate::stored::rows;
use crate::stores::ingest;

/// Long after all events.
const NOW: i64 = 1_800_000_000_000;
const MINUTE: i64 = 60_000;

fn settings(grace_ms: i64) -> Settings {
    // so small that a day needs several segments, and each of them several passes
    let limits = Limits {
        rows_at_a_time: 100,
        segment_rows_max: 200,
        open_day_segments_min: 3,
        ..Limits::default()
    };
    Settings { grace_ms, until_day: None, dry_run: false, limits }
}

/// Events of three days with copies, a part at a time.
fn parts(number: usize) -> Vec<String> {
    let options = Options {
        events: 500,
        seed: 5,
        envelope: Envelope::Mixed,
        duplicates: 0.3,
        shuffle: Shuffle::All,
        ..Options::default()
    }
    .spanning(DEFAULT_END, 3);
    let events: Vec<String> = Traffic::new(&options).unwrap().collect();
    events.chunks(events.len().div_ceil(number)).map(|part| part.join("\n")).collect()
}

/// What the scan finds in a store: of each event the earliest time and all that is known.
async fn known(store: &Path) -> BTreeSet<String> {
    let mut known = std::collections::BTreeMap::<String, Vec<_>>::new();
    for row in rows(store).await {
        let key = format!("{} {}", row[table::MESSAGE_KEY], row[table::EVENT_KEY]);
        known.entry(key).or_default().push(row);
    }
    let event = |(key, copies): (String, Vec<serde_json::Map<String, serde_json::Value>>)| {
        let mut words = vec![key];
        for column in table::COLUMNS {
            let values =
                copies.iter().map(|row| &row[column.name]).filter(|value| !value.is_null());
            let mut values: Vec<String> = values.map(ToString::to_string).collect();
            values.sort();
            values.dedup();
            match column.name {
                // the earliest counts
                table::EVENT_AT | table::SENT_AT | table::PUBLISHED_AT | table::RECEIVED_AT => {
                    values.truncate(1);
                }
                // how a copy came is not kept
                table::CHANNEL | table::ORIGIN | table::FEEDBACK_ID | table::PROCESSING_MS => {
                    values.clear();
                }
                table::PROVIDER if values.len() > 1 => values.retain(|value| value != "\"other\""),
                _ => {}
            }
            words.push(values.join("|"));
        }
        words.join(" ")
    };
    known.into_iter().map(event).collect()
}

struct Place {
    folder: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path().join("store")).unwrap();
        Self { folder, store }
    }

    async fn with(parts: &[String]) -> Self {
        let place = Self::new();
        for part in parts {
            place.take(part).await;
        }
        place
    }

    async fn take(&self, events: &str) {
        ingest(&self.store, self.folder.path(), events).await;
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("store")
    }

    async fn known(&self) -> BTreeSet<String> {
        known(&self.path()).await
    }

    async fn compact(&self, grace_ms: i64) -> Compacted {
        compact(&self.store, &settings(grace_ms), NOW).await.unwrap()
    }

    /// The files of each day.
    async fn days(&self) -> Vec<(i64, Vec<String>)> {
        let mut days = std::collections::BTreeMap::<i64, Vec<String>>::new();
        for segment in self.store.segments(table::EVENTS).await.unwrap() {
            days.entry(segment.day).or_default().push(segment.name().to_owned());
        }
        days.into_iter().collect()
    }

    async fn expect_sealed(&self) {
        for (day, names) in self.days().await {
            assert!(is_sealed(names.iter().map(String::as_str)), "{day}: {names:?}");
        }
        let verified = verify(&self.store).await.unwrap();
        assert!(verified.problems.is_empty() && verified.unpublished.is_empty(), "{verified:?}");
    }

    /// Copies all files of another store into this one.
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
async fn what_is_compacted_is_the_same_and_less() {
    let place = Place::with(&parts(4)).await;
    let before = place.known().await;
    let rows_before = rows(&place.path()).await.len();
    let done = place.compact(0).await;
    assert!(done.problems.is_empty() && done.skipped.is_empty(), "{done:?}");
    assert!(done.days.iter().any(|day| day.segments_after > Some(1)), "{done:?}");
    assert_eq!(place.known().await, before);
    let rows_after = rows(&place.path()).await.len();
    let merged: u64 = done.days.iter().filter_map(|day| day.copies_merged).sum();
    assert!(merged > 0 && rows_after >= before.len(), "{done:?}");
    assert_eq!(rows_before - rows_after, usize::try_from(merged).unwrap());
    place.expect_sealed().await;
    let again = place.compact(0).await;
    assert!(again.days.is_empty() && again.inputs_removed == 0, "{again:?}");
    assert_eq!(again.days_left, done.days.len());
}

#[tokio::test]
async fn inputs_stay_until_readers_are_done() {
    let place = Place::with(&parts(3)).await;
    let before = place.known().await;
    let inputs: usize = place.days().await.iter().map(|(_, names)| names.len()).sum();
    // a crash after publishing and before removing leaves the same
    let done = place.compact(i64::MAX).await;
    assert_eq!((done.inputs_waiting, done.inputs_removed), (inputs, 0));
    assert_eq!(place.known().await, before);
    let waiting = place.compact(i64::MAX).await;
    assert!(waiting.days.is_empty() && waiting.inputs_waiting == inputs, "{waiting:?}");
    // NOW is months after the clock of the disk
    let removed = place.compact(10 * MINUTE).await;
    assert_eq!((removed.inputs_waiting, removed.inputs_removed), (0, inputs));
    assert_eq!(place.known().await, before);
    place.expect_sealed().await;
}

#[tokio::test]
async fn a_late_segment_unseals_its_day() {
    let parts = parts(4);
    let place = Place::with(&parts[..2]).await;
    place.compact(0).await;
    for part in &parts[2..] {
        place.take(part).await;
        let before = place.known().await;
        assert!(!place.compact(i64::MAX).await.days.is_empty());
        // what is replaced by now was made of what was replaced before
        assert_eq!(place.known().await, before);
    }
    assert!(place.compact(0).await.days.is_empty());
    place.expect_sealed().await;
    assert_eq!(place.known().await, Place::with(&parts).await.known().await);
}

#[tokio::test]
async fn two_compactors_that_knew_nothing_of_each_other() {
    let parts = parts(4);
    let (one, other) = (Place::with(&parts[..3]).await, Place::new());
    other.copy_from(&one.path());
    let before = one.known().await;
    one.compact(i64::MAX).await;
    other.compact(0).await;
    // both sets of the same inputs, which are still there
    one.copy_from(&other.path());
    assert_eq!(one.known().await, before);
    one.take(&parts[3]).await;
    let before = one.known().await;
    one.compact(i64::MAX).await;
    assert_eq!(one.known().await, before);
    one.compact(0).await;
    assert_eq!(one.known().await, before);
    one.expect_sealed().await;
}

#[tokio::test]
async fn two_compactors_and_a_consumer_at_once() {
    let parts = parts(6);
    for grace in [0, i64::MAX] {
        let place = Place::with(&parts[..4]).await;
        let settings = settings(grace);
        let (one, two, ()) = tokio::join!(
            compact(&place.store, &settings, NOW),
            compact(&place.store, &settings, NOW),
            async {
                place.take(&parts[4]).await;
                place.take(&parts[5]).await;
            }
        );
        assert!(one.unwrap().problems.is_empty() && two.unwrap().problems.is_empty());
        assert_eq!(place.known().await, Place::with(&parts).await.known().await);
        place.compact(0).await;
        place.compact(0).await;
        place.expect_sealed().await;
        assert_eq!(place.known().await, Place::with(&parts).await.known().await);
    }
}

#[tokio::test]
async fn a_set_of_which_a_part_is_missing_replaces_nothing() {
    let place = Place::with(&parts(3)).await;
    let before = place.known().await;
    place.compact(i64::MAX).await;
    let mut left = 0;
    for segment in place.store.segments(table::EVENTS).await.unwrap() {
        // as a crash between two parts leaves it
        if segment.name().contains(".sealed-2of") {
            std::fs::remove_file(place.path().join(segment.path.as_ref())).unwrap();
            left += 1;
        }
    }
    assert!(left > 0);
    let again = place.compact(0).await;
    assert!(again.days.len() >= left, "{again:?}");
    assert_eq!(place.known().await, before);
    place.expect_sealed().await;
}

#[tokio::test]
async fn a_day_that_is_not_over_waits_until_it_has_many_segments() {
    let parts = parts(4);
    let place = Place::with(&parts[..2]).await;
    let first = place.days().await[0].0;
    let now = first * 86_400_000 + 1;
    let all = settings(0);
    assert!(compact(&place.store, &all, now).await.unwrap().days.is_empty());
    for part in &parts[2..] {
        place.take(part).await;
    }
    let first_day = Settings { until_day: Some(first), ..all };
    assert_eq!(compact(&place.store, &first_day, now).await.unwrap().days.len(), 1);
    assert!(compact(&place.store, &all, now).await.unwrap().days.len() > 1);
}

#[tokio::test]
async fn what_cannot_be_read_is_left_and_told() {
    let place = Place::with(&parts(2)).await;
    let day = place.path().join("events").join(
        std::fs::read_dir(place.path().join("events"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .file_name(),
    );
    std::fs::write(day.join("broken.parquet"), b"PAR1 no").unwrap();
    let before = std::fs::read_dir(&day).unwrap().count();
    let done = place.compact(0).await;
    assert_eq!(done.problems.len(), 1, "{done:?}");
    assert!(done.problems[0].path.ends_with("broken.parquet"));
    assert_eq!(std::fs::read_dir(&day).unwrap().count(), before);
    assert!(!done.days.is_empty());
}

#[tokio::test]
async fn it_is_only_told_what_would_be_done() {
    let place = Place::with(&parts(2)).await;
    let before = place.days().await;
    let dry = Settings { dry_run: true, ..settings(0) };
    let told = compact(&place.store, &dry, NOW).await.unwrap();
    assert_eq!(told.days.len(), before.len());
    assert!(told.days.iter().all(|day| day.segments_after.is_none() && day.rows_before > 0));
    assert_eq!(place.days().await, before);
}

#[tokio::test]
async fn quarantine_keeps_each_body_once() {
    let place = Place::new();
    for _ in 0..3 {
        place.take("broken one\nbroken two\n").await;
    }
    place.take("broken two\nbroken three\n").await;
    let before = list(&place.store).await.unwrap();
    let done = place.compact(0).await;
    assert_eq!(done.days.len(), 1, "{done:?}");
    assert_eq!((done.days[0].rows_before, done.days[0].rows_after), (8, Some(3)));
    assert_eq!(list(&place.store).await.unwrap(), before);
    assert_eq!(place.store.segments(table::QUARANTINE).await.unwrap().len(), 1);
    assert!(verify(&place.store).await.unwrap().problems.is_empty());
    assert!(place.compact(0).await.days.is_empty());
}

/// A day of two segments, both with copies, which becomes two sealed ones.
fn small() -> [String; 2] {
    let options = Options { events: 40, seed: 3, duplicates: 0.5, ..Options::default() }
        .spanning(DEFAULT_END - chrono::TimeDelta::hours(6), 1);
    let day = options.end.date_naive().to_string();
    let of_day = |event: &String| event.matches(&day).count() > 2;
    let events: Vec<String> = Traffic::new(&options).unwrap().filter(of_day).collect();
    [events.join("\n"), events[events.len() / 3..].join("\n")]
}

fn two_parts(grace_ms: i64) -> Settings {
    let limits = Limits { rows_at_a_time: 20, segment_rows_max: 40, ..Limits::default() };
    Settings { grace_ms, until_day: None, dry_run: false, limits }
}

#[tokio::test]
async fn a_crash_at_any_call_loses_nothing() {
    for (grace, first) in [(0, 0), (i64::MAX, 1)] {
        for at in (first..).step_by(2) {
            let place = Place::with(&small()).await;
            place.take("broken\n").await;
            place.take("broken\n").await;
            let (before, bodies) = (place.known().await, list(&place.store).await.unwrap());
            let dying = Arc::new(Meddling::new(&place.path(), at, Meddle::Die));
            let store = Store::in_objects(Arc::clone(&dying) as _, "", "dying");
            let ended = compact(&store, &two_parts(grace), NOW).await;
            assert_eq!(place.known().await, before, "{at}");
            assert_eq!(list(&place.store).await.unwrap(), bodies, "{at}");
            compact(&place.store, &two_parts(0), NOW).await.unwrap();
            compact(&place.store, &two_parts(0), NOW).await.unwrap();
            assert_eq!(place.known().await, before, "{at}");
            place.expect_sealed().await;
            if !dying.is_reached() {
                assert!(ended.unwrap().days.iter().any(|day| day.segments_after > Some(1)));
                break;
            }
        }
    }
}

#[tokio::test]
async fn what_goes_while_it_is_merged_does_not_come_back() {
    for at in 1.. {
        let place = Place::with(&small()).await;
        let segments = place.store.segments(table::EVENTS).await.unwrap();
        let gone = segments.last().unwrap().path.clone();
        let meddling = Arc::new(Meddling::new(&place.path(), at, Meddle::Remove(gone.clone())));
        let store = Store::in_objects(Arc::clone(&meddling) as _, "", "meddling");
        let done = compact(&store, &two_parts(i64::MAX), NOW).await.unwrap();
        if !meddling.is_reached() {
            assert!(done.skipped.is_empty() && !done.days.is_empty(), "{done:?}");
            break;
        }
        assert!(done.problems.is_empty(), "{done:?}");
        // the day waits, unless the removal came after the last look at what is there
        let listed = place.store.segments(table::EVENTS).await.unwrap();
        let is_whole = !whole_sets(listed.iter().map(Segment::name)).is_empty();
        assert_eq!(is_whole, done.skipped.is_empty(), "{at} {done:?}");
        assert!(listed.iter().all(|segment| segment.path != gone));
    }
}
