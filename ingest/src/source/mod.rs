//! Where events come from. A source hands over parcels; a parcel of a queue carries a receipt, which goes back to the
//! source when everything in the parcel is durable, and not before (invariant I-1).

pub mod files;
pub mod sqs;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, watch};

use crate::documents::Piece;

/// Bytes that were taken together.
#[derive(Debug)]
pub struct Parcel {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The documents in them; `None` where the bytes are one message.
    pub pieces: Option<Vec<Piece>>,
    /// File or queue.
    pub origin: Arc<str>,
    /// When they were taken, epoch milliseconds.
    pub received_at: i64,
    /// What settles them.
    pub receipt: Option<Receipt>,
}

/// The duty to tell the source that a parcel is durable. Dropped without it, the message comes again.
#[derive(Debug)]
pub struct Receipt {
    handle: String,
    settle: mpsc::UnboundedSender<String>,
}

impl Receipt {
    /// A receipt that is settled through a channel.
    pub fn new(handle: String, settle: mpsc::UnboundedSender<String>) -> Self {
        Self { handle, settle }
    }

    /// Tells the source: stored, ignored or quarantined, and durable.
    pub fn settle(self) {
        // a source that is gone has no use for it: the message comes again, and nothing is lost
        _ = self.settle.send(self.handle);
    }
}

/// The clock, handed in: only the command reads it.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How far a run is, for whoever shows it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Messages or documents taken.
    pub messages: AtomicU64,
    /// Bytes read from files, as they lie on disk.
    pub bytes_read: AtomicU64,
    /// Bytes there are to read, where that is known.
    pub bytes_total: AtomicU64,
    /// Rows that are durable.
    pub rows: AtomicU64,
}

impl Progress {
    pub(crate) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(u64::try_from(count).unwrap_or_default(), Ordering::Relaxed);
    }
}

/// Resolves when the run shall end.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // a sender that is gone can no longer ask
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}
