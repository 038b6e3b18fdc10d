//! Complete listings of segments, even while consumers publish and a compactor replaces segments.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirEntry;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bouncewatch_schemas::send_counts::SEND_COUNTS;
use bouncewatch_schemas::table;

use crate::compacted_name::CompactedName;
use crate::error::StoreError;
use crate::layout::{DAMAGED, is_segment_name, segment_day};

/// Maximum number of listings of an unstable store.
const LISTINGS_MAX: usize = 12;

/// Listed segments: day, then file name, then a value of the caller.
pub type Listing<V> = BTreeMap<i64, BTreeMap<String, V>>;

/// Combines repeated listings into one that misses no rows.
///
/// A listing is not a snapshot. A compactor publishes a replacement, then removes its inputs. A
/// listing that passes the position of the replacement before it is published, and the positions of
/// the inputs after they are removed, contains neither. The rows are then silently missing.
///
/// A day is therefore stable only if two consecutive listings agree: no segment of the first is
/// missing in the second, and no new segment is a compacted one. If the first listing missed a
/// replacement, the second contains it, and its name shows that it is compacted. Days are compared
/// one by one, because a segment contains events of its own day only. A compactor that proceeds
/// from day to day therefore cannot delay a reader forever.
///
/// The segments of a stable day can still be replaced later. If a segment is gone when it is read,
/// the reader starts again. Copies of events are removed when events are counted.
#[derive(Debug)]
pub struct StableLister<V> {
    previous: Option<Listing<V>>,
    stable: Listing<V>,
    listings: usize,
}

/// State after a listing was added to a [`StableLister`].
#[derive(Debug, PartialEq, Eq)]
pub enum Stability<V> {
    /// Every day is stable.
    Stable(Listing<V>),
    /// List again.
    Unstable,
    /// The store is still unstable after the maximum number of listings.
    GivenUp,
}

impl<V> Default for StableLister<V> {
    fn default() -> Self {
        Self { previous: None, stable: Listing::new(), listings: 0 }
    }
}

impl<V: Clone> StableLister<V> {
    /// Adds the next listing.
    pub fn add(&mut self, current: Listing<V>) -> Stability<V> {
        self.listings += 1;
        if let Some(previous) = &self.previous {
            let days: BTreeSet<i64> = previous.keys().chain(current.keys()).copied().collect();
            let empty = BTreeMap::new();
            let mut all_stable = true;
            for day in days {
                if self.stable.contains_key(&day) {
                    continue;
                }
                let names = current.get(&day).unwrap_or(&empty);
                if agree(previous.get(&day).unwrap_or(&empty), names) {
                    self.stable.insert(day, names.clone());
                } else {
                    all_stable = false;
                }
            }
            if all_stable {
                return Stability::Stable(std::mem::take(&mut self.stable));
            }
        }
        self.previous = Some(current);
        if self.listings < LISTINGS_MAX { Stability::Unstable } else { Stability::GivenUp }
    }
}

/// Whether two consecutive listings of a day agree.
fn agree<V>(previous: &BTreeMap<String, V>, current: &BTreeMap<String, V>) -> bool {
    let mut added = current.keys().filter(|name| !previous.contains_key(*name));
    previous.keys().all(|name| current.contains_key(name))
        && !added.any(|name| CompactedName::parse(name).is_some())
}

/// Published segments of the event table of the store in a folder, each with its day, sorted by day and name.
///
/// # Errors
/// If there is no store, or a folder cannot be listed.
pub fn event_segments(store: &Path) -> Result<Vec<(i64, PathBuf)>, StoreError> {
    check_folder(store)?;
    let events = store.join(table::EVENTS);
    if !events.is_dir() {
        return Err(StoreError::NotAStore(store.display().to_string()));
    }
    let mut lister = StableLister::default();
    loop {
        match lister.add(list_once(&events)?) {
            Stability::Stable(days) => {
                let of_day = |(day, names): (i64, BTreeMap<String, PathBuf>)| {
                    names.into_values().map(move |path| (day, path))
                };
                return Ok(days.into_iter().flat_map(of_day).collect());
            }
            Stability::Unstable => {}
            Stability::GivenUp => {
                return Err(StoreError::UnstableListing(store.display().to_string()));
            }
        }
    }
}

/// Checks that the folder of a store can be listed.
///
/// # Errors
/// If it does not exist, is not a folder, or cannot be read.
pub fn check_folder(store: &Path) -> Result<(), StoreError> {
    std::fs::read_dir(store).map(drop).map_err(|error| StoreError::store_not_listed(store, error))
}

/// Files of the table of send counts of the store in a folder, sorted by name; empty if the table does not exist.
///
/// # Errors
/// If the folder cannot be listed.
pub fn send_count_files(store: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut files = entries(&store.join(SEND_COUNTS))?;
    files.retain(|path| file_name(path).is_some_and(|name| is_segment_name(&name)));
    files.sort_unstable();
    files.iter().try_for_each(|file| check_is_file(file))?;
    Ok(files)
}

