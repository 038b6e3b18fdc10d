//! The messages that were received and are neither deleted nor given up: what must stay hidden, and how much there is.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::telemetry::gauges::Slot;

/// How long SQS lets a message be hidden after it was received, however often that is extended.
const HIDDEN_MAX: Duration = Duration::from_hours(12);

/// The messages that are held.
#[derive(Debug)]
pub(super) struct Held {
    next: AtomicU64,
    messages: Mutex<BTreeMap<u64, Message>>,
    count: watch::Sender<usize>,
    /// The same for whoever watches.
    shown: Slot<i64>,
}

#[derive(Debug, Clone)]
struct Message {
    handle: String,
    received: Instant,
    hidden_until: Instant,
}

impl Held {
    /// Nothing is held yet.
    pub(super) fn new(shown: Slot<i64>) -> Self {
        let count = watch::Sender::new(0);
        Self { next: AtomicU64::new(0), messages: Mutex::default(), count, shown }
    }

    fn messages(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Message>> {
        self.messages.lock().expect("nobody panics while holding this lock")
    }

    /// Takes messages that were received just now, and gives each a number, from the first one on.
    pub(super) fn take(
        &self,
        handles: impl ExactSizeIterator<Item = String>,
        received: Instant,
        visibility: Duration,
    ) -> u64 {
        let length = u64::try_from(handles.len()).unwrap_or(u64::MAX);
        let first = self.next.fetch_add(length, Ordering::Relaxed);
        let mut messages = self.messages();
        for (id, handle) in (first..).zip(handles) {
            messages.insert(id, Message { handle, received, hidden_until: received + visibility });
        }
        self.tell(&messages);
        first
    }

    /// Tells how many are held, while nobody can change that: the last number told is the last one that was true.
    fn tell(&self, messages: &BTreeMap<u64, Message>) {
        self.count.send_replace(messages.len());
        self.shown.set(i64::try_from(messages.len()).unwrap_or(i64::MAX));
    }

    /// The receipt handles of messages.
    pub(super) fn handles(&self, ids: &[u64]) -> Vec<(u64, String)> {
        let messages = self.messages();
        let handle = |id: &u64| Some((*id, messages.get(id)?.handle.clone()));
        ids.iter().filter_map(handle).collect()
    }

    /// Forgets messages: they are deleted, or come again.
    pub(super) fn forget(&self, ids: impl IntoIterator<Item = u64>) {
        let mut messages = self.messages();
        for id in ids {
            messages.remove(&id);
        }
        self.tell(&messages);
    }

    /// How many messages are held.
    pub(super) fn len(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until no more than so many are held.
    pub(super) async fn at_most(&self, count: usize) {
        let mut held = self.count.subscribe();
        // the sender lives as long as this does
        _ = held.wait_for(|held| *held <= count).await;
    }

    /// Messages that come out of hiding before `soon`, and may be hidden until `until`.
    pub(super) fn to_hide(&self, soon: Instant, until: Instant) -> Vec<(u64, String)> {
        let messages = self.messages();
        let wanted = messages.iter().filter(|(_, message)| {
            message.hidden_until <= soon && until.duration_since(message.received) < HIDDEN_MAX
        });
        wanted.map(|(id, message)| (*id, message.handle.clone())).collect()
    }

    /// Notes that messages are hidden until a moment.
    pub(super) fn hidden(&self, ids: impl IntoIterator<Item = u64>, until: Instant) {
        let mut messages = self.messages();
        for id in ids {
            if let Some(message) = messages.get_mut(&id) {
                message.hidden_until = until;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn messages_are_hidden_again_until_they_are_forgotten() {
        let shown = std::sync::Arc::<crate::telemetry::gauges::Slots<i64>>::default();
        let (held, start) = (Held::new(shown.slot()), Instant::now());
        let secs = Duration::from_secs;
        let take = |handle: &str, after| {
            held.take([handle.to_owned()].into_iter(), start + secs(after), secs(60))
        };
        let (one, two) = (take("one", 0), take("two", 30));
        let wanted = |soon, until| held.to_hide(start + secs(soon), start + secs(until));
        assert_eq!(shown.sum(), 2);
        assert!(wanted(59, 119).is_empty());
        assert_eq!(wanted(60, 120), [(one, "one".to_owned())]);
        held.hidden([one], start + secs(120));
        assert!(wanted(60, 120).is_empty());
        assert_eq!(wanted(90, 150), [(two, "two".to_owned())]);
        // SQS hides nothing for longer than twelve hours after it was received
        assert_eq!(wanted(43_000, 43_210), [(two, "two".to_owned())]);
        held.forget([one, two]);
        held.at_most(0).await;
        assert_eq!(shown.sum(), 0);
        assert!(wanted(90, 150).is_empty() && held.handles(&[one]).is_empty());
    }
}
