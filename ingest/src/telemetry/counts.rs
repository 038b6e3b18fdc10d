//! [`IngestCounts`]: counts of a batch, a worker or a run.

use std::collections::BTreeMap;

/// Counts of one batch, one worker or one run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct IngestCounts {
    /// Messages received from queues, and documents read from files and objects.
    pub messages: u64,
    /// Events stored.
    pub events: u64,
    /// Rows stored.
    pub rows: u64,
    /// Rows that were stored before; a lower bound, because a worker remembers only the last rows.
    pub duplicates: u64,
    /// Documents ignored, by reason.
    pub ignored: BTreeMap<&'static str, u64>,
    /// Documents quarantined, by reason.
    pub quarantined: BTreeMap<&'static str, u64>,
    /// Unreadable messages left in their queue, by reason.
    pub poison: BTreeMap<&'static str, u64>,
    /// Time of the newest stored event, epoch milliseconds. Events with a time in the future do not count.
    pub newest_event_at: Option<i64>,
    /// Segments of the event table published.
    pub segments: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Messages deleted from their queue.
    pub deleted: u64,
    /// Messages that could not be deleted. They become visible again.
    pub delete_failed: u64,
    /// Messages left in the queue. They become visible again, or go to the dead-letter queue.
    pub left: u64,
}

impl IngestCounts {
    /// Adds the counts of another batch, worker or source.
    pub fn add(&mut self, other: &Self) {
        let Self {
            messages,
            events,
            rows,
            duplicates,
            ignored,
            quarantined,
            poison,
            newest_event_at,
            segments,
            bytes,
            deleted,
            delete_failed,
            left,
        } = other;
        self.messages += messages;
        self.events += events;
        self.rows += rows;
        self.duplicates += duplicates;
        add_reasons(&mut self.ignored, ignored);
        add_reasons(&mut self.quarantined, quarantined);
        add_reasons(&mut self.poison, poison);
        self.newest_event_at = self.newest_event_at.max(*newest_event_at);
        self.segments += segments;
        self.bytes += bytes;
        self.deleted += deleted;
        self.delete_failed += delete_failed;
        self.left += left;
    }

    /// Number of quarantined documents.
    pub fn quarantined_total(&self) -> u64 {
        self.quarantined.values().sum()
    }

    /// Number of ignored documents.
    pub fn ignored_total(&self) -> u64 {
        self.ignored.values().sum()
    }
}

fn add_reasons(total: &mut BTreeMap<&'static str, u64>, more: &BTreeMap<&'static str, u64>) {
    for (reason, count) in more {
        *total.entry(reason).or_default() += count;
    }
}
