//! The file of daily aggregates of one day; its format is documented in docs/src/format.md.
//!
//! The index contains, for each scope, outcome and day, the number of times and their position. The times are read only
//! for days where counts are not enough, such as the first and last day of a window, and there only the hours that are
//! needed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs::File;
use std::io::{Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::AnalyzeError;
use crate::scan::daily::delta::{ScopeDelta, TimelineDelta};
use crate::scan::daily::shared_times::SharedTimes;
use crate::scan::daily::time_lists::{AggregateTimes, DayList, PARTS, SHORT_LISTS, encode_lists};
use crate::scan::presence::Presence;
use crate::timeline::ScopeValues;

/// First bytes of a file; the last byte is the version of the format.
const MAGIC: [u8; 8] = *b"bwdaily\x07";
/// Bytes before the index: magic, length of the index, checksum of the index.
const HEADER_BYTES: usize = 8 + 2 * 8;
/// Maximum number of requests for parts of an object; for more, the whole object is fetched.
const REQUESTS_MAX: usize = 3;
/// Maximum gap between two parts that are fetched in one request.
const GAP_BYTES: u64 = 64 * 1024;
/// Why a part of a file is not used.
const CHECKSUM_MISMATCH: &str = "checksum mismatch";
/// Maximum buffer for an index before it is read; most have less than 1 KiB.
const INDEX_CAPACITY_MAX: u64 = 64 * 1024;
/// Number of files that this process has staged; makes the names of staged files unique.
static STAGED: AtomicU64 = AtomicU64::new(0);

/// Timeline changes of a day in the form in which they are stored.
#[derive(Debug)]
pub(in crate::scan) struct DailyAggregate {
    /// The index.
    pub(in crate::scan) index: AggregateIndex,
    times: EncodedTimes,
}

/// Location of the encoded times.
#[derive(Debug)]
enum EncodedTimes {
    Memory(Vec<u8>),
    /// In a file, from a position on.
    File {
        path: PathBuf,
        start: u64,
    },
    /// In a bucket, from a position of the object on; fetched when they are needed. `path` is the local file.
    Bucket {
        path: PathBuf,
        start: u64,
        shared: SharedTimes,
        /// The part with the short lists, if it is in the catalog.
        short_lists: Option<Vec<u8>>,
    },
}

/// Index of daily aggregates.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::scan) struct AggregateIndex {
    /// Fingerprint of the segments from which it was computed.
    pub(in crate::scan) fingerprint: u64,
    /// First day of these segments.
    pub(in crate::scan) first_segment_day: i64,
    /// File names of the segments without failures that have events in the last hour of the day; empty if no events are
    /// counted.
    pub(in crate::scan) segments_at_end: Vec<String>,
    /// Presence of the dimensions of a message in the rows of the day, copies included.
    pub(in crate::scan) presences: Vec<Presence>,
    /// Scopes, sorted.
    pub(in crate::scan) scopes: Vec<ScopeIndex>,
    /// Parts of the encoded times.
    parts: Vec<Part>,
}

/// A part of the encoded times. The parts follow each other.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    bytes: u64,
    checksum: u64,
}

impl AggregateIndex {
    /// Position of a part in the encoded times.
    fn range_of(&self, part: usize) -> Range<u64> {
        let start: u64 = self.parts.iter().take(part).map(|one| one.bytes).sum();
        start..start + self.parts.get(part).map_or(0, |one| one.bytes)
    }

    fn is_intact(&self, part: usize, bytes: &[u8]) -> bool {
        self.parts.get(part).is_some_and(|one| one.checksum == xxh3_64(bytes))
    }

    /// Whether there are times in other parts than that of the short lists.
    pub(super) fn has_long_lists(&self) -> bool {
        self.parts.iter().skip(1).any(|part| part.bytes > 0)
    }
}

/// Index of one scope.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::scan) struct ScopeIndex {
    pub(in crate::scan) values: ScopeValues,
    pub(in crate::scan) first_send: Option<i64>,
    pub(in crate::scan) first_delivery: Option<i64>,
    pub(in crate::scan) lists: Vec<DayList>,
}

impl DailyAggregate {
    /// Encodes changes. Omits times that are both added and removed. A list with at least `long_min` times is long.
    pub(in crate::scan) fn new(
        delta: TimelineDelta,
        fingerprint: u64,
        first_segment_day: i64,
        long_min: usize,
    ) -> Self {
        let mut scopes = Vec::with_capacity(delta.scopes.len());
        let mut times = vec![Vec::new(); PARTS];
        for (values, change) in delta.scopes {
            let ScopeDelta { first_send, first_delivery, mut lists } = change;
            lists.sort_unstable_by_key(|(code, _)| *code);
            let lists = lists
                .into_iter()
                .flat_map(|(code, changes)| encode_lists(code, changes, long_min, &mut times))
                .collect();
            scopes.push(ScopeIndex { values, first_send, first_delivery, lists });
        }
        let part = |times: &Vec<u8>| Part { bytes: times.len() as u64, checksum: xxh3_64(times) };
        let parts = times.iter().map(part).collect();
        let presences = delta.presences;
        let index = AggregateIndex {
            fingerprint,
            first_segment_day,
            segments_at_end: Vec::new(),
            presences,
            scopes,
            parts,
        };
        Self { index, times: EncodedTimes::Memory(times.concat()) }
    }

