//! Runs all steps in order: receive -> decode -> batch -> make durable -> settle. Only this module
//! defines the order; `pipeline.md` next to this file explains why no event is lost.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use crate::batch::BatchLimits;
pub use crate::batch_builder::{IntakeRules, PoisonPolicy};
use crate::decode::find_pointers;
use crate::decode::outcome::{QuarantineReason, Rejection};
use crate::pending_batch::PendingBatch;
use crate::source::delivery::{Delivery, Handling};
use crate::source::files::{self, FileError};
use crate::source::intake::{Clock, Intake, IntakeReceiver, WorkerInput};
use crate::source::logs::{self, LogGroup, LogsSettings};
use crate::source::objects::Objects;
use crate::source::objects::notifications::NotificationFollower;
use crate::source::sqs::records::RecordBatch;
use crate::source::sqs::{self, InFlightElsewhere, Queue, QueueSettings, QueueSummary};
use crate::telemetry::counts::IngestCounts;
use crate::telemetry::gauges::GaugeSlot;
use crate::telemetry::log_lines::log_durable_batch;
use crate::telemetry::metrics::Telemetry;
use crate::telemetry::throttle::{LogThrottle, QuarantineLevel};
use bouncewatch_store::quarantine::Quarantined;
use bouncewatch_store::shutdown::{stop_requested, with_grace_period};
use bouncewatch_store::{Store, StoreError};

/// Maximum wait time of a worker with an empty batch.
const IDLE_WAIT: Duration = Duration::from_hours(1);

/// A source of events.
#[derive(Debug)]
pub enum Source {
    /// Files, read in order.
    Files(Vec<PathBuf>),
    /// Standard input.
    Stdin,
    /// Objects in S3.
    Objects(Box<Objects>),
    /// An SQS queue.
    Queue(Box<Queue>),
    /// Messages that AWS Lambda received from a queue.
    Records(RecordBatch),
    /// A log group of CloudWatch Logs.
    Logs(Box<LogGroup>, LogsSettings),
    /// Quarantined documents to replay, and the follower that reads the S3 objects they point to.
    Quarantined(Vec<Quarantined>, Box<NotificationFollower>),
}

/// Settings of a run.
#[derive(Debug, Clone, Default)]
pub struct IngestSettings {
    /// Limits of a batch.
    pub limits: BatchLimits,
    /// Number of threads that decode and write.
    pub workers: usize,
    /// Settings for reading queues.
    pub queue: QueueSettings,
    /// Rules for accepting, redacting and classifying events.
    pub rules: IntakeRules,
    /// Policy for unreadable messages.
    pub poison: PoisonPolicy,
    /// Size of the files and the objects listed so far, bytes. The caller reads it for a progress
    /// bar.
    pub input_bytes: Arc<AtomicU64>,
}

