//! Receivers: long polls that grow in number while answers come back full, and shrink when they come back empty.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::decode::pointers;
use crate::source::backoff::Backoff;
use crate::source::sqs::cost::chunks;
use crate::source::sqs::{Line, MESSAGES_PER_CALL, POLL_SECS_FOLLOW, QueueError};
use crate::source::{Intake, Outcome, Parcel, Receipt};
use crate::telemetry::gauges::Slot;
use crate::telemetry::metrics::Telemetry;
use bouncewatch_store::shutdown::stopped;

/// Seconds that SQS waits for a message while the queue is drained.
const POLL_SECS_DRAIN: i32 = 2;
/// Empty answers in a row after which a queue that says it is empty is believed.
const EMPTY_ANSWERS: u32 = 2;
/// Bytes of one answer beyond which no further receiver is started: ten messages can be 10 MiB.
const GROWTH_BYTES_MAX: usize = 256 * 1024;
/// How often the workers are asked to write while a FIFO queue waits for its own messages.
const HURRY_EVERY: Duration = Duration::from_millis(50);
/// How long nothing comes to a drain, or to receivers that may hold no more, until the workers are asked to write, and
/// how often from then on.
const QUIET: Duration = Duration::from_millis(50);
/// Messages that are held at the same time: some batches. SQS allows 120,000 of one queue to be in flight.
const HELD_MAX: usize = 8 * 1024;
/// Deliveries of one message that are a sign that something is wrong.
const RECEIVE_COUNT_LOOK: i64 = 5;

/// The receivers of one queue. All exist from the start; those that are not needed wait for a place.
pub(super) struct Crew {
    line: Line,
    places: Semaphore,
    active: AtomicUsize,
    /// When messages came last, or the workers were asked to write because none did.
    quiet_since: Mutex<Instant>,
    origin: Arc<str>,
    started_at: i64,
    outcomes: mpsc::UnboundedSender<Outcome>,
    intake: Intake,
    look: Look,
    shown_active: Slot<i64>,
}

impl Crew {
    /// Receives until the queue is empty or the run shall end, and returns why it was left before.
    pub(super) async fn run(
        line: &Line,
        intake: Intake,
        outcomes: mpsc::UnboundedSender<Outcome>,
    ) -> Option<QueueError> {
        let crew = Arc::new(Self {
            line: line.clone(),
            places: Semaphore::new(1),
            active: AtomicUsize::new(1),
            quiet_since: Mutex::new(Instant::now()),
            origin: Arc::from(line.queue.url.as_str()),
            started_at: (intake.clock)(),
            outcomes,
            intake,
            look: Look::new(&line.telemetry),
            shown_active: line.telemetry.receivers.slot(),
        });
        crew.show_active();
        let mut receivers = JoinSet::new();
        for _ in 0..line.settings.receivers_max.max(1) {
            receivers.spawn(Arc::clone(&crew).receiver());
        }
        // the workers see the end of the queue, and the deleter the end of the receipts, when the last clone is gone
        drop(crew);
        let mut failure = None;
        while let Some(joined) = receivers.join_next().await {
            let ended = joined.map_err(|error| line.task_failed(&error)).and_then(|ended| ended);
            failure = failure.or(ended.err());
        }
        failure
    }

    async fn receiver(self: Arc<Self>) -> Result<(), QueueError> {
        let mut stop = self.intake.stop.clone();
        loop {
            let place = tokio::select! {
                () = stopped(&mut stop) => return Ok(()),
                place = self.places.acquire() => place,
            };
            // closed, when the queue was left
            let Ok(place) = place else { return Ok(()) };
            // places are counted in `active`
            place.forget();
            match Box::pin(self.poll()).await {
                Ok(Leave::ForNow) => {}
                Ok(Leave::ForGood) => {
                    if self.active.fetch_sub(1, Ordering::AcqRel) == 1 {
                        self.places.close();
                    }
                    self.show_active();
                    return Ok(());
                }
                Err(error) => {
                    self.places.close();
                    return Err(error);
                }
            }
        }
    }

