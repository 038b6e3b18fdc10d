//! Reads a store in a bucket. A local folder contains a copy of each object, with the same name,
//! that has only the parts that were fetched. A query fetches the footers and columns that it
//! needs, each once.
//!
//! The folder is a cache: it can be removed at any time, and several processes can use it.

mod folder;
mod objects;
mod segment_copy;
mod shared_object;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::path::{Path as FilePath, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bouncewatch_schemas::send_counts::SEND_COUNTS;
use bouncewatch_schemas::table;
use futures::{StreamExt, TryStreamExt};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use xxhash_rust::xxh3::xxh3_64;

use crate::bucket_files::folder::{cache_error, remove_obsolete};
use crate::bucket_files::segment_copy::{SegmentCopy, fetch_all};
use crate::error::StoreError;
use crate::layout::{DAMAGED, day_folder};
use crate::list::{Listing, Stability, StableLister};
use crate::open::{Segment, Store};
use crate::read::SegmentFacts;
use crate::segment_file::SegmentFile;

pub use shared_object::SharedObject;

/// Maximum number of concurrent requests.
const REQUESTS_AT_ONCE: usize = 8;
/// Maximum number of segments that are prepared concurrently.
const SEGMENTS_AT_ONCE: usize = 8;

/// Name of the folder for the copies of the store `store_name`; `endpoint` is a non-default endpoint of S3.
pub fn folder_name(store_name: &str, endpoint: Option<&str>) -> String {
    // earlier releases kept complete copies, in folders with other names
    let key = [store_name, endpoint.unwrap_or_default(), "columns"].join("\0");
    format!("{:016x}", xxh3_64(key.as_bytes()))
}

/// Location of the copies.
#[derive(Debug)]
pub enum CopyFolder {
    /// A folder that later runs use too.
    Kept(PathBuf),
    /// A temporary folder that is removed at the end.
    Temporary,
}

/// Listing of a store in a bucket.
#[derive(Debug)]
struct BucketListing {
    events: Vec<Segment>,
    send_counts: Vec<Segment>,
    damaged_days: BTreeMap<i64, usize>,
}

/// The files of a store in a bucket.
#[derive(Debug)]
pub struct BucketFiles {
    store: Store,
    folder: PathBuf,
    /// Removes the temporary folder when it is dropped.
    _temporary: Option<TempDir>,
    /// Runtime of all requests: a connection belongs to the runtime that opened it.
    runtime: Runtime,
    requests: Semaphore,
    listing: Mutex<Arc<BucketListing>>,
    copies: Mutex<HashMap<PathBuf, Arc<SegmentCopy>>>,
    /// Objects of [`Self::shared_object`] that were read.
    shared: Mutex<HashMap<String, Arc<SharedObject>>>,
    is_read_only: AtomicBool,
}

impl BucketFiles {
    /// Opens a store with `open`, and lists it.
    ///
    /// # Errors
    /// If there is no store, S3 refuses a request, or the folder cannot be written.
    pub fn open<E: From<StoreError>>(
        runtime: Runtime,
        folder: CopyFolder,
        open: impl Future<Output = Result<Store, E>>,
    ) -> Result<Self, E> {
        let store = runtime.block_on(open)?;
        let (folder, temporary) = match folder {
            CopyFolder::Kept(folder) => (folder, None),
            CopyFolder::Temporary => {
                let temporary = TempDir::with_prefix("bouncewatch-");
                let temporary = temporary.map_err(cache_error(&std::env::temp_dir()))?;
                (temporary.path().to_path_buf(), Some(temporary))
            }
        };
        std::fs::create_dir_all(&folder).map_err(cache_error(&folder))?;
        let listing = runtime.block_on(list_bucket(&store))?;
        if listing.events.is_empty() && listing.send_counts.is_empty() {
            return Err(StoreError::NoStore(store.name().to_owned()).into());
        }
        remove_obsolete(&folder, &listing.events, &listing.send_counts)?;
        Ok(Self {
            store,
            folder,
            _temporary: temporary,
            runtime,
            requests: Semaphore::new(REQUESTS_AT_ONCE),
            listing: Mutex::new(Arc::new(listing)),
            copies: Mutex::default(),
            shared: Mutex::default(),
            is_read_only: AtomicBool::new(false),
        })
    }

