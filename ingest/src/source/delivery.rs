//! [`Delivery`]: the unit that a source hands to a worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;

use crate::decode::documents::DocumentSpan;
use crate::decode::outcome::Rejection;
use crate::source::receipt::Receipt;

/// What a worker does with a delivery.
#[derive(Debug, Default)]
pub enum Handling {
    /// Decode it. A pointer to an S3 object in it is not followed and goes to quarantine.
    #[default]
    Decode,
    /// Decode it; the source reads the S3 objects that it points to.
    DecodeFollowed,
    /// Quarantine it. The other parts of its message are separate deliveries.
    Quarantine(Rejection),
}

/// Bytes that a source received or read, with what is known about them.
#[derive(Debug)]
pub struct Delivery {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The positions of the documents in `bytes`; `None` if `bytes` is one message.
    pub documents: Option<Vec<DocumentSpan>>,
    /// Name of the file, object, queue or log group.
    pub origin: Arc<str>,
    /// Time of arrival, epoch milliseconds.
    pub received_at: i64,
    /// Informs the source when the delivery is durable.
    pub receipt: Option<Receipt>,
    /// Time of arrival on the monotonic clock.
    pub(crate) arrived: Instant,
    /// What the worker does with it.
    pub handling: Handling,
    /// How many more documents are quarantined one by one; shared by the deliveries of a file.
    pub(crate) quarantine_limit: Arc<QuarantineLimit>,
}

/// Maximum number of documents of a file or object that are quarantined one by one.
const QUARANTINED_MAX: usize = 1_000;
/// Maximum number of their bytes. One more document may exceed it.
const QUARANTINED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Limits what a file, an object or a page of a log group adds to the quarantine: it stays in its source, and a file of
/// another format would fill the store.
#[derive(Debug, Default)]
pub(crate) struct QuarantineLimit {
    documents: AtomicUsize,
    bytes: AtomicUsize,
}

impl QuarantineLimit {
    /// Whether a document of this length is quarantined with its bytes.
    pub(crate) fn admits(&self, length: usize) -> bool {
        self.bytes.load(Ordering::Relaxed) < QUARANTINED_BYTES_MAX
            && self.documents.fetch_add(1, Ordering::Relaxed) < QUARANTINED_MAX
            && self.bytes.fetch_add(length, Ordering::Relaxed) < QUARANTINED_BYTES_MAX
    }
}

impl Delivery {
    /// Documents of a file, an object or a log group.
    pub fn documents(
        bytes: Vec<u8>,
        documents: Vec<DocumentSpan>,
        origin: Arc<str>,
        received_at: i64,
    ) -> Self {
        Self { documents: Some(documents), ..Self::message(bytes, origin, received_at) }
    }

    /// One message of a queue.
    pub fn message(bytes: Vec<u8>, origin: Arc<str>, received_at: i64) -> Self {
        Self {
            bytes,
            documents: None,
            origin,
            received_at,
            receipt: None,
            handling: Handling::Decode,
            arrived: Instant::now(),
            quarantine_limit: Arc::default(),
        }
    }

    /// Sets the receipt.
    #[must_use]
    pub fn with_receipt(self, receipt: Option<Receipt>) -> Self {
        Self { receipt, ..self }
    }

    /// Shares the limit of the file.
    #[must_use]
    pub(crate) fn with_quarantine_limit(self, limit: &Arc<QuarantineLimit>) -> Self {
        Self { quarantine_limit: Arc::clone(limit), ..self }
    }

    /// Bytes in memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes.len() + self.documents.as_deref().map_or(0, size_of_val)
    }

    /// Sets the handling.
    #[must_use]
    pub fn with_handling(self, handling: Handling) -> Self {
        Self { handling, ..self }
    }
}
