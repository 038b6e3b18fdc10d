//! Polars frames over segments.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bouncewatch_schemas::table;
use polars::prelude::*;

use crate::error::AnalyzeError;

/// Maximum number of attempts to read files that are replaced meanwhile.
pub(super) const ATTEMPTS_MAX: usize = 5;

impl From<PolarsError> for AnalyzeError {
    fn from(error: PolarsError) -> Self {
        Self::Query(error.to_string())
    }
}

/// Returns all rows of some files.
pub(super) fn scan_files<'p>(
    paths: impl Iterator<Item = &'p Path>,
) -> Result<LazyFrame, AnalyzeError> {
    let paths: Vec<PlRefPath> = paths.map(|path| PlRefPath::new(path.to_string_lossy())).collect();
    // a folder such as `account=x` in the path of the store is not a column
    let hive_options = HiveOptions { enabled: Some(false), ..HiveOptions::default() };
    let arguments =
        ScanArgsParquet { glob: false, cache: false, hive_options, ..ScanArgsParquet::default() };
    Ok(LazyFrame::scan_parquet_files(paths.into(), arguments)?)
}

/// Returns the number of rows.
pub(super) fn count_rows(rows: LazyFrame) -> Result<u64, AnalyzeError> {
    let count = collect_streaming(rows.select([len()]))?;
    let count = count.columns().first().and_then(|column| column.get(0).ok()?.extract::<u64>());
    Ok(count.unwrap_or_default())
}

/// Returns a frame with the columns of the event table and no rows.
pub(super) fn empty_rows() -> LazyFrame {
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

/// Collects a frame with the streaming engine.
pub(super) fn collect_streaming(frame: LazyFrame) -> Result<DataFrame, AnalyzeError> {
    Ok(frame.collect_with_engine(Engine::Streaming)?.unwrap_single())
}

/// Passes the rows of a frame to `add` in batches, as they are read, and returns `target`.
pub(super) fn fold_batches<T: Send + 'static>(
    frame: LazyFrame,
    target: T,
    add: impl Fn(&DataFrame, &mut T) -> PolarsResult<()> + Send + Sync + 'static,
) -> Result<T, AnalyzeError> {
    let target = Arc::new(Mutex::new(target));
    let shared = Arc::clone(&target);
    let callback = PlanCallback::new(move |batch: DataFrame| {
        add(&batch, &mut shared.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(false)
    });
    frame.sink_batches(callback, false, None)?.collect_with_engine(Engine::Streaming)?;
    let target = Arc::into_inner(target).expect("the frame with the other reference is dropped");
    Ok(target.into_inner().unwrap_or_else(PoisonError::into_inner))
}