/// Number of segments of the event table in the folder `damaged`, by day. These days are
/// incomplete.
///
/// # Errors
/// If a folder cannot be listed.
pub fn damaged_days(store: &Path) -> Result<BTreeMap<i64, usize>, StoreError> {
    let days = list_once(&store.join(DAMAGED).join(table::EVENTS))?;
    Ok(days.into_iter().map(|(day, segments)| (day, segments.len())).collect())
}

/// Files in the folder of a store that were staged and never published, sorted. A bucket has none.
pub(crate) fn staged_files(store: &Path) -> Vec<PathBuf> {
    // best effort: a folder that cannot be listed is reported by other steps
    let files = |folder: &Path| entries(folder).unwrap_or_default();
    let mut found = files(&store.join(SEND_COUNTS));
    for table in [table::EVENTS, table::QUARANTINE] {
        found.extend(files(&store.join(table)).iter().flat_map(|day| files(day)));
    }
    found.retain(|path| file_name(path).is_some_and(|name| is_staged_name(&name)));
    found.sort();
    found
}

/// Removes staged files of interrupted runs that were last written before `before`, and returns
/// their number. `before` must be so early that no process still writes these files.
pub fn remove_staged_files(store: &Path, before: SystemTime) -> usize {
    let is_old = |path: &PathBuf| {
        let modified = path.metadata().and_then(|metadata| metadata.modified());
        modified.is_ok_and(|modified| modified < before)
    };
    let staged = staged_files(store);
    // best effort: `verify` lists what remains
    staged.iter().filter(|path| is_old(path) && std::fs::remove_file(path).is_ok()).count()
}

/// Whether a file name is that of a staged file: it ends in `#NUMBER`, or `.staged` in early versions.
fn is_staged_name(name: &str) -> bool {
    let is_number = |number: &str| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    name.ends_with(".staged") || name.rsplit_once('#').is_some_and(|(_, end)| is_number(end))
}

fn list_once(events: &Path) -> Result<Listing<PathBuf>, StoreError> {
    let mut listing = Listing::new();
    for folder in entries(events)? {
        let Some(folder_name) = file_name(&folder) else { continue };
        if !folder_name.starts_with(table::DATE_PREFIX) {
            continue;
        }
        for entry in folder_entries(&folder)? {
            let path = entry.path();
            let Some(file) = file_name(&path) else { continue };
            if let Some(day) = segment_day(&folder_name, &file) {
                // most file systems know the type without a further call
                if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                    check_is_file(&path)?;
                }
                listing.entry(day).or_insert_with(BTreeMap::new).insert(file, path);
            }
        }
    }
    Ok(listing)
}

/// Checks that a segment is a file or a link to one. Opening a named pipe would block until another
/// process writes to it.
fn check_is_file(path: &Path) -> Result<(), StoreError> {
    let why = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => return Ok(()),
        Ok(_) => "it is not a file".to_owned(),
        // either removed after it was listed, or a link to a missing file
        Err(error) if error.kind() == ErrorKind::NotFound => match path.symlink_metadata() {
            Ok(_) => "it is a link to a file that does not exist".to_owned(),
            Err(_) => return Ok(()),
        },
        Err(error) => error.to_string(),
    };
    Err(StoreError::Read { path: path.display().to_string(), why })
}

/// Last part of a path, as text.
fn file_name(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}

/// Paths of the entries of a folder; empty if it does not exist.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    Ok(folder_entries(folder)?.into_iter().map(|entry| entry.path()).collect())
}

