//! Store -> the timelines of scopes. The one place where copies of an event become one event (invariant I-5).
//!
//! Copies of an event may lie far apart (a replayed archive, feedback that comes twice), but never before their mail was
//! sent. So what the rows of a day change is known from that day and those before it, and the changes of all days
//! together are the timelines. That of a closed day is kept (`aggregates`) as long as the segments that it was made of are
//! the same.
//!
//! This file knows the store; `changes` makes of rows (`rows`) what they change in lists of times (`lists`), `part` is the
//! part of history that one question looks at, `gather` makes timelines of changes, `failures` hands on events one by one.

mod changes;
pub(crate) mod daily;
mod failures;
mod gather;
mod keys;
mod lists;
pub(crate) mod loading;
pub(crate) mod measures;
mod part;
mod rows;
mod send_counts;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::UNIX_EPOCH;

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::day_of;
use polars::prelude::*;
use xxhash_rust::xxh3::Xxh3;

use crate::error::AnalyzeError;
use crate::timeline::model::{ScopeValues, Timeline};
use bouncewatch_store::{StoreError, list};

pub(crate) use failures::{Asked, Failure};
pub(crate) use gather::Exact;
pub(crate) use part::{Look, Part};

/// How often a store is asked when its segments vanish meanwhile.
const TRIES: usize = 5;

/// Timelines of one cut.
pub(crate) type Timelines = BTreeMap<ScopeValues, Timeline>;

/// A store that can be asked about the mail of one service.
#[derive(Debug)]
pub(crate) struct Scan {
    store: PathBuf,
    service: Service,
    segments: Vec<(i64, PathBuf)>,
    own_domains: Vec<String>,
    /// What each day is made of, as a number; found when it is asked for, because each segment is looked at.
    marks: BTreeMap<i64, OnceLock<u64>>,
    /// The table of volumes.
    volumes: OnceLock<send_counts::Rows>,
}

/// A part of history, as timelines.
#[derive(Debug)]
pub(crate) struct History {
    /// Timelines, one map for each cut that was asked for.
    pub(crate) cuts: Vec<Timelines>,
}

impl From<PolarsError> for AnalyzeError {
    fn from(error: PolarsError) -> Self {
        Self::Compute(error.to_string())
    }
}

impl Scan {
    /// Asks a store. A segment may be replaced and removed while it is asked; then it is asked again from the start,
    /// so that an answer is never made of two states.
    pub(crate) fn over<T>(
        store: &Path,
        service: Service,
        own_domains: &[String],
        ask: impl Fn(&Self) -> Result<T, AnalyzeError>,
    ) -> Result<T, AnalyzeError> {
        let mut tries = 0;
        while tries < TRIES {
            let segments = list::list(store)?;
            let own_domains = own_domains.to_vec();
            let store = store.to_path_buf();
            let marks = segments.iter().map(|(day, _)| (*day, OnceLock::new())).collect();
            let volumes = OnceLock::new();
            let scan = Self { store, service, segments, own_domains, marks, volumes };
            match ask(&scan) {
                Err(_) if scan.has_lost_a_segment() => tries += 1,
                // what is damaged goes, with all that was kept beside it, and is made again
                Err(AnalyzeError::Aggregate { path, .. })
                    if path
                        .parent()
                        .is_some_and(|shelf| std::fs::remove_dir_all(shelf).is_ok()) => {}
                answer => return answer,
            }
        }
        Err(StoreError::UnstableListing(store.display().to_string()).into())
    }

    fn has_lost_a_segment(&self) -> bool {
        self.segments.iter().any(|(_, path)| matches!(path.try_exists(), Ok(false)))
    }

    /// Whose mail is asked about.
    pub(crate) fn service(&self) -> Service {
        self.service
    }

