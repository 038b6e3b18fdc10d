//! Settling: deletes what is durable, reads every answer entry by entry, and keeps hidden what is still worked on.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
};
use futures::{StreamExt, stream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::source::Outcome;
use crate::source::backoff::jitter;
use crate::source::sqs::{Line, MESSAGES_PER_CALL, QueueError, Settled};
use bouncewatch_store::shutdown::overdue;

/// Tries to delete one message; with the pauses between them, some seconds.
const DELETE_TRIES: u32 = 6;
/// First pause between them.
const DELETE_PAUSE: Duration = Duration::from_millis(100);
/// How long a batch that is not full waits for more.
const LINGER: Duration = Duration::from_millis(20);

/// Deletes what is durable, in batches, until no receipt can come any more.
pub(super) async fn settle(
    line: Line,
    mut outcomes: mpsc::UnboundedReceiver<Outcome>,
    halt: Arc<watch::Sender<bool>>,
) -> Settled {
    let mut total = Settled::default();
    let mut deleting = JoinSet::new();
    let mut batch = Vec::with_capacity(MESSAGES_PER_CALL);
    loop {
        tokio::select! {
            received = outcomes.recv_many(&mut batch, MESSAGES_PER_CALL) => {
                if received == 0 {
                    break;
                }
            }
            ended = deleting.join_next(), if !deleting.is_empty() => {
                add(&mut total, ended, &halt);
                continue;
            }
        }
        // receipts are settled one by one, in a burst: full batches are worth a moment
        while batch.len() < MESSAGES_PER_CALL {
            let missing = MESSAGES_PER_CALL - batch.len();
            let more = outcomes.recv_many(&mut batch, missing);
            if !matches!(tokio::time::timeout(LINGER, more).await, Ok(1..)) {
                break;
            }
        }
        let (durable, left): (Vec<Outcome>, Vec<Outcome>) =
            batch.drain(..).partition(|outcome| outcome.durable);
        line.held.forget(left.iter().map(|outcome| outcome.id));
        line.telemetry.left.inc_by(count(left.len()));
        total.left += count(left.len());
        if durable.is_empty() {
            continue;
        }
        if deleting.len() >= line.settings.calls_at_once() {
            add(&mut total, deleting.join_next().await, &halt);
        }
        let ids = durable.iter().map(|outcome| outcome.id).collect();
        deleting.spawn(delete(line.clone(), ids, halt.subscribe()));
    }
    while let Some(ended) = deleting.join_next().await {
        add(&mut total, Some(ended), &halt);
    }
    total
}

fn add(
    total: &mut Settled,
    ended: Option<Result<Settled, tokio::task::JoinError>>,
    halt: &watch::Sender<bool>,
) {
    match ended {
        Some(Ok(one)) => {
            total.deleted += one.deleted;
            total.delete_failed += one.delete_failed;
            if total.failure.is_none() && one.failure.is_some() {
                // nobody may delete here: going on would store the same messages for ever
                halt.send_replace(true);
                total.failure = one.failure;
            }
        }
        Some(Err(error)) => tracing::error!(%error, "deleting failed; the messages come again"),
        None => {}
    }
}

/// Deletes one batch; entries that fail are tried again, those that fail for good are counted. Where the run shall end,
/// nobody waits long for a network that is gone: what is not deleted comes again.
async fn delete(line: Line, mut ids: Vec<u64>, stop: watch::Receiver<bool>) -> Settled {
    let mut settled = Settled::default();
    let mut given_up = pin!(overdue(stop, line.settings.last_deletes));
    for attempt in 1..=DELETE_TRIES {
        let before = ids.len();
        let deleted = tokio::select! {
            biased;
            deleted = delete_once(&line, &ids) => deleted,
            () = &mut given_up => break,
        };
        match deleted {
            Ok(left) => {
                line.held.forget(ids.iter().copied().filter(|id| !left.contains(id)));
                ids = left;
            }
            Err(error) if error.is_final() => {
                settled.failure = Some(error);
                break;
            }
            Err(error) if attempt == DELETE_TRIES && line.told.deleting.first() => {
                tracing::warn!(%error, "deleting failed; the messages come again");
            }
            Err(_) => {}
        }
        settled.deleted += count(before - ids.len());
        if ids.is_empty() || attempt == DELETE_TRIES {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep((DELETE_PAUSE * (1 << attempt)).mul_f64(jitter())) => {}
            () = &mut given_up => break,
        }
    }
    settled.delete_failed = count(ids.len());
    line.telemetry.deleted.inc_by(settled.deleted);
    line.telemetry.delete_failed.inc_by(settled.delete_failed);
    line.held.forget(ids);
    settled
}

/// Deletes and returns the messages that are still to be deleted.
async fn delete_once(line: &Line, ids: &[u64]) -> Result<Vec<u64>, QueueError> {
    let entries = line.held.handles(ids).into_iter().map(|(id, handle)| {
        let entry =
            DeleteMessageBatchRequestEntry::builder().id(id.to_string()).receipt_handle(handle);
        entry.build().expect("an entry has its id and its handle")
    });
    let client = &line.queue.client;
    let call = client.delete_message_batch().queue_url(&line.queue.url);
    let answer = call.set_entries(Some(entries.collect())).send();
    let answer = line.called("sqs:DeleteMessage", answer).await?;
    // an answer of 200 may list entries that failed, and what is in neither list is not known to be deleted
    let deleted: Vec<u64> =
        answer.successful.iter().filter_map(|entry| entry.id.parse().ok()).collect();
    for entry in &answer.failed {
        tracing::debug!(
            code = entry.code,
            sender_fault = entry.sender_fault,
            "an entry was not deleted"
        );
    }
    Ok(ids.iter().copied().filter(|id| !deleted.contains(id)).collect())
}

/// Hides messages again before they come out of hiding, until it is aborted. A store may be slow, and what somebody
/// else receives meanwhile is worked on twice.
pub(super) async fn keep_hidden(line: Line) {
    let visibility = line.settings.visibility;
    loop {
        tokio::time::sleep(visibility / 6).await;
        let now = Instant::now();
        let until = now + visibility;
        // well before the end, so that a failed call can be tried again
        let wanted = line.held.to_hide(now + visibility / 2, until);
        // as many calls at a time as receive: one after the other, they would fall behind
        let batches = wanted.chunks(MESSAGES_PER_CALL).map(<[_]>::to_vec);
        let calls: Vec<_> = batches.map(|batch| hide(line.clone(), batch, until)).collect();
        let mut calls = stream::iter(calls).buffer_unordered(line.settings.calls_at_once());
        while let Some(hidden) = calls.next().await {
            if let Err(error) = hidden
                && line.told.hiding.first()
            {
                tracing::warn!(%error, "could not hide messages for longer; some may come twice, which changes no number");
            }
        }
    }
}

async fn hide(line: Line, messages: Vec<(u64, String)>, until: Instant) -> Result<(), QueueError> {
    let secs = i32::try_from(line.settings.visibility.as_secs()).unwrap_or(i32::MAX);
    let entries = messages.iter().map(|(id, handle)| {
        ChangeMessageVisibilityBatchRequestEntry::builder()
            .id(id.to_string())
            .receipt_handle(handle)
            .visibility_timeout(secs)
            .build()
            .expect("an entry has its id and its handle")
    });
    let call = line.queue.client.change_message_visibility_batch().queue_url(&line.queue.url);
    let answer = call.set_entries(Some(entries.collect())).send();
    let answer = line.called("sqs:ChangeMessageVisibility", answer).await?;
    let hidden: Vec<u64> =
        answer.successful.iter().filter_map(|entry| entry.id.parse().ok()).collect();
    line.telemetry.extended.inc_by(count(hidden.len()));
    line.held.hidden(hidden, until);
    Ok(())
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
