//! Messages with rows after the range of days in which they were sent. No polars.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::scan::message_keys::MessageKeys;

/// Late messages of ranges that are scanned concurrently, newest first.
///
/// The scan of a range waits until the late messages of all newer ranges are known, and keeps their
/// rows. Otherwise the days of the range would be read twice.
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

/// Handle of the scan of one range. Dropping it releases the scans that wait for it, so a failed
/// scan does not block them.
pub(super) struct LateScan<'l> {
    messages: &'l LateMessages,
    range: usize,
}

impl LateMessages {
    /// Returns the state before any scan has started.
    pub(super) fn new(ranges: usize) -> Self {
        let known = KnownMessages { keys: MessageKeys::default(), is_known: vec![false; ranges] };
        Self { known: Mutex::new(known), changed: Condvar::new() }
    }

    /// Starts the scan of a range. Newer ranges have lower numbers, and must be started first.
    pub(super) fn start(&self, range: usize) -> LateScan<'_> {
        LateScan { messages: self, range }
    }

    /// Returns the late messages of all ranges.
    pub(super) fn into_keys(self) -> MessageKeys {
        self.known.into_inner().unwrap_or_else(PoisonError::into_inner).keys
    }

    fn lock(&self) -> MutexGuard<'_, KnownMessages> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LateScan<'_> {
    /// Announces the late messages of the range, after all its rows were read.
    pub(super) fn announce(&self, keys: &MessageKeys) {
        self.messages.lock().keys.extend(keys);
        self.set_known();
    }

    /// Waits for the late messages of all newer ranges, and returns them.
    pub(super) fn wait_for_newer(&self) -> MessageKeys {
        let LateMessages { changed, .. } = self.messages;
        let is_waiting = |known: &mut KnownMessages| known.is_known[..self.range].contains(&false);
        let known = changed.wait_while(self.messages.lock(), is_waiting);
        known.unwrap_or_else(PoisonError::into_inner).keys.clone()
    }

    fn set_known(&self) {
        self.messages.lock().is_known[self.range] = true;
        self.messages.changed.notify_all();
    }
}

impl Drop for LateScan<'_> {
    fn drop(&mut self) {
        self.set_known();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_waits_for_the_messages_of_newer_ranges_even_if_their_scan_fails() {
        let messages = LateMessages::new(3);
        let keys = MessageKeys::from_iter([7]);
        let [newest, failed, oldest] = [0, 1, 2].map(|range| messages.start(range));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| oldest.wait_for_newer());
            newest.announce(&keys);
            assert_eq!(failed.wait_for_newer(), keys);
            drop(failed);
            assert_eq!(waiting.join().unwrap(), keys);
        });
        drop((newest, oldest));
        assert_eq!(messages.into_keys(), keys);
    }
}
