//! Bytes to counts: finds the format by the content. No I/O.

use crate::counts::error::CountsError;
use crate::counts::row::CountsContext;
use crate::counts::table::{Counts, CountsBuilder};
use crate::counts::{csv, ndjson, parquet};

/// First bytes of a Parquet file.
const PARQUET: &[u8] = b"PAR1";
/// Byte order mark of UTF-8.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// Parses counts in CSV with a header, NDJSON or Parquet.
///
/// # Errors
/// If the bytes are in no such format, or a row is wrong. No row is left out.
pub fn parse(bytes: Vec<u8>, context: CountsContext) -> Result<Counts, CountsError> {
    let mut lines = CountsBuilder::new("line", context);
    let text = bytes.strip_prefix(MARK).unwrap_or(&bytes);
    match text.iter().find(|byte| !byte.is_ascii_whitespace()) {
        _ if bytes.starts_with(PARQUET) => {
            let mut rows = CountsBuilder::new("row", context);
            parquet::read(bytes, &mut rows)?;
            return rows.finish();
        }
        Some(b'[') => {
            return Err(CountsError::Input {
                problem: "it is a JSON array".to_owned(),
                hint: "write one JSON object per line (NDJSON), CSV or Parquet",
            });
        }
        Some(b'{') => ndjson::read(text, &mut lines)?,
        _ => csv::read(text, &mut lines)?,
    }
    lines.finish()
}
