//! Rates of the groups of a grouping: the most critical first, the others as a sum. No I/O.

use std::collections::HashMap;

use serde::Serialize;

use crate::check::Verdict;
use crate::check::level::AlertLevel;
use crate::report::RateRow;
use crate::timeline::{ACCOUNT_COLUMNS, Dimension, Grouping, Scope};

/// Groups of one grouping.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the JSON, see docs/src/page.md")]
pub struct GroupTable {
    pub by: Vec<String>,
    pub window: String,
    pub scopes: usize,
    pub scopes_shown: usize,
    /// Groups with a bounce rate significantly above the warning threshold.
    pub above_warning: usize,
    pub warning: f64,
    pub critical: f64,
    pub rows: Vec<GroupRow>,
    /// Sum of the groups that are not in `rows`.
    pub others: Option<OtherGroups>,
}

/// Sum of several groups.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the JSON, see docs/src/page.md")]
pub struct OtherGroups {
    pub scopes: usize,
    pub bounces: u64,
    /// Null if the attempts of one of the groups are unknown.
    pub attempts: Option<u64>,
}

/// One group. Fields up to `until_critical` have the values of `check`, the others those of
/// `report`.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the JSON, see docs/src/page.md")]
pub struct GroupRow {
    pub scope: Scope,
    /// Worst level of the bounce and the complaint rate.
    pub level: AlertLevel,
    #[serde(rename = "sure")]
    pub significant: bool,
    pub count: u64,
    pub attempts: Option<u64>,
    pub rate: Option<f64>,
    pub interval: Option<[f64; 2]>,
    /// Number of further bounces that reach the critical threshold.
    pub until_critical: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complaints: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complaint_rate: Option<f64>,
    /// Outcomes, in tables by provider only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcomes: Option<GroupOutcomes>,
    /// Bounce rate at the end of each of the last days, oldest first.
    pub trend: Vec<Option<f64>>,
}

/// Outcomes of the mail of a group.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the JSON, see docs/src/page.md")]
pub struct GroupOutcomes {
    pub deliveries: u64,
    pub delivery_rate: Option<f64>,
    pub hard: u64,
    pub soft: u64,
    pub delays: u64,
    pub delay_rate: Option<f64>,
}

/// Bounce and complaint verdict of one group.
#[derive(Debug, Clone, Copy)]
struct GroupVerdicts<'v> {
    bounce: &'v Verdict,
    complaint: Option<&'v Verdict>,
}

impl GroupVerdicts<'_> {
    fn level(&self) -> AlertLevel {
        self.complaint.map_or(self.bounce.level, |complaint| complaint.level.max(self.bounce.level))
    }
}

/// Returns the verdicts of each group of a grouping, the most critical first: by level, then by the
/// lower bound of the bounce rate, then by bounces. The rate alone does not decide: in small
/// groups, it is often high by chance.
fn ranked<'v>(grouping: &Grouping, verdicts: &[&'v Verdict]) -> Vec<GroupVerdicts<'v>> {
    let names: Vec<String> = grouping.0.iter().map(Dimension::name).collect();
    let is_of_grouping =
        |verdict: &&Verdict| verdict.scope.0.iter().map(|(name, _)| name).eq(names.iter());
    let of_grouping = verdicts.iter().copied().filter(is_of_grouping);
    let mut all: Vec<GroupVerdicts<'_>> = Vec::new();
    for verdict in of_grouping {
        match all.last_mut() {
            // the two verdicts of a scope are adjacent
            Some(last) if last.bounce.scope == verdict.scope => last.complaint = Some(verdict),
            _ => all.push(GroupVerdicts { bounce: verdict, complaint: None }),
        }
    }
    let lower = |group: &GroupVerdicts<'_>| group.bounce.interval.map_or(0.0, |[low, _]| low);
    all.sort_by(|a, b| {
        (b.level().cmp(&a.level()))
            .then_with(|| lower(b).total_cmp(&lower(a)))
            .then_with(|| b.bounce.count.cmp(&a.bounce.count))
            .then_with(|| b.bounce.attempts.cmp(&a.bounce.attempts))
    });
    all
}

/// Returns the scopes to show in the tables of groupings: `top` scopes per grouping.
pub(super) fn shown_scopes(
    groupings: &[Grouping],
    verdicts: &[&Verdict],
    top: usize,
) -> Vec<Scope> {
    let of_grouping = |grouping| ranked(grouping, verdicts).into_iter().take(top);
    groupings.iter().flat_map(of_grouping).map(|group| group.bounce.scope.clone()).collect()
}

/// Returns the table of a grouping. `rows` are the rows of the shown scopes, in order of time.
pub(super) fn group_table(
    grouping: &Grouping,
    verdicts: &[&Verdict],
    rows: &HashMap<String, Vec<RateRow>>,
    top: usize,
) -> Option<GroupTable> {
    let all = ranked(grouping, verdicts);
    let first = all.first()?.bounce;
    let by: Vec<String> =
        grouping.0.iter().skip(ACCOUNT_COLUMNS.len()).map(Dimension::name).collect();
    let is_by_provider = by.last().is_some_and(|name| name == "provider");
    // use the level too: as in `check`, it needs the minimum count
    let is_above = |group: &&GroupVerdicts<'_>| {
        group.bounce.significant && group.bounce.level >= AlertLevel::Warning
    };
    let (shown, others) = all.split_at(all.len().min(top));
    Some(GroupTable {
        by,
        window: first.window.clone(),
        scopes: all.len(),
        scopes_shown: shown.len(),
        above_warning: all.iter().filter(is_above).count(),
        warning: first.warning,
        critical: first.critical,
        rows: shown.iter().map(|group| row(group, rows, is_by_provider)).collect(),
        others: (!others.is_empty()).then(|| OtherGroups {
            scopes: others.len(),
            bounces: others.iter().map(|group| group.bounce.count).sum(),
            attempts: others.iter().map(|group| group.bounce.attempts).sum(),
        }),
    })
}

fn row(
    group: &GroupVerdicts<'_>,
    rows: &HashMap<String, Vec<RateRow>>,
    has_outcomes: bool,
) -> GroupRow {
    let GroupVerdicts { bounce, complaint } = group;
    let days = rows.get(&bounce.scope.to_string()).map(Vec::as_slice).unwrap_or_default();
    let outcomes = days.last().filter(|_| has_outcomes).map(|row| GroupOutcomes {
        deliveries: row.deliveries,
        delivery_rate: row.delivery_rate,
        hard: row.hard,
        soft: row.soft,
        delays: row.delays,
        delay_rate: row.delay_rate,
    });
    GroupRow {
        scope: bounce.scope.clone(),
        level: group.level(),
        significant: bounce.significant,
        count: bounce.count,
        attempts: bounce.attempts,
        rate: bounce.rate,
        interval: bounce.interval,
        until_critical: bounce.headroom.map(|headroom| headroom.critical),
        complaints: complaint.map(|complaint| complaint.count),
        complaint_rate: complaint.and_then(|complaint| complaint.rate),
        outcomes,
        trend: days.iter().map(|row| row.bounce_rate).collect(),
    }
}
