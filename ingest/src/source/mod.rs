//! Where events come from. A source hands over parcels; a parcel may carry a receipt, which tells the source when
//! everything in it is durable, and not before (invariant I-1).

mod backoff;
pub mod files;
pub mod logs;
pub mod objects;
pub mod sqs;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Mutex, Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;

use crate::decode::documents::Piece;
use crate::decode::outcome::Rejected;
use crate::telemetry::metrics::Telemetry;

/// Deliveries that wait for the workers.
const DELIVERIES_MAX: usize = 1_024;
/// Bytes in them.
const WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes that are left of them when one worker is not enough.
const BACKLOG_LEFT: usize = WAITING_BYTES_MAX / 4;

/// Buffers that are kept to be filled again.
const SPARE_MAX: usize = 32;
/// Bytes of one that is kept: what a file is read in, and a document that its beginning held.
const SPARE_BYTES: std::ops::RangeInclusive<usize> = 128 * 1024..=512 * 1024;

/// What shall be done with a parcel.
#[derive(Debug, Default)]
pub enum Handling {
    /// What is in it is read.
    #[default]
    Read,
    /// It is read, and its source follows the pointers to objects that are in it.
    Followed,
    /// It goes to quarantine: a message whose other parts were handed over before.
    SetAside(Rejected),
}

/// Bytes that were taken together.
#[derive(Debug)]
pub struct Parcel {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The documents in them; `None` where the bytes are one message.
    pub pieces: Option<Vec<Piece>>,
    /// File or queue.
    pub origin: Arc<str>,
    /// When they were taken, epoch milliseconds.
    pub received_at: i64,
    /// What settles them.
    pub receipt: Option<Receipt>,
    /// When they were taken, by the clock that never jumps.
    pub(crate) taken: Instant,
    /// What shall be done with them.
    pub handling: Handling,
}

impl Parcel {
    /// Documents of a file or an object.
    pub fn documents(
        bytes: Vec<u8>,
        pieces: Vec<Piece>,
        origin: Arc<str>,
        received_at: i64,
    ) -> Self {
        Self { pieces: Some(pieces), ..Self::message(bytes, origin, received_at) }
    }

    /// One message.
    pub fn message(bytes: Vec<u8>, origin: Arc<str>, received_at: i64) -> Self {
        Self {
            bytes,
            pieces: None,
            origin,
            received_at,
            receipt: None,
            handling: Handling::Read,
            taken: Instant::now(),
        }
    }

    /// The same with the duty to tell what became of it.
    #[must_use]
    pub fn with_receipt(self, receipt: Option<Receipt>) -> Self {
        Self { receipt, ..self }
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The number that the source gave it.
    pub id: u64,
    /// Whether everything in it is durable; else it has to come again.
    pub durable: bool,
}

/// The duty to tell a source what became of a message. A message that becomes several parcels (an object that a
/// notification points to) has a receipt for each, all clones of one: it is durable when all of them are settled. A
/// receipt that is dropped without (the store failed) makes it come again.
#[derive(Debug)]
pub struct Receipt {
    duty: Arc<Duty>,
    settled: bool,
}

#[derive(Debug)]
struct Duty {
    id: u64,
    broken: AtomicBool,
    outcomes: mpsc::UnboundedSender<Outcome>,
}

impl Receipt {
    /// The first receipt of a message; what becomes of it is told to a channel.
    pub fn new(id: u64, outcomes: mpsc::UnboundedSender<Outcome>) -> Self {
        Self {
            duty: Arc::new(Duty { id, broken: AtomicBool::new(false), outcomes }),
            settled: false,
        }
    }

    /// Tells that this part is stored, ignored or quarantined, and durable.
    pub fn settle(mut self) {
        self.settled = true;
    }
}

impl Clone for Receipt {
    fn clone(&self) -> Self {
        Self { duty: Arc::clone(&self.duty), settled: false }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if !self.settled {
            self.duty.broken.store(true, Ordering::Release);
        }
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        let durable = !self.broken.load(Ordering::Acquire);
        // a source that is gone has no use for it: the message comes again, and nothing is lost
        _ = self.outcomes.send(Outcome { id: self.id, durable });
    }
}

/// The clock, handed in: only the command reads it.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Buffers that were read, and are filled again: memory that is fresh costs a fault for each of its pages.
#[derive(Debug, Default)]
pub(crate) struct Spare(std::sync::Mutex<Vec<Vec<u8>>>);

impl Spare {
    /// A buffer with something in it that may be overwritten, or an empty one.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.buffers().pop().unwrap_or_default()
    }

    /// Keeps a buffer for the next who takes one, if it has the usual size.
    pub(crate) fn give(&self, buffer: Vec<u8>) {
        let mut buffers = self.buffers();
        if buffers.len() < SPARE_MAX && SPARE_BYTES.contains(&buffer.capacity()) {
            buffers.push(buffer);
        }
    }

    fn buffers(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().expect("nobody panics while holding this lock")
    }
}

