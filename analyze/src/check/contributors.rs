//! Loads the contributors of every rate at or above a threshold.

use bouncewatch_schemas::{provider, table};

use crate::check::contribution::{Contributor, by_rate_without, top_contributors};
use crate::check::level::AlertLevel;
use crate::check::request::CheckRequest;
use crate::check::verdict::{Metric, Verdict, metrics};
use crate::error::AnalyzeError;
use crate::scan::{ExactHours, HistoryPart, HistoryQuery, StoreScan, Timelines};
use crate::timeline::{Denominator, Dimension, Grouping, ScopeValues, measure_with_denominator};

/// Maximum number of rates at or above a threshold in a grouping for which contributors are listed.
///
/// Thousands of lists are of no use, and take most of the time of a check. The contributors of the
/// account show the common cause.
const RATES_MAX: usize = 1_000;

/// Adds the contributors to each verdict at or above the warning threshold. Scans once per grouping.
pub(super) fn add_contributors(
    request: &CheckRequest,
    scan: &StoreScan,
    groupings: &[Grouping],
    verdicts: &mut [Verdict],
) -> Result<(), AnalyzeError> {
    for grouping in groupings {
        let names: Vec<String> = grouping.0.iter().map(Dimension::name).collect();
        let is_of_grouping = |verdict: &Verdict| {
            verdict.level >= AlertLevel::Warning
                && verdict.scope.0.iter().map(|(name, _)| name).eq(names.iter())
        };
        let of_grouping = || verdicts.iter().filter(|verdict| is_of_grouping(verdict));
        if !grouping.is_account() && of_grouping().count() > RATES_MAX {
            continue;
        }
        let Some(earliest) = of_grouping().map(|verdict| verdict.after).min() else { continue };
        let dimensions: Vec<&Dimension> = request
            .contributors
            .iter()
            .filter(|dimension| !grouping.0.contains(dimension))
            .collect();
        let finer: Vec<Grouping> =
            dimensions.iter().map(|dimension| grouping.with((*dimension).clone())).collect();
        let query = HistoryQuery {
            groupings: &finer,
            basis: request.basis,
            counted_from: request.counted_from,
        };
        let exact = ExactHours::of(of_grouping().map(|verdict| verdict.after).chain([request.at]));
        let mut part = HistoryPart::new(scan, query, earliest, request.at)?;
        if of_grouping().any(|verdict| verdict.denominator.is_some_and(Denominator::is_of_pairs)) {
            part.load_pairs()?;
        }
        let history = part.history(&exact)?;
        for verdict in verdicts.iter_mut().filter(|verdict| is_of_grouping(verdict)) {
            let Some(metric) =
                metrics(request.service).iter().find(|metric| metric.name == verdict.metric)
            else {
                continue;
            };
            for (dimension, timelines) in dimensions.iter().zip(&history.by_grouping) {
                let found =
                    scope_contributors(verdict, metric, timelines, &dimension.name(), request.at);
                verdict.contributors.extend(found);
            }
            // stable: equal rates keep the order of dimensions and counts
            verdict.contributors.sort_by(by_rate_without);
        }
    }
    Ok(())
}

/// Returns the contributors of one verdict by one dimension. `timelines` are grouped by the
/// dimensions of the verdict and this dimension.
fn scope_contributors(
    verdict: &Verdict,
    metric: &Metric,
    timelines: &Timelines,
    by: &str,
    to: i64,
) -> Vec<Contributor> {
    let (Some(attempts), Some(denominator)) = (verdict.attempts, verdict.denominator) else {
        return Vec::new();
    };
    let values: ScopeValues = verdict.scope.0.iter().map(|(_, value)| value.clone()).collect();
    // the parts of a scope follow it in the order of their values
    let parts = timelines
        .range::<ScopeValues, _>(&values..)
        .take_while(|(finer, _)| finer.starts_with(&values))
        .filter(|(finer, _)| {
            let value = finer.last().and_then(Option::as_deref);
            // skip the "other" provider and events without a cause (complaints, delivered mail)
            !matches!((by, value), (table::PROVIDER, Some(provider::OTHER)) | (table::CAUSE, None))
        })
        .map(|(finer, timeline)| {
            // the denominator of the verdict, so that parts add up to the scope
            let counts = measure_with_denominator(timeline, denominator, verdict.after, to).counts;
            // a cause has no attempts of its own: only bounced mail has a cause
            let part_attempts = counts.attempts.filter(|_| by != table::CAUSE);
            (finer.last().cloned().flatten(), (metric.count)(&counts), part_attempts)
        });
    top_contributors(by, verdict.count, attempts, parts)
}
