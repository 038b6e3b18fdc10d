//! Runs the analyses of a page on one listing of the store.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bouncewatch_classify::Classifier;
use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::DAY_MS;

use crate::causes::causes_scan;
use crate::check::reconcile::{by_exclusion_reason, reconcile_scan};
use crate::check::trend::lookback_ms;
use crate::check::{CheckDetail, Verdict, check_scan, without_feedback};
use crate::error::AnalyzeError;
use crate::page::each::{is_of_group, of_group, values};
use crate::page::groups::{GroupTable, group_table, shown_scopes};
use crate::page::reports::PageReports;
use crate::page::request::{PageRequest, TREND_DAYS};
use crate::page::suppression::suppression_counts;
use crate::report::{RateRow, report_scan};
use crate::scan::{HistoryPart, HistoryQuery, StoreScan};
use crate::suppress::suppress_scan;
use crate::timeline::{Grouping, Scope};

/// Runs all analyses of a page, or of a page for each group.
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
    let report = report_scan(&request.report, &|_| true, scan)?;
    let groups = Groups::load(request, scan)?;
    let causes = request.causes.as_ref().map(|of| causes_scan(of, classifier, scan)).transpose()?;
    let reconcile = request.reconcile.as_ref().map(|of| reconcile_scan(of, scan)).transpose()?;
    let suppress = match &request.suppress {
        Some(of) => {
            // mail to own domains is in no rate, but an invalid address there is invalid too
            let list = suppress_scan(of, None, classifier, &scan.with_own_domains())?;
            Some(suppression_counts(&list, of.at))
        }
        None => None,
    };
    let all = PageReports {
        check,
        report,
        groups: Vec::new(),
        causes,
        reconcile,
        suppress,
        stored_rows: scan.stored_rows()?,
        first_event_at: scan.first_event()?,
        each: None,
    };
    let Some(each) = &request.each else {
        let groups = groups.tables(request, &groups.verdicts);
        return Ok(vec![PageReports { groups, ..all }]);
    };
    let name = each.name();
    let page = |value: Option<String>| {
        let group = (name.clone(), value);
        let is_own = |verdict: &&Verdict| is_of_group(&verdict.scope, &group);
        let own: Vec<Verdict> = groups.verdicts.iter().filter(is_own).cloned().collect();
        PageReports { groups: groups.tables(request, &own), ..of_group(&all, group) }
    };
    Ok(values(&all.check, &name)?.into_iter().map(page).collect())
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
    let lookback = lookback_ms(&check.windows).max((TREND_DAYS + 1) * DAY_MS);
    let first = request.report.from.saturating_sub(DAY_MS).min(check.at.saturating_sub(lookback));
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
        let mut add = |verdicts: &[Verdict]| {
            let scopes = shown_scopes(&request.groupings, verdicts, request.top);
            shown.extend(scopes.iter().map(ToString::to_string));
        };
        match &request.each {
            None => add(&check.verdicts),
            Some(each) => {
                let name = each.name();
                let mut by_value: BTreeMap<Option<&String>, Vec<Verdict>> = BTreeMap::new();
                for verdict in &check.verdicts {
                    let Some((_, value)) = verdict.scope.0.iter().find(|(of, _)| *of == name)
                    else {
                        continue;
                    };
                    by_value.entry(value.as_ref()).or_default().push(verdict.clone());
                }
                for verdicts in by_value.values() {
                    add(verdicts);
                }
            }
        }
        let is_shown = |scope: &Scope| shown.contains(&scope.to_string());
        let report = report_scan(&request.group_report(), &is_shown, scan)?;
        let mut rows: HashMap<String, Vec<RateRow>> = HashMap::new();
        for row in report.rows.iter() {
            rows.entry(row.scope.to_string()).or_default().push(row);
        }
        Ok(Self { verdicts: check.verdicts, rows })
    }

    fn tables(&self, request: &PageRequest, verdicts: &[Verdict]) -> Vec<GroupTable> {
        let table = |grouping| group_table(grouping, verdicts, &self.rows, request.top);
        request.groupings.iter().filter_map(table).collect()
    }
}
