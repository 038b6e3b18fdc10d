//! A consistent listing of a store, and the rows of its event table.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hasher;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::{DAY_MS, format_day};
use bouncewatch_store::{SegmentContent, SegmentFacts, SegmentFile, StoreError, StoreFiles};
use polars::prelude::*;
use xxhash_rust::xxh3::Xxh3;

use crate::error::AnalyzeError;
use crate::scan::daily::DailyAggregate;
use crate::scan::event::CLOCK_SLACK_MS;
use crate::scan::expressions;
use crate::scan::frames::{ATTEMPTS_MAX, concat_rows, scan_files};
use crate::scan::loaded_failures::FailureCache;
use crate::scan::send_counts::SendCountTable;
use crate::scan::upgrade::upgrade;
use crate::timeline::send_counts::SendCounts;
use crate::timeline::{Grouping, ScopeValues};

/// Time limit for repeating a query while segments are replaced faster than they are read.
const RETRY_TIME: Duration = Duration::from_secs(30);
/// Maximum number of runs of a short query.
const RUNS_MAX: usize = 200;

/// Limits of the rows in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowLimits {
    /// Rows of a day range that are processed at a time; more are split into shards by message.
    pub(super) shard: u64,
    /// The same for failures.
    pub(super) failure_shard: u64,
    /// Rows of failures that are loaded once for all queries; more are read for each query, in shards.
    pub(super) loaded_failures: u64,
    /// Rows of all day ranges that share one pass over older rows. A higher limit reads older days
    /// fewer times, but keeps the changes of more ranges in memory.
    pub(super) batch: u64,
    /// Times of a list in daily aggregates from which each hour is stored separately. Below, an hour is not worth its
    /// place in the index.
    pub(super) long_list: usize,
}

impl RowLimits {
    /// The limits in production.
    const DEFAULT: Self = Self {
        shard: 1_000_000,
        failure_shard: 500_000,
        loaded_failures: 2_000_000,
        batch: 5_000_000,
        long_list: 512,
    };

    /// The same limit for all kinds of rows; each list is long.
    #[cfg(test)]
    pub(super) const fn of_rows(rows: u64) -> Self {
        Self { shard: rows, failure_shard: rows, loaded_failures: rows, batch: rows, long_list: 1 }
    }
}

/// A part of the rows: each segment has rows of both parts, or is known to have rows of one.
#[derive(Debug, Clone, Copy)]
pub(super) enum RowPart<'n> {
    /// All rows.
    All,
    /// The rows of all segments that can have failures.
    WithFailures,
    /// The rows of all other segments.
    WithoutFailures,
    /// The rows of some of these other segments, by file name.
    OfSegmentsWithoutFailures(&'n [String]),
}

impl RowPart<'_> {
    /// Whether rows can be failures.
    pub(super) fn has_failures(self) -> bool {
        matches!(self, Self::All | Self::WithFailures)
    }

    fn includes(self, segment: &SegmentFile) -> bool {
        match self {
            Self::All => true,
            Self::WithFailures => segment.content().contains(true),
            Self::WithoutFailures => !segment.content().contains(true),
            Self::OfSegmentsWithoutFailures(names) => {
                !segment.content().contains(true) && names.iter().any(|name| name == segment.name())
            }
        }
    }
}

/// A listed segment.
#[derive(Debug)]
struct ListedSegment {
    file: SegmentFile,
    /// Facts from its footer; set when the footer is read and checked.
    facts: OnceLock<SegmentFacts>,
}

/// A consistent listing of a store, for queries about the mail of one service.
#[derive(Debug)]
pub(crate) struct StoreScan {
    pub(super) store: StoreFiles,
    pub(super) service: Service,
    pub(super) own_domains: Vec<String>,
    pub(super) limits: RowLimits,
    /// Sorted by day.
    segments: Arc<Vec<ListedSegment>>,
    /// Fingerprint of the segments of each day; computed on demand, because it needs the metadata of each file.
    fingerprints: Arc<BTreeMap<i64, OnceLock<u64>>>,
    /// The table of imported send counts; read on demand.
    send_counts: OnceLock<SendCountTable>,
    /// Aggregates of the open days, which are not stored; several queries of one scan share them.
    pub(super) open_days: OpenDays,
    /// Failures that are loaded; several queries of one scan share them.
    pub(super) failures: Arc<Mutex<FailureCache>>,
}