/// What every source needs to run: where its parcels go, and when it shall end.
#[derive(Clone)]
pub struct Intake {
    out: mpsc::Sender<Delivery>,
    /// Bytes that may wait for the workers.
    room: Arc<Semaphore>,
    backlog: Arc<Notify>,
    /// Buffers to read into.
    pub(crate) spare: Arc<Spare>,
    urge: Arc<watch::Sender<u64>>,
    halt: Arc<watch::Sender<bool>>,
    /// Whether the run shall end.
    pub stop: watch::Receiver<bool>,
    /// What is counted.
    pub telemetry: Arc<Telemetry>,
    /// The clock.
    pub clock: Clock,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").finish_non_exhaustive()
    }
}

/// Parcels that were handed over together.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) parcels: Vec<Parcel>,
    /// What they take of the room for what waits.
    _room: OwnedSemaphorePermit,
}

/// The other end of an intake, for the workers.
#[derive(Debug, Clone)]
pub(crate) struct Delivered {
    deliveries: Arc<Mutex<mpsc::Receiver<Delivery>>>,
    backlog: Arc<Notify>,
    /// Where buffers go that were read.
    pub(crate) spare: Arc<Spare>,
    urged: watch::Receiver<u64>,
}

/// What comes to a worker.
pub(crate) enum Next {
    Delivery(Delivery),
    /// Somebody waits for what it holds to be written.
    Urged,
    End,
}

impl Delivered {
    /// What comes next for the worker that does all that one can do: its batches are large, and few.
    pub(crate) async fn next(&mut self) -> Next {
        tokio::select! {
            biased;
            // the sources are gone when the sender is, and then the deliveries end
            Ok(()) = self.urged.changed() => Next::Urged,
            delivery = async { self.deliveries.lock().await.recv().await } => {
                delivery.map_or(Next::End, Next::Delivery)
            }
        }
    }

    /// The same for a worker that helps out, when too much waits.
    pub(crate) async fn next_of_backlog(&mut self) -> Next {
        let waiting = async {
            loop {
                self.backlog.notified().await;
                // the first worker may have been faster
                if let Ok(delivery) = self.deliveries.lock().await.try_recv() {
                    return delivery;
                }
            }
        };
        tokio::select! {
            biased;
            urged = self.urged.changed() => urged.map_or(Next::End, |()| Next::Urged),
            delivery = waiting => Next::Delivery(delivery),
        }
    }
}

impl Intake {
    /// Both ends of an intake, and what ends the sources.
    pub(crate) fn new(
        telemetry: Arc<Telemetry>,
        clock: Clock,
        halt: Arc<watch::Sender<bool>>,
    ) -> (Self, Delivered) {
        let (out, deliveries) = mpsc::channel(DELIVERIES_MAX);
        let (urge, urged) = watch::channel(0);
        let backlog = Arc::<Notify>::default();
        let spare = Arc::<Spare>::default();
        let intake = Self {
            out,
            room: Arc::new(Semaphore::new(WAITING_BYTES_MAX)),
            backlog: Arc::clone(&backlog),
            spare: Arc::clone(&spare),
            urge: Arc::new(urge),
            stop: halt.subscribe(),
            halt,
            telemetry,
            clock,
        };
        let deliveries = Arc::new(Mutex::new(deliveries));
        (intake, Delivered { deliveries, backlog, spare, urged })
    }

    /// Hands a parcel to the workers, when there is room for it; `None` when there are no workers any more, who tell
    /// why.
    pub async fn send(&self, parcel: Parcel) -> Option<()> {
        self.send_all(vec![parcel]).await
    }

    /// Hands parcels over together, which costs no more than one does.
    pub async fn send_all(&self, parcels: Vec<Parcel>) -> Option<()> {
        let bytes: usize = parcels.iter().map(|parcel| parcel.bytes.len()).sum();
        let bytes = u32::try_from(bytes.clamp(1, WAITING_BYTES_MAX)).ok()?;
        let room = tokio::select! {
            room = Arc::clone(&self.room).acquire_many_owned(bytes) => room.ok()?,
            () = self.out.closed() => return None,
        };
        self.out.send(Delivery { parcels, _room: room }).await.ok()?;
        if self.room.available_permits() < BACKLOG_LEFT {
            self.backlog.notify_one();
        }
        Some(())
    }

    /// Asks the workers to write what they hold: a source waits for it.
    pub fn hurry(&self) {
        self.urge.send_modify(|asked| *asked += 1);
    }

    /// What ends all sources, for whoever outlives them: a clone of the intake would keep the workers waiting.
    pub(crate) fn halt(&self) -> Arc<watch::Sender<bool>> {
        Arc::clone(&self.halt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(parts: usize, settled: usize) -> Outcome {
        let (outcomes, mut told) = mpsc::unbounded_channel();
        let first = Receipt::new(7, outcomes);
        let mut receipts: Vec<Receipt> = (1..parts).map(|_| first.clone()).collect();
        receipts.push(first);
        for (at, receipt) in receipts.into_iter().enumerate() {
            assert!(told.try_recv().is_err(), "told before all parts were settled");
            if at < settled {
                receipt.settle();
            }
        }
        told.try_recv().unwrap()
    }

    #[test]
    fn a_message_is_durable_when_all_its_parts_are() {
        assert_eq!(outcome(1, 1), Outcome { id: 7, durable: true });
        assert_eq!(outcome(1, 0), Outcome { id: 7, durable: false });
        assert_eq!(outcome(3, 3), Outcome { id: 7, durable: true });
        assert_eq!(outcome(3, 2), Outcome { id: 7, durable: false });
    }
}
