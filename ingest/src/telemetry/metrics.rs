//! [`Telemetry`]: the registry of all metrics of an ingest run. Names and units follow the conventions of Prometheus
//! (<https://prometheus.io/docs/practices/naming/>).

use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeGaugeValue, EncodeLabelSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tokio::time::Instant;

use crate::decode::outcome::{IgnoreReason, QuarantineReason};
use crate::telemetry::aws_calls::AwsCalls;
use crate::telemetry::counts::IngestCounts;
use crate::telemetry::gauges::{ComputedGauge, GaugeSlots, LatestTime};
use crate::telemetry::health::Health;
use crate::telemetry::reference::{DescribedRegistry, MetricDescription, MetricSpec};

/// Media type of [`Telemetry::encode`].
pub const OPENMETRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Label of a reason from [`crate::decode::outcome`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    reason: &'static str,
}

/// All metrics of a run.
#[derive(Debug)]
#[expect(missing_docs, reason = "the help text of each metric in `Telemetry::new` documents it")]
pub struct Telemetry {
    registry: Registry,
    descriptions: Vec<MetricDescription>,
    pub received: Counter,
    pub redelivered: Counter,
    pub receive_count_max: Gauge,
    /// Milliseconds, one slot per queue.
    pub oldest_message_age: Arc<GaugeSlots<i64>>,
    /// One slot per queue.
    pub receivers: Arc<GaugeSlots<i64>>,
    /// Messages in flight, one slot per queue; exported as `messages_held`.
    pub in_flight: Arc<GaugeSlots<i64>>,
    pub visibility_extensions: Counter,
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
    pub newest_event: Arc<LatestTime>,
    pub last_flush: Arc<LatestTime>,
    /// Calls to AWS.
    pub aws: AwsCalls,
    /// Health of the run; the gauge `batch_age` reads it.
    pub health: Arc<Health>,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

impl Telemetry {
    /// All metrics, at zero.
    pub fn new() -> Self {
        let mut telemetry = Self {
            registry: Registry::default(),
            descriptions: Vec::new(),
            received: Counter::default(),
            redelivered: Counter::default(),
            receive_count_max: Gauge::default(),
            oldest_message_age: Arc::default(),
            receivers: Arc::default(),
            in_flight: Arc::default(),
            visibility_extensions: Counter::default(),
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
            aws: AwsCalls::default(),
            health: Arc::default(),
        };
        let mut registry = DescribedRegistry::new();
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        let build = MetricSpec::new("build", "1, with the version of bouncewatch as label");
        registry.register(build.labels(&["version"]), version);
        telemetry.register_source(&mut registry);
        telemetry.register_store(&mut registry);
        telemetry.register_computed(&mut registry);
        telemetry.registry = registry.registry;
        telemetry.descriptions = registry.descriptions;
        telemetry
    }

    fn register_source(&self, registry: &mut DescribedRegistry) {
        let mut counter = |name, help, counter: &Counter| {
            registry.register(MetricSpec::new(name, help), counter.clone());
        };
        counter(
            "messages_received",
            "Messages received from queues, and documents read from files, objects and log groups",
            &self.received,
        );
        counter(
            "messages_redelivered",
            "Messages that SQS had delivered before",
            &self.redelivered,
        );
        counter(
            "messages_deleted",
            "Messages deleted from their queue after their events were durable",
            &self.deleted,
        );
        counter(
            "message_delete_failures",
            "Messages that could not be deleted; they become visible again",
            &self.delete_failed,
        );
        counter(
            "messages_left",
            "Messages left in their queue because they were not stored",
            &self.left,
        );
        counter(
            "visibility_extensions",
            "Extensions of the visibility timeout of messages in flight",
            &self.visibility_extensions,
        );
        registry.register(
            MetricSpec::new("read", "Bytes read from files and objects").unit(Unit::Bytes),
            self.bytes_read.clone(),
        );
        registry.register(
            MetricSpec::new("message_receive_count_max", "Highest receive count of one message"),
            self.receive_count_max.clone(),
        );
        let labels = &["service", "action"];
        registry.register(
            MetricSpec::new("aws_requests", "Calls to AWS").labels(labels),
            self.aws.requests.clone(),
        );
        registry.register(
            MetricSpec::new("aws_request_failures", "Calls to AWS that failed").labels(labels),
            self.aws.failures.clone(),
        );
    }