fn folder_entries(folder: &Path) -> Result<Vec<DirEntry>, StoreError> {
    let failed = |source| StoreError::List { path: folder.to_path_buf(), source };
    match std::fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map_err(failed)).collect(),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A listing from text such as `1:a,b 2:c`.
    fn listing(text: &str) -> Listing<()> {
        let day = |text: &str| {
            let (day, names) = text.split_once(':').unwrap();
            let names = names.split(',').filter(|name| !name.is_empty());
            (day.parse().unwrap(), names.map(|name| (name.to_owned(), ())).collect())
        };
        text.split_whitespace().map(day).collect()
    }

    /// Final state after `listings`, the last one repeated forever, and the number of listings
    /// added.
    fn stabilise(listings: &[&str]) -> (Stability<()>, usize) {
        let mut lister = StableLister::default();
        for added in 1.. {
            let text = listings.get(added - 1).or(listings.last()).unwrap();
            match lister.add(listing(text)) {
                Stability::Unstable => {}
                state => return (state, added),
            }
        }
        unreachable!("the lister gives up at some point")
    }

    #[test]
    fn day_is_stable_when_two_listings_agree() {
        for (listings, expected, added) in [
            // no change
            (&["1:a,b 2:c"][..], "1:a,b 2:c", 2),
            (&[""], "", 2),
            // consumers publish
            (&["1:a", "1:a,b 2:c"], "1:a,b 2:c", 2),
            // the replacement was missed, and its inputs were gone already
            (&["", "1:m.sealed.parquet"], "1:m.sealed.parquet", 3),
            // only some of the inputs were listed
            (&["1:a", "1:m.sealed.parquet"], "1:m.sealed.parquet", 3),
            // published, no input removed yet
            (&["1:a,b", "1:a,b,m.sealed.parquet"], "1:a,b,m.sealed.parquet", 3),
            (&["1:a", "1:a,m.sealed-1of2.parquet"], "1:a,m.sealed-1of2.parquet", 3),
            (&["1:a,m.sealed.parquet", "1:m.sealed.parquet"], "1:m.sealed.parquet", 3),
            // day removed
            (&["1:a 2:b", "2:b"], "2:b", 3),
        ] {
            let expected = (Stability::Stable(listing(expected)), added);
            assert_eq!(stabilise(listings), expected, "{listings:?}");
        }
    }

    #[test]
    fn compactor_that_proceeds_day_by_day_does_not_delay_the_reader() {
        let compacted = |days: i64| -> String {
            let day =
                |day| format!("{day}:{} ", if day <= days { "m.sealed.parquet" } else { "a" });
            (1..=100).map(day).collect()
        };
        let listings: Vec<String> = (0..100).map(compacted).collect();
        let listings: Vec<&str> = listings.iter().map(String::as_str).collect();
        // day 3 was stable before it was replaced; a reader of it starts again
        let (Stability::Stable(found), added) = stabilise(&listings) else { panic!() };
        assert!(added <= 4, "{added} listings");
        assert_eq!(found.len(), 100);
        assert!(found.values().all(|names| names.len() == 1));
    }

    #[test]
    fn day_that_always_changes_is_given_up() {
        let listings: Vec<String> =
            (0..LISTINGS_MAX).map(|number| format!("1:a{number}")).collect();
        let listings: Vec<&str> = listings.iter().map(String::as_str).collect();
        assert_eq!(stabilise(&listings), (Stability::GivenUp, LISTINGS_MAX));
    }

    /// Publishes the replacement and removes the inputs at every pair of moments of a listing.
    #[test]
    fn replacement_at_any_moment_of_a_listing_loses_no_rows() {
        // names in the order of a listing; b and c are replaced by a segment listed before or after them
        for merged in ["a.sealed.parquet", "z.sealed.parquet"] {
            for published_at in 0..8 {
                for removed_at in published_at..12 {
                    let mut clock = 0;
                    let mut lister = StableLister::default();
                    let found = loop {
                        let mut names = BTreeMap::new();
                        for name in ["a.sealed.parquet", "b", "c", "z.sealed.parquet"] {
                            let exists = match name {
                                "b" | "c" => clock < removed_at,
                                name => name == merged && clock >= published_at,
                            };
                            if exists {
                                names.insert(name.to_owned(), clock);
                            }
                            clock += 1;
                        }
                        match lister.add(Listing::from([(1, names)])) {
                            Stability::Unstable => {}
                            Stability::Stable(found) => break found,
                            Stability::GivenUp => panic!("given up"),
                        }
                    };
                    let names = &found[&1];
                    let is_complete = names.contains_key(merged)
                        || (names.contains_key("b") && names.contains_key("c"));
                    assert!(is_complete, "{merged} at {published_at}, {removed_at}: {names:?}");
                }
            }
        }
    }

    #[test]
    fn link_to_nothing_is_an_error_and_other_links_are_followed() {
        let store = tempfile::tempdir().unwrap();
        let day = store.path().join("events/date=2026-11-19");
        std::fs::create_dir_all(&day).unwrap();
        std::fs::File::create(store.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("../../elsewhere", day.join("a.parquet")).unwrap();
        assert_eq!(event_segments(store.path()).unwrap().len(), 1);
        std::fs::remove_file(store.path().join("elsewhere")).unwrap();
        let error = event_segments(store.path()).unwrap_err().to_string();
        assert!(error.contains("a.parquet") && error.contains("link"), "{error}");
        std::fs::remove_file(day.join("a.parquet")).unwrap();
        std::os::unix::net::UnixListener::bind(day.join("b.parquet")).unwrap();
        let error = event_segments(store.path()).unwrap_err().to_string();
        assert!(error.contains("it is not a file"), "{error}");
    }

    #[test]
    fn is_staged_name_needs_a_number_or_staged() {
        for (name, expected) in [
            ("a.parquet#1", true),
            ("a.staged", true),
            ("a.parquet#", false),
            ("a.parquet#1x", false),
            ("a.parquet", false),
        ] {
            assert_eq!(is_staged_name(name), expected, "{name}");
        }
    }
}
