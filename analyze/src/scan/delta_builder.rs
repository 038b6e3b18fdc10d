//! Computes the changes that the rows of a range of days make to timelines.
//!
//! The changes of a range are the difference of two counts: that of the range's messages over all
//! rows up to the end of the range, and that of the same messages over the rows before the range.
//! Copies of an event, (message, recipient) pairs, complaint reports and missing values are all
//! resolved within one message, so the changes of consecutive ranges add up to the count of all
//! rows.
//!
//! Rows are processed in shards by message, so memory does not grow with the size of a day.

use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasherDefault;
use std::ops::RangeInclusive;

use bouncewatch_schemas::table;
use bouncewatch_schemas::time::{DAY_MS, day_of};
use polars::prelude::*;

use crate::error::AnalyzeError;
use crate::scan::daily::{Measure, Sign, TimelineDelta};
use crate::scan::day_range::DayRange;
use crate::scan::event::{CLOCK_SLACK_MS, ScannedEvent};
use crate::scan::event_rows::EventRows;
use crate::scan::expressions;
use crate::scan::frames::{collect_streaming, concat_rows, fold_batches};
use crate::scan::late_messages::LateScan;
use crate::scan::message_keys::{IdentityHasher, MessageKeys};
use crate::scan::presence::Presence;
use crate::scan::read_rows::{IS_WANTED, append_rows, event_columns, shard_of};
use crate::scan::scope_ids::ScopeIds;
use crate::scan::store_scan::{RowPart, StoreScan};
use crate::scan::string_interner::{NO_TEXT, StringInterner};
use crate::scan::time_collector::TimeCollector;
use crate::timeline::{Basis, Dimension, EXCLUSION_REASON, Grouping, NO_FEEDBACK};

/// Computes the changes that rows make to the timelines of some groupings.
pub(super) struct DeltaBuilder<'a> {
    pub(super) scan: &'a StoreScan,
    measure: Measure,
    basis: Basis,
    groupings: &'a [Grouping],
    /// Events after this time are not counted, even if their send time is earlier.
    to: i64,
    /// Dimensions of all groupings.
    dimensions: Vec<Dimension>,
    /// Names of the texts of a row: the dimensions, then further columns that are needed.
    pub(super) names: Vec<String>,
    /// Whether complaints from identity feedback can occur. If so, recipients are read, to match
    /// these complaints with published ones.
    has_identity_feedback: bool,
}

