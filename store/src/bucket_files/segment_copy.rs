//! The local copy of a segment in a bucket: a file of the same length that contains the parts that
//! were fetched. The rest of the file is sparse, and takes no disk space.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bouncewatch_schemas::table;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{GetOptions, GetRange};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use tokio::sync::{Mutex, Semaphore};

use crate::bucket_files::folder::{cache_error, content_path, open_copy, remove};
use crate::checksum::{footer_bytes, is_footer_intact};
use crate::chunk_checksums::{ChunkChecksums, chunk_range};
use crate::error::StoreError;
use crate::open::{Segment, Store};
use crate::read::{
    CHECKSUM_MISMATCH, COLUMNS_OUTSIDE, SegmentFacts, check_footer, check_segment_file, facts_of,
    has_all_columns, key_value,
};

/// Bytes at the end of an object that are fetched first: enough for the footer of most segments.
const FOOTER_BYTES: u64 = 32 * 1024;
/// Size of an object up to which it is fetched completely: one request instead of one for the footer and some for columns.
const WHOLE_BYTES: u64 = 512 * 1024;
/// Maximum gap between two parts that are fetched in one request. Another request takes longer, but requests run at the
/// same time.
const GAP_BYTES: u64 = 40 * 1024;
/// Maximum number of bytes per request, unless a column chunk is larger.
const REQUEST_BYTES: u64 = 8 * 1024 * 1024;

/// The copy of a segment.
#[derive(Debug)]
pub(super) struct SegmentCopy {
    segment: Segment,
    path: PathBuf,
    /// `None` until the footer was read.
    content: Mutex<Option<Content>>,
}

/// Parsed footer of a segment, and the columns in its copy.
#[derive(Debug)]
struct Content {
    metadata: ParquetMetaData,
    facts: SegmentFacts,
    /// `None` for a segment of an earlier release: the copy is complete, and its checksum was checked.
    checksums: Option<ChunkChecksums>,
    /// Columns that an earlier run has fetched.
    cached: BTreeSet<usize>,
    /// Columns that are in the copy and were checked.
    ready: BTreeSet<usize>,
}

/// Position of a column chunk.
#[derive(Debug, Clone)]
struct Chunk {
    row_group: usize,
    column: usize,
    range: Range<u64>,
}

impl SegmentCopy {
    pub(super) fn new(segment: Segment, path: PathBuf) -> Self {
        Self { segment, path, content: Mutex::new(None) }
    }

    /// Whether this is the copy of `segment`, and not of another object with the same name.
    pub(super) fn is_of(&self, segment: &Segment) -> bool {
        self.segment == *segment
    }

    /// Returns the facts in the footer.
    pub(super) async fn facts(
        &self,
        store: &Store,
        requests: &Semaphore,
    ) -> Result<SegmentFacts, StoreError> {
        let mut content = self.content.lock().await;
        Ok(self.opened(&mut content, store, requests).await?.facts)
    }

    /// Fetches and checks the columns that are missing in the copy.
    pub(super) async fn prepare(
        &self,
        store: &Store,
        requests: &Semaphore,
        columns: &[&str],
    ) -> Result<(), StoreError> {
        let mut content = self.content.lock().await;
        let content = self.opened(&mut content, store, requests).await?;
        let Some(checksums) = &content.checksums else { return Ok(()) };
        let leaves = content.metadata.file_metadata().schema_descr().columns();
        let is_requested =
            |path: &[String]| path.first().is_some_and(|name| columns.contains(&name.as_str()));
        let requested = (0..).zip(leaves).filter(|(_, leaf)| is_requested(leaf.path().parts()));
        let missing: BTreeSet<usize> = requested
            .map(|(column, _)| column)
            .filter(|column| !content.ready.contains(column))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let file = open_copy(&self.path)?;
        let is_cached = |chunk: &Chunk| {
            content.cached.contains(&chunk.column)
                && read_part(&file, &chunk.range)
                    .is_ok_and(|bytes| checksums.is_intact(chunk.row_group, chunk.column, &bytes))
        };
        let mut chunks = chunks_of(&content.metadata, &missing);
        chunks.retain(|chunk| !is_cached(chunk));
        let fetch = async |group: Vec<Chunk>| {
            let (Some(first), Some(last)) = (group.first(), group.last()) else { return Ok(()) };
            let start = first.range.start;
            let bytes = self.fetch(store, requests, start..last.range.end).await?;
            for chunk in &group {
                let within = |at: u64| usize::try_from(at - start).unwrap_or(usize::MAX);
                let part = bytes.get(within(chunk.range.start)..within(chunk.range.end));
                if !checksums.is_intact(chunk.row_group, chunk.column, part.unwrap_or_default()) {
                    return Err(store.damaged(&self.segment, &CHECKSUM_MISMATCH));
                }
            }
            file.write_all_at(&bytes, start).map_err(cache_error(&self.path))
        };
        futures::future::try_join_all(group_chunks(chunks).into_iter().map(fetch)).await?;
        content.ready.extend(missing);
        self.save_list(content);
        Ok(())
    }

