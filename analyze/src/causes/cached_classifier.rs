//! Classifies failures by the current rules. Equal failures are classified once.

use std::collections::HashMap;

use bouncewatch_classify::{Classifier, FailureFacts, Scratch};
use bouncewatch_schemas::bounce::BounceClass;
use bouncewatch_schemas::cause::{Action, Cause};
use bouncewatch_schemas::event::EventRow;
use xxhash_rust::xxh3::xxh3_128;

use crate::scan::Failure;
use crate::timeline::Outcome;

/// Maximum number of cached results.
const CACHE_MAX: usize = 1_000_000;

/// Classifier with a cache of results.
pub(crate) struct CachedClassifier<'c> {
    classifier: &'c Classifier,
    scratch: Scratch,
    cache: HashMap<u128, ClassifiedFailure>,
    /// Buffer of the bytes of a key.
    key: Vec<u8>,
}

/// Result of the classification of a failure.
#[derive(Debug, Clone)]
pub(crate) struct ClassifiedFailure {
    pub(crate) cause: Cause,
    pub(crate) action: Action,
    /// Whether a rule matches.
    pub(crate) has_rule: bool,
    /// Block list in the text.
    pub(crate) block_list: Option<Box<str>>,
    /// Whether the bounce type of SES agrees with the cause; `None` if it cannot be compared.
    pub(crate) agrees_with_ses: Option<bool>,
}

impl<'c> CachedClassifier<'c> {
    /// Returns a classifier without cached results.
    pub(crate) fn new(classifier: &'c Classifier) -> Self {
        let (scratch, cache, key) = (Scratch::default(), HashMap::new(), Vec::new());
        Self { classifier, scratch, cache, key }
    }

    /// Classifies a failure.
    pub(crate) fn classify(&mut self, failure: &Failure<'_>) -> ClassifiedFailure {
        let key = cache_key(failure, &mut self.key);
        if let Some(known) = self.cache.get(&key) {
            return known.clone();
        }
        let found =
            self.classifier.classify(&FailureFacts::from_event(&row(failure)), &mut self.scratch);
        let result = ClassifiedFailure {
            cause: found.cause,
            action: found.action,
            has_rule: found.rule.is_some(),
            block_list: found.block_list.map(Box::from),
            agrees_with_ses: found.agrees_with_ses,
        };
        if self.cache.len() < CACHE_MAX {
            self.cache.insert(key, result.clone());
        }
        result
    }
}

/// Hash of all fields that the classifier reads. `bytes` is a buffer.
fn cache_key(failure: &Failure<'_>, bytes: &mut Vec<u8>) -> u128 {
    bytes.clear();
    for text in [
        failure.bounce_type,
        failure.bounce_subtype,
        failure.delay_type,
        failure.enhanced_status,
        failure.diagnostic,
        failure.remote_mta,
        failure.recipient_domain,
    ] {
        // a missing text differs from an empty one
        bytes.extend(text.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
        bytes.extend(text.unwrap_or_default().as_bytes());
    }
    bytes.extend(failure.smtp_code.unwrap_or_default().to_le_bytes());
    bytes.extend(failure.outcome.code().to_le_bytes());
    xxh3_128(bytes)
}

/// Returns the bounce class of an outcome.
fn class(outcome: Outcome) -> Option<BounceClass> {
    match outcome {
        Outcome::AutoReply => Some(BounceClass::AutoReply),
        Outcome::Suppressed | Outcome::SuppressedCounted => Some(BounceClass::Suppressed),
        Outcome::Soft => Some(BounceClass::Soft),
        Outcome::Undetermined => Some(BounceClass::Undetermined),
        Outcome::Hard => Some(BounceClass::Hard),
        _ => None,
    }
}

/// Returns a row with the fields that [`FailureFacts::from_event`] reads; the other fields are empty.
fn row<'r>(failure: &Failure<'r>) -> EventRow<'r> {
    EventRow {
        event_at: failure.at,
        recipient: failure.recipient,
        recipient_domain: failure.recipient_domain,
        remote_mta: failure.remote_mta,
        bounce_type: failure.bounce_type,
        bounce_subtype: failure.bounce_subtype,
        complaint_type: failure.complaint_type,
        delay_type: failure.delay_type,
        class: class(failure.outcome),
        smtp_code: failure.smtp_code,
        enhanced_status: failure.enhanced_status,
        diagnostic: failure.diagnostic,
        ..EventRow::of_kind(failure.kind)
    }
}

/// A bounce with these fields, for tests.
#[cfg(test)]
pub(crate) fn bounce<'r>(bounce_type: &'r str, subtype: &'r str, text: &'r str) -> Failure<'r> {
    use bouncewatch_schemas::event::EventKind;

    Failure {
        kind: EventKind::Bounce,
        outcome: if bounce_type == "Permanent" { Outcome::Hard } else { Outcome::Soft },
        at: 0,
        message: 0,
        bounce_type: Some(bounce_type),
        bounce_subtype: Some(subtype),
        delay_type: None,
        complaint_type: None,
        smtp_code: text.get(..3).and_then(|code| code.parse().ok()),
        enhanced_status: None,
        diagnostic: (!text.is_empty()).then_some(text),
        remote_mta: None,
        recipient: Some("anna@example.org"),
        recipient_domain: Some("example.org"),
        values: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_with_different_fields_are_classified_separately() {
        let mut classifier = CachedClassifier::new(Classifier::builtin());
        let full = bounce("Transient", "MailboxFull", "");
        let reply = Failure { outcome: Outcome::AutoReply, ..bounce("Transient", "General", "") };
        let reported = bounce("Transient", "General", "");
        let other = Failure { smtp_code: Some(421), ..bounce("Transient", "MailboxFull", "") };
        let all = [&full, &reply, &reported, &other];
        let causes = all.map(|failure| classifier.classify(failure).cause);
        assert_eq!(causes[..3], [Cause::MailboxFull, Cause::AutoReply, Cause::Unknown]);
        assert_eq!(classifier.cache.len(), all.len());
        // cached results are the same
        assert_eq!(all.map(|failure| classifier.classify(failure).cause), causes);
        assert_eq!(classifier.cache.len(), all.len());
    }
}
