//! [`PendingBatch`]: the batch of a worker, with the receipts of its deliveries.

use tokio::time::Instant;

use crate::batch::{BatchLimits, BatchSegment};
use crate::batch_builder::{BatchBuilder, IntakeRules, PoisonPolicy};
use crate::source::delivery::{Delivery, Handling};
use crate::source::receipt::Receipt;
use crate::telemetry::counts::IngestCounts;

/// Maximum number of queue messages in one batch. Messages are in flight until their batch is
/// durable; after a crash SQS delivers them again.
const RECEIPTS_MAX: usize = 2 * 1024;

/// The current batch of a worker with its receipts, and the counts of its durable batches.
#[derive(Default)]
pub(crate) struct PendingBatch {
    pub(crate) batch: BatchBuilder,
    poison: PoisonPolicy,
    /// Receipts, each with the segments of the batch that contain its delivery.
    pub(crate) receipts: Vec<(Receipt, Vec<BatchSegment>)>,
    pub(crate) messages: u64,
    /// Time of the first delivery.
    pub(crate) since: Option<Instant>,
    /// Counts of the durable batches.
    pub(crate) done: IngestCounts,
}

impl PendingBatch {
    /// An empty batch.
    pub(crate) fn new(rules: IntakeRules, poison: PoisonPolicy) -> Self {
        Self { batch: BatchBuilder::new(rules), poison, ..Self::default() }
    }

    /// Decodes a delivery into the batch. Returns its bytes, for reuse as a buffer.
    pub(crate) fn add(&mut self, delivery: Delivery) -> Vec<u8> {
        self.since.get_or_insert_with(Instant::now);
        let (origin, received_at) = (delivery.origin.as_ref(), delivery.received_at);
        match (&delivery.handling, &delivery.documents) {
            // not counted as a message: its `DecodeFollowed` delivery is
            (Handling::Quarantine(rejection), _) => {
                self.batch.quarantine(&delivery.bytes, rejection, origin, received_at);
            }
            (Handling::DecodeFollowed, _) => {
                self.batch.decode_followed(&delivery.bytes, origin, received_at);
                self.messages += 1;
            }
            (Handling::Decode, None) => {
                let poison =
                    if delivery.receipt.is_some() { self.poison } else { PoisonPolicy::Quarantine };
                self.messages += 1;
                if !self.batch.decode(&delivery.bytes, origin, received_at, poison) {
                    // drops the receipt without settling it: the message stays in its queue
                    self.batch.take_touched();
                    return delivery.bytes;
                }
            }
            (Handling::Decode, Some(documents)) => {
                for document in documents {
                    self.batch.decode_span(&delivery, document);
                    self.messages += 1;
                }
            }
        }
        let segments = self.batch.take_touched();
        self.receipts.extend(delivery.receipt.map(|receipt| (receipt, segments)));
        delivery.bytes
    }

    /// Whether the batch has reached a limit other than its age.
    pub(crate) fn is_full(&self, limits: &BatchLimits) -> bool {
        self.receipts.len() >= RECEIPTS_MAX || self.batch.is_full(limits)
    }

    /// Whether the batch has reached its maximum age.
    pub(crate) fn is_old(&self, limits: &BatchLimits) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= limits.age_max)
    }
}
