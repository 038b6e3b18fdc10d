//! A store in a bucket -> a folder of its segments, which the scan reads as it reads any store. Segments never change,
//! so each is fetched once: asking again touches only what is new. The events and the volumes are fetched.
//!
//! All days are fetched, also those that no window of today looks at: how far back a volume window looks, and how old
//! the mail is that an event belongs to, is known only when they are read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bouncewatch_schemas::table;
use bouncewatch_schemas::volume::VOLUMES;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::StoreError;
use crate::list::{Listing, Settled, Settling, segment};

/// Segments that are fetched at the same time.
const FETCHES_AT_ONCE: usize = 4;
/// Bytes of one request; no more than this is held of a segment.
const PART_BYTES: u64 = 4 * 1024 * 1024;
/// How often it is begun again when segments vanish while they are fetched.
const TRIES: usize = 5;
/// Bytes to fetch beyond which that is told: it takes a while.
const BYTES_TOLD: u64 = 64 * 1024 * 1024;
/// What has to be locked to change a mirror.
const LOCK: &str = "lock";

/// A segment in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Remote {
    path: Path,
    bytes: u64,
}

/// The store in a bucket.
#[derive(Debug)]
pub struct Bucket {
    /// The bucket.
    pub objects: Arc<dyn ObjectStore>,
    /// Prefix of the store in it.
    pub prefix: String,
    /// Its name in messages: `s3://bucket/prefix`.
    pub shown: String,
}

/// Name of the folder for the mirror of a store; `place` is where its bucket is, if not where it always is.
pub fn folder_name(shown: &str, place: Option<&str>) -> String {
    let word = [shown, place.unwrap_or_default()].join("\0");
    format!("{:016x}", xxh3_64(word.as_bytes()))
}

/// Makes a folder hold the segments of a store in a bucket.
///
/// # Errors
/// If there is no store, S3 refuses, or the folder cannot be written.
pub async fn sync(bucket: &Bucket, folder: &FilePath) -> Result<(), StoreError> {
    let mirror =
        Mirror { bucket, events: folder.join(table::EVENTS), volumes: folder.join(VOLUMES) };
    for folder in [&mirror.events, &mirror.volumes] {
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
    }
    // others may use the mirror at the same time; one of them changes it
    let path = folder.join(LOCK);
    let lock = File::create(&path).and_then(|file| file.lock().map(|()| file));
    let _lock = lock.map_err(failed(&path))?;
    let mut tries = 0;
    loop {
        tries += 1;
        let wanted = mirror.list(table::EVENTS, of_day).await?;
        if wanted.values().all(BTreeMap::is_empty) {
            return Err(StoreError::NoStore(bucket.shown.clone()));
        }
        let volumes = mirror.list(VOLUMES, of_no_day).await?.remove(&NO_DAY).unwrap_or_default();
        match mirror.fetch_all(&wanted, &volumes).await {
            Ok(()) => {
                mirror.remove_others(&wanted)?;
                return mirror.remove_other_volumes(&volumes);
            }
            // somebody compacts; what replaces it is in a fresh listing
            Err(StoreError::Vanished(_)) if tries < TRIES => {}
            Err(error) => return Err(error),
        }
    }
}

/// The day under which files are listed that are of none.
const NO_DAY: i64 = 0;

/// A segment in a folder of a day, from the names below the folder of its table.
fn of_day<'a>(parts: &[&'a str]) -> Option<(i64, &'a str)> {
    let [day, file] = parts else { return None };
    segment(day, file)
}

/// A file of the table of volumes, which has no folders.
fn of_no_day<'a>(parts: &[&'a str]) -> Option<(i64, &'a str)> {
    let [file] = parts else { return None };
    file.ends_with(table::SEGMENT_SUFFIX).then_some((NO_DAY, *file))
}

struct Mirror<'a> {
    bucket: &'a Bucket,
    events: PathBuf,
    volumes: PathBuf,
}

