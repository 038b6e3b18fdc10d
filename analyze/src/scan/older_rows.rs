//! The older rows of late messages that the changes of ranges depend on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::error::AnalyzeError;
use crate::scan::day_range::DayRange;
use crate::scan::delta_builder::{ALL_PARTS, DeltaBuilder, RangeScan};
use crate::scan::event::ScannedEvent;
use crate::scan::event_rows::EventRows;
use crate::scan::frames::fold_batches;
use crate::scan::message_keys::{MessageKeys, rows_of_messages};
use crate::scan::parallel::parallel_map;
use crate::scan::read_rows::{IS_WANTED, append_rows, value_columns};
use crate::scan::store_scan::RowPart;
use crate::scan::string_interner::NO_TEXT;
use crate::timeline::Outcome;

/// Which older rows of late messages the changes of events need: failures, and the rows of the hour before a range. Only
/// bounces and complaints can be copies or reports of much older ones; the times of other copies differ by seconds.
#[derive(Debug)]
pub(super) struct OlderRows {
    /// Segments without failures with rows of the hour before a range, by day.
    pub(super) near: BTreeMap<i64, Vec<String>>,
    /// Whether a row can have a value that another row of its message lacks.
    pub(super) can_fill_gaps: bool,
}

impl DeltaBuilder<'_> {
    /// Returns the older rows of `messages`, the late messages of a batch of ranges: those that are needed, or all. Takes
    /// the rows that the scans kept, and reads the rows of other days.
    pub(super) fn older_rows(
        &self,
        ranges: &mut [(&DayRange, RangeScan)],
        messages: MessageKeys,
        needed: Option<&OlderRows>,
    ) -> Result<EventRows<ScannedEvent>, AnalyzeError> {
        let first = ranges.iter().map(|(_, scan)| scan.depends_from).min().unwrap_or_default();
        let last = ranges.iter().map(|(range, _)| range.first_day - 1).max().unwrap_or_default();
        let mut days = self.scan.days(first, last);
        let mut older = EventRows::new(self.names.len());
        for (range, scan) in ranges.iter_mut() {
            if let Some(kept) = scan.rows_for_newer.take() {
                older.append(&kept, |_| true);
                days.retain(|day| !(range.first_day..=range.last_day).contains(day));
            }
        }
        if messages.is_empty() {
            return Ok(older);
        }
        let messages = Arc::new(messages);
        let Some(needed) = needed else {
            self.append_older(&days, &ALL_PARTS, &messages, &mut older)?;
            return Ok(older);
        };
        self.append_older(&days, &[RowPart::WithFailures], &messages, &mut older)?;
        for (day, names) in needed.near.iter().filter(|(day, _)| days.contains(day)) {
            let near = [RowPart::OfSegmentsWithoutFailures(names)];
            self.append_older(&[*day].into(), &near, &messages, &mut older)?;
        }
        if needed.can_fill_gaps {
            let values = self.values_of_messages(&days, &messages)?;
            let late_rows = ranges.iter().map(|(_, scan)| &scan.late_rows);
            let with_gaps = self.messages_with_gaps(&values, late_rows.chain([&older]));
            older.append(&values, |_| true);
            if !with_gaps.is_empty() {
                let others = [RowPart::WithoutFailures];
                self.append_older(&days, &others, &Arc::new(with_gaps), &mut older)?;
            }
        }
        Ok(older)
    }

    /// Appends the rows of messages in parts of some days.
    fn append_older(
        &self,
        days: &BTreeSet<i64>,
        parts: &[RowPart<'_>],
        messages: &Arc<MessageKeys>,
        older: &mut EventRows<ScannedEvent>,
    ) -> Result<(), AnalyzeError> {
        let of_messages = |rows| rows_of_messages(rows, Arc::clone(messages));
        let days: Vec<i64> = days.iter().copied().collect();
        for run in days.chunk_by(|day, next| *next == day + 1) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            older.append(&self.read(*first..=*last, parts, of_messages, 0)?, |_| true);
        }
        Ok(())
    }

    /// Returns the values of messages in the rows of the segments without failures of some days, as events that do not
    /// count.
    fn values_of_messages(
        &self,
        days: &BTreeSet<i64>,
        messages: &Arc<MessageKeys>,
    ) -> Result<EventRows<ScannedEvent>, AnalyzeError> {
        let of_day = |day: i64| {
            let part = RowPart::WithoutFailures;
            let mut columns = value_columns(&self.names, day);
            columns.extend(self.text_columns(part));
            columns.push(self.is_wanted().alias(IS_WANTED));
            let rows = self.scan.rows_of(part, day, day, &columns)?;
            let rows = rows_of_messages(rows, Arc::clone(messages)).select(columns);
            let (service, names) = (self.scan.service, self.names.clone());
            fold_batches(rows, EventRows::new(names.len()), move |batch, target| {
                append_rows(batch, &names, service, target, |event| ScannedEvent {
                    outcome: Outcome::Other,
                    ..event
                })
            })
        };
        let mut all = EventRows::new(self.names.len());
        for values in parallel_map(days.iter().copied(), of_day) {
            all.append(&values?, |_| true);
        }
        Ok(all)
    }

    /// Returns the messages of which a row of `values` lacks a value that another row has: it belongs to another scope.
    fn messages_with_gaps<'r>(
        &self,
        values: &'r EventRows<ScannedEvent>,
        others: impl Iterator<Item = &'r EventRows<ScannedEvent>>,
    ) -> MessageKeys {
        let mut all = EventRows::new(self.names.len());
        others.chain([values]).for_each(|rows| all.append(rows, |_| true));
        let known = self.message_values(&all);
        let has_gap = |(event, ids): &(&ScannedEvent, &[u32])| {
            let known = known.get(&event.message);
            known.is_some_and(|known| {
                ids.iter().zip(known).any(|(own, known)| *own == NO_TEXT && *known != NO_TEXT)
            })
        };
        values.rows().filter(has_gap).map(|(event, _)| event.message).collect()
    }
}
