//! Where a store is, a folder or a bucket, and the durable publish. Nothing else in the product writes to a store.
//!
//! In a folder, publishing is stage, write, fsync, rename, fsync the folder; in a bucket it is one put, which S3 shows
//! wholly or not at all. A name is never written twice.

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bouncewatch_schemas::table;
use bouncewatch_schemas::time::{format_day, parse_day};
use bouncewatch_schemas::volume::VOLUMES;
use futures::TryStreamExt;
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode};

use crate::error::StoreError;

/// What a word names: a folder, or a bucket and a prefix in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A folder.
    Folder(PathBuf),
    /// `s3://bucket/prefix`.
    Bucket {
        /// The bucket.
        bucket: String,
        /// The prefix, without a slash at its ends.
        prefix: String,
    },
}

impl StoreUrl {
    /// Reads the word for a store.
    pub fn parse(word: &str) -> Self {
        match word.strip_prefix("s3://") {
            None => Self::Folder(PathBuf::from(word)),
            Some(rest) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                Self::Bucket {
                    bucket: bucket.to_owned(),
                    prefix: prefix.trim_matches('/').to_owned(),
                }
            }
        }
    }
}

/// A store.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    shown: Arc<str>,
    folder: Option<PathBuf>,
}

/// A published segment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    /// Day of its folder, days since 1970.
    pub day: i64,
    /// Its path in the store's objects.
    pub path: Path,
    /// Its size.
    pub bytes: u64,
    /// When it was published, epoch milliseconds.
    pub published_at: i64,
}

impl Segment {
    /// The name of its file.
    pub fn name(&self) -> &str {
        self.path.filename().unwrap_or_default()
    }
}