    /// Time of a service's newest event at or before `at`.
    pub(crate) fn newest_event(
        &self,
        service: Service,
        at: i64,
    ) -> Result<Option<i64>, AnalyzeError> {
        for day in self.days(i64::MIN, day_of(at)).into_iter().rev() {
            let time = col(table::EVENT_AT).cast(DataType::Int64);
            // an event is as old as the earliest of its copies, whether they were merged already or not
            let newest = self
                .rows(day, day)?
                .filter(measures::is_of(service).and(time.clone().lt_eq(lit(at))))
                .group_by([col(table::MESSAGE_KEY), col(table::EVENT_KEY)])
                .agg([time.min()])
                .select([col(table::EVENT_AT).max()])
                .collect()?;
            if let Some(newest) = newest.column(table::EVENT_AT)?.i64()?.get(0) {
                return Ok(Some(newest));
            }
        }
        Ok(None)
    }

    /// The days that have segments, from the first to the last that is asked for.
    fn days(&self, first_day: i64, last_day: i64) -> BTreeSet<i64> {
        let days = self.marks.keys().copied();
        days.filter(|day| (first_day..=last_day).contains(day)).collect()
    }

    /// A number that stands for the segments of some days: another listing has another one.
    fn fingerprint(&self, first_day: i64, last_day: i64) -> u64 {
        let mut hash = Xxh3::new();
        for (day, mark) in self.marks.range(first_day..=last_day.max(first_day)) {
            hash.write_i64(*day);
            hash.write_u64(*mark.get_or_init(|| self.mark(*day)));
        }
        hash.finish()
    }

    fn mark(&self, day: i64) -> u64 {
        let mut hash = Xxh3::new();
        for path in self.segments_of(day, day) {
            hash.write(path.file_name().unwrap_or_default().as_encoded_bytes());
            // segments never change; what a restored copy of a store may have is found all the same
            if let Ok(found) = path.metadata() {
                hash.write_u64(found.len());
                let changed =
                    found.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
                hash.write_u128(changed.unwrap_or_default().as_nanos());
            }
        }
        hash.finish()
    }

    /// The segments of some days.
    fn segments_of(&self, first_day: i64, last_day: i64) -> impl Iterator<Item = &Path> {
        let begin = self.segments.partition_point(|(day, _)| *day < first_day);
        let of_days = self.segments[begin..].iter().take_while(move |(day, _)| *day <= last_day);
        of_days.map(|(_, path)| path.as_path())
    }

    /// All rows of some days.
    fn rows(&self, first_day: i64, last_day: i64) -> Result<LazyFrame, AnalyzeError> {
        let mut paths = self.segments_of(first_day, last_day).peekable();
        if paths.peek().is_none() { Ok(empty_rows()) } else { scan_files(paths) }
    }
}

/// All rows of some files.
fn scan_files<'p>(paths: impl Iterator<Item = &'p Path>) -> Result<LazyFrame, AnalyzeError> {
    let paths: Vec<PlRefPath> = paths.map(|path| PlRefPath::new(path.to_string_lossy())).collect();
    // folders such as `account=x` in the path of a store are names, and not columns
    let hive_options = HiveOptions { enabled: Some(false), ..HiveOptions::default() };
    let arguments =
        ScanArgsParquet { glob: false, cache: false, hive_options, ..ScanArgsParquet::default() };
    Ok(LazyFrame::scan_parquet_files(paths.into(), arguments)?)
}

/// How many rows there are.
fn count_of(rows: LazyFrame) -> Result<u64, AnalyzeError> {
    let count = collect_streaming(rows.select([len()]))?;
    let count = count.columns().first().and_then(|column| column.get(0).ok()?.extract::<u64>());
    Ok(count.unwrap_or_default())
}

/// A frame of the table's columns without rows.
fn empty_rows() -> LazyFrame {
    let field = |column: &table::Column| {
        let text = DataType::String;
        let data_type = match column.column_type {
            table::ColumnType::Text => text,
            table::ColumnType::Time => {
                DataType::Datetime(TimeUnit::Milliseconds, Some(TimeZone::UTC))
            }
            table::ColumnType::Int32 => DataType::Int32,
            table::ColumnType::Int64 => DataType::Int64,
            table::ColumnType::Hash => DataType::UInt64,
            table::ColumnType::Bool => DataType::Boolean,
            table::ColumnType::Bytes => DataType::Binary,
            table::ColumnType::Tags => DataType::List(Box::new(DataType::Struct(vec![
                Field::new("key".into(), text.clone()),
                Field::new("value".into(), text),
            ]))),
        };
        Field::new(column.name.into(), data_type)
    };
    DataFrame::empty_with_schema(&table::COLUMNS.iter().map(field).collect::<Schema>()).lazy()
}

