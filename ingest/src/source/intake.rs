//! [`Intake`]: the bounded channel from the sources to the workers.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::{Mutex, Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::source::buffer_pool::BufferPool;
use crate::source::delivery::Delivery;
use crate::telemetry::metrics::Telemetry;

/// Maximum number of groups of deliveries in the intake.
const GROUPS_MAX: usize = 1_024;
/// Maximum number of bytes in the intake.
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// The other workers help the first one if fewer bytes than this are free.
const BACKLOG_FREE_BYTES: usize = BYTES_MAX / 4;

/// Returns the current time in epoch milliseconds. Only the binary reads the system clock.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The sending end of the intake, with the clock, metrics and stop signal that sources need. Clones
/// share the channel; the workers end when the last clone is dropped.
#[derive(Clone)]
pub struct Intake {
    groups: mpsc::Sender<DeliveryGroup>,
    free_bytes: Arc<Semaphore>,
    backlog: Arc<Notify>,
    /// Pool of read buffers.
    pub(crate) buffers: Arc<BufferPool>,
    flush_requests: Arc<watch::Sender<u64>>,
    halt: Arc<watch::Sender<bool>>,
    /// True when the run stops.
    pub stop: watch::Receiver<bool>,
    /// Metrics of the run.
    pub telemetry: Arc<Telemetry>,
    /// The clock.
    pub clock: Clock,
    /// Size of the input found so far, bytes, for a progress bar.
    pub input_bytes: Arc<AtomicU64>,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").finish_non_exhaustive()
    }
}

/// Deliveries that were sent together.
#[derive(Debug)]
pub(crate) struct DeliveryGroup {
    pub(crate) deliveries: Vec<Delivery>,
    /// Share of the intake's bytes that this group uses; freed on drop.
    _bytes: OwnedSemaphorePermit,
}

/// The receiving end of the intake, for the workers.
#[derive(Debug, Clone)]
pub(crate) struct IntakeReceiver {
    groups: Arc<Mutex<mpsc::Receiver<DeliveryGroup>>>,
    backlog: Arc<Notify>,
    /// Pool to which the buffers of decoded deliveries return.
    pub(crate) buffers: Arc<BufferPool>,
    flush_requests: watch::Receiver<u64>,
}

/// The next input of a worker.
pub(crate) enum WorkerInput {
    /// Deliveries to decode.
    Deliveries(DeliveryGroup),
    /// A request to flush the batch now.
    Flush,
    /// All sources have ended.
    End,
}

impl IntakeReceiver {
    /// Waits for the next input of the first worker, which takes all deliveries. While it keeps up,
    /// it works alone: one worker writes fewer and larger batches than several.
    pub(crate) async fn next(&mut self) -> WorkerInput {
        tokio::select! {
            biased;
            // an error means that all sources have ended; then the channel of deliveries closes too
            Ok(()) = self.flush_requests.changed() => WorkerInput::Flush,
            group = async { self.groups.lock().await.recv().await } => {
                group.map_or(WorkerInput::End, WorkerInput::Deliveries)
            }
        }
    }

    /// Waits for the next input of a helper, which takes deliveries only if the intake has a
    /// backlog.
    pub(crate) async fn next_from_backlog(&mut self) -> WorkerInput {
        let waiting = async {
            loop {
                self.backlog.notified().await;
                // the first worker may already have taken the delivery
                if let Ok(group) = self.groups.lock().await.try_recv() {
                    return group;
                }
            }
        };
        tokio::select! {
            biased;
            flush = self.flush_requests.changed() => flush.map_or(WorkerInput::End, |()| WorkerInput::Flush),
            group = waiting => WorkerInput::Deliveries(group),
        }
    }
}

impl Intake {
    /// Both ends of a new intake. `halt` stops all sources.
    pub(crate) fn new(
        telemetry: Arc<Telemetry>,
        clock: Clock,
        input_bytes: Arc<AtomicU64>,
        halt: Arc<watch::Sender<bool>>,
    ) -> (Self, IntakeReceiver) {
        let (sender, receiver) = mpsc::channel(GROUPS_MAX);
        let (flush_sender, flush_requests) = watch::channel(0);
        let backlog = Arc::<Notify>::default();
        let buffers = Arc::<BufferPool>::default();
        let intake = Self {
            groups: sender,
            free_bytes: Arc::new(Semaphore::new(BYTES_MAX)),
            backlog: Arc::clone(&backlog),
            buffers: Arc::clone(&buffers),
            flush_requests: Arc::new(flush_sender),
            stop: halt.subscribe(),
            halt,
            telemetry,
            clock,
            input_bytes,
        };
        let groups = Arc::new(Mutex::new(receiver));
        (intake, IntakeReceiver { groups, backlog, buffers, flush_requests })
    }

    /// Sends a delivery to the workers; waits while the intake is full. `None` if all workers have ended; they report
    /// the reason.
    pub async fn send(&self, delivery: Delivery) -> Option<()> {
        self.send_all(vec![delivery]).await
    }

    /// Sends several deliveries to the workers as one group. See [`send`](Self::send).
    pub async fn send_all(&self, deliveries: Vec<Delivery>) -> Option<()> {
        let bytes: usize = deliveries.iter().map(Delivery::memory_bytes).sum();
        let bytes = u32::try_from(bytes.clamp(1, BYTES_MAX)).ok()?;
        let permit = tokio::select! {
            permit = Arc::clone(&self.free_bytes).acquire_many_owned(bytes) => permit.ok()?,
            () = self.groups.closed() => return None,
        };
        self.groups.send(DeliveryGroup { deliveries, _bytes: permit }).await.ok()?;
        if self.free_bytes.available_permits() < BACKLOG_FREE_BYTES {
            self.backlog.notify_one();
        }
        Some(())
    }

    /// Requests that all workers flush their batches now.
    pub fn request_flush(&self) {
        self.flush_requests.send_modify(|requests| *requests += 1);
    }

    /// The sender that stops all sources, for a task that outlives them. Such a task must not keep
    /// a clone of the intake, because the workers would wait for it.
    pub(crate) fn halt(&self) -> Arc<watch::Sender<bool>> {
        Arc::clone(&self.halt)
    }
}
