//! The part of history that a query needs: stored aggregates of closed days, and changes computed from the rows of
//! other days.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use bouncewatch_schemas::table;
use bouncewatch_schemas::time::day_of;

use crate::error::AnalyzeError;
use crate::scan::daily::{AggregateFolder, DailyAggregate, Measure};
use crate::scan::day_aggregates::{is_closed, read_or_build};
use crate::scan::day_range::DayRange;
use crate::scan::delta_builder::{DeltaBuilder, RangeScan};
use crate::scan::domain_providers::{DomainProviders, domain_providers};
use crate::scan::event::CLOCK_SLACK_MS;
use crate::scan::late_messages::LateMessages;
use crate::scan::merge::{HistorySpan, merge_aggregates, with_provider};
use crate::scan::older_rows::OlderRows;
use crate::scan::parallel::parallel_map;
use crate::scan::presence::Presence;
use crate::scan::store_scan::StoreScan;
use crate::scan::timelines::{ExactHours, History};
use crate::timeline::{Basis, Dimension, Grouping, ScopeValues};

/// Minimum number of day ranges that share one pass over older rows.
const BATCH_RANGES_MIN: usize = 2;

/// Parameters of a query over history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HistoryQuery<'a> {
    pub(crate) groupings: &'a [Grouping],
    /// The time that assigns events to windows.
    pub(crate) basis: Basis,
    /// Events before this time are ignored.
    pub(crate) counted_from: Option<i64>,
}

impl HistoryQuery<'_> {
    /// Returns the first day with events that are counted at `from` or later.
    fn first_day_of(&self, from: i64) -> i64 {
        match self.basis {
            Basis::Event => day_of(from),
            // the clocks of a message's events differ
            Basis::Send => day_of(from.saturating_sub(CLOCK_SLACK_MS)),
        }
    }
}

/// The part of history that a query needs.
#[derive(Debug)]
pub(crate) struct HistoryPart<'a> {
    scan: &'a StoreScan,
    query: HistoryQuery<'a>,
    first_day: i64,
    last_day: i64,
    to: i64,
    providers: DomainProviders,
    /// Changes of the days, by grouping.
    events: LoadedDays,
    /// Changes of (message, recipient) pairs, by grouping; loaded on demand.
    pairs: Option<LoadedDays>,
}

/// Aggregates by grouping and day. Those of the open days are at the first one.
type LoadedDays = Vec<BTreeMap<i64, Arc<DailyAggregate>>>;

impl<'a> HistoryPart<'a> {
    /// Loads all events from `from` to `to`, by the time that assigns them to windows.
    pub(crate) fn new(
        scan: &'a StoreScan,
        query: HistoryQuery<'a>,
        from: i64,
        to: i64,
    ) -> Result<Self, AnalyzeError> {
        let from = query.counted_from.map_or(from, |counted| from.max(counted));
        let mut part = HistoryPart {
            scan,
            query,
            first_day: query.first_day_of(from),
            // one more day: the times of copies differ by seconds, possibly across midnight
            last_day: day_of(to).saturating_add(1),
            to,
            providers: DomainProviders::new(),
            events: Vec::new(),
            pairs: None,
        };
        let provider = Dimension::Column(table::PROVIDER);
        if query.groupings.iter().any(|grouping| grouping.0.contains(&provider)) {
            part.providers = domain_providers(scan, to)?;
        }
        part.events = part.load(Measure::Events)?;
        Ok(part)
    }

