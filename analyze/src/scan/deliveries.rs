//! Deliveries to some recipients, and numbers of deliveries and bounces in some time slots.

use std::collections::{BTreeMap, BTreeSet};

use bouncewatch_schemas::event::EventKind;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::day_of;
use polars::prelude::*;

use crate::error::AnalyzeError;
use crate::scan::domain_providers::domain_providers;
use crate::scan::expressions;
use crate::scan::frames::{collect_streaming, concat_rows, count_rows};
use crate::scan::read_rows::shard_of;
use crate::scan::store_scan::StoreScan;

/// Names of computed columns.
const SLOT: &str = "slot";
const COUNT: &str = "count";
const BOUNCES: &str = "bounces";

/// Numbers of events of a provider in a slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SlotCounts {
    pub(crate) delivered: u64,
    /// Bounces of every type.
    pub(crate) bounced: u64,
}

/// Numbers of events by provider and slot.
pub(crate) type OutcomeCounts = BTreeMap<(String, i64), SlotCounts>;

impl StoreScan {
    /// Calls `each` with recipient, message key and time of every delivery to some recipients, in arbitrary order.
    pub(crate) fn deliveries(
        &self,
        recipients: Vec<&str>,
        from: i64,
        to: i64,
        mut each: impl FnMut(&str, u64, i64),
    ) -> Result<(), AnalyzeError> {
        let wanted = DataFrame::new(
            recipients.len(),
            vec![Column::new(table::RECIPIENT.into(), recipients)],
        )?;
        let key = || [col(table::RECIPIENT)];
        let time = || col(table::EVENT_AT);
        let delivered = self
            .rows(day_of(from).saturating_sub(1), day_of(to).saturating_add(1))?
            .filter(expressions::is_of(self.service).and(expressions::is_kind(EventKind::Delivery)))
            .select([
                col(table::MESSAGE_KEY),
                col(table::EVENT_KEY),
                col(table::RECIPIENT),
                time().cast(DataType::Int64),
            ])
            .join(wanted.lazy(), key(), key(), JoinArgs::new(JoinType::Semi))
            .group_by([col(table::MESSAGE_KEY), col(table::EVENT_KEY)])
            .agg([col(table::RECIPIENT).max(), time().min()])
            .filter(time().lt_eq(lit(to)));
        let delivered = collect_streaming(delivered)?;
        let recipients = delivered.column(table::RECIPIENT)?.str()?;
        let messages = delivered.column(table::MESSAGE_KEY)?.i64()?;
        let times = delivered.column(table::EVENT_AT)?.i64()?;
        for row in 0..delivered.height() {
            if let (Some(recipient), Some(message), Some(at)) =
                (recipients.get(row), messages.get(row), times.get(row))
            {
                each(recipient, message.cast_unsigned(), at);
            }
        }
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
        // the earliest copy of an event can be in the slot before
        let read: BTreeSet<i64> = slots.iter().flat_map(|slot| [slot - 1, *slot]).collect();
        let days: BTreeSet<i64> = read.iter().map(|slot| day_of(slot * slot_ms)).collect();
        let days: Vec<i64> = days.into_iter().collect();
        for range in days.chunk_by(|day, next| next - day == 1) {
            let (Some(first), Some(last)) = (range.first(), range.last()) else { continue };
            let of_version = |rows: LazyFrame| {
                let is_bounce = || expressions::is_kind(EventKind::Bounce);
                let is_outcome = expressions::is_kind(EventKind::Delivery).or(is_bounce());
                let rows = rows
                    .filter(expressions::is_of(self.service).and(is_outcome))
                    .with_column(is_bounce().alias(BOUNCES));
                in_slots(rows, &read, slot_ms)
            };
            let parts = || -> Result<Vec<LazyFrame>, AnalyzeError> {
                self.rows_by_version(*first, *last)?.into_iter().map(of_version).collect()
            };
            let shards = count_rows(parts()?)?.div_ceil(self.limits.shard).max(1);
            for shard in 0..shards {
                let events = shard_of(concat_rows(parts()?)?, shard, shards)
                    .group_by([col(table::MESSAGE_KEY), col(table::EVENT_KEY)])
                    .agg([
                        col(table::RECIPIENT_DOMAIN).max(),
                        col(table::EVENT_AT).cast(DataType::Int64).min(),
                        col(BOUNCES).max(),
                    ])
                    .filter(col(table::EVENT_AT).lt_eq(lit(to)));
                let counts = in_slots(events, slots, slot_ms)?
                    .group_by([col(table::RECIPIENT_DOMAIN), col(SLOT)])
                    .agg([
                        len().cast(DataType::Int64).alias(COUNT),
                        col(BOUNCES).cast(DataType::Int64).sum(),
                    ]);
                let counts = collect_streaming(counts)?;
                let domains = counts.column(table::RECIPIENT_DOMAIN)?.str()?;
                let numbers = |name| -> Result<_, AnalyzeError> { Ok(counts.column(name)?.i64()?) };
                let (slots, all, bounced) = (numbers(SLOT)?, numbers(COUNT)?, numbers(BOUNCES)?);
                for row in 0..counts.height() {
                    if let (Some(domain), Some(slot), Some(all), Some(bounced)) =
                        (domains.get(row), slots.get(row), all.get(row), bounced.get(row))
                    {
                        let provider = providers.get(domain).map_or(domain, String::as_str);
                        let bounced = bounced.cast_unsigned();
                        let of_slot = outcomes.entry((provider.to_owned(), slot / slot_ms));
                        let counts = of_slot.or_default();
                        counts.bounced += bounced;
                        counts.delivered += all.cast_unsigned() - bounced;
                    }
                }
            }
        }
        Ok(outcomes)
    }
}

