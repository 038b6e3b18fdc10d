//! [`InFlightElsewhere`]: messages that a drain could not receive, because another consumer has received them, or a
//! consumer that was killed.

use std::time::Duration;

use crate::source::sqs::context::QueueContext;
use crate::source::sqs::error::QueueError;

/// Number of queries and the pause between them: SQS counts deleted messages as in flight for some seconds.
const QUERIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// Messages in flight that this run has not received.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct InFlightElsewhere {
    /// Number of messages.
    pub messages: u64,
    /// Time after which they are visible again, epoch milliseconds, unless their consumer deletes them or uses a longer
    /// visibility timeout than the queue and this run.
    pub visible_by: Option<i64>,
    /// Whether the number of a queue is unknown, because `sqs:GetQueueAttributes` is denied.
    pub is_denied: bool,
}

impl InFlightElsewhere {
    /// Queries a drained queue. `own` is the number of messages that this run has received and not deleted, `has_deleted`
    /// whether it has deleted any.
    pub(super) async fn query(
        context: &QueueContext,
        own: u64,
        has_deleted: bool,
        now: i64,
    ) -> Result<Self, QueueError> {
        for query in 1..=QUERIES {
            let attributes = context.queue.attributes_if_allowed(&context.telemetry).await?;
            let Some(attributes) = attributes else {
                return Ok(Self { is_denied: true, ..Self::default() });
            };
            let messages = attributes.in_flight.saturating_sub(own);
            if messages == 0 {
                break;
            }
            if !has_deleted || query == QUERIES {
                let timeout = attributes.visibility_secs.map(Duration::from_secs);
                let timeout = timeout.unwrap_or_default().max(context.settings.visibility);
                let timeout_ms = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
                let visible_by = Some(now.saturating_add(timeout_ms));
                return Ok(Self { messages, visible_by, is_denied: false });
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(Self::default())
    }

    /// Adds those of another queue.
    pub fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.visible_by = self.visible_by.max(other.visible_by);
        self.is_denied |= other.is_denied;
    }
}
