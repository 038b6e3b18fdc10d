//! Opening a store in a folder or a bucket, and publishing, listing and removing its objects.
//!
//! Publishing to a folder: stage, write, fsync, rename, fsync the folder. Publishing to a bucket:
//! one put, which S3 makes visible atomically. No segment name is used twice.

use std::fs::File;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bouncewatch_schemas::send_counts::SEND_COUNTS;
use bouncewatch_schemas::table;
use futures::TryStreamExt;
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode};

use crate::error::StoreError;
use crate::layout::{DAMAGED, day_folder, is_segment_name, segment_day, unique_name};
use crate::segment_content::SegmentContent;

/// Parsed value of `--store`: a folder, or a bucket and a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A folder.
    Folder(PathBuf),
    /// `s3://bucket/prefix`.
    Bucket {
        /// The bucket.
        bucket: String,
        /// The prefix, without leading and trailing slashes.
        prefix: String,
    },
}

impl StoreUrl {
    /// Parses `s3://bucket/prefix` or a path.
    pub fn parse(text: &str) -> Self {
        match text.strip_prefix("s3://") {
            None => Self::Folder(PathBuf::from(text)),
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

/// An open store. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    name: Arc<str>,
    folder: Option<PathBuf>,
}

/// A published segment, as listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    /// Day of its folder, days since 1970; 0 in the table of send counts, which has no day folders.
    pub day: i64,
    /// Path in [`Store::objects`].
    pub path: Path,
    /// Size in bytes.
    pub bytes: u64,
    /// Time of publication, epoch milliseconds.
    pub published_at: i64,
}

impl Segment {
    /// File name.
    pub fn name(&self) -> &str {
        self.path.filename().unwrap_or_default()
    }
}

impl Store {
    /// Opens the store in a folder. Creates the folder durably if it does not exist.
    ///
    /// # Errors
    /// If the folder cannot be created.
    pub fn in_folder(folder: impl AsRef<FilePath>) -> Result<Self, StoreError> {
        let folder = folder.as_ref();
        let name = folder.display().to_string();
        let failed = |source| StoreError::Folder { folder: name.clone(), source };
        create_folder(folder).map_err(failed)?;
        let objects = LocalFileSystem::new_with_prefix(folder)
            .map_err(|source| StoreError::Object { act: "open", path: name.clone(), source })?;
        let store = Self::in_objects(Arc::new(objects.with_fsync(true)), "", &name);
        Ok(Self { folder: Some(folder.to_path_buf()), ..store })
    }

    /// Opens the store below a prefix of a bucket. `name` identifies the store in messages:
    /// `s3://bucket/prefix`.
    pub fn in_objects(objects: Arc<dyn ObjectStore>, prefix: &str, name: &str) -> Self {
        Self { objects, prefix: Path::from(prefix), name: Arc::from(name), folder: None }
    }

    /// The folder of the store; `None` for a bucket.
    pub fn folder(&self) -> Option<&FilePath> {
        self.folder.as_deref()
    }

    /// Path or URL of the store, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder or bucket that contains the store.
    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// A path below the prefix of the store.
    pub fn path(&self, below: &str) -> Path {
        below.split('/').fold(self.prefix.clone(), Path::join)
    }

    /// Checks that the store has a table.
    ///
    /// # Errors
    /// If the store has no table (wrong path, or nothing was ingested yet), or cannot be listed.
    pub async fn check_exists(&self) -> Result<(), StoreError> {
        let tables = [table::EVENTS, table::QUARANTINE, SEND_COUNTS];
        if let Some(folder) = &self.folder {
            let has_table = tables.iter().any(|table| folder.join(table).is_dir());
            return if has_table {
                Ok(())
            } else {
                Err(StoreError::NotAStore(self.name.to_string()))
            };
        }
        let listed = self.objects.list_with_delimiter(Some(&self.prefix)).await;
        let listed = listed.map_err(self.object_error("list", &self.prefix))?;
        let mut folders = listed.common_prefixes.iter().filter_map(Path::filename);
        if folders.any(|folder| tables.contains(&folder)) {
            Ok(())
        } else {
            Err(StoreError::NoStore(self.name.to_string()))
        }
    }

    /// Writes and removes a probe object. Call it before events are read from a source.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn check_writable(&self) -> Result<(), StoreError> {
        let probe = self.path(&format!("{}/{}.probe", table::EVENTS, unique_name(0)));
        self.put(&probe, b"probe".to_vec()).await?;
        self.delete(&probe).await
    }

    /// Publishes bytes as a new segment of one day of a table. Durable when it returns.
    ///
    /// # Errors
    /// If a step fails. It is then unknown whether the segment was published.
    pub async fn publish(
        &self,
        table: &str,
        day: i64,
        received_at: i64,
        bytes: Vec<u8>,
    ) -> Result<Path, StoreError> {
        self.publish_as(table, day, &unique_name(received_at), bytes).await
    }

