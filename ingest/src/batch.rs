//! Rows and quarantined documents that are not durable yet. Rows are collected by event day; each day becomes one
//! segment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bouncewatch_schemas::event::EventRow;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::day_of;
use bouncewatch_store::quarantine::QuarantineSegment;
use bouncewatch_store::segment::EventSegment;
use bouncewatch_store::{Store, StoreError};
use futures::{StreamExt, future, stream};

use crate::decode::outcome::{IgnoreReason, QuarantineReason, Rejection};
use crate::telemetry::counts::IngestCounts;

/// Maximum number of event days in one batch. Each has its own column builders.
const DAYS_MAX: usize = 128;
/// Segments of one batch that are published at the same time. Publishing mostly waits for an fsync or a PUT.
const PUBLISHES_AT_ONCE: usize = 8;
/// Number of new rows after which one day encodes its rows.
const ENCODE_AFTER_ROWS: usize = 2 * 1024;
/// Maximum number of rows of one batch that are encoded only when it is published.
const UNENCODED_ROWS_MAX: usize = 24 * 1024;
/// Maximum number of bytes of rows that are not encoded, and of quarantined documents. Only unusual events reach it
/// before the maximum number of rows.
const MEMORY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of a row or of a quarantined document without its texts: its fixed columns, and the positions of its texts.
const ENTRY_BYTES: usize = 256;
/// Bytes that are kept of the documents that a file adds to the quarantine beyond its limit.
const REMAINDER_BYTES_MAX: usize = 64 * 1024;

/// When a batch is published: as soon as it reaches one of these limits.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Number of rows.
    pub rows_max: usize,
    /// Bytes of the documents.
    pub bytes_max: usize,
    /// Time since its first document.
    pub age_max: Duration,
    /// How long the last batch of a run that stops waits for the store.
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

/// A part of a batch that becomes durable on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// Events of a day, days since 1970.
    Day(i64),
    /// Quarantined documents.
    Quarantine,
}

/// What became of a batch.
#[derive(Debug)]
pub(crate) struct Published {
    /// Counts of the parts that are durable; documents are counted in any case.
    pub(crate) counts: IngestCounts,
    /// Parts that are not known to be durable.
    failed: BTreeSet<Part>,
    /// The first error.
    pub(crate) failure: Option<StoreError>,
}

impl Published {
    /// Whether all these parts are durable.
    pub(crate) fn are_durable(&self, parts: &[Part]) -> bool {
        !parts.iter().any(|part| self.failed.contains(part))
    }

    fn fail(&mut self, part: Part, error: Option<StoreError>) {
        self.failed.insert(part);
        self.failure = self.failure.take().or(error);
    }
}

/// Rows, quarantined documents and their counts.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Parts that were added to since the last [`Batch::take_parts`].
    touched: Vec<Part>,
    days: BTreeMap<i64, EventSegment>,
    quarantine: QuarantineSegment,
    rows: usize,
    /// Rows since the last day was encoded.
    new_rows: usize,
    /// Rows that no day has encoded, as of the last encoding.
    unencoded_rows: usize,
    unencoded_bytes: usize,
    /// Bytes of the texts of all rows.
    #[cfg(fuzzing)]
    row_bytes: usize,
    /// The first error of encoding rows within a document.
    encode_failure: Option<StoreError>,
    bytes: usize,
    quarantine_bytes: usize,
    /// Documents beyond the limit of their file, by file.
    remainders: BTreeMap<String, Remainder>,
    counts: IngestCounts,
}

/// Quarantined documents that are one entry: of each file those beyond its limit.
#[derive(Debug)]
struct Remainder {
    documents: u64,
    bytes: usize,
    /// The first of their bytes.
    head: Vec<u8>,
    /// The reason of the first.
    reason: &'static str,
    received_at: i64,
}

impl Batch {
    /// The segment of the day on which an event happened.
    pub(crate) fn day_of(&mut self, row: &EventRow<'_>) -> &mut EventSegment {
        let day = day_of(row.event_at);
        self.touch(Part::Day(day));
        self.days.entry(day).or_default()
    }

    fn touch(&mut self, part: Part) {
        // nearly all rows of a document are of one day
        if self.touched.last() != Some(&part) && !self.touched.contains(&part) {
            self.touched.push(part);
        }
    }

