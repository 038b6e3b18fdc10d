//! Checksums of the column chunks of a segment: a reader of some columns of an object checks what it reads, without the
//! rest of the file.
//!
//! The value of the footer has a line per row group: XXH3 of 64 bits of the description of the row group (what the
//! footer states about its rows and columns), then of the bytes of each column chunk. 16 hex digits each.

use std::fmt::Write;
use std::ops::Range;

use bouncewatch_schemas::table::CHUNKS_KEY;
use parquet::file::metadata::{ColumnChunkMetaData, KeyValue, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Hex digits of a checksum.
const DIGITS: usize = 16;

/// Checksums of the row groups of a segment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ChunkChecksums {
    row_groups: Vec<RowGroupChecksums>,
}

/// Checksums of a row group.
#[derive(Debug, PartialEq, Eq)]
struct RowGroupChecksums {
    description: u64,
    chunks: Vec<u64>,
}

impl ChunkChecksums {
    /// Row groups so far.
    pub(crate) fn len(&self) -> usize {
        self.row_groups.len()
    }

    /// Adds the row groups of `written` that follow those so far. `bytes` contains them, and `start` is its position in
    /// the file.
    pub(crate) fn add(&mut self, written: &[RowGroupMetaData], start: u64, bytes: &[u8]) {
        for row_group in written.iter().skip(self.len()) {
            let checksum = |column: &ColumnChunkMetaData| {
                let range = chunk_range(column).and_then(|range| {
                    let at = |position: u64| usize::try_from(position.checked_sub(start)?).ok();
                    Some(at(range.start)?..at(range.end)?)
                });
                xxh3_64(range.and_then(|range| bytes.get(range)).unwrap_or_default())
            };
            let chunks = row_group.columns().iter().map(checksum).collect();
            let description = description_checksum(row_group);
            self.row_groups.push(RowGroupChecksums { description, chunks });
        }
    }

    /// The value for the footer.
    pub(crate) fn footer_value(&self) -> KeyValue {
        let mut lines = String::new();
        for row_group in &self.row_groups {
            if !lines.is_empty() {
                lines.push('\n');
            }
            for checksum in std::iter::once(&row_group.description).chain(&row_group.chunks) {
                _ = write!(lines, "{checksum:016x}");
            }
        }
        KeyValue::new(CHUNKS_KEY.to_owned(), lines)
    }

    /// Parses the value of a footer, and compares it with the descriptions of the row groups; `None` if they differ.
    pub(crate) fn parse(value: &str, row_groups: &[RowGroupMetaData]) -> Option<Self> {
        let mut parsed = Self::default();
        for line in value.lines() {
            let numbers = line.as_bytes().chunks(DIGITS).map(|digits| {
                let number = u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
                (format!("{number:016x}").as_bytes() == digits).then_some(number)
            });
            let mut numbers = numbers.collect::<Option<Vec<u64>>>()?.into_iter();
            let description = numbers.next()?;
            parsed.row_groups.push(RowGroupChecksums { description, chunks: numbers.collect() });
        }
        let is_of = |(checksums, row_group): (&RowGroupChecksums, &RowGroupMetaData)| {
            checksums.chunks.len() == row_group.num_columns()
                && checksums.description == description_checksum(row_group)
        };
        let is_same =
            parsed.len() == row_groups.len() && parsed.row_groups.iter().zip(row_groups).all(is_of);
        is_same.then_some(parsed)
    }

    /// Whether a column chunk is as it was written.
    pub(crate) fn is_intact(&self, row_group: usize, column: usize, bytes: &[u8]) -> bool {
        let chunk = self.row_groups.get(row_group).and_then(|one| one.chunks.get(column));
        chunk.is_some_and(|checksum| *checksum == xxh3_64(bytes))
    }
}

/// Position of a column chunk in the file; `None` if the footer states an impossible one.
pub(crate) fn chunk_range(column: &ColumnChunkMetaData) -> Option<Range<u64>> {
    let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
    let start = u64::try_from(start).ok()?;
    let length = u64::try_from(column.compressed_size()).ok()?;
    Some(start..start.checked_add(length)?)
}

/// Checksum of what the footer states about a row group: all that decides which bytes are read, and as what.
fn description_checksum(row_group: &RowGroupMetaData) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&row_group.num_rows().to_le_bytes());
    for column in row_group.columns() {
        // a length before each text, so that no two descriptions have the same bytes
        let mut text = |bytes: &[u8]| {
            hash.update(&(bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        text(column.column_path().string().as_bytes());
        let statistics = column.statistics();
        for bound in [
            statistics.and_then(Statistics::min_bytes_opt),
            statistics.and_then(Statistics::max_bytes_opt),
        ] {
            text(bound.unwrap_or_default());
        }
        let nulls = statistics.and_then(Statistics::null_count_opt);
        for number in [
            column.dictionary_page_offset().unwrap_or(-1),
            column.data_page_offset(),
            column.compressed_size(),
            column.uncompressed_size(),
            column.num_values(),
            nulls.map_or(-1, u64::cast_signed),
        ] {
            hash.update(&number.to_le_bytes());
        }
    }
    hash.digest()
}
