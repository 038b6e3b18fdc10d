//! Which segments a store has, by day. No polars: what is not listed here is never opened.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bouncewatch_schemas::table;
use bouncewatch_schemas::time::parse_day;

use crate::error::StoreError;

/// Listings after which a store that never comes to rest is given up.
const LISTINGS_MAX: usize = 12;
/// What names of segments hold that compaction has made of others.
const SEALED: &str = ".sealed";

/// What was listed: for each day the names of its segments, each with what the lister knows of it.
pub type Listing<V> = BTreeMap<i64, BTreeMap<String, V>>;

/// Makes of several listings one that lacks nothing.
///
/// Consumers publish segments, and a compactor replaces some: it publishes what it made of them, and then removes
/// them. A listing is no snapshot. One that passed the place of the new segment before it was there, and came to
/// those that it replaces when they were gone, lacks their rows altogether, and nothing in it tells.
///
/// So a day is believed when two listings in a row agree on it: nothing of the first is missing in the second, and
/// what came is not made of others. A replacement that is half seen is never two listings old: what the first one
/// lacks because it came late is there, and marked, in the second. Days are judged one by one, because a segment
/// holds events of its day alone; so a compactor that goes from day to day does not keep a reader waiting for ever.
///
/// A day that was believed may still be replaced. Then a segment of it is gone when it is read, and the reader starts
/// again; duplicates, the other thing that may happen, are removed by the scan.
#[derive(Debug)]
pub struct Settling<V> {
    before: Option<Listing<V>>,
    settled: Listing<V>,
    listings: usize,
}

/// What a listing led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Settled<V> {
    /// Every day is believed.
    All(Listing<V>),
    /// List again.
    NotYet,
    /// The store does not come to rest.
    Never,
}

impl<V: Clone> Settling<V> {
    /// No listing yet.
    pub fn new() -> Self {
        Self { before: None, settled: Listing::new(), listings: 0 }
    }

    /// Takes the next listing.
    pub fn take(&mut self, now: Listing<V>) -> Settled<V> {
        self.listings += 1;
        if let Some(before) = &self.before {
            let days: BTreeSet<i64> = before.keys().chain(now.keys()).copied().collect();
            let nothing = BTreeMap::new();
            let mut is_all = true;
            for day in days {
                let of = |listing: &'_ Listing<V>| listing.get(&day).unwrap_or(&nothing).clone();
                if self.settled.contains_key(&day) {
                    continue;
                }
                if agree(&of(before), &of(&now)) {
                    self.settled.insert(day, of(&now));
                } else {
                    is_all = false;
                }
            }
            if is_all {
                return Settled::All(std::mem::take(&mut self.settled));
            }
        }
        self.before = Some(now);
        if self.listings < LISTINGS_MAX { Settled::NotYet } else { Settled::Never }
    }
}

/// Whether the later one of two listings of a day can be believed.
fn agree<V>(before: &BTreeMap<String, V>, now: &BTreeMap<String, V>) -> bool {
    let came = now.keys().filter(|name| !before.contains_key(*name));
    before.keys().all(|name| now.contains_key(name))
        && !came.into_iter().any(|name| is_made_of_others(name))
}

/// Whether a segment is what compaction made of others.
fn is_made_of_others(name: &str) -> bool {
    name.contains(SEALED)
}

/// The day and the name of a segment, from the names of its folder and its file; `None`, where it is none.
pub fn segment<'a>(folder: &str, file: &'a str) -> Option<(i64, &'a str)> {
    let day = folder.strip_prefix(table::DATE_PREFIX).and_then(parse_day)?;
    file.ends_with(table::SEGMENT_SUFFIX).then_some((day, file))
}

/// The published segments of the event table in a folder, each with its day, in order of day and name.
///
/// # Errors
/// If there is no store, or a folder cannot be listed.
pub fn list(store: &Path) -> Result<Vec<(i64, PathBuf)>, StoreError> {
    let events = store.join(table::EVENTS);
    if !events.is_dir() {
        return Err(StoreError::NoStore(store.display().to_string()));
    }
    let mut settling = Settling::new();
    loop {
        match settling.take(list_once(&events)?) {
            Settled::All(days) => {
                let of_day = |(day, names): (i64, BTreeMap<String, PathBuf>)| {
                    names.into_values().map(move |path| (day, path))
                };
                return Ok(days.into_iter().flat_map(of_day).collect());
            }
            Settled::NotYet => {}
            Settled::Never => return Err(StoreError::UnstableListing(store.display().to_string())),
        }
    }
}

/// The Parquet files of a folder without days, in order of names; none, where there is no such folder.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut files = entries(folder)?;
    let is_segment = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(table::SEGMENT_SUFFIX))
    };
    files.retain(is_segment);
    files.sort_unstable();
    Ok(files)
}

fn list_once(events: &Path) -> Result<Listing<PathBuf>, StoreError> {
    let mut listing = Listing::new();
    for folder in entries(events)? {
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let Some(folder_name) = name(&folder) else { continue };
        if !folder_name.starts_with(table::DATE_PREFIX) {
            continue;
        }
        for path in entries(&folder)? {
            let Some(file_name) = name(&path) else { continue };
            if let Some((day, file)) = segment(&folder_name, &file_name) {
                listing.entry(day).or_insert_with(BTreeMap::new).insert(file.to_owned(), path);
            }
        }
    }
    Ok(listing)
}