/// Why a run failed. Only messages with durable events were deleted.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The store cannot be written.
    #[error(
        "{0}\n  hint: events that are not stored remain in their source; run again when the store is writable"
    )]
    Store(#[from] StoreError),
    /// A task panicked or was cancelled.
    #[error("a task of the pipeline failed: {0}; this is a bug, no event is lost")]
    Task(#[from] tokio::task::JoinError),
}

/// Result of a run.
#[derive(Debug, Default)]
pub struct IngestSummary {
    /// Counts of all workers and sources.
    pub counts: IngestCounts,
    /// Errors of sources that could not be read to their end.
    pub failures: Vec<String>,
    /// Whether the run stopped before all files and objects were read.
    pub interrupted: bool,
    /// Messages of drained queues that are in flight elsewhere; `None` if no queue was drained.
    pub in_flight: Option<InFlightElsewhere>,
}

/// Ingests the events of all sources into the store. Ends when all sources have ended, or soon after `stop` is true.
///
/// # Errors
/// If the store cannot be written. A failed source does not stop the others; the summary contains its error.
pub async fn run(
    sources: Vec<Source>,
    store: Store,
    settings: IngestSettings,
    clock: Clock,
    telemetry: Arc<Telemetry>,
    stop: watch::Receiver<bool>,
) -> Result<IngestSummary, IngestError> {
    // records need no probe of the store: their outcome is reported, and a probe would double the
    // requests
    if !sources.iter().all(|source| matches!(source, Source::Records(_))) {
        let (stop, timeout) = (stop.clone(), settings.limits.last_flush);
        with_grace_period(&store, stop, timeout, store.check_writable()).await?;
    }
    // stops the sources; set by the caller's `stop`, or by a worker that fails
    let halt = Arc::new(watch::Sender::new(false));
    let forwarding = tokio::spawn(forward_stop(stop, Arc::clone(&halt)));
    let recording = tokio::spawn(record_stop(halt.subscribe(), Arc::clone(&telemetry)));
    let (intake, receiver) = Intake::new(
        Arc::clone(&telemetry),
        Arc::clone(&clock),
        Arc::clone(&settings.input_bytes),
        Arc::clone(&halt),
    );
    let level = if settings.queue.follow { QuarantineLevel::Warn } else { QuarantineLevel::Info };
    let throttle = Arc::new(LogThrottle::new(level));
    let mut workers = JoinSet::new();
    for index in 0..settings.workers.max(1) {
        let worker = Worker {
            role: if index == 0 { WorkerRole::First } else { WorkerRole::Helper },
            receiver: receiver.clone(),
            store: store.clone(),
            limits: settings.limits,
            rules: settings.rules.clone(),
            poison: settings.poison,
            clock: Arc::clone(&clock),
            telemetry: Arc::clone(&telemetry),
            throttle: Arc::clone(&throttle),
            halt: Arc::clone(&halt),
            not_durable_since: telemetry.health.not_durable_since.slot(),
        };
        let handle = tokio::runtime::Handle::current();
        workers.spawn_blocking(move || worker.run(&handle));
    }
    // the channel closes when all workers have ended; then the sources end too
    drop(receiver);
    let mut running = JoinSet::new();
    for source in sources {
        running.spawn(run_source(source, intake.clone(), settings.clone(), store.clone()));
    }
    drop(intake);
    let mut summary = IngestSummary::default();
    let mut failed: Option<IngestError> = None;
    while let Some(ended) = workers.join_next().await {
        match ended.map_err(IngestError::from).and_then(|ended| ended.map_err(IngestError::from)) {
            Ok(counts) => summary.counts.add(&counts),
            Err(error) => failed = Some(error),
        }
    }
    while let Some(ended) = running.join_next().await {
        let ended = ended?;
        summary.counts.add(&ended.counts);
        summary.failures.extend(ended.failures);
        summary.interrupted |= ended.interrupted;
        if let Some(in_flight) = ended.in_flight {
            summary.in_flight.get_or_insert_default().add(in_flight);
        }
    }
    forwarding.abort();
    recording.abort();
    failed.map_or(Ok(summary), Err)
}

/// Stops the sources when the caller stops the run.
async fn forward_stop(mut stop: watch::Receiver<bool>, halt: Arc<watch::Sender<bool>>) {
    stop_requested(&mut stop).await;
    halt.send_replace(true);
}

/// Records in [`Health`](crate::telemetry::health::Health) that the run is stopping.
async fn record_stop(mut halted: watch::Receiver<bool>, telemetry: Arc<Telemetry>) {
    stop_requested(&mut halted).await;
    telemetry.health.record_stopping();
}

async fn run_source(
    source: Source,
    intake: Intake,
    settings: IngestSettings,
    store: Store,
) -> IngestSummary {
    match source {
        Source::Queue(queue) => {
            let QueueSummary { deleted, delete_failed, left, failure, object_failure, in_flight } =
                sqs::run(*queue, intake, settings.queue, settings.rules.verifier).await;
            let failure = failure.map(|failure| failure.to_string());
            let object_failure = object_failure.map(|failure| failure.to_string());
            IngestSummary {
                counts: IngestCounts { deleted, delete_failed, left, ..IngestCounts::default() },
                failures: failure.into_iter().chain(object_failure).collect(),
                interrupted: false,
                in_flight,
            }
        }
        Source::Records(batch) => {
            sqs::records::run(batch, intake, settings.rules.verifier).await;
            IngestSummary::default()
        }
        Source::Logs(group, settings) => {
            let ended = logs::run(*group, store, intake, settings).await;
            ended.map_or_else(|error| failure(&error), |()| IngestSummary::default())
        }
        Source::Objects(objects) => {
            let summary = objects.run(intake).await;
            IngestSummary {
                failures: summary.failures,
                interrupted: summary.interrupted,
                ..IngestSummary::default()
            }
        }
        Source::Quarantined(documents, follower) => {
            read_quarantined(documents, &follower, intake, settings.rules.verifier.is_some()).await
        }
        Source::Files(paths) => blocking(move || read_files(&paths, &intake)).await,
        Source::Stdin => {
            blocking(move || file_summary(files::read(std::io::stdin(), "-", &intake))).await
        }
    }
}

async fn blocking(work: impl FnOnce() -> IngestSummary + Send + 'static) -> IngestSummary {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| failure(&error))
}

fn failure(error: &dyn std::fmt::Display) -> IngestSummary {
    IngestSummary { failures: vec![error.to_string()], ..IngestSummary::default() }
}

fn read_files(paths: &[PathBuf], intake: &Intake) -> IngestSummary {
    let sizes = paths.iter().filter_map(|path| path.metadata().ok()).map(|metadata| metadata.len());
    intake.input_bytes.fetch_add(sizes.sum(), Ordering::Relaxed);
    let mut summary = IngestSummary::default();
    for path in paths {
        let one = file_summary(files::read_file(path, intake));
        summary.failures.extend(one.failures);
        summary.interrupted |= one.interrupted;
        if summary.interrupted {
            break;
        }
    }
    summary
}

fn file_summary(read: Result<bool, FileError>) -> IngestSummary {
    match read {
        Ok(is_complete) => IngestSummary { interrupted: !is_complete, ..IngestSummary::default() },
        Err(error) => failure(&error),
    }
}

/// Decodes deliveries into a batch, makes the batch durable, and settles its receipts. Each worker
/// has its own batch, so that workers decode and write in parallel.
struct Worker {
    role: WorkerRole,
    receiver: IntakeReceiver,
    store: Store,
    limits: BatchLimits,
    rules: IntakeRules,
    poison: PoisonPolicy,
    clock: Clock,
    telemetry: Arc<Telemetry>,
    throttle: Arc<LogThrottle>,
    halt: Arc<watch::Sender<bool>>,
    /// Arrival time of the oldest document in the batch of this worker.
    not_durable_since: GaugeSlot<Instant>,
}

/// Which deliveries a worker takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WorkerRole {
    /// All deliveries.
    First,
    /// Only deliveries that the first worker cannot keep up with.
    Helper,
}

