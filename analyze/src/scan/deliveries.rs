//! Deliveries to some recipients, and numbers of deliveries and bounces in some time slots. Days are read in parallel.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::BuildHasherDefault;
use std::ops::AddAssign;
use std::sync::Arc;

use bouncewatch_schemas::event::EventKind;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::{DAY_MS, day_of};
use polars::prelude::*;

use crate::error::AnalyzeError;
use crate::scan::domain_providers::{DomainProviders, domain_providers};
use crate::scan::event::CLOCK_SLACK_MS;
use crate::scan::event_rows::{EventRows, RowFields};
use crate::scan::expressions;
use crate::scan::frames::fold_batches;
use crate::scan::mail_events::recipient_hash;
use crate::scan::message_keys::IdentityHasher;
use crate::scan::parallel::parallel_map;
use crate::scan::store_scan::StoreScan;

/// Names of computed columns.
const IS_DELIVERY: &str = "is_delivery";
const IS_BOUNCE: &str = "is_bounce";

/// Numbers of events of a provider in a slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SlotCounts {
    pub(crate) delivered: u64,
    /// Bounces of every type.
    pub(crate) bounced: u64,
}

impl SlotCounts {
    fn add(&mut self, is_bounce: bool) {
        self.bounced += u64::from(is_bounce);
        self.delivered += u64::from(!is_bounce);
    }
}

impl AddAssign for SlotCounts {
    fn add_assign(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.bounced += other.bounced;
    }
}

/// Numbers of events by provider and slot.
pub(crate) type OutcomeCounts = BTreeMap<(String, i64), SlotCounts>;

/// A row of a delivery to a wanted recipient.
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

/// Time slots.
#[derive(Debug)]
struct Slots {
    slot_ms: i64,
    /// Slots of the query.
    wanted: BTreeSet<i64>,
    /// Slots that are read: the earliest copy of an event can be in the slot before.
    read: HashSet<i64>,
    /// Last time of the query.
    to: i64,
}

impl Slots {
    fn of(&self, at: i64) -> i64 {
        at.div_euclid(self.slot_ms)
    }

    fn is_wanted(&self, at: i64) -> bool {
        at <= self.to && self.wanted.contains(&self.of(at))
    }
}

/// A row of a delivery or bounce; its text is the recipient domain.
#[derive(Debug, Clone, Copy)]
struct OutcomeFields {
    message: u64,
    key: u64,
    at: i64,
    is_bounce: bool,
}

impl RowFields for OutcomeFields {
    fn keys(&self) -> (u64, u64) {
        (self.message, self.key)
    }

    fn merge(&mut self, copy: Self) {
        self.at = self.at.min(copy.at);
        self.is_bounce |= copy.is_bounce;
    }
}

/// An event near the start of a day.
#[derive(Debug)]
struct EarlyOutcome {
    /// Message key and event key.
    keys: (u64, u64),
    provider_and_slot: (String, i64),
    is_bounce: bool,
}

/// Deliveries and bounces of a day. Those near midnight can have copies on the other day.
#[derive(Debug, Default)]
struct DayOutcomes {
    day: i64,
    counts: OutcomeCounts,
    /// Events near its start, which are not in the counts.
    first: Vec<EarlyOutcome>,
    /// Events near its end.
    last: HashSet<(u64, u64)>,
}

