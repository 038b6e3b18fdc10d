//! Everything that an ingest run counts: [`Counts`] is what a run did, for its summary; [`Telemetry`] is how it is
//! doing, for whoever watches it (Prometheus's conventions for names and units). No metric has a mailbox in it.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// What was done with what came. Only what is durable is counted.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Messages taken from queues, and documents from files.
    pub messages: u64,
    /// Events that were stored.
    pub events: u64,
    /// Rows that were stored.
    pub rows: u64,
    /// Rows that were stored before, as far as a worker remembers.
    pub duplicates: u64,
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
    /// Messages that were left to the queue, and come again or go to its dead-letter queue.
    pub left: u64,
}

impl Counts {
    /// Adds what another part did.
    pub fn add(&mut self, other: &Self) {
        let Self {
            messages,
            events,
            rows,
            duplicates,
            ignored,
            quarantined,
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
        self.left += left;
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

/// A reason of [`crate::outcome`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    reason: &'static str,
}

/// A call to AWS.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabel {
    service: &'static str,
    action: &'static str,
}

/// How a run is doing.
#[derive(Debug)]
#[expect(
    missing_docs,
    reason = "each is a metric, which its help text in `Telemetry::new` documents"
)]
pub struct Telemetry {
    registry: Registry,
    pub received: Counter,
    pub redelivered: Counter,
    pub receive_count_max: Gauge,
    pub oldest_message_age: Gauge<f64, AtomicU64>,
    pub receivers: Gauge,
    pub held: Gauge,
    pub extended: Counter,
    pub deleted: Counter,
    pub delete_failed: Counter,
    pub left: Counter,
    pub events: Counter,
    pub rows: Counter,
    pub duplicates: Counter,
    pub ignored: Family<ReasonLabel, Counter>,
    pub quarantined: Family<ReasonLabel, Counter>,
    pub segments: Counter,
    pub bytes_written: Counter,
    pub bytes_read: Counter,
    pub batch_age: Gauge<f64, AtomicU64>,
    pub flush_seconds: Histogram,
    pub newest_event: Gauge<f64, AtomicU64>,
    pub last_flush: Gauge<f64, AtomicU64>,
    pub requests: Family<CallLabel, Counter>,
    pub request_failures: Family<CallLabel, Counter>,
    /// Bytes there are to read, where that is known; no metric, but for the progress bar.
    pub bytes_total: AtomicU64,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

impl Telemetry {
    /// Metrics that stand at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("bouncewatch");
        let mut telemetry = Self {
            registry: Registry::default(),
            received: Counter::default(),
            redelivered: Counter::default(),
            receive_count_max: Gauge::default(),
            oldest_message_age: Gauge::default(),
            receivers: Gauge::default(),
            held: Gauge::default(),
            extended: Counter::default(),
            deleted: Counter::default(),
            delete_failed: Counter::default(),
            left: Counter::default(),
            events: Counter::default(),
            rows: Counter::default(),
            duplicates: Counter::default(),
            ignored: Family::default(),
            quarantined: Family::default(),
            segments: Counter::default(),
            bytes_written: Counter::default(),
            bytes_read: Counter::default(),
            batch_age: Gauge::default(),
            // 5 ms to 40 s
            flush_seconds: Histogram::new(exponential_buckets(0.005, 2.0, 14)),
            newest_event: Gauge::default(),
            last_flush: Gauge::default(),
            requests: Family::default(),
            request_failures: Family::default(),
            bytes_total: AtomicU64::new(0),
        };
        telemetry.register_source(&mut registry);
        telemetry.register_store(&mut registry);
        telemetry.registry = registry;
        telemetry
    }