    /// Takes the parts that were added to since the last call: a message is durable if these are.
    pub(crate) fn take_parts(&mut self) -> Vec<Part> {
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
        // a clock that is ahead must not make a silent feed look alive
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
        self.quarantine.len() + self.remainders.len()
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
        self.touch(Part::Quarantine);
        self.add_bytes(bytes.len());
        let reason = rejection.reason.as_str();
        *self.counts.quarantined.entry(reason).or_default() += 1;
        reason
    }

    /// Counts a quarantined document beyond the limit of its file, of which only the count and some bytes are kept.
    pub(crate) fn quarantine_remainder(
        &mut self,
        bytes: &[u8],
        rejection: &Rejection,
        origin: &str,
        received_at: i64,
    ) {
        let reason = self.count_quarantined(bytes, rejection);
        if !self.remainders.contains_key(origin) {
            let new = Remainder { documents: 0, bytes: 0, head: Vec::new(), reason, received_at };
            self.remainders.insert(origin.to_owned(), new);
        }
        let Some(remainder) = self.remainders.get_mut(origin) else { return };
        remainder.documents += 1;
        remainder.bytes += bytes.len();
        let room = REMAINDER_BYTES_MAX.saturating_sub(remainder.head.len());
        if room > 0 {
            remainder.head.extend(bytes.iter().take(room));
            remainder.head.push(b'\n');
        }
    }

    /// Adds one entry for the remainder of each file.
    fn add_remainders(&mut self) {
        for (origin, remainder) in std::mem::take(&mut self.remainders) {
            let Remainder { documents, bytes, head, reason, received_at } = remainder;
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

    /// Number of all rows, and bytes of their texts.
    #[cfg(fuzzing)]
    pub(crate) fn total(&self) -> (usize, usize) {
        (self.rows, self.row_bytes)
    }

    /// Number of event days.
    pub(crate) fn days(&self) -> usize {
        self.days.len()
    }

    /// Encodes rows if there are enough new ones, to keep the batch small; call it between documents. Only one day
    /// encodes before the batch is published, the one with most rows at the first call: the column encoders of a day
    /// take more memory than many rows of other days.
    pub(crate) fn encode_if_due(&mut self) -> Result<(), StoreError> {
        if let Some(error) = self.encode_failure.take() {
            return Err(error);
        }
        if self.new_rows >= ENCODE_AFTER_ROWS {
            self.new_rows = 0;
            let days = self.days.values_mut();
            if let Some(day) = days.max_by_key(|day| (day.has_encoded_rows(), day.unencoded_rows()))
            {
                day.encode()?;
            }
            self.count_unencoded();
        }
        Ok(())
    }

    /// Encodes the days with most bytes until half of the memory is free: the rows of a single document can be too many
    /// for it.
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

    /// Makes the parts of the batch durable. A part that failed may be published; reading the same documents again only
    /// repeats rows, which the scan counts once. After a failure only the parts that are published at the same time are
    /// tried: a store that cannot be written would be tried for minutes for each.
    pub(crate) async fn publish(mut self, store: &Store, now: i64) -> Published {
        self.add_remainders();
        let mut published =
            Published { counts: self.counts, failed: BTreeSet::new(), failure: None };
        let is_failing = AtomicBool::new(false);
        let publish_day = async |(at, (day, segment)): (usize, (i64, EventSegment))| {
            if at >= PUBLISHES_AT_ONCE && is_failing.load(Ordering::Relaxed) {
                return (Part::Day(day), Err(None));
            }
            let rows = segment.len();
            let publish = async {
                let bytes = segment.finish()?;
                let length = bytes.len();
                store.publish(table::EVENTS, day, now, bytes).await?;
                Ok::<_, StoreError>((rows, length))
            };
            let result = publish.await.map_err(Some);
            is_failing.fetch_or(result.is_err(), Ordering::Relaxed);
            (Part::Day(day), result)
        };
        let days = stream::iter(self.days.into_iter().enumerate().map(publish_day));
        let days = days.buffer_unordered(PUBLISHES_AT_ONCE).collect::<Vec<_>>();
        let (days, quarantine) = future::join(days, self.quarantine.publish(store, now)).await;
        for (part, result) in days {
            match result {
                Ok((rows, length)) => {
                    published.counts.rows += to_u64(rows);
                    published.counts.segments += 1;
                    published.counts.bytes += to_u64(length);
                }
                Err(error) => published.fail(part, error),
            }
        }
        match quarantine {
            Ok(length) => published.counts.bytes += to_u64(length),
            Err(error) => published.fail(Part::Quarantine, Some(error)),
        }
        published
    }
}

fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
