//! Names of folders and files below a store: `TABLE/date=YYYY-MM-DD/NAME.parquet`.

use std::hash::{BuildHasher, Hasher, RandomState};

use bouncewatch_schemas::table;
use bouncewatch_schemas::time::{format_day, parse_day};

/// Folder in a store to which damaged segments are moved. Below it, they keep their paths.
pub(crate) const DAMAGED: &str = "damaged";

/// Whether a file name is the name of a published segment. Staged files and markers have other
/// suffixes.
pub(crate) fn is_segment_name(file: &str) -> bool {
    file.ends_with(table::SEGMENT_SUFFIX)
}

/// Day of the segment `file` in `folder` (`date=YYYY-MM-DD`), days since 1970; `None` if it is not a segment.
pub(crate) fn segment_day(folder: &str, file: &str) -> Option<i64> {
    let day = folder.strip_prefix(table::DATE_PREFIX).and_then(parse_day)?;
    is_segment_name(file).then_some(day)
}

/// Name of the folder of a day.
pub(crate) fn day_folder(day: i64) -> String {
    format!("{}{}", table::DATE_PREFIX, format_day(day))
}

/// Returns a unique segment name without suffix: the time, then 128 random bits.
pub(crate) fn unique_name(received_at: i64) -> String {
    // each `RandomState` is keyed from the randomness of the operating system
    let random = || RandomState::new().build_hasher().finish();
    format!("{received_at:013}-{:016x}{:016x}", random(), random())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segment_day_needs_date_folder_and_suffix() {
        for (folder, file, expected) in [
            ("date=2026-11-19", "a.parquet", Some(20_776)),
            ("date=2026-11-19", "a.parquet#1", None),
            ("date=nonsense", "a.parquet", None),
            ("a", "a.parquet", None),
        ] {
            assert_eq!(segment_day(folder, file), expected, "{folder}/{file}");
        }
        assert_eq!(day_folder(20_776), "date=2026-11-19");
    }

    #[test]
    fn unique_name_differs_for_the_same_time() {
        assert_ne!(unique_name(5), unique_name(5));
    }
}