impl Store {
    /// The store in a folder, which is made if it is not there, durably.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn in_folder(folder: impl AsRef<FilePath>) -> Result<Self, StoreError> {
        let folder = folder.as_ref();
        let shown = folder.display().to_string();
        let failed = |source| StoreError::Folder { folder: shown.clone(), source };
        make_folder(folder).map_err(failed)?;
        let objects = LocalFileSystem::new_with_prefix(folder)
            .map_err(|source| StoreError::Object { act: "open", path: shown.clone(), source })?;
        let store = Self::in_objects(Arc::new(objects.with_fsync(true)), "", &shown);
        Ok(Self { folder: Some(folder.to_path_buf()), ..store })
    }

    /// The store below a prefix of a bucket; `shown` is its name in messages.
    pub fn in_objects(objects: Arc<dyn ObjectStore>, prefix: &str, shown: &str) -> Self {
        Self { objects, prefix: Path::from(prefix), shown: Arc::from(shown), folder: None }
    }

    /// The folder, where it is one.
    pub fn folder(&self) -> Option<&FilePath> {
        self.folder.as_deref()
    }

    /// Its name in messages.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The objects that it lies in.
    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// A path below the store's prefix.
    pub fn path(&self, below: &str) -> Path {
        below.split('/').fold(self.prefix.clone(), Path::join)
    }

    /// Makes sure that the store can be written, before anything is taken from a source.
    ///
    /// # Errors
    /// If an object cannot be written.
    pub async fn prepare(&self) -> Result<(), StoreError> {
        let probe = self.path(&format!("{}/{}.probe", table::EVENTS, unique_name(0)));
        self.put(&probe, b"probe".to_vec()).await?;
        self.delete(&probe).await
    }

    /// Publishes bytes as a new segment of one day of a table. When this returns, a power cut loses nothing.
    ///
    /// # Errors
    /// If any step fails; then nothing can be relied on to be published.
    pub async fn publish(
        &self,
        table: &str,
        day: i64,
        received_at: i64,
        bytes: Vec<u8>,
    ) -> Result<Path, StoreError> {
        let path = self.segment_path(table, day, &unique_name(received_at));
        self.put(&path, bytes).await?;
        self.sync_days(table)?;
        Ok(path)
    }

    /// A writer of a new segment, which appears when the writer is shut down, wholly and durably. Afterwards the
    /// folder of the days needs [`Self::sync_days`].
    pub(super) fn writer(&self, path: &Path) -> BufWriter {
        BufWriter::new(Arc::clone(&self.objects), path.clone())
    }

    /// The folder of a day may have been made by somebody who did not live to fsync its name.
    pub(super) fn sync_days(&self, table: &str) -> Result<(), StoreError> {
        let Some(folder) = self.folder.as_ref().map(|folder| folder.join(table)) else {
            return Ok(());
        };
        File::open(&folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|source| StoreError::Folder { folder: folder.display().to_string(), source })
    }

    /// Makes durable which files a day has: what was published stands, what was removed stays away.
    ///
    /// # Errors
    /// If the folder cannot be fsynced. A day that has no folder has nothing to keep.
    pub(super) fn sync_day(&self, table: &str, day: i64) -> Result<(), StoreError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let folder = folder.join(table).join(day_folder(day));
        match File::open(&folder).and_then(|folder| folder.sync_all()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::Folder { folder: folder.display().to_string(), source: error })
            }
            _ => self.sync_days(table),
        }
    }

    /// The path of a segment by its name, without the ending.
    pub(super) fn segment_path(&self, table: &str, day: i64, name: &str) -> Path {
        self.path(&format!("{table}/{}/{name}{}", day_folder(day), table::SEGMENT_SUFFIX))
    }

    /// Publishes bytes as a new file of the table of volumes. When this returns, a power cut loses nothing.
    pub(super) async fn publish_volumes(
        &self,
        name: &str,
        bytes: Vec<u8>,
    ) -> Result<Path, StoreError> {
        let path = self.path(&format!("{VOLUMES}/{name}{}", table::SEGMENT_SUFFIX));
        self.put(&path, bytes).await?;
        self.sync_volumes()?;
        Ok(path)
    }

    /// Makes durable which files the table of volumes has.
    pub(super) fn sync_volumes(&self) -> Result<(), StoreError> {
        self.sync_days(VOLUMES)?;
        // whoever made the folder may not have lived to fsync its name
        self.sync_days("")
    }

    /// The files of the table of volumes, in order of their names. They are of no day; that of 1970 stands for it.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub async fn volume_files(&self) -> Result<Vec<Segment>, StoreError> {
        let below = self.path(VOLUMES);
        let file = async |meta: ObjectMeta| {
            let is_file = meta.location.prefix_match(&below).is_some_and(|rest| rest.count() == 1);
            Ok(if is_file { published(meta, 0) } else { None })
        };
        let found = self.objects.list(Some(&below)).try_filter_map(file);
        let mut found: Vec<Segment> =
            found.try_collect().await.map_err(self.failed("list", &below))?;
        found.sort();
        Ok(found)
    }

    /// Writes a new object durably, or replaces one as a whole.
    pub async fn put(&self, path: &Path, bytes: Vec<u8>) -> Result<(), StoreError> {
        let put = self.objects.put_opts(path, bytes.into(), PutMode::Overwrite.into()).await;
        put.map(drop).map_err(self.failed("write", path))
    }

    /// Reads an object as a whole; `None` where there is none.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub async fn get(&self, path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
        let read = async { self.objects.get(path).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(self.failed("read", path)(source)),
        }
    }

    /// Removes an object whose content is elsewhere. One that is gone already is no error.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub async fn delete(&self, path: &Path) -> Result<(), StoreError> {
        match self.objects.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(self.failed("remove", path)(source)),
        }
    }

    /// All published segments of a table, in order of day and name.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub async fn segments(&self, table: &str) -> Result<Vec<Segment>, StoreError> {
        self.segments_below(&self.path(table)).await
    }

    /// The published segments of one day of a table, in order of their names.
    pub(super) async fn day(&self, table: &str, day: i64) -> Result<Vec<Segment>, StoreError> {
        self.segments_below(&self.path(&format!("{table}/{}", day_folder(day)))).await
    }

    async fn segments_below(&self, below: &Path) -> Result<Vec<Segment>, StoreError> {
        let found = self.objects.list(Some(below)).try_filter_map(async |meta| Ok(segment(meta)));
        let mut found: Vec<Segment> =
            found.try_collect().await.map_err(self.failed("list", below))?;
        found.sort();
        Ok(found)
    }

    pub(super) fn failed(
        &self,
        act: &'static str,
        path: &Path,
    ) -> impl FnOnce(object_store::Error) -> StoreError {
        let path = self.shown_path(path);
        move |source| StoreError::Object { act, path, source }
    }

    /// An object's name in messages.
    pub(super) fn shown_path(&self, path: &Path) -> String {
        let below = path.prefix_match(&self.prefix).map_or_else(
            || path.to_string(),
            |parts| parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"),
        );
        format!("{}/{below}", self.shown)
    }
}

