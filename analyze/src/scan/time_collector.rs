//! Collects event times by scope and outcome. No polars.

use std::collections::HashSet;

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::table;

use crate::scan::daily::{Measure, PAIRS_CODE, Sign, TimelineDelta};
use crate::scan::event::ScannedEvent;
use crate::scan::scope_ids::ScopeIds;
use crate::scan::string_interner::StringInterner;
use crate::timeline::{Basis, Grouping, Outcome};

/// Event times of one scope, by [`Outcome::index`].
#[derive(Default, Clone)]
struct OutcomeTimes([Vec<i64>; Outcome::ALL.len()]);

/// Collects the event times of the scopes of a grouping.
pub(super) struct TimeCollector<'g> {
    scopes: ScopeIds<'g>,
    basis: Basis,
    service: Service,
    /// If pairs are collected: index of the recipient in a row.
    recipient: Option<usize>,
    /// By scope ID.
    times: Vec<OutcomeTimes>,
    /// Complaint reports (scope, message, event time, time): a report counts once, even if it lists several recipients.
    reports: HashSet<(u32, u64, i64, i64)>,
    /// Attempted pairs: scope, message, recipient, time.
    pairs: Vec<(u32, u64, u32, i64)>,
}

impl<'g> TimeCollector<'g> {
    /// Returns no times, for rows with the texts of the columns `names`.
    pub(super) fn new(
        grouping: &'g Grouping,
        names: &[String],
        measure: Measure,
        basis: Basis,
        service: Service,
    ) -> Self {
        let recipient = || names.iter().position(|name| name == table::RECIPIENT);
        Self {
            scopes: ScopeIds::new(grouping, names),
            basis,
            service,
            recipient: (measure == Measure::Pairs).then(recipient).flatten(),
            times: Vec::new(),
            reports: HashSet::new(),
            pairs: Vec::new(),
        }
    }

    /// Adds an event with the IDs of its texts.
    pub(super) fn add(&mut self, event: ScannedEvent, row: &[u32], texts: &StringInterner) {
        let (outcome, time) = (event.outcome, event.time(self.basis));
        if let Some(recipient) = self.recipient {
            if Outcome::FINAL_BOUNCES.contains(&outcome)
                || outcome == Outcome::accepted(self.service)
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
            if self.times.len() <= scope {
                self.times.resize(scope + 1, OutcomeTimes::default());
            }
            self.times[scope].0[outcome.index()].push(time);
        }
    }

    /// Adds the collected times to a delta.
    pub(super) fn finish(mut self, delta: &mut TimelineDelta, sign: Sign) {
        for (values, OutcomeTimes(times)) in self.scopes.values.iter().zip(self.times) {
            for (outcome, times) in Outcome::ALL.into_iter().zip(times) {
                if !times.is_empty() {
                    delta.add(values.clone(), outcome.code(), times, sign);
                }
            }
        }
        // a pair counts at its first time
        self.pairs.sort_unstable();
        self.pairs.dedup_by_key(|(scope, message, recipient, _)| (*scope, *message, *recipient));
        for pairs in self.pairs.chunk_by(|one, other| one.0 == other.0) {
            let times = pairs.iter().map(|(_, _, _, time)| *time).collect();
            let scope = pairs.first().and_then(|pair| self.scopes.values.get(pair.0 as usize));
            delta.add(scope.cloned().unwrap_or_default(), PAIRS_CODE, times, sign);
        }
    }
}
