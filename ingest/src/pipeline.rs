//! The one place that knows the order: receive -> decode -> batch -> make durable -> settle. `pipeline.md` beside
//! this file tells why it is safe.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::batch::Batch;
pub use crate::batch::{BatchLimits, Poison, Rules};
use crate::decode::pointers;
use crate::source::files::{self, FileError};
use crate::source::logs;
use crate::source::objects::Objects;
use crate::source::objects::follow::Follower;
use crate::source::sqs::{self, Queue, Settled};
use crate::source::{Clock, Delivered, Handling, Intake, Next, Parcel, Receipt};
use crate::telemetry::gauges::Slot;
use crate::telemetry::log_lines;
use crate::telemetry::metrics::{Counts, Telemetry};
use bouncewatch_store::aws::Buckets;
use bouncewatch_store::quarantine::{self, Quarantined};
use bouncewatch_store::shutdown::in_time;
use bouncewatch_store::shutdown::stopped;
use bouncewatch_store::{Store, StoreError};

/// Messages of a queue in one batch: each is in flight until it is deleted, and the fewer are, the fewer come twice
/// after a crash. A live queue comes nowhere near it; a drain leaves what is for `store compact`.
const RECEIPTS_MAX: usize = 2 * 1024;
/// How long an idle worker waits before it looks at its batch again.
const IDLE: Duration = Duration::from_hours(1);

/// A source of events.
#[derive(Debug)]
pub enum Source {
    /// Files, read one after the other.
    Files(Vec<PathBuf>),
    /// Standard input.
    Stdin,
    /// Objects in S3.
    Objects(Box<Objects>),
    /// A queue.
    Queue(Box<Queue>),
    /// A log group.
    Logs(Box<logs::Group>, logs::Settings),
    /// Bodies of the quarantine, and who follows the pointers in them.
    Bodies(Vec<Quarantined>, Box<Follower>),
}

/// How a run goes about it.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// When a batch is written.
    pub limits: BatchLimits,
    /// Threads that decode and write.
    pub workers: usize,
    /// How queues are read.
    pub queue: sqs::Settings,
    /// What is stored of what comes.
    pub rules: Rules,
    /// What is done with messages that cannot be read.
    pub poison: Poison,
}

/// What stops a run.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The store cannot be written: nothing was settled that is not durable.
    #[error("{0}; what was not stored stays where it was, run again when the store can be written")]
    Store(#[from] StoreError),
    /// A part of the program failed.
    #[error(
        "a part of the pipeline failed: {0}; this is a bug, nothing was settled that is not durable"
    )]
    Task(#[from] tokio::task::JoinError),
}

/// What a run did.
#[derive(Debug, Default)]
pub struct Summary {
    /// Everything that was counted.
    pub counts: Counts,
    /// Sources that could not be read to their end, and why.
    pub failures: Vec<String>,
    /// Whether it was stopped while files were still unread.
    pub interrupted: bool,
}

/// Takes everything from the sources into the store.
///
/// # Errors
/// If the store cannot be written. A source that fails does not stop the others; it is told in the summary.
pub async fn run(
    sources: Vec<Source>,
    store: Store,
    settings: Settings,
    clock: Clock,
    telemetry: Arc<Telemetry>,
    stop: watch::Receiver<bool>,
) -> Result<Summary, IngestError> {
    in_time(&store, stop.clone(), settings.limits.last_flush, store.prepare()).await?;
    // what ends the sources: the caller, or a worker that cannot store
    let halt = Arc::new(watch::Sender::new(false));
    let passing_on = tokio::spawn(pass_on(stop, Arc::clone(&halt)));
    let ending = tokio::spawn(note_end(halt.subscribe(), Arc::clone(&telemetry)));
    let (intake, delivered) =
        Intake::new(Arc::clone(&telemetry), Arc::clone(&clock), Arc::clone(&halt));
    let mut workers = JoinSet::new();
    for at in 0..settings.workers.max(1) {
        let worker = Worker {
            helps: at > 0,
            delivered: delivered.clone(),
            store: store.clone(),
            limits: settings.limits,
            rules: settings.rules.clone(),
            poison: settings.poison,
            clock: Arc::clone(&clock),
            telemetry: Arc::clone(&telemetry),
            halt: Arc::clone(&halt),
            oldest: telemetry.vitals.waiting.slot(),
            follow: settings.queue.follow,
        };
        let handle = tokio::runtime::Handle::current();
        workers.spawn_blocking(move || worker.run(&handle));
    }
    // when all workers are gone, senders see a closed channel and the sources end
    drop(delivered);
    let mut running = JoinSet::new();
    for source in sources {
        running.spawn(run_source(source, intake.clone(), settings.clone(), store.clone()));
    }
    drop(intake);
    let mut summary = Summary::default();
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
    }
    passing_on.abort();
    ending.abort();
    failed.map_or(Ok(summary), Err)
}

/// Tells the sources to end when the caller does.
async fn pass_on(mut stop: watch::Receiver<bool>, halt: Arc<watch::Sender<bool>>) {
    stopped(&mut stop).await;
    halt.send_replace(true);
}

