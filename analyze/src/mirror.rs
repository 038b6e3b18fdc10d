//! A store in a bucket -> a folder of its segments, which the scan reads as it reads any store. Segments never change,
//! so each is fetched once: asking again touches only what is new.
//!
//! All days are fetched, also those that no window of today looks at: how far back a volume window looks, and how old
//! the mail is that an event belongs to, is known only when they are read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bouncewatch_schemas::table;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::AnalyzeError;
use crate::segments::{Listing, Settled, Settling, segment};

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
    /// Tells in words why a bucket refuses an IAM action.
    pub explain: fn(&object_store::Error, &str) -> String,
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
pub async fn sync(bucket: &Bucket, folder: &FilePath) -> Result<(), AnalyzeError> {
    let mirror = Mirror { bucket, events: folder.join(table::EVENTS) };
    std::fs::create_dir_all(&mirror.events).map_err(failed(&mirror.events))?;
    // others may use the mirror at the same time; one of them changes it
    let path = folder.join(LOCK);
    let lock = File::create(&path).and_then(|file| file.lock().map(|()| file));
    let _lock = lock.map_err(failed(&path))?;
    let mut tries = 0;
    loop {
        tries += 1;
        let wanted = mirror.list().await?;
        if wanted.values().all(BTreeMap::is_empty) {
            return Err(AnalyzeError::NoStore(PathBuf::from(&bucket.shown)));
        }
        match mirror.fetch_all(&wanted).await {
            Ok(()) => return mirror.remove_others(&wanted),
            // somebody compacts; what replaces it is in a fresh listing
            Err(AnalyzeError::Vanished(_)) if tries < TRIES => {}
            Err(error) => return Err(error),
        }
    }
}

struct Mirror<'a> {
    bucket: &'a Bucket,
    events: PathBuf,
}

impl Mirror<'_> {
    fn refused(&self, act: &'static str, path: &Path, error: &object_store::Error) -> AnalyzeError {
        let name = format!("{}/{}", self.bucket.shown, below(&self.bucket.prefix, path));
        let action = if act == "list" { "s3:ListBucket" } else { "s3:GetObject" };
        match error {
            object_store::Error::NotFound { .. } => AnalyzeError::Vanished(name),
            _ => AnalyzeError::Bucket { act, name, why: (self.bucket.explain)(error, action) },
        }
    }

    /// The segments in the bucket.
    async fn list(&self) -> Result<Listing<Remote>, AnalyzeError> {
        let events = Path::from(self.bucket.prefix.as_str()).join(table::EVENTS);
        let mut settling = Settling::new();
        loop {
            let mut listing = Listing::new();
            let mut metas = self.bucket.objects.list(Some(&events));
            while let Some(meta) = metas.next().await {
                let meta = meta.map_err(|error| self.refused("list", &events, &error))?;
                let parts: Vec<_> =
                    meta.location.prefix_match(&events).into_iter().flatten().collect();
                let [day, file] = parts.as_slice() else { continue };
                if let Some((day, file)) = segment(day.as_ref(), file.as_ref()) {
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
                Settled::Never => return Err(AnalyzeError::Restless(self.bucket.shown.clone())),
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
    async fn fetch_all(&self, wanted: &Listing<Remote>) -> Result<(), AnalyzeError> {
        let mut missing = Vec::new();
        for (day, files) in wanted {
            for (file, remote) in files {
                let place = self.place(*day, file);
                // what a power cut left of one is fetched again
                if !std::fs::metadata(&place).is_ok_and(|found| found.len() == remote.bytes) {
                    missing.push((place, remote));
                }
            }
        }
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
    async fn fetch(&self, place: &FilePath, remote: &Remote) -> Result<(), AnalyzeError> {
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
            let part = part.await.map_err(|error| self.refused("read", &remote.path, &error))?;
            file.write_all(&part).map_err(failed(&staged))?;
            at = end;
        }
        file.sync_all().map_err(failed(&staged))?;
        publish(&staged, place)
    }

    /// Removes what the store has no more, and what was left half fetched.
    fn remove_others(&self, wanted: &Listing<Remote>) -> Result<(), AnalyzeError> {
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
                    match std::fs::remove_file(&file) {
                        Err(error) if error.kind() != ErrorKind::NotFound => {
                            return Err(failed(&file)(error));
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }
}

fn failed(path: &FilePath) -> impl FnOnce(std::io::Error) -> AnalyzeError {
    let path = path.to_path_buf();
    move |source| AnalyzeError::Cache { path, source }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a mirror is no store: what it loses is fetched again"
)]
fn publish(staged: &FilePath, place: &FilePath) -> Result<(), AnalyzeError> {
    std::fs::rename(staged, place).map_err(failed(place))
}

/// A path below the prefix of a store.
fn below(prefix: &str, path: &Path) -> String {
    path.as_ref().strip_prefix(prefix).unwrap_or(path.as_ref()).trim_start_matches('/').to_owned()
}
