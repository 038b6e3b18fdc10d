//! Local cache of a store in a bucket: a folder with copies of its segments, which the analysis reads like any store.
//! Segments never change, so each is fetched once. Events and send counts are cached, the quarantine is not.
//!
//! All days are fetched, also those outside the windows of this run: how far back a window by volume reaches, and how
//! old the message of an event is, is known only after the events are read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path as FilePath, PathBuf};

use bouncewatch_schemas::send_counts::SEND_COUNTS;
use bouncewatch_schemas::table;
use futures::{StreamExt, TryStreamExt};
use object_store::{GetOptions, GetRange, ObjectStore};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::StoreError;
use crate::layout::{DAMAGED, day_folder, segment_day};
use crate::list::{Listing, Stability, StableLister, entries};
use crate::open::{Segment, Store};

/// Segments that are fetched at the same time.
const FETCHES_AT_ONCE: usize = 4;
/// Bytes of one request, the most that is in memory per segment.
const PART_BYTES: u64 = 4 * 1024 * 1024;
/// Number of attempts when segments are removed while they are fetched.
const TRIES: usize = 5;
/// Bytes to fetch above which a warning is logged.
const LARGE_FETCH_BYTES: u64 = 64 * 1024 * 1024;
/// Name of the file that is locked while the cache is changed.
const LOCK: &str = "lock";

/// Name of the cache folder for the store `store_name`; `endpoint` is a non-default endpoint of S3.
pub fn folder_name(store_name: &str, endpoint: Option<&str>) -> String {
    let key = [store_name, endpoint.unwrap_or_default()].join("\0");
    format!("{:016x}", xxh3_64(key.as_bytes()))
}

/// Makes the cache in `folder` equal to the store in a bucket.
///
/// # Errors
/// If there is no store, S3 refuses a request, or the folder cannot be written.
pub async fn sync(store: &Store, folder: &FilePath) -> Result<(), StoreError> {
    let cache =
        Cache { store, events: folder.join(table::EVENTS), send_counts: folder.join(SEND_COUNTS) };
    for folder in [&cache.events, &cache.send_counts] {
        std::fs::create_dir_all(folder).map_err(cache_error(folder))?;
    }
    // one process at a time changes the cache; others may read it
    let path = folder.join(LOCK);
    let lock = File::create(&path).and_then(|file| file.lock().map(|()| file));
    let _lock = lock.map_err(cache_error(&path))?;
    let mut tries = 0;
    loop {
        tries += 1;
        let events = cache.list_events().await?;
        if events.values().all(BTreeMap::is_empty) {
            return Err(StoreError::NoStore(store.name().to_owned()));
        }
        let send_counts = cache.list_send_counts().await?;
        match cache.fetch_missing(&events, &send_counts).await {
            Ok(()) => {
                cache.remove_obsolete(&events, &send_counts)?;
                return mark_damaged(store, folder).await;
            }
            // a compactor replaced a segment; the replacement is in the next listing
            Err(StoreError::Vanished(_)) if tries < TRIES => {}
            Err(error) => return Err(error),
        }
    }
}

/// A stable listing of the events in the bucket, or of its files of send counts (as one day).
type Remote = Listing<Segment>;

struct Cache<'a> {
    store: &'a Store,
    events: PathBuf,
    send_counts: PathBuf,
}

