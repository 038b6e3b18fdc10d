//! Rows on their way to the store: collected by event day, flushed when one of the limits is reached.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bouncewatch_classify::{Classifier, Input, Scratch};
use bouncewatch_schemas::event::{EventRow, Kind};
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::day_of;

use futures::{StreamExt, TryStreamExt, stream};

use crate::decode::allow_list::Allowed;
use crate::decode::outcome::Ignored;
use crate::decode::outcome::Reason;
use crate::decode::outcome::Rejected;
use crate::decode::{Context, Sink, document};
use crate::duplicates::Recent;
use crate::telemetry::metrics::Counts;
use bouncewatch_store::addresses::Addresses;
use bouncewatch_store::quarantine::QuarantineSegment;
use bouncewatch_store::segment::EventSegment;
use bouncewatch_store::{Store, StoreError};

/// Event days of one batch; each has builders of its own.
const DAYS_MAX: usize = 128;

/// Segments of one batch that are published at the same time: an fsync or a put waits most of the time.
const PUBLISHES_AT_ONCE: usize = 8;
/// Rows that come between two portions that are encoded.
const PORTION_ROWS: usize = 2 * 1024;
/// Rows of one batch that are not encoded before it is written, day after day then.
const PLAIN_ROWS_MAX: usize = 24 * 1024;

/// When a batch is written.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Rows.
    pub rows_max: usize,
    /// Bytes of the documents that the rows came from.
    pub bytes_max: usize,
    /// Time since its first document.
    pub age_max: Duration,
    /// How long the store is waited for when the run shall end.
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

/// What is stored of what comes.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Whose events are taken.
    pub allowed: Arc<Allowed>,
    /// What becomes of recipients' addresses.
    pub addresses: Addresses,
    /// Who tells why mail failed; the rules that come with bouncewatch, if nobody is named.
    pub causes: Option<Arc<Classifier>>,
}

/// What is done with a document that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Poison {
    /// It is set aside durably, and the message is deleted.
    #[default]
    Quarantine,
    /// A message is left to its queue, which passes it to its dead-letter queue. What comes from files is set aside.
    Leave,
}

/// Rows and rejected bodies that are not durable yet.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    rules: Rules,
    days: BTreeMap<i64, EventSegment>,
    quarantine: QuarantineSegment,
    rows: usize,
    /// Rows since the last portion.
    fresh_rows: usize,
    /// Rows that were not encoded with it.
    plain_rows: usize,
    bytes: usize,
    counts: Counts,
    recent: Recent,
    scratch: Scratch,
}

impl Sink for Batch {
    fn event(&mut self) {
        self.counts.events += 1;
    }

    fn row(&mut self, row: &EventRow<'_>) {
        let segment = self.days.entry(day_of(row.event_at)).or_default();
        let event_key = segment.event_key(row);
        let classifier = self.rules.causes.as_deref();
        let (cause, cause_rule) = match row.kind {
            Kind::Bounce | Kind::DeliveryDelay => {
                let classifier = classifier.unwrap_or_else(|| Classifier::builtin());
                let found = classifier.classify(&Input::of_row(row), &mut self.scratch);
                (Some(found.cause), found.rule)
            }
            _ => (None, None),
        };
        let row = &EventRow { cause, cause_rule, ..row.clone() };
        self.rules.addresses.apply(row, |row| segment.push_as(row, event_key));
        self.rows += 1;
        self.fresh_rows += 1;
        self.counts.duplicates += u64::from(self.recent.is_again(event_key));
        // a clock that is ahead must not make a silent feed look alive
        let known = Some(row.event_at).filter(|at| *at <= row.received_at);
        self.counts.newest_event_at = self.counts.newest_event_at.max(known);
    }

    fn ignored(&mut self, reason: Ignored) {
        *self.counts.ignored.entry(reason.as_str()).or_default() += 1;
    }
}

