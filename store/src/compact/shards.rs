//! Division of a day into output segments and passes, by ranges of message keys.

use parquet::basic::ConvertedType;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use crate::compact::plan::CompactLimits;

/// Size of the input segments of a day.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct InputSize {
    pub(super) rows: u64,
    /// Bytes before compression.
    pub(super) plain_bytes: u64,
    /// Bytes of the files.
    pub(super) file_bytes: u64,
}

impl InputSize {
    pub(super) fn add(self, other: Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            plain_bytes: self.plain_bytes + other.plain_bytes,
            file_bytes: self.file_bytes + other.file_bytes,
        }
    }
}

/// Number of output segments, and of passes over the input per output segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShardPlan {
    pub(super) segments: u64,
    pub(super) passes: u64,
}

impl ShardPlan {
    pub(super) fn new(size: &InputSize, limits: &CompactLimits) -> Self {
        let segments = (size.rows.div_ceil(limits.segment_rows_max))
            .max(size.file_bytes.div_ceil(limits.segment_bytes_max))
            .max(1);
        let all_passes = (size.rows.div_ceil(limits.pass_rows_max))
            .max(size.plain_bytes.div_ceil(limits.pass_bytes_max));
        Self { segments, passes: all_passes.div_ceil(segments).max(1) }
    }

    /// Ranges of keys of an output segment (from 0), one per pass, in ascending order.
    pub(super) fn ranges(self, segment: u64) -> impl Iterator<Item = KeyRange> {
        let first = segment * self.passes;
        (first..first + self.passes).map(move |at| KeyRange::nth(at, self.segments * self.passes))
    }
}

/// An inclusive range of message keys. Keys are hashes, so ranges of equal length contain about equally many rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyRange {
    first: i64,
    last: i64,
}

impl KeyRange {
    /// Range number `at` of `count` ranges that together contain all keys.
    fn nth(at: u64, count: u64) -> Self {
        let start = |at: u64| (i128::from(at) << 64) / i128::from(count) + i128::from(i64::MIN);
        let key = |key: i128| i64::try_from(key).expect("a range ends at 2^63 at most");
        Self { first: key(start(at)), last: key(start(at + 1) - 1) }
    }

    pub(super) fn contains(self, key: i64) -> bool {
        (self.first..=self.last).contains(&key)
    }

    /// Whether a row group can contain keys of the range, by the statistics of a column of keys.
    pub(super) fn overlaps(self, group: &RowGroupMetaData, column: usize) -> bool {
        let column = group.column(column);
        // format version 1: statistics of unsigned keys
        if column.column_descr().converted_type() == ConvertedType::UINT_64 {
            return true;
        }
        let Some(Statistics::Int64(statistics)) = column.statistics() else { return true };
        let (Some(min), Some(max)) = (statistics.min_opt(), statistics.max_opt()) else {
            return true;
        };
        *min <= self.last && *max >= self.first
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, RecordBatch, UInt64Array};
    use parquet::arrow::ArrowWriter;

    use super::*;

    #[test]
    fn ranges_of_all_segments_contain_every_key_once() {
        for (segments, passes) in [(1, 1), (2, 1), (1, 3), (3, 7), (10, 100)] {
            let plan = ShardPlan { segments, passes };
            let ranges: Vec<KeyRange> =
                (0..segments).flat_map(|segment| plan.ranges(segment)).collect();
            assert_eq!(ranges.len() as u64, segments * passes);
            assert_eq!(ranges[0].first, i64::MIN);
            assert_eq!(ranges[ranges.len() - 1].last, i64::MAX);
            assert!(ranges.windows(2).all(|pair| pair[0].last + 1 == pair[1].first), "{plan:?}");
        }
    }

    #[test]
    fn plan_respects_every_limit() {
        let limits = CompactLimits {
            pass_rows_max: 10,
            pass_bytes_max: 1_000,
            segment_rows_max: 40,
            segment_bytes_max: 500,
            ..CompactLimits::default()
        };
        for (rows, plain_bytes, file_bytes, segments, passes) in [
            (0, 0, 0, 1, 1),
            (10, 1_000, 500, 1, 1),
            // rows per pass
            (11, 0, 0, 1, 2),
            // rows per segment, then rows per pass within a segment
            (41, 0, 0, 2, 3),
            // bytes before compression per pass
            (1, 1_001, 0, 1, 2),
            // bytes of files per segment
            (1, 0, 501, 2, 1),
            (30, 9_000, 1_501, 4, 3),
        ] {
            let size = InputSize { rows, plain_bytes, file_bytes };
            assert_eq!(ShardPlan::new(&size, &limits), ShardPlan { segments, passes }, "{size:?}");
        }
    }

    /// Writes a column of keys and returns its row group.
    fn row_group(keys: arrow_array::ArrayRef) -> RowGroupMetaData {
        let rows = RecordBatch::try_from_iter([("message_key", keys)]).unwrap();
        let mut file = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut file, rows.schema(), None).unwrap();
        writer.write(&rows).unwrap();
        writer.finish().unwrap().row_group(0).clone()
    }

    #[test]
    fn row_group_with_keys_of_a_range_overlaps_it() {
        let ranges: Vec<KeyRange> = ShardPlan { segments: 2, passes: 2 }.ranges(0).collect();
        let overlaps = |group: &RowGroupMetaData| {
            ranges.iter().map(|range| range.overlaps(group, 0)).collect::<Vec<_>>()
        };
        let signed = row_group(Arc::new(Int64Array::from(vec![i64::MIN, i64::MIN + 1])));
        assert_eq!(overlaps(&signed), [true, false]);
        // version 1: 1 is the least and 2^63 the greatest unsigned key, but the signed key of 2^63 is the least one
        let unsigned = row_group(Arc::new(UInt64Array::from(vec![1, 1 << 63])));
        assert_eq!(overlaps(&unsigned), [true, true]);
    }
}
