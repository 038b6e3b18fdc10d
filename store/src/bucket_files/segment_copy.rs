//! The local copy of a segment in a bucket: a file of the same length that contains the parts that were fetched. The rest
//! is a hole, which takes no space.

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
    MISMATCH, OUTSIDE, SegmentFacts, check_footer, check_segment_file, facts_of, has_all_columns,
    key_value,
};

/// Bytes at the end of an object that are fetched first: the footer of most segments.
const FOOTER_BYTES: u64 = 32 * 1024;
/// Gap between two parts that are fetched in one request: a request costs as much time as some hundred kilobytes.
const GAP_BYTES: u64 = 128 * 1024;
/// Bytes of one request, unless a column chunk is larger.
const REQUEST_BYTES: u64 = 8 * 1024 * 1024;

/// The copy of a segment.
#[derive(Debug)]
pub(super) struct SegmentCopy {
    segment: Segment,
    path: PathBuf,
    /// `None` until the footer was read.
    content: Mutex<Option<Content>>,
}

/// What a copy contains.
#[derive(Debug)]
struct Content {
    metadata: ParquetMetaData,
    facts: SegmentFacts,
    /// `None` for a segment of an earlier release: the copy is complete, and its checksum was checked.
    checksums: Option<ChunkChecksums>,
    /// Columns that an earlier run has fetched.
    kept: BTreeSet<usize>,
    /// Columns that are there and were checked.
    ready: BTreeSet<usize>,
}

/// A column chunk.
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

    /// Whether this is the copy of an object, and not of another one of the same name.
    pub(super) fn is_of(&self, segment: &Segment) -> bool {
        self.segment == *segment
    }

    /// What the footer states.
    pub(super) async fn facts(
        &self,
        store: &Store,
        requests: &Semaphore,
    ) -> Result<SegmentFacts, StoreError> {
        let mut content = self.content.lock().await;
        Ok(self.opened(&mut content, store, requests).await?.facts)
    }

    /// Fetches and checks the columns that are not there.
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
        let is_wanted =
            |path: &[String]| path.first().is_some_and(|name| columns.contains(&name.as_str()));
        let wanted = (0..).zip(leaves).filter(|(_, leaf)| is_wanted(leaf.path().parts()));
        let missing: BTreeSet<usize> = wanted
            .map(|(column, _)| column)
            .filter(|column| !content.ready.contains(column))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let file = open_copy(&self.path)?;
        let is_kept = |chunk: &Chunk| {
            content.kept.contains(&chunk.column)
                && read_part(&file, &chunk.range)
                    .is_ok_and(|bytes| checksums.is_intact(chunk.row_group, chunk.column, &bytes))
        };
        let mut chunks = chunks_of(&content.metadata, &missing);
        chunks.retain(|chunk| !is_kept(chunk));
        let fetch = async |run: Vec<Chunk>| {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(()) };
            let start = first.range.start;
            let bytes = self.fetch(store, requests, start..last.range.end).await?;
            for chunk in &run {
                let within = |at: u64| usize::try_from(at - start).unwrap_or(usize::MAX);
                let part = bytes.get(within(chunk.range.start)..within(chunk.range.end));
                if !checksums.is_intact(chunk.row_group, chunk.column, part.unwrap_or_default()) {
                    return Err(store.damaged(&self.segment, &MISMATCH));
                }
            }
            file.write_all_at(&bytes, start).map_err(cache_error(&self.path))
        };
        futures::future::try_join_all(runs_of(chunks).into_iter().map(fetch)).await?;
        content.ready.extend(missing);
        self.save_list(content);
        Ok(())
    }

    /// Reads the footer unless it was read.
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
        let kept = self.kept_columns()?;
        let file = open_copy(&self.path)?;
        if !kept.is_empty()
            && let Some(end) = read_end(&file, self.segment.bytes)
            && let Ok(content) = self.parse(store, &end, kept)
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
            content.kept = all_columns(&content.metadata);
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
        kept: BTreeSet<usize>,
    ) -> Result<Content, StoreError> {
        let damaged = |why: &dyn std::fmt::Display| store.damaged(&self.segment, why);
        let is_intact = is_footer_intact(end);
        if is_intact == Some(false) {
            return Err(damaged(&MISMATCH));
        }
        let metadata = ParquetMetaDataReader::new().parse_and_finish(end);
        let metadata = metadata.map_err(|error| damaged(&error))?;
        let footer = metadata.file_metadata();
        let version = check_footer(footer, table::EVENTS)
            .map_err(|why| store.read_error(&self.segment, &why))?;
        if !has_all_columns(&metadata, self.segment.bytes) {
            return Err(damaged(&OUTSIDE));
        }
        // without a checksum of the footer, the file is read completely and checked by its own
        let chunks = key_value(footer, table::CHUNKS_KEY).filter(|_| is_intact.is_some());
        let checksums =
            chunks.and_then(|value| ChunkChecksums::parse(value, metadata.row_groups()));
        let facts = facts_of(&metadata, version);
        Ok(Content { metadata, facts, checksums, kept, ready: BTreeSet::new() })
    }

    /// Fetches the end of the object with the complete footer; a small object completely.
    async fn fetch_end(&self, store: &Store, requests: &Semaphore) -> Result<Bytes, StoreError> {
        let bytes = self.segment.bytes;
        let start = bytes.saturating_sub(FOOTER_BYTES);
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
    fn kept_columns(&self) -> Result<BTreeSet<usize>, StoreError> {
        let Ok(list) = std::fs::read_to_string(content_path(&self.path)) else {
            return Ok(BTreeSet::new());
        };
        if let Some(columns) = list.strip_prefix(&self.identity()) {
            return Ok(columns.lines().filter_map(|line| line.parse().ok()).collect());
        }
        remove(&self.path)?;
        Ok(BTreeSet::new())
    }

    /// First line of the list of what the copy contains.
    fn identity(&self) -> String {
        format!("{} {}\n", self.segment.bytes, self.segment.published_at)
    }

    /// Writes the list of what the copy contains. Without it, or if it is wrong, parts are fetched again.
    #[expect(clippy::disallowed_methods, reason = "each column is checked before it is used")]
    fn save_list(&self, content: &Content) {
        let mut list = self.identity();
        for column in content.kept.union(&content.ready) {
            _ = writeln!(list, "{column}");
        }
        if let Err(error) = std::fs::write(content_path(&self.path), list) {
            tracing::debug!(%error, "could not write the list of what a copy contains");
        }
    }
}

fn all_columns(metadata: &ParquetMetaData) -> BTreeSet<usize> {
    (0..metadata.file_metadata().schema_descr().num_columns()).collect()
}

/// Chunks of some columns, in the order of the file.
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

/// Chunks that are fetched in one request.
fn runs_of(chunks: Vec<Chunk>) -> Vec<Vec<Chunk>> {
    let mut runs: Vec<Vec<Chunk>> = Vec::new();
    for chunk in chunks {
        match runs.last_mut() {
            Some(run)
                if run
                    .last()
                    .is_some_and(|last| chunk.range.start <= last.range.end + GAP_BYTES)
                    && run.first().is_some_and(|first| {
                        chunk.range.end - first.range.start <= REQUEST_BYTES
                    }) =>
            {
                run.push(chunk);
            }
            _ => runs.push(vec![chunk]),
        }
    }
    runs
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
    // some servers answer a range of the whole object as if none was asked for
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
    // one after the other: a file that is too short is incomplete
    futures::stream::iter(parts.map(Ok)).try_for_each(fetch_part).await
}
