//! The messages that were received and are neither deleted nor given up: what must stay hidden, and how much there is.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::live::Slot;

/// How long SQS lets a message be hidden after it was received, however often that is extended.
const HIDDEN_MAX: Duration = Duration::from_hours(12);

/// The messages that are held.
#[derive(Debug)]
pub(super) struct Held {
    next: AtomicU64,
    messages: Mutex<HashMap<u64, Message>>,
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

    fn messages(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Message>> {
        self.messages.lock().expect("nobody panics while holding this lock")
    }

    /// Takes a message that was received just now, and gives it a number.
    pub(super) fn take(&self, handle: String, received: Instant, visibility: Duration) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let message = Message { handle, received, hidden_until: received + visibility };
        let mut messages = self.messages();
        messages.insert(id, message);
        self.tell(&messages);
        id
    }

    /// Tells how many are held, while nobody can change that: the last number told is the last one that was true.
    fn tell(&self, messages: &HashMap<u64, Message>) {
        self.count.send_replace(messages.len());
        self.shown.set(i64::try_from(messages.len()).unwrap_or(i64::MAX));
    }

    /// The receipt handle of a message.
    pub(super) fn handle(&self, id: u64) -> Option<String> {
        self.messages().get(&id).map(|message| message.handle.clone())
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
        let mut wanted: Vec<(u64, String)> =
            wanted.map(|(id, message)| (*id, message.handle.clone())).collect();
        wanted.sort();
        wanted
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
        let shown = std::sync::Arc::<crate::live::Slots<i64>>::default();
        let (held, start) = (Held::new(shown.slot()), Instant::now());
        let secs = Duration::from_secs;
        let one = held.take("one".into(), start, secs(60));
        let two = held.take("two".into(), start + secs(30), secs(60));
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
        assert!(wanted(90, 150).is_empty() && held.handle(one).is_none());
    }
}
