//! Runs `causes`: scans the failures, classifies and counts them.

use bouncewatch_classify::Classifier;
use bouncewatch_schemas::event::{EventKind, Service};
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::day_of;

use crate::causes::cached_classifier::CachedClassifier;
use crate::causes::failure_tally::FailureTally;
use crate::causes::grouping::{CauseDimension, CauseGrouping};
use crate::causes::model::CausesReport;
use crate::causes::report_builder::ReportBuilder;
use crate::causes::request::CausesRequest;
use crate::error::AnalyzeError;
use crate::incidents::find::{incidents_of_period, search_start};
use crate::scan::{FailureQuery, StoreScan};
use crate::timeline::Dimension;

/// Groups the failures of a period by cause.
///
/// # Errors
/// If there is no store, it cannot be read, or the period is empty.
pub fn causes(
    request: &CausesRequest,
    classifier: &Classifier,
) -> Result<CausesReport, AnalyzeError> {
    if request.from >= request.to {
        return Err(AnalyzeError::Span("--from must be before --to".to_owned()));
    }
    StoreScan::run(&request.store, Service::Ses, &request.own_domains, |scan| {
        causes_scan(request, &mut CachedClassifier::new(classifier), scan)
    })
}

/// Groups the failures of a scan by cause.
pub(crate) fn causes_scan(
    request: &CausesRequest,
    classifier: &mut CachedClassifier<'_>,
    scan: &StoreScan,
) -> Result<CausesReport, AnalyzeError> {
    let (before, to) = (request.previous_from(), request.to);
    let by_cause = [CauseGrouping(vec![CauseDimension::Cause])];
    let groupings: &[CauseGrouping] =
        if request.groupings.is_empty() { &by_cause } else { &request.groupings };
    // the provider must be first: its index is passed to `FailureTally::add`
    let mut dimensions = [table::PROVIDER, table::RECIPIENT_DOMAIN].map(Dimension::Column).to_vec();
    for dimension in groupings.iter().flat_map(|grouping| &grouping.0) {
        match dimension {
            CauseDimension::Scope(dimension) if !dimensions.contains(dimension) => {
                dimensions.push(dimension.clone());
            }
            _ => {}
        }
    }
    let query = FailureQuery {
        kinds: &[EventKind::Bounce, EventKind::DeliveryDelay],
        recipients: None,
        dimensions: &dimensions,
        after: Some(before),
        to: request.to,
    };
    // own domains are included, as in `suppress`
    let all_mail = scan.with_own_domains();
    // once, with the dimensions of this query, for the search of incidents and for this query
    let earliest = Some(search_start(before));
    all_mail.load_failures(&FailureQuery { after: earliest, ..query })?;
    let incidents = incidents_of_period(&all_mail, classifier, request.mass_guard, before, to)?;
    let mut tally =
        FailureTally::new(groupings, &dimensions, request.from, classifier, &incidents.bounces);
    scan.failures(&query, |failure| tally.add(failure, 0))?;
    // the previous period is unknown if the store starts later
    let has_previous = scan.first_day().is_some_and(|first| first <= day_of(before));
    Ok(ReportBuilder { request, tally: &tally, incidents: &incidents.all, has_previous }
        .build(groupings, &dimensions))
}