    /// URL of the store.
    pub fn name(&self) -> &str {
        self.store.name()
    }

    /// The folder with the copies.
    pub fn folder(&self) -> &FilePath {
        &self.folder
    }

    /// Whether the bucket has events.
    pub fn has_events(&self) -> bool {
        !self.listing().events.is_empty()
    }

    /// Whether a write has failed, for example with read-only credentials. Callers skip further
    /// writes.
    pub fn is_read_only(&self) -> bool {
        self.is_read_only.load(Ordering::Relaxed)
    }

    fn listing(&self) -> Arc<BucketListing> {
        Arc::clone(&self.listing.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn event_segments(&self) -> Result<Vec<SegmentFile>, StoreError> {
        let listing = self.listing();
        if listing.events.is_empty() {
            return Err(StoreError::NoStore(self.name().to_owned()));
        }
        let file = |segment: &Segment| SegmentFile {
            day: segment.day,
            path: self.event_path(segment),
            object: Some(segment.clone()),
        };
        Ok(listing.events.iter().map(file).collect())
    }

    fn event_path(&self, segment: &Segment) -> PathBuf {
        self.folder.join(table::EVENTS).join(day_folder(segment.day)).join(segment.name())
    }

    /// Lists the bucket again, and returns whether at least one of `segments` is gone.
    pub(crate) fn has_lost_one_of(&self, segments: &[&SegmentFile]) -> Result<bool, StoreError> {
        let listing = self.runtime.block_on(list_bucket(&self.store))?;
        let is_lost = |one: &&SegmentFile| {
            one.object.as_ref().is_some_and(|object| listing.events.binary_search(object).is_err())
        };
        let has_lost_one = segments.iter().any(is_lost);
        *self.listing.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(listing);
        Ok(has_lost_one)
    }

    fn copy(&self, segment: &Segment, path: &FilePath) -> Arc<SegmentCopy> {
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(SegmentCopy::new(segment.clone(), path.to_path_buf()));
        let known = copies.entry(path.to_path_buf()).or_insert_with(new);
        if !known.is_of(segment) {
            *known = new();
        }
        Arc::clone(known)
    }

    pub(crate) fn facts(
        &self,
        segment: &Segment,
        path: &FilePath,
    ) -> Result<SegmentFacts, StoreError> {
        let copy = self.copy(segment, path);
        self.runtime.block_on(copy.facts(&self.store, &self.requests))
    }

    pub(crate) fn prepare(
        &self,
        segments: &[&SegmentFile],
        columns: &[&str],
    ) -> Result<(), StoreError> {
        let objects = segments.iter().filter_map(|one| Some((one.object.as_ref()?, &one.path)));
        let copies: Vec<_> = objects.map(|(object, path)| self.copy(object, path)).collect();
        let work = copies.iter().map(|copy| copy.prepare(&self.store, &self.requests, columns));
        let all = futures::stream::iter(work).buffer_unordered(SEGMENTS_AT_ONCE);
        self.runtime.block_on(all.try_collect::<()>())
    }

    pub(crate) fn send_count_files(&self) -> Result<Vec<PathBuf>, StoreError> {
        let listing = self.listing();
        let mut files = Vec::with_capacity(listing.send_counts.len());
        for object in &listing.send_counts {
            let path = self.folder.join(SEND_COUNTS).join(object.name());
            let is_complete = path.metadata().is_ok_and(|found| found.len() == object.bytes);
            if !is_complete {
                let fetch = fetch_all(&self.store, &self.requests, object, &path);
                self.runtime.block_on(fetch)?;
            }
            files.push(path);
        }
        Ok(files)
    }

    pub(crate) fn damaged_days(&self) -> BTreeMap<i64, usize> {
        self.listing().damaged_days.clone()
    }
}

async fn list_bucket(store: &Store) -> Result<BucketListing, StoreError> {
    let events = list_stable(store, async || store.segments(table::EVENTS).await);
    let send_counts = list_stable(store, async || store.send_count_files().await);
    let (events, send_counts, damaged) =
        tokio::join!(events, send_counts, store.damaged_segments());
    // if several fail, return the error of the events, even if another one failed first
    let (events, send_counts, damaged) = (events?, send_counts?, damaged?);
    let mut damaged_days = BTreeMap::new();
    let folder = store.path(DAMAGED).join(table::EVENTS);
    for segment in damaged.iter().filter(|segment| segment.path.prefix_matches(&folder)) {
        *damaged_days.entry(segment.day).or_default() += 1;
    }
    Ok(BucketListing { events, send_counts, damaged_days })
}

/// Repeats a listing until it is stable, and returns it sorted.
async fn list_stable(
    store: &Store,
    list: impl AsyncFn() -> Result<Vec<Segment>, StoreError>,
) -> Result<Vec<Segment>, StoreError> {
    let mut lister = StableLister::default();
    loop {
        let mut listing = Listing::new();
        for segment in list().await? {
            let names = listing.entry(segment.day).or_insert_with(BTreeMap::new);
            names.insert(segment.name().to_owned(), segment);
        }
        match lister.add(listing) {
            Stability::Stable(listing) => {
                let mut segments: Vec<_> =
                    listing.into_values().flat_map(BTreeMap::into_values).collect();
                segments.sort();
                return Ok(segments);
            }
            Stability::Unstable => {}
            Stability::GivenUp => {
                return Err(StoreError::UnstableListing(store.name().to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of the files in the folder with the copies.
    fn copies(folder: &FilePath) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path.file_name().unwrap().to_string_lossy().into_owned());
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn copies_of_removed_objects_are_removed_and_damaged_days_are_listed() {
        let (source, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = Store::in_folder(source.path()).unwrap();
        let runtime = || Runtime::new().unwrap();
        let open = || {
            let opened = async { Ok::<_, StoreError>(store.clone()) };
            BucketFiles::open(runtime(), CopyFolder::Kept(folder.path().to_path_buf()), opened)
        };
        assert!(matches!(open(), Err(StoreError::NoStore(_))));
        let wait = runtime();
        let publish = |day, bytes: &[u8]| {
            wait.block_on(store.publish(table::EVENTS, day, 5, bytes.to_vec())).unwrap()
        };
        let one = publish(20_000, b"one");
        let counts =
            wait.block_on(store.publish_send_counts("counts", b"counts".to_vec())).unwrap();
        let files = open().unwrap();
        let [segment] = &files.event_segments().unwrap()[..] else { panic!("one segment") };
        assert_eq!(segment.day, 20_000);
        // not a Parquet file
        assert!(files.prepare(&[segment], &[]).is_err());
        let [copy] = &files.send_count_files().unwrap()[..] else { panic!("one file") };
        assert_eq!(std::fs::read(copy).unwrap(), b"counts");
        assert_eq!(copies(folder.path()).len(), 2);
        publish(20_001, b"two");
        wait.block_on(async {
            store.delete(&one).await.unwrap();
            store.delete(&counts).await.unwrap();
            store.put(&store.damaged_path(&one), Vec::new()).await.unwrap();
        });
        assert!(files.has_lost_one_of(&[segment]).unwrap());
        let files = open().unwrap();
        assert_eq!(copies(folder.path()), Vec::<String>::new());
        assert_eq!(files.damaged_days(), BTreeMap::from([(20_000, 1)]));
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
