//! The file of daily aggregates of one day; its format is documented in docs/src/format.md.
//!
//! The index contains, for each scope, outcome and day, the number of times and their position. The times are read only
//! for days where counts are not enough, such as the first and last day of a window.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bouncewatch_schemas::time::day_of;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::AnalyzeError;
use crate::scan::daily::delta::{ScopeDelta, TimelineDelta};
use crate::scan::daily::shared_times::SharedTimes;
use crate::timeline::ScopeValues;
use crate::timeline::times::{subtract, within_day};

/// First bytes of a file; the last byte is the version of the format.
const MAGIC: [u8; 8] = *b"bwdaily\x04";
/// Bytes before the index: magic, length of the index, checksum of the index, checksum of the times.
const HEADER_BYTES: usize = 8 + 3 * 8;
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
    File {
        path: PathBuf,
        checksum: u64,
    },
    /// In a bucket; fetched to a file when they are needed.
    Bucket {
        path: PathBuf,
        checksum: u64,
        shared: SharedTimes,
    },
}

/// Index of daily aggregates.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::scan) struct AggregateIndex {
    /// Fingerprint of the segments from which it was computed.
    pub(in crate::scan) fingerprint: u64,
    /// First day of these segments.
    pub(in crate::scan) first_segment_day: i64,
    /// Scopes, sorted.
    pub(in crate::scan) scopes: Vec<ScopeIndex>,
}

/// Index of one scope.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::scan) struct ScopeIndex {
    pub(in crate::scan) values: ScopeValues,
    pub(in crate::scan) first_send: Option<i64>,
    pub(in crate::scan) first_delivery: Option<i64>,
    pub(in crate::scan) lists: Vec<DayList>,
}

/// Index of the added and removed times of one outcome in one day.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::scan) struct DayList {
    /// Code of the outcome.
    pub(in crate::scan) outcome_code: i32,
    pub(in crate::scan) day: i64,
    /// Number of added times.
    pub(in crate::scan) plus: u64,
    /// Number of removed times.
    pub(in crate::scan) minus: u64,
    /// Offset of this list in the encoded times.
    start: usize,
}

impl DailyAggregate {
    /// Encodes changes. Omits times that are both added and removed.
    pub(in crate::scan) fn new(
        delta: TimelineDelta,
        fingerprint: u64,
        first_segment_day: i64,
    ) -> Self {
        let mut scopes = Vec::with_capacity(delta.scopes.len());
        let mut times = Vec::new();
        for (values, change) in delta.scopes {
            let ScopeDelta { first_send, first_delivery, lists } = change;
            let lists = lists
                .into_iter()
                .flat_map(|(code, changes)| encode_lists(code, changes, &mut times))
                .collect();
            scopes.push(ScopeIndex { values, first_send, first_delivery, lists });
        }
        let index = AggregateIndex { fingerprint, first_segment_day, scopes };
        Self { index, times: EncodedTimes::Memory(times) }
    }

    /// Reads the index of a file; `None` if there is no file, or if its format or checksum is wrong.
    pub(super) fn open(path: &Path) -> Option<Self> {
        let mut file = File::open(path).ok()?;
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
        if index.len() as u64 != bytes || xxh3_64(&index) != checksum {
            return None;
        }
        let index = postcard::from_bytes(&index).ok()?;
        let times = EncodedTimes::File { path: path.to_path_buf(), checksum: number(24)? };
        Some(Self { index, times })
    }

    /// Decodes an index of aggregates in a bucket; `None` if it is invalid. `path` is the file to which the times are
    /// fetched when they are needed.
    pub(super) fn shared(
        index: &[u8],
        checksum: u64,
        path: &Path,
        shared: SharedTimes,
    ) -> Option<Self> {
        let index = postcard::from_bytes(index).ok()?;
        let times = EncodedTimes::Bucket { path: path.to_path_buf(), checksum, shared };
        Some(Self { index, times })
    }

    /// Decodes an index and takes its encoded times; `None` if the index is invalid.
    pub(super) fn decode(index: &[u8], times: Vec<u8>) -> Option<Self> {
        let index = postcard::from_bytes(index).ok()?;
        Some(Self { index, times: EncodedTimes::Memory(times) })
    }

    /// Returns the encoded times; `None` if they cannot be read.
    pub(super) fn encoded_times(&self) -> Option<Vec<u8>> {
        self.times().ok().map(|times| times.0.into_owned())
    }

    /// Encodes the index.
    pub(super) fn encoded_index(&self) -> Option<Vec<u8>> {
        postcard::to_stdvec(&self.index).ok()
    }

    /// Returns the checksum of the times.
    pub(super) fn times_checksum(&self) -> u64 {
        match &self.times {
            EncodedTimes::Memory(times) => xxh3_64(times),
            EncodedTimes::File { checksum, .. } | EncodedTimes::Bucket { checksum, .. } => {
                *checksum
            }
        }
    }