    /// Publishes a segment of the event table durably, as [`Self::publish`].
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub async fn publish_events(
        &self,
        day: i64,
        received_at: i64,
        content: SegmentContent,
        bytes: Vec<u8>,
    ) -> Result<Path, StoreError> {
        let name = format!("{}{}", unique_name(received_at), content.mark());
        self.publish_as(table::EVENTS, day, &name, bytes).await
    }

    async fn publish_as(
        &self,
        table: &str,
        day: i64,
        name: &str,
        bytes: Vec<u8>,
    ) -> Result<Path, StoreError> {
        let path = self.segment_path(table, day, name);
        self.put(&path, bytes).await?;
        self.sync_table(table)?;
        Ok(path)
    }

    /// A writer of a new segment. The segment becomes visible atomically when the writer is shut down; then call
    /// [`Self::sync_table`].
    pub(crate) fn writer(&self, path: &Path) -> BufWriter {
        BufWriter::new(Arc::clone(&self.objects), path.clone())
    }

    /// Syncs the folder of a table: the process that created a day folder may have died before it
    /// synced.
    pub(crate) fn sync_table(&self, table: &str) -> Result<(), StoreError> {
        let Some(folder) = self.folder.as_ref().map(|folder| folder.join(table)) else {
            return Ok(());
        };
        File::open(&folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|source| StoreError::Folder { folder: folder.display().to_string(), source })
    }

    /// Makes the file names of a day durable: published segments and removals survive a power
    /// failure.
    ///
    /// # Errors
    /// If the folder cannot be synced. A folder that does not exist is no error.
    pub(crate) fn sync_day(&self, table: &str, day: i64) -> Result<(), StoreError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let folder = folder.join(table).join(day_folder(day));
        match File::open(&folder).and_then(|folder| folder.sync_all()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::Folder { folder: folder.display().to_string(), source: error })
            }
            _ => self.sync_table(table),
        }
    }

    /// Path of a segment by its name without suffix.
    pub(crate) fn segment_path(&self, table: &str, day: i64, name: &str) -> Path {
        self.path(&format!("{table}/{}/{name}{}", day_folder(day), table::SEGMENT_SUFFIX))
    }

    /// Publishes bytes as a new file of the table of send counts. Durable when it returns.
    pub(crate) async fn publish_send_counts(
        &self,
        name: &str,
        bytes: Vec<u8>,
    ) -> Result<Path, StoreError> {
        let path = self.path(&format!("{SEND_COUNTS}/{name}{}", table::SEGMENT_SUFFIX));
        self.put(&path, bytes).await?;
        self.sync_send_counts()?;
        Ok(path)
    }

    /// Makes the file names of the table of send counts durable.
    pub(crate) fn sync_send_counts(&self) -> Result<(), StoreError> {
        self.sync_table(SEND_COUNTS)?;
        // the process that created the folder may have died before it synced the parent
        self.sync_table("")
    }

    /// Files of the table of send counts, sorted by name. They have no day; [`Segment::day`] is 0.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub async fn send_count_files(&self) -> Result<Vec<Segment>, StoreError> {
        let table = self.path(SEND_COUNTS);
        self.list(&table, &table, send_counts_day_of_names).await
    }

    /// Writes an object durably. Replaces an existing object atomically.
    pub async fn put(&self, path: &Path, bytes: Vec<u8>) -> Result<(), StoreError> {
        let put = self.objects.put_opts(path, bytes.into(), PutMode::Overwrite.into()).await;
        put.map(drop).map_err(self.object_error("write", path))
    }

    /// Content of an object; `None` if it does not exist.
    ///
    /// # Errors
    /// If it exists and cannot be read.
    pub async fn get(&self, path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
        let read = async { self.objects.get(path).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(self.object_error("read", path)(source)),
        }
    }

    /// Removes an object. An object that does not exist is no error.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub async fn delete(&self, path: &Path) -> Result<(), StoreError> {
        match self.objects.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(self.object_error("remove", path)(source)),
        }
    }

    /// All published segments of a table with day folders, sorted by day and name.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub async fn segments(&self, table: &str) -> Result<Vec<Segment>, StoreError> {
        let table = self.path(table);
        self.list(&table, &table, day_of_names).await
    }

    /// Path to which a damaged segment is moved.
    pub(crate) fn damaged_path(&self, segment: &Path) -> Path {
        let below = segment.prefix_match(&self.prefix).into_iter().flatten();
        below.fold(self.path(DAMAGED), Path::join)
    }

    /// Segments in the folder `damaged`, sorted by path. [`Segment::day`] is 0 in the table of send
    /// counts.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub async fn damaged_segments(&self) -> Result<Vec<Segment>, StoreError> {
        let folder = self.path(DAMAGED);
        self.list(&folder, &folder, |names| match names {
            [_, names @ ..] => day_of_names(names).or_else(|| send_counts_day_of_names(names)),
            [] => None,
        })
        .await
    }

    /// Published segments of one day of a table, sorted by name.
    pub(crate) async fn day_segments(
        &self,
        table: &str,
        day: i64,
    ) -> Result<Vec<Segment>, StoreError> {
        let folder = self.path(&format!("{table}/{}", day_folder(day)));
        self.list(&folder, &self.path(table), day_of_names).await
    }

    /// Whether all `segments` of one day still exist.
    pub(crate) async fn day_contains(
        &self,
        table: &str,
        day: i64,
        segments: &[Segment],
    ) -> Result<bool, StoreError> {
        Ok(is_subset(segments, &self.day_segments(table, day).await?))
    }

    /// Lists the segments in `folder`. `day` returns the day of a segment from the names in its
    /// path below the folder of the table; `None` if the object is not a segment.
    async fn list(
        &self,
        folder: &Path,
        table: &Path,
        day: fn(&[&str]) -> Option<i64>,
    ) -> Result<Vec<Segment>, StoreError> {
        let segment = async |meta: ObjectMeta| {
            let names: Vec<_> = meta.location.prefix_match(table).into_iter().flatten().collect();
            let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
            Ok(day(&names).map(|day| Segment {
                day,
                bytes: meta.size,
                published_at: meta.last_modified.timestamp_millis(),
                path: meta.location.clone(),
            }))
        };
        let found = self.objects.list(Some(folder)).try_filter_map(segment);
        let mut found: Vec<Segment> =
            found.try_collect().await.map_err(self.object_error("list", folder))?;
        found.sort();
        Ok(found)
    }

    /// Makes a [`StoreError::Object`] for an operation on an object.
    pub(crate) fn object_error(
        &self,
        act: &'static str,
        path: &Path,
    ) -> impl FnOnce(object_store::Error) -> StoreError {
        let path = self.display_path(path);
        move |source| StoreError::Object { act, path, source }
    }

    /// Path or URL of an object, for messages.
    pub(crate) fn display_path(&self, path: &Path) -> String {
        let below = path.prefix_match(&self.prefix).map_or_else(
            || path.to_string(),
            |parts| parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"),
        );
        format!("{}/{below}", self.name)
    }
}

