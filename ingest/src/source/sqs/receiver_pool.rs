//! [`ReceiverPool`]: receives messages with long polls. The number of active receivers grows after
//! full responses and shrinks after empty ones.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use bouncewatch_store::shutdown::stop_requested;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::source::backoff::Backoff;
use crate::source::delivery::Delivery;
use crate::source::intake::Intake;
use crate::source::receipt::{Receipt, Settlement};
use crate::source::sqs::admission::Admission;
use crate::source::sqs::context::QueueContext;
use crate::source::sqs::cost::billed_chunks;
use crate::source::sqs::error::QueueError;
use crate::source::sqs::queue::QueueAttributes;
use crate::source::sqs::receive_monitor::{ReceiveMonitor, body_bytes, sent_at};
use crate::source::sqs::settings::{MESSAGES_PER_CALL, POLL_SECS_FOLLOW, QueueSettings};
use crate::telemetry::billed_requests::QueueKind;
use crate::telemetry::gauges::GaugeSlot;

/// Wait time of a long poll of a drain, seconds.
const POLL_SECS_DRAIN: i32 = 2;
/// Consecutive empty responses of a receiver after which a drain checks whether the queue is empty.
const EMPTY_RESPONSES: u32 = 2;
/// Maximum size of a response after which a receiver is added, bytes. Ten messages can have 10 MiB.
const GROWTH_BYTES_MAX: usize = 256 * 1024;
/// Interval of flush requests while a FIFO queue holds messages back.
const FIFO_FLUSH_INTERVAL: Duration = Duration::from_millis(50);
/// Time without messages after which a drain requests a flush, and interval of further requests.
/// Receivers that wait because too many messages are in flight use the same interval.
const QUIET_PERIOD: Duration = Duration::from_millis(50);
/// Maximum number of messages in flight. SQS allows 120,000 per queue.
const IN_FLIGHT_MAX: usize = 8 * 1024;

/// The receivers of one queue. All exist from the start; idle ones wait for a permit.
pub(super) struct ReceiverPool {
    context: QueueContext,
    permits: Semaphore,
    active: AtomicUsize,
    /// Time of the last received message or the last flush request.
    quiet_since: Mutex<Instant>,
    origin: Arc<str>,
    started_at: i64,
    settlements: mpsc::UnboundedSender<Settlement>,
    intake: Intake,
    monitor: ReceiveMonitor,
    active_gauge: GaugeSlot<i64>,
    /// Whether the drain waits for messages that are in flight elsewhere.
    is_waiting: AtomicBool,
}

/// Why a receiver stops polling.
enum PollEnd {
    /// The pool needs fewer receivers; this one waits for a new permit.
    Surplus,
    /// The queue is drained, or the run stops.
    Drained,
}

impl ReceiverPool {
    /// Receives until the queue is drained or the run stops. Returns the error if it ended early.
    pub(super) async fn run(
        context: &QueueContext,
        intake: Intake,
        settlements: mpsc::UnboundedSender<Settlement>,
    ) -> Option<QueueError> {
        let pool = Arc::new(Self {
            context: context.clone(),
            permits: Semaphore::new(1),
            active: AtomicUsize::new(1),
            quiet_since: Mutex::new(Instant::now()),
            origin: Arc::from(context.queue.url.as_str()),
            started_at: (intake.clock)(),
            settlements,
            intake,
            monitor: ReceiveMonitor::new(&context.telemetry),
            active_gauge: context.telemetry.receivers.slot(),
            is_waiting: AtomicBool::new(false),
        });
        pool.update_gauge();
        let mut receivers = JoinSet::new();
        for _ in 0..context.settings.receivers_max.max(1) {
            receivers.spawn(Arc::clone(&pool).receiver());
        }
        // the pool holds the intake and the settlement sender: workers and deleter end when its last clone is dropped
        drop(pool);
        let mut failure = None;
        while let Some(joined) = receivers.join_next().await {
            let ended = joined.map_err(|error| context.task_failed(&error)).and_then(|ended| ended);
            failure = failure.or(ended.err());
        }
        failure
    }

    async fn receiver(self: Arc<Self>) -> Result<(), QueueError> {
        let mut stop = self.intake.stop.clone();
        loop {
            let permit = tokio::select! {
                () = stop_requested(&mut stop) => return Ok(()),
                permit = self.permits.acquire() => permit,
            };
            // the semaphore is closed: another receiver has ended the drain or failed
            let Ok(permit) = permit else { return Ok(()) };
            // `active` counts the permits in use; `poll` adds a permit for a further receiver
            permit.forget();
            match Box::pin(self.poll()).await {
                Ok(PollEnd::Surplus) => {}
                Ok(PollEnd::Drained) => {
                    if self.active.fetch_sub(1, Ordering::AcqRel) == 1 {
                        self.permits.close();
                    }
                    self.update_gauge();
                    return Ok(());
                }
                Err(error) => {
                    self.permits.close();
                    return Err(error);
                }
            }
        }
    }