    /// Polls as long as that is of use.
    async fn poll(&self) -> Result<Leave, QueueError> {
        let mut stop = self.intake.stop.clone();
        let mut empty_answers = 0;
        let mut backoff = Backoff::default();
        while !self.places.is_closed() {
            // the signal is heard only while waiting, never while messages are handed over
            let received = tokio::select! {
                biased;
                () = stopped(&mut stop) => return Ok(Leave::ForGood),
                received = self.receive() => received,
            };
            let (messages, asked) = match received {
                Ok(received) => received,
                Err(error) => {
                    tokio::select! {
                        () = stopped(&mut stop) => return Ok(Leave::ForGood),
                        went_on = pause(&mut backoff, error, self.line.settings.follow, &self.look) => went_on?,
                    }
                    continue;
                }
            };
            backoff = Backoff::default();
            self.look.recovered();
            if messages.is_empty() {
                empty_answers += 1;
                let leave = tokio::select! {
                    biased;
                    () = stopped(&mut stop) => return Ok(Leave::ForGood),
                    leave = self.nothing_came(empty_answers) => leave?,
                };
                if let Some(leave) = leave {
                    return Ok(leave);
                }
                continue;
            }
            empty_answers = 0;
            *self.quiet_since() = Instant::now();
            if self.is_growing(&messages) {
                self.places.add_permits(1);
            }
            // on a queue that never rests, a drain ends with what was there when it began
            let follow = self.line.settings.follow;
            let caught_up = !follow && messages.iter().all(|message| self.is_younger(message));
            if self.hand_over(messages, asked).await.is_none() || caught_up {
                return Ok(Leave::ForGood);
            }
        }
        Ok(Leave::ForGood)
    }