impl Mirror<'_> {
    fn refused(&self, act: &'static str, path: &Path, source: object_store::Error) -> StoreError {
        let path = format!("{}/{}", self.bucket.shown, below(&self.bucket.prefix, path));
        match source {
            object_store::Error::NotFound { .. } => StoreError::Vanished(path),
            _ => StoreError::Object { act, path, source },
        }
    }

    /// The segments of a table in the bucket; `read` makes of the names below its folder the day and the file.
    async fn list(
        &self,
        table: &str,
        read: for<'n> fn(&[&'n str]) -> Option<(i64, &'n str)>,
    ) -> Result<Listing<Remote>, StoreError> {
        let folder = Path::from(self.bucket.prefix.as_str()).join(table);
        let mut settling = Settling::new();
        loop {
            let mut listing = Listing::new();
            let mut metas = self.bucket.objects.list(Some(&folder));
            while let Some(meta) = metas.next().await {
                let meta = meta.map_err(|error| self.refused("list", &folder, error))?;
                let parts: Vec<_> =
                    meta.location.prefix_match(&folder).into_iter().flatten().collect();
                let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
                if let Some((day, file)) = read(&parts) {
                    let remote = Remote { path: meta.location.clone(), bytes: meta.size };
                    listing
                        .entry(day)
                        .or_insert_with(BTreeMap::new)
                        .insert(file.to_owned(), remote);
                }
            }
            match settling.take(listing) {
                Settled::All(listing) => return Ok(listing),
                Settled::NotYet => {}
                Settled::Never => {
                    return Err(StoreError::UnstableListing(self.bucket.shown.clone()));
                }
            }
        }
    }

    /// Where a segment is in the mirror.
    fn place(&self, day: i64, file: &str) -> PathBuf {
        let folder =
            format!("{}{}", table::DATE_PREFIX, bouncewatch_schemas::time::format_day(day));
        self.events.join(folder).join(file)
    }

    /// Fetches what is not there yet.
    async fn fetch_all(
        &self,
        wanted: &Listing<Remote>,
        volumes: &BTreeMap<String, Remote>,
    ) -> Result<(), StoreError> {
        let events = wanted.iter().flat_map(|(day, files)| {
            files.iter().map(|(file, remote)| (self.place(*day, file), remote))
        });
        let volumes = volumes.iter().map(|(file, remote)| (self.volumes.join(file), remote));
        // what a power cut left of one is fetched again
        let is_whole = |place: &FilePath, remote: &Remote| {
            std::fs::metadata(place).is_ok_and(|found| found.len() == remote.bytes)
        };
        let all = events.chain(volumes);
        let missing: Vec<_> = all.filter(|(place, remote)| !is_whole(place, remote)).collect();
        let bytes: u64 = missing.iter().map(|(_, remote)| remote.bytes).sum();
        if bytes > BYTES_TOLD {
            let cache = self.events.display().to_string();
            let segments = missing.len();
            tracing::warn!(segments, bytes, cache, "fetching what the cache lacks");
        }
        let fetches = missing.iter().map(|(place, remote)| self.fetch(place, remote));
        futures::stream::iter(fetches).buffer_unordered(FETCHES_AT_ONCE).try_collect().await
    }

    /// Fetches a segment: it appears when it is whole.
    async fn fetch(&self, place: &FilePath, remote: &Remote) -> Result<(), StoreError> {
        let folder = place.parent().unwrap_or(&self.events);
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
        let mut staged = place.as_os_str().to_owned();
        staged.push(".staged");
        let staged = PathBuf::from(staged);
        let mut file = File::create(&staged).map_err(failed(&staged))?;
        let mut at = 0;
        while at < remote.bytes {
            let end = remote.bytes.min(at + PART_BYTES);
            let is_all = at == 0 && end == remote.bytes;
            let range = (!is_all).then_some(GetRange::Bounded(at..end));
            let options = GetOptions { range, ..GetOptions::default() };
            let part =
                async { self.bucket.objects.get_opts(&remote.path, options).await?.bytes().await };
            let part = part.await.map_err(|error| self.refused("read", &remote.path, error))?;
            file.write_all(&part).map_err(failed(&staged))?;
            at = end;
        }
        file.sync_all().map_err(failed(&staged))?;
        publish(&staged, place)
    }

    /// Removes what the store has no more, and what was left half fetched.
    fn remove_others(&self, wanted: &Listing<Remote>) -> Result<(), StoreError> {
        for folder in std::fs::read_dir(&self.events).map_err(failed(&self.events))? {
            let folder = folder.map_err(failed(&self.events))?.path();
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !name.starts_with(table::DATE_PREFIX) {
                continue;
            }
            for file in std::fs::read_dir(&folder).map_err(failed(&folder))? {
                let file = file.map_err(failed(&folder))?.path();
                let file_name = file.file_name().unwrap_or_default().to_string_lossy();
                let is_wanted = segment(&name, &file_name)
                    .and_then(|(day, file)| wanted.get(&day)?.get(file))
                    .is_some();
                if !is_wanted {
                    remove(&file)?;
                }
            }
        }
        Ok(())
    }

    /// The same for the table of volumes.
    fn remove_other_volumes(&self, wanted: &BTreeMap<String, Remote>) -> Result<(), StoreError> {
        for file in std::fs::read_dir(&self.volumes).map_err(failed(&self.volumes))? {
            let file = file.map_err(failed(&self.volumes))?.path();
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            if !wanted.contains_key(name.as_ref()) {
                remove(&file)?;
            }
        }
        Ok(())
    }
}

/// Removes a file; one that is gone already is no error.
fn remove(file: &FilePath) -> Result<(), StoreError> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(file)(error)),
        _ => Ok(()),
    }
}

fn failed(path: &FilePath) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |source| StoreError::Cache { path, source }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a mirror is no store: what it loses is fetched again"
)]
fn publish(staged: &FilePath, place: &FilePath) -> Result<(), StoreError> {
    std::fs::rename(staged, place).map_err(failed(place))
}

/// A path below the prefix of a store.
fn below(prefix: &str, path: &Path) -> String {
    path.as_ref().strip_prefix(prefix).unwrap_or(path.as_ref()).trim_start_matches('/').to_owned()
}
