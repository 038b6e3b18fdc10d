//! Deliveries to given recipients, and counts of deliveries and bounces in given time slots.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasherDefault;
use std::ops::AddAssign;
use std::sync::{Arc, Mutex, PoisonError};

use bouncewatch_schemas::event::EventKind;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::day_of;
use polars::prelude::*;

use crate::error::AnalyzeError;
use crate::scan::domain_providers::domain_providers;
use crate::scan::event_rows::{EventRows, RowFields};
use crate::scan::expressions;
use crate::scan::frames::fold_batches;
use crate::scan::history_part::{HistoryPart, HistoryQuery};
use crate::scan::mail_events::recipient_hash;
use crate::scan::message_keys::IdentityHasher;
use crate::scan::parallel::parallel_map;
use crate::scan::store_scan::StoreScan;
use crate::scan::timelines::ExactHours;
use crate::timeline::times::Times;
use crate::timeline::{Basis, Dimension, Grouping, Outcome, Timeline};

/// Name of the computed column that marks deliveries.
const IS_DELIVERY: &str = "is_delivery";

/// Counts of one provider in one time slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SlotCounts {
    pub(crate) delivered: u64,
    /// Bounces of every type.
    pub(crate) bounced: u64,
}

impl AddAssign for SlotCounts {
    fn add_assign(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.bounced += other.bounced;
    }
}

/// Counts by provider and slot.
pub(crate) type OutcomeCounts = BTreeMap<(String, i64), SlotCounts>;

/// A row of a delivery to one of the given recipients.
#[derive(Debug, Clone, Copy)]
struct DeliveryFields {
    message: u64,
    key: u64,
    at: i64,
    /// Index of the recipient.
    recipient: usize,
}

impl RowFields for DeliveryFields {
    fn keys(&self) -> (u64, u64) {
        (self.message, self.key)
    }

    fn merge(&mut self, copy: Self) {
        self.at = self.at.min(copy.at);
        self.recipient = self.recipient.max(copy.recipient);
    }
}

impl StoreScan {
    /// Calls `each` with recipient, message key and time of every delivery to `recipients`, in
    /// arbitrary order. Deliveries of the day before `from` may be included.
    pub(crate) fn deliveries(
        &self,
        recipients: &[&str],
        from: i64,
        to: i64,
        mut each: impl FnMut(&str, u64, i64),
    ) -> Result<(), AnalyzeError> {
        let index: HashMap<u64, usize, BuildHasherDefault<IdentityHasher>> =
            (0..).zip(recipients).map(|(at, one)| (recipient_hash(one), at)).collect();
        let index = Arc::new(index);
        let read = |day| {
            let index = Arc::clone(&index);
            let rows = self.select(
                day,
                day,
                vec![
                    self.is_of_kind(EventKind::Delivery).alias(IS_DELIVERY),
                    col(table::RECIPIENT),
                    col(table::MESSAGE_KEY),
                    col(table::EVENT_KEY),
                    col(table::EVENT_AT).cast(DataType::Int64),
                ],
            )?;
            fold_batches(rows, EventRows::new(0), move |batch, found| {
                let is_delivery = batch.column(IS_DELIVERY)?.bool()?;
                let recipients = batch.column(table::RECIPIENT)?.str()?;
                let messages = batch.column(table::MESSAGE_KEY)?.i64()?;
                let keys = batch.column(table::EVENT_KEY)?.i64()?;
                let times = batch.column(table::EVENT_AT)?.i64()?;
                let rows = is_delivery.iter().zip(recipients.iter()).enumerate();
                let rows = rows.filter(|(_, (is_delivery, _))| *is_delivery == Some(true));
                let fields = rows.filter_map(|(row, (_, recipient))| {
                    Some(DeliveryFields {
                        recipient: *index.get(&recipient_hash(recipient?))?,
                        message: messages.get(row)?.cast_unsigned(),
                        key: keys.get(row)?.cast_unsigned(),
                        at: times.get(row)?,
                    })
                });
                found.extend(fields, |_, _| Vec::new());
                Ok(())
            })
        };
        let days = self.days(day_of(from).saturating_sub(1), day_of(to).saturating_add(1));
        let rows = Mutex::new(EventRows::new(0));
        let append = |day| {
            let of_day = read(day)?;
            rows.lock().unwrap_or_else(PoisonError::into_inner).append(&of_day, |_| true);
            Ok(())
        };
        parallel_map(days, append).into_iter().collect::<Result<(), AnalyzeError>>()?;
        rows.into_inner().unwrap_or_else(PoisonError::into_inner).for_each_event(|fields, _| {
            if fields.at <= to {
                each(recipients[fields.recipient], fields.message, fields.at);
            }
        });
        Ok(())
    }