impl Batch {
    /// An empty batch under some rules.
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Reads a document into the batch. What cannot be read is set aside, or left: then this is false.
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        origin: &str,
        received_at: i64,
        poison: Poison,
    ) -> bool {
        self.take_in(bytes, Context::new(origin, received_at), poison)
    }

    /// Reads a document whose pointers to objects somebody follows.
    pub(crate) fn take_followed(&mut self, bytes: &[u8], origin: &str, received_at: i64) {
        let context = Context::new(origin, received_at).following();
        self.take_in(bytes, context, Poison::Quarantine);
    }

    fn take_in(&mut self, bytes: &[u8], context: Context<'_>, poison: Poison) -> bool {
        let allowed = Arc::clone(&self.rules.allowed);
        let (origin, received_at) = (context.origin, context.received_at);
        match (document(bytes, context.allowing(&allowed), self), poison) {
            (Ok(()), _) => self.bytes += bytes.len(),
            (Err(rejected), Poison::Quarantine) => {
                self.set_aside(bytes, &rejected, origin, received_at);
            }
            (Err(rejected), Poison::Leave) => {
                *self.counts.poison.entry(rejected.reason.as_str()).or_default() += 1;
                return false;
            }
        }
        true
    }

    /// Sets bytes aside that do not even look like a document.
    pub(crate) fn take_broken(&mut self, bytes: &[u8], origin: &str, received_at: i64) {
        if bytes.len() > crate::decode::documents::DOCUMENT_BYTES_MAX {
            let rejected =
                Rejected::new(Reason::TooLarge, format!("{} bytes without an end", bytes.len()));
            self.set_aside(bytes, &rejected, origin, received_at);
        } else {
            // the decoder says what is wrong with it
            self.take(bytes, origin, received_at, Poison::Quarantine);
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
        let reason = rejected.reason.as_str();
        self.quarantine.push(bytes, reason, &rejected.detail, origin, received_at);
        *self.counts.quarantined.entry(reason).or_default() += 1;
    }

    /// Keeps what is held small; called between documents. One day is encoded as it comes, the one that has most rows
    /// when the first portion is full: a packer for each column takes more room than many rows of other days.
    pub(crate) fn shrink(&mut self) -> Result<(), StoreError> {
        if self.fresh_rows >= PORTION_ROWS {
            self.fresh_rows = 0;
            let days = self.days.values_mut();
            if let Some(day) = days.max_by_key(|day| (day.is_encoding(), day.plain_rows())) {
                day.encode()?;
            }
            self.plain_rows = self.days.values().map(EventSegment::plain_rows).sum();
        }
        Ok(())
    }

    pub(crate) fn is_full(&self, limits: &BatchLimits) -> bool {
        self.rows >= limits.rows_max
            || self.plain_rows >= PLAIN_ROWS_MAX
            || self.bytes >= limits.bytes_max
            || self.days.len() >= DAYS_MAX
    }

    /// Makes everything durable and returns what was done. On an error some segments may be published; reading the
    /// same documents again only repeats rows, which the scan removes.
    pub(crate) async fn flush(&mut self, store: &Store, now: i64) -> Result<Counts, StoreError> {
        let (recent, scratch) =
            (std::mem::take(&mut self.recent), std::mem::take(&mut self.scratch));
        let fresh = Self { recent, scratch, ..Self::new(self.rules.clone()) };
        let batch = std::mem::replace(self, fresh);
        let mut counts = batch.counts;
        let publishing = batch.days.into_iter().map(async |(day, segment)| {
            let rows = segment.len();
            let bytes = segment.finish()?;
            let length = bytes.len();
            store.publish(table::EVENTS, day, now, bytes).await?;
            Ok::<_, StoreError>((rows, length))
        });
        let mut publishing = stream::iter(publishing).buffer_unordered(PUBLISHES_AT_ONCE);
        while let Some((rows, length)) = publishing.try_next().await? {
            counts.rows += count(rows);
            counts.segments += 1;
            counts.bytes += count(length);
        }
        counts.bytes += count(batch.quarantine.publish(store, now).await?);
        Ok(counts)
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