    /// Polls until the queue is drained, the run stops, or fewer receivers are enough.
    async fn poll(&self) -> Result<PollEnd, QueueError> {
        let mut stop = self.intake.stop.clone();
        let mut empty_responses = 0;
        let mut backoff = Backoff::default();
        while !self.permits.is_closed() {
            // a stop interrupts only the wait for a response, never the sending of messages to the
            // workers
            let received = tokio::select! {
                biased;
                () = stop_requested(&mut stop) => return Ok(PollEnd::Drained),
                received = self.receive() => received,
            };
            let (messages, received_at) = match received {
                Ok(received) => received,
                Err(error) => {
                    tokio::select! {
                        () = stop_requested(&mut stop) => return Ok(PollEnd::Drained),
                        retry = self.pause(&mut backoff, error) => retry?,
                    }
                    continue;
                }
            };
            backoff = Backoff::default();
            self.monitor.record_success();
            if messages.is_empty() {
                empty_responses += 1;
                let end = tokio::select! {
                    biased;
                    () = stop_requested(&mut stop) => return Ok(PollEnd::Drained),
                    end = self.after_empty_response(empty_responses) => end?,
                };
                if let Some(end) = end {
                    return Ok(end);
                }
                continue;
            }
            empty_responses = 0;
            *self.quiet_since() = Instant::now();
            if self.grow(&messages) {
                self.permits.add_permits(1);
            }
            // a drain ends when it gets only messages that were sent after its start: a busy queue
            // is never empty
            let QueueSettings { follow, wait_in_flight, .. } = self.context.settings;
            let caught_up = !follow
                && !wait_in_flight
                && messages.iter().all(|message| self.is_sent_after_start(message));
            if self.send(messages, received_at).await.is_none() || caught_up {
                return Ok(PollEnd::Drained);
            }
        }
        Ok(PollEnd::Drained)
    }

    /// Pauses before a retry. Returns the error if it is permanent, or if a drain has no retries
    /// left.
    async fn pause(&self, backoff: &mut Backoff, error: QueueError) -> Result<(), QueueError> {
        let pause = backoff.pause(self.context.settings.follow).filter(|_| !error.is_permanent());
        let Some(pause) = pause else { return Err(error) };
        self.monitor.record_failure(&error);
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Decides what follows an empty response; `None` to poll again.
    async fn after_empty_response(
        &self,
        empty_responses: u32,
    ) -> Result<Option<PollEnd>, QueueError> {
        self.monitor.record_empty();
        if self.is_blocked_by_own_messages() {
            // a FIFO queue returns messages of a group only after the earlier ones are deleted
            self.intake.request_flush();
            tokio::select! {
                // a message that reaches a worker after this request is flushed by the next request
                () = tokio::time::sleep(FIFO_FLUSH_INTERVAL) => {}
                () = self.context.in_flight.wait_for_at_most(0) => {}
            }
            return Ok(None);
        }
        if !self.context.settings.follow && empty_responses >= EMPTY_RESPONSES {
            match self.context.queue.attributes_if_allowed(&self.context.telemetry).await {
                Ok(Some(attributes)) if self.waits_for(&attributes) => {}
                Ok(Some(attributes)) if attributes.visible == 0 => {
                    return Ok(Some(PollEnd::Drained));
                }
                Err(error) if error.is_permanent() => return Err(error),
                // without attributes, require more empty responses before the drain ends
                Ok(None) | Err(_) if empty_responses >= 2 * EMPTY_RESPONSES => {
                    return Ok(Some(PollEnd::Drained));
                }
                Ok(_) | Err(_) => {}
            }
        }
        Ok(self.shrink().then_some(PollEnd::Surplus))
    }

    /// Whether the drain waits for messages that are in flight elsewhere. If so, sets `is_waiting`,
    /// so that the next polls use the maximum wait time.
    fn waits_for(&self, attributes: &QueueAttributes) -> bool {
        let own = u64::try_from(self.context.in_flight.len()).unwrap_or(u64::MAX);
        let waits = self.context.settings.wait_in_flight && attributes.in_flight > own;
        if waits && !self.is_waiting.swap(true, Ordering::Relaxed) {
            tracing::info!(
                messages = attributes.in_flight - own,
                "waiting for messages that are in flight elsewhere"
            );
        }
        waits
    }

    /// Waits for the response of a poll. Meanwhile, a drain requests a flush if no messages arrive,
    /// so that the last messages are stored and deleted while the last polls wait.
    async fn wait_for_response<T>(&self, mut poll: Pin<&mut impl Future<Output = T>>) -> T {
        loop {
            tokio::select! {
                response = &mut poll => return response,
                () = tokio::time::sleep(QUIET_PERIOD), if !self.context.settings.follow => {
                    self.request_flush_if_quiet();
                }
            }
        }
    }

    /// Requests a flush if no message has arrived for [`QUIET_PERIOD`]. A message that has not
    /// reached a worker by then is flushed by the next request.
    fn request_flush_if_quiet(&self) {
        let mut since = self.quiet_since();
        if since.elapsed() >= QUIET_PERIOD && self.context.in_flight.len() > 0 {
            *since = Instant::now();
            self.intake.request_flush();
        }
    }

    fn quiet_since(&self) -> MutexGuard<'_, Instant> {
        self.quiet_since.lock().expect("lock is never poisoned")
    }