impl Cache<'_> {
    async fn list_events(&self) -> Result<Remote, StoreError> {
        self.list_stable(async || self.store.segments(table::EVENTS).await).await
    }

    async fn list_send_counts(&self) -> Result<Remote, StoreError> {
        self.list_stable(async || self.store.send_count_files().await).await
    }

    /// Repeats a listing until it is stable.
    async fn list_stable(
        &self,
        list: impl AsyncFn() -> Result<Vec<Segment>, StoreError>,
    ) -> Result<Remote, StoreError> {
        let mut lister = StableLister::default();
        loop {
            let mut listing = Listing::new();
            for segment in list().await? {
                let names = listing.entry(segment.day).or_insert_with(BTreeMap::new);
                names.insert(segment.name().to_owned(), segment);
            }
            match lister.add(listing) {
                Stability::Stable(listing) => return Ok(listing),
                Stability::Unstable => {}
                Stability::GivenUp => {
                    return Err(StoreError::UnstableListing(self.store.name().to_owned()));
                }
            }
        }
    }

    /// Fetches the segments that are not in the cache.
    async fn fetch_missing(&self, events: &Remote, send_counts: &Remote) -> Result<(), StoreError> {
        let event_path =
            |segment: &Segment| self.events.join(day_folder(segment.day)).join(segment.name());
        let events = events.values().flat_map(BTreeMap::values);
        let events = events.map(|segment| (event_path(segment), segment));
        let send_counts = send_counts.values().flat_map(BTreeMap::values);
        let send_counts =
            send_counts.map(|segment| (self.send_counts.join(segment.name()), segment));
        // a file that a power cut left incomplete is fetched again
        let is_complete = |path: &FilePath, segment: &Segment| {
            std::fs::metadata(path).is_ok_and(|found| found.len() == segment.bytes)
        };
        let mut missing: Vec<(PathBuf, &Segment)> = events.chain(send_counts).collect();
        missing.retain(|(path, segment)| !is_complete(path, segment));
        let bytes: u64 = missing.iter().map(|(_, segment)| segment.bytes).sum();
        if bytes > LARGE_FETCH_BYTES {
            let cache = self.events.display().to_string();
            tracing::warn!(
                segments = missing.len(),
                bytes,
                cache,
                "fetching segments into the cache"
            );
        }
        let fetches = missing.iter().map(|(path, segment)| self.fetch(path, segment));
        futures::stream::iter(fetches).buffer_unordered(FETCHES_AT_ONCE).try_collect().await
    }

    /// Fetches a segment to a staged file, then renames it.
    async fn fetch(&self, path: &FilePath, segment: &Segment) -> Result<(), StoreError> {
        let folder = path.parent().unwrap_or(&self.events);
        std::fs::create_dir_all(folder).map_err(cache_error(folder))?;
        let mut staged = path.as_os_str().to_owned();
        staged.push(".staged");
        let staged = PathBuf::from(staged);
        let mut file = File::create(&staged).map_err(cache_error(&staged))?;
        let mut at = 0;
        while at < segment.bytes {
            let end = segment.bytes.min(at + PART_BYTES);
            let is_all = at == 0 && end == segment.bytes;
            let range = (!is_all).then_some(GetRange::Bounded(at..end));
            let options = GetOptions { range, ..GetOptions::default() };
            let objects = self.store.objects();
            let part = async { objects.get_opts(&segment.path, options).await?.bytes().await };
            let part = part.await.map_err(|error| self.fetch_error(segment, error))?;
            file.write_all(&part).map_err(cache_error(&staged))?;
            at = end;
        }
        file.sync_all().map_err(cache_error(&staged))?;
        rename(&staged, path)
    }

    fn fetch_error(&self, segment: &Segment, error: object_store::Error) -> StoreError {
        match error {
            object_store::Error::NotFound { .. } => {
                StoreError::Vanished(self.store.display_path(&segment.path))
            }
            error => self.store.object_error("read", &segment.path)(error),
        }
    }

    /// Removes cached files that the store no longer has, and staged files.
    fn remove_obsolete(&self, events: &Remote, send_counts: &Remote) -> Result<(), StoreError> {
        for folder in entries(&self.events)? {
            let folder_name = file_name(&folder);
            if !folder_name.starts_with(table::DATE_PREFIX) {
                continue;
            }
            for path in entries(&folder)? {
                let name = file_name(&path);
                let day = segment_day(&folder_name, &name).and_then(|day| events.get(&day));
                if !day.is_some_and(|names| names.contains_key(&name)) {
                    remove(&path)?;
                }
            }
        }
        for path in entries(&self.send_counts)? {
            let name = file_name(&path);
            if !send_counts.values().any(|names| names.contains_key(&name)) {
                remove(&path)?;
            }
        }
        Ok(())
    }
}

