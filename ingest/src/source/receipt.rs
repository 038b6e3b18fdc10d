//! [`Receipt`]: informs a source whether a message or page is durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;

/// The result for one message or page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settlement {
    /// Number of the message or page, chosen by the source.
    pub id: u64,
    /// Whether all events of the message are durable. If not, the source must deliver it again.
    pub durable: bool,
}

/// Informs the source whether a message or page is durable.
///
/// If a message becomes several deliveries (a notification and its S3 objects), each delivery has a
/// clone. The source gets one [`Settlement`] when the last clone is dropped: durable if all clones
/// were settled, not durable if a clone was dropped without settling (for example because the store
/// failed).
#[derive(Debug)]
pub struct Receipt {
    shared: Arc<SharedReceipt>,
    settled: bool,
}

#[derive(Debug)]
struct SharedReceipt {
    id: u64,
    dropped_unsettled: AtomicBool,
    settlements: mpsc::UnboundedSender<Settlement>,
}

impl Receipt {
    /// The first receipt of a message. The settlement is sent to `settlements`.
    pub fn new(id: u64, settlements: mpsc::UnboundedSender<Settlement>) -> Self {
        let dropped_unsettled = AtomicBool::new(false);
        Self {
            shared: Arc::new(SharedReceipt { id, dropped_unsettled, settlements }),
            settled: false,
        }
    }

    /// Marks the delivery as durable: stored, ignored or quarantined.
    pub fn settle(mut self) {
        self.settled = true;
    }
}

impl Clone for Receipt {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), settled: false }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if !self.settled {
            self.shared.dropped_unsettled.store(true, Ordering::Release);
        }
    }
}

impl Drop for SharedReceipt {
    fn drop(&mut self) {
        let durable = !self.dropped_unsettled.load(Ordering::Acquire);
        // an error means that the source has ended; the message is not deleted and is delivered
        // again
        _ = self.settlements.send(Settlement { id: self.id, durable });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settlement(parts: usize, settled: usize) -> Settlement {
        let (settlements, mut received) = mpsc::unbounded_channel();
        let first = Receipt::new(7, settlements);
        let mut receipts: Vec<Receipt> = (1..parts).map(|_| first.clone()).collect();
        receipts.push(first);
        for (at, receipt) in receipts.into_iter().enumerate() {
            assert!(received.try_recv().is_err(), "settlement sent before the last part is gone");
            if at < settled {
                receipt.settle();
            }
        }
        received.try_recv().unwrap()
    }

    #[test]
    fn message_is_durable_only_if_all_parts_are_settled() {
        assert_eq!(settlement(1, 1), Settlement { id: 7, durable: true });
        assert_eq!(settlement(1, 0), Settlement { id: 7, durable: false });
        assert_eq!(settlement(3, 3), Settlement { id: 7, durable: true });
        assert_eq!(settlement(3, 2), Settlement { id: 7, durable: false });
    }
}