    /// What to do when an answer was empty.
    async fn nothing_came(&self, empty_answers: u32) -> Result<Option<Leave>, QueueError> {
        self.look.lag.set(0);
        if self.waits_for_its_own() {
            // messages of a group come only when those before them are deleted
            self.intake.hurry();
            tokio::select! {
                // some may not have reached the workers yet when they were asked
                () = tokio::time::sleep(HURRY_EVERY) => {}
                () = self.line.held.at_most(0) => {}
            }
            return Ok(None);
        }
        if !self.line.settings.follow && empty_answers >= EMPTY_ANSWERS {
            match self.line.queue.ask(&self.line.telemetry).await {
                Ok(said) if said.visible == 0 => return Ok(Some(Leave::ForGood)),
                Err(error) if error.is_final() => return Err(error),
                // it cannot say: then more empty answers have to do
                Err(_) if empty_answers >= 2 * EMPTY_ANSWERS => return Ok(Some(Leave::ForGood)),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(self.shrink().then_some(Leave::ForNow))
    }

    /// Waits for the answer to a poll. Where a drain comes near the end of its queue, what is held is stored and deleted
    /// while the last polls wait.
    async fn answered<T>(&self, mut poll: Pin<&mut impl Future<Output = T>>) -> T {
        loop {
            tokio::select! {
                answer = &mut poll => return answer,
                () = tokio::time::sleep(QUIET), if !self.line.settings.follow => {
                    self.hurry_if_quiet();
                }
            }
        }
    }

    /// Asks the workers to write, where nothing has come for a while. What had not reached them then is written when they
    /// are asked again.
    fn hurry_if_quiet(&self) {
        let mut since = self.quiet_since();
        if since.elapsed() >= QUIET && self.line.held.len() > 0 {
            *since = Instant::now();
            self.intake.hurry();
        }
    }

    fn quiet_since(&self) -> MutexGuard<'_, Instant> {
        self.quiet_since.lock().expect("nobody panics while holding this lock")
    }

    /// Whether a FIFO queue may hold messages back because of those that are held here.
    fn waits_for_its_own(&self) -> bool {
        self.line.queue.attributes.fifo && self.line.held.len() > 0
    }

    /// One more receiver, if there was more than one answer could hold.
    fn is_growing(&self, messages: &[Message]) -> bool {
        if messages.len() < MESSAGES_PER_CALL || bytes_of(messages) > GROWTH_BYTES_MAX {
            return false;
        }
        let max = self.line.settings.receivers_max;
        let grown = self.active.fetch_update(Ordering::AcqRel, Ordering::Acquire, |active| {
            (0 < active && active < max).then_some(active + 1)
        });
        self.show_active();
        grown.is_ok()
    }

    /// One receiver less, if this is not the last.
    fn shrink(&self) -> bool {
        let shrunk = self.active.fetch_update(Ordering::AcqRel, Ordering::Acquire, |active| {
            (active > 1).then_some(active - 1)
        });
        self.show_active();
        shrunk.is_ok()
    }

    fn show_active(&self) {
        let active = || i64::try_from(self.active.load(Ordering::Acquire)).unwrap_or(i64::MAX);
        self.shown_active.set_with(active);
    }

    /// Receives once, and tells when it asked: from then on messages are hidden.
    async fn receive(&self) -> Result<(Vec<Message>, Instant), QueueError> {
        while self.line.held.len() > HELD_MAX {
            tokio::select! {
                () = self.line.held.at_most(HELD_MAX) => {}
                () = tokio::time::sleep(QUIET) => self.hurry_if_quiet(),
            }
        }
        let settings = &self.line.settings;
        let wait = if self.waits_for_its_own() {
            0
        } else if settings.follow {
            POLL_SECS_FOLLOW
        } else {
            POLL_SECS_DRAIN
        };
        let answer = self
            .line
            .queue
            .client
            .receive_message()
            .queue_url(&self.line.queue.url)
            .max_number_of_messages(i32::try_from(MESSAGES_PER_CALL).unwrap_or(10))
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .visibility_timeout(i32::try_from(settings.visibility.as_secs()).unwrap_or(i32::MAX))
            .wait_time_seconds(wait)
            .send();
        // a long poll hides a message when it answers
        let poll = pin!(self.line.called("sqs:ReceiveMessage", answer));
        let answer = self.answered(poll).await?;
        let messages = answer.messages.unwrap_or_default();
        let fifo = self.line.queue.attributes.fifo;
        self.line.telemetry.billed(fifo, chunks(bytes_of(&messages)) - 1);
        Ok((messages, Instant::now()))
    }

    /// Whether a message came into the queue after this run began.
    fn is_younger(&self, message: &Message) -> bool {
        sent_at(message).is_some_and(|sent| sent > self.started_at)
    }

    /// Hands messages to the workers; `None` when there are no workers any more.
    async fn hand_over(&self, mut messages: Vec<Message>, received: Instant) -> Option<()> {
        let received_at = (self.intake.clock)();
        self.line.telemetry.received.inc_by(u64::try_from(messages.len()).unwrap_or_default());
        self.look.at(&messages, received_at, &self.line);
        // all are taken before any waits: what waits must stay hidden too
        let handles =
            messages.iter_mut().map(|message| message.receipt_handle.take().unwrap_or_default());
        let first = self.line.held.take(handles, received, self.line.settings.visibility);
        let (mut plain, mut pointing) = (Vec::with_capacity(messages.len()), Vec::new());
        for (id, message) in (first..).zip(messages) {
            let body = message.body.unwrap_or_default().into_bytes();
            let receipt = Receipt::new(id, self.outcomes.clone());
            let parcel = Parcel::message(body, Arc::clone(&self.origin), received_at)
                .with_receipt(Some(receipt));
            match pointers(&parcel.bytes) {
                None => plain.push(parcel),
                Some(pointers) => pointing.push((parcel, pointers)),
            }
        }
        self.intake.send_all(plain).await?;
        for (parcel, pointers) in pointing {
            self.line.follower.take(parcel, pointers, &self.intake).await;
        }
        Some(())
    }
}

/// Why a receiver stops polling.
enum Leave {
    /// There is too little for so many.
    ForNow,
    /// The queue is empty, or the run shall end.
    ForGood,
}

/// Bytes of the bodies of an answer.
fn bytes_of(messages: &[Message]) -> usize {
    messages.iter().map(|message| message.body.as_ref().map_or(0, String::len)).sum()
}

fn attribute(message: &Message, name: &MessageSystemAttributeName) -> Option<i64> {
    message.attributes.as_ref()?.get(name)?.parse().ok()
}

fn sent_at(message: &Message) -> Option<i64> {
    attribute(message, &MessageSystemAttributeName::SentTimestamp)
}

/// What is watched, and told once.
#[derive(Debug)]
struct Look {
    most_deliveries: AtomicBool,
    old: AtomicBool,
    failing: AtomicBool,
    /// How old the oldest message of the last answer was, milliseconds.
    lag: Slot<i64>,
    failing_since: Slot<Instant>,
}

impl Look {
    fn new(telemetry: &Telemetry) -> Self {
        Self {
            most_deliveries: AtomicBool::new(false),
            old: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            lag: telemetry.oldest_message_age.slot(),
            failing_since: telemetry.vitals.receiving_fails.slot(),
        }
    }

