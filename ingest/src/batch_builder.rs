//! [`BatchBuilder`]: decodes documents into a batch.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use bouncewatch_classify::Classifier;
use bouncewatch_store::addresses::AddressRedactor;
use bouncewatch_store::{Store, StoreError};

use crate::batch::{Batch, BatchLimits, BatchSegment, PublishResult};
use crate::decode::allow_list::AllowList;
use crate::decode::documents::{DOCUMENT_BYTES_MAX, DocumentSpan};
use crate::decode::outcome::{QuarantineReason, Rejection};
use crate::decode::{DecodeContext, decode_document};
use crate::enrich::{Enricher, EnrichingSink};
use crate::source::delivery::Delivery;
use crate::source::sqs::SnsVerifier;

/// Rules for accepting, redacting and classifying events.
#[derive(Debug, Clone, Default)]
pub struct IntakeRules {
    /// Accounts, topics and identities with accepted events.
    pub allow_list: Arc<AllowList>,
    /// Redacts recipient addresses.
    pub addresses: AddressRedactor,
    /// Classifies bounces and delays; `None` for the built-in rules.
    pub classifier: Option<Arc<Classifier>>,
    /// Checks that messages of queues are signed by SNS; `None` accepts unsigned messages.
    pub verifier: Option<Arc<SnsVerifier>>,
}

/// What happens to an unreadable document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PoisonPolicy {
    /// Quarantine it. If it is a message, delete it from its queue.
    #[default]
    Quarantine,
    /// Leave a message in its queue, so that SQS moves it to the dead-letter queue. Documents of
    /// files are quarantined.
    Leave,
}

/// Decodes documents, enriches their rows, and collects both in a batch.
#[derive(Debug)]
pub(crate) struct BatchBuilder {
    allow_list: Arc<AllowList>,
    enricher: Enricher,
    batch: Batch,
    /// [`decode_document`]; a test replaces it.
    decoder: Decoder,
}

type Decoder = fn(&[u8], DecodeContext<'_>, &mut EnrichingSink<'_>) -> Result<(), Rejection>;

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new(IntakeRules::default())
    }
}