    /// Reads the index of a file; `None` if there is no file, or if its format or checksum is wrong.
    pub(super) fn open(path: &Path) -> Option<Self> {
        let index = read_index(&mut File::open(path).ok()?)?;
        let start = (HEADER_BYTES + index.len()) as u64;
        let times = EncodedTimes::File { path: path.to_path_buf(), start };
        Some(Self { index: decode_index(&index)?, times })
    }

    /// The encoded index in the content of a file, and the position of its end.
    pub(super) fn index_of<'f>(&self, file: &'f [u8]) -> Option<(&'f [u8], u64)> {
        let EncodedTimes::File { start, .. } = &self.times else { return None };
        Some((file.get(HEADER_BYTES..usize::try_from(*start).ok()?)?, *start))
    }

    /// Decodes the start of a file in a bucket, up to the end of the index; `None` if it is invalid. `path` is the local
    /// file.
    pub(super) fn from_start(
        mut start: &[u8],
        short_lists: Option<&[u8]>,
        path: &Path,
        shared: SharedTimes,
    ) -> Option<Self> {
        Self::shared(&read_index(&mut start)?, short_lists, path, shared)
    }

    /// Decodes an index of aggregates in a bucket; `None` if it is invalid. `path` is the local file.
    pub(super) fn shared(
        index: &[u8],
        short_lists: Option<&[u8]>,
        path: &Path,
        shared: SharedTimes,
    ) -> Option<Self> {
        let start = (HEADER_BYTES + index.len()) as u64;
        let index = decode_index(index)?;
        let (path, short_lists) = (path.to_path_buf(), short_lists.map(<[u8]>::to_vec));
        Some(Self { index, times: EncodedTimes::Bucket { path, start, shared, short_lists } })
    }

    /// The part with the short lists; `None` if it cannot be read.
    pub(super) fn short_lists(&self) -> Option<Vec<u8>> {
        let mut times = self.times([SHORT_LISTS].into()).ok()?.0;
        times.remove(&SHORT_LISTS).map(Cow::into_owned)
    }

    /// Writes the file atomically. Afterwards the times are read from the file.
    pub(super) fn save(&mut self, path: &Path) -> std::io::Result<()> {
        let EncodedTimes::Memory(times) = &self.times else { return Ok(()) };
        let index = encode_index(&self.index)?;
        let numbers = [index.len() as u64, xxh3_64(&index)];
        let numbers: Vec<u8> = numbers.into_iter().flat_map(u64::to_le_bytes).collect();
        Self::write_parts(path, &[&MAGIC, &numbers, &index, times])?;
        let start = (HEADER_BYTES + index.len()) as u64;
        self.times = EncodedTimes::File { path: path.to_path_buf(), start };
        Ok(())
    }

    /// Writes the content of a file atomically.
    pub(super) fn write_file(path: &Path, content: &[u8]) -> std::io::Result<()> {
        Self::write_parts(path, &[content])
    }

    fn write_parts(path: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        // a unique name: other processes and threads may write the same file
        let number = STAGED.fetch_add(1, Ordering::Relaxed);
        let staged = path.with_extension(format!("staged-{}-{number}", std::process::id()));
        let write = || {
            let mut file = File::create(&staged)?;
            for part in parts {
                file.write_all(part)?;
            }
            publish(&staged, path)
        };
        write().inspect_err(|_| _ = std::fs::remove_file(&staged))
    }

    /// Returns some parts of the encoded times.
    ///
    /// # Errors
    /// If the file is missing or damaged.
    pub(in crate::scan) fn times(
        &self,
        parts: BTreeSet<usize>,
    ) -> Result<AggregateTimes<'_>, AnalyzeError> {
        let (mut times, mut missing) = (BTreeMap::new(), Vec::new());
        for part in parts {
            match (self.part(part), &self.times) {
                (Ok(bytes), _) => _ = times.insert(part, bytes),
                (Err(_), EncodedTimes::Bucket { .. }) => missing.push(part),
                (Err(error), _) => return Err(error),
            }
        }
        if let EncodedTimes::Bucket { path, start, shared, .. } = &self.times {
            let fetched = self.fetch_parts(path, *start, shared, &missing);
            fetched.map_err(|source| AnalyzeError::Aggregate { path: path.clone(), source })?;
        }
        for part in missing {
            times.insert(part, self.part(part)?);
        }
        Ok(AggregateTimes(times))
    }

    /// Fetches parts of an object to local copies. Parts that are close to each other are fetched in one request.
    fn fetch_parts(
        &self,
        path: &Path,
        start: u64,
        shared: &SharedTimes,
        parts: &[usize],
    ) -> std::io::Result<()> {
        let is_close = |one: &usize, next: &usize| {
            self.index.range_of(*next).start <= self.index.range_of(*one).end + GAP_BYTES
        };
        let groups: Vec<&[usize]> = parts.chunk_by(is_close).collect();
        if groups.len() > REQUESTS_MAX {
            return Self::write_file(path, &shared.fetch()?);
        }
        for group in groups {
            let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
            let from = self.index.range_of(*first).start;
            let bytes = shared.fetch_range(start + from..start + self.index.range_of(*last).end)?;
            for part in group {
                let range = self.index.range_of(*part);
                let within = |at: u64| usize::try_from(at - from).unwrap_or(usize::MAX);
                let bytes = bytes.get(within(range.start)..within(range.end)).unwrap_or_default();
                if !self.index.is_intact(*part, bytes) {
                    shared.ignore_catalog();
                    return Err(std::io::Error::other(CHECKSUM_MISMATCH));
                }
                Self::write_file(&part_path(path, *part), bytes)?;
            }
        }
        Ok(())
    }

    /// Reads a part that stands at a position of a file.
    fn read_part(&self, path: &Path, at: u64, part: usize) -> std::io::Result<Vec<u8>> {
        let range = self.index.range_of(part);
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let bytes = read_bytes(path, at, range.end - range.start)?;
        let is_intact = self.index.is_intact(part, &bytes);
        is_intact.then_some(bytes).ok_or_else(|| std::io::Error::other(CHECKSUM_MISMATCH))
    }

    /// Returns a part of the encoded times; of an object, the part of a local copy.
    fn part(&self, part: usize) -> Result<Cow<'_, [u8]>, AnalyzeError> {
        let range = self.index.range_of(part);
        match &self.times {
            EncodedTimes::Memory(times) => {
                let at = |position: u64| usize::try_from(position).unwrap_or(usize::MAX);
                let bytes = times.get(at(range.start)..at(range.end)).unwrap_or_default();
                Ok(Cow::Borrowed(bytes))
            }
            EncodedTimes::Bucket { short_lists: Some(short), .. } if part == SHORT_LISTS => {
                Ok(Cow::Borrowed(short))
            }
            EncodedTimes::File { path, start } | EncodedTimes::Bucket { path, start, .. } => {
                let bytes = self.read_part(path, start + range.start, part).or_else(|source| {
                    self.read_part(&part_path(path, part), 0, part).map_err(|_| source)
                });
                let failed = |source| AnalyzeError::Aggregate { path: path.clone(), source };
                bytes.map(Cow::Owned).map_err(failed)
            }
        }
    }
}

