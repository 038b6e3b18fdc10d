//! Report as a Parquet file. Unknown is null.

use std::io::Write;

use polars::prelude::*;

use crate::error::AnalyzeError;
use crate::report::columns::{ReportColumn, columns};
use crate::report::rates::{RateReport, RateRow};

/// Number of rows in memory, and per row group.
const BATCH_ROWS: usize = 64 * 1024;

/// Writes a report as a Parquet file, in batches of rows. Each dimension is a column of the same name.
///
/// # Errors
/// If the Parquet file cannot be encoded or written.
pub fn report(report: &RateReport, out: &mut dyn Write) -> Result<(), AnalyzeError> {
    let columns = columns(report);
    let schema: Schema = columns
        .iter()
        .map(|(name, column)| Field::new(name.as_str().into(), data_type(column)))
        .collect();
    let mut writer = ParquetWriter::new(out)
        .with_compression(ParquetCompression::Zstd(None))
        .batched(&schema)?;
    let mut rows = report.rows.iter();
    loop {
        let batch: Vec<RateRow> = rows.by_ref().take(BATCH_ROWS).collect();
        if batch.is_empty() {
            break;
        }
        let values = columns.iter().map(|(name, column)| values(name, column, &batch)).collect();
        writer.write_batch(&DataFrame::new(batch.len(), values)?)?;
    }
    writer.finish()?;
    Ok(())
}

const fn data_type(column: &ReportColumn) -> DataType {
    match column {
        ReportColumn::Text(_) => DataType::String,
        ReportColumn::Count(_) => DataType::UInt64,
        ReportColumn::Rate(_) => DataType::Float64,
    }
}

fn values(name: &str, column: &ReportColumn, rows: &[RateRow]) -> Column {
    match column {
        ReportColumn::Text(text) => {
            Column::new(name.into(), rows.iter().map(text).collect::<Vec<Option<String>>>())
        }
        ReportColumn::Count(count) => {
            Column::new(name.into(), rows.iter().map(count).collect::<Vec<Option<u64>>>())
        }
        ReportColumn::Rate(rate) => {
            Column::new(name.into(), rows.iter().map(rate).collect::<Vec<Option<f64>>>())
        }
    }
}