    /// Writes the file atomically. Afterwards the times are read from the file.
    pub(super) fn save(&mut self, path: &Path) -> std::io::Result<()> {
        let EncodedTimes::Memory(times) = &self.times else { return Ok(()) };
        let index = postcard::to_stdvec(&self.index).map_err(std::io::Error::other)?;
        let checksum = xxh3_64(times);
        let numbers = [index.len() as u64, xxh3_64(&index), checksum];
        let numbers: Vec<u8> = numbers.into_iter().flat_map(u64::to_le_bytes).collect();
        Self::write_parts(path, &[&MAGIC, &numbers, &index, times])?;
        self.times = EncodedTimes::File { path: path.to_path_buf(), checksum };
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

    /// Returns the times of all lists.
    ///
    /// # Errors
    /// If the file is missing or damaged.
    pub(in crate::scan) fn times(&self) -> Result<AggregateTimes<'_>, AnalyzeError> {
        match &self.times {
            EncodedTimes::Memory(times) => Ok(AggregateTimes(Cow::Borrowed(times))),
            EncodedTimes::File { path, checksum } => {
                let times = read_times_of_file(path, *checksum);
                let failed = |source| AnalyzeError::Aggregate { path: path.clone(), source };
                Ok(AggregateTimes(Cow::Owned(times.map_err(failed)?)))
            }
            EncodedTimes::Bucket { path, checksum, shared } => {
                let times = read_times_of_file(path, *checksum).or_else(|_| {
                    Self::write_file(path, &shared.fetch()?)?;
                    read_times_of_file(path, *checksum).inspect_err(|_| shared.ignore_catalog())
                });
                let failed = |source| AnalyzeError::Aggregate { path: path.clone(), source };
                Ok(AggregateTimes(Cow::Owned(times.map_err(failed)?)))
            }
        }
    }
}

/// Appends the added and removed times of an outcome to `out`, and returns their index by day.
fn encode_lists(
    outcome_code: i32,
    (plus, minus): (Vec<i64>, Vec<i64>),
    out: &mut Vec<u8>,
) -> Vec<DayList> {
    let mut days: BTreeMap<i64, [Vec<u32>; 2]> = BTreeMap::new();
    for (side, times) in [plus, minus].into_iter().enumerate() {
        for time in times {
            days.entry(day_of(time)).or_default()[side].push(within_day(time));
        }
    }
    let mut lists = Vec::with_capacity(days.len());
    for (day, [plus, minus]) in days {
        // also sorts both lists
        let (plus, minus) = if minus.is_empty() {
            (subtract(plus, minus), Vec::new())
        } else {
            (subtract(plus.clone(), minus.clone()), subtract(minus, plus))
        };
        if plus.is_empty() && minus.is_empty() {
            continue;
        }
        let start = out.len();
        encode_times(out, &plus);
        encode_times(out, &minus);
        let (plus, minus) = (plus.len() as u64, minus.len() as u64);
        lists.push(DayList { outcome_code, day, plus, minus, start });
    }
    lists
}

fn read_times_of_file(path: &Path, checksum: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut length = [0; 8];
    file.seek(SeekFrom::Start(8))?;
    file.read_exact(&mut length)?;
    let start = (HEADER_BYTES as u64).saturating_add(u64::from_le_bytes(length));
    file.seek(SeekFrom::Start(start))?;
    let mut times = Vec::new();
    file.read_to_end(&mut times)?;
    if xxh3_64(&times) == checksum {
        Ok(times)
    } else {
        Err(std::io::Error::other("checksum mismatch"))
    }
}

/// Encoded times of daily aggregates.
#[derive(Debug)]
pub(in crate::scan) struct AggregateTimes<'a>(Cow<'a, [u8]>);

impl AggregateTimes<'_> {
    /// Returns the added and the removed times of a list, in milliseconds since the start of its day.
    pub(in crate::scan) fn of(&self, list: &DayList) -> (Vec<u32>, Vec<u32>) {
        let both = || {
            let (plus, rest) = decode_times(self.0.get(list.start..)?, list.plus)?;
            let (minus, _) = decode_times(rest, list.minus)?;
            Some((plus, minus))
        };
        both().expect("the checksums of index and times match")
    }
}

#[expect(clippy::disallowed_methods, reason = "a lost aggregate is computed again: no fsync")]
fn publish(staged: &Path, path: &Path) -> std::io::Result<()> {
    std::fs::rename(staged, path)
}

/// Writes sorted times as differences in LEB128: 7 bits per byte, lowest first.
fn encode_times(out: &mut Vec<u8>, times: &[u32]) {
    let mut previous = 0;
    for time in times {
        let mut rest = time - previous;
        previous = *time;
        while rest >= 0x80 {
            out.push(low_bits(rest) | 0x80);
            rest >>= 7;
        }
        out.push(low_bits(rest));
    }
}

/// Returns the lowest 7 bits.
fn low_bits(number: u32) -> u8 {
    u8::try_from(number & 0x7f).expect("7 bits fit in a byte")
}

/// Reads `number` times, and returns them and the bytes after them; `None` if the bytes are invalid.
fn decode_times(bytes: &[u8], number: u64) -> Option<(Vec<u32>, &[u8])> {
    let mut times = Vec::with_capacity(usize::try_from(number).ok()?.min(bytes.len()));
    let mut bytes = bytes.iter();
    let mut time = 0_u32;
    for _ in 0..number {
        let mut shift = 0;
        loop {
            let byte = *bytes.next()?;
            time = time.checked_add(u32::from(byte & 0x7f).checked_shl(shift)?)?;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
        }
        times.push(time);
    }
    Some((times, bytes.as_slice()))
}
