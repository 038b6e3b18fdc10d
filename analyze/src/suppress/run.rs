//! Runs `suppress`: scans the failures and deliveries, and finds provider incidents.

use std::collections::BTreeSet;

use bouncewatch_classify::Classifier;
use bouncewatch_schemas::event::Service;

use crate::causes::cached_classifier::CachedClassifier;
use crate::error::AnalyzeError;
use crate::incidents::find::mark_incidents;
use crate::scan::StoreScan;
use crate::suppress::address_evidence::Replies;
use crate::suppress::counts::SuppressionCounts;
use crate::suppress::evidence_collector::{EvidenceCollector, query};
use crate::suppress::model::{Releases, Suppressions};
use crate::suppress::report_builder::SuppressionBuilder;
use crate::suppress::request::SuppressRequest;

/// Lists addresses that must not be mailed again, and addresses on hold.
///
/// # Errors
/// If there is no store, or it cannot be read.
pub fn suppress(
    request: &SuppressRequest,
    classifier: &Classifier,
) -> Result<Suppressions, AnalyzeError> {
    // include own domains: rates exclude them, but invalid addresses there are invalid too
    StoreScan::run(&request.store, Service::Ses, &[], |scan| {
        suppress_scan(request, None, &mut CachedClassifier::new(classifier), scan)
    })
}

/// Lists addresses that must not be mailed again, and addresses to remove from the account-level
/// suppression list of SES.
///
/// # Errors
/// If there is no store, or it cannot be read.
pub fn suppress_and_release(
    request: &SuppressRequest,
    classifier: &Classifier,
) -> Result<(Suppressions, Releases), AnalyzeError> {
    StoreScan::run(&request.store, Service::Ses, &[], |scan| {
        let classifier = &mut CachedClassifier::new(classifier);
        let builder = collect(request, None, classifier, scan, Replies::Full)?;
        let releases = builder.releases();
        Ok((builder.build(), releases))
    })
}

/// Loads the failures that [`suppress_scan`] needs, for it and for other queries of the scan. Returns false if there are
/// too many.
pub(crate) fn load_failures(
    request: &SuppressRequest,
    scan: &StoreScan,
) -> Result<bool, AnalyzeError> {
    scan.load_failures(&query(None, None, request.at))
}

/// Lists the addresses of a scan. If `recipients` is set, other addresses are omitted.
pub(crate) fn suppress_scan(
    request: &SuppressRequest,
    recipients: Option<&BTreeSet<String>>,
    classifier: &mut CachedClassifier<'_>,
    scan: &StoreScan,
) -> Result<Suppressions, AnalyzeError> {
    let mut report = collect(request, recipients, classifier, scan, Replies::Full)?.build();
    if let Some(recipients) = recipients {
        report.addresses.retain(|one| recipients.contains(&one.address));
        report.on_hold.retain(|one| recipients.contains(&one.address));
    }
    Ok(report)
}

/// Counts the addresses of a scan to suppress. Needs less memory than their list.
pub(crate) fn count_suppressions(
    request: &SuppressRequest,
    classifier: &mut CachedClassifier<'_>,
    scan: &StoreScan,
) -> Result<SuppressionCounts, AnalyzeError> {
    Ok(collect(request, None, classifier, scan, Replies::Masked)?.counts())
}

/// Lists addresses to remove from the account-level suppression list of SES.
///
/// # Errors
/// If there is no store, or it cannot be read.
pub fn release(
    request: &SuppressRequest,
    classifier: &Classifier,
) -> Result<Releases, AnalyzeError> {
    StoreScan::run(&request.store, Service::Ses, &[], |scan| {
        let classifier = &mut CachedClassifier::new(classifier);
        Ok(collect(request, None, classifier, scan, Replies::Full)?.releases())
    })
}

/// Collects the evidence of all addresses. If `recipients` is set, collects only theirs, unless
/// other addresses could make their bounces part of an incident.
fn collect<'r>(
    request: &'r SuppressRequest,
    recipients: Option<&BTreeSet<String>>,
    classifier: &mut CachedClassifier<'_>,
    scan: &StoreScan,
    replies: Replies,
) -> Result<SuppressionBuilder<'r>, AnalyzeError> {
    let list = request.known.as_ref().map(|list| &list.addresses);
    let mut read = |recipients| {
        let span = (None, request.at);
        let evidence =
            EvidenceCollector::collect(scan, classifier, recipients, span, None, replies)?;
        let deliveries = evidence.deliveries(scan, request.at, list)?;
        Ok::<_, AnalyzeError>((evidence, deliveries))
    };
    let (mut evidence, mut deliveries) = read(recipients)?;
    if recipients.is_some() && evidence.may_be_in_incident(&deliveries) {
        (evidence, deliveries) = read(None)?;
    }
    let mass_guard = request.mass_guard;
    let found = mark_incidents(scan, &mut evidence, &deliveries, mass_guard, request.at)?;
    Ok(SuppressionBuilder { request, evidence, deliveries, incidents: found.all })
}