/// Aggregates of the open days by folder, first and last day.
pub(super) type OpenDays = Mutex<HashMap<(PathBuf, i64, i64), Arc<DailyAggregate>>>;

impl StoreScan {
    /// Lists a store and runs a query on it. If segments are replaced meanwhile, lists it and runs the query again, so
    /// that a result never combines two states.
    ///
    /// # Errors
    /// If there is no store, it cannot be read, or its segments are replaced in each of at least [`ATTEMPTS_MAX`]
    /// attempts. A short query is repeated for [`RETRY_TIME`]: a compactor may run all the time.
    pub(crate) fn run<T>(
        store: impl Into<StoreFiles>,
        service: Service,
        own_domains: &[String],
        query: impl Fn(&Self) -> Result<T, AnalyzeError>,
    ) -> Result<T, AnalyzeError> {
        let store = store.into();
        let mut is_warned = false;
        let (mut attempts, start) = (0, Instant::now());
        // attempts after damage, by folder: a query can use several folders of aggregates
        let mut damaged: BTreeMap<PathBuf, usize> = BTreeMap::new();
        while attempts < ATTEMPTS_MAX || (attempts < RUNS_MAX && start.elapsed() < RETRY_TIME) {
            let scan = match Self::open(&store, service, own_domains, RowLimits::DEFAULT) {
                Err(AnalyzeError::Store(StoreError::UnstableListing(_))) => {
                    attempts += 1;
                    continue;
                }
                scan => scan?,
            };
            if !std::mem::replace(&mut is_warned, true) {
                for (day, segments) in &store.damaged_days()? {
                    let day = format_day(*day);
                    tracing::warn!(
                        day,
                        segments,
                        "day is incomplete: damaged segments were moved to the folder `damaged`"
                    );
                }
            }
            let error = match query(&scan) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if scan.has_lost_a_segment()? {
                attempts += 1;
                continue;
            }
            // damaged daily aggregates are removed with their folder, and rebuilt in the next attempt
            let AnalyzeError::Aggregate { path, .. } = &error else { return Err(error) };
            let Some(folder) = path.parent() else { return Err(error) };
            let damaged = damaged.entry(folder.to_path_buf()).or_default();
            *damaged += 1;
            if *damaged >= ATTEMPTS_MAX || std::fs::remove_dir_all(folder).is_err() {
                return Err(error);
            }
        }
        Err(StoreError::UnstableListing(store.name()).into())
    }

    /// Lists a store.
    pub(super) fn open(
        store: impl Into<StoreFiles>,
        service: Service,
        own_domains: &[String],
        limits: RowLimits,
    ) -> Result<Self, AnalyzeError> {
        let store = store.into();
        let segment = |file| ListedSegment { file, facts: OnceLock::new() };
        let segments: Vec<ListedSegment> =
            store.event_segments()?.into_iter().map(segment).collect();
        Ok(Self {
            store,
            service,
            own_domains: own_domains.to_vec(),
            limits,
            fingerprints: Arc::new(
                segments.iter().map(|one| (one.file.day, OnceLock::new())).collect(),
            ),
            segments: Arc::new(segments),
            send_counts: OnceLock::new(),
            open_days: OpenDays::default(),
            failures: Arc::default(),
        })
    }

    /// Returns the same listing for a query that includes mail to own domains.
    pub(crate) fn with_own_domains(&self) -> Self {
        Self {
            store: self.store.clone(),
            service: self.service,
            own_domains: Vec::new(),
            limits: self.limits,
            segments: Arc::clone(&self.segments),
            fingerprints: Arc::clone(&self.fingerprints),
            send_counts: OnceLock::new(),
            open_days: OpenDays::default(),
            failures: if self.own_domains.is_empty() {
                Arc::clone(&self.failures)
            } else {
                Arc::default()
            },
        }
    }

    fn has_lost_a_segment(&self) -> Result<bool, AnalyzeError> {
        let files: Vec<_> = self.segments.iter().map(|one| &one.file).collect();
        Ok(self.store.has_lost_one_of(&files)?)
    }

    fn facts(&self, segment: &ListedSegment) -> Result<SegmentFacts, AnalyzeError> {
        if let Some(facts) = segment.facts.get() {
            return Ok(*facts);
        }
        let facts = self.store.facts(&segment.file)?;
        Ok(*segment.facts.get_or_init(|| facts))
    }