/// Makes an empty file for each damaged segment that was moved aside: readers need the days, not the content.
async fn mark_damaged(store: &Store, cache: &FilePath) -> Result<(), StoreError> {
    let folder = cache.join(DAMAGED).join(table::EVENTS);
    if let Err(error) = std::fs::remove_dir_all(&folder)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(cache_error(&folder)(error));
    }
    let events = store.path(DAMAGED).join(table::EVENTS);
    for segment in store.damaged_segments().await? {
        if segment.path.prefix_matches(&events) {
            let day = folder.join(day_folder(segment.day));
            let path = day.join(segment.name());
            let made = std::fs::create_dir_all(&day).and_then(|()| File::create(&path));
            made.map_err(cache_error(&path))?;
        }
    }
    Ok(())
}

fn file_name(path: &FilePath) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Removes a file. A file that does not exist is no error.
fn remove(file: &FilePath) -> Result<(), StoreError> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(cache_error(file)(error)),
        _ => Ok(()),
    }
}

fn cache_error(path: &FilePath) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |source| StoreError::Cache { path, source }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the cache is not a store: lost files are fetched again"
)]
fn rename(staged: &FilePath, path: &FilePath) -> Result<(), StoreError> {
    std::fs::rename(staged, path).map_err(cache_error(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::damaged_days;

    /// File names in the cache, without the lock.
    fn cached(folder: &FilePath) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for path in entries(&folder).unwrap() {
                if path.is_dir() {
                    folders.push(path);
                } else if file_name(&path) != LOCK {
                    found.push(file_name(&path));
                }
            }
        }
        found.sort();
        found
    }

    #[tokio::test]
    async fn sync_fetches_new_and_removes_obsolete_segments() {
        let (source, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = Store::in_folder(source.path()).unwrap();
        let missing = sync(&store, folder.path()).await.unwrap_err();
        assert!(matches!(missing, StoreError::NoStore(_)), "{missing}");
        let one = store.publish(table::EVENTS, 20_000, 5, b"one".to_vec()).await.unwrap();
        let counts = store.publish_send_counts("counts", b"x".to_vec()).await.unwrap();
        sync(&store, folder.path()).await.unwrap();
        let name = one.filename().unwrap();
        assert_eq!(cached(folder.path()), [name, counts.filename().unwrap()]);
        let two = store.publish(table::EVENTS, 20_001, 5, b"two".to_vec()).await.unwrap();
        store.delete(&one).await.unwrap();
        store.delete(&counts).await.unwrap();
        sync(&store, folder.path()).await.unwrap();
        assert_eq!(cached(folder.path()), [two.filename().unwrap()]);
        let path = folder.path().join("events/date=2024-10-05").join(two.filename().unwrap());
        assert_eq!(std::fs::read(path).unwrap(), b"two");
        store.put(&store.path_aside(&one), Vec::new()).await.unwrap();
        sync(&store, folder.path()).await.unwrap();
        assert_eq!(damaged_days(folder.path()).unwrap(), BTreeMap::from([(20_000, 1)]));
        store.delete(&store.path_aside(&one)).await.unwrap();
        sync(&store, folder.path()).await.unwrap();
        assert!(damaged_days(folder.path()).unwrap().is_empty());
    }

    #[test]
    fn folder_name_depends_on_store_and_endpoint() {
        let names = [
            folder_name("s3://a", None),
            folder_name("s3://b", None),
            folder_name("s3://a", Some("http://localhost")),
        ];
        assert!(names[0] != names[1] && names[0] != names[2] && names[1] != names[2]);
    }
}
