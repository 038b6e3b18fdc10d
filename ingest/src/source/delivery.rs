//! [`Delivery`]: the unit that a source hands to a worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;

use crate::decode::documents::DocumentSpan;
use crate::decode::outcome::Rejection;
use crate::source::receipt::Receipt;

/// How a worker handles a delivery.
#[derive(Debug, Default)]
pub enum Handling {
    /// Decode it. If it points to an S3 object, quarantine it.
    #[default]
    Decode,
    /// Decode it; the source reads the S3 objects that it points to.
    DecodeFollowed,
    /// Quarantine it. The other parts of its message are separate deliveries.
    Quarantine(Rejection),
}

/// Bytes that a source received or read, with their origin, time and receipt.
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
    /// How the worker handles it.
    pub handling: Handling,
    /// Limit of single quarantine entries; shared by the deliveries of a file.
    pub(crate) quarantine_limit: Arc<QuarantineLimit>,
}

/// Maximum number of single quarantine entries of a file, an object or a page of a log group.
const QUARANTINED_MAX: usize = 1_000;
/// Size of the single quarantine entries after which no more are added, bytes.
const QUARANTINED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Limits the single quarantine entries of a file, an object or a page of a log group. Without it,
/// a large file of another format would fill the store. Documents beyond the limit share one entry
/// per batch; they remain in their source.
#[derive(Debug, Default)]
pub(crate) struct QuarantineLimit {
    documents: AtomicUsize,
    bytes: AtomicUsize,
}

impl QuarantineLimit {
    /// Whether a document of `length` bytes gets its own quarantine entry. Counts the document.
    pub(crate) fn admits(&self, length: usize) -> bool {
        self.bytes.load(Ordering::Relaxed) < QUARANTINED_BYTES_MAX
            && self.documents.fetch_add(1, Ordering::Relaxed) < QUARANTINED_MAX
            && self.bytes.fetch_add(length, Ordering::Relaxed) < QUARANTINED_BYTES_MAX
    }
}

impl Delivery {
    /// A delivery of documents of a file, an object or a log group.
    pub fn documents(
        bytes: Vec<u8>,
        documents: Vec<DocumentSpan>,
        origin: Arc<str>,
        received_at: i64,
    ) -> Self {
        Self { documents: Some(documents), ..Self::message(bytes, origin, received_at) }
    }

    /// A delivery of one queue message.
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

    /// Sets the quarantine limit, which the deliveries of a file share.
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