    /// Returns the service of the query.
    pub(crate) fn service(&self) -> Service {
        self.service
    }

    /// Returns the days that are incomplete, because damaged segments were moved to the folder `damaged`.
    pub(crate) fn incomplete_days(&self) -> Result<Vec<String>, AnalyzeError> {
        Ok(self.store.damaged_days()?.into_keys().map(format_day).collect())
    }

    /// Returns the first day with segments.
    pub(crate) fn first_day(&self) -> Option<i64> {
        self.segments.first().map(|one| one.file.day)
    }

    /// Returns the last day with segments.
    pub(super) fn last_day(&self) -> Option<i64> {
        self.segments.last().map(|one| one.file.day)
    }

    /// Returns the time of the first event of the service.
    pub(crate) fn first_event(&self) -> Result<Option<i64>, AnalyzeError> {
        for day in self.days(i64::MIN, i64::MAX) {
            let is_wanted =
                expressions::is_of_service(self.service).and(expressions::is_about_mail());
            let time = col(table::EVENT_AT).cast(DataType::Int64);
            let first = self
                .rows(day, day, [&is_wanted, &time])?
                .filter(is_wanted)
                .select([time.min()])
                .collect()?;
            if let Some(first) = first.column(table::EVENT_AT)?.i64()?.get(0) {
                return Ok(Some(first));
            }
        }
        Ok(None)
    }

    /// Returns the imported send counts of a scope.
    pub(super) fn send_counts(
        &self,
        grouping: &Grouping,
        values: &ScopeValues,
    ) -> Result<SendCounts, AnalyzeError> {
        let table = if let Some(table) = self.send_counts.get() {
            table
        } else {
            let table = SendCountTable::read(&self.store)?;
            self.send_counts.get_or_init(|| table)
        };
        Ok(table.of_scope(grouping, values))
    }

    /// Returns the number of stored rows of some days, copies included.
    pub(crate) fn stored_rows(&self, first_day: i64, last_day: i64) -> Result<u64, AnalyzeError> {
        self.rows_in(self.prepared_segments(first_day, last_day, RowPart::All, &[])?.into_iter())
    }

    /// Returns the number of rows of the segments of some days that contain failures only, copies included.
    pub(super) fn rows_of_failures(
        &self,
        first_day: i64,
        last_day: i64,
    ) -> Result<u64, AnalyzeError> {
        let segments = self.prepared_segments(first_day, last_day, RowPart::WithFailures, &[])?;
        let is_of_failures = |one: &&ListedSegment| one.file.content() == SegmentContent::Failures;
        self.rows_in(segments.into_iter().filter(is_of_failures))
    }

