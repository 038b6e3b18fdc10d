//! Store -> the timelines of scopes. The one place where copies of an event become one event (invariant I-5).
//!
//! A part of history is loaded whole: from its first day on, every event is complete. Copies of an event may lie far
//! apart (a replayed archive, feedback that comes twice), but never before their mail was sent; so for messages sent
//! before the part begins, older days are asked for their other rows, by message. Rows are worked on in shards by
//! message, so that memory does not grow with the part.
//!
//! This file knows the store, `part` the part of history that one question looks at.

mod part;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::day_of;
use polars::prelude::*;

use crate::error::AnalyzeError;
use crate::measures;
use crate::model::{ScopeValues, ScopeWord, Timeline};
use crate::segments;

pub(crate) use part::Part;

/// Column of the provider that hosts a domain.
const HOST: &str = "host";

/// Timelines of one cut.
pub(crate) type Timelines = BTreeMap<ScopeValues, Timeline>;

/// A store that can be asked about the mail of one service.
#[derive(Debug)]
pub(crate) struct Scan {
    service: Service,
    segments: Vec<(i64, PathBuf)>,
    own_domains: Vec<String>,
    hosts: OnceCell<DataFrame>,
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
    pub(crate) fn open(
        store: &Path,
        service: Service,
        own_domains: Vec<String>,
    ) -> Result<Self, AnalyzeError> {
        let segments = segments::list(store)?;
        Ok(Self { service, segments, own_domains, hosts: OnceCell::new() })
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
        let days: BTreeSet<i64> =
            self.segments.iter().map(|(day, _)| *day).filter(|day| *day <= day_of(at)).collect();
        for day in days.into_iter().rev() {
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

    /// The provider of each domain that some row of the whole history knows: a bounce tells who hosts a domain, a send
    /// does not. Asked for once.
    fn hosts(&self) -> Result<&DataFrame, AnalyzeError> {
        if let Some(known) = self.hosts.get() {
            return Ok(known);
        }
        let provider = measures::word(&ScopeWord::Column(table::PROVIDER));
        let hosts = self
            .rows(i64::MIN, i64::MAX)?
            .filter(measures::is_of(self.service))
            .select([col(table::RECIPIENT_DOMAIN), provider])
            .filter(col(table::PROVIDER).is_not_null())
            .group_by([col(table::RECIPIENT_DOMAIN)])
            .agg([col(table::PROVIDER).max().alias(HOST)]);
        let hosts = collect_streaming(hosts)?;
        Ok(self.hosts.get_or_init(|| hosts))
    }

    /// All rows of some days.
    fn rows(&self, first_day: i64, last_day: i64) -> Result<LazyFrame, AnalyzeError> {
        let paths: Vec<PlRefPath> = self
            .segments
            .iter()
            .filter(|(day, _)| (first_day..=last_day).contains(day))
            .map(|(_, path)| PlRefPath::new(path.to_string_lossy()))
            .collect();
        if paths.is_empty() {
            return Ok(empty_rows());
        }
        // folders such as `account=x` in the path of a store are names, and not columns
        let hive_options = HiveOptions { enabled: Some(false), ..HiveOptions::default() };
        let arguments = ScanArgsParquet {
            glob: false,
            cache: false,
            hive_options,
            ..ScanArgsParquet::default()
        };
        Ok(LazyFrame::scan_parquet_files(paths.into(), arguments)?)
    }
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
