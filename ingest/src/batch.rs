//! [`Batch`]: rows and quarantined documents that are not durable yet. Each event day becomes one
//! segment, and the quarantined documents become one more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bouncewatch_schemas::event::EventRow;
use bouncewatch_schemas::time::day_of;
use bouncewatch_store::quarantine::QuarantineSegment;
use bouncewatch_store::segment::{EncodedSegment, EventSegment};
use bouncewatch_store::{Store, StoreError};
use futures::{StreamExt, future, stream};

use crate::decode::outcome::{IgnoreReason, QuarantineReason, Rejection};
use crate::telemetry::counts::IngestCounts;

/// Maximum number of event days in one batch. Each has its own column builders.
const DAYS_MAX: usize = 128;
/// Maximum number of segments of one batch that are published at the same time. Publishing mostly
/// waits for an fsync or a PUT.
const CONCURRENT_PUBLISHES_MAX: usize = 8;
/// Number of new rows in a batch after which the rows of one day are encoded.
const ENCODE_AFTER_ROWS: usize = 2 * 1024;
/// Number of unencoded rows at which a batch is full.
const UNENCODED_ROWS_MAX: usize = 24 * 1024;
/// Bytes of unencoded rows and quarantined documents at which a batch is full. Only unusually large
/// events reach this limit before the limit on rows.
const MEMORY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Estimated memory of a row or a quarantined document in addition to its texts, bytes: fixed
/// columns, and offsets of the texts.
const ENTRY_BYTES: usize = 256;
/// Maximum number of bytes that are kept of the documents of a file beyond its quarantine limit.
const OVERFLOW_BYTES_MAX: usize = 64 * 1024;

/// Limits at which a batch is published, and the timeout of the last flush.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Maximum number of rows.
    pub rows_max: usize,
    /// Maximum size of the decoded documents, bytes.
    pub bytes_max: usize,
    /// Maximum time since the first document arrived.
    pub age_max: Duration,
    /// Timeout of the last flush after the run is stopped.
    pub last_flush: Duration,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self {
            rows_max: 64 * 1024,
            bytes_max: 256 * 1024 * 1024,
            age_max: Duration::from_secs(20),
            last_flush: Duration::from_secs(20),
        }
    }
}

/// A segment of a batch. Each becomes durable independently of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum BatchSegment {
    /// Events of one day, in days since 1970.
    Day(i64),
    /// Quarantined documents.
    Quarantine,
}

/// Result of publishing a batch.
#[derive(Debug)]
pub(crate) struct PublishResult {
    /// Counts of the batch. Rows, segments and bytes count only durable segments; documents are
    /// always counted.
    pub(crate) counts: IngestCounts,
    /// Segments that may not be durable.
    failed: BTreeSet<BatchSegment>,
    /// The first error.
    pub(crate) failure: Option<StoreError>,
}

impl PublishResult {
    /// Whether all these segments are durable.
    pub(crate) fn are_durable(&self, segments: &[BatchSegment]) -> bool {
        !segments.iter().any(|segment| self.failed.contains(segment))
    }

    fn record_failure(&mut self, segment: BatchSegment, error: Option<StoreError>) {
        self.failed.insert(segment);
        self.failure = self.failure.take().or(error);
    }
}

/// Rows, quarantined documents and their counts.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Segments that received content since the last [`Batch::take_touched`].
    touched: Vec<BatchSegment>,
    days: BTreeMap<i64, EventSegment>,
    quarantine: QuarantineSegment,
    rows: usize,
    /// Rows added since the last encoding.
    new_rows: usize,
    /// Unencoded rows of all days, as of the last encoding.
    unencoded_rows: usize,
    unencoded_bytes: usize,
    /// Bytes of the texts of all rows.
    #[cfg(fuzzing)]
    row_bytes: usize,
    /// First error of encoding while a document was decoded.
    encode_failure: Option<StoreError>,
    bytes: usize,
    quarantine_bytes: usize,
    /// Documents beyond the quarantine limit of their file, by file.
    overflows: BTreeMap<String, QuarantineOverflow>,
    counts: IngestCounts,
}

/// Documents of a file beyond its quarantine limit. They become one quarantine entry.
#[derive(Debug)]
struct QuarantineOverflow {
    documents: u64,
    bytes: usize,
    /// The first bytes of the documents.
    head: Vec<u8>,
    /// The reason of the first document.
    reason: &'static str,
    received_at: i64,
}

impl Batch {
    /// The segment of the day on which an event happened.
    pub(crate) fn day_of(&mut self, row: &EventRow<'_>) -> &mut EventSegment {
        let day = day_of(row.event_at);
        self.touch(BatchSegment::Day(day));
        self.days.entry(day).or_default()
    }

