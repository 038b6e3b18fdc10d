//! [`ReceiveMonitor`]: metrics and one-time warnings about received messages.

use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use bouncewatch_schemas::text::hex_digits;
use md5::{Digest, Md5};
use tokio::time::Instant;

use crate::source::sqs::context::{QueueContext, WarnOnce};
use crate::source::sqs::error::QueueError;
use crate::telemetry::gauges::GaugeSlot;
use crate::telemetry::metrics::Telemetry;

/// Receive count of a message at which a warning is logged.
const RECEIVE_COUNT_WARN: i64 = 5;
const HOUR_MS: i64 = 3_600_000;

/// Metrics and one-time warnings about received messages. One per queue, shared by the receivers.
#[derive(Debug)]
pub(super) struct ReceiveMonitor {
    redelivered: WarnOnce,
    old: WarnOnce,
    damaged: WarnOnce,
    is_failing: AtomicBool,
    /// Age of the oldest message in the last response, milliseconds.
    lag: GaugeSlot<i64>,
    failing_since: GaugeSlot<Instant>,
}

impl ReceiveMonitor {
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        Self {
            redelivered: WarnOnce::default(),
            old: WarnOnce::default(),
            damaged: WarnOnce::default(),
            is_failing: AtomicBool::new(false),
            lag: telemetry.oldest_message_age.slot(),
            failing_since: telemetry.health.receive_failing_since.slot(),
        }
    }

    /// Records receive counts and ages of messages. `now` is in epoch milliseconds.
    pub(super) fn record_messages(&self, messages: &[Message], now: i64, context: &QueueContext) {
        let telemetry = &context.telemetry;
        let counts = messages.iter().filter_map(|message| {
            attribute(message, &MessageSystemAttributeName::ApproximateReceiveCount)
        });
        let redelivered = counts.clone().filter(|count| *count > 1).count();
        telemetry.redelivered.inc_by(u64::try_from(redelivered).unwrap_or_default());
        let receive_count_max = counts.max().unwrap_or_default();
        if receive_count_max > telemetry.receive_count_max.get() {
            telemetry.receive_count_max.set(receive_count_max);
        }
        if receive_count_max >= RECEIVE_COUNT_WARN && self.redelivered.is_first() {
            tracing::warn!(
                deliveries = receive_count_max,
                "messages are received repeatedly: another consumer may share the queue, or messages are not deleted within the visibility timeout"
            );
        }
        let age_ms =
            messages.iter().filter_map(sent_at).min().map_or(0, |sent| (now - sent).max(0));
        self.lag.set(age_ms);
        let retention_ms = context
            .queue
            .attributes
            .and_then(|attributes| attributes.retention_secs)
            .and_then(|secs| i64::try_from(secs).ok()?.checked_mul(1_000));
        let is_old = retention_ms.is_some_and(|retention| age_ms > retention / 2);
        if is_old && self.old.is_first() {
            tracing::warn!(
                age_hours = age_ms / HOUR_MS,
                "messages are older than half the retention period of the queue; sqs deletes them when the period ends"
            );
        }
    }

    /// Whether the body of a message matches the MD5 hash that SQS computed when it was sent. The
    /// SDK does not check this.
    pub(super) fn is_intact(&self, message: &Message) -> bool {
        let body = message.body.as_deref().unwrap_or_default();
        let is_intact = has_md5(body.as_bytes(), message.md5_of_body.as_deref());
        if !is_intact && self.damaged.is_first() {
            tracing::warn!(
                "a message is damaged: its body does not match its MD5 hash; it stays in the queue"
            );
        }
        is_intact
    }

    /// Records an empty response.
    pub(super) fn record_empty(&self) {
        self.lag.set(0);
    }

    /// Records a failed receive; logs only the first of consecutive failures of all receivers.
    pub(super) fn record_failure(&self, error: &QueueError) {
        self.failing_since.set_if_empty(Instant::now());
        if !self.is_failing.swap(true, Ordering::AcqRel) {
            tracing::warn!(%error, "could not receive messages, retrying with growing pauses");
        }
    }

    /// Records a successful receive.
    pub(super) fn record_success(&self) {
        self.failing_since.clear();
        if self.is_failing.swap(false, Ordering::AcqRel) {
            tracing::warn!("messages can be received again");
        }
    }
}

/// Whether a body matches an MD5 hash in hexadecimal digits. True if `hash` is `None`.
pub(super) fn has_md5(body: &[u8], hash: Option<&str>) -> bool {
    let Some(expected) = hash else { return true };
    let expected = expected.chars().map(|digit| digit.to_ascii_lowercase());
    hex_digits(&Md5::digest(body)).eq(expected)
}

/// Total size of the bodies of messages, bytes.
pub(super) fn body_bytes(messages: &[Message]) -> usize {
    messages.iter().map(|message| message.body.as_ref().map_or(0, String::len)).sum()
}

/// Time at which a message was sent to the queue, epoch milliseconds.
pub(super) fn sent_at(message: &Message) -> Option<i64> {
    attribute(message, &MessageSystemAttributeName::SentTimestamp)
}

fn attribute(message: &Message, name: &MessageSystemAttributeName) -> Option<i64> {
    message.attributes.as_ref()?.get(name)?.parse().ok()
}
