//! Runs `history`: scans the events of the address or message, and checks whether `suppress` lists
//! their recipients.

use bouncewatch_classify::Classifier;
use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::format_ms;

use crate::causes::cached_classifier::CachedClassifier;
use crate::error::AnalyzeError;
use crate::history::collector::HistoryCollector;
use crate::history::model::MailHistory;
use crate::history::request::HistoryRequest;
use crate::history::subject::HistorySubject;
use crate::scan::{AddressEvent, StoreScan};
use crate::suppress::{SoftLimit, SuppressRequest, suppress_scan};

/// Lists the events of one address or message.
///
/// # Errors
/// If the period is empty, there is no store, or it cannot be read.
pub fn history(
    request: &HistoryRequest,
    classifier: &Classifier,
) -> Result<MailHistory, AnalyzeError> {
    if request.from.is_some_and(|from| from >= request.to) {
        return Err(AnalyzeError::Span("--from must be before --to".to_owned()));
    }
    let mut history = StoreScan::run(&request.store, Service::Ses, &[], |scan| {
        let mut collector = HistoryCollector::new(request.from, request.top, classifier);
        let each = |event: &AddressEvent<'_>| collector.add(event);
        let redacted = scan.address_events(request.subject.selection(), request.to, each)?;
        let failed = std::mem::take(&mut collector.failed);
        let mut history = collector.finish();
        match &request.subject {
            HistorySubject::Address { address, .. } => {
                history.address = Some(address.clone());
                history.dropped_rows = Some(redacted.dropped);
                history.hashed_rows = Some(redacted.hashed);
            }
            HistorySubject::Message(id) => history.message_id = Some(id.clone()),
        }
        if !failed.is_empty() {
            let (store, soft) = (request.store.clone(), SoftLimit::default());
            let (at, mass_guard) = (request.to, request.mass_guard);
            let suppress = SuppressRequest { store, at, soft, mass_guard, known: None };
            let found = suppress_scan(
                &suppress,
                Some(&failed),
                &mut CachedClassifier::new(classifier),
                scan,
            )?;
            (history.suppressed, history.on_hold) = (found.addresses, found.on_hold);
        }
        Ok(history)
    })?;
    history.from = request.from.map(format_ms);
    history.to = format_ms(request.to);
    Ok(history)
}
