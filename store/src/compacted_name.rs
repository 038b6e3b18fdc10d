//! Names of sealed sets: what compaction makes of a day is one segment, or several of one set. A day is sealed if its
//! listing is exactly one whole set. No marker is needed, and a segment that comes late unseals the day by itself.

use std::collections::BTreeMap;

use bouncewatch_schemas::table::SEGMENT_SUFFIX;

/// What stands between the name of a set and the ending of its segments.
const SEALED: &str = ".sealed";

/// What the name of a sealed segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedName<'a> {
    /// The name of its set, which no other set has.
    pub set: &'a str,
    /// Which segment of the set it is, from 1 on.
    pub part: usize,
    /// How many segments the set has.
    pub parts: usize,
}

impl<'a> SealedName<'a> {
    /// Reads the name of a file; `None`, where it is none of a sealed segment.
    pub fn parse(name: &'a str) -> Option<Self> {
        let (set, rest) = name.strip_suffix(SEGMENT_SUFFIX)?.split_once(SEALED)?;
        if set.is_empty() {
            return None;
        }
        if rest.is_empty() {
            return Some(Self { set, part: 1, parts: 1 });
        }
        let (part, parts) = rest.strip_prefix('-')?.split_once("of")?;
        let (part, parts) = (part.parse().ok()?, parts.parse().ok()?);
        // only the one way of writing it counts
        let written = Self { set, part, parts };
        (part >= 1
            && part <= parts
            && parts > 1
            && written.stem() == format!("{set}{SEALED}{rest}"))
        .then_some(written)
    }

    /// The name without the ending of segments.
    pub fn stem(&self) -> String {
        let Self { set, part, parts } = self;
        if *parts == 1 {
            format!("{set}{SEALED}")
        } else {
            format!("{set}{SEALED}-{part}of{parts}")
        }
    }
}

/// The whole sets among the names of a day's files: the name of each set, and those of its segments.
pub fn whole_sets<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut sets: BTreeMap<&str, Vec<(SealedName<'_>, &str)>> = BTreeMap::new();
    for name in names {
        if let Some(sealed) = SealedName::parse(name) {
            sets.entry(sealed.set).or_default().push((sealed, name));
        }
    }
    // names of a day differ, so parts of one set cannot stand twice if all agree on their number
    let is_whole = |parts: &[(SealedName<'_>, &str)]| {
        parts.iter().all(|(sealed, _)| sealed.parts == parts.len())
    };
    sets.into_iter()
        .filter(|(_, parts)| is_whole(parts))
        .map(|(set, parts)| (set, parts.into_iter().map(|(_, name)| name).collect()))
        .collect()
}

/// Whether the files of a day are exactly one whole set.
pub fn is_sealed<'a>(names: impl IntoIterator<Item = &'a str>) -> bool {
    let names: Vec<&str> = names.into_iter().collect();
    let sets = whole_sets(names.iter().copied());
    sets.len() == 1 && sets.values().all(|parts| parts.len() == names.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sealed_segments() {
        let sealed = |set, part, parts| Some(SealedName { set, part, parts });
        for (name, expected) in [
            ("1-a.sealed.parquet", sealed("1-a", 1, 1)),
            ("1-a.sealed-1of3.parquet", sealed("1-a", 1, 3)),
            ("1-a.sealed-12of12.parquet", sealed("1-a", 12, 12)),
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
            let read = SealedName::parse(name);
            assert_eq!(read, expected, "{name}");
            if let Some(read) = read {
                assert_eq!(format!("{}.parquet", read.stem()), name);
            }
        }
    }

    #[test]
    fn a_day_is_sealed_if_it_is_one_whole_set_and_nothing_else() {
        for (names, sealed) in [
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
            assert_eq!(is_sealed(names.iter().copied()), sealed, "{names:?}");
        }
    }
}
