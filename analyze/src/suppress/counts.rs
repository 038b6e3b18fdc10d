//! Counts of addresses to suppress. No address is part of the result.

use std::collections::BTreeMap;

use bouncewatch_schemas::time::{DAY_MS, format_ms};
use serde::Serialize;

use crate::suppress::model::OmittedCounts;
use crate::suppress::report_builder::SuppressionBuilder;

/// Number of days for which an address counts as new.
const NEW_DAYS: i64 = 7;

/// Number of addresses to suppress, by reason and cause.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the JSON, see docs/src/page.md")]
pub struct SuppressionCounts {
    pub as_of: String,
    pub soft_count: usize,
    pub soft_days: i64,
    pub addresses: u64,
    /// Addresses with the first evidence in the last 7 days.
    pub new: u64,
    /// Addresses of provider incidents, to mail again later; they are not part of `addresses`.
    pub on_hold: usize,
    pub reasons: Vec<SuppressionCount>,
    pub left_out: OmittedCounts,
}

/// Number of addresses with one reason and cause.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the JSON, see docs/src/page.md")]
pub struct SuppressionCount {
    pub reason: &'static str,
    pub cause: Option<&'static str>,
    pub count: u64,
    pub new: u64,
}

impl SuppressionBuilder<'_> {
    /// Counts the addresses to suppress.
    pub(super) fn counts(&self) -> SuppressionCounts {
        let request = self.request;
        let new_from = request.at.saturating_sub(NEW_DAYS * DAY_MS);
        let mut counts: BTreeMap<(&'static str, Option<&'static str>), (u64, u64)> =
            BTreeMap::new();
        let mut on_hold = 0;
        let left_out = self.for_each_listed(|_, listed| {
            if listed.reason.is_hold() {
                on_hold += 1;
                return;
            }
            let (count, new) = counts.entry((listed.reason.as_str(), listed.cause())).or_default();
            *count += 1;
            *new += u64::from(listed.first_at > new_from);
        });
        let mut reasons: Vec<SuppressionCount> = counts
            .into_iter()
            .map(|((reason, cause), (count, new))| SuppressionCount { reason, cause, count, new })
            .collect();
        // stable: equal counts keep the order of their names
        reasons.sort_by_key(|one| std::cmp::Reverse(one.count));
        SuppressionCounts {
            as_of: format_ms(request.at),
            soft_count: request.soft.count,
            soft_days: request.soft.days,
            addresses: reasons.iter().map(|one| one.count).sum(),
            new: reasons.iter().map(|one| one.new).sum(),
            on_hold,
            reasons,
            left_out,
        }
    }
}