    fn register_store(&self, registry: &mut DescribedRegistry) {
        let mut counter = |name, help, counter: &Counter| {
            registry.register(MetricSpec::new(name, help), counter.clone());
        };
        counter("events_stored", "Events stored", &self.events);
        counter("rows_stored", "Rows stored", &self.rows);
        counter(
            "duplicate_rows",
            "Stored rows that were stored before; a lower bound, because each worker remembers about 65,536 rows",
            &self.duplicates,
        );
        counter("segments_published", "Segments published", &self.segments);
        registry.register(
            MetricSpec::new("written", "Bytes written to the store").unit(Unit::Bytes),
            self.bytes_written.clone(),
        );
        registry.register(
            MetricSpec::new("documents_ignored", "Documents that are not mail events")
                .labels(&["reason"]),
            self.ignored.clone(),
        );
        registry.register(
            MetricSpec::new("documents_quarantined", "Documents quarantined").labels(&["reason"]),
            self.quarantined.clone(),
        );
        registry.register(
            MetricSpec::new("flush_duration", "Time to make a batch durable").unit(Unit::Seconds),
            self.flush_duration.clone(),
        );
        // each reason starts at 0, so that its first occurrence is an increase
        for reason in IgnoreReason::ALL {
            self.ignored.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc_by(0);
        }
        for reason in QuarantineReason::ALL {
            self.quarantined.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc_by(0);
        }
    }

    /// Registers the gauges that are computed at scrape time.
    fn register_computed(&self, registry: &mut DescribedRegistry) {
        let receivers = Arc::clone(&self.receivers);
        let spec = MetricSpec::new("receivers", "Receivers that poll");
        register_computed(registry, spec, move || Some(receivers.sum()));
        let in_flight = Arc::clone(&self.in_flight);
        let spec = MetricSpec::new(
            "messages_held",
            "Messages in flight: received, neither deleted nor returned to the queue",
        );
        register_computed(registry, spec, move || Some(in_flight.sum()));
        let age = Arc::clone(&self.oldest_message_age);
        let spec = MetricSpec::new(
            "oldest_message_age",
            "Lag: age of the oldest message in the last response of a queue; 0 if the queue is empty, absent without a queue",
        );
        register_computed(registry, spec.unit(Unit::Seconds), move || age.max().map(seconds));
        let health = Arc::clone(&self.health);
        let spec = MetricSpec::new(
            "batch_age",
            "Age of the oldest document that is not durable; 0 if all are",
        );
        register_computed(registry, spec.unit(Unit::Seconds), move || {
            Some(health.batch_age(Instant::now()).unwrap_or_default().as_secs_f64())
        });
        let newest = Arc::clone(&self.newest_event);
        let spec = MetricSpec::new(
            "newest_event_timestamp",
            "Time of the newest event stored by this run, as Unix time; absent until there is one. Events with a time in the future do not count",
        );
        register_computed(registry, spec.unit(Unit::Seconds), move || newest.get().map(seconds));
        let last = Arc::clone(&self.last_flush);
        let spec = MetricSpec::new(
            "last_flush_timestamp",
            "Time of the last durable batch, as Unix time; absent until there is one",
        );
        register_computed(registry, spec.unit(Unit::Seconds), move || last.get().map(seconds));
    }

    /// All metrics in the `OpenMetrics` 1.0.0 text format ([`OPENMETRICS_TYPE`]).
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        // writing to a String cannot fail, and no metric returns an error
        _ = encode(&mut text, &self.registry);
        text
    }

    /// Name, type, unit, labels and help text of each metric, in the order of registration.
    pub fn descriptions(&self) -> &[MetricDescription] {
        &self.descriptions
    }

    /// Documents quarantined so far.
    pub fn quarantined_total(&self) -> u64 {
        let count = |reason: QuarantineReason| {
            self.quarantined.get_or_create(&ReasonLabel { reason: reason.as_str() }).get()
        };
        QuarantineReason::ALL.iter().copied().map(count).sum()
    }

    /// Adds the counts of a durable batch. `now` is in epoch milliseconds.
    pub fn record_flush(&self, counts: &IngestCounts, took: std::time::Duration, now: i64) {
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
            self.newest_event.record(newest);
        }
        self.flush_duration.observe(took.as_secs_f64());
        self.last_flush.record(now);
    }
}

fn register_computed<V: EncodeGaugeValue + 'static>(
    registry: &mut DescribedRegistry,
    spec: MetricSpec,
    read: impl Fn() -> Option<V> + Send + Sync + 'static,
) {
    registry.register(spec, ComputedGauge::new(read));
}

/// Milliseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "epoch milliseconds fit a double for 285,000 years")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}