/// The parts that together have all rows. The columns of a complaint report are not read for other events.
pub(super) const ALL_PARTS: [RowPart<'static>; 2] =
    [RowPart::WithFailures, RowPart::WithoutFailures];

/// IDs of the known texts of each message, by message key.
type MessageValues = HashMap<u64, Vec<u32>, BuildHasherDefault<IdentityHasher>>;

/// Result of scanning one range. The changes of messages that were sent before the range are still
/// missing, because they depend on older rows.
pub(super) struct RangeScan {
    /// Changes by grouping of the range.
    deltas: Vec<TimelineDelta>,
    /// Rows of messages that were sent before the range.
    pub(super) late_rows: EventRows<ScannedEvent>,
    /// Keys of these messages.
    late_messages: MessageKeys,
    /// Rows of messages that are late in newer ranges of the batch; `None` if the range has too
    /// many rows to keep them.
    pub(super) rows_for_newer: Option<EventRows<ScannedEvent>>,
    /// First day with rows on which the changes depend.
    pub(super) depends_from: i64,
}

impl RangeScan {
    /// Returns the presence of the dimensions of a message in the rows of the range, by grouping of the range.
    pub(super) fn presences(&self) -> impl Iterator<Item = &[Presence]> {
        self.deltas.iter().map(|delta| delta.presences.as_slice())
    }
}

impl<'a> DeltaBuilder<'a> {
    /// Returns a builder for a measure and groupings.
    pub(super) fn new(
        scan: &'a StoreScan,
        measure: Measure,
        basis: Basis,
        groupings: &'a [Grouping],
        to: i64,
        has_identity_feedback: bool,
    ) -> Self {
        let dimensions: BTreeSet<Dimension> =
            groupings.iter().flat_map(|grouping| grouping.0.iter().cloned()).collect();
        let mut names: Vec<String> = dimensions.iter().map(Dimension::name).collect();
        let has_provider = dimensions.contains(&Dimension::Column(table::PROVIDER));
        let further = [
            // mail without a known provider uses the provider of its domain
            (table::RECIPIENT_DOMAIN, has_provider),
            // part of a (message, recipient) pair
            (table::RECIPIENT, measure == Measure::Pairs),
            // identifies a complaint report
            (table::FEEDBACK_ID, measure == Measure::Events),
        ];
        for (name, is_needed) in further {
            if is_needed && !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        let dimensions = dimensions.into_iter().collect();
        Self { scan, measure, basis, groupings, to, dimensions, names, has_identity_feedback }
    }

    /// Returns what is counted.
    pub(super) fn measure(&self) -> Measure {
        self.measure
    }

    /// Scans the rows of a range.
    pub(super) fn scan_range(
        &self,
        range: &DayRange,
        late: &LateScan<'_>,
    ) -> Result<RangeScan, AnalyzeError> {
        let start = range.start().saturating_add(CLOCK_SLACK_MS);
        let mut result = RangeScan {
            deltas: range.groupings.iter().map(|_| TimelineDelta::default()).collect(),
            late_rows: EventRows::new(self.names.len()),
            late_messages: MessageKeys::default(),
            rows_for_newer: None,
            depends_from: range.first_day,
        };
        let mut presences = vec![Presence::default(); self.dimensions.len()];
        let shards = range.rows.div_ceil(self.scan.limits.shard).max(1);
        for shard in 0..shards {
            let of_shard = |rows| shard_of(rows, shard, shards);
            let rows = self.read(
                range.first_day..=range.last_day,
                &ALL_PARTS,
                of_shard,
                range.rows / shards,
            )?;
            let service = self.scan.service;
            let sent =
                rows.rows().map(|(event, _)| (event.message, event.earliest_send_time(service)));
            for (message, sent_at) in sent.filter(|(_, sent_at)| *sent_at < start) {
                result.late_messages.insert(message);
                // one more day: the clocks of a message's events differ, possibly across midnight
                result.depends_from = result.depends_from.min(day_of(sent_at).saturating_sub(1));
            }
            if shard + 1 == shards {
                late.announce(&result.late_messages);
            }
            if shards == 1 {
                let newer = late.wait_for_newer();
                let mut kept = EventRows::new(self.names.len());
                kept.append(&rows, |event| newer.contains(&event.message));
                result.rows_for_newer = Some(kept);
            }
            for (_, ids) in rows.rows() {
                presences.iter_mut().zip(ids).for_each(|(presence, id)| presence.add(*id));
            }
            let is_late = |event: &ScannedEvent| result.late_messages.contains(&event.message);
            self.add(&rows, |event| !is_late(event), range, &mut result.deltas, Sign::Plus);
            result.late_rows.append(&rows, is_late);
        }
        for (grouping, delta) in range.groupings.iter().zip(&mut result.deltas) {
            let dimensions = &self.groupings[*grouping].0;
            let of_message = self.dimensions.iter().zip(&presences).filter(|(dimension, _)| {
                dimension.is_of_message() && dimensions.contains(dimension)
            });
            delta.presences = of_message.map(|(_, presence)| *presence).collect();
        }
        Ok(result)
    }

    /// Returns the changes of a range, by its groupings.
    pub(super) fn finish(
        &self,
        range: &DayRange,
        scan: RangeScan,
        older_rows: &EventRows<ScannedEvent>,
    ) -> Vec<TimelineDelta> {
        let RangeScan { mut deltas, late_rows, late_messages, depends_from, .. } = scan;
        let days = depends_from.saturating_mul(DAY_MS)..range.start();
        let is_before = |event: &ScannedEvent| {
            days.contains(&event.at) && late_messages.contains(&event.message)
        };
        let mut before = EventRows::new(self.names.len());
        before.append(older_rows, is_before);
        let mut all = late_rows;
        all.append(&before, |_| true);
        self.add(&before, |_| true, range, &mut deltas, Sign::Minus);
        self.add(&all, |_| true, range, &mut deltas, Sign::Plus);
        deltas
    }

    /// Reads the rows of parts of `days` that `filter` selects; `expected` is an estimate of their number.
    pub(super) fn read(
        &self,
        days: RangeInclusive<i64>,
        parts: &[RowPart<'_>],
        filter: impl Fn(LazyFrame) -> LazyFrame,
        expected: u64,
    ) -> Result<EventRows<ScannedEvent>, AnalyzeError> {
        let (first, last) = (*days.start(), *days.end());
        let part = |part: &RowPart<'_>| {
            let part = *part;
            let columns = self.columns(part);
            Ok(filter(self.scan.rows_of(part, first, last, &columns)?).select(columns))
        };
        let rows = concat_rows(parts.iter().map(part).collect::<Result<_, AnalyzeError>>()?)?;
        let (service, names) = (self.scan.service, self.names.clone());
        let expected = usize::try_from(expected).unwrap_or_default();
        let target = EventRows::with_capacity(names.len(), expected);
        fold_batches(rows, target, move |batch, target| {
            append_rows(batch, &names, service, target, |event| event)
        })
    }

    /// Returns the columns of a row of a part.
    fn columns(&self, part: RowPart<'_>) -> Vec<Expr> {
        let mut columns = event_columns(&self.names, part.has_failures());
        columns.extend(self.text_columns(part));
        let is_wanted = self.is_wanted().and(col(table::EVENT_AT).is_not_null());
        columns.push(is_wanted.alias(IS_WANTED));
        columns
    }

    pub(super) fn is_wanted(&self) -> Expr {
        let is_of_service = expressions::is_of_service(self.scan.service);
        // a grouping by exclusion reason includes the excluded mail
        if self.dimensions.contains(&Dimension::Column(EXCLUSION_REASON)) {
            is_of_service
        } else {
            is_of_service.and(expressions::is_counted_mail(&self.scan.own_domains))
        }
    }

    /// Returns the columns with the texts of a row of a part.
    pub(super) fn text_columns(&self, part: RowPart<'_>) -> Vec<Expr> {
        let text = |(at, name): (usize, &String)| match self.dimensions.get(at) {
            Some(Dimension::Column(EXCLUSION_REASON)) => {
                expressions::exclusion_reason(&self.scan.own_domains).alias(EXCLUSION_REASON)
            }
            Some(Dimension::Column(NO_FEEDBACK)) => expressions::no_feedback().alias(NO_FEEDBACK),
            Some(dimension) => expressions::dimension_value(dimension),
            None if name == table::FEEDBACK_ID && part.has_failures() => {
                expressions::complaint_report(self.has_identity_feedback)
            }
            None if name == table::FEEDBACK_ID => expressions::no_value(name, DataType::String),
            None => col(name),
        };
        self.names.iter().enumerate().map(text).collect()
    }

    /// Adds the events in `rows` for which `is_wanted` is true to the deltas of a range. Groupings by exclusion reason
    /// include excluded mail, all others do not.
    fn add(
        &self,
        rows: &EventRows<ScannedEvent>,
        is_wanted: impl Fn(&ScannedEvent) -> bool,
        range: &DayRange,
        deltas: &mut [TimelineDelta],
        sign: Sign,
    ) {
        let reason = Dimension::Column(EXCLUSION_REASON);
        let has_reason = |grouping: &Grouping| grouping.0.contains(&reason);
        let of_range = range.groupings.iter().map(|grouping| &self.groupings[*grouping]);
        let (all, counted): (Vec<_>, Vec<_>) =
            of_range.zip(deltas).partition(|(grouping, _)| has_reason(grouping));
        match self.dimensions.iter().position(|dimension| *dimension == reason) {
            // the rows contain counted mail only
            None => self.add_to(rows, is_wanted, counted, sign),
            Some(at) => {
                if !counted.is_empty() {
                    let mut counted_rows = EventRows::new(self.names.len());
                    counted_rows.append_rows(rows, |_, ids| ids[at] == NO_TEXT);
                    self.add_to(&counted_rows, &is_wanted, counted, sign);
                }
                self.add_to(rows, is_wanted, all, sign);
            }
        }
    }

    /// Adds the events in `rows` for which `is_wanted` is true to the deltas of groupings.
    fn add_to<'g>(
        &'g self,
        rows: &EventRows<ScannedEvent>,
        is_wanted: impl Fn(&ScannedEvent) -> bool,
        groupings: Vec<(&'g Grouping, &mut TimelineDelta)>,
        sign: Sign,
    ) {
        if groupings.is_empty() {
            return;
        }
        let message_values = self.message_values(rows);
        let collector = |(grouping, _): &(&'g Grouping, &mut TimelineDelta)| {
            let service = self.scan.service;
            TimeCollector::new(grouping, &self.names, self.measure, self.basis, service)
        };
        let mut collectors: Vec<TimeCollector<'_>> = groupings.iter().map(collector).collect();
        let mut filled = Vec::new();
        rows.for_each_event(|event, ids| {
            if event.at > self.to || !is_wanted(&event) {
                return;
            }
            let mut ids = ids;
            if let Some(known) = message_values.get(&event.message) {
                filled.clear();
                let own_or_known =
                    |(own, known): (&u32, &u32)| if *own == NO_TEXT { *known } else { *own };
                filled.extend(ids.iter().zip(known).map(own_or_known));
                ids = &filled;
            }
            for collector in &mut collectors {
                collector.add(event, ids, rows.texts());
            }
        });
        for (collector, (_, delta)) in collectors.into_iter().zip(groupings) {
            collector.finish(delta, sign);
        }
    }

    /// Returns, for messages with events that lack a value, the values of their other events.
    pub(super) fn message_values(&self, rows: &EventRows<ScannedEvent>) -> MessageValues {
        let shared: Vec<usize> =
            (0..self.dimensions.len()).filter(|at| self.dimensions[*at].is_of_message()).collect();
        let lacks_value = |ids: &[u32]| shared.iter().any(|at| ids[*at] == NO_TEXT);
        let messages: MessageKeys = rows
            .rows()
            .filter(|(_, ids)| lacks_value(ids))
            .map(|(event, _)| event.message)
            .collect();
        let mut values = MessageValues::default();
        if messages.is_empty() {
            return values;
        }
        for (event, ids) in rows.rows().filter(|(event, _)| messages.contains(&event.message)) {
            for at in shared.iter().filter(|at| ids[**at] != NO_TEXT) {
                let of_message =
                    values.entry(event.message).or_insert_with(|| vec![NO_TEXT; ids.len()]);
                of_message[*at] = rows.texts().max(of_message[*at], ids[*at]);
            }
        }
        values
    }

    /// Returns the scopes of the rows of a day, by grouping. Ignores values from rows of other
    /// days.
    pub(super) fn scopes_of_day(&self, day: i64) -> Result<Vec<TimelineDelta>, AnalyzeError> {
        let is_counted = expressions::is_counted_kind().and(self.is_wanted());
        let columns = self.text_columns(RowPart::All);
        let uses = columns.iter().chain([&is_counted]);
        let rows = self.scan.rows(day, day, uses)?.filter(is_counted);
        let names: Vec<Expr> = self.names.iter().map(col).collect();
        let distinct = rows.select(columns).group_by(names).agg([len()]);
        let distinct = collect_streaming(distinct)?;
        let mut columns = Vec::with_capacity(self.names.len());
        for name in &self.names {
            columns.push(distinct.column(name)?.str()?);
        }
        let mut deltas = Vec::with_capacity(self.groupings.len());
        for grouping in self.groupings {
            let mut scopes = ScopeIds::new(grouping, &self.names);
            let mut texts = StringInterner::default();
            for row in 0..distinct.height() {
                let ids: Vec<u32> =
                    columns.iter().map(|column| texts.intern(column.get(row))).collect();
                scopes.scopes_of_row(&ids, &texts);
            }
            let mut delta = TimelineDelta::default();
            for values in scopes.values {
                delta.scopes.entry(values).or_default();
            }
            deltas.push(delta);
        }
        Ok(deltas)
    }
}
