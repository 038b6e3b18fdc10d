//! Messages that AWS Lambda received from a queue. Lambda deletes them, except messages that the
//! function reports as failed.

use std::sync::Arc;

use serde::Deserialize;
use tokio::sync::mpsc;

use crate::source::delivery::Delivery;
use crate::source::intake::Intake;
use crate::source::objects::notifications::NotificationFollower;
use crate::source::receipt::{Receipt, Settlement};
use crate::source::sqs::admission::Admission;
use crate::source::sqs::receive_monitor::has_md5;
use crate::source::sqs::signature::{SignatureError, SnsVerifier};

/// Value of `eventSource` of a message of SQS.
const EVENT_SOURCE: &str = "aws:sqs";

/// The event with which an SQS trigger invokes a function.
#[derive(Debug, Default, Deserialize)]
pub struct QueueEvent {
    /// Messages.
    #[serde(rename = "Records")]
    pub records: Vec<QueueRecord>,
}

/// A message of a queue.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueRecord {
    /// Message ID, used to report a failure to Lambda.
    pub message_id: String,
    /// Body of the message.
    pub body: String,
    /// MD5 hash of the body, computed by SQS when the message was sent.
    pub md5_of_body: Option<String>,
    /// The service that sent the event.
    pub event_source: String,
    /// ARN of the queue.
    #[serde(rename = "eventSourceARN")]
    pub queue_arn: Option<String>,
}

impl QueueEvent {
    /// Returns the first event source that is not SQS.
    pub fn foreign_source(&self) -> Option<&str> {
        let mut sources = self.records.iter().map(|record| record.event_source.as_str());
        sources.find(|source| *source != EVENT_SOURCE)
    }
}

/// Messages that are ingested in one run. The ID of a settlement is the index of its message in
/// `records`. A message without a settlement is not durable.
#[derive(Debug)]
pub struct RecordBatch {
    /// Messages.
    pub records: Vec<QueueRecord>,
    /// Receives the settlements.
    pub settlements: mpsc::UnboundedSender<Settlement>,
    /// Reads the S3 objects that messages point to. Keeps the first error.
    pub follower: Arc<NotificationFollower>,
}

/// Sends the messages to the workers.
pub(crate) async fn run(batch: RecordBatch, intake: Intake, verifier: Option<Arc<SnsVerifier>>) {
    let RecordBatch { records, settlements, follower } = batch;
    intake.telemetry.received.inc_by(u64::try_from(records.len()).unwrap_or_default());
    let received_at = (intake.clock)();
    let (mut plain, mut notifications) = (Vec::with_capacity(records.len()), Vec::new());
    for (id, record) in (0..).zip(records) {
        let receipt = Receipt::new(id, settlements.clone());
        if !has_md5(record.body.as_bytes(), record.md5_of_body.as_deref()) {
            tracing::warn!(
                message_id = record.message_id,
                "a message is damaged: its body does not match its MD5 hash; it stays in the queue"
            );
            continue;
        }
        let origin = Arc::from(record.queue_arn.as_deref().unwrap_or(EVENT_SOURCE));
        let message = Delivery::message(record.body.into_bytes(), origin, received_at)
            .with_receipt(Some(receipt));
        let signature = match &verifier {
            None => Ok(()),
            Some(verifier) => verifier.check(&message.bytes).await,
        };
        if let Err(error @ SignatureError::Unavailable { .. }) = &signature {
            tracing::warn!(%error, "could not check the signature of a message; it stays in the queue");
        }
        match Admission::of(message, &signature) {
            Admission::Plain(delivery) => plain.push(delivery),
            Admission::Notification(delivery, pointers) => notifications.push((delivery, pointers)),
            Admission::LeaveInQueue => {}
        }
    }
    // if all workers have ended, they report the reason
    if intake.send_all(plain).await.is_some() {
        for (message, pointers) in notifications {
            follower.follow(message, pointers, &intake).await;
        }
    }
}
