//! Rows on their way to the store: collected by event day, flushed when one of the limits is reached.

use std::collections::BTreeMap;
use std::time::Duration;

use bouncewatch_schemas::event::EventRow;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::day_of;

use crate::decode::{Context, Sink, document};
use crate::outcome::Ignored;
use crate::outcome::Reason;
use crate::outcome::Rejected;
use crate::store::quarantine::QuarantineSegment;
use crate::store::segment::EventSegment;
use crate::store::{Store, StoreError};
use crate::telemetry::Counts;

/// Event days of one batch; each has builders of its own.
const DAYS_MAX: usize = 128;

/// When a batch is written.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Rows.
    pub rows_max: usize,
    /// Bytes of the documents that the rows came from.
    pub bytes_max: usize,
    /// Time since its first document.
    pub age_max: Duration,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self {
            rows_max: 128 * 1024,
            bytes_max: 128 * 1024 * 1024,
            age_max: Duration::from_secs(20),
        }
    }
}

/// Rows and rejected bodies that are not durable yet.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    days: BTreeMap<i64, EventSegment>,
    quarantine: QuarantineSegment,
    rows: usize,
    bytes: usize,
    counts: Counts,
}

impl Sink for Batch {
    fn event(&mut self) {
        self.counts.events += 1;
    }

    fn row(&mut self, row: &EventRow<'_>) {
        self.days.entry(day_of(row.event_at)).or_default().push(row);
        self.rows += 1;
    }

    fn ignored(&mut self, reason: Ignored) {
        *self.counts.ignored.entry(reason.as_str()).or_default() += 1;
    }
}

impl Batch {
    /// Reads a document into the batch.
    pub(crate) fn take(&mut self, bytes: &[u8], origin: &str, received_at: i64) {
        self.take_in(bytes, Context::new(origin, received_at));
    }

    /// Reads a document whose pointers to objects somebody follows.
    pub(crate) fn take_followed(&mut self, bytes: &[u8], origin: &str, received_at: i64) {
        self.take_in(bytes, Context::new(origin, received_at).following());
    }

    fn take_in(&mut self, bytes: &[u8], context: Context<'_>) {
        if let Err(rejected) = document(bytes, context, self) {
            self.set_aside(bytes, &rejected, context.origin, context.received_at);
        } else {
            self.bytes += bytes.len();
        }
    }

    /// Sets bytes aside that do not even look like a document.
    pub(crate) fn take_broken(&mut self, bytes: &[u8], origin: &str, received_at: i64) {
        if bytes.len() > crate::documents::DOCUMENT_BYTES_MAX {
            let rejected =
                Rejected::new(Reason::TooLarge, format!("{} bytes without an end", bytes.len()));
            self.set_aside(bytes, &rejected, origin, received_at);
        } else {
            // the decoder says what is wrong with it
            self.take(bytes, origin, received_at);
        }
    }

    /// Puts bytes into quarantine.
    pub(crate) fn set_aside(
        &mut self,
        bytes: &[u8],
        rejected: &Rejected,
        origin: &str,
        received_at: i64,
    ) {
        self.bytes += bytes.len();
        self.quarantine.push(bytes, rejected, origin, received_at);
        *self.counts.quarantined.entry(rejected.reason.as_str()).or_default() += 1;
    }

    pub(crate) fn is_full(&self, limits: &BatchLimits) -> bool {
        self.rows >= limits.rows_max
            || self.bytes >= limits.bytes_max
            || self.days.len() >= DAYS_MAX
    }

    /// Makes everything durable and returns what was done. On an error some segments may be published; reading the
    /// same documents again only repeats rows, which the scan removes.
    pub(crate) async fn flush(&mut self, store: &Store, now: i64) -> Result<Counts, StoreError> {
        let batch = std::mem::take(self);
        let mut counts = batch.counts;
        for (day, segment) in batch.days {
            let rows = segment.len();
            let bytes = segment.finish()?;
            counts.rows += count(rows);
            counts.segments += 1;
            counts.bytes += count(bytes.len());
            store.publish(table::EVENTS, day, now, bytes).await?;
        }
        counts.bytes += count(batch.quarantine.publish(store, now).await?);
        Ok(counts)
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
