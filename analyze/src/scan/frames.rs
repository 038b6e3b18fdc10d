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

/// Returns `columns` of all rows of `files`, which are given with their format versions: one frame
/// for each version. `upgrade` converts rows of version 1, with `all_columns` of the table, to rows
/// of the current version.
pub(super) fn scan_files<'p>(
    files: impl Iterator<Item = (&'p Path, u32)>,
    columns: &[table::Column],
    all_columns: &[table::Column],
    upgrade: impl Fn(LazyFrame) -> LazyFrame,
) -> Result<Vec<LazyFrame>, AnalyzeError> {
    let (old, current): (Vec<_>, Vec<_>) = files.partition(|(_, version)| *version == 1);
    let mut parts = Vec::new();
    if !current.is_empty() {
        parts.push(scan_version(current, schema_of(columns, &DataType::Int64))?);
    }
    if !old.is_empty() {
        parts.push(upgrade(scan_version(old, schema_of(all_columns, &DataType::UInt64))?));
    }
    if parts.is_empty() {
        parts.push(empty_rows(columns));
    }
    Ok(parts)
}

/// Returns the rows of all frames.
pub(super) fn concat_rows(mut parts: Vec<LazyFrame>) -> Result<LazyFrame, AnalyzeError> {
    match parts.len() {
        1 => Ok(parts.remove(0)),
        _ => Ok(concat(parts, UnionArgs::default())?),
    }
}

/// Returns all rows of files of one format version. A column that a file lacks is null, and a
/// column that `schema` lacks is ignored: files of older and newer releases can have other columns
/// (invariant I-10).
fn scan_version(files: Vec<(&Path, u32)>, schema: Schema) -> Result<LazyFrame, AnalyzeError> {
    let paths = files.into_iter().map(|(path, _)| PlRefPath::new(path.to_string_lossy()));
    let parquet = ParquetOptions {
        schema: Some(Arc::new(schema)),
        parallel: ParallelStrategy::default(),
        low_memory: false,
        use_statistics: true,
    };
    let arguments = UnifiedScanArgs {
        glob: false,
        cache: false,
        // a folder such as `account=x` in the path of the store is not a column
        hive_options: HiveOptions { enabled: Some(false), ..HiveOptions::default() },
        missing_columns_policy: MissingColumnsPolicy::Insert,
        extra_columns_policy: ExtraColumnsPolicy::Ignore,
        ..UnifiedScanArgs::default()
    };
    let sources = ScanSources::Paths(paths.collect());
    Ok(DslBuilder::scan_parquet(sources, parquet, arguments)?.build().into())
}

/// Returns the number of rows of all frames. Counts each frame separately: polars adds the counts
/// of a concatenation as 128-bit integers, a type that is disabled in this build.
pub(super) fn count_rows(parts: Vec<LazyFrame>) -> Result<u64, AnalyzeError> {
    let mut sum = 0;
    for rows in parts {
        let count = collect_streaming(rows.select([len()]))?;
        let count = count.columns().first().and_then(|column| column.get(0).ok()?.extract::<u64>());
        sum += count.unwrap_or_default();
    }
    Ok(sum)
}

/// Returns the schema of some columns. `hash` is the type of hashes: [`DataType::UInt64`] in format version 1.
fn schema_of(columns: &[table::Column], hash: &DataType) -> Schema {
    let field = |column: &table::Column| {
        let text = DataType::String;
        let data_type = match column.column_type {
            table::ColumnType::Text => text,
            table::ColumnType::Time => {
                DataType::Datetime(TimeUnit::Milliseconds, Some(TimeZone::UTC))
            }
            table::ColumnType::Int32 => DataType::Int32,
            table::ColumnType::Int64 => DataType::Int64,
            table::ColumnType::Hash => hash.clone(),
            table::ColumnType::Bool => DataType::Boolean,
            table::ColumnType::Bytes => DataType::Binary,
            table::ColumnType::Tags => DataType::List(Box::new(DataType::Struct(vec![
                Field::new("key".into(), text.clone()),
                Field::new("value".into(), text),
            ]))),
        };
        Field::new(column.name.into(), data_type)
    };
    columns.iter().map(field).collect()
}

/// Returns a frame with the columns of a table and no rows.
pub(super) fn empty_rows(columns: &[table::Column]) -> LazyFrame {
    DataFrame::empty_with_schema(&schema_of(columns, &DataType::Int64)).lazy()
}

/// Returns the rows that match a condition. The scan decodes the columns of the condition first,
/// and the other columns of matching rows only.
///
/// Apply further filters to the result: in the same condition, polars decodes their columns for all
/// rows.
pub(super) fn filter_before_decoding(rows: LazyFrame, condition: Expr) -> LazyFrame {
    let through = AllowedOptimizations::PROJECTION_PUSHDOWN | AllowedOptimizations::STREAMING;
    rows.filter(condition).map(Ok, through, None, None)
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
    fold_batches_until(frame, target, move |batch, target| add(batch, target).map(|()| false))
}

/// The same, until `add` returns true.
pub(super) fn fold_batches_until<T: Send + 'static>(
    frame: LazyFrame,
    target: T,
    add: impl Fn(&DataFrame, &mut T) -> PolarsResult<bool> + Send + Sync + 'static,
) -> Result<T, AnalyzeError> {
    let target = Arc::new(Mutex::new(target));
    let shared = Arc::clone(&target);
    let callback = PlanCallback::new(move |batch: DataFrame| {
        add(&batch, &mut shared.lock().unwrap_or_else(PoisonError::into_inner))
    });
    frame.sink_batches(callback, false, None)?.collect_with_engine(Engine::Streaming)?;
    let target = Arc::into_inner(target).expect("the frame with the other reference is dropped");
    Ok(target.into_inner().unwrap_or_else(PoisonError::into_inner))
}
