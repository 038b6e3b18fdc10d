//! [`BilledRequests`]: how many requests SQS charges for. `source/sqs/cost.rs` estimates their price.

use std::sync::atomic::{AtomicU64, Ordering};

/// The two kinds of SQS queues; their requests have different prices.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum QueueKind {
    /// A standard queue.
    #[default]
    Standard,
    /// A FIFO queue: messages of a group arrive in order, and only after the earlier ones are deleted.
    Fifo,
}

/// Requests that SQS charges for, by kind of queue.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct BilledRequests {
    /// Requests to standard queues.
    pub standard: u64,
    /// Requests to FIFO queues.
    pub fifo: u64,
}

impl BilledRequests {
    /// Requests to all queues.
    pub fn requests(self) -> u64 {
        self.standard + self.fifo
    }
}

/// Counter behind [`BilledRequests`].
#[derive(Debug, Default)]
pub(super) struct BilledCounter {
    standard: AtomicU64,
    fifo: AtomicU64,
}

impl BilledCounter {
    pub(super) fn add(&self, kind: QueueKind, requests: u64) {
        let counter = match kind {
            QueueKind::Standard => &self.standard,
            QueueKind::Fifo => &self.fifo,
        };
        counter.fetch_add(requests, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> BilledRequests {
        BilledRequests {
            standard: self.standard.load(Ordering::Relaxed),
            fifo: self.fifo.load(Ordering::Relaxed),
        }
    }
}
