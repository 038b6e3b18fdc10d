//! Receivers: long polls that grow in number while answers come back full, and shrink when they come back empty.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Line, MESSAGES_PER_CALL, QueueError, jitter};
use crate::pointers::pointers;
use crate::source::{Intake, Outcome, Parcel, Receipt, stopped};

/// Seconds that SQS waits for a message while the queue is followed; it allows no more.
const POLL_SECS_FOLLOW: i32 = 20;
/// Seconds that SQS waits for a message while the queue is drained.
const POLL_SECS_DRAIN: i32 = 2;
/// Empty answers in a row after which a queue that says it is empty is believed.
const EMPTY_ANSWERS: u32 = 2;
/// Bytes of one answer beyond which no further receiver is started: ten messages can be 10 MiB.
const GROWTH_BYTES_MAX: usize = 256 * 1024;
/// Messages that are held at the same time; SQS allows 120,000 of one queue to be in flight.
const HELD_MAX: usize = 100_000;
/// First pause after a failed call, and the longest one.
const BACKOFF: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Failures in a row after which a drain gives up; a follower never does.
const FAILURES_MAX: u32 = 6;
/// Deliveries of one message that are a sign that something is wrong.
const RECEIVE_COUNT_LOOK: i64 = 5;

/// The receivers of one queue. All exist from the start; those that are not needed wait for a place.
pub(super) struct Crew {
    line: Line,
    places: Semaphore,
    active: AtomicUsize,
    origin: Arc<str>,
    started_at: i64,
    outcomes: mpsc::UnboundedSender<Outcome>,
    intake: Intake,
    look: Look,
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
            origin: Arc::from(line.queue.url.as_str()),
            started_at: (intake.clock)(),
            outcomes,
            intake,
            look: Look::default(),
        });
        crew.line.telemetry.receivers.set(1);
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
            match self.poll().await {
                Ok(Leave::ForNow) => {}
                Ok(Leave::ForGood) => {
                    if self.active.fetch_sub(1, Ordering::AcqRel) == 1 {
                        self.places.close();
                    }
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
                        went_on = backoff.pause(error, self.line.settings.follow, &self.look) => went_on?,
                    }
                    continue;
                }
            };
            backoff = Backoff::default();
            self.look.recovered();
            if messages.is_empty() {
                empty_answers += 1;
                if let Some(leave) = self.nothing_came(empty_answers).await? {
                    return Ok(leave);
                }
                continue;
            }
            empty_answers = 0;
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
        if self.waits_for_its_own() {
            // messages of a group come only when those before them are deleted
            self.intake.hurry();
            let mut stop = self.intake.stop.clone();
            tokio::select! {
                () = stopped(&mut stop) => return Ok(Some(Leave::ForGood)),
                () = self.line.held.at_most(0) => return Ok(None),
            }
        }
        if !self.line.settings.follow && empty_answers >= EMPTY_ANSWERS {
            let said = self.line.queue.ask().await;
            self.line.telemetry.request("sqs", "sqs:GetQueueAttributes", said.is_err());
            if said?.visible == 0 {
                return Ok(Some(Leave::ForGood));
            }
        }
        Ok(self.shrink().then_some(Leave::ForNow))
    }

    /// Whether a FIFO queue may hold messages back because of those that are held here.
    fn waits_for_its_own(&self) -> bool {
        self.line.queue.attributes.fifo && self.line.held.len() > 0
    }

    /// One more receiver, if there was more than one answer could hold.
    fn is_growing(&self, messages: &[Message]) -> bool {
        let bytes: usize = messages.iter().map(|m| m.body.as_ref().map_or(0, String::len)).sum();
        if messages.len() < MESSAGES_PER_CALL || bytes > GROWTH_BYTES_MAX {
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
        let active = self.active.load(Ordering::Acquire);
        self.line.telemetry.receivers.set(i64::try_from(active).unwrap_or(i64::MAX));
    }

    /// Receives once, and tells when it asked: from then on messages are hidden.
    async fn receive(&self) -> Result<(Vec<Message>, Instant), QueueError> {
        self.line.held.at_most(HELD_MAX).await;
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
            .send()
            .await;
        // a long poll hides a message when it answers
        let answer = self.line.called("sqs:ReceiveMessage", answer)?;
        Ok((answer.messages.unwrap_or_default(), Instant::now()))
    }

    /// Whether a message came into the queue after this run began.
    fn is_younger(&self, message: &Message) -> bool {
        sent_at(message).is_some_and(|sent| sent > self.started_at)
    }

    /// Hands messages to the workers; `None` when there are no workers any more.
    async fn hand_over(&self, messages: Vec<Message>, received: Instant) -> Option<()> {
        let received_at = (self.intake.clock)();
        self.line.telemetry.received.inc_by(u64::try_from(messages.len()).unwrap_or_default());
        self.look.at(&messages, received_at, &self.line);
        // all are taken before any waits: what waits must stay hidden too
        let visibility = self.line.settings.visibility;
        let parcels: Vec<Parcel> = messages
            .into_iter()
            .map(|message| {
                let receipt = message.receipt_handle.map(|handle| {
                    let id = self.line.held.take(handle, received, visibility);
                    Receipt::new(id, self.outcomes.clone())
                });
                let body = message.body.unwrap_or_default().into_bytes();
                Parcel::message(body, Arc::clone(&self.origin), received_at).with_receipt(receipt)
            })
            .collect();
        for parcel in parcels {
            match pointers(&parcel.bytes) {
                None => self.intake.send(parcel).await?,
                Some(pointers) => self.line.follower.take(parcel, pointers, &self.intake).await,
            }
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

fn attribute(message: &Message, name: &MessageSystemAttributeName) -> Option<i64> {
    message.attributes.as_ref()?.get(name)?.parse().ok()
}

fn sent_at(message: &Message) -> Option<i64> {
    attribute(message, &MessageSystemAttributeName::SentTimestamp)
}

/// What is watched, and told once.
#[derive(Debug, Default)]
struct Look {
    most_deliveries: AtomicBool,
    old: AtomicBool,
    failing: AtomicBool,
}

impl Look {
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
        telemetry.oldest_message_age.set(crate::telemetry::seconds(age_ms));
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
        if !self.failing.swap(true, Ordering::AcqRel) {
            tracing::warn!(%error, "receiving failed, trying again with growing pauses");
        }
    }

    fn recovered(&self) {
        if self.failing.swap(false, Ordering::AcqRel) {
            tracing::warn!("receiving works again");
        }
    }
}

/// Pauses that grow after each failure, with jitter so that many receivers do not come back together.
#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Waits, or gives up: at once where waiting cannot help, after a while where a drain may end.
    async fn pause(
        &mut self,
        error: QueueError,
        follow: bool,
        look: &Look,
    ) -> Result<(), QueueError> {
        self.failures += 1;
        if error.is_final() || (!follow && self.failures >= FAILURES_MAX) {
            return Err(error);
        }
        look.failing(&error);
        let pause = BACKOFF.saturating_mul(1 << self.failures.min(10)).min(BACKOFF_MAX);
        tokio::time::sleep(pause.mul_f64(jitter())).await;
        Ok(())
    }
}
