//! Counts of addresses to suppress. No address is part of the result.

use std::collections::BTreeMap;

use bouncewatch_schemas::time::{DAY_MS, format_ms};
use serde::Serialize;

use crate::suppress::Suppressions;
use crate::suppress::model::OmittedCounts;

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

/// Counts the addresses of a list that was computed as of `at`.
pub(super) fn suppression_counts(list: &Suppressions, at: i64) -> SuppressionCounts {
    let new_from = format_ms(at.saturating_sub(NEW_DAYS * DAY_MS));
    let mut counts: BTreeMap<(&'static str, Option<&'static str>), (u64, u64)> = BTreeMap::new();
    for one in &list.addresses {
        let (count, new) = counts.entry((one.reason.as_str(), one.cause)).or_default();
        *count += 1;
        // RFC 3339 times of the same format sort as text
        *new += u64::from(one.first_at > new_from);
    }
    let mut reasons: Vec<SuppressionCount> = counts
        .into_iter()
        .map(|((reason, cause), (count, new))| SuppressionCount { reason, cause, count, new })
        .collect();
    // stable: equal counts keep the order of their names
    reasons.sort_by_key(|one| std::cmp::Reverse(one.count));
    SuppressionCounts {
        as_of: list.as_of.clone(),
        soft_count: list.soft_count,
        soft_days: list.soft_days,
        addresses: reasons.iter().map(|one| one.count).sum(),
        new: reasons.iter().map(|one| one.new).sum(),
        on_hold: list.on_hold.len(),
        reasons,
        left_out: list.left_out,
    }
}