    /// Returns the content. Reads the footer first if it was not read yet.
    async fn opened<'c>(
        &self,
        content: &'c mut Option<Content>,
        store: &Store,
        requests: &Semaphore,
    ) -> Result<&'c mut Content, StoreError> {
        match content {
            Some(content) => Ok(content),
            None => Ok(content.insert(self.open(store, requests).await?)),
        }
    }

    async fn open(&self, store: &Store, requests: &Semaphore) -> Result<Content, StoreError> {
        let cached = self.cached_columns()?;
        let file = open_copy(&self.path)?;
        if !cached.is_empty()
            && let Some(end) = read_end(&file, self.segment.bytes)
            && let Ok(content) = self.parse(store, &end, cached)
            && self.is_intact_or_has_checksums(&content)
        {
            return Ok(content);
        }
        file.set_len(self.segment.bytes).map_err(cache_error(&self.path))?;
        let end = self.fetch_end(store, requests).await?;
        let start = self.segment.bytes.saturating_sub(end.len() as u64);
        file.write_all_at(&end, start).map_err(cache_error(&self.path))?;
        let mut content = self.parse(store, &end, BTreeSet::new())?;
        if content.checksums.is_none() {
            fetch_all(store, requests, &self.segment, &self.path).await?;
            check_segment_file(&self.path, table::EVENTS)?;
        }
        if start == 0 || content.checksums.is_none() {
            content.cached = all_columns(&content.metadata);
        }
        self.save_list(&content);
        Ok(content)
    }

    /// Whether the copy of a segment without checksums of its columns is complete and intact; true for other segments.
    fn is_intact_or_has_checksums(&self, content: &Content) -> bool {
        content.checksums.is_some() || check_segment_file(&self.path, table::EVENTS).is_ok()
    }

    /// Parses and checks the footer at the end of the object.
    fn parse(
        &self,
        store: &Store,
        end: &Bytes,
        cached: BTreeSet<usize>,
    ) -> Result<Content, StoreError> {
        let damaged = |why: &dyn std::fmt::Display| store.damaged(&self.segment, why);
        let is_intact = is_footer_intact(end);
        if is_intact == Some(false) {
            return Err(damaged(&CHECKSUM_MISMATCH));
        }
        let metadata = ParquetMetaDataReader::new().parse_and_finish(end);
        let metadata = metadata.map_err(|error| damaged(&error))?;
        let footer = metadata.file_metadata();
        let version = check_footer(footer, table::EVENTS)
            .map_err(|why| store.read_error(&self.segment, &why))?;
        if !has_all_columns(&metadata, self.segment.bytes) {
            return Err(damaged(&COLUMNS_OUTSIDE));
        }
        // without a footer checksum, the whole file is fetched and checked by the file checksum
        let chunks = key_value(footer, table::CHUNKS_KEY).filter(|_| is_intact.is_some());
        let checksums =
            chunks.and_then(|value| ChunkChecksums::parse(value, metadata.row_groups()));
        let facts = facts_of(&metadata, version);
        Ok(Content { metadata, facts, checksums, cached, ready: BTreeSet::new() })
    }

    /// Fetches the end of the object with the complete footer. Fetches a small object completely.
    async fn fetch_end(&self, store: &Store, requests: &Semaphore) -> Result<Bytes, StoreError> {
        let bytes = self.segment.bytes;
        let start = if bytes <= WHOLE_BYTES { 0 } else { bytes - FOOTER_BYTES };
        let end = self.fetch(store, requests, start..bytes).await?;
        let footer = footer_bytes(&end).unwrap_or_default().min(bytes);
        if footer <= end.len() as u64 {
            return Ok(end);
        }
        self.fetch(store, requests, bytes - footer..bytes).await
    }

    async fn fetch(
        &self,
        store: &Store,
        requests: &Semaphore,
        range: Range<u64>,
    ) -> Result<Bytes, StoreError> {
        fetch(store, requests, &self.segment, range).await
    }

    /// Columns that an earlier run has fetched. Removes the copy of another object of the same name.
    fn cached_columns(&self) -> Result<BTreeSet<usize>, StoreError> {
        let Ok(list) = std::fs::read_to_string(content_path(&self.path)) else {
            return Ok(BTreeSet::new());
        };
        if let Some(columns) = list.strip_prefix(&self.identity()) {
            return Ok(columns.lines().filter_map(|line| line.parse().ok()).collect());
        }
        remove(&self.path)?;
        Ok(BTreeSet::new())
    }

    /// First line of the list of columns in the copy: size and time of the object.
    fn identity(&self) -> String {
        format!("{} {}\n", self.segment.bytes, self.segment.published_at)
    }

    /// Writes the list of columns in the copy. If the list is missing or wrong, columns are fetched
    /// again.
    #[expect(clippy::disallowed_methods, reason = "each column is checked before it is used")]
    fn save_list(&self, content: &Content) {
        let mut list = self.identity();
        for column in content.cached.union(&content.ready) {
            _ = writeln!(list, "{column}");
        }
        if let Err(error) = std::fs::write(content_path(&self.path), list) {
            tracing::debug!(%error, "could not write the list of columns in a copy");
        }
    }
}

