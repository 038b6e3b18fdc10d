//! What the rows of one day add to timelines, and take away from them, as it is kept in a file.
//!
//! An index says for each scope, outcome and day how many times there are and where they begin; the times themselves
//! are read only of days that must be known one by one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bouncewatch_schemas::time::day_of;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::AnalyzeError;
use crate::timeline::model::{Outcome, ScopeValues};
use crate::timeline::times::{left, within_day};

/// The first bytes of a file; the last of them is its version.
const MAGIC: [u8; 8] = *b"bwdaily\x02";
/// Bytes before the index: magic, length of the index, checksums of index and times.
const HEAD: usize = 8 + 3 * 8;
/// How many files this process has staged.
static STAGED: AtomicU64 = AtomicU64::new(0);

/// What the rows of some days change in the timelines of scopes.
#[derive(Debug, Default)]
pub(crate) struct Delta {
    /// By scope.
    pub(crate) scopes: BTreeMap<ScopeValues, Change>,
}

impl Delta {
    /// Takes times of an outcome in a scope, or takes them away.
    pub(crate) fn take(
        &mut self,
        scope: ScopeValues,
        outcome: i32,
        times: Vec<i64>,
        is_plus: bool,
    ) {
        let change = self.scopes.entry(scope).or_default();
        let first = |known: Option<i64>| known.into_iter().chain(times.iter().copied()).min();
        if is_plus && outcome == Outcome::Send.code() {
            change.first_send = first(change.first_send);
        }
        if is_plus && outcome == Outcome::Delivery.code() {
            change.first_delivery = first(change.first_delivery);
        }
        let (plus, minus) = change.lists.entry(outcome).or_default();
        let list = if is_plus { plus } else { minus };
        if list.is_empty() {
            *list = times;
        } else {
            list.extend(times);
        }
    }
}

/// What they change in one scope.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// The first send that is known, older rows of the same messages included.
    pub(crate) first_send: Option<i64>,
    /// The same of deliveries.
    pub(crate) first_delivery: Option<i64>,
    /// Times that come and times that go, by the number of an outcome.
    pub(crate) lists: BTreeMap<i32, (Vec<i64>, Vec<i64>)>,
}

/// A delta in its kept form.
#[derive(Debug)]
pub(crate) struct Daily {
    /// The index.
    pub(crate) index: Index,
    times: Place,
}

/// Where the times are.
#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    File { path: PathBuf, checksum: u64 },
}

/// The index of a delta.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Index {
    /// What the delta was made of; another one stands for another listing.
    pub(crate) fingerprint: u64,
    /// The first day whose segments make a difference to it.
    pub(crate) depends_from: i64,
    /// Scopes in order.
    pub(crate) scopes: Vec<ScopeIndex>,
}

/// What is known of a scope.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ScopeIndex {
    pub(crate) values: ScopeValues,
    pub(crate) first_send: Option<i64>,
    pub(crate) first_delivery: Option<i64>,
    pub(crate) lists: Vec<ListIndex>,
}

/// One list of times: those of one outcome in one day.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListIndex {
    pub(crate) outcome: i32,
    pub(crate) day: i64,
    pub(crate) plus: u64,
    pub(crate) minus: u64,
    begin: usize,
}

impl Daily {
    /// Brings a delta into its kept form. Times that come and go again are left out.
    pub(crate) fn new(delta: Delta, fingerprint: u64, depends_from: i64) -> Self {
        let mut scopes = Vec::with_capacity(delta.scopes.len());
        let mut times = Vec::new();
        for (values, change) in delta.scopes {
            let mut lists = Vec::new();
            for (outcome, (plus, minus)) in change.lists {
                let mut days: BTreeMap<i64, [Vec<u32>; 2]> = BTreeMap::new();
                for (side, all) in [plus, minus].into_iter().enumerate() {
                    for time in all {
                        days.entry(day_of(time)).or_default()[side].push(within_day(time));
                    }
                }
                for (day, [plus, minus]) in days {
                    let (plus, minus) = if minus.is_empty() {
                        (left(plus, minus), Vec::new())
                    } else {
                        (left(plus.clone(), minus.clone()), left(minus, plus))
                    };
                    if plus.is_empty() && minus.is_empty() {
                        continue;
                    }
                    let begin = times.len();
                    write_times(&mut times, &plus);
                    write_times(&mut times, &minus);
                    let (plus, minus) = (plus.len() as u64, minus.len() as u64);
                    lists.push(ListIndex { outcome, day, plus, minus, begin });
                }
            }
            let Change { first_send, first_delivery, .. } = change;
            scopes.push(ScopeIndex { values, first_send, first_delivery, lists });
        }
        Self { index: Index { fingerprint, depends_from, scopes }, times: Place::Memory(times) }
    }