/// What is in a folder; nothing, where it is gone.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let failed = |source| StoreError::List { path: folder.to_path_buf(), source };
    match std::fs::read_dir(folder) {
        Ok(entries) => {
            entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect()
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A listing of days, `1:a,b 2:c`.
    fn listing(text: &str) -> Listing<()> {
        let day = |text: &str| {
            let (day, names) = text.split_once(':').unwrap();
            let names = names.split(',').filter(|name| !name.is_empty());
            (day.parse().unwrap(), names.map(|name| (name.to_owned(), ())).collect())
        };
        text.split_whitespace().map(day).collect()
    }

    /// What listings lead to, the last one repeated for ever; and how many were taken.
    fn settle(listings: &[&str]) -> (Settled<()>, usize) {
        let mut settling = Settling::new();
        for taken in 1.. {
            let text = listings.get(taken - 1).or(listings.last()).unwrap();
            match settling.take(listing(text)) {
                Settled::NotYet => {}
                settled => return (settled, taken),
            }
        }
        unreachable!("a settling ends")
    }

    #[test]
    fn a_day_is_believed_when_two_listings_agree() {
        for (listings, expected, taken) in [
            // nothing happens
            (&["1:a,b 2:c"][..], "1:a,b 2:c", 2),
            (&[""], "", 2),
            // consumers publish
            (&["1:a", "1:a,b 2:c"], "1:a,b 2:c", 2),
            // the new segment was missed, and those that it replaces were gone already
            (&["", "1:m.sealed.parquet"], "1:m.sealed.parquet", 3),
            // some of them were seen
            (&["1:a", "1:m.sealed.parquet"], "1:m.sealed.parquet", 3),
            // published, and nothing removed yet
            (&["1:a,b", "1:a,b,m.sealed.parquet"], "1:a,b,m.sealed.parquet", 3),
            (&["1:a", "1:a,m.sealed-1of2.parquet"], "1:a,m.sealed-1of2.parquet", 3),
            (&["1:a,m.sealed.parquet", "1:m.sealed.parquet"], "1:m.sealed.parquet", 3),
            // removed altogether
            (&["1:a 2:b", "2:b"], "2:b", 3),
        ] {
            assert_eq!(settle(listings), (Settled::All(listing(expected)), taken), "{listings:?}");
        }
    }

    #[test]
    fn a_compactor_that_goes_from_day_to_day_keeps_nobody_waiting() {
        let sealed = |days: i64| -> String {
            let day =
                |day| format!("{day}:{} ", if day <= days { "m.sealed.parquet" } else { "a" });
            (1..=100).map(day).collect()
        };
        let busy: Vec<String> = (0..100).map(sealed).collect();
        let busy: Vec<&str> = busy.iter().map(String::as_str).collect();
        // day 3 was believed before it was replaced; whoever reads it starts again
        let (Settled::All(found), taken) = settle(&busy) else { panic!() };
        assert!(taken <= 4, "{taken} listings");
        assert_eq!(found.len(), 100);
        assert!(found.values().all(|names| names.len() == 1));
    }

    #[test]
    fn a_day_that_never_rests_is_given_up() {
        let mut listings: Vec<String> = Vec::new();
        for number in 0..LISTINGS_MAX {
            listings.push(format!("1:a{number}"));
        }
        let listings: Vec<&str> = listings.iter().map(String::as_str).collect();
        assert_eq!(settle(&listings), (Settled::Never, LISTINGS_MAX));
    }

    /// A store that publishes and replaces while it is listed, at any point of the listing: nothing is lost.
    #[test]
    fn a_replacement_at_any_two_points_of_a_listing_loses_nothing() {
        // names in the order in which a listing passes them; the compactor replaces b and c by what stands before
        // or behind them
        for merged in ["a.sealed.parquet", "z.sealed.parquet"] {
            for published_at in 0..8 {
                for removed_at in published_at..12 {
                    let mut clock = 0;
                    let mut settling = Settling::new();
                    let found = loop {
                        let mut names = BTreeMap::new();
                        for name in ["a.sealed.parquet", "b", "c", "z.sealed.parquet"] {
                            let is_there = match name {
                                "b" | "c" => clock < removed_at,
                                name => name == merged && clock >= published_at,
                            };
                            if is_there {
                                names.insert(name.to_owned(), clock);
                            }
                            clock += 1;
                        }
                        match settling.take(Listing::from([(1, names)])) {
                            Settled::NotYet => {}
                            Settled::All(found) => break found,
                            Settled::Never => panic!("never"),
                        }
                    };
                    let names = &found[&1];
                    let is_whole = names.contains_key(merged)
                        || (names.contains_key("b") && names.contains_key("c"));
                    assert!(is_whole, "{merged} at {published_at}, {removed_at}: {names:?}");
                }
            }
        }
    }

    #[test]
    fn segments_are_told_by_their_names() {
        for (folder, file, expected) in [
            ("date=2026-11-19", "a.parquet", Some((20_776, "a.parquet"))),
            ("date=2026-11-19", "a.parquet#1", None),
            ("date=nonsense", "a.parquet", None),
            ("a", "a.parquet", None),
        ] {
            assert_eq!(segment(folder, file), expected);
        }
    }
}
