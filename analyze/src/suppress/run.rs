//! Runs `suppress`: scans the failures and the deliveries after them.

use std::collections::BTreeSet;

use bouncewatch_classify::Classifier;
use bouncewatch_schemas::event::{EventKind, Service};

use crate::causes::cached_classifier::CachedClassifier;
use crate::error::AnalyzeError;
use crate::scan::{FailureQuery, StoreScan};
use crate::suppress::address_evidence::EvidenceCollector;
use crate::suppress::model::Suppressions;
use crate::suppress::request::SuppressRequest;

/// Lists addresses that must not be mailed again.
///
/// # Errors
/// If there is no store, or it cannot be read.
pub fn suppress(
    request: &SuppressRequest,
    classifier: &Classifier,
) -> Result<Suppressions, AnalyzeError> {
    // own domains are included: mail to them is in no rate, but an invalid address there is invalid too
    StoreScan::run(&request.store, Service::Ses, &[], |scan| {
        suppress_scan(request, None, classifier, scan)
    })
}

/// Lists the addresses of a scan; with `recipients`, only those of them.
pub(crate) fn suppress_scan(
    request: &SuppressRequest,
    recipients: Option<&BTreeSet<String>>,
    classifier: &Classifier,
    scan: &StoreScan,
) -> Result<Suppressions, AnalyzeError> {
    let mut evidence = EvidenceCollector::default();
    let mut classifier = CachedClassifier::new(classifier);
    let query = FailureQuery {
        kinds: &[EventKind::Bounce, EventKind::Complaint],
        recipients,
        dimensions: &[],
        after: None,
        to: request.at,
    };
    scan.failures(&query, |failure| evidence.add(failure, &mut classifier))?;
    evidence.sort();
    let delivered = evidence.deliveries(request, scan)?;
    let mut report = evidence.report(request, &delivered);
    if let Some(recipients) = recipients {
        report.addresses.retain(|one| recipients.contains(&one.address));
    }
    Ok(report)
}
