//! Steps between decoded rows and the batch: classify failures, redact addresses, count duplicates.

use std::sync::Arc;

use bouncewatch_classify::{Classifier, FailureFacts, Scratch};
use bouncewatch_schemas::event::{EventKind, EventRow};
use bouncewatch_store::addresses::AddressRedactor;

use crate::batch::Batch;
use crate::decode::Sink;
use crate::decode::limits;
use crate::decode::outcome::IgnoreReason;
use crate::duplicates::RecentKeys;

/// Enriches rows. Keeps the event keys of recent rows across batches.
#[derive(Debug, Default)]
pub(crate) struct Enricher {
    addresses: AddressRedactor,
    /// `None` for the built-in rules.
    classifier: Option<Arc<Classifier>>,
    recent_keys: RecentKeys,
    scratch: Scratch,
}

impl Enricher {
    /// `classifier` is `None` for the built-in rules.
    pub(crate) fn new(addresses: AddressRedactor, classifier: Option<Arc<Classifier>>) -> Self {
        Self { addresses, classifier, ..Self::default() }
    }

    /// A sink that enriches rows and adds them to `batch`.
    pub(crate) fn sink<'a>(&'a mut self, batch: &'a mut Batch) -> EnrichingSink<'a> {
        EnrichingSink { enricher: self, batch, rows: 0, row_bytes: 0 }
    }

    /// Classifies a bounce or a deferral, redacts addresses, and adds the row to `batch`. Returns
    /// the bytes of its texts.
    fn add(&mut self, row: &EventRow<'_>, batch: &mut Batch) -> usize {
        let segment = batch.day_of(row);
        // computed before redaction: copies of an event have the same key with every redaction
        // policy
        let event_key = segment.event_key(row);
        let (cause, cause_rule) = match row.kind {
            EventKind::Bounce | EventKind::DeliveryDelay => {
                let classifier =
                    self.classifier.as_deref().unwrap_or_else(|| Classifier::builtin());
                let classification =
                    classifier.classify(&FailureFacts::from_event(row), &mut self.scratch);
                (Some(classification.cause), classification.rule)
            }
            _ => (None, None),
        };
        let classified = EventRow { cause, cause_rule, ..row.clone() };
        let mut text_bytes = 0;
        self.addresses.apply(&classified, |redacted| {
            text_bytes = segment.push_with_key(redacted, event_key);
        });
        batch.count_row(row, text_bytes, self.recent_keys.insert(event_key));
        text_bytes
    }

    /// Discards the state of a classification that a panic interrupted.
    pub(crate) fn reset(&mut self) {
        self.scratch = Scratch::default();
    }
}

/// See [`Enricher::sink`].
pub(crate) struct EnrichingSink<'a> {
    enricher: &'a mut Enricher,
    batch: &'a mut Batch,
    /// Number of rows of the current document.
    rows: usize,
    /// Bytes of the texts of these rows.
    row_bytes: usize,
}

impl Sink for EnrichingSink<'_> {
    fn event(&mut self) {
        self.batch.count_event();
    }

    fn row(&mut self, row: &EventRow<'_>) {
        self.rows += 1;
        self.row_bytes += self.enricher.add(row, self.batch);
    }

    fn is_full(&self) -> bool {
        self.rows >= limits::ROWS_MAX
            || self.row_bytes >= limits::ROW_BYTES_MAX
            || self.batch.days() >= limits::DAYS_MAX
    }

    fn ignored(&mut self, reason: IgnoreReason) {
        self.batch.count_ignored(reason);
    }
}