    /// Whether a FIFO queue may hold messages back because earlier messages are in flight here.
    fn is_blocked_by_own_messages(&self) -> bool {
        self.context.queue.kind() == QueueKind::Fifo && self.context.in_flight.len() > 0
    }

    /// Adds one receiver after a full response. Returns false if the maximum is reached or the response is not full.
    fn grow(&self, messages: &[Message]) -> bool {
        if messages.len() < MESSAGES_PER_CALL || body_bytes(messages) > GROWTH_BYTES_MAX {
            return false;
        }
        let max = self.context.settings.receivers_max;
        let grown = self.active.fetch_update(Ordering::AcqRel, Ordering::Acquire, |active| {
            (0 < active && active < max).then_some(active + 1)
        });
        self.update_gauge();
        grown.is_ok()
    }

    /// Removes one receiver. Returns false if only one is left.
    fn shrink(&self) -> bool {
        let shrunk = self.active.fetch_update(Ordering::AcqRel, Ordering::Acquire, |active| {
            (active > 1).then_some(active - 1)
        });
        self.update_gauge();
        shrunk.is_ok()
    }

    fn update_gauge(&self) {
        let active = || i64::try_from(self.active.load(Ordering::Acquire)).unwrap_or(i64::MAX);
        self.active_gauge.set_with(active);
    }

    /// Makes one receive call. Returns the messages, and the time of the response as the start of
    /// their visibility timeout.
    async fn receive(&self) -> Result<(Vec<Message>, Instant), QueueError> {
        let QueueContext { queue, settings, in_flight, telemetry, .. } = &self.context;
        while in_flight.len() > IN_FLIGHT_MAX {
            tokio::select! {
                () = in_flight.wait_for_at_most(IN_FLIGHT_MAX) => {}
                () = tokio::time::sleep(QUIET_PERIOD) => self.request_flush_if_quiet(),
            }
        }
        let wait = if self.is_blocked_by_own_messages() {
            0
        } else if settings.follow || self.is_waiting.load(Ordering::Relaxed) {
            POLL_SECS_FOLLOW
        } else {
            POLL_SECS_DRAIN
        };
        let response = queue
            .client
            .receive_message()
            .queue_url(&queue.url)
            .max_number_of_messages(i32::try_from(MESSAGES_PER_CALL).unwrap_or(10))
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .visibility_timeout(i32::try_from(settings.visibility.as_secs()).unwrap_or(i32::MAX))
            .wait_time_seconds(wait)
            .send();
        let poll = pin!(self.context.call("sqs:ReceiveMessage", response));
        let response = self.wait_for_response(poll).await?;
        let messages = response.messages.unwrap_or_default();
        // the call itself is already counted as one request
        let further_chunks = billed_chunks(body_bytes(&messages)) - 1;
        telemetry.aws.add_billed(queue.kind(), further_chunks);
        Ok((messages, Instant::now()))
    }

    /// Whether a message was sent to the queue after this run started.
    fn is_sent_after_start(&self, message: &Message) -> bool {
        sent_at(message).is_some_and(|sent| sent > self.started_at)
    }

    /// Sends messages to the workers; `None` if all workers have ended.
    async fn send(&self, mut messages: Vec<Message>, received: Instant) -> Option<()> {
        let received_at = (self.intake.clock)();
        let context = &self.context;
        context.telemetry.received.inc_by(u64::try_from(messages.len()).unwrap_or_default());
        self.monitor.record_messages(&messages, received_at, context);
        // record all messages before sending the first: while they wait for the intake, their
        // visibility timeout must be extended too
        let handles =
            messages.iter_mut().map(|message| message.receipt_handle.take().unwrap_or_default());
        let first = context.in_flight.add(handles, received, context.settings.visibility);
        let (mut plain, mut notifications) = (Vec::with_capacity(messages.len()), Vec::new());
        for (id, message) in (first..).zip(messages) {
            if !self.monitor.is_intact(&message) {
                // the message becomes visible again
                drop(Receipt::new(id, self.settlements.clone()));
                continue;
            }
            let body = message.body.unwrap_or_default().into_bytes();
            let receipt = Receipt::new(id, self.settlements.clone());
            let message = Delivery::message(body, Arc::clone(&self.origin), received_at)
                .with_receipt(Some(receipt));
            let signature = context.check_signature(&message.bytes).await;
            match Admission::of(message, &signature) {
                Admission::Plain(delivery) => plain.push(delivery),
                Admission::Notification(delivery, pointers) => {
                    notifications.push((delivery, pointers));
                }
                // drops the receipt: the message becomes visible again
                Admission::LeaveInQueue => {}
            }
        }
        self.intake.send_all(plain).await?;
        for (message, pointers) in notifications {
            context.follower.follow(message, pointers, &self.intake).await;
        }
        Some(())
    }
}