impl StoreScan {
    /// Calls `each` with recipient, message key and time of every delivery to some recipients, in arbitrary order.
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
            let rows = self.rows(day, day)?.select([
                self.is_of_kind(EventKind::Delivery).alias(IS_DELIVERY),
                col(table::RECIPIENT),
                col(table::MESSAGE_KEY),
                col(table::EVENT_KEY),
                col(table::EVENT_AT).cast(DataType::Int64),
            ]);
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
                found.extend(fields, std::iter::empty::<std::iter::Empty<_>>());
                Ok(())
            })
        };
        let days = self.days(day_of(from).saturating_sub(1), day_of(to).saturating_add(1));
        let mut rows = EventRows::new(0);
        for of_day in parallel_map(days, read) {
            rows.append(&of_day?, |_| true);
        }
        rows.for_each_event(|fields, _| {
            if fields.at <= to {
                each(recipients[fields.recipient], fields.message, fields.at);
            }
        });
        Ok(())
    }

    /// Returns the numbers of the deliveries and bounces in some slots of `slot_ms` milliseconds since 1970, by provider
    /// and slot; the provider is the recipient domain if it is unknown.
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
        let providers = domain_providers(self, to)?;
        let read = slots.iter().flat_map(|slot| [slot - 1, *slot]).collect();
        let slots = Arc::new(Slots { slot_ms, wanted: slots.clone(), read, to });
        let days: BTreeSet<i64> = slots.read.iter().map(|slot| day_of(slot * slot_ms)).collect();
        let mut previous = DayOutcomes { day: i64::MIN, ..DayOutcomes::default() };
        for of_day in parallel_map(days, |day| self.outcomes_of_day(day, &slots, &providers)) {
            let mut of_day = of_day?;
            for one in of_day.first.drain(..) {
                if of_day.day != previous.day + 1 || !previous.last.contains(&one.keys) {
                    outcomes.entry(one.provider_and_slot).or_default().add(one.is_bounce);
                }
            }
            for (provider_and_slot, counts) in std::mem::take(&mut of_day.counts) {
                *outcomes.entry(provider_and_slot).or_default() += counts;
            }
            previous = of_day;
        }
        Ok(outcomes)
    }

    fn outcomes_of_day(
        &self,
        day: i64,
        slots: &Arc<Slots>,
        providers: &DomainProviders,
    ) -> Result<DayOutcomes, AnalyzeError> {
        let mut found = DayOutcomes { day, ..DayOutcomes::default() };
        let (start, end) = (day.saturating_mul(DAY_MS), (day + 1).saturating_mul(DAY_MS));
        let shards = self.stored_rows(day, day)?.div_ceil(self.limits.shard).max(1);
        for shard in 0..shards {
            let rows = self.outcome_rows(day, slots, (shard, shards))?;
            // by ID of the domain, and slot
            let mut counts: BTreeMap<(u32, i64), SlotCounts> = BTreeMap::new();
            let provider = |id| {
                let domain = rows.text(id)?;
                Some(providers.get(domain).map_or(domain, String::as_str).to_owned())
            };
            rows.for_each_event(|fields, ids| {
                if fields.at >= end - CLOCK_SLACK_MS {
                    found.last.insert(fields.keys());
                }
                if !slots.is_wanted(fields.at) {
                    return;
                }
                let slot = slots.of(fields.at);
                if fields.at >= start + CLOCK_SLACK_MS {
                    counts.entry((ids[0], slot)).or_default().add(fields.is_bounce);
                } else if let Some(provider) = provider(ids[0]) {
                    let provider_and_slot = (provider, slot);
                    let (keys, is_bounce) = (fields.keys(), fields.is_bounce);
                    found.first.push(EarlyOutcome { keys, provider_and_slot, is_bounce });
                }
            });
            for ((id, slot), counts) in counts {
                if let Some(provider) = provider(id) {
                    *found.counts.entry((provider, slot)).or_default() += counts;
                }
            }
        }
        Ok(found)
    }

    /// Returns one of `shards` shards of the rows of a day, in the slots that are read.
    fn outcome_rows(
        &self,
        day: i64,
        slots: &Arc<Slots>,
        (shard, shards): (u64, u64),
    ) -> Result<EventRows<OutcomeFields>, AnalyzeError> {
        let slots = Arc::clone(slots);
        let rows = self.rows(day, day)?.select([
            self.is_of_kind(EventKind::Delivery).alias(IS_DELIVERY),
            self.is_of_kind(EventKind::Bounce).alias(IS_BOUNCE),
            col(table::RECIPIENT_DOMAIN),
            col(table::MESSAGE_KEY),
            col(table::EVENT_KEY),
            col(table::EVENT_AT).cast(DataType::Int64),
        ]);
        fold_batches(rows, EventRows::new(1), move |batch, target| {
            let is_delivery = batch.column(IS_DELIVERY)?.bool()?.iter();
            let is_bounce = batch.column(IS_BOUNCE)?.bool()?.iter();
            let messages = batch.column(table::MESSAGE_KEY)?.i64()?.iter();
            let keys = batch.column(table::EVENT_KEY)?.i64()?.iter();
            let times = batch.column(table::EVENT_AT)?.i64()?.iter();
            let domains = batch.column(table::RECIPIENT_DOMAIN)?.str()?.iter();
            let rows = is_delivery.zip(is_bounce).zip(messages.zip(keys).zip(times)).zip(domains);
            let wanted =
                rows.filter_map(|(((is_delivery, is_bounce), ((message, key), at)), domain)| {
                    let (message, key) = (message?.cast_unsigned(), key?.cast_unsigned());
                    let (at, is_bounce) = (at?, is_bounce == Some(true));
                    let is_wanted = (is_bounce || is_delivery == Some(true))
                        && message % shards == shard
                        && slots.read.contains(&slots.of(at));
                    is_wanted.then_some((OutcomeFields { message, key, at, is_bounce }, domain))
                });
            let (fields, domains): (Vec<OutcomeFields>, Vec<Option<&str>>) = wanted.unzip();
            target.extend(fields.into_iter(), std::iter::once(domains.into_iter()));
            Ok(())
        })
    }

    /// Whether an event is of a kind and of the service.
    fn is_of_kind(&self, kind: EventKind) -> Expr {
        expressions::is_of(self.service).and(expressions::is_kind(kind))
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
                let limits = RowLimits { shard, failure_shard: 1, batch: 1 };
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
        let limits = RowLimits { shard: 1_000, failure_shard: 1, batch: 1 };
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
