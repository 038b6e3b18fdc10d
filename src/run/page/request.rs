//! Arguments and settings -> parameters of the analyses of a page.

use anyhow::{Context, ensure};
use bouncewatch_analyze::causes::{CauseDimension, CauseGrouping, CausesRequest};
use bouncewatch_analyze::check::CheckRequest;
use bouncewatch_analyze::check::reconcile::ReconcileRequest;
use bouncewatch_analyze::page::PageRequest;
use bouncewatch_analyze::report::ReportRequest;
use bouncewatch_analyze::suppress::{SoftLimit, SuppressRequest};
use bouncewatch_analyze::timeline::{Dimension, Grouping, Window, WindowSpan};
use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::DAY_MS;

use crate::cli::PageArgs;
use crate::config::Config;
use crate::run::arguments::{
    basis, contributors, counted_from, fraction, groupings, mass_guard, own_domains,
    positive_duration_ms, service, windows,
};
use crate::run::check::{incident_search, stale_after, threshold_rules, thresholds};
use crate::run::store_access::store_files;
use crate::run::times::time_ms;

const HOUR_MS: i64 = 3_600_000;
/// Default length of the charts.
const PERIOD_MS: i64 = 30 * DAY_MS;
/// Most points of a chart by default.
const POINTS_MAX: i64 = 180;
/// Intervals between points, the first that gives few enough points is used.
const INTERVALS_MS: [i64; 6] =
    [HOUR_MS, 2 * HOUR_MS, 4 * HOUR_MS, 6 * HOUR_MS, 12 * HOUR_MS, DAY_MS];
/// Default groupings.
const GROUPINGS: [&str; 5] =
    ["identity", "configuration_set", "provider", "recipient_domain", "tag:campaign"];
/// Longest period of the causes.
const CAUSES_PERIOD_MS: i64 = 7 * DAY_MS;

pub(super) fn request(args: &PageArgs, config: &Config, now: i64) -> anyhow::Result<PageRequest> {
    let windows = windows(&args.window.window, &config.windows)?;
    let has_span = matches!(windows.first().map(Window::span), Some(WindowSpan::Millis(_)));
    ensure!(
        has_span,
        "--window: the first window of a page must be a duration\n  hint: write --window 24h,7d,volume:10000"
    );
    let at = time_ms("--at", args.as_of.at.as_deref())?.unwrap_or(now);
    let from = time_ms("--from", args.from.as_deref())?.unwrap_or(at - PERIOD_MS);
    ensure!(from < at, "--from must be before --at");
    let each =
        args.each.as_ref().map(|text| text.parse::<Dimension>()).transpose().context("--each")?;
    let base: Vec<Grouping> =
        each.iter().map(|each| prefixed(Some(each), &Grouping::account())).collect();
    let default: Vec<String> = GROUPINGS.map(str::to_owned).into();
    let by = groupings(&args.by, &default)?;
    let by = by
        .iter()
        .filter(|grouping| each.as_ref().is_none_or(|each| !grouping.0.contains(each)))
        .map(|grouping| prefixed(each.as_ref(), grouping))
        .collect();
    let check = check_request(args, config, at, windows.clone(), &base)?;
    let report = ReportRequest {
        store: check.store.clone(),
        service: check.service,
        from,
        to: at,
        every: match &args.every {
            Some(every) => positive_duration_ms("--every", every)?,
            None => interval(at - from),
        },
        windows: windows.iter().take(1).cloned().collect(),
        basis: check.basis,
        counted_from: check.counted_from,
        groupings: base.clone(),
        top: None,
        own_domains: check.own_domains.clone(),
    };
    let is_ses = check.service == Service::Ses;
    let reconcile = ReconcileRequest {
        store: check.store.clone(),
        at,
        windows: windows.into_iter().take(2).collect(),
        groupings: base,
        own_domains: check.own_domains.clone(),
        counted_from: check.counted_from,
        aws_account: None,
        aws_rate: fraction("--aws-rate", args.aws_rate.as_deref())?,
    };
    let suppress = SuppressRequest {
        store: check.store.clone(),
        at,
        soft: SoftLimit::default(),
        mass_guard: mass_guard(None, config),
        known: None,
    };
    Ok(PageRequest {
        causes: is_ses.then(|| causes(&check, each.as_ref(), mass_guard(None, config))),
        reconcile: is_ses.then_some(reconcile),
        suppress: (is_ses && each.is_none()).then_some(suppress),
        check,
        report,
        groupings: by,
        each,
        top: usize::from(args.top),
    })
}

/// Returns the check of a page. Pages for each group have the groups in `base`, others those of the settings.
fn check_request(
    args: &PageArgs,
    config: &Config,
    at: i64,
    windows: Vec<Window>,
    base: &[Grouping],
) -> anyhow::Result<CheckRequest> {
    let service = service(args.service.service);
    Ok(CheckRequest {
        store: store_files(&args.store, &args.aws, &args.cache, config)?,
        service,
        at,
        basis: basis(args.basis.basis),
        groupings: if base.is_empty() { groupings(&[], &config.by)? } else { base.to_vec() },
        counted_from: counted_from(args.counted_from.counted_from.as_deref(), config)?,
        contributors: contributors(config)?,
        own_domains: own_domains(config, &args.own_domains.own_domain)?,
        bounce: thresholds(config.bounce),
        complaint: thresholds(config.complaint),
        minimum_volume: config.minimum_volume,
        rules: threshold_rules(None, config)?,
        stale_after: stale_after(None, config)?,
        incidents: if args.each.is_none() { incident_search(service, config)? } else { None },
        windows,
    })
}

/// Returns a grouping with a dimension directly below account and region.
fn prefixed(each: Option<&Dimension>, grouping: &Grouping) -> Grouping {
    let account = Grouping::account();
    let own = grouping.0.iter().filter(|dimension| !account.0.contains(dimension));
    Grouping(account.0.iter().chain(each).chain(own).cloned().collect())
}

/// Returns the smallest interval that gives at most [`POINTS_MAX`] points.
fn interval(span: i64) -> i64 {
    let fits = |interval: &&i64| span / **interval <= POINTS_MAX;
    INTERVALS_MS.iter().find(fits).copied().unwrap_or(DAY_MS * (span / DAY_MS / POINTS_MAX + 1))
}

fn causes(check: &CheckRequest, each: Option<&Dimension>, mass_guard: usize) -> CausesRequest {
    let period = |window: &Window| match window.span() {
        WindowSpan::Millis(ms) if ms <= CAUSES_PERIOD_MS => Some(ms),
        _ => None,
    };
    let longest = check.windows.iter().filter_map(period).max().unwrap_or(DAY_MS);
    let each = each.map(|each| {
        CauseGrouping(vec![CauseDimension::Scope(each.clone()), CauseDimension::Cause])
    });
    CausesRequest {
        store: check.store.clone(),
        from: check.at - longest,
        to: check.at,
        groupings: each.into_iter().collect(),
        top: None,
        mass_guard,
        own_domains: check.own_domains.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_gives_at_most_180_points() {
        assert_eq!(interval(7 * DAY_MS), HOUR_MS);
        assert_eq!(interval(30 * DAY_MS), 4 * HOUR_MS);
        assert_eq!(interval(180 * DAY_MS), DAY_MS);
        assert_eq!(interval(365 * DAY_MS), 3 * DAY_MS);
    }
}