    fn touch(&mut self, segment: BatchSegment) {
        // nearly all rows of a document are of one day
        if self.touched.last() != Some(&segment) && !self.touched.contains(&segment) {
            self.touched.push(segment);
        }
    }

    /// Returns the segments that received content since the last call. A message is durable when
    /// its segments are.
    pub(crate) fn take_touched(&mut self) -> Vec<BatchSegment> {
        std::mem::take(&mut self.touched)
    }

    /// Counts a row that was added to its day.
    pub(crate) fn count_row(&mut self, row: &EventRow<'_>, text_bytes: usize, is_duplicate: bool) {
        self.rows += 1;
        self.new_rows += 1;
        self.unencoded_bytes += text_bytes + ENTRY_BYTES;
        #[cfg(fuzzing)]
        {
            self.row_bytes += text_bytes;
        }
        if self.unencoded_bytes >= MEMORY_BYTES_MAX && self.encode_failure.is_none() {
            self.encode_failure = self.encode_large_days().err();
        }
        self.counts.duplicates += u64::from(is_duplicate);
        // not an event dated after its arrival: it would hide a stale feed
        let newest = Some(row.event_at).filter(|at| *at <= row.received_at);
        self.counts.newest_event_at = self.counts.newest_event_at.max(newest);
    }

    /// Counts an event; its rows are counted separately.
    pub(crate) fn count_event(&mut self) {
        self.counts.events += 1;
    }

    /// Counts an ignored document.
    pub(crate) fn count_ignored(&mut self, reason: IgnoreReason) {
        *self.counts.ignored.entry(reason.as_str()).or_default() += 1;
    }

    /// Counts an unreadable message that stays in its queue.
    pub(crate) fn count_poison(&mut self, reason: QuarantineReason) {
        *self.counts.poison.entry(reason.as_str()).or_default() += 1;
    }

