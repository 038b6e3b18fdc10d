//! Splits results by the values of one dimension, for one page per group. No I/O.

use std::collections::BTreeMap;

use crate::causes::CausesReport;
use crate::causes::model::{CauseAdvice, CauseGroup};
use crate::check::confidence::rate;
use crate::check::level::AlertLevel;
use crate::check::reconcile::Reconciliation;
use crate::check::{CheckReport, Verdict};
use crate::page::reports::PageReports;
use crate::timeline::Scope;

/// Name and value of a dimension.
type Group = (String, Option<String>);

/// Returns the verdicts by the value of a dimension, in their order. Omits scopes without the
/// dimension.
pub(super) fn by_value<'v>(
    verdicts: &'v [Verdict],
    name: &str,
) -> BTreeMap<Option<&'v str>, Vec<&'v Verdict>> {
    let mut by_value: BTreeMap<Option<&str>, Vec<&Verdict>> = BTreeMap::new();
    for verdict in verdicts {
        if let Some((_, value)) = verdict.scope.0.iter().find(|(of, _)| of == name) {
            by_value.entry(value.as_deref()).or_default().push(verdict);
        }
    }
    by_value
}

/// Whether a scope is part of a group.
fn is_of_group(scope: &Scope, group: &Group) -> bool {
    scope.0.contains(group)
}

/// Returns the results of one group. `verdicts` are the verdicts of the group; `all.check` has
/// none.
pub(super) fn group_reports(all: &PageReports, verdicts: &[&Verdict], group: Group) -> PageReports {
    let is_own = |scope: &Scope| is_of_group(scope, &group);
    let sending = all.check.sending.of_scopes(|scope| scope.is_account() || is_own(scope));
    let feed = if all.check.feed.stale { AlertLevel::Unknown } else { AlertLevel::Ok };
    let minimum = feed.max(sending.level());
    let status = verdicts.iter().map(|verdict| verdict.level).fold(minimum, AlertLevel::max);
    let check = CheckReport {
        status,
        exit_code: status.exit_code(),
        verdicts: verdicts.iter().copied().cloned().collect(),
        incidents: Vec::new(),
        sending,
        ..all.check.clone()
    };
    let reconcile = all.reconcile.as_ref().map(|of| Reconciliation {
        version: of.version,
        as_of: of.as_of.clone(),
        accounts: of.accounts.iter().filter(|one| is_own(&one.scope)).cloned().collect(),
    });
    PageReports {
        check,
        report: all.report.of_scopes(is_own),
        groups: Vec::new(),
        causes: all.causes.as_ref().map(|of| causes_of_group(of, &group)),
        reconcile,
        // an address does not belong to a group
        suppress: None,
        stored_rows: all.stored_rows,
        first_event_at: all.first_event_at,
        each: Some(group),
    }
}

/// Returns the causes of one group, from the groups by dimension and cause.
fn causes_of_group(all: &CausesReport, group: &Group) -> CausesReport {
    let own: Vec<&CauseGroup> =
        all.groups.iter().filter(|one| is_of_group(&one.scope, group)).collect();
    let bounces = own.iter().map(|one| one.count).sum();
    let of_cause = |one: &&CauseGroup| CauseGroup {
        scope: Scope(one.scope.0.iter().filter(|(name, _)| *name != group.0).cloned().collect()),
        share: rate(one.count, bounces),
        ..(*one).clone()
    };
    let groups: Vec<CauseGroup> = own.iter().map(of_cause).collect();
    let advice = groups.iter().filter_map(|one| {
        let cause = one.scope.0.first()?.1.as_deref()?;
        let known = all.advice.iter().find(|advice| advice.cause == cause)?;
        Some(CauseAdvice {
            count: one.count,
            share: one.share,
            // known for all mail only, not by group
            mostly: Vec::new(),
            block_lists: Vec::new(),
            suggestions: Vec::new(),
            ..known.clone()
        })
    });
    CausesReport {
        bounces,
        counted: own.iter().map(|one| one.counted).sum(),
        bounces_before: own.iter().map(|one| one.count_before).sum(),
        auto_replies: 0,
        rollups: Vec::new(),
        advice: advice.filter(|advice| advice.count > 0).collect(),
        groups_total: groups.len(),
        groups,
        delays: Vec::new(),
        disagreements: Vec::new(),
        unknown: Vec::new(),
        incidents: Vec::new(),
        version: all.version,
        as_of: all.as_of.clone(),
        from: all.from.clone(),
        to: all.to.clone(),
    }
}