    /// Looks at how often messages came and how old they are.
    fn at(&self, messages: &[Message], now: i64, line: &Line) {
        let telemetry = &line.telemetry;
        let counts = messages.iter().filter_map(|message| {
            attribute(message, &MessageSystemAttributeName::ApproximateReceiveCount)
        });
        let again = counts.clone().filter(|count| *count > 1).count();
        telemetry.redelivered.inc_by(u64::try_from(again).unwrap_or_default());
        let most = counts.max().unwrap_or_default();
        if most > telemetry.receive_count_max.get() {
            telemetry.receive_count_max.set(most);
        }
        if most >= RECEIVE_COUNT_LOOK && !self.most_deliveries.swap(true, Ordering::AcqRel) {
            tracing::warn!(
                deliveries = most,
                "messages come again and again: another consumer may share the queue, or what is received is not deleted in time"
            );
        }
        let age_ms =
            messages.iter().filter_map(sent_at).min().map_or(0, |sent| (now - sent).max(0));
        self.lag.set(age_ms);
        let retention_ms = line
            .queue
            .attributes
            .retention_secs
            .and_then(|secs| i64::try_from(secs).ok()?.checked_mul(1_000));
        let is_old = retention_ms.is_some_and(|retention| age_ms > retention / 2);
        if is_old && !self.old.swap(true, Ordering::AcqRel) {
            tracing::warn!(
                age_hours = age_ms / 3_600_000,
                "messages are older than half of what the queue keeps; what is not drained in time is lost"
            );
        }
    }

    /// Says once that receiving fails, however many receivers see it.
    fn failing(&self, error: &QueueError) {
        self.failing_since.set_if_empty(Instant::now());
        if !self.failing.swap(true, Ordering::AcqRel) {
            tracing::warn!(%error, "receiving failed, trying again with growing pauses");
        }
    }

    fn recovered(&self) {
        self.failing_since.clear();
        if self.failing.swap(false, Ordering::AcqRel) {
            tracing::warn!("receiving works again");
        }
    }
}

/// Waits, or gives up: at once where waiting cannot help, after a while where a drain may end.
async fn pause(
    backoff: &mut Backoff,
    error: QueueError,
    follow: bool,
    look: &Look,
) -> Result<(), QueueError> {
    let Some(pause) = backoff.pause(follow).filter(|_| !error.is_final()) else {
        return Err(error);
    };
    look.failing(&error);
    tokio::time::sleep(pause).await;
    Ok(())
}
