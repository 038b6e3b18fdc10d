//! [`InFlightElsewhere`]: messages that a drain cannot receive, because they are in flight at
//! another consumer, which may have been killed.

use std::time::Duration;

use crate::source::sqs::context::QueueContext;
use crate::source::sqs::error::QueueError;

/// Maximum number of queries. SQS counts deleted messages as in flight for a few seconds.
const QUERIES_MAX: u32 = 5;
/// Pause between two queries.
const PAUSE: Duration = Duration::from_secs(1);

/// Messages in flight that this run has not received.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct InFlightElsewhere {
    /// Number of messages.
    pub messages: u64,
    /// Estimated time at which they are visible again, epoch milliseconds. It is later if their
    /// consumer uses a longer visibility timeout than the queue and this run.
    pub visible_by: Option<i64>,
    /// Whether the number is unknown for a queue, because `sqs:GetQueueAttributes` is denied.
    pub is_denied: bool,
}

impl InFlightElsewhere {
    /// Queries a drained queue. `own` is the number of messages that this run received and did not
    /// delete. If this run deleted messages (`has_deleted`), the query is repeated, because SQS
    /// counts them as in flight for a few seconds.
    pub(super) async fn query(
        context: &QueueContext,
        own: u64,
        has_deleted: bool,
        now: i64,
    ) -> Result<Self, QueueError> {
        for query in 1..=QUERIES_MAX {
            let attributes = context.queue.attributes_if_allowed(&context.telemetry).await?;
            let Some(attributes) = attributes else {
                return Ok(Self { is_denied: true, ..Self::default() });
            };
            let messages = attributes.in_flight.saturating_sub(own);
            if messages == 0 {
                break;
            }
            if !has_deleted || query == QUERIES_MAX {
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

    /// Adds the messages of another queue.
    pub fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.visible_by = self.visible_by.max(other.visible_by);
        self.is_denied |= other.is_denied;
    }
}
