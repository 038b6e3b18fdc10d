//! Names of compacted segments. Compaction merges the segments of a day into a set of one or more segments, named
//! `SET.sealed.parquet` or `SET.sealed-PARTofPARTS.parquet`, before `.parquet` possibly with the mark of a
//! [`SegmentContent`].
//!
//! A day is compacted if its listing is exactly one complete set. No marker file is needed: if a
//! segment arrives later, the day is no longer compacted.

use std::collections::BTreeMap;

use bouncewatch_schemas::table::SEGMENT_SUFFIX;

use crate::segment_content::SegmentContent;

/// Text between the name of a set and the suffix of its segments; part of the format on disk.
const MARK: &str = ".sealed";

/// Parsed name of a compacted segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactedName<'a> {
    /// Name of the set, unique in its table.
    pub set: &'a str,
    /// Number of this segment in the set, from 1.
    pub part: usize,
    /// Number of segments in the set.
    pub parts: usize,
    /// Which events the segment contains.
    pub content: SegmentContent,
}

impl<'a> CompactedName<'a> {
    /// Name of the only segment of a set.
    pub(crate) fn single(set: &'a str) -> Self {
        Self { set, part: 1, parts: 1, content: SegmentContent::Any }
    }

    /// Parses a file name; `None` if it is not the name of a compacted segment.
    pub fn parse(name: &'a str) -> Option<Self> {
        let (stem, content) = SegmentContent::split(name.strip_suffix(SEGMENT_SUFFIX)?);
        let (set, rest) = stem.split_once(MARK)?;
        if set.is_empty() {
            return None;
        }
        if rest.is_empty() {
            return Some(Self { content, ..Self::single(set) });
        }
        let (part, parts) = rest.strip_prefix('-')?.split_once("of")?;
        let parsed = Self { set, part: part.parse().ok()?, parts: parts.parse().ok()?, content };
        // refuse other spellings of the numbers, such as `01` and `+1`
        let is_canonical = parsed.stem() == format!("{set}{MARK}{rest}{}", content.mark());
        (1..=parsed.parts).contains(&parsed.part).then_some(())?;
        (parsed.parts > 1 && is_canonical).then_some(parsed)
    }

    /// File name without the suffix of segments.
    pub fn stem(&self) -> String {
        let Self { set, part, parts, content } = self;
        let part = if *parts == 1 { String::new() } else { format!("-{part}of{parts}") };
        format!("{set}{MARK}{part}{}", content.mark())
    }
}

/// The complete sets among the file names of a day: name of each set, names of its segments.
pub fn complete_sets<'a>(
    names: impl IntoIterator<Item = &'a str>,
) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut sets: BTreeMap<&str, Vec<(CompactedName<'_>, &str)>> = BTreeMap::new();
    for name in names {
        if let Some(compacted) = CompactedName::parse(name) {
            sets.entry(compacted.set).or_default().push((compacted, name));
        }
    }
    // file names are distinct: if all agree on the number of parts, no part occurs twice
    let is_complete = |parts: &[(CompactedName<'_>, &str)]| {
        parts.iter().all(|(compacted, _)| compacted.parts == parts.len())
    };
    sets.into_iter()
        .filter(|(_, parts)| is_complete(parts))
        .map(|(set, parts)| (set, parts.into_iter().map(|(_, name)| name).collect()))
        .collect()
}

/// Whether the files of a day are exactly one complete set.
pub fn is_compacted<'a>(names: impl IntoIterator<Item = &'a str>) -> bool {
    let names: Vec<&str> = names.into_iter().collect();
    let sets = complete_sets(names.iter().copied());
    sets.len() == 1 && sets.values().all(|parts| parts.len() == names.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_accepts_only_the_canonical_spelling() {
        let compacted = |set, part, parts| {
            Some(CompactedName { set, part, parts, content: SegmentContent::Any })
        };
        let with_content = |content, set, part, parts| {
            compacted(set, part, parts).map(|name| CompactedName { content, ..name })
        };
        for (name, expected) in [
            ("1-a.sealed.parquet", compacted("1-a", 1, 1)),
            ("1-a.sealed-1of3.parquet", compacted("1-a", 1, 3)),
            ("1-a.sealed-12of12.parquet", compacted("1-a", 12, 12)),
            ("1-a.sealed-1of2.others.parquet", with_content(SegmentContent::Others, "1-a", 1, 2)),
            ("1-a.sealed.failures.parquet", with_content(SegmentContent::Failures, "1-a", 1, 1)),
            ("1-a.others.sealed-1of2.parquet", compacted("1-a.others", 1, 2)),
            ("1-a.failures.parquet", None),
            ("1-a.parquet", None),
            (".sealed.parquet", None),
            ("1-a.sealed-1of1.parquet", None),
            ("1-a.sealed-0of2.parquet", None),
            ("1-a.sealed-3of2.parquet", None),
            ("1-a.sealed-01of2.parquet", None),
            ("1-a.sealed-+1of2.parquet", None),
            ("1-a.sealed-1of2.parquet#1", None),
            ("1-a.sealedly.parquet", None),
        ] {
            let parsed = CompactedName::parse(name);
            assert_eq!(parsed, expected, "{name}");
            if let Some(parsed) = parsed {
                assert_eq!(format!("{}.parquet", parsed.stem()), name);
            }
        }
    }

    #[test]
    fn is_compacted_needs_one_complete_set_and_no_other_file() {
        for (names, expected) in [
            (&["a.sealed.parquet"][..], true),
            (&["a.sealed-1of2.parquet", "a.sealed-2of2.parquet"], true),
            (&["a.sealed-1of2.parquet"], false),
            (&["a.sealed-1of2.parquet", "b.sealed-2of2.parquet"], false),
            (&["a.sealed-1of2.parquet", "a.sealed-2of2.parquet", "late.parquet"], false),
            (&["a.sealed.parquet", "b.sealed.parquet"], false),
            (&["a.sealed.parquet", "a.sealed-1of2.parquet"], false),
            (&["late.parquet"], false),
            (&[], false),
        ] {
            assert_eq!(is_compacted(names.iter().copied()), expected, "{names:?}");
        }
    }
}
