//! Runs the analyses of a page on one listing of the store.

use std::collections::{BTreeSet, HashMap};

use bouncewatch_classify::Classifier;
use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::DAY_MS;

use crate::check::reconcile::{by_exclusion_reason, reconcile_scan};
use crate::check::trend::lookback_ms;
use crate::check::{CheckDetail, Verdict, check_scan, without_feedback};
use crate::error::AnalyzeError;
use crate::page::each::{by_value, group_reports};
use crate::page::failure_reports::failure_reports;
use crate::page::groups::{GroupTable, group_table, shown_scopes};
use crate::page::reports::PageReports;
use crate::page::request::PageRequest;
use crate::report::trend::{TREND_DAYS, daily_report};
use crate::report::{RateRow, report_scan, window_ends};
use crate::scan::{HistoryPart, HistoryQuery, StoreScan};
use crate::timeline::{Grouping, Scope};

/// Maximum number of pages.
const PAGES_MAX: usize = 500;

/// Runs all analyses of a page, or of one page per group.
///
/// # Errors
/// If the store does not exist or cannot be read, or there are too many groups.
pub fn page(
    request: &PageRequest,
    classifier: &Classifier,
) -> Result<Vec<PageReports>, AnalyzeError> {
    let check = &request.check;
    StoreScan::run(&check.store, check.service, &check.own_domains, |scan| {
        page_scan(request, classifier, scan)
    })
}

fn page_scan(
    request: &PageRequest,
    classifier: &Classifier,
    scan: &StoreScan,
) -> Result<Vec<PageReports>, AnalyzeError> {
    load_days(request, scan)?;
    let check = check_scan(&request.check, CheckDetail::Full, scan)?;
    let report = report_scan(&request.report, &window_ends(&request.report)?, &|_| true, scan)?;
    let groups = Groups::load(request, scan)?;
    let (suppress, causes) =
        failure_reports(request.suppress.as_ref(), request.causes.as_ref(), classifier, scan)?;
    let reconcile = request.reconcile.as_ref().map(|of| reconcile_scan(of, scan)).transpose()?;
    let mut all = PageReports {
        check,
        report,
        groups: Vec::new(),
        causes,
        reconcile,
        suppress,
        stored_rows: scan.stored_rows(i64::MIN, i64::MAX)?,
        first_event_at: scan.first_event()?,
        each: None,
    };
    let Some(each) = &request.each else {
        let groups = groups.tables(request, &groups.verdicts.iter().collect::<Vec<_>>());
        return Ok(vec![PageReports { groups, ..all }]);
    };
    let name = each.name();
    let verdicts = std::mem::take(&mut all.check.verdicts);
    let of_groups = by_value(&groups.verdicts, &name);
    let page = |(value, own): (Option<&str>, Vec<&Verdict>)| {
        let of_group_below = of_groups.get(&value).map(Vec::as_slice).unwrap_or_default();
        let groups = groups.tables(request, of_group_below);
        let group = (name.clone(), value.map(str::to_owned));
        PageReports { groups, ..group_reports(&all, &own, group) }
    };
    let of_values = by_value(&verdicts, &name);
    if of_values.len() > PAGES_MAX {
        return Err(AnalyzeError::Span(format!(
            "--each {name} has {} groups, more than the maximum of {PAGES_MAX}\n  hint: group by a dimension with fewer values",
            of_values.len()
        )));
    }
    Ok(of_values.into_iter().map(page).collect())
}

/// Reads the rows of all days once for the groupings of all analyses. The analyses then use the daily aggregates of
/// closed days, and the aggregates of the open days that the scan keeps.
fn load_days(request: &PageRequest, scan: &StoreScan) -> Result<(), AnalyzeError> {
    let check = &request.check;
    let mut groupings = vec![Grouping::account()];
    groupings.extend(check.groupings.iter().cloned());
    if check.service == Service::Ses {
        let evaluated = groupings.clone();
        groupings.extend(evaluated.iter().map(without_feedback));
        let reconciled = request.reconcile.iter().flat_map(|of| &of.groupings);
        let reconciled: Vec<Grouping> = reconciled.map(by_exclusion_reason).collect();
        if reconciled.is_empty() {
            groupings.push(by_exclusion_reason(&Grouping::account()));
        }
        groupings.extend(reconciled);
    }
    for grouping in &request.groupings {
        if !groupings.contains(grouping) {
            groupings.push(grouping.clone());
        }
    }
    let query = HistoryQuery {
        groupings: &groupings,
        basis: check.basis,
        counted_from: check.counted_from,
    };
    // windows of a day, and the day before the first one
    let of_report = request.report.from.saturating_sub(2 * DAY_MS);
    let lookback = lookback_ms(&check.windows).max((TREND_DAYS + 2) * DAY_MS);
    let first = of_report.min(check.at.saturating_sub(lookback));
    HistoryPart::new(scan, query, first, check.at).map(|_| ())
}

/// Verdicts of all groups, and rows of the groups to show.
struct Groups {
    verdicts: Vec<Verdict>,
    rows: HashMap<String, Vec<RateRow>>,
}

impl Groups {
    fn load(request: &PageRequest, scan: &StoreScan) -> Result<Self, AnalyzeError> {
        if request.groupings.is_empty() {
            return Ok(Self { verdicts: Vec::new(), rows: HashMap::new() });
        }
        let check = check_scan(&request.group_check(), CheckDetail::RatesOnly, scan)?;
        let mut shown: BTreeSet<String> = BTreeSet::new();
        let mut add = |verdicts: &[&Verdict]| {
            let scopes = shown_scopes(&request.groupings, verdicts, request.top);
            shown.extend(scopes.iter().map(ToString::to_string));
        };
        match &request.each {
            None => add(&check.verdicts.iter().collect::<Vec<_>>()),
            Some(each) => by_value(&check.verdicts, &each.name()).values().for_each(|of| add(of)),
        }
        let is_shown = |scope: &Scope| shown.contains(&scope.to_string());
        let daily = daily_report(&request.group_check(), request.groupings.clone());
        let report = report_scan(&daily, &window_ends(&daily)?, &is_shown, scan)?;
        let mut rows: HashMap<String, Vec<RateRow>> = HashMap::new();
        for row in report.rows.iter() {
            rows.entry(row.scope.to_string()).or_default().push(row);
        }
        Ok(Self { verdicts: check.verdicts, rows })
    }

    fn tables(&self, request: &PageRequest, verdicts: &[&Verdict]) -> Vec<GroupTable> {
        let table = |grouping| group_table(grouping, verdicts, &self.rows, request.top);
        request.groupings.iter().filter_map(table).collect()
    }
}