/// Level of the compression of an index: a higher one gains little.
const ZSTD_LEVEL: i32 = 3;

fn encode_index(index: &AggregateIndex) -> std::io::Result<Vec<u8>> {
    let index = postcard::to_stdvec(index).map_err(std::io::Error::other)?;
    zstd::encode_all(index.as_slice(), ZSTD_LEVEL)
}

/// Decodes an index; `None` if it is invalid.
fn decode_index(encoded: &[u8]) -> Option<AggregateIndex> {
    postcard::from_bytes(&zstd::decode_all(encoded).ok()?).ok()
}

/// Reads the header and the index of a file; `None` if the format or the checksum is wrong.
fn read_index(file: &mut impl Read) -> Option<Vec<u8>> {
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header).ok()?;
    let number = |at: usize| {
        header.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes)
    };
    if header.get(..8)? != MAGIC {
        return None;
    }
    let (bytes, checksum) = (number(8)?, number(16)?);
    // the header can be damaged
    let capacity = usize::try_from(bytes.min(INDEX_CAPACITY_MAX)).ok()?;
    let mut index = Vec::with_capacity(capacity);
    file.take(bytes).read_to_end(&mut index).ok()?;
    (index.len() as u64 == bytes && xxh3_64(&index) == checksum).then_some(index)
}

/// The local copy of a part of an object: its number, or `index`.
pub(super) fn part_path(path: &Path, part: impl Display) -> PathBuf {
    let mut copy = path.as_os_str().to_owned();
    copy.push(format!(".{part}"));
    copy.into()
}

fn read_bytes(path: &Path, start: u64, bytes: u64) -> std::io::Result<Vec<u8>> {
    let mut read = vec![0; usize::try_from(bytes).map_err(std::io::Error::other)?];
    File::open(path)?.read_exact_at(&mut read, start)?;
    Ok(read)
}

#[expect(clippy::disallowed_methods, reason = "a lost aggregate is computed again: no fsync")]
fn publish(staged: &Path, path: &Path) -> std::io::Result<()> {
    std::fs::rename(staged, path)
}