    fn rows_in<'s>(
        &self,
        segments: impl Iterator<Item = &'s ListedSegment>,
    ) -> Result<u64, AnalyzeError> {
        segments.map(|segment| Ok(self.facts(segment)?.rows)).sum()
    }

    /// Returns the file names of the segments without failures that have events in the last hour of a day.
    pub(super) fn segments_at_end(&self, day: i64) -> Result<Vec<String>, AnalyzeError> {
        let end = day.saturating_add(1).saturating_mul(DAY_MS);
        let mut names = Vec::new();
        for segment in self.prepared_segments(day, day, RowPart::WithoutFailures, &[])? {
            let newest = self.facts(segment)?.newest_event;
            if newest.is_none_or(|newest| newest >= end - CLOCK_SLACK_MS) {
                names.push(segment.file.name().to_owned());
            }
        }
        Ok(names)
    }

    /// Whether rows of some days can be complaint reports of identity feedback.
    pub(super) fn may_have_identity_feedback(
        &self,
        first_day: i64,
        last_day: i64,
    ) -> Result<bool, AnalyzeError> {
        for segment in self.prepared_segments(first_day, last_day, RowPart::WithFailures, &[])? {
            if self.facts(segment)?.may_have_identity_feedback {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the days with segments from `first_day` to `last_day` (inclusive).
    pub(super) fn days(&self, first_day: i64, last_day: i64) -> BTreeSet<i64> {
        let days = self.fingerprints.keys().copied();
        days.filter(|day| (first_day..=last_day).contains(day)).collect()
    }

    /// Returns a fingerprint of the segments of some days, which changes when they change.
    pub(super) fn fingerprint(&self, first_day: i64, last_day: i64) -> u64 {
        let mut hash = Xxh3::new();
        for (day, of_day) in self.fingerprints.range(first_day..=last_day.max(first_day)) {
            hash.write_i64(*day);
            hash.write_u64(*of_day.get_or_init(|| self.day_fingerprint(*day)));
        }
        hash.finish()
    }

    fn day_fingerprint(&self, day: i64) -> u64 {
        let mut hash = Xxh3::new();
        for segment in self.segments_of(day, day) {
            hash.write(segment.file.name().as_bytes());
            // segments never change, but a restored copy of a store can contain another file of the same name
            if let Some((bytes, time)) = segment.file.size_and_time() {
                hash.write_u64(bytes);
                hash.write_u128(time);
            }
        }
        hash.finish()
    }

    fn segments_of(&self, first_day: i64, last_day: i64) -> &[ListedSegment] {
        let start = self.segments.partition_point(|one| one.file.day < first_day);
        let end = self.segments.partition_point(|one| one.file.day <= last_day);
        self.segments.get(start..end).unwrap_or_default()
    }

    /// Makes `columns` of the segments of some days readable, and returns the segments.
    fn prepared_segments(
        &self,
        first_day: i64,
        last_day: i64,
        part: RowPart<'_>,
        columns: &[&str],
    ) -> Result<Vec<&ListedSegment>, AnalyzeError> {
        let segments = self.segments_of(first_day, last_day).iter();
        let segments: Vec<_> = segments.filter(|segment| part.includes(&segment.file)).collect();
        self.prepare(&segments, columns)?;
        Ok(segments)
    }

    /// Makes `columns` of segments readable.
    fn prepare(&self, segments: &[&ListedSegment], columns: &[&str]) -> Result<(), AnalyzeError> {
        let files: Vec<_> = segments.iter().map(|segment| &segment.file).collect();
        Ok(self.store.prepare(&files, columns)?)
    }

    /// Returns `columns` of all rows of some days.
    pub(super) fn select(
        &self,
        first_day: i64,
        last_day: i64,
        columns: Vec<Expr>,
    ) -> Result<LazyFrame, AnalyzeError> {
        Ok(self.rows(first_day, last_day, &columns)?.select(columns))
    }

    /// Returns all rows of some days, in the current format version, with the columns that `uses` names.
    pub(super) fn rows<'e>(
        &self,
        first_day: i64,
        last_day: i64,
        uses: impl IntoIterator<Item = &'e Expr>,
    ) -> Result<LazyFrame, AnalyzeError> {
        self.rows_of(RowPart::All, first_day, last_day, uses)
    }

    /// Returns the same for a part of the rows.
    pub(super) fn rows_of<'e>(
        &self,
        part: RowPart<'_>,
        first_day: i64,
        last_day: i64,
        uses: impl IntoIterator<Item = &'e Expr>,
    ) -> Result<LazyFrame, AnalyzeError> {
        concat_rows(self.rows_by_version(part, first_day, last_day, uses)?)
    }

    /// Returns the rows of [`Self::rows_of`], one frame for each stored format version.
    pub(super) fn rows_by_version<'e>(
        &self,
        part: RowPart<'_>,
        first_day: i64,
        last_day: i64,
        uses: impl IntoIterator<Item = &'e Expr>,
    ) -> Result<Vec<LazyFrame>, AnalyzeError> {
        let columns = columns_of(uses);
        let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
        let mut files = Vec::new();
        for segment in self.prepared_segments(first_day, last_day, part, &names)? {
            files.push((segment.file.path.as_path(), self.facts(segment)?.version));
        }
        let upgraded = |rows: LazyFrame| {
            upgrade(rows).select(names.iter().map(|name| col(*name)).collect::<Vec<_>>())
        };
        scan_files(files.into_iter(), &columns, table::COLUMNS, upgraded)
    }
}

