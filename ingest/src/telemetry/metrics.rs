//! Everything that an ingest run counts: [`Counts`] is what a run did, for its summary; [`Telemetry`] is how it is
//! doing, for whoever watches it (Prometheus's conventions for names and units). No metric has a mailbox in it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use prometheus_client::encoding::{EncodeGaugeValue, EncodeLabelSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tokio::time::Instant;

use crate::decode::outcome::{Ignored, Reason};
use crate::source::sqs::cost::Billed;
use crate::telemetry::gauges::{Latest, Live, Slots};
use crate::telemetry::health::Vitals;
use crate::telemetry::log_lines::Hush;

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
    /// Messages that cannot be read and are left to their queue, by reason.
    pub poison: BTreeMap<&'static str, u64>,
    /// Time of the newest event that was stored, epoch milliseconds; events of the future left out.
    pub newest_event_at: Option<i64>,
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
        for (reason, count) in ignored {
            *self.ignored.entry(reason).or_default() += count;
        }
        for (reason, count) in quarantined {
            *self.quarantined.entry(reason).or_default() += count;
        }
        for (reason, count) in poison {
            *self.poison.entry(reason).or_default() += count;
        }
        self.newest_event_at = self.newest_event_at.max(*newest_event_at);
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

/// A reason of [`crate::decode::outcome`].
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
    /// By queue, in milliseconds.
    pub oldest_message_age: Arc<Slots<i64>>,
    /// By queue.
    pub receivers: Arc<Slots<i64>>,
    /// By queue.
    pub held: Arc<Slots<i64>>,
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
    pub flush_duration: Histogram,
    pub newest_event: Arc<Latest>,
    pub last_flush: Arc<Latest>,
    pub requests: Family<CallLabel, Counter>,
    pub request_failures: Family<CallLabel, Counter>,
    /// What tells whether the run is well; the age of the batches is here.
    pub vitals: Arc<Vitals>,
    /// Bytes there are to read, where that is known; no metric, but for the progress bar.
    pub bytes_total: AtomicU64,
    /// What keeps lines in the log from coming too often.
    pub(crate) hush: Hush,
    /// Calls to AWS by action, for the summary.
    calls: Mutex<BTreeMap<&'static str, u64>>,
    /// Requests that SQS charges for: to standard and to FIFO queues.
    billed: [AtomicU64; 2],
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
            oldest_message_age: Arc::default(),
            receivers: Arc::default(),
            held: Arc::default(),
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
            // 5 ms to 40 s
            flush_duration: Histogram::new(exponential_buckets(0.005, 2.0, 14)),
            newest_event: Arc::default(),
            last_flush: Arc::default(),
            requests: Family::default(),
            request_failures: Family::default(),
            vitals: Arc::default(),
            bytes_total: AtomicU64::new(0),
            hush: Hush::default(),
            calls: Mutex::default(),
            billed: Default::default(),
        };
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of bouncewatch", version);
        telemetry.register_source(&mut registry);
        telemetry.register_store(&mut registry);
        telemetry.register_live(&mut registry);
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
            "Rows stored that were stored before: a lower bound, of the last 65,536 rows or so of each worker",
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
            "flush_duration",
            "Time to make a batch durable",
            Unit::Seconds,
            self.flush_duration.clone(),
        );
        // a reason that never occurred stands at zero, so that its first time is seen as an increase
        for reason in Ignored::ALL {
            self.ignored.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc_by(0);
        }
        for reason in Reason::ALL {
            self.quarantined.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc_by(0);
        }
    }

    /// Gauges that are computed when they are read.
    fn register_live(&self, registry: &mut Registry) {
        let receivers = Arc::clone(&self.receivers);
        register(registry, "receivers", "Receivers that poll", None, move || Some(receivers.sum()));
        let held = Arc::clone(&self.held);
        let help = "Messages received and neither deleted nor given back";
        register(registry, "messages_held", help, None, move || Some(held.sum()));
        let age = Arc::clone(&self.oldest_message_age);
        let help = "Time that the oldest message of the last answer of a queue had waited there: the lag; 0 when the queue answers that it is empty";
        register(registry, "oldest_message_age", help, Some(Unit::Seconds), move || {
            age.max().map(seconds)
        });
        let vitals = Arc::clone(&self.vitals);
        let help = "Age of the oldest document that was taken and is not durable; 0 when all are";
        register(registry, "batch_age", help, Some(Unit::Seconds), move || {
            Some(vitals.batch_age(Instant::now()).unwrap_or_default().as_secs_f64())
        });
        let newest = Arc::clone(&self.newest_event);
        let help = "Time of the newest event stored by this run, since 1970; absent until there is one, events of the future left out";
        register(registry, "newest_event_timestamp", help, Some(Unit::Seconds), move || {
            newest.get().map(seconds)
        });
        let last = Arc::clone(&self.last_flush);
        let help = "Time of the last batch made durable, since 1970; absent until there is one";
        register(registry, "last_flush_timestamp", help, Some(Unit::Seconds), move || {
            last.get().map(seconds)
        });
    }

    /// All metrics.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Counts a call to AWS that is about to be made: one that nobody waits for any more was made all the same.
    pub fn requested(&self, service: &'static str, action: &'static str) {
        *self.calls().entry(action).or_default() += 1;
        self.requests.get_or_create(&CallLabel { service, action }).inc();
    }

    /// Counts a call to AWS that failed; it was counted before it was made.
    pub fn request_failed(&self, service: &'static str, action: &'static str) {
        self.request_failures.get_or_create(&CallLabel { service, action }).inc();
    }

    /// Counts a call to AWS that was made.
    pub fn request(&self, service: &'static str, action: &'static str, failed: bool) {
        self.requested(service, action);
        if failed {
            self.request_failed(service, action);
        }
    }

    fn calls(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.calls.lock().expect("nobody panics while holding this lock")
    }

    /// Calls to AWS so far, by action.
    pub fn calls_by_action(&self) -> BTreeMap<&'static str, u64> {
        self.calls().clone()
    }

    /// Counts requests that SQS charges for.
    pub fn billed(&self, fifo: bool, requests: u64) {
        self.billed[usize::from(fifo)].fetch_add(requests, Ordering::Relaxed);
    }

    /// Requests that SQS charges for, so far.
    pub fn billed_requests(&self) -> Billed {
        let [standard, fifo] = &self.billed;
        Billed { standard: standard.load(Ordering::Relaxed), fifo: fifo.load(Ordering::Relaxed) }
    }

    /// Documents set aside so far.
    pub fn quarantined_total(&self) -> u64 {
        let count = |reason: Reason| {
            self.quarantined.get_or_create(&ReasonLabel { reason: reason.as_str() }).get()
        };
        Reason::ALL.into_iter().map(count).sum()
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
        if let Some(newest) = counts.newest_event_at {
            self.newest_event.note(newest);
        }
        self.flush_duration.observe(took.as_secs_f64());
        self.last_flush.note(now);
    }
}

fn register<V: EncodeGaugeValue + 'static>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    unit: Option<Unit>,
    read: impl Fn() -> Option<V> + Send + Sync + 'static,
) {
    let gauge = Live::new(read);
    match unit {
        Some(unit) => registry.register_with_unit(name, help, unit, gauge),
        None => registry.register(name, help, gauge),
    }
}

/// Milliseconds as seconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "a clock's milliseconds fit a double for 285,000 years"
)]
pub(crate) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}
