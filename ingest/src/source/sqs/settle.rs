//! Deletes durable messages, and extends the visibility timeout of messages in flight.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
};
use bouncewatch_store::shutdown::grace_period_over;
use futures::{StreamExt, stream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use crate::source::backoff::jitter;
use crate::source::objects::error::ObjectError;
use crate::source::receipt::Settlement;
use crate::source::sqs::context::QueueContext;
use crate::source::sqs::elsewhere::InFlightElsewhere;
use crate::source::sqs::error::QueueError;
use crate::source::sqs::settings::MESSAGES_PER_CALL;

/// Maximum number of attempts to delete a message. With the pauses they take 3 to 6 seconds.
const DELETE_ATTEMPTS: u32 = 6;
/// Base of the pauses: the pause after attempt N is 100 ms * 2^N.
const DELETE_PAUSE: Duration = Duration::from_millis(100);
/// Time to wait for more messages before a delete call with fewer than ten messages.
const BATCH_WAIT: Duration = Duration::from_millis(20);

/// Result of reading a queue.
#[derive(Debug, Default)]
pub struct QueueSummary {
    /// Messages deleted.
    pub deleted: u64,
    /// Messages that could not be deleted. They become visible again.
    pub delete_failed: u64,
    /// Messages left in the queue, because their content was not stored.
    pub left: u64,
    /// Error that ended receiving before the queue was drained. Messages received before it are
    /// settled.
    pub failure: Option<QueueError>,
    /// The first temporary error of an S3 object that a message points to. Such messages become
    /// visible again.
    pub object_failure: Option<ObjectError>,
    /// Messages that are in flight elsewhere at the end of a drain; `None` if unknown, for example
    /// after an interrupted run.
    pub in_flight: Option<InFlightElsewhere>,
}

/// Deletes durable messages, up to ten per call, until all receipts are dropped.
pub(super) async fn settle(
    context: QueueContext,
    mut settlements: mpsc::UnboundedReceiver<Settlement>,
    halt: Arc<watch::Sender<bool>>,
) -> QueueSummary {
    let mut total = QueueSummary::default();
    let mut deleting = JoinSet::new();
    let mut batch = Vec::with_capacity(MESSAGES_PER_CALL);
    loop {
        tokio::select! {
            received = settlements.recv_many(&mut batch, MESSAGES_PER_CALL) => {
                if received == 0 {
                    break;
                }
            }
            ended = deleting.join_next(), if !deleting.is_empty() => {
                add(&mut total, ended, &halt);
                continue;
            }
        }
        // a worker settles all receipts of a batch at once, so a short wait fills the delete call
        while batch.len() < MESSAGES_PER_CALL {
            let missing = MESSAGES_PER_CALL - batch.len();
            let more = settlements.recv_many(&mut batch, missing);
            if !matches!(tokio::time::timeout(BATCH_WAIT, more).await, Ok(1..)) {
                break;
            }
        }
        let (durable, left): (Vec<Settlement>, Vec<Settlement>) =
            batch.drain(..).partition(|settlement| settlement.durable);
        context.in_flight.remove(left.iter().map(|settlement| settlement.id));
        context.telemetry.left.inc_by(count(left.len()));
        total.left += count(left.len());
        if durable.is_empty() {
            continue;
        }
        if deleting.len() >= context.settings.concurrent_calls_max() {
            add(&mut total, deleting.join_next().await, &halt);
        }
        let ids = durable.iter().map(|settlement| settlement.id).collect();
        deleting.spawn(delete(context.clone(), ids, halt.subscribe()));
    }
    while let Some(ended) = deleting.join_next().await {
        add(&mut total, Some(ended), &halt);
    }
    total
}

fn add(
    total: &mut QueueSummary,
    ended: Option<Result<QueueSummary, JoinError>>,
    halt: &watch::Sender<bool>,
) {
    match ended {
        Some(Ok(one)) => {
            total.deleted += one.deleted;
            total.delete_failed += one.delete_failed;
            if total.failure.is_none() && one.failure.is_some() {
                // stop the run: if it cannot delete, it would receive and store the same messages
                // repeatedly
                halt.send_replace(true);
                total.failure = one.failure;
            }
        }
        Some(Err(error)) => {
            tracing::error!(%error, "a delete task failed; its messages become visible again");
        }
        None => {}
    }
}

/// Deletes up to ten messages and retries entries that fail. After the run is stopped it retries only for
/// `last_deletes`; messages that are not deleted by then become visible again.
async fn delete(
    context: QueueContext,
    mut ids: Vec<u64>,
    stop: watch::Receiver<bool>,
) -> QueueSummary {
    let mut summary = QueueSummary::default();
    let mut deadline = pin!(grace_period_over(stop, context.settings.last_deletes));
    for attempt in 1..=DELETE_ATTEMPTS {
        let before = ids.len();
        let deleted = tokio::select! {
            biased;
            deleted = delete_once(&context, &ids) => deleted,
            () = &mut deadline => break,
        };
        match deleted {
            Ok(left) => {
                context.in_flight.remove(ids.iter().copied().filter(|id| !left.contains(id)));
                ids = left;
            }
            Err(error) if error.is_permanent() => {
                summary.failure = Some(error);
                break;
            }
            Err(error) if attempt == DELETE_ATTEMPTS && context.warnings.delete.is_first() => {
                tracing::warn!(%error, "could not delete messages; they become visible again");
            }
            Err(_) => {}
        }
        summary.deleted += count(before - ids.len());
        if ids.is_empty() || attempt == DELETE_ATTEMPTS {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep((DELETE_PAUSE * (1 << attempt)).mul_f64(jitter())) => {}
            () = &mut deadline => break,
        }
    }
    summary.delete_failed = count(ids.len());
    context.telemetry.deleted.inc_by(summary.deleted);
    context.telemetry.delete_failed.inc_by(summary.delete_failed);
    context.in_flight.remove(ids);
    summary
}

/// Makes one delete call; returns the messages that are not deleted yet.
async fn delete_once(context: &QueueContext, ids: &[u64]) -> Result<Vec<u64>, QueueError> {
    let entries = context.in_flight.receipt_handles(ids).into_iter().map(|(id, handle)| {
        let entry =
            DeleteMessageBatchRequestEntry::builder().id(id.to_string()).receipt_handle(handle);
        entry.build().expect("an entry with id and handle is complete")
    });
    let client = &context.queue.client;
    let call = client.delete_message_batch().queue_url(&context.queue.url);
    let response = call.set_entries(Some(entries.collect())).send();
    let response = context.call("sqs:DeleteMessage", response).await?;
    // a successful response can list failed entries; an entry in neither list counts as not deleted
    let deleted: Vec<u64> =
        response.successful.iter().filter_map(|entry| entry.id.parse().ok()).collect();
    for entry in &response.failed {
        tracing::debug!(
            code = entry.code,
            sender_fault = entry.sender_fault,
            "sqs could not delete a message"
        );
    }
    Ok(ids.iter().copied().filter(|id| !deleted.contains(id)).collect())
}

/// Extends the visibility timeout of messages in flight before it ends, until the task is aborted. While the store is
/// slow, another consumer would otherwise receive and store the same messages.
pub(super) async fn extend_visibility(context: QueueContext) {
    let visibility = context.settings.visibility;
    loop {
        tokio::time::sleep(visibility / 6).await;
        let now = Instant::now();
        let until = now + visibility;
        // extend half a timeout ahead, so that a failed call can be retried
        let expiring = context.in_flight.expiring(now + visibility / 2, until);
        // sequential calls would be slower than the receivers
        let batches = expiring.chunks(MESSAGES_PER_CALL).map(<[_]>::to_vec);
        let calls: Vec<_> = batches.map(|batch| extend(context.clone(), batch, until)).collect();
        let mut calls =
            stream::iter(calls).buffer_unordered(context.settings.concurrent_calls_max());
        while let Some(extended) = calls.next().await {
            if let Err(error) = extended
                && context.warnings.visibility.is_first()
            {
                tracing::warn!(%error, "could not extend the visibility timeout; messages may be received and stored twice, but count once");
            }
        }
    }
}

async fn extend(
    context: QueueContext,
    messages: Vec<(u64, String)>,
    until: Instant,
) -> Result<(), QueueError> {
    let secs = i32::try_from(context.settings.visibility.as_secs()).unwrap_or(i32::MAX);
    let entries = messages.iter().map(|(id, handle)| {
        ChangeMessageVisibilityBatchRequestEntry::builder()
            .id(id.to_string())
            .receipt_handle(handle)
            .visibility_timeout(secs)
            .build()
            .expect("an entry with id and handle is complete")
    });
    let client = &context.queue.client;
    let call = client.change_message_visibility_batch().queue_url(&context.queue.url);
    let response = call.set_entries(Some(entries.collect())).send();
    let response = context.call("sqs:ChangeMessageVisibility", response).await?;
    let extended: Vec<u64> =
        response.successful.iter().filter_map(|entry| entry.id.parse().ok()).collect();
    context.telemetry.visibility_extensions.inc_by(count(extended.len()));
    context.in_flight.record_extension(extended, until);
    Ok(())
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
