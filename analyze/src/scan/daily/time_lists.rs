//! Encoding of lists of times. No I/O.
//!
//! The encoded times are divided into parts, so that a reader of one hour reads only this hour: the first part has the
//! short lists, and each hour of the day has a part with the times of the long lists.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::scan::daily::delta::ChangedTimes;
use crate::timeline::times::{HOUR_MS, HOURS, HourSet, subtract};

/// Number of parts.
pub(super) const PARTS: usize = 1 + HOURS as usize;
/// The part with the short lists.
pub(super) const SHORT_LISTS: usize = 0;

/// The part with the times of an hour.
pub(super) fn part_of(hour: u32) -> usize {
    1 + hour as usize
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
    /// Position of a short list in its part; 0 for a long list.
    pub(super) start: usize,
    /// The hours of a long list that have times, in order; empty for a short list.
    pub(in crate::scan) hours: Vec<HourList>,
}

/// Index of the added and removed times of one hour of a long list.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::scan) struct HourList {
    pub(in crate::scan) hour: u32,
    /// Number of added times.
    pub(in crate::scan) plus: u64,
    /// Number of removed times.
    pub(in crate::scan) minus: u64,
    /// Position in the part of the hour.
    pub(super) start: usize,
}

impl DayList {
    /// The parts with the times of some hours.
    pub(in crate::scan) fn parts(&self, hours: HourSet) -> impl Iterator<Item = usize> {
        let short = self.hours.is_empty().then_some(SHORT_LISTS);
        let long = self.hours.iter().filter(move |one| hours.contains(one.hour));
        short.into_iter().chain(long.map(|one| part_of(one.hour)))
    }
}

/// Appends the added and removed times of an outcome to the parts, and returns their index by day. A list with at
/// least `long_min` times is long.
pub(super) fn encode_lists(
    outcome_code: i32,
    ChangedTimes { plus, minus }: ChangedTimes,
    long_min: usize,
    parts: &mut [Vec<u8>],
) -> Vec<DayList> {
    let mut days: BTreeMap<i64, [Vec<u32>; 2]> = BTreeMap::new();
    for (side, times) in [plus, minus].into_iter().enumerate() {
        for (day, times) in times.into_days() {
            days.entry(day).or_default()[side] = times;
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
        let (start, hours) = if plus.len() + minus.len() < long_min {
            (encode_both(&mut parts[SHORT_LISTS], 0, &plus, &minus), Vec::new())
        } else {
            (0, encode_hours(parts, &plus, &minus))
        };
        let (plus, minus) = (plus.len() as u64, minus.len() as u64);
        lists.push(DayList { outcome_code, day, plus, minus, start, hours });
    }
    lists
}

/// Appends sorted times to the parts of their hours.
fn encode_hours(parts: &mut [Vec<u8>], plus: &[u32], minus: &[u32]) -> Vec<HourList> {
    let mut hours = Vec::new();
    for hour in 0..HOURS {
        let (plus, minus) = (times_of_hour(plus, hour), times_of_hour(minus, hour));
        if plus.is_empty() && minus.is_empty() {
            continue;
        }
        let start = encode_both(&mut parts[part_of(hour)], start_of(hour), plus, minus);
        let (plus, minus) = (plus.len() as u64, minus.len() as u64);
        hours.push(HourList { hour, plus, minus, start });
    }
    hours
}

/// Milliseconds from the start of a day to an hour.
fn start_of(hour: u32) -> u32 {
    hour * u32::try_from(HOUR_MS).unwrap_or(u32::MAX)
}

/// The times of an hour; `times` are sorted.
fn times_of_hour(times: &[u32], hour: u32) -> &[u32] {
    let until = |end: u32| times.partition_point(|time| *time < end);
    &times[until(start_of(hour))..until(start_of(hour + 1))]
}

/// Appends two sorted lists of times after `base`, and returns their position.
fn encode_both(out: &mut Vec<u8>, base: u32, plus: &[u32], minus: &[u32]) -> usize {
    let start = out.len();
    encode_times(out, base, plus);
    encode_times(out, base, minus);
    start
}

/// Encoded times of some parts of daily aggregates.
#[derive(Debug)]
pub(in crate::scan) struct AggregateTimes<'a>(pub(super) BTreeMap<usize, Cow<'a, [u8]>>);

impl AggregateTimes<'_> {
    /// Returns the added and the removed times of a list, in milliseconds since the start of its day. Its parts must be
    /// loaded.
    pub(in crate::scan) fn of(&self, list: &DayList) -> (Vec<u32>, Vec<u32>) {
        if list.hours.is_empty() {
            return self.decode(SHORT_LISTS, list.start, 0, (list.plus, list.minus));
        }
        let (mut plus, mut minus) = (Vec::new(), Vec::new());
        for hour in &list.hours {
            let (added, removed) = self.of_hour(hour);
            plus.extend(added);
            minus.extend(removed);
        }
        (plus, minus)
    }

    /// The same for an hour of a long list.
    pub(in crate::scan) fn of_hour(&self, list: &HourList) -> (Vec<u32>, Vec<u32>) {
        let base = start_of(list.hour);
        self.decode(part_of(list.hour), list.start, base, (list.plus, list.minus))
    }

    fn decode(
        &self,
        part: usize,
        start: usize,
        base: u32,
        (plus, minus): (u64, u64),
    ) -> (Vec<u32>, Vec<u32>) {
        let both = || {
            let (plus, rest) = decode_times(self.0.get(&part)?.get(start..)?, base, plus)?;
            let (minus, _) = decode_times(rest, base, minus)?;
            Some((plus, minus))
        };
        both().expect("the part is loaded, and the checksums of index and times match")
    }
}

/// Writes sorted times as differences in LEB128: 7 bits per byte, lowest first. The first difference is that to `base`.
fn encode_times(out: &mut Vec<u8>, base: u32, times: &[u32]) {
    let mut previous = base;
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
fn decode_times(bytes: &[u8], base: u32, number: u64) -> Option<(Vec<u32>, &[u8])> {
    let mut times = Vec::with_capacity(usize::try_from(number).ok()?.min(bytes.len()));
    let mut bytes = bytes.iter();
    let mut time = base;
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
