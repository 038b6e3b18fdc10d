//! [`BatchBuilder`]: decodes documents into a batch.

use std::sync::Arc;

use bouncewatch_classify::Classifier;
use bouncewatch_store::addresses::AddressRedactor;
use bouncewatch_store::{Store, StoreError};

use crate::batch::{Batch, BatchLimits};
use crate::decode::allow_list::AllowList;
use crate::decode::documents::DOCUMENT_BYTES_MAX;
use crate::decode::outcome::{QuarantineReason, Rejection};
use crate::decode::{DecodeContext, decode_document};
use crate::enrich::Enricher;
use crate::telemetry::counts::IngestCounts;

/// Settings for the events that are accepted and stored.
#[derive(Debug, Clone, Default)]
pub struct IntakeRules {
    /// Accounts, topics and identities with accepted events.
    pub allow_list: Arc<AllowList>,
    /// Replaces the addresses of recipients.
    pub addresses: AddressRedactor,
    /// Classifies bounces and delays; `None` for the built-in rules.
    pub classifier: Option<Arc<Classifier>>,
}

/// What happens to an unreadable document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PoisonPolicy {
    /// It is quarantined; a message is then deleted from its queue.
    #[default]
    Quarantine,
    /// A message stays in its queue, which moves it to its dead-letter queue. Documents of files are quarantined.
    Leave,
}

/// Decodes documents, enriches their rows, and collects both in a batch.
#[derive(Debug, Default)]
pub(crate) struct BatchBuilder {
    allow_list: Arc<AllowList>,
    enricher: Enricher,
    batch: Batch,
}

impl BatchBuilder {
    /// A builder with an empty batch.
    pub(crate) fn new(rules: IntakeRules) -> Self {
        let IntakeRules { allow_list, addresses, classifier } = rules;
        Self { allow_list, enricher: Enricher::new(addresses, classifier), batch: Batch::default() }
    }

    /// Decodes a document into the batch. Returns false for an unreadable message that stays in its queue.
    pub(crate) fn decode(
        &mut self,
        bytes: &[u8],
        origin: &str,
        received_at: i64,
        policy: PoisonPolicy,
    ) -> bool {
        match (self.decode_in(bytes, DecodeContext::new(origin, received_at)), policy) {
            (Ok(()), _) => true,
            (Err(rejection), PoisonPolicy::Quarantine) => {
                self.quarantine(bytes, &rejection, origin, received_at);
                true
            }
            (Err(rejection), PoisonPolicy::Leave) => {
                self.batch.count_poison(rejection.reason);
                false
            }
        }
    }

    /// Decodes a document; the caller reads the S3 objects that it points to.
    pub(crate) fn decode_followed(&mut self, bytes: &[u8], origin: &str, received_at: i64) {
        let context = DecodeContext::new(origin, received_at).with_pointers_followed();
        if let Err(rejection) = self.decode_in(bytes, context) {
            self.quarantine(bytes, &rejection, origin, received_at);
        }
    }

    /// Decodes a span in which no complete document was found: a notice, or the decoder returns the reason to
    /// quarantine it.
    pub(crate) fn decode_incomplete(&mut self, bytes: &[u8], origin: &str, received_at: i64) {
        if bytes.len() > DOCUMENT_BYTES_MAX {
            let detail = format!("no end of the document within {} bytes", bytes.len());
            let rejection = Rejection::new(QuarantineReason::TooLarge, detail);
            self.quarantine(bytes, &rejection, origin, received_at);
        } else {
            self.decode(bytes, origin, received_at, PoisonPolicy::Quarantine);
        }
    }

    /// Adds a document to the quarantine.
    pub(crate) fn quarantine(
        &mut self,
        bytes: &[u8],
        rejection: &Rejection,
        origin: &str,
        received_at: i64,
    ) {
        self.batch.quarantine(bytes, rejection, origin, received_at);
    }

    /// See [`Batch::encode_if_due`].
    pub(crate) fn encode_if_due(&mut self) -> Result<(), StoreError> {
        self.batch.encode_if_due()
    }

    /// See [`Batch::is_full`].
    pub(crate) fn is_full(&self, limits: &BatchLimits) -> bool {
        self.batch.is_full(limits)
    }

    /// Publishes the batch and starts an empty one. See [`Batch::publish`].
    pub(crate) async fn flush(
        &mut self,
        store: &Store,
        now: i64,
    ) -> Result<IngestCounts, StoreError> {
        std::mem::take(&mut self.batch).publish(store, now).await
    }

    fn decode_in(&mut self, bytes: &[u8], context: DecodeContext<'_>) -> Result<(), Rejection> {
        let context = context.with_allow_list(&self.allow_list);
        decode_document(bytes, context, &mut self.enricher.sink(&mut self.batch))?;
        self.batch.add_bytes(bytes.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bouncewatch_fixtures::broken::broken;
    use bouncewatch_fixtures::notices::notices;
    use bouncewatch_fixtures::random::SplitMix64;
    use bouncewatch_fixtures::traffic::{Envelope, Options, Traffic};
    use proptest::prelude::*;

    use super::*;
    use crate::decode::documents::split;

    const RECEIVED_AT: i64 = 1_800_000_000_000;

    /// Single-line documents in random order: events, notices and damaged events.
    fn documents(seed: u64) -> Vec<String> {
        let options = Options { events: 20, seed, envelope: Envelope::Mixed, ..Options::default() };
        let mut documents: Vec<String> = Traffic::new(&options).unwrap().collect();
        documents.extend(notices().into_iter().map(|notice| notice.body));
        // brackets are separators of documents
        let is_array = |body: &str| body.starts_with('[');
        documents.extend(broken(36, seed).map(|broken| broken.body).filter(|body| !is_array(body)));
        let mut rng = SplitMix64::new(seed);
        for last in (1..documents.len()).rev() {
            documents.swap(last, rng.index(last + 1));
        }
        documents
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn every_document_is_stored_ignored_or_quarantined_once(seed in any::<u64>(), chunk in 1_000..20_000usize) {
            let documents = documents(seed);
            let text = documents.join("\n") + "\n";
            let bytes = text.as_bytes();
            let mut builder = BatchBuilder::default();
            let (mut consumed, mut end) = (0, 0);
            while end < bytes.len() {
                end = (end + chunk).min(bytes.len());
                let (spans, length) = split(&bytes[consumed..end], end == bytes.len());
                for span in spans {
                    let document = &bytes[consumed + span.start..consumed + span.end];
                    builder.decode(document, "test", RECEIVED_AT, PoisonPolicy::Quarantine);
                }
                consumed += length;
            }
            let counts = builder.batch.counts();
            prop_assert!(counts.events >= 20);
            prop_assert_eq!(
                counts.events + counts.ignored_total() + counts.quarantined_total(),
                documents.len() as u64
            );
            // the same documents as single messages, left in their queue if unreadable
            let mut single = BatchBuilder::default();
            let left = documents.iter().filter(|document| {
                !single.decode(document.as_bytes(), "test", RECEIVED_AT, PoisonPolicy::Leave)
            });
            let left = left.count() as u64;
            let single = single.batch.counts();
            prop_assert_eq!(left, counts.quarantined_total());
            prop_assert_eq!(&single.poison, &counts.quarantined);
            prop_assert_eq!((single.events, &single.ignored), (counts.events, &counts.ignored));
        }
    }
}