/// Lets whoever watches know that the run ends, whoever ended it.
async fn note_end(mut halted: watch::Receiver<bool>, telemetry: Arc<Telemetry>) {
    stopped(&mut halted).await;
    telemetry.vitals.stopping();
}

async fn run_source(source: Source, intake: Intake, settings: Settings, store: Store) -> Summary {
    match source {
        Source::Queue(queue) => {
            let Settled { deleted, delete_failed, left, failure, object_failure } =
                sqs::run(*queue, intake, settings.queue).await;
            let failure = failure.map(|failure| failure.to_string());
            let object_failure = object_failure.map(|failure| failure.to_string());
            Summary {
                counts: Counts { deleted, delete_failed, left, ..Counts::default() },
                failures: failure.into_iter().chain(object_failure).collect(),
                interrupted: false,
            }
        }
        Source::Logs(group, settings) => {
            let ended = logs::run(*group, store, intake, settings).await;
            ended.map_or_else(|error| failure(&error), |()| Summary::default())
        }
        Source::Objects(objects) => {
            let taken = objects.run(intake).await;
            Summary {
                failures: taken.failures,
                interrupted: taken.interrupted,
                ..Summary::default()
            }
        }
        Source::Bodies(bodies, follower) => read_again(bodies, &follower, intake).await,
        Source::Files(paths) => blocking(move || read_files(&paths, &intake)).await,
        Source::Stdin => {
            blocking(move || one_file(files::read(std::io::stdin(), "-", &intake))).await
        }
    }
}

async fn blocking(work: impl FnOnce() -> Summary + Send + 'static) -> Summary {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| failure(&error))
}

fn failure(error: &dyn std::fmt::Display) -> Summary {
    Summary { failures: vec![error.to_string()], ..Summary::default() }
}

fn read_files(paths: &[PathBuf], intake: &Intake) -> Summary {
    let mut summary = Summary::default();
    for path in paths {
        let one = one_file(files::read_file(path, intake));
        summary.failures.extend(one.failures);
        summary.interrupted |= one.interrupted;
        if summary.interrupted {
            break;
        }
    }
    summary
}

fn one_file(read: Result<bool, FileError>) -> Summary {
    match read {
        Ok(to_the_end) => Summary { interrupted: !to_the_end, ..Summary::default() },
        Err(error) => failure(&error),
    }
}

/// Decodes parcels into its own batch, makes the batch durable, and settles what was in it. Workers share nothing
/// but the intake, so that two cores write two segments at a time.
struct Worker {
    /// Whether it works only when too much waits.
    helps: bool,
    delivered: Delivered,
    store: Store,
    limits: BatchLimits,
    rules: Rules,
    poison: Poison,
    clock: Clock,
    telemetry: Arc<Telemetry>,
    halt: Arc<watch::Sender<bool>>,
    /// When the oldest document in its batch was taken.
    oldest: Slot<Instant>,
    follow: bool,
}

/// A run that cannot store ends as a whole: without this, sources would go on for the workers that are left.
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
    fn run(mut self, handle: &tokio::runtime::Handle) -> Result<Counts, StoreError> {
        // set when this ends without having stored everything, a panic included
        let halt = Arc::clone(&self.halt);
        let mut halting = HaltUnlessDone { halt: &halt, done: false };
        let ended = self.work(handle);
        match &ended {
            Ok(_) => halting.done = true,
            Err(error) => {
                self.telemetry.vitals.store_failed(error);
                tracing::error!(%error, "the store cannot be written, stopping");
            }
        }
        ended
    }

    fn work(&mut self, handle: &tokio::runtime::Handle) -> Result<Counts, StoreError> {
        let mut state = Pending {
            batch: Batch::new(self.rules.clone()),
            poison: self.poison,
            ..Pending::default()
        };
        loop {
            match handle.block_on(self.next(state.since)) {
                Next::Delivery(delivery) => {
                    for parcel in delivery.parcels {
                        self.oldest.set_if_empty(parcel.taken);
                        let was_read_in = parcel.pieces.is_some();
                        let bytes = state.take(parcel);
                        if was_read_in {
                            self.delivered.spare.give(bytes);
                        }
                        state.batch.shrink()?;
                        if state.is_full(&self.limits) || state.is_old(&self.limits) {
                            handle.block_on(self.flush(&mut state))?;
                        }
                    }
                }
                Next::Urged => handle.block_on(self.flush(&mut state))?,
                Next::End => {
                    handle.block_on(self.flush(&mut state))?;
                    return Ok(state.done);
                }
            }
        }
    }

    /// Waits for what comes next, and for the batch to grow old.
    async fn next(&mut self, since: Option<Instant>) -> Next {
        let deadline =
            since.map_or_else(|| Instant::now() + IDLE, |since| since + self.limits.age_max);
        let next = async {
            // where the run ends, the first worker may have failed, and the sources wait for room
            if !self.helps || *self.halt.borrow() {
                return self.delivered.next().await;
            }
            let mut halted = self.halt.subscribe();
            tokio::select! {
                next = self.delivered.next_of_backlog() => next,
                () = stopped(&mut halted) => Next::Urged,
            }
        };
        tokio::time::timeout_at(deadline, next).await.unwrap_or(Next::Urged)
    }

    /// Makes the batch durable, then settles it (I-1). If it cannot be made durable, or not soon enough where the run
    /// shall end, the receipts are dropped unsettled.
    async fn flush(&self, state: &mut Pending) -> Result<(), StoreError> {
        let receipts = std::mem::take(&mut state.receipts);
        let started = Instant::now();
        let (stop, patience) = (self.halt.subscribe(), self.limits.last_flush);
        let flush = state.batch.flush(&self.store, (self.clock)());
        let counts = in_time(&self.store, stop, patience, flush).await?;
        receipts.into_iter().for_each(Receipt::settle);
        self.oldest.clear();
        let messages = std::mem::take(&mut state.messages);
        if state.since.is_some() {
            let took = started.elapsed();
            self.telemetry.flushed(&counts, took, (self.clock)());
            log_lines::durable(&counts, messages, took);
            self.telemetry.hush.set_aside(&counts, self.follow, Instant::now());
        }
        state.done.add(&counts);
        state.done.messages += messages;
        state.since = None;
        Ok(())
    }
}