    /// Returns the timelines of the loaded events.
    pub(crate) fn history(&self, exact: &ExactHours) -> Result<History, AnalyzeError> {
        let Self { scan, query, first_day, to, .. } = *self;
        let from = query.counted_from.unwrap_or(i64::MIN);
        let span = HistorySpan { service: scan.service, first_day, from, to };
        let mut by_grouping = Vec::with_capacity(query.groupings.len());
        for (at, grouping) in query.groupings.iter().enumerate() {
            let pairs = self.pairs.iter().filter_map(|pairs| pairs.get(at));
            let days = self.events.get(at).into_iter().chain(pairs);
            let aggregates = days.flat_map(BTreeMap::values).map(Arc::as_ref);
            let mut timelines =
                merge_aggregates(span, grouping, aggregates, &self.providers, exact)?;
            for (values, timeline) in &mut timelines {
                timeline.counted_from = query.counted_from;
                timeline.send_counts = scan.send_counts(grouping, values)?;
            }
            by_grouping.push(timelines);
        }
        Ok(History { by_grouping })
    }

    /// Whether pairs are loaded.
    pub(super) fn has_pairs(&self) -> bool {
        self.pairs.is_some()
    }

    /// Loads (message, recipient) pairs that were delivered or finally bounced: the attempts of windows without sends.
    pub(crate) fn load_pairs(&mut self) -> Result<(), AnalyzeError> {
        self.pairs = Some(self.load(Measure::Pairs)?);
        Ok(())
    }

    /// Whether there are no older events, or older events are ignored.
    pub(super) fn is_complete(&self) -> bool {
        let counts_older = self
            .query
            .counted_from
            .is_none_or(|from| self.query.first_day_of(from) < self.first_day);
        !counts_older || self.scan.first_day().is_none_or(|day| day >= self.first_day)
    }