/// Collects with the engine that works through rows in pieces.
fn collect_streaming(frame: LazyFrame) -> Result<DataFrame, AnalyzeError> {
    Ok(frame.collect_with_engine(Engine::Streaming)?.unwrap_single())
}

/// Hands the rows of a frame on piece by piece, as they are read, to what takes them.
fn batches<T: Send + 'static>(
    frame: LazyFrame,
    taker: T,
    take: impl Fn(&DataFrame, &mut T) -> PolarsResult<()> + Send + Sync + 'static,
) -> Result<T, AnalyzeError> {
    let taker = Arc::new(Mutex::new(taker));
    let shared = Arc::clone(&taker);
    let one = PlanCallback::new(move |batch: DataFrame| {
        take(&batch, &mut shared.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(false)
    });
    frame.sink_batches(one, false, None)?.collect_with_engine(Engine::Streaming)?;
    let taker = Arc::into_inner(taker).expect("the frame that held the other one is gone");
    Ok(taker.into_inner().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// A segment with an event at a time.
    fn publish(store: &Path, name: &str, time: i64) -> PathBuf {
        let folder = store.join("events/date=2026-11-19");
        std::fs::create_dir_all(&folder).unwrap();
        let mut columns: Vec<Column> = Vec::new();
        for column in empty_rows().collect().unwrap().columns() {
            let value = match column.name().as_str() {
                table::EVENT_AT => {
                    Column::new(column.name().clone(), [time]).cast(column.dtype()).unwrap()
                }
                table::SERVICE => Column::new(column.name().clone(), ["ses"]),
                _ => Column::full_null(column.name().clone(), 1, column.dtype()),
            };
            columns.push(value);
        }
        let path = folder.join(name);
        let file = std::fs::File::create(&path).unwrap();
        ParquetWriter::new(file).finish(&mut DataFrame::new(1, columns).unwrap()).unwrap();
        path
    }

    #[test]
    fn a_store_that_is_compacted_meanwhile_is_asked_again() {
        let store = tempfile::tempdir().unwrap();
        let time = 1_795_082_400_000;
        let inputs = [
            publish(store.path(), "a.parquet", time),
            publish(store.path(), "b.parquet", time + 1),
        ];
        let asked = Cell::new(0);
        let newest = Scan::over(store.path(), Service::Ses, &[], |scan| {
            asked.set(asked.get() + 1);
            if asked.get() == 1 {
                publish(store.path(), "c.sealed.parquet", time + 2);
                for path in &inputs {
                    std::fs::remove_file(path).unwrap();
                }
            }
            scan.newest_event(Service::Ses, i64::MAX / 2)
        });
        assert_eq!((newest.unwrap(), asked.get()), (Some(time + 2), 2));
    }

    #[test]
    fn a_store_that_never_rests_and_one_that_cannot_be_read_are_told_apart() {
        let store = tempfile::tempdir().unwrap();
        let restless = Scan::over(store.path().join("x").as_path(), Service::Ses, &[], |_| Ok(()));
        assert!(matches!(restless, Err(AnalyzeError::Store(StoreError::NoStore(_)))));
        let number = Cell::new(0);
        publish(store.path(), "0.parquet", 1);
        let restless = Scan::over(store.path(), Service::Ses, &[], |scan| {
            number.set(number.get() + 1);
            publish(store.path(), &format!("{}.parquet", number.get()), 1);
            for (_, path) in &scan.segments {
                std::fs::remove_file(path).unwrap();
            }
            scan.newest_event(Service::Ses, i64::MAX / 2)
        });
        assert!(
            matches!(restless, Err(AnalyzeError::Store(StoreError::UnstableListing(_)))),
            "{restless:?}"
        );
        std::fs::File::create(store.path().join("events/date=2026-11-19/empty.parquet")).unwrap();
        let broken = Scan::over(store.path(), Service::Ses, &[], |scan| {
            scan.newest_event(Service::Ses, i64::MAX / 2)
        });
        assert!(matches!(broken, Err(AnalyzeError::Compute(_))), "{broken:?}");
    }
}
