//! Checksums of the column chunks of a segment. A reader of a few columns of an object verifies
//! only these columns, without the rest of the file. The footer has its own checksum.
//!
//! The footer value has one line per row group: the 64-bit XXH3 of each column chunk, 16 hex digits
//! each.

use std::fmt::Write;
use std::ops::Range;

use bouncewatch_schemas::table::CHUNKS_KEY;
use parquet::file::metadata::{ColumnChunkMetaData, KeyValue, RowGroupMetaData};
use xxhash_rust::xxh3::xxh3_64;

use crate::checksum::DIGITS;

/// Checksums of the column chunks of a segment, by row group.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ChunkChecksums(Vec<Vec<u64>>);

impl ChunkChecksums {
    /// Number of row groups so far.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds the row groups of `written` that were not added yet. `bytes` contains these row groups,
    /// and starts at position `start` of the file.
    pub(crate) fn add(&mut self, written: &[RowGroupMetaData], start: u64, bytes: &[u8]) {
        for row_group in written.iter().skip(self.len()) {
            let checksum = |column: &ColumnChunkMetaData| {
                let range = chunk_range(column).and_then(|range| {
                    let at = |position: u64| usize::try_from(position.checked_sub(start)?).ok();
                    Some(at(range.start)?..at(range.end)?)
                });
                xxh3_64(range.and_then(|range| bytes.get(range)).unwrap_or_default())
            };
            self.0.push(row_group.columns().iter().map(checksum).collect());
        }
    }

    /// The value for the footer.
    pub(crate) fn footer_value(&self) -> KeyValue {
        let mut lines = String::new();
        for (number, row_group) in self.0.iter().enumerate() {
            if number > 0 {
                lines.push('\n');
            }
            for checksum in row_group {
                _ = write!(lines, "{checksum:016x}");
            }
        }
        KeyValue::new(CHUNKS_KEY.to_owned(), lines)
    }

    /// Parses the value of a footer; `None` if it does not contain one checksum for each column of
    /// each row group.
    pub(crate) fn parse(value: &str, row_groups: &[RowGroupMetaData]) -> Option<Self> {
        let number = |digits: &[u8]| u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok();
        let line = |line: &str| line.as_bytes().chunks(DIGITS).map(number).collect();
        let parsed: Vec<Vec<u64>> = value.lines().map(line).collect::<Option<_>>()?;
        let counts = row_groups.iter().map(RowGroupMetaData::num_columns);
        parsed.iter().map(Vec::len).eq(counts).then_some(Self(parsed))
    }

    /// Whether a column chunk matches its checksum.
    pub(crate) fn is_intact(&self, row_group: usize, column: usize, bytes: &[u8]) -> bool {
        let chunk = self.0.get(row_group).and_then(|chunks| chunks.get(column));
        chunk.is_some_and(|checksum| *checksum == xxh3_64(bytes))
    }
}

/// Position of a column chunk in the file; `None` if the position in the footer is invalid.
pub(crate) fn chunk_range(column: &ColumnChunkMetaData) -> Option<Range<u64>> {
    let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
    let start = u64::try_from(start).ok()?;
    let length = u64::try_from(column.compressed_size()).ok()?;
    Some(start..start.checked_add(length)?)
}