/// The segment that an object is, if it is one: `date=YYYY-MM-DD/NAME.parquet`.
fn segment(meta: ObjectMeta) -> Option<Segment> {
    let mut parts = meta.location.parts().collect::<Vec<_>>().into_iter().rev();
    let folder = parts.nth(1)?;
    let day = parse_day(folder.as_ref().strip_prefix(table::DATE_PREFIX)?)?;
    published(meta, day)
}

/// The segment that an object is, if its name is one of a published segment.
fn published(meta: ObjectMeta, day: i64) -> Option<Segment> {
    meta.location.filename()?.ends_with(table::SEGMENT_SUFFIX).then(|| Segment {
        day,
        bytes: meta.size,
        published_at: meta.last_modified.timestamp_millis(),
        path: meta.location,
    })
}

/// Name of the folder of a day.
fn day_folder(day: i64) -> String {
    format!("{}{}", table::DATE_PREFIX, format_day(day))
}

/// Makes a folder and those above it, durably.
fn make_folder(folder: &FilePath) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_folder(parent)?;
    }
    match std::fs::create_dir(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        Err(error) => return Err(error),
    }
    File::open(parent.unwrap_or(FilePath::new("."))).and_then(|folder| folder.sync_all())
}

/// A name that no other writer takes: the time, then 128 random bits.
pub(super) fn unique_name(received_at: i64) -> String {
    // each `RandomState` is keyed from the system's randomness
    let random = || RandomState::new().build_hasher().finish();
    format!("{received_at:013}-{:016x}{:016x}", random(), random())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn published_segments_are_whole_and_leave_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path().join("a b/ü#%~")).unwrap();
        store.prepare().await.unwrap();
        let one = store.publish(table::EVENTS, 20_000, 5, b"one".to_vec()).await.unwrap();
        let two = store.publish(table::EVENTS, 20_000, 5, b"two".to_vec()).await.unwrap();
        assert_ne!(one, two);
        assert_eq!(store.get(&one).await.unwrap().unwrap(), b"one");
        let listed = store.segments(table::EVENTS).await.unwrap();
        assert_eq!(listed.iter().map(|segment| segment.day).collect::<Vec<_>>(), [20_000, 20_000]);
        let day = folder.path().join("a b/ü#%~/events/date=2024-10-04");
        assert_eq!(std::fs::read_dir(&day).unwrap().count(), 2);
        store.delete(&one).await.unwrap();
        store.delete(&one).await.unwrap();
        assert_eq!(std::fs::read_dir(&day).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        File::create(&file).unwrap();
        let error = Store::in_folder(file.join("store")).unwrap_err().to_string();
        assert!(error.contains("file/store"), "{error}");
    }

    #[test]
    fn words_for_stores() {
        let bucket = |bucket: &str, prefix: &str| StoreUrl::Bucket {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        };
        assert_eq!(StoreUrl::parse("/var/lib/x"), StoreUrl::Folder("/var/lib/x".into()));
        assert_eq!(StoreUrl::parse("s3://b"), bucket("b", ""));
        assert_eq!(StoreUrl::parse("s3://b/p/q/"), bucket("b", "p/q"));
    }
}
