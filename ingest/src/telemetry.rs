//! Everything that an ingest run counts.

use std::collections::BTreeMap;

/// What was done with what came. Only what is durable is counted.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Messages taken from queues, and documents from files.
    pub messages: u64,
    /// Events that were stored.
    pub events: u64,
    /// Rows that were stored.
    pub rows: u64,
    /// Documents that were ignored, by reason.
    pub ignored: BTreeMap<&'static str, u64>,
    /// Documents that were set aside, by reason.
    pub quarantined: BTreeMap<&'static str, u64>,
    /// Segments of the event table.
    pub segments: u64,
    /// Bytes that were written.
    pub bytes: u64,
    /// Messages that were deleted from their queue.
    pub deleted: u64,
    /// Messages that could not be deleted; they come again.
    pub delete_failed: u64,
}

impl Counts {
    /// Adds what another part did.
    pub fn add(&mut self, other: &Self) {
        let Self {
            messages,
            events,
            rows,
            ignored,
            quarantined,
            segments,
            bytes,
            deleted,
            delete_failed,
        } = other;
        self.messages += messages;
        self.events += events;
        self.rows += rows;
        for (reason, count) in ignored {
            *self.ignored.entry(reason).or_default() += count;
        }
        for (reason, count) in quarantined {
            *self.quarantined.entry(reason).or_default() += count;
        }
        self.segments += segments;
        self.bytes += bytes;
        self.deleted += deleted;
        self.delete_failed += delete_failed;
    }

    /// Documents that were set aside.
    pub fn quarantined_total(&self) -> u64 {
        self.quarantined.values().sum()
    }

    /// Documents that were ignored.
    pub fn ignored_total(&self) -> u64 {
        self.ignored.values().sum()
    }
}