    /// Returns the counts of deliveries and bounces up to `to`, by provider and slot. If the
    /// provider of a recipient domain is unknown, the domain takes its place.
    ///
    /// Slots have a length of `slot_ms` milliseconds and are numbered from the epoch.
    pub(crate) fn outcomes_by_slot(
        &self,
        slots: &BTreeSet<i64>,
        slot_ms: i64,
        to: i64,
    ) -> Result<OutcomeCounts, AnalyzeError> {
        let mut outcomes = OutcomeCounts::new();
        if slots.is_empty() {
            return Ok(outcomes);
        }
        let (scan, providers) = (self.with_own_domains(), domain_providers(self, to)?);
        let groupings = [Grouping(vec![Dimension::Column(table::RECIPIENT_DOMAIN)])];
        let query = HistoryQuery { groupings: &groupings, basis: Basis::Event, counted_from: None };
        let day = |slot: &i64| day_of(slot.saturating_mul(slot_ms));
        let slots: Vec<i64> = slots.iter().copied().collect();
        // load only the days of the slots
        for run in slots.chunk_by(|one, next| day(next) <= day(one) + 1) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            let end = |slot: i64| (slot + 1).saturating_mul(slot_ms).saturating_sub(1).min(to);
            let from = first.saturating_mul(slot_ms);
            let history = HistoryPart::new(&scan, query, from, end(*last))?
                .history(&ExactHours::counts_of(run.iter().map(day)))?;
            for (values, timeline) in history.by_grouping.iter().flatten() {
                let [Some(domain)] = values.as_slice() else { continue };
                let provider = providers.get(domain).unwrap_or(domain);
                for slot in run {
                    let counts = counts_in(timeline, slot.saturating_mul(slot_ms), end(*slot));
                    if counts != SlotCounts::default() {
                        *outcomes.entry((provider.clone(), *slot)).or_default() += counts;
                    }
                }
            }
        }
        Ok(outcomes)
    }

    /// Whether an event is of a kind and of the service of the scan.
    fn is_of_kind(&self, kind: EventKind) -> Expr {
        expressions::is_of_service(self.service).and(expressions::is_kind(kind))
    }
}

/// Returns the counts of deliveries and bounces from `start` to `end` (inclusive).
fn counts_in(timeline: &Timeline, start: i64, end: i64) -> SlotCounts {
    let number = |times: &Times| times.between(start - 1, end);
    let bounces = timeline.times.range(Outcome::BOUNCES);
    SlotCounts {
        delivered: number(timeline.of(Outcome::Delivery)),
        bounced: bounces.map(|(_, times)| number(times)).sum(),
    }
}

#[cfg(test)]
mod tests {
    use bouncewatch_schemas::event::Service;

    use super::*;
    use crate::scan::store_scan::RowLimits;
    use crate::scan::test_store::{TestRow, publish};

    /// 2026-11-19 10:00 UTC.
    const TIME: i64 = 1_795_082_400_000;
    const HOUR: i64 = 3_600_000;

    /// 2026-11-19 00:00 UTC: the earlier copies are in another day.
    const MIDNIGHT: i64 = TIME - 10 * HOUR;

    #[test]
    fn outcome_counts_in_the_slot_of_its_earliest_copy() {
        for time in [TIME, MIDNIGHT] {
            let store = tempfile::tempdir().unwrap();
            let row = |message, recipient, at| TestRow {
                message,
                at: time + at,
                recipient: Some(recipient),
                kind: Some("delivery"),
                ..TestRow::default()
            };
            let rows = [
                row(1, "anna@example.org", 1_000),
                row(1, "anna@example.org", -1_000),
                row(2, "bob@example.org", -1_000),
                row(3, "carl@example.com", 0),
                row(4, "carl@example.com", HOUR),
                TestRow { kind: Some("send"), ..row(5, "bob@example.org", 0) },
                TestRow { kind: Some("bounce"), ..row(6, "bob@example.org", -1_000) },
                TestRow { kind: Some("bounce"), ..row(6, "bob@example.org", -2_000) },
            ];
            for (number, row) in rows.into_iter().enumerate() {
                publish(store.path(), &format!("{number}.parquet"), &[row]);
            }
            let slot = time / HOUR;
            for shard in [1, 1_000] {
                let limits = RowLimits { shard, ..RowLimits::of_rows(1) };
                let scan = StoreScan::open(store.path(), Service::Ses, &[], limits).unwrap();
                for (slots, expected) in [
                    (vec![slot - 1], vec![("example.org", slot - 1, 2, 1)]),
                    (vec![slot], vec![("example.com", slot, 1, 0)]),
                    (
                        vec![slot - 1, slot, slot + 1],
                        vec![
                            ("example.com", slot, 1, 0),
                            ("example.com", slot + 1, 1, 0),
                            ("example.org", slot - 1, 2, 1),
                        ],
                    ),
                ] {
                    let slots = slots.into_iter().collect();
                    let found = scan.outcomes_by_slot(&slots, HOUR, i64::MAX / 2).unwrap();
                    let found: Vec<_> = found
                        .iter()
                        .map(|((domain, slot), counts)| {
                            (domain.as_str(), *slot, counts.delivered, counts.bounced)
                        })
                        .collect();
                    assert_eq!(found, expected, "{slots:?} {shard} {time}");
                }
            }
        }
    }

    #[test]
    fn delivery_at_the_end_counts_and_a_later_one_does_not() {
        let store = tempfile::tempdir().unwrap();
        let row = |message: u64| TestRow {
            message,
            at: TIME + message.cast_signed(),
            recipient: Some("anna@example.org"),
            kind: Some("delivery"),
            ..TestRow::default()
        };
        publish(store.path(), "a.parquet", &[row(1), row(2), row(3)]);
        let limits = RowLimits { shard: 1_000, long_list: 9, ..RowLimits::of_rows(1) };
        let scan = StoreScan::open(store.path(), Service::Ses, &[], limits).unwrap();
        let mut found = Vec::new();
        scan.deliveries(&["anna@example.org"], TIME, TIME + 2, |_, message, _| found.push(message))
            .unwrap();
        found.sort_unstable();
        assert_eq!(found, [1, 2]);
        let counts = scan.outcomes_by_slot(&[TIME / HOUR].into(), HOUR, TIME + 2).unwrap();
        assert_eq!(counts.values().map(|one| one.delivered).collect::<Vec<_>>(), [2]);
    }
}
