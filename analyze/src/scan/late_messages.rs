//! Messages with rows after the range of days in which they were sent. No polars.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::scan::message_keys::MessageKeys;

/// Late messages of ranges that are scanned at the same time, newest first. The scan of a range waits until those of all
/// newer ranges are known, so that it can keep their older rows instead of reading its days again.
#[derive(Debug)]
pub(super) struct LateMessages {
    known: Mutex<KnownMessages>,
    changed: Condvar,
}

#[derive(Debug)]
struct KnownMessages {
    keys: MessageKeys,
    /// Whether the messages of a range are known, by range.
    is_known: Vec<bool>,
}

/// The duty to announce the late messages of a range. If it is dropped, the scan of the range has failed, and no other
/// scan waits for it.
pub(super) struct Announcement<'l> {
    messages: &'l LateMessages,
    range: usize,
}

impl LateMessages {
    /// Returns no messages of some ranges.
    pub(super) fn new(ranges: usize) -> Self {
        let known = KnownMessages { keys: MessageKeys::default(), is_known: vec![false; ranges] };
        Self { known: Mutex::new(known), changed: Condvar::new() }
    }

    /// Starts the scan of a range.
    pub(super) fn start(&self, range: usize) -> Announcement<'_> {
        Announcement { messages: self, range }
    }

    /// Waits for the late messages of all newer ranges, and returns them.
    pub(super) fn of_newer(&self, range: usize) -> MessageKeys {
        let is_waiting = |known: &mut KnownMessages| known.is_known[..range].contains(&false);
        let known = self.changed.wait_while(self.lock(), is_waiting);
        known.unwrap_or_else(PoisonError::into_inner).keys.clone()
    }

    fn lock(&self) -> MutexGuard<'_, KnownMessages> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Announcement<'_> {
    /// Announces the late messages of the range.
    pub(super) fn announce(self, keys: &MessageKeys) {
        self.messages.lock().keys.extend(keys);
    }
}

impl Drop for Announcement<'_> {
    fn drop(&mut self) {
        self.messages.lock().is_known[self.range] = true;
        self.messages.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_waits_for_the_messages_of_newer_ranges_also_if_their_scan_fails() {
        let messages = LateMessages::new(3);
        std::thread::scope(|scope| {
            let newest = messages.start(0);
            let failed = messages.start(1);
            let oldest = scope.spawn(|| messages.of_newer(2));
            newest.announce(&MessageKeys::from_iter([7]));
            assert_eq!(messages.of_newer(1), MessageKeys::from_iter([7]));
            drop(failed);
            assert_eq!(oldest.join().unwrap(), MessageKeys::from_iter([7]));
        });
        assert_eq!(messages.of_newer(0), MessageKeys::from_iter([7]));
    }
}