/// What a worker holds that is not durable yet, and what it has done.
#[derive(Default)]
struct Pending {
    batch: Batch,
    poison: Poison,
    receipts: Vec<Receipt>,
    messages: u64,
    since: Option<Instant>,
    done: Counts,
}

impl Pending {
    /// Takes what is in a parcel, and returns its bytes.
    fn take(&mut self, parcel: Parcel) -> Vec<u8> {
        self.since.get_or_insert_with(Instant::now);
        let (origin, received_at) = (parcel.origin.as_ref(), parcel.received_at);
        match (&parcel.handling, &parcel.pieces) {
            // its message was counted with the part that is read
            (Handling::SetAside(rejected), _) => {
                self.batch.set_aside(&parcel.bytes, rejected, origin, received_at);
            }
            (Handling::Followed, _) => {
                self.batch.take_followed(&parcel.bytes, origin, received_at);
                self.messages += 1;
            }
            (Handling::Read, None) => {
                let poison =
                    if parcel.receipt.is_some() { self.poison } else { Poison::Quarantine };
                self.messages += 1;
                if !self.batch.take(&parcel.bytes, origin, received_at, poison) {
                    // the receipt is dropped unsettled
                    return parcel.bytes;
                }
            }
            (Handling::Read, Some(pieces)) => {
                for piece in pieces {
                    let Some(bytes) = parcel.bytes.get(piece.start..piece.end) else { continue };
                    if piece.whole {
                        self.batch.take(bytes, origin, received_at, Poison::Quarantine);
                    } else {
                        self.batch.take_broken(bytes, origin, received_at);
                    }
                    self.messages += 1;
                }
            }
        }
        self.receipts.extend(parcel.receipt);
        parcel.bytes
    }

    fn is_full(&self, limits: &BatchLimits) -> bool {
        self.receipts.len() >= RECEIPTS_MAX || self.batch.is_full(limits)
    }

    fn is_old(&self, limits: &BatchLimits) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= limits.age_max)
    }
}

/// Reads the quarantine again: what can be read now becomes rows, also objects that a body points to; what still
/// cannot stays. Bodies leave the quarantine only after their rows are durable.
///
/// # Errors
/// If the store cannot be read or written.
pub async fn replay_quarantine(
    store: &Store,
    buckets: Buckets,
    rules: Rules,
    now: i64,
) -> Result<Counts, IngestError> {
    let segments = store.segments(bouncewatch_schemas::table::QUARANTINE).await?;
    let entries = quarantine::read_all(store, &segments).await?;
    let bodies = u64::try_from(entries.len()).unwrap_or(u64::MAX);
    if entries.is_empty() {
        return Ok(Counts::default());
    }
    let (_never, stop) = watch::channel(false);
    let settings = Settings { workers: 1, rules, ..Settings::default() };
    let sources = vec![Source::Bodies(entries, Box::new(Follower::new(buckets)))];
    let (clock, telemetry) = (Arc::new(move || now), Arc::new(Telemetry::new()));
    let summary = run(sources, store.clone(), settings, clock, telemetry, stop).await?;
    if !summary.interrupted {
        for segment in &segments {
            store.delete(&segment.path).await?;
        }
    }
    Ok(Counts { messages: bodies, ..summary.counts })
}

async fn read_again(bodies: Vec<Quarantined>, follower: &Follower, intake: Intake) -> Summary {
    for body in bodies {
        let parcel = Parcel::message(body.body, Arc::from(body.origin), body.received_at);
        let sent = match pointers(&parcel.bytes) {
            None => intake.send(parcel).await,
            Some(pointers) => follower.again(parcel, &pointers, &intake).await,
        };
        if sent.is_none() {
            return Summary { interrupted: true, ..Summary::default() };
        }
    }
    Summary::default()
}