/// Guard that stops the run if a worker fails or panics. Without it, the sources would continue
/// with the other workers.
struct HaltUnlessDone<'a> {
    halt: &'a watch::Sender<bool>,
    done: bool,
}

impl Drop for HaltUnlessDone<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.halt.send_replace(true);
        }
    }
}

impl Worker {
    fn run(mut self, handle: &tokio::runtime::Handle) -> Result<IngestCounts, StoreError> {
        let halt = Arc::clone(&self.halt);
        let mut guard = HaltUnlessDone { halt: &halt, done: false };
        let ended = self.work(handle);
        match &ended {
            Ok(_) => guard.done = true,
            Err(error) => {
                self.telemetry.health.record_store_failure(error);
                tracing::error!(%error, "the store cannot be written, stopping");
            }
        }
        ended
    }

    fn work(&mut self, handle: &tokio::runtime::Handle) -> Result<IngestCounts, StoreError> {
        let mut pending = PendingBatch::new(self.rules.clone(), self.poison);
        loop {
            match handle.block_on(self.next_input(pending.since)) {
                WorkerInput::Deliveries(group) => {
                    for delivery in group.deliveries {
                        self.not_durable_since.set_if_empty(delivery.arrived);
                        let is_pooled = delivery.documents.is_some();
                        let buffer = pending.add(delivery);
                        if is_pooled {
                            self.receiver.buffers.put(buffer);
                        }
                        pending.batch.encode_if_due()?;
                        if pending.is_full(&self.limits) || pending.is_old(&self.limits) {
                            handle.block_on(self.flush(&mut pending))?;
                        }
                    }
                }
                WorkerInput::Flush => handle.block_on(self.flush(&mut pending))?,
                WorkerInput::End => {
                    handle.block_on(self.flush(&mut pending))?;
                    return Ok(pending.done);
                }
            }
        }
    }