/// Returns the rows in some slots, with the start of their slot.
fn in_slots(
    rows: LazyFrame,
    slots: &BTreeSet<i64>,
    slot_ms: i64,
) -> Result<LazyFrame, AnalyzeError> {
    let wanted: Vec<i64> = slots.iter().map(|slot| slot * slot_ms).collect();
    let wanted = DataFrame::new(wanted.len(), vec![Column::new(SLOT.into(), wanted)])?.lazy();
    let time = || col(table::EVENT_AT).cast(DataType::Int64);
    let slot = (time() - time() % lit(slot_ms)).alias(SLOT);
    Ok(rows.with_column(slot).join(wanted, [col(SLOT)], [col(SLOT)], JoinArgs::new(JoinType::Semi)))
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

    #[test]
    fn outcome_counts_in_the_slot_of_its_earliest_copy() {
        let store = tempfile::tempdir().unwrap();
        let row = |message, recipient, at| TestRow {
            message,
            at,
            recipient: Some(recipient),
            kind: Some("delivery"),
            ..TestRow::default()
        };
        publish(store.path(), "a.parquet", &[row(1, "anna@example.org", TIME + 1_000)]);
        publish(
            store.path(),
            "b.parquet",
            &[
                row(1, "anna@example.org", TIME - 1_000),
                row(2, "bob@example.org", TIME - 1_000),
                row(3, "carl@example.com", TIME),
                row(4, "carl@example.com", TIME + HOUR),
                TestRow { kind: Some("send"), ..row(5, "bob@example.org", TIME) },
                TestRow { kind: Some("bounce"), ..row(6, "bob@example.org", TIME - 1_000) },
                TestRow { kind: Some("bounce"), ..row(6, "bob@example.org", TIME - 2_000) },
            ],
        );
        let slot = TIME / HOUR;
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
                assert_eq!(found, expected, "{slots:?} {shard}");
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
        let recipients = vec!["anna@example.org"];
        scan.deliveries(recipients, TIME, TIME + 2, |_, message, _| found.push(message)).unwrap();
        found.sort_unstable();
        assert_eq!(found, [1, 2]);
        let counts = scan.outcomes_by_slot(&[TIME / HOUR].into(), HOUR, TIME + 2).unwrap();
        assert_eq!(counts.values().map(|one| one.delivered).collect::<Vec<_>>(), [2]);
    }
}