fn all_columns(metadata: &ParquetMetaData) -> BTreeSet<usize> {
    (0..metadata.file_metadata().schema_descr().num_columns()).collect()
}

/// Chunks of the given columns, in the order of the file.
fn chunks_of(metadata: &ParquetMetaData, columns: &BTreeSet<usize>) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    for (row_group, of_group) in metadata.row_groups().iter().enumerate() {
        for column in columns {
            let range = of_group.columns().get(*column).and_then(chunk_range);
            chunks.extend(range.map(|range| Chunk { row_group, column: *column, range }));
        }
    }
    chunks.sort_unstable_by_key(|chunk| chunk.range.start);
    chunks
}

/// Groups chunks: each group is fetched in one request.
fn group_chunks(chunks: Vec<Chunk>) -> Vec<Vec<Chunk>> {
    let mut groups: Vec<Vec<Chunk>> = Vec::new();
    for chunk in chunks {
        match groups.last_mut() {
            Some(group)
                if group
                    .last()
                    .is_some_and(|last| chunk.range.start <= last.range.end + GAP_BYTES)
                    && group.first().is_some_and(|first| {
                        chunk.range.end - first.range.start <= REQUEST_BYTES
                    }) =>
            {
                group.push(chunk);
            }
            _ => groups.push(vec![chunk]),
        }
    }
    groups
}

/// Reads the footer of a copy.
fn read_end(file: &File, bytes: u64) -> Option<Bytes> {
    let footer = footer_bytes(&read_part(file, &(bytes.checked_sub(8)?..bytes)).ok()?)?;
    read_part(file, &(bytes.checked_sub(footer)?..bytes)).ok().map(Bytes::from)
}

fn read_part(file: &File, range: &Range<u64>) -> std::io::Result<Vec<u8>> {
    let length = usize::try_from(range.end - range.start).map_err(std::io::Error::other)?;
    let mut part = vec![0; length];
    file.read_exact_at(&mut part, range.start)?;
    Ok(part)
}

/// Fetches a part of an object.
async fn fetch(
    store: &Store,
    requests: &Semaphore,
    segment: &Segment,
    range: Range<u64>,
) -> Result<Bytes, StoreError> {
    let failed = |error| match error {
        object_store::Error::NotFound { .. } => {
            StoreError::Vanished(store.display_path(&segment.path))
        }
        error => store.object_error("read", &segment.path)(error),
    };
    // some servers ignore a range that covers the whole object
    let is_all = range.start == 0 && range.end == segment.bytes;
    let options = GetOptions {
        range: (!is_all).then_some(GetRange::Bounded(range)),
        ..GetOptions::default()
    };
    let _permit = requests.acquire().await;
    let part = async { store.objects().get_opts(&segment.path, options).await?.bytes().await };
    part.await.map_err(failed)
}

/// Fetches a whole object to a file, in parts.
pub(super) async fn fetch_all(
    store: &Store,
    requests: &Semaphore,
    segment: &Segment,
    path: &Path,
) -> Result<(), StoreError> {
    let file = open_copy(path)?;
    let starts = (0..segment.bytes).step_by(usize::try_from(REQUEST_BYTES).unwrap_or(usize::MAX));
    let parts = starts.map(|start| start..segment.bytes.min(start + REQUEST_BYTES));
    let fetch_part = |range: Range<u64>| async {
        let start = range.start;
        let part = fetch(store, requests, segment, range).await?;
        file.write_all_at(&part, start).map_err(cache_error(path))
    };
    // sequential: an interrupted download leaves a file that is recognised as too short
    futures::stream::iter(parts.map(Ok)).try_for_each(fetch_part).await
}
