//! Parses counts; detects the format from the content. No I/O.

use crate::counts::error::CountsError;
use crate::counts::row::CountsContext;
use crate::counts::table::{Counts, CountsBuilder};
use crate::counts::{csv, ndjson, parquet};

/// First bytes of a Parquet file.
const PARQUET_MAGIC: &[u8] = b"PAR1";
/// Byte order mark of UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Parses counts in CSV with a header, NDJSON or Parquet.
///
/// # Errors
/// If the bytes are in none of these formats, or a row is invalid. Rows are never skipped.
pub fn parse(bytes: Vec<u8>, context: CountsContext) -> Result<Counts, CountsError> {
    let mut lines = CountsBuilder::new("line", context);
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
    match text.iter().find(|byte| !byte.is_ascii_whitespace()) {
        _ if bytes.starts_with(PARQUET_MAGIC) => {
            let mut rows = CountsBuilder::new("row", context);
            parquet::read(bytes, &mut rows)?;
            return rows.finish();
        }
        Some(b'[') => {
            return Err(CountsError::Input {
                problem: "the input is a JSON array".to_owned(),
                hint: "write one JSON object per line (NDJSON), CSV or Parquet",
            });
        }
        Some(b'{') => ndjson::read(text, &mut lines)?,
        _ => csv::read(text, &mut lines)?,
    }
    lines.finish()
}
