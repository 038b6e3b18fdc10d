//! Which events a segment of the event table contains, by its name.
//!
//! Failures (bounces, complaints, delays) are few of the rows, and most questions are about them. Many rows of a day are
//! stored as two segments, so that such a question does not read the other rows.

use bouncewatch_schemas::table::SEGMENT_SUFFIX;

/// Which events a segment contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SegmentContent {
    /// Any events.
    Any,
    /// Bounces, complaints and delays.
    Failures,
    /// All other events.
    Others,
}

/// Minimum number of rows that are stored as two segments. Fewer are one segment: a segment has a footer of some
/// kilobytes, and a bucket costs per request.
pub(crate) const SPLIT_ROWS_MIN: usize = 10_000;

impl SegmentContent {
    /// The end of the file name without [`SEGMENT_SUFFIX`].
    pub(crate) const fn mark(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Failures => ".failures",
            Self::Others => ".others",
        }
    }

    /// The content of a segment with a file name.
    pub fn of(name: &str) -> Self {
        Self::split(name.strip_suffix(SEGMENT_SUFFIX).unwrap_or_default()).1
    }

    /// Splits a file name without [`SEGMENT_SUFFIX`] before its mark.
    pub(crate) fn split(stem: &str) -> (&str, Self) {
        let marked = [Self::Failures, Self::Others].into_iter();
        let mut found = marked.filter_map(|one| Some((stem.strip_suffix(one.mark())?, one)));
        found.next().unwrap_or((stem, Self::Any))
    }

    /// Whether the segment can contain failures, or other events.
    pub fn contains(self, is_failure: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Failures => is_failure,
            Self::Others => !is_failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_a_segment_ends_with_its_content() {
        for (name, expected) in [
            ("1-a.failures.parquet", SegmentContent::Failures),
            ("1-a.others.parquet", SegmentContent::Others),
            ("1-a.sealed-1of2.others.parquet", SegmentContent::Others),
            ("1-a.parquet", SegmentContent::Any),
            ("1-a.sealed.parquet", SegmentContent::Any),
            ("others.parquet", SegmentContent::Any),
            ("1-a.others", SegmentContent::Any),
        ] {
            assert_eq!(SegmentContent::of(name), expected, "{name}");
        }
    }
}