impl BatchBuilder {
    /// A builder with an empty batch.
    pub(crate) fn new(rules: IntakeRules) -> Self {
        let IntakeRules { allow_list, addresses, classifier, verifier: _ } = rules;
        Self {
            allow_list,
            enricher: Enricher::new(addresses, classifier),
            batch: Batch::default(),
            decoder: |bytes, context, sink| decode_document(bytes, context, sink),
        }
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

    /// Decodes a document of a file, an object or a log group. An incomplete span is decoded too:
    /// it may be a notice, and otherwise the decoder returns the reason for the quarantine.
    pub(crate) fn decode_span(&mut self, delivery: &Delivery, span: &DocumentSpan) {
        let (origin, received_at) = (delivery.origin.as_ref(), delivery.received_at);
        let Some(bytes) = delivery.bytes.get(span.start..span.end) else { return };
        let decoded = if span.is_complete || bytes.len() <= DOCUMENT_BYTES_MAX {
            self.decode_in(bytes, DecodeContext::new(origin, received_at))
        } else {
            let detail = format!("no end of the document within {} bytes", bytes.len());
            Err(Rejection::new(QuarantineReason::TooLarge, detail))
        };
        match decoded {
            Ok(()) => {}
            Err(rejection) if delivery.quarantine_limit.admits(bytes.len()) => {
                self.quarantine(bytes, &rejection, origin, received_at);
            }
            Err(rejection) => {
                self.batch.quarantine_overflow(bytes, &rejection, origin, received_at);
            }
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

    /// See [`Batch::take_touched`].
    pub(crate) fn take_touched(&mut self) -> Vec<BatchSegment> {
        self.batch.take_touched()
    }

    /// Publishes the batch and starts an empty one. See [`Batch::publish`].
    pub(crate) async fn flush(&mut self, store: &Store, now: i64) -> PublishResult {
        std::mem::take(&mut self.batch).publish(store, now).await
    }

    /// The batch so far.
    #[cfg(fuzzing)]
    pub(crate) fn batch(&self) -> &Batch {
        &self.batch
    }

    fn decode_in(&mut self, bytes: &[u8], context: DecodeContext<'_>) -> Result<(), Rejection> {
        let context = context.with_allow_list(&self.allow_list);
        let mut sink = self.enricher.sink(&mut self.batch);
        // otherwise a document that panics would end every run that receives it
        let decoded = catch_unwind(AssertUnwindSafe(|| (self.decoder)(bytes, context, &mut sink)));
        match decoded {
            Ok(decoded) => decoded?,
            // an incomplete segment has lost rows of other documents: end the run, delete no
            // message
            Err(panic) if self.batch.is_incomplete() => resume_unwind(panic),
            Err(_) => {
                self.enricher.reset();
                let detail = "the decoder failed; this is a bug, please report it";
                return Err(Rejection::new(QuarantineReason::Panicked, detail));
            }
        }
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

    #[test]
    fn document_that_panics_is_quarantined_and_others_are_stored() {
        let options = Options { events: 20, ..Options::default() };
        let decoder: Decoder = |bytes, context, sink| {
            decode_document(bytes, context, sink)?;
            assert!(!bytes.ends_with(b" "), "a bug of the decoder");
            Ok(())
        };
        let mut builder = BatchBuilder { decoder, ..BatchBuilder::default() };
        for (at, mut body) in Traffic::new(&options).unwrap().enumerate() {
            if at == 7 {
                body.push(' ');
            }
            assert!(builder.decode(body.as_bytes(), "test", RECEIVED_AT, PoisonPolicy::Quarantine));
        }
        let counts = builder.batch.counts();
        assert_eq!(counts.quarantined, [("panicked", 1)].into());
        assert!(counts.events >= 20);
        builder.batch.encode_if_due().unwrap();
        // a message with the policy `leave` stays in its queue
        let mut body = Traffic::new(&options).unwrap().next().unwrap();
        body.push(' ');
        assert!(!builder.decode(body.as_bytes(), "test", RECEIVED_AT, PoisonPolicy::Leave));
        assert_eq!(builder.batch.counts().poison, [("panicked", 1)].into());
    }

    #[test]
    fn rows_of_one_document_are_encoded_before_they_fill_the_memory() {
        let tag = "v".repeat(250);
        let tags: serde_json::Map<String, serde_json::Value> =
            (0..100).map(|n| (format!("tag-{n}"), serde_json::json!([tag]))).collect();
        let destination: Vec<String> = (0..1_000).map(|n| format!("u{n}@example.org")).collect();
        let sends: Vec<serde_json::Value> = (1..=3)
            .map(|day| {
                serde_json::json!({"eventType": "Send", "mail": {"messageId": "m", "destination": destination,
                    "timestamp": format!("2026-11-0{day}T00:00:00Z"), "tags": tags}, "send": {}})
            })
            .collect();
        let document = serde_json::json!({"Records": sends.iter().map(|send| serde_json::json!({"body": send})).collect::<Vec<_>>()});
        let mut builder = BatchBuilder::default();
        let document = document.to_string();
        assert!(document.len() < 300_000);
        assert!(builder.decode(document.as_bytes(), "test", RECEIVED_AT, PoisonPolicy::Leave));
        assert_eq!(builder.batch.counts().events, 3);
        // 75 MB of rows
        assert!(builder.batch.memory_bytes() < 40_000_000, "{}", builder.batch.memory_bytes());
    }

    #[test]
    fn lists_of_gigabytes_in_memory_are_too_large() {
        for (list, items) in [("Records", 300_000), ("logEvents", 600_000)] {
            let document = format!("{{\"{list}\":[{}0]}}", "0,".repeat(items));
            let mut builder = BatchBuilder::default();
            builder.decode(document.as_bytes(), "test", RECEIVED_AT, PoisonPolicy::Quarantine);
            assert_eq!(builder.batch.counts().quarantined, [("too_large", 1)].into(), "{list}");
        }
    }

    #[test]
    fn batch_is_full_when_quarantined_documents_fill_the_memory() {
        let mut builder = BatchBuilder::default();
        let mut documents = 0;
        while !builder.is_full(&BatchLimits::default()) {
            builder.decode(b"x", "test", RECEIVED_AT, PoisonPolicy::Quarantine);
            documents += 1;
        }
        assert!((50_000..200_000).contains(&documents), "{documents}");
    }

    #[test]
    fn documents_beyond_the_limit_of_a_file_are_one_entry() {
        let text = "{\n".repeat(3_000);
        let (spans, _) = split(text.as_bytes(), true);
        let delivery =
            Delivery::documents(text.into_bytes(), spans.clone(), Arc::from("file"), RECEIVED_AT);
        let mut builder = BatchBuilder::default();
        for span in &spans {
            builder.decode_span(&delivery, span);
        }
        assert_eq!(builder.batch.counts().quarantined_total(), 3_000);
        assert_eq!(builder.batch.quarantine_entries(), 1_001);
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
