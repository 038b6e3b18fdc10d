//! Report as a Parquet file. Unknown is null.

use polars::prelude::*;

use crate::error::AnalyzeError;
use crate::report::columns::{ColumnValues, columns};
use crate::report::rates::RateReport;

/// Returns a report as the bytes of a Parquet file. Each dimension is a column of the same name.
///
/// # Errors
/// If the Parquet file cannot be encoded.
pub fn report(report: &RateReport) -> Result<Vec<u8>, AnalyzeError> {
    let column = |(name, values): (String, ColumnValues)| match values {
        ColumnValues::Text(texts) => Column::new(name.into(), texts),
        ColumnValues::Count(counts) => Column::new(name.into(), counts),
        ColumnValues::Rate(rates) => Column::new(name.into(), rates),
    };
    let columns = columns(report).into_iter().map(column).collect();
    let mut frame = DataFrame::new(report.rows.len(), columns)?;
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .with_compression(ParquetCompression::Zstd(None))
        .finish(&mut frame)?;
    Ok(bytes)
}