    /// Counts of the batch so far, without segments, stored rows and written bytes.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn counts(&self) -> &IngestCounts {
        &self.counts
    }

    /// Number of entries that the batch adds to the quarantine.
    #[cfg(test)]
    pub(crate) fn quarantine_entries(&self) -> usize {
        self.quarantine.len() + self.overflows.len()
    }

    /// Counts the bytes of a decoded document.
    pub(crate) fn add_bytes(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Adds a document to the quarantine.
    pub(crate) fn quarantine(
        &mut self,
        bytes: &[u8],
        rejection: &Rejection,
        origin: &str,
        received_at: i64,
    ) {
        let reason = self.count_quarantined(bytes, rejection);
        self.quarantine_bytes += bytes.len() + rejection.detail.len() + origin.len() + ENTRY_BYTES;
        self.quarantine.push(bytes, reason, &rejection.detail, origin, received_at);
    }

    /// Counts a quarantined document, and returns the name of its reason.
    fn count_quarantined(&mut self, bytes: &[u8], rejection: &Rejection) -> &'static str {
        self.touch(BatchSegment::Quarantine);
        self.add_bytes(bytes.len());
        let reason = rejection.reason.as_str();
        *self.counts.quarantined.entry(reason).or_default() += 1;
        reason
    }

    /// Counts a quarantined document beyond the limit of its file. Keeps only the first bytes.
    pub(crate) fn quarantine_overflow(
        &mut self,
        bytes: &[u8],
        rejection: &Rejection,
        origin: &str,
        received_at: i64,
    ) {
        let reason = self.count_quarantined(bytes, rejection);
        if !self.overflows.contains_key(origin) {
            let head = Vec::new();
            let new = QuarantineOverflow { documents: 0, bytes: 0, head, reason, received_at };
            self.overflows.insert(origin.to_owned(), new);
        }
        let Some(overflow) = self.overflows.get_mut(origin) else { return };
        overflow.documents += 1;
        overflow.bytes += bytes.len();
        let room = OVERFLOW_BYTES_MAX.saturating_sub(overflow.head.len());
        if room > 0 {
            overflow.head.extend(bytes.iter().take(room));
            overflow.head.push(b'\n');
        }
    }

    /// Adds one quarantine entry for each file with an overflow.
    fn add_overflows(&mut self) {
        for (origin, overflow) in std::mem::take(&mut self.overflows) {
            let QuarantineOverflow { documents, bytes, head, reason, received_at } = overflow;
            let detail = format!(
                "{documents} more unreadable documents with {bytes} bytes; this entry has their first {} bytes",
                head.len()
            );
            self.quarantine.push(&head, reason, &detail, &origin, received_at);
        }
    }

    /// Whether a panic has left a day incomplete.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.days.values().any(EventSegment::is_incomplete)
    }

    /// Number of rows, and bytes of their texts.
    #[cfg(fuzzing)]
    pub(crate) fn total(&self) -> (usize, usize) {
        (self.rows, self.row_bytes)
    }

    /// Number of event days.
    pub(crate) fn days(&self) -> usize {
        self.days.len()
    }

    /// Encodes the rows of one day if the batch has enough new rows, to save memory. Call it
    /// between documents.
    ///
    /// Prefers a day that already has encoded rows, then the day with the most rows: the column
    /// encoders of another day would need more memory than its unencoded rows.
    pub(crate) fn encode_if_due(&mut self) -> Result<(), StoreError> {
        if let Some(error) = self.encode_failure.take() {
            return Err(error);
        }
        if self.new_rows >= ENCODE_AFTER_ROWS {
            self.new_rows = 0;
            let days = self.days.values_mut();
            if let Some(day) = days.max_by_key(|day| (day.has_encoded_rows(), day.unencoded_rows()))
            {
                day.encode_most()?;
            }
            self.count_unencoded();
        }
        Ok(())
    }

    /// Encodes the days with the most bytes until unencoded rows use at most half of
    /// [`MEMORY_BYTES_MAX`]. A single document can have more rows than that.
    fn encode_large_days(&mut self) -> Result<(), StoreError> {
        while self.unencoded_bytes > MEMORY_BYTES_MAX / 2 {
            let Some(day) = self.days.values_mut().max_by_key(|day| day.unencoded_bytes()) else {
                break;
            };
            day.encode()?;
            self.count_unencoded();
        }
        Ok(())
    }

    fn count_unencoded(&mut self) {
        self.unencoded_rows = self.days.values().map(EventSegment::unencoded_rows).sum();
        self.unencoded_bytes = self.days.values().map(EventSegment::unencoded_bytes).sum::<usize>()
            + self.unencoded_rows * ENTRY_BYTES;
    }

    /// Whether the batch has reached a limit other than its age.
    pub(crate) fn is_full(&self, limits: &BatchLimits) -> bool {
        self.rows >= limits.rows_max
            || self.unencoded_rows >= UNENCODED_ROWS_MAX
            || self.bytes >= limits.bytes_max
            || self.memory_bytes() >= MEMORY_BYTES_MAX
            || self.days.len() >= DAYS_MAX
    }

    /// Bytes of the rows that are not encoded, and of the quarantined documents.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.unencoded_bytes + self.quarantine_bytes
    }

    /// Makes the segments of the batch durable.
    ///
    /// A failed segment may still exist in the store; if its rows are stored again, the scan counts
    /// them once. After a failure, segments beyond the first [`CONCURRENT_PUBLISHES_MAX`] are not
    /// attempted: each attempt on an unavailable store can take minutes.
    pub(crate) async fn publish(mut self, store: &Store, now: i64) -> PublishResult {
        self.add_overflows();
        let mut outcome =
            PublishResult { counts: self.counts, failed: BTreeSet::new(), failure: None };
        let is_failing = AtomicBool::new(false);
        let publish_day = async |(at, (day, segment)): (usize, (i64, EventSegment))| {
            if at >= CONCURRENT_PUBLISHES_MAX && is_failing.load(Ordering::Relaxed) {
                return (BatchSegment::Day(day), Err(None));
            }
            let rows = segment.len();
            let publish = async {
                let (mut segments, mut length) = (0, 0);
                for EncodedSegment { content, bytes } in segment.finish()? {
                    segments += 1;
                    length += to_u64(bytes.len());
                    store.publish_events(day, now, content, bytes).await?;
                }
                Ok::<_, StoreError>((rows, segments, length))
            };
            let result = publish.await.map_err(Some);
            is_failing.fetch_or(result.is_err(), Ordering::Relaxed);
            (BatchSegment::Day(day), result)
        };
        let days = stream::iter(self.days.into_iter().enumerate().map(publish_day));
        let days = days.buffer_unordered(CONCURRENT_PUBLISHES_MAX).collect::<Vec<_>>();
        let (days, quarantine) = future::join(days, self.quarantine.publish(store, now)).await;
        for (segment, result) in days {
            match result {
                Ok((rows, segments, length)) => {
                    outcome.counts.rows += to_u64(rows);
                    outcome.counts.segments += segments;
                    outcome.counts.bytes += length;
                }
                Err(error) => outcome.record_failure(segment, error),
            }
        }
        match quarantine {
            Ok(length) => outcome.counts.bytes += to_u64(length),
            Err(error) => outcome.record_failure(BatchSegment::Quarantine, Some(error)),
        }
        outcome
    }
}

fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