    /// Whether older days have scopes of the first `groupings` groupings that `history` lacks.
    pub(super) fn has_other_older_scopes(
        &self,
        history: &History,
        groupings: usize,
    ) -> Result<bool, AnalyzeError> {
        let all = self.query.groupings.iter().zip(&history.by_grouping);
        for (grouping, timelines) in all.take(groupings) {
            let one = std::slice::from_ref(grouping);
            let measure = Measure::Scopes;
            let builder =
                DeltaBuilder::new(self.scan, measure, self.query.basis, one, self.to, false);
            let folder = self.folder(measure, grouping);
            let is_missing = |values: &ScopeValues| {
                !timelines.contains_key(&with_provider(grouping, values, &self.providers))
            };
            let mut has_other = false;
            for day in self.scan.days(i64::MIN, self.first_day - 1) {
                let aggregate = read_or_build(self.scan, &folder, day, self.to, |day| {
                    Ok(builder.scopes_of_day(day)?.pop().unwrap_or_default())
                })?;
                has_other = aggregate.index.scopes.iter().any(|scope| is_missing(&scope.values));
                if has_other {
                    break;
                }
            }
            folder.finish(&self.scan.days(i64::MIN, i64::MAX));
            if has_other {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn folder(&self, measure: Measure, grouping: &Grouping) -> AggregateFolder {
        let StoreScan { store, service, own_domains, .. } = self.scan;
        let of = (self.query.basis, *service);
        AggregateFolder::new(store, measure, of, &grouping.0, own_domains)
    }

    /// Loads the changes of all days of the part, by grouping.
    fn load(&self, measure: Measure) -> Result<LoadedDays, AnalyzeError> {
        let groupings = self.query.groupings;
        let folders: Vec<AggregateFolder> =
            groupings.iter().map(|grouping| self.folder(measure, grouping)).collect();
        let mut loaded: LoadedDays = groupings.iter().map(|_| BTreeMap::new()).collect();
        let mut ranges = self.read_stored(&folders, &mut loaded)?;
        // newest first: the scan of a range keeps the rows that newer ranges need
        ranges.reverse();
        let has_identity_feedback =
            measure == Measure::Events && self.may_have_identity_feedback(&ranges)?;
        let (basis, to) = (self.query.basis, self.to);
        let builder =
            DeltaBuilder::new(self.scan, measure, basis, groupings, to, has_identity_feedback);
        let mut rest = ranges.as_slice();
        while !rest.is_empty() {
            let mut rows = 0;
            let fits = |range: &&DayRange| {
                rows += range.rows;
                rows <= self.scan.limits.batch
            };
            let number = rest.iter().take_while(fits).count().max(BATCH_RANGES_MIN).min(rest.len());
            let (batch, others) = rest.split_at(number);
            rest = others;
            self.build(&builder, batch, &folders, &mut loaded)?;
        }
        if ranges.iter().any(|range| is_closed(range.last_day, self.to)) {
            let days = self.scan.days(i64::MIN, i64::MAX);
            for folder in &folders {
                folder.finish(&days);
            }
        }
        Ok(loaded)
    }

    /// Whether a row of the ranges, or of the day before one, can be a report of identity feedback. The reports of a
    /// complaint on two channels are at most a minute apart.
    fn may_have_identity_feedback(&self, ranges: &[DayRange]) -> Result<bool, AnalyzeError> {
        for range in ranges {
            let first_day = range.first_day.saturating_sub(1);
            if self.scan.may_have_identity_feedback(first_day, range.last_day)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads the stored aggregates, and returns the ranges of days that lack them: one for each
    /// closed day, and one for all other days.
    fn read_stored(
        &self,
        folders: &[AggregateFolder],
        loaded: &mut LoadedDays,
    ) -> Result<Vec<DayRange>, AnalyzeError> {
        let mut incomplete = Vec::new();
        let days = self.scan.days(self.first_day, self.last_day);
        for day in days.iter().copied().filter(|day| is_closed(*day, self.to)) {
            let mut missing = Vec::new();
            for (at, folder) in folders.iter().enumerate() {
                match folder.read(day, |from| self.scan.fingerprint(from, day)) {
                    Some(aggregate) => _ = loaded[at].insert(day, Arc::new(aggregate)),
                    None => missing.push(at),
                }
            }
            if !missing.is_empty() {
                incomplete.push((day, day, missing));
            }
        }
        if let Some(first_day) = days.into_iter().find(|day| !is_closed(*day, self.to)) {
            let known = self.scan.open_days.lock().unwrap_or_else(PoisonError::into_inner);
            let mut missing = Vec::new();
            for (at, folder) in folders.iter().enumerate() {
                match known.get(&(folder.path().to_path_buf(), first_day, self.last_day)) {
                    Some(aggregate) => _ = loaded[at].insert(first_day, Arc::clone(aggregate)),
                    None => missing.push(at),
                }
            }
            if !missing.is_empty() {
                incomplete.push((first_day, self.last_day, missing));
            }
        }
        // in parallel: the number of rows is read from the footer of each segment
        let range = |(first, last, missing)| DayRange::new(self.scan, first, last, missing);
        parallel_map(incomplete, range).into_iter().collect()
    }

    /// Returns which older rows the changes of some ranges need.
    fn needed_older_rows(
        &self,
        scanned: &[(&DayRange, RangeScan)],
        loaded: &LoadedDays,
    ) -> Result<OlderRows, AnalyzeError> {
        let can_fill_gaps = match scanned {
            [(range, scan)] => self.can_fill_gaps(range, scan, loaded),
            _ => true,
        };
        let mut needed = OlderRows { near: BTreeMap::new(), can_fill_gaps };
        for (range, _) in scanned {
            let before = range.first_day - 1;
            let known = loaded.iter().find_map(|of_days| of_days.get(&before));
            let segments = match known {
                Some(day) => day.index.segments_at_end.clone(),
                None => self.scan.segments_at_end(before)?,
            };
            needed.near.insert(before, segments);
        }
        Ok(needed)
    }

    /// Whether a row can have a value that another row of its message lacks, according to stored aggregates. The stored
    /// changes of a closed day do not depend on the days that a query loads.
    fn can_fill_gaps(&self, range: &DayRange, scan: &RangeScan, loaded: &LoadedDays) -> bool {
        if is_closed(range.last_day, self.to) {
            return true;
        }
        let days = self.scan.days(scan.depends_from, range.first_day - 1);
        let can_fill = |(grouping, of_range): (&usize, &[Presence])| {
            let mut of_all = of_range.to_vec();
            for day in &days {
                let Some(aggregate) = loaded[*grouping].get(day) else { return true };
                for (all, of_day) in of_all.iter_mut().zip(&aggregate.index.presences) {
                    all.merge(*of_day);
                }
            }
            of_all.into_iter().any(Presence::can_fill_gaps)
        };
        range.groupings.iter().zip(scan.presences()).any(can_fill)
    }

    /// Computes the changes of some ranges, and stores those of closed days.
    fn build(
        &self,
        builder: &DeltaBuilder<'_>,
        ranges: &[DayRange],
        folders: &[AggregateFolder],
        loaded: &mut LoadedDays,
    ) -> Result<(), AnalyzeError> {
        let mut scanned = Vec::with_capacity(ranges.len());
        let late_messages = LateMessages::new(ranges.len());
        let results = parallel_map(ranges.iter().enumerate(), |(number, range)| {
            builder.scan_range(range, &late_messages.start(number))
        });
        for (range, result) in ranges.iter().zip(results) {
            scanned.push((range, result?));
        }
        let needed = if builder.measure() == Measure::Events {
            Some(self.needed_older_rows(&scanned, loaded)?)
        } else {
            None
        };
        let messages = late_messages.into_keys();
        let older_rows = builder.older_rows(&mut scanned, messages, needed.as_ref())?;
        let finish = |(range, scan): (&DayRange, RangeScan)| {
            let from = scan.depends_from;
            let fingerprint = self.scan.fingerprint(from, range.last_day);
            let deltas = builder.finish(range, scan, &older_rows);
            let is_closed = is_closed(range.last_day, self.to);
            let at_end = if is_closed && builder.measure() == Measure::Events {
                self.scan.segments_at_end(range.last_day)?
            } else {
                Vec::new()
            };
            let mut aggregates = Vec::with_capacity(deltas.len());
            for (grouping, delta) in range.groupings.iter().zip(deltas) {
                let mut aggregate =
                    DailyAggregate::new(delta, fingerprint, from, self.scan.limits.long_list);
                if is_closed {
                    aggregate.index.segments_at_end.clone_from(&at_end);
                    folders[*grouping].save(range.first_day, &mut aggregate);
                }
                aggregates.push(aggregate);
            }
            Ok(aggregates)
        };
        let mut known = self.scan.open_days.lock().unwrap_or_else(PoisonError::into_inner);
        for (range, aggregates) in ranges.iter().zip(parallel_map(scanned, finish)) {
            for (grouping, aggregate) in range.groupings.iter().zip(aggregates?) {
                let aggregate = Arc::new(aggregate);
                if !is_closed(range.last_day, self.to) {
                    let folder = folders[*grouping].path().to_path_buf();
                    known.insert((folder, range.first_day, range.last_day), Arc::clone(&aggregate));
                }
                loaded[*grouping].insert(range.first_day, aggregate);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bouncewatch_schemas::event::{EventKind, Service};
    use bouncewatch_schemas::time::DAY_MS;

    use super::*;
    use crate::scan::failure::FailureQuery;
    use crate::scan::store_scan::RowLimits;
    use crate::scan::test_store::{TestRow, publish, publish_with_version};
    use crate::timeline::Outcome;

    /// 2026-11-19 00:00 UTC.
    const START: i64 = 1_795_046_400_000;
    const HOUR: i64 = 3_600_000;
    const MESSAGES: u64 = 12;
    const DAYS: i64 = 2;

    /// Publishes `DAYS` days. Each message is sent once to two recipients: one delivery, and one delivery that bounces
    /// later (one pair); events other than the send have no identity. Some messages are sent in the first hour of a day
    /// (they depend on older rows), some bounces come a day later, some events have a copy in another segment, and some
    /// messages have a complaint that lists both recipients. Some of these have a feedback ID, and a second report at the
    /// same time. `versions` are the format versions of the segments.
    fn publish_messages(store: &Path, [main, copy]: [u32; 2]) {
        for day in 0..DAYS {
            let (mut rows, mut copies, mut late) = (Vec::new(), Vec::new(), Vec::new());
            for number in 0..MESSAGES {
                let message = number + 1 + u64::try_from(day).unwrap() * MESSAGES;
                let sent_at = START + day * DAY_MS + i64::try_from(number).unwrap() * HOUR / 3;
                let row = |key: u64, hours: i64, kind: EventKind, recipient: &'static str| {
                    TestRow {
                        message,
                        // the event key alone must not decide on the shard
                        key: key * 7 + message % 3,
                        at: sent_at + hours * HOUR,
                        sent_at: Some(sent_at),
                        kind: Some(kind.as_str()),
                        recipient: Some(recipient),
                        ..TestRow::default()
                    }
                };
                let identity =
                    Some(if message.is_multiple_of(2) { "a.example" } else { "b.example" });
                rows.push(TestRow { identity, ..row(1, 0, EventKind::Send, "x@example.org") });
                rows.push(row(2, 1, EventKind::Delivery, "x@example.org"));
                rows.push(row(3, 1, EventKind::Delivery, "y@example.org"));
                let bounce = |hours| TestRow {
                    class: Some("hard"),
                    counts: Some(true),
                    ..row(4, hours, EventKind::Bounce, "y@example.org")
                };
                if message.is_multiple_of(4) {
                    late.push(bounce(24));
                } else {
                    rows.push(bounce(2));
                    copies.push(bounce(2));
                }
                if message.is_multiple_of(5) {
                    let report = |feedback_id: Option<&'static str>| {
                        let report = |key: u64, recipient: &'static str| TestRow {
                            feedback_id,
                            ..row(key, 3, EventKind::Complaint, recipient)
                        };
                        [report(5, "x@example.org"), report(6, "y@example.org")]
                    };
                    let has_id = message.is_multiple_of(2);
                    rows.extend(report(has_id.then_some("report-1")));
                    copies.extend(report(has_id.then_some("report-1")));
                    if has_id {
                        rows.extend(report(Some("report-2")));
                    }
                }
            }
            publish_with_version(store, &format!("rows-{day}.parquet"), &rows, main);
            publish_with_version(store, &format!("copies-{day}.parquet"), &copies, copy);
            publish_with_version(store, &format!("late-{day}.parquet"), &late, copy);
        }
    }

    const CURRENT: [u32; 2] = [table::FORMAT_VERSION; 2];
    const UNLIMITED: RowLimits = RowLimits { long_list: 4, ..RowLimits::of_rows(u64::MAX) };
    const IDENTITY: [Dimension; 1] = [Dimension::Column(table::IDENTITY)];
    const END: i64 = START + (DAYS + 1) * DAY_MS;

    fn open(store: &Path, limits: RowLimits) -> StoreScan {
        StoreScan::open(store, Service::Ses, &[], limits).unwrap()
    }

    /// Timelines by account and by identity, with pairs.
    fn history(scan: &StoreScan) -> History {
        let mut groupings = vec![Grouping::account(), Grouping::account()];
        groupings[1].0.extend(IDENTITY);
        let query = HistoryQuery { groupings: &groupings, basis: Basis::Event, counted_from: None };
        let mut part = HistoryPart::new(scan, query, START, END).unwrap();
        part.load_pairs().unwrap();
        part.history(&ExactHours::All).unwrap()
    }

    /// All failures, then those after the first day, as sorted text.
    fn failures(scan: &StoreScan) -> Vec<String> {
        let mut failures = Vec::new();
        let kinds = [EventKind::Bounce, EventKind::Complaint];
        for after in [None, Some(START + DAY_MS)] {
            let query = FailureQuery {
                kinds: &kinds,
                recipients: None,
                dimensions: &IDENTITY,
                after,
                to: END,
            };
            scan.failures(&query, |failure| failures.push(format!("{failure:?}"))).unwrap();
        }
        failures.sort();
        failures
    }

    #[test]
    fn results_do_not_depend_on_the_number_of_shards() {
        let store = tempfile::tempdir().unwrap();
        publish_messages(store.path(), CURRENT);
        let scan = open(store.path(), UNLIMITED);
        let (expected, expected_failures) = (format!("{:?}", history(&scan)), failures(&scan));
        let messages = usize::try_from(DAYS).unwrap() * usize::try_from(MESSAGES).unwrap();
        // a bounce per message, a complaint with 2 recipients for every fifth message, and a second one for every tenth
        let of_all_days = messages + (messages / 5 + messages / 10) * 2;
        assert!(expected_failures.len() > of_all_days, "{}", expected_failures.len());
        for (shard, batch) in [(25, u64::MAX), (13, 60)] {
            std::fs::remove_dir_all(store.path().join("aggregates")).unwrap();
            let limits = RowLimits { batch, ..RowLimits::of_rows(shard) };
            let scan = open(store.path(), limits);
            assert_eq!(format!("{:?}", history(&scan)), expected, "{limits:?}");
            assert_eq!(failures(&scan), expected_failures, "{limits:?}");
        }
    }

    #[test]
    fn failures_are_those_after_a_time_up_to_another_by_their_earliest_copies() {
        let store = tempfile::tempdir().unwrap();
        let (after, to) = (START + 3 * DAY_MS, START + 5 * DAY_MS);
        let bounce = |message: u64, at: i64| TestRow {
            message,
            at,
            sent_at: match message {
                // unknown
                7 => None,
                // clocks differ by a second: sent after midnight, bounced before
                8 => Some(START + 2 * DAY_MS + 500),
                _ => Some(START),
            },
            kind: Some("bounce"),
            class: Some("hard"),
            counts: Some(true),
            recipient: Some("x@example.org"),
            ..TestRow::default()
        };
        // bounces at the limits and one millisecond after them
        let rows = [bounce(1, after), bounce(2, after + 1), bounce(3, to), bounce(4, to + 1)];
        publish_with_version(store.path(), "bounces.parquet", &rows, table::FORMAT_VERSION);
        // bounces with an older copy: days before the time, and on the day before it
        for (message, older) in
            [(5, START), (6, after - 1), (7, START), (8, START + 2 * DAY_MS - 500)]
        {
            for at in [to - 1, older] {
                let name = format!("bounce-{message}-at-{at}.parquet");
                let row = [bounce(message, at)];
                publish_with_version(store.path(), &name, &row, table::FORMAT_VERSION);
            }
        }
        let scan = open(store.path(), UNLIMITED);
        let query = FailureQuery {
            kinds: &[EventKind::Bounce],
            recipients: None,
            dimensions: &IDENTITY,
            after: Some(after),
            to,
        };
        let mut found = Vec::new();
        scan.failures(&query, |failure| found.push(failure.message)).unwrap();
        found.sort_unstable();
        assert_eq!(found, [2, 3]);
    }

    /// The clocks of a message's events differ: a delivery before midnight, of a message that was sent after it.
    #[test]
    fn event_before_its_send_time_counts_at_the_send_time() {
        let store = tempfile::tempdir().unwrap();
        let sent_at = START + DAY_MS + HOUR / 2;
        let delivery = TestRow {
            message: 1,
            at: START + DAY_MS - HOUR / 4,
            sent_at: Some(sent_at),
            kind: Some("delivery"),
            ..TestRow::default()
        };
        publish(store.path(), "rows.parquet", &[delivery]);
        let scan = open(store.path(), UNLIMITED);
        let groupings = [Grouping::account()];
        for (basis, expected) in [(Basis::Send, 1), (Basis::Event, 0)] {
            let query = HistoryQuery { groupings: &groupings, basis, counted_from: None };
            let part = HistoryPart::new(&scan, query, START + DAY_MS, END).unwrap();
            let history = part.history(&ExactHours::All).unwrap();
            let deliveries = history.by_grouping[0]
                .values()
                .map(|one| one.of(Outcome::Delivery).between(START + DAY_MS, END));
            assert_eq!(deliveries.sum::<u64>(), expected, "{basis:?}");
        }
    }

    #[test]
    fn results_do_not_depend_on_the_format_versions_of_copies() {
        let results = [CURRENT, [1, 1], [1, 2], [2, 1]].map(|versions| {
            let store = tempfile::tempdir().unwrap();
            publish_messages(store.path(), versions);
            let scan = open(store.path(), UNLIMITED);
            (format!("{:?}", history(&scan)), failures(&scan))
        });
        for other in &results {
            assert_eq!(*other, results[0]);
        }
    }

    /// The recipients are read only if a day or the day before it has reports of identity feedback.
    #[test]
    fn complaint_on_two_channels_counts_once_for_the_same_recipient_across_midnight() {
        use bouncewatch_schemas::event::Channel::{EventPublishing, IdentityFeedback};

        let midnight = START + DAY_MS;
        let complaint = |channel, at, recipient, feedback_id| TestRow {
            channel: Some(channel),
            message: 1,
            at,
            sent_at: Some(START),
            kind: Some(EventKind::Complaint.as_str()),
            recipient: Some(recipient),
            feedback_id: Some(feedback_id),
            ..TestRow::default()
        };
        for (first_channel, recipient, expected) in [
            (IdentityFeedback, "x@example.org", 1),
            (IdentityFeedback, "y@example.org", 2),
            (EventPublishing, "x@example.org", 2),
        ] {
            for first_at in [midnight - 20_000, midnight + 5_000] {
                let store = tempfile::tempdir().unwrap();
                let first = complaint(first_channel, first_at, recipient, "report-1");
                let second =
                    complaint(EventPublishing, midnight + 10_000, "x@example.org", "report-2");
                publish(store.path(), "first.parquet", &[first]);
                // stores the aggregate of the first day: later, only the second day is scanned
                history(&open(store.path(), UNLIMITED));
                publish(store.path(), "second.parquet", &[second]);
                let history = history(&open(store.path(), UNLIMITED));
                let account = history.by_grouping[0].values();
                let number: u64 = account.map(|one| one.of(Outcome::Complaint).number()).sum();
                assert_eq!(number, expected, "{first_channel:?} {recipient} {first_at}");
            }
        }
    }

    #[test]
    fn pairs_complaint_reports_and_copies_are_counted_once() {
        let store = tempfile::tempdir().unwrap();
        publish_messages(store.path(), CURRENT);
        let limits = RowLimits { batch: u64::MAX, ..RowLimits::of_rows(25) };
        let history = history(&open(store.path(), limits));
        let messages = u64::try_from(DAYS).unwrap() * MESSAGES;
        let account = history.by_grouping[0].values().next().unwrap();
        assert_eq!((account.first_send, account.first_delivery), (Some(START), Some(START + HOUR)));
        for (grouping, scopes) in history.by_grouping.iter().zip([1, 2]) {
            assert_eq!(grouping.len(), scopes);
            let number =
                |outcome| grouping.values().map(|one| one.of(outcome).number()).sum::<u64>();
            assert_eq!(number(Outcome::Send), messages);
            assert_eq!(number(Outcome::Delivery), 2 * messages);
            assert_eq!(number(Outcome::Hard), messages);
            assert_eq!(number(Outcome::Complaint), messages / 5 + messages / 10);
            let pairs = grouping.values().map(|one| one.delivered_or_bounced.number());
            assert_eq!(pairs.sum::<u64>(), 2 * messages);
        }
    }
}