/// Whether all `segments` are in `listed`.
pub(crate) fn is_subset(segments: &[Segment], listed: &[Segment]) -> bool {
    segments.iter().all(|segment| listed.iter().any(|other| other.path == segment.path))
}

/// Day of a segment from the names below the folder of its table: `date=YYYY-MM-DD`, `NAME.parquet`.
fn day_of_names(names: &[&str]) -> Option<i64> {
    let [folder, file] = names else { return None };
    segment_day(folder, file)
}

/// Returns 0 for a file of the table of send counts, which has no day folders; `None` for other
/// paths.
fn send_counts_day_of_names(names: &[&str]) -> Option<i64> {
    let [file] = names else { return None };
    is_segment_name(file).then_some(0)
}

/// Creates a folder and its parents durably.
fn create_folder(folder: &FilePath) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_folder(parent)?;
    }
    match std::fs::create_dir(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        Err(error) => return Err(error),
    }
    File::open(parent.unwrap_or(FilePath::new("."))).and_then(|folder| folder.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn publish_leaves_only_complete_segments() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path().join("a b/ü#%~")).unwrap();
        store.check_writable().await.unwrap();
        let one = store.publish(table::EVENTS, 20_000, 5, b"one".to_vec()).await.unwrap();
        let two = store.publish(table::EVENTS, 20_000, 5, b"two".to_vec()).await.unwrap();
        assert_ne!(one, two);
        assert_eq!(store.get(&one).await.unwrap().unwrap(), b"one");
        let listed = store.segments(table::EVENTS).await.unwrap();
        assert_eq!(listed.iter().map(|segment| segment.day).collect::<Vec<_>>(), [20_000, 20_000]);
        assert_eq!(store.day_segments(table::EVENTS, 20_000).await.unwrap(), listed);
        let day = folder.path().join("a b/ü#%~/events/date=2024-10-04");
        assert_eq!(std::fs::read_dir(&day).unwrap().count(), 2);
        store.delete(&one).await.unwrap();
        store.delete(&one).await.unwrap();
        assert_eq!(std::fs::read_dir(&day).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn segments_ignores_files_outside_day_folders() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path()).unwrap();
        for path in [
            "events/a.parquet",
            "events/x/date=2024-10-04/a.parquet",
            "events/date=2024-10-04/x/a.parquet",
            "volumes/x/a.parquet",
        ] {
            store.put(&store.path(path), b"x".to_vec()).await.unwrap();
        }
        assert!(store.segments(table::EVENTS).await.unwrap().is_empty());
        assert!(store.send_count_files().await.unwrap().is_empty());
    }

    #[test]
    fn in_folder_names_the_folder_it_cannot_create() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        File::create(&file).unwrap();
        let error = Store::in_folder(file.join("store")).unwrap_err().to_string();
        assert!(error.contains("file/store"), "{error}");
    }

    #[test]
    fn store_url_parses_folders_and_buckets() {
        let bucket = |bucket: &str, prefix: &str| StoreUrl::Bucket {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        };
        assert_eq!(StoreUrl::parse("/var/lib/x"), StoreUrl::Folder("/var/lib/x".into()));
        assert_eq!(StoreUrl::parse("s3://b"), bucket("b", ""));
        assert_eq!(StoreUrl::parse("s3://b/p/q/"), bucket("b", "p/q"));
    }
}