    fn register_source(&self, registry: &mut Registry) {
        let mut counter = |name: &str, help: &str, counter: &Counter| {
            registry.register(name, help, counter.clone());
        };
        counter(
            "messages_received",
            "Messages of queues and documents of files taken",
            &self.received,
        );
        counter(
            "messages_redelivered",
            "Messages that SQS had delivered before",
            &self.redelivered,
        );
        counter("messages_deleted", "Messages deleted from their queue", &self.deleted);
        counter(
            "message_delete_failures",
            "Messages that could not be deleted",
            &self.delete_failed,
        );
        counter("messages_left", "Messages left to their queue", &self.left);
        counter("visibility_extensions", "Messages hidden for longer", &self.extended);
        registry.register_with_unit(
            "read",
            "Bytes read from files and objects",
            Unit::Bytes,
            self.bytes_read.clone(),
        );
        registry.register(
            "message_receive_count_max",
            "Most deliveries of one message",
            self.receive_count_max.clone(),
        );
        registry.register("receivers", "Receivers that poll", self.receivers.clone());
        registry.register("messages_held", "Messages received and not settled", self.held.clone());
        registry.register_with_unit(
            "oldest_message_age",
            "Age of the oldest message of the last answers, in the queue: the lag",
            Unit::Seconds,
            self.oldest_message_age.clone(),
        );
        registry.register("aws_requests", "Calls to AWS", self.requests.clone());
        registry.register(
            "aws_request_failures",
            "Calls to AWS that failed",
            self.request_failures.clone(),
        );
    }

    fn register_store(&self, registry: &mut Registry) {
        let mut counter = |name: &str, help: &str, counter: &Counter| {
            registry.register(name, help, counter.clone());
        };
        counter("events_stored", "Events stored", &self.events);
        counter("rows_stored", "Rows stored", &self.rows);
        counter(
            "duplicate_rows",
            "Rows stored again, as far as a worker remembers",
            &self.duplicates,
        );
        counter("segments_published", "Segments published", &self.segments);
        registry.register_with_unit(
            "written",
            "Bytes written to the store",
            Unit::Bytes,
            self.bytes_written.clone(),
        );
        registry.register(
            "documents_ignored",
            "Documents that are no events of ours",
            self.ignored.clone(),
        );
        registry.register("documents_quarantined", "Documents set aside", self.quarantined.clone());
        registry.register_with_unit(
            "batch_age",
            "Age of the oldest document that is not durable",
            Unit::Seconds,
            self.batch_age.clone(),
        );
        registry.register_with_unit(
            "flush",
            "Time to make a batch durable",
            Unit::Seconds,
            self.flush_seconds.clone(),
        );
        registry.register_with_unit(
            "newest_event_timestamp",
            "Time of the newest event stored, since 1970",
            Unit::Seconds,
            self.newest_event.clone(),
        );
        registry.register_with_unit(
            "last_flush_timestamp",
            "Time of the last batch made durable, since 1970",
            Unit::Seconds,
            self.last_flush.clone(),
        );
    }

    /// All metrics.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Counts a call to AWS.
    pub fn request(&self, service: &'static str, action: &'static str, failed: bool) {
        let label = CallLabel { service, action };
        if failed {
            self.request_failures.get_or_create(&label).inc();
        }
        self.requests.get_or_create(&label).inc();
    }

    /// Counts what a flush made durable.
    pub fn flushed(&self, counts: &Counts, took: std::time::Duration, now: i64) {
        self.events.inc_by(counts.events);
        self.rows.inc_by(counts.rows);
        self.duplicates.inc_by(counts.duplicates);
        self.segments.inc_by(counts.segments);
        self.bytes_written.inc_by(counts.bytes);
        for (family, reasons) in
            [(&self.ignored, &counts.ignored), (&self.quarantined, &counts.quarantined)]
        {
            for (reason, count) in reasons {
                family.get_or_create(&ReasonLabel { reason }).inc_by(*count);
            }
        }
        self.flush_seconds.observe(took.as_secs_f64());
        self.last_flush.set(seconds(now));
    }
}

/// Epoch milliseconds as seconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "a clock's milliseconds fit a double for 285,000 years"
)]
pub(crate) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}
