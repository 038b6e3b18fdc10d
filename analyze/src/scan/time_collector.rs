//! Collects event times by scope and outcome. No polars.

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::table;

use crate::scan::complaint_reports::{Complaint, report_times};
use crate::scan::daily::{Measure, PAIRS_CODE, Sign, TimelineDelta, TimesByDay};
use crate::scan::event::ScannedEvent;
use crate::scan::scope_ids::ScopeIds;
use crate::scan::string_interner::StringInterner;
use crate::timeline::{Basis, Grouping, Outcome};

/// Event times of one scope, by [`Outcome::index`].
#[derive(Default, Clone)]
struct OutcomeTimes([TimesByDay; Outcome::ALL.len()]);

/// Collects the event times of the scopes of a grouping.
pub(super) struct TimeCollector<'g> {
    scopes: ScopeIds<'g>,
    basis: Basis,
    service: Service,
    /// If pairs are collected: index of the recipient in a row.
    recipient: Option<usize>,
    /// By scope ID.
    times: Vec<OutcomeTimes>,
    /// Index of the complaint report in a row.
    report: Option<usize>,
    complaints: Vec<Complaint>,
    /// Attempted pairs: scope, message, recipient, time.
    pairs: Vec<(u32, u64, u32, i64)>,
}

impl<'g> TimeCollector<'g> {
    /// Returns an empty collector for rows with the texts of the columns `names`.
    pub(super) fn new(
        grouping: &'g Grouping,
        names: &[String],
        measure: Measure,
        basis: Basis,
        service: Service,
    ) -> Self {
        let position = |column| names.iter().position(|name| name == column);
        Self {
            scopes: ScopeIds::new(grouping, names),
            basis,
            service,
            recipient: position(table::RECIPIENT).filter(|_| measure == Measure::Pairs),
            times: Vec::new(),
            report: position(table::FEEDBACK_ID),
            complaints: Vec::new(),
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
                self.pairs.extend(self.scopes.scopes_of_row(row, texts).iter().map(pair));
            }
            return;
        }
        if outcome == Outcome::Other {
            return;
        }
        for scope in self.scopes.scopes_of_row(row, texts) {
            if outcome == Outcome::Complaint {
                let report = self.report.and_then(|at| texts.get(row[at])).unwrap_or_default();
                let complaint = Complaint::new(*scope, event.message, report, event.at, time);
                self.complaints.push(complaint);
                continue;
            }
            push(&mut self.times, *scope, outcome, time);
        }
    }

    /// Adds the collected times to a delta.
    pub(super) fn finish(mut self, delta: &mut TimelineDelta, sign: Sign) {
        let groups = self.scopes.groups();
        for (scope, time) in report_times(self.complaints, &groups) {
            push(&mut self.times, scope, Outcome::Complaint, time);
        }
        for (values, OutcomeTimes(times)) in self.scopes.values.iter().zip(self.times) {
            for (outcome, times) in Outcome::ALL.into_iter().zip(times) {
                if !times.is_empty() {
                    delta.add(values.clone(), outcome.code(), times, sign);
                }
            }
        }
        // a pair counts once, at its first time
        let pair = |(scope, message, recipient, _): &(u32, u64, u32, i64)| {
            (groups.group_of(*scope), *message, *recipient)
        };
        self.pairs.sort_unstable_by_key(|one| (pair(one), one.3));
        self.pairs.dedup_by(|later, first| {
            let is_same = pair(later) == pair(first);
            if is_same {
                first.0 = groups.greater(first.0, later.0);
            }
            is_same
        });
        self.pairs.sort_by_key(|(scope, ..)| *scope);
        for pairs in self.pairs.chunk_by(|one, other| one.0 == other.0) {
            let times = pairs.iter().map(|(_, _, _, time)| *time).collect();
            let scope = pairs.first().and_then(|pair| self.scopes.values.get(pair.0 as usize));
            delta.add(scope.cloned().unwrap_or_default(), PAIRS_CODE, times, sign);
        }
    }
}

fn push(times: &mut Vec<OutcomeTimes>, scope: u32, outcome: Outcome, time: i64) {
    let scope = scope as usize;
    if times.len() <= scope {
        times.resize(scope + 1, OutcomeTimes::default());
    }
    times[scope].0[outcome.index()].push(time);
}
