//! Reports as a Parquet file, for those who go on with them elsewhere. Unknown is null.

use polars::prelude::*;

use crate::error::AnalyzeError;
use crate::report::Report;
use crate::report::columns::{Values, columns};

/// A report as the bytes of a Parquet file; a word of a cut is a column of its name.
///
/// # Errors
/// If the rows do not make a Parquet file.
pub fn report(report: &Report) -> Result<Vec<u8>, AnalyzeError> {
    let column = |(name, values): (String, Values)| match values {
        Values::Text(texts) => Column::new(name.into(), texts),
        Values::Count(counts) => Column::new(name.into(), counts),
        Values::Rate(rates) => Column::new(name.into(), rates),
    };
    let columns = columns(report).into_iter().map(column).collect();
    let mut frame = DataFrame::new(report.rows.len(), columns)?;
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .with_compression(ParquetCompression::Zstd(None))
        .finish(&mut frame)?;
    Ok(bytes)
}
