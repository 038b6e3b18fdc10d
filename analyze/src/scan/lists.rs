//! Events -> times by scope and outcome. No polars.

use std::collections::{HashMap, HashSet};

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::table;
use foldhash::fast::RandomState;

use crate::scan::changes::{Event, PAIRS};
use crate::scan::daily::{Delta, Measure};
use crate::scan::measures::TAG_SEPARATOR;
use crate::scan::rows::{NOTHING, Texts};
use crate::timeline::model::{Basis, Cut, Outcome, ScopeValues, ScopeWord};

/// The scopes of a cut, each with a number.
pub(super) struct Scopes<'c> {
    cut: &'c Cut,
    /// Which texts of a row the cut's words are.
    places: Vec<usize>,
    /// Where a provider is asked for: which of the words it is, and which text is the domain.
    host: Option<(usize, usize)>,
    /// What is asked, and what was asked last.
    asked: Vec<u32>,
    last: Vec<u32>,
    /// Where the answer to that stands in `answers`.
    of_last: usize,
    answers: Vec<Vec<u32>>,
    known: HashMap<Vec<u32>, usize, RandomState>,
    numbers: HashMap<ScopeValues, u32>,
    pub(super) values: Vec<ScopeValues>,
}

impl<'c> Scopes<'c> {
    /// Scopes of rows with texts of these names.
    pub(super) fn new(cut: &'c Cut, names: &[String]) -> Self {
        let place = |name: &str| {
            let place = names.iter().position(|known| known == name);
            place.expect("a cut is asked of rows that have its words")
        };
        let provider = cut.0.iter().position(|word| *word == ScopeWord::Column(table::PROVIDER));
        Self {
            cut,
            places: cut.0.iter().map(|word| place(&word.name())).collect(),
            host: provider.map(|at| (at, place(table::RECIPIENT_DOMAIN))),
            asked: Vec::new(),
            last: Vec::new(),
            of_last: 0,
            answers: Vec::new(),
            known: HashMap::default(),
            numbers: HashMap::new(),
            values: Vec::new(),
        }
    }

    /// The scopes to which a row belongs: one, but where a tag has several values, one for each.
    pub(super) fn of(&mut self, row: &[u32], texts: &Texts) -> &[u32] {
        let unhosted = self.host.map(|(at, domain)| match row[self.places[at]] {
            NOTHING => row[domain],
            _ => NOTHING,
        });
        self.asked.clear();
        self.asked.extend(self.places.iter().map(|place| row[*place]).chain(unhosted));
        if self.answers.is_empty() || self.asked != self.last {
            self.of_last = match self.known.get(&self.asked) {
                Some(answer) => *answer,
                None => self.answer(texts),
            };
            std::mem::swap(&mut self.last, &mut self.asked);
        }
        &self.answers[self.of_last]
    }

    /// Answers for the first time what is asked, and returns where the answer stands.
    fn answer(&mut self, texts: &Texts) -> usize {
        let asked = self.asked.clone();
        let (scopes, answer) = (self.named(&asked, texts), self.answers.len());
        self.answers.push(scopes);
        self.known.insert(asked, answer);
        answer
    }

    /// The scopes of some words. Where a provider is asked for, the last of them is the domain to which mail went whose
    /// provider is not known.
    fn named(&mut self, words: &[u32], texts: &Texts) -> Vec<u32> {
        let mut all = vec![ScopeValues::new()];
        for (at, number) in words.iter().enumerate() {
            let text = texts.get(*number);
            let values: Vec<Option<&str>> = match (text, self.cut.0.get(at)) {
                (Some(text), Some(ScopeWord::Tag(_))) => {
                    text.split(TAG_SEPARATOR).map(Some).collect()
                }
                _ => vec![text],
            };
            let longer = |scope: &ScopeValues| {
                let one = |value: Option<&str>| [&scope[..], &[value.map(str::to_owned)]].concat();
                values.iter().copied().map(one).collect::<Vec<_>>()
            };
            all = all.iter().flat_map(longer).collect();
        }
        let mut numbers = Vec::with_capacity(all.len());
        for values in all {
            let next = u32::try_from(self.values.len()).expect("a shard has fewer scopes");
            let number = *self.numbers.entry(values.clone()).or_insert(next);
            if number == next {
                self.values.push(values);
            }
            numbers.push(number);
        }
        numbers
    }
}

/// The times of one outcome in one scope.
#[derive(Default, Clone)]
struct Lists([Vec<i64>; Outcome::ALL.len()]);

/// Gathers the times of events in the scopes of a cut.
pub(super) struct Gatherer<'c> {
    scopes: Scopes<'c>,
    basis: Basis,
    service: Service,
    /// Which of the texts of a row is the recipient, where pairs are asked for.
    recipient: Option<usize>,
    /// By the number of a scope.
    lists: Vec<Lists>,
    /// One report of complaint is one, however many recipients it lists.
    reports: HashSet<(u32, u64, i64, i64)>,
    /// Scope, message, recipient, time.
    pairs: Vec<(u32, u64, u32, i64)>,
}

impl<'c> Gatherer<'c> {
    /// For events with texts of these names.
    pub(super) fn new(
        cut: &'c Cut,
        names: &[String],
        measure: Measure,
        basis: Basis,
        service: Service,
    ) -> Self {
        let recipient = || names.iter().position(|name| name == table::RECIPIENT);
        Self {
            scopes: Scopes::new(cut, names),
            basis,
            service,
            recipient: (measure == Measure::Pairs).then(recipient).flatten(),
            lists: Vec::new(),
            reports: HashSet::new(),
            pairs: Vec::new(),
        }
    }

    /// Takes an event.
    pub(super) fn take(&mut self, event: Event, row: &[u32], texts: &Texts) {
        let (outcome, time) = (event.outcome, event.time(self.basis));
        if let Some(recipient) = self.recipient {
            if Outcome::FINAL_BOUNCES.contains(&outcome)
                || outcome == Outcome::passed_on(self.service)
            {
                let pair = |scope: &u32| (*scope, event.message, row[recipient], time);
                self.pairs.extend(self.scopes.of(row, texts).iter().map(pair));
            }
            return;
        }
        if outcome == Outcome::Other {
            return;
        }
        for scope in self.scopes.of(row, texts) {
            if outcome == Outcome::Complaint
                && !self.reports.insert((*scope, event.message, event.at, time))
            {
                continue;
            }
            let scope = *scope as usize;
            if self.lists.len() <= scope {
                self.lists.resize(scope + 1, Lists::default());
            }
            self.lists[scope].0[outcome.index()].push(time);
        }
    }

    /// Adds what was gathered to a delta, or takes it away.
    pub(super) fn finish(mut self, delta: &mut Delta, is_plus: bool) {
        for (values, Lists(lists)) in self.scopes.values.iter().zip(self.lists) {
            for (outcome, times) in Outcome::ALL.into_iter().zip(lists) {
                if !times.is_empty() {
                    delta.take(values.clone(), outcome.code(), times, is_plus);
                }
            }
        }
        // of a pair the first time counts
        self.pairs.sort_unstable();
        self.pairs.dedup_by_key(|(scope, message, recipient, _)| (*scope, *message, *recipient));
        for pairs in self.pairs.chunk_by(|one, other| one.0 == other.0) {
            let times = pairs.iter().map(|(_, _, _, time)| *time).collect();
            let scope = pairs.first().and_then(|pair| self.scopes.values.get(pair.0 as usize));
            delta.take(scope.cloned().unwrap_or_default(), PAIRS, times, is_plus);
        }
    }
}