    /// Reads the index of a file; `None` where there is none that can be trusted.
    pub(crate) fn open(path: &Path) -> Option<Self> {
        let mut file = File::open(path).ok()?;
        let mut head = [0; HEAD];
        file.read_exact(&mut head).ok()?;
        let number = |at: usize| {
            head.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes)
        };
        if head.get(..8)? != MAGIC {
            return None;
        }
        let (bytes, checksum) = (number(8)?, number(16)?);
        let mut index = Vec::new();
        file.take(bytes).read_to_end(&mut index).ok()?;
        if index.len() as u64 != bytes || xxh3_64(&index) != checksum {
            return None;
        }
        let index = postcard::from_bytes(&index).ok()?;
        let times = Place::File { path: path.to_path_buf(), checksum: number(24)? };
        Some(Self { index, times })
    }

    /// Writes a file, which appears when it is whole; from then on the times are read from it.
    pub(crate) fn keep(&mut self, path: &Path) -> std::io::Result<()> {
        let Place::Memory(times) = &self.times else { return Ok(()) };
        let index = postcard::to_stdvec(&self.index).map_err(std::io::Error::other)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        // two that make the same file at once do not meet
        let number = STAGED.fetch_add(1, Ordering::Relaxed);
        let staged = path.with_extension(format!("staged-{}-{number}", std::process::id()));
        let checksum = xxh3_64(times);
        let write = || {
            let mut file = File::create(&staged)?;
            file.write_all(&MAGIC)?;
            for number in [index.len() as u64, xxh3_64(&index), checksum] {
                file.write_all(&number.to_le_bytes())?;
            }
            file.write_all(&index)?;
            file.write_all(times)?;
            publish(&staged, path)
        };
        write().inspect_err(|_| _ = std::fs::remove_file(&staged))?;
        self.times = Place::File { path: path.to_path_buf(), checksum };
        Ok(())
    }

    /// The times of all lists.
    ///
    /// # Errors
    /// If the file is gone or damaged.
    pub(crate) fn times(&self) -> Result<TimesOf<'_>, AnalyzeError> {
        match &self.times {
            Place::Memory(times) => Ok(TimesOf(std::borrow::Cow::Borrowed(times))),
            Place::File { path, checksum } => {
                let times = read_body(path, *checksum);
                let failed = |source| AnalyzeError::Aggregate { path: path.clone(), source };
                Ok(TimesOf(std::borrow::Cow::Owned(times.map_err(failed)?)))
            }
        }
    }
}

fn read_body(path: &Path, checksum: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut length = [0; 8];
    file.seek(SeekFrom::Start(8))?;
    file.read_exact(&mut length)?;
    file.seek(SeekFrom::Start((HEAD as u64).saturating_add(u64::from_le_bytes(length))))?;
    let mut times = Vec::new();
    file.read_to_end(&mut times)?;
    if xxh3_64(&times) == checksum {
        Ok(times)
    } else {
        Err(std::io::Error::other("it is damaged"))
    }
}

/// The times of a delta.
#[derive(Debug)]
pub(crate) struct TimesOf<'a>(std::borrow::Cow<'a, [u8]>);

impl TimesOf<'_> {
    /// Those of one list that come and that go, in milliseconds since its day began.
    pub(crate) fn of(&self, list: &ListIndex) -> (Vec<u32>, Vec<u32>) {
        let both = || {
            let (plus, rest) = read_times(self.0.get(list.begin..)?, list.plus)?;
            let (minus, _) = read_times(rest, list.minus)?;
            Some((plus, minus))
        };
        both().expect("the checksums of index and times are right, so one was made of the other")
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "nothing is lost with an aggregate: it is made again"
)]
fn publish(staged: &Path, path: &Path) -> std::io::Result<()> {
    std::fs::rename(staged, path)
}

/// Writes sorted times of a day as differences, seven bits a byte.
fn write_times(out: &mut Vec<u8>, times: &[u32]) {
    let mut before = 0;
    for time in times {
        let mut more = time - before;
        before = *time;
        while more >= 0x80 {
            out.push(low_bits(more) | 0x80);
            more >>= 7;
        }
        out.push(low_bits(more));
    }
}

/// The lowest seven bits.
fn low_bits(number: u32) -> u8 {
    u8::try_from(number & 0x7f).expect("seven bits fit")
}

fn read_times(bytes: &[u8], number: u64) -> Option<(Vec<u32>, &[u8])> {
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
