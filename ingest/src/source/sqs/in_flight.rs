//! [`InFlight`]: the messages that were received and are neither deleted nor returned to the queue.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::telemetry::gauges::GaugeSlot;

/// SQS limits the visibility timeout to 12 hours after the receive, including extensions.
const INVISIBLE_MAX: Duration = Duration::from_hours(12);

/// The messages in flight.
#[derive(Debug)]
pub(super) struct InFlight {
    next_id: AtomicU64,
    messages: Mutex<BTreeMap<u64, InFlightMessage>>,
    count: watch::Sender<usize>,
    gauge: GaugeSlot<i64>,
}

#[derive(Debug, Clone)]
struct InFlightMessage {
    receipt_handle: String,
    received: Instant,
    invisible_until: Instant,
}

impl InFlight {
    /// An empty list. `gauge` receives the number of messages.
    pub(super) fn new(gauge: GaugeSlot<i64>) -> Self {
        let count = watch::Sender::new(0);
        Self { next_id: AtomicU64::new(0), messages: Mutex::default(), count, gauge }
    }

    fn messages(&self) -> MutexGuard<'_, BTreeMap<u64, InFlightMessage>> {
        self.messages.lock().expect("lock is never poisoned")
    }

    /// Adds messages that were just received. They get consecutive IDs; returns the first ID.
    pub(super) fn add(
        &self,
        receipt_handles: impl ExactSizeIterator<Item = String>,
        received: Instant,
        visibility: Duration,
    ) -> u64 {
        let length = u64::try_from(receipt_handles.len()).unwrap_or(u64::MAX);
        let first = self.next_id.fetch_add(length, Ordering::Relaxed);
        let invisible_until = received + visibility;
        let mut messages = self.messages();
        for (id, receipt_handle) in (first..).zip(receipt_handles) {
            messages.insert(id, InFlightMessage { receipt_handle, received, invisible_until });
        }
        self.publish_count(&messages);
        first
    }

    /// Publishes the number of messages. Call it under the lock, so that updates stay in order.
    fn publish_count(&self, messages: &BTreeMap<u64, InFlightMessage>) {
        self.count.send_replace(messages.len());
        self.gauge.set(i64::try_from(messages.len()).unwrap_or(i64::MAX));
    }

    /// The receipt handles of messages.
    pub(super) fn receipt_handles(&self, ids: &[u64]) -> Vec<(u64, String)> {
        let messages = self.messages();
        let handle = |id: &u64| Some((*id, messages.get(id)?.receipt_handle.clone()));
        ids.iter().filter_map(handle).collect()
    }

    /// Removes messages that are deleted or returned to the queue.
    pub(super) fn remove(&self, ids: impl IntoIterator<Item = u64>) {
        let mut messages = self.messages();
        for id in ids {
            messages.remove(&id);
        }
        self.publish_count(&messages);
    }

    /// Number of messages.
    pub(super) fn len(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until at most `count` messages are in flight.
    pub(super) async fn wait_for_at_most(&self, count: usize) {
        let mut current = self.count.subscribe();
        // cannot fail: `self` owns the sender
        _ = current.wait_for(|current| *current <= count).await;
    }

    /// Messages that become visible by `soon`, without those that SQS cannot keep invisible until
    /// `until`.
    pub(super) fn expiring(&self, soon: Instant, until: Instant) -> Vec<(u64, String)> {
        let messages = self.messages();
        let expiring = messages.iter().filter(|(_, message)| {
            message.invisible_until <= soon
                && until.duration_since(message.received) < INVISIBLE_MAX
        });
        expiring.map(|(id, message)| (*id, message.receipt_handle.clone())).collect()
    }

    /// Records that the visibility timeout of messages was extended to `until`.
    pub(super) fn record_extension(&self, ids: impl IntoIterator<Item = u64>, until: Instant) {
        let mut messages = self.messages();
        for id in ids {
            if let Some(message) = messages.get_mut(&id) {
                message.invisible_until = until;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::gauges::GaugeSlots;

    #[tokio::test(start_paused = true)]
    async fn message_is_due_until_it_is_extended_or_removed() {
        let gauge = std::sync::Arc::<GaugeSlots<i64>>::default();
        let (in_flight, start) = (InFlight::new(gauge.slot()), Instant::now());
        let secs = Duration::from_secs;
        let add = |handle: &str, after| {
            in_flight.add([handle.to_owned()].into_iter(), start + secs(after), secs(60))
        };
        let (one, two) = (add("one", 0), add("two", 30));
        let expiring = |soon, until| in_flight.expiring(start + secs(soon), start + secs(until));
        assert_eq!(gauge.sum(), 2);
        assert!(expiring(59, 119).is_empty());
        assert_eq!(expiring(60, 120), [(one, "one".to_owned())]);
        in_flight.record_extension([one], start + secs(120));
        assert!(expiring(60, 120).is_empty());
        assert_eq!(expiring(90, 150), [(two, "two".to_owned())]);
        // the first message has reached the limit of 12 hours
        assert_eq!(expiring(43_000, 43_210), [(two, "two".to_owned())]);
        in_flight.remove([one, two]);
        in_flight.wait_for_at_most(0).await;
        assert_eq!(gauge.sum(), 0);
        assert!(expiring(90, 150).is_empty() && in_flight.receipt_handles(&[one]).is_empty());
    }
}