    /// Waits for the next input. Returns [`WorkerInput::Flush`] when the batch reaches its maximum age.
    async fn next_input(&mut self, since: Option<Instant>) -> WorkerInput {
        let deadline =
            since.map_or_else(|| Instant::now() + IDLE_WAIT, |since| since + self.limits.age_max);
        let input = async {
            // while the run stops, all workers take all deliveries: the first worker may have failed
            if self.role == WorkerRole::First || *self.halt.borrow() {
                return self.receiver.next().await;
            }
            let mut halted = self.halt.subscribe();
            tokio::select! {
                input = self.receiver.next_from_backlog() => input,
                () = stop_requested(&mut halted) => WorkerInput::Flush,
            }
        };
        tokio::time::timeout_at(deadline, input).await.unwrap_or(WorkerInput::Flush)
    }

    /// Makes the batch durable, then settles its receipts (I-1). If a segment fails, the receipts
    /// of its messages are dropped without settling. If the store does not respond in time while
    /// the run stops, all receipts are.
    async fn flush(&self, pending: &mut PendingBatch) -> Result<(), StoreError> {
        let receipts = std::mem::take(&mut pending.receipts);
        let started = Instant::now();
        let (stop, timeout) = (self.halt.subscribe(), self.limits.last_flush);
        let flush = async { Ok(pending.batch.flush(&self.store, (self.clock)()).await) };
        let published = with_grace_period(&self.store, stop, timeout, flush).await?;
        let durable = receipts.into_iter().filter(|(_, segments)| published.are_durable(segments));
        durable.for_each(|(receipt, _)| receipt.settle());
        if let Some(error) = published.failure {
            return Err(error);
        }
        let counts = published.counts;
        self.not_durable_since.clear();
        let messages = std::mem::take(&mut pending.messages);
        if pending.since.is_some() {
            let took = started.elapsed();
            self.telemetry.record_flush(&counts, took, (self.clock)());
            log_durable_batch(&counts, messages, took);
            self.throttle.log_batch(&counts, Instant::now());
        }
        pending.done.add(&counts);
        pending.done.messages += messages;
        pending.since = None;
        Ok(())
    }
}

async fn read_quarantined(
    documents: Vec<Quarantined>,
    follower: &NotificationFollower,
    intake: Intake,
    checks_signatures: bool,
) -> IngestSummary {
    for document in documents {
        let origin = Arc::from(document.origin);
        // check against the current time: the event may no longer be in the future, or the clock
        // was wrong when the document arrived
        let is_future = document.reason == QuarantineReason::Future.as_str();
        let received_at = if is_future { (intake.clock)() } else { document.received_at };
        let delivery = Delivery::message(document.body, origin, received_at);
        let reason = QuarantineReason::SignatureInvalid;
        if checks_signatures && document.reason == reason.as_str() {
            // a replay must not accept messages that failed the signature check of the queue
            let rejection = Rejection::new(reason, document.detail.unwrap_or_default());
            let delivery = delivery.with_handling(Handling::Quarantine(rejection));
            if intake.send(delivery).await.is_none() {
                return IngestSummary { interrupted: true, ..IngestSummary::default() };
            }
            continue;
        }
        let sent = match find_pointers(&delivery.bytes) {
            None => intake.send(delivery).await,
            Some(pointers) => follower.follow_quarantined(delivery, &pointers, &intake).await,
        };
        if sent.is_none() {
            return IngestSummary { interrupted: true, ..IngestSummary::default() };
        }
    }
    IngestSummary::default()
}
