//! Events -> times by scope and outcome. Rows are gone through one by one: what a group-by would hash are few distinct
//! texts, again and again.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use bouncewatch_schemas::table;
use polars::prelude::*;

use super::changes::{OUTCOME, TIME};
use crate::aggregates::Delta;
use crate::error::AnalyzeError;
use crate::model::{Outcome, ScopeValues};

/// Keys are hashes already.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 ^= key;
    }
}

type Keys = HashSet<u64, BuildHasherDefault<KeyHasher>>;

/// Which rows have a copy, the first one included; none, where no row has. By chance a row without copies may be among
/// them: they are grouped by their whole keys.
pub(super) fn copies(rows: &DataFrame) -> Result<Option<BooleanChunked>, AnalyzeError> {
    let messages = rows.column(table::MESSAGE_KEY)?.u64()?;
    let events = rows.column(table::EVENT_KEY)?.u64()?;
    let keys = || {
        let both = messages.iter().zip(events.iter());
        both.map(|(message, event)| {
            message.unwrap_or_default() ^ event.unwrap_or_default().rotate_left(32)
        })
    };
    let mut seen = Keys::with_capacity_and_hasher(rows.height(), BuildHasherDefault::default());
    let mut twice = Keys::default();
    for key in keys() {
        if !seen.insert(key) {
            twice.insert(key);
        }
    }
    if twice.is_empty() {
        return Ok(None);
    }
    Ok(Some(keys().map(|key| Some(twice.contains(&key))).collect()))
}

/// Numbers for distinct texts.
#[derive(Debug, Default)]
struct Numbers<'t> {
    of_text: HashMap<Option<&'t str>, u32>,
    texts: Vec<Option<&'t str>>,
}

impl<'t> Numbers<'t> {
    fn of(&mut self, column: &'t StringChunked) -> Vec<u32> {
        let mut last: Option<(Option<&str>, u32)> = None;
        let number = |text: Option<&'t str>| {
            if let Some((known, number)) = last
                && known == text
            {
                return number;
            }
            let next = u32::try_from(self.texts.len()).expect("a shard has fewer texts");
            let number = *self.of_text.entry(text).or_insert(next);
            if number == next {
                self.texts.push(text);
            }
            last = Some((text, number));
            number
        };
        column.iter().map(number).collect()
    }
}

/// The scopes of rows: a number for each row, and what stands for each number.
struct Scopes {
    of_row: Vec<u32>,
    values: Vec<ScopeValues>,
}

impl Scopes {
    fn of(words: &[&StringChunked], rows: usize) -> Self {
        let mut scopes = Self { of_row: vec![0; rows], values: vec![Vec::new()] };
        for column in words {
            let mut numbers = Numbers::default();
            let texts = numbers.of(column);
            let mut pairs: HashMap<(u32, u32), u32> = HashMap::new();
            let mut values: Vec<ScopeValues> = Vec::new();
            let mut last = None;
            for (scope, text) in scopes.of_row.iter_mut().zip(texts) {
                let pair = (*scope, text);
                if let Some((known, number)) = last
                    && known == pair
                {
                    *scope = number;
                    continue;
                }
                let next = u32::try_from(values.len()).expect("a shard has fewer scopes");
                let number = *pairs.entry(pair).or_insert(next);
                if number == next {
                    let mut longer = scopes.values[pair.0 as usize].clone();
                    longer.push(numbers.texts[text as usize].map(str::to_owned));
                    values.push(longer);
                }
                last = Some((pair, number));
                *scope = number;
            }
            if rows > 0 {
                scopes.values = values;
            }
        }
        scopes
    }
}

/// Takes events into a delta, or takes them away. One report of complaint is one, however many recipients it lists.
pub(super) fn take_outcomes(
    events: &DataFrame,
    words: &[&StringChunked],
    delta: &mut Delta,
    is_plus: bool,
) -> Result<(), AnalyzeError> {
    let scopes = Scopes::of(words, events.height());
    let outcomes = events.column(OUTCOME)?.i32()?;
    let times = events.column(TIME)?.i64()?;
    let event_times = events.column(table::EVENT_AT)?.i64()?;
    let messages = events.column(table::MESSAGE_KEY)?.u64()?;
    let mut lists: Vec<[Vec<i64>; Outcome::ALL.len()]> =
        scopes.values.iter().map(|_| Default::default()).collect();
    let mut reports: HashSet<(u32, Option<u64>, Option<i64>, i64)> = HashSet::new();
    let mut slots = [None; u8::MAX as usize];
    for (slot, outcome) in Outcome::ALL.into_iter().enumerate() {
        if let Some(of_code) =
            usize::try_from(outcome.code()).ok().and_then(|code| slots.get_mut(code))
        {
            *of_code = (outcome != Outcome::Other).then_some(slot);
        }
    }
    let rows = scopes.of_row.iter().zip(outcomes.iter()).zip(times.iter());
    for (((scope, outcome), time), (event_time, message)) in
        rows.zip(event_times.iter().zip(messages.iter()))
    {
        let (Some(outcome), Some(time)) = (outcome, time) else { continue };
        let slot =
            usize::try_from(outcome).ok().and_then(|code| slots.get(code).copied().flatten());
        let Some(slot) = slot else { continue };
        if outcome == Outcome::Complaint.code()
            && !reports.insert((*scope, message, event_time, time))
        {
            continue;
        }
        lists[*scope as usize][slot].push(time);
    }
    for (values, lists) in scopes.values.into_iter().zip(lists) {
        let told = Outcome::ALL.into_iter().zip(lists).filter(|(_, times)| !times.is_empty());
        for (outcome, times) in told {
            delta.take(values.clone(), outcome.code(), times, is_plus);
        }
    }
    Ok(())
}