/// Columns of the event table that expressions name, in the order of the table.
fn columns_of<'e>(uses: impl IntoIterator<Item = &'e Expr>) -> Vec<table::Column> {
    let names = uses.into_iter().flatten().filter_map(|part| match part {
        Expr::Column(name) => Some(name.as_str()),
        _ => None,
    });
    let names: BTreeSet<&str> = names.collect();
    table::COLUMNS.iter().copied().filter(|column| names.contains(column.name)).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::scan::test_store::{TestRow, publish, publish_with_version};

    /// 2026-11-19 00:00 UTC.
    const TIME: i64 = 1_795_046_400_000;

    fn event_at(at: i64) -> TestRow {
        TestRow { at, ..TestRow::default() }
    }

    #[test]
    fn segments_at_end_have_no_failures_and_events_of_the_last_hour() {
        let store = tempfile::tempdir().unwrap();
        let midnight = TIME + DAY_MS;
        for (name, minutes) in [
            ("a.others.parquet", &[59, 300][..]),
            ("b.others.parquet", &[61]),
            ("c.failures.parquet", &[1]),
            ("d.parquet", &[1]),
        ] {
            let rows = minutes.iter().map(|minutes| event_at(midnight - minutes * 60_000));
            publish(store.path(), name, &rows.collect::<Vec<_>>());
        }
        publish(store.path(), "e.others.parquet", &[event_at(midnight)]);
        let scan = StoreScan::open(store.path(), Service::Ses, &[], RowLimits::DEFAULT).unwrap();
        assert_eq!(scan.segments_at_end(TIME / DAY_MS).unwrap(), ["a.others.parquet"]);
    }

    #[test]
    fn query_runs_again_if_the_store_is_compacted_meanwhile() {
        let store = tempfile::tempdir().unwrap();
        let inputs = [
            publish(store.path(), "a.parquet", &[event_at(TIME)]),
            publish(store.path(), "b.parquet", &[event_at(TIME + 1)]),
        ];
        let runs = Cell::new(0);
        let newest = StoreScan::run(store.path(), Service::Ses, &[], |scan| {
            runs.set(runs.get() + 1);
            if runs.get() == 1 {
                publish(store.path(), "c.sealed.parquet", &[event_at(TIME + 2)]);
                for path in &inputs {
                    std::fs::remove_file(path).unwrap();
                }
            }
            scan.newest_event(Service::Ses, i64::MAX / 2)
        });
        assert_eq!((newest.unwrap(), runs.get()), (Some(TIME + 2), 2));
    }

    #[test]
    fn missing_unstable_and_damaged_stores_have_different_errors() {
        let store = tempfile::tempdir().unwrap();
        let newest = |scan: &StoreScan| scan.newest_event(Service::Ses, i64::MAX / 2);
        let missing = StoreScan::run(store.path().join("x").as_path(), Service::Ses, &[], newest);
        assert!(matches!(missing, Err(AnalyzeError::Store(StoreError::NoStore(_)))));
        let number = Cell::new(0);
        publish(store.path(), "0.parquet", &[event_at(TIME)]);
        let unstable = StoreScan::run(store.path(), Service::Ses, &[], |scan| {
            number.set(number.get() + 1);
            publish(store.path(), &format!("{}.parquet", number.get()), &[event_at(TIME)]);
            for segment in scan.segments.iter() {
                std::fs::remove_file(&segment.file.path).unwrap();
            }
            newest(scan)
        });
        assert!(
            matches!(unstable, Err(AnalyzeError::Store(StoreError::UnstableListing(_)))),
            "{unstable:?}"
        );
        std::fs::File::create(store.path().join("events/date=2026-11-19/empty.parquet")).unwrap();
        let damaged = StoreScan::run(store.path(), Service::Ses, &[], newest);
        assert!(
            matches!(damaged, Err(AnalyzeError::Store(StoreError::Damaged { .. }))),
            "{damaged:?}"
        );
    }

    #[test]
    fn newest_event_is_the_earliest_copy_of_the_last_event_of_a_service() {
        let store = tempfile::tempdir().unwrap();
        let event = |message, at| TestRow { message, ..event_at(at) };
        let other = TestRow { service: Some(Service::WorkMail), ..event(3, TIME + 20) };
        publish(store.path(), "a.parquet", &[event(1, TIME + 10), event(2, TIME + 2), other]);
        publish(store.path(), "b.parquet", &[event(1, TIME + 5)]);
        publish(store.path(), "c.parquet", &[event(4, TIME - 1)]);
        for (at, expected) in [
            (i64::MAX / 2, Some(TIME + 5)),
            (TIME + 5, Some(TIME + 5)),
            (TIME + 4, Some(TIME + 2)),
            (TIME, Some(TIME - 1)),
            (TIME - 2, None),
        ] {
            let found = StoreScan::run(store.path(), Service::Ses, &[], |scan| {
                scan.newest_event(Service::Ses, at)
            });
            assert_eq!(found.unwrap(), expected, "{}", at - TIME);
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "only the name changes")]
    fn fingerprint_changes_with_names_and_content_of_segments() {
        let store = tempfile::tempdir().unwrap();
        let fingerprint = || {
            let scan = StoreScan::open(store.path(), Service::Ses, &[], RowLimits::DEFAULT);
            scan.unwrap().fingerprint(i64::MIN, i64::MAX)
        };
        let path = publish(store.path(), "a.parquet", &[event_at(TIME)]);
        let first = fingerprint();
        assert_eq!(fingerprint(), first);
        std::fs::rename(&path, path.with_file_name("b.parquet")).unwrap();
        let renamed = fingerprint();
        assert_ne!(renamed, first);
        publish(store.path(), "b.parquet", &[event_at(TIME), event_at(TIME + 1)]);
        assert_ne!(fingerprint(), renamed);
    }

    #[test]
    fn segment_of_a_newer_format_version_is_an_error() {
        let store = tempfile::tempdir().unwrap();
        publish_with_version(store.path(), "a.parquet", &[event_at(TIME)], table::FORMAT_VERSION);
        let newest = |scan: &StoreScan| scan.newest_event(Service::Ses, i64::MAX / 2);
        let found = StoreScan::run(store.path(), Service::Ses, &[], newest).unwrap();
        assert_eq!(found, Some(TIME));
        let newer = table::FORMAT_VERSION + 1;
        publish_with_version(store.path(), "b.parquet", &[event_at(TIME)], newer);
        let error = StoreScan::run(store.path(), Service::Ses, &[], newest).unwrap_err();
        assert!(error.to_string().contains(&format!("format version {newer}")), "{error}");
    }

    /// Releases of one format version can add columns (invariant I-10).
    #[test]
    fn segment_without_a_column_and_with_an_unknown_one_is_read() {
        let store = tempfile::tempdir().unwrap();
        publish(store.path(), "a.parquet", &[event_at(TIME)]);
        let other = publish(store.path(), "b.parquet", &[event_at(TIME + 1)]);
        let file = std::fs::File::open(&other).unwrap();
        let mut frame = ParquetReader::new(file).finish().unwrap();
        frame.drop_in_place(table::LINK).unwrap();
        frame.with_column(Column::new("new_column".into(), ["x"])).unwrap();
        let footer = KeyValueMetadata::from_static(vec![
            (table::VERSION_KEY.to_owned(), table::FORMAT_VERSION.to_string()),
            (table::TABLE_KEY.to_owned(), table::EVENTS.to_owned()),
        ]);
        let file = std::fs::File::create(&other).unwrap();
        ParquetWriter::new(file).with_key_value_metadata(Some(footer)).finish(&mut frame).unwrap();
        StoreScan::run(store.path(), Service::Ses, &[], |scan| {
            let all: Vec<Expr> = table::COLUMNS.iter().map(|column| col(column.name)).collect();
            let rows = scan.rows(i64::MIN, i64::MAX, &all)?.collect()?;
            assert_eq!((rows.height(), rows.width()), (2, table::COLUMNS.len()));
            assert_eq!(rows.column(table::LINK)?.null_count(), 2);
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn aggregates_that_stay_damaged_are_an_error_after_a_limited_number_of_attempts() {
        let store = tempfile::tempdir().unwrap();
        publish(store.path(), "a.parquet", &[event_at(TIME)]);
        let folders = ["x", "y"].map(|name| store.path().join("aggregates").join(name));
        let runs = Cell::new(0);
        let result: Result<(), _> = StoreScan::run(store.path(), Service::Ses, &[], |_| {
            runs.set(runs.get() + 1);
            assert!(runs.get() < 100, "unlimited");
            let folder = &folders[runs.get() % 2];
            std::fs::create_dir_all(folder).unwrap();
            let source = std::io::Error::other("damaged");
            Err(AnalyzeError::Aggregate { path: folder.join("date=2026-11-19.daily"), source })
        });
        assert!(matches!(result, Err(AnalyzeError::Aggregate { .. })), "{result:?}");
        assert_eq!(runs.get(), 2 * ATTEMPTS_MAX - 1);
    }
}
