//! SQS: receives with long polls, and deletes what is durable, reading every answer entry by entry (facts 6).

use std::sync::Arc;
use std::time::Duration;

use aws_config::meta::region::RegionProviderChain;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName, QueueAttributeName,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::{Clock, Parcel, Progress, Receipt, stopped};

/// Receivers that poll at the same time.
const RECEIVERS: usize = 4;
/// Messages of one call; SQS allows no more.
const MESSAGES_PER_CALL: i32 = 10;
/// Seconds that SQS waits for a message while the queue is followed; it allows no more.
const POLL_SECS_FOLLOW: i32 = 20;
/// Seconds that SQS waits for a message while the queue is drained.
const POLL_SECS_DRAIN: i32 = 2;
/// Empty answers in a row after which a queue that says it is empty is believed.
const EMPTY_ANSWERS: u32 = 2;
/// Seconds for which a received message is hidden from others: many times the age at which a batch is written.
const VISIBILITY_SECS: i32 = 300;
/// Longest silence of a connection: more than the longest poll.
const READ_TIMEOUT: Duration = Duration::from_secs(45);
/// Longest pause after a failed call.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Tries to delete one message.
const DELETE_TRIES: u32 = 4;
/// Deletes that are under way at the same time.
const DELETES_AT_ONCE: usize = 8;

/// A queue that can be read.
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    url: String,
}

/// What is wrong with a queue, and the way out.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// There is no such queue.
    #[error(
        "no such queue: {0}\n  hint: check the account, the region and the name; `aws sqs list-queues` tells what there is"
    )]
    NoSuchQueue(String),
    /// An IAM action is missing.
    #[error(
        "access to the queue is denied: {action} on {queue}\n  hint: allow sqs:ReceiveMessage, sqs:DeleteMessage, sqs:GetQueueAttributes and sqs:GetQueueUrl, and kms:Decrypt where the queue is encrypted"
    )]
    Denied {
        /// What was tried.
        action: &'static str,
        /// On which queue.
        queue: String,
    },
    /// Something else.
    #[error("could not use the queue {queue}: {action} failed: {why}")]
    Failed {
        /// What was tried.
        action: &'static str,
        /// On which queue.
        queue: String,
        /// What SQS or the network said.
        why: String,
    },
    /// The word is no queue.
    #[error("not a queue: {0}; give its URL or its ARN (arn:aws:sqs:REGION:ACCOUNT:NAME)")]
    NotAQueue(String),
}

/// Whether a word on the command line names a queue.
pub fn is_queue(word: &str) -> bool {
    word.starts_with("https://") || word.starts_with("http://") || word.starts_with("arn:")
}

/// The region in a queue's ARN or URL, for those who have configured none.
pub fn region_of(word: &str) -> Option<String> {
    if let Some(arn) = word.strip_prefix("arn:") {
        return arn.split(':').nth(2).filter(|region| !region.is_empty()).map(str::to_owned);
    }
    let host = word.split("://").nth(1)?.split(['/', ':']).next()?;
    let mut labels = host.split('.');
    (labels.next() == Some("sqs")).then(|| labels.next().map(str::to_owned)).flatten()
}

impl Queue {
    /// Connects with the SDK's usual settings (environment, profile, role), and finds the queue.
    ///
    /// The region is that of the word, else that of the settings. `endpoint_url` is where AWS is, if not where it
    /// always is.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn connect(word: &str, endpoint_url: Option<&str>) -> Result<Self, QueueError> {
        let region = RegionProviderChain::first_try(region_of(word).map(Region::new));
        // the SDK has no read timeout of its own, and a connection that died during a long poll would never tell
        let timeouts = TimeoutConfig::builder().read_timeout(READ_TIMEOUT).build();
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .region(region.or_default_provider())
            .timeout_config(timeouts);
        let loader = match endpoint_url {
            Some(url) => loader.endpoint_url(url),
            None => loader,
        };
        Self::open(&loader.load().await, word).await
    }

    /// Finds the queue and makes sure that it can be asked, before anything is received.
    ///
    /// # Errors
    /// If there is no such queue, or access is denied.
    pub async fn open(config: &aws_config::SdkConfig, word: &str) -> Result<Self, QueueError> {
        let client = Client::new(config);
        let url = match word.strip_prefix("arn:") {
            None => word.to_owned(),
            Some(arn) => url_of(&client, word, arn).await?,
        };
        let queue = Self { client, url };
        queue.visible().await?;
        Ok(queue)
    }

    /// About how many messages can be received.
    async fn visible(&self) -> Result<u64, QueueError> {
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
            .send()
            .await
            .map_err(|error| failed("sqs:GetQueueAttributes", &self.url, error))?;
        let count = answer
            .attributes
            .and_then(|mut all| all.remove(&QueueAttributeName::ApproximateNumberOfMessages));
        Ok(count.and_then(|count| count.parse().ok()).unwrap_or_default())
    }
}

async fn url_of(client: &Client, word: &str, arn: &str) -> Result<String, QueueError> {
    // PARTITION:sqs:REGION:ACCOUNT:NAME
    let parts: Vec<&str> = arn.split(':').collect();
    let [_, "sqs", _, account, name] = parts.as_slice() else {
        return Err(QueueError::NotAQueue(word.to_owned()));
    };
    let answer = client
        .get_queue_url()
        .queue_name(*name)
        .queue_owner_aws_account_id(*account)
        .send()
        .await
        .map_err(|error| failed("sqs:GetQueueUrl", word, error))?;
    answer.queue_url.ok_or_else(|| QueueError::NoSuchQueue(word.to_owned()))
}

fn failed<E>(action: &'static str, queue: &str, error: E) -> QueueError
where
    E: ProvideErrorMetadata + std::error::Error,
{
    let queue = queue.to_owned();
    match error.code() {
        Some("QueueDoesNotExist" | "AWS.SimpleQueueService.NonExistentQueue") => {
            QueueError::NoSuchQueue(queue)
        }
        Some("AccessDenied" | "AccessDeniedException") => QueueError::Denied { action, queue },
        _ => QueueError::Failed { action, queue, why: DisplayErrorContext(error).to_string() },
    }
}

/// What was settled, and why the queue was left.
#[derive(Debug, Default)]
pub struct Settled {
    /// Messages that were deleted.
    pub deleted: u64,
    /// Messages that could not be deleted, and come again.
    pub delete_failed: u64,
    /// Why the queue was left before it was empty; what was received before is settled all the same.
    pub failure: Option<QueueError>,
}

/// Receives until the queue is empty, or for ever with `follow`, and deletes what is settled.
pub async fn run(
    queue: Queue,
    out: mpsc::Sender<Parcel>,
    stop: watch::Receiver<bool>,
    progress: Arc<Progress>,
    clock: Clock,
    follow: bool,
) -> Settled {
    let (settle, settled) = mpsc::unbounded_channel();
    let deleting = tokio::spawn(delete_settled(queue.clone(), settled));
    let mut receivers = JoinSet::new();
    for _ in 0..RECEIVERS {
        let receiver = Receiver {
            queue: queue.clone(),
            origin: Arc::from(queue.url.as_str()),
            out: out.clone(),
            settle: settle.clone(),
            progress: Arc::clone(&progress),
            clock: Arc::clone(&clock),
            started_at: clock(),
            follow,
        };
        receivers.spawn(receiver.run(stop.clone()));
    }
    // the workers see the end of the queue, and the deleter the end of the receipts, when the last clone is gone
    drop(out);
    drop(settle);
    let mut failure = None;
    while let Some(joined) = receivers.join_next().await {
        let ended = joined.map_err(|error| task_failed(&queue.url, &error)).and_then(|ended| ended);
        failure = failure.or(ended.err());
    }
    let settled = deleting.await.unwrap_or_else(|error| Settled {
        failure: Some(task_failed(&queue.url, &error)),
        ..Settled::default()
    });
    Settled { failure: failure.or(settled.failure), ..settled }
}

fn task_failed(url: &str, error: &tokio::task::JoinError) -> QueueError {
    QueueError::Failed { action: "reading", queue: url.to_owned(), why: error.to_string() }
}

struct Receiver {
    queue: Queue,
    origin: Arc<str>,
    out: mpsc::Sender<Parcel>,
    settle: mpsc::UnboundedSender<String>,
    progress: Arc<Progress>,
    clock: Clock,
    started_at: i64,
    follow: bool,
}

impl Receiver {
    async fn run(self, mut stop: watch::Receiver<bool>) -> Result<(), QueueError> {
        let mut empty_answers = 0;
        let mut backoff = Backoff::default();
        loop {
            // the signal is heard only while waiting, never while messages are handed over
            let received = tokio::select! {
                biased;
                () = stopped(&mut stop) => return Ok(()),
                received = self.receive() => received,
            };
            let messages = match received {
                Ok(messages) => messages,
                Err(error @ (QueueError::NoSuchQueue(_) | QueueError::Denied { .. })) => {
                    return Err(error);
                }
                Err(error) => {
                    tokio::select! {
                        () = stopped(&mut stop) => return Ok(()),
                        gave_up = backoff.pause(&error) => if gave_up && !self.follow { return Err(error) },
                    }
                    continue;
                }
            };
            backoff = Backoff::default();
            if messages.is_empty() {
                empty_answers += 1;
                if !self.follow
                    && empty_answers >= EMPTY_ANSWERS
                    && self.queue.visible().await? == 0
                {
                    return Ok(());
                }
                continue;
            }
            empty_answers = 0;
            // on a queue that never rests, a drain ends with what was there when it began
            let caught_up = !self.follow && messages.iter().all(|message| self.is_younger(message));
            if self.hand_over(messages).await.is_none() || caught_up {
                return Ok(());
            }
        }
    }

    async fn receive(&self) -> Result<Vec<Message>, QueueError> {
        let answer = self
            .queue
            .client
            .receive_message()
            .queue_url(&self.queue.url)
            .max_number_of_messages(MESSAGES_PER_CALL)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .visibility_timeout(VISIBILITY_SECS)
            .wait_time_seconds(if self.follow { POLL_SECS_FOLLOW } else { POLL_SECS_DRAIN })
            .send()
            .await
            .map_err(|error| failed("sqs:ReceiveMessage", &self.queue.url, error))?;
        Ok(answer.messages.unwrap_or_default())
    }

    /// Whether a message came into the queue after this run began.
    fn is_younger(&self, message: &Message) -> bool {
        let attributes = message.attributes.as_ref();
        let sent = attributes.and_then(|all| all.get(&MessageSystemAttributeName::SentTimestamp));
        sent.and_then(|text| text.parse::<i64>().ok()).is_some_and(|sent| sent > self.started_at)
    }

    /// Hands messages to the workers; `None` when there are no workers any more.
    async fn hand_over(&self, messages: Vec<Message>) -> Option<()> {
        let received_at = (self.clock)();
        Progress::add(&self.progress.messages, messages.len());
        for message in messages {
            let receipt =
                message.receipt_handle.map(|handle| Receipt::new(handle, self.settle.clone()));
            let parcel = Parcel {
                bytes: message.body.unwrap_or_default().into_bytes(),
                pieces: None,
                origin: Arc::clone(&self.origin),
                received_at,
                receipt,
            };
            self.out.send(parcel).await.ok()?;
        }
        Some(())
    }
}

/// Pauses that grow after each failure, with jitter so that many receivers do not come back together.
#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Waits, says so once, and tells whether it is time to give up where giving up is allowed.
    async fn pause(&mut self, error: &QueueError) -> bool {
        const FAILURES_MAX: u32 = 6;
        if self.failures == 0 {
            tracing::warn!(%error, "receiving failed, trying again with growing pauses");
        }
        self.failures += 1;
        let pause =
            Duration::from_millis(200).saturating_mul(1 << self.failures.min(10)).min(BACKOFF_MAX);
        tokio::time::sleep(pause.mul_f64(jitter())).await;
        self.failures >= FAILURES_MAX
    }
}

/// Between 0.5 and 1.
fn jitter() -> f64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let random =
        u32::try_from(RandomState::new().build_hasher().finish() >> 32).unwrap_or_default();
    0.5 + f64::from(random) / f64::from(u32::MAX) / 2.0
}

/// Deletes what is settled, in batches, until no receipt can come any more.
async fn delete_settled(queue: Queue, mut settled: mpsc::UnboundedReceiver<String>) -> Settled {
    let mut total = Settled::default();
    let mut deleting = JoinSet::new();
    let mut handles = Vec::new();
    while settled.recv_many(&mut handles, usize::try_from(MESSAGES_PER_CALL).unwrap_or(1)).await > 0
    {
        if deleting.len() >= DELETES_AT_ONCE {
            add(&mut total, deleting.join_next().await);
        }
        deleting.spawn(delete(queue.clone(), std::mem::take(&mut handles)));
    }
    while let Some(ended) = deleting.join_next().await {
        add(&mut total, Some(ended));
    }
    total
}

fn add(total: &mut Settled, ended: Option<Result<Settled, tokio::task::JoinError>>) {
    match ended {
        Some(Ok(one)) => {
            total.deleted += one.deleted;
            total.delete_failed += one.delete_failed;
        }
        Some(Err(error)) => tracing::error!(%error, "deleting failed; the messages come again"),
        None => {}
    }
}

/// Deletes one batch; entries that fail are tried again, those that fail for good are counted.
async fn delete(queue: Queue, mut handles: Vec<String>) -> Settled {
    let mut settled = Settled::default();
    for attempt in 1..=DELETE_TRIES {
        let before = handles.len();
        match delete_once(&queue, &handles).await {
            Ok(left) => handles = left,
            Err(error) if attempt == DELETE_TRIES => {
                tracing::warn!(%error, "deleting failed; the messages come again");
            }
            Err(_) => {}
        }
        settled.deleted += u64::try_from(before - handles.len()).unwrap_or_default();
        if handles.is_empty() || attempt == DELETE_TRIES {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100 << attempt).mul_f64(jitter())).await;
    }
    settled.delete_failed = u64::try_from(handles.len()).unwrap_or_default();
    settled
}

/// Deletes and returns the handles that are still to be deleted.
async fn delete_once(queue: &Queue, handles: &[String]) -> Result<Vec<String>, QueueError> {
    let entries = handles.iter().enumerate().map(|(at, handle)| {
        let entry =
            DeleteMessageBatchRequestEntry::builder().id(at.to_string()).receipt_handle(handle);
        entry.build().expect("an entry has its id and its handle")
    });
    let answer = queue
        .client
        .delete_message_batch()
        .queue_url(&queue.url)
        .set_entries(Some(entries.collect()))
        .send()
        .await
        .map_err(|error| failed("sqs:DeleteMessage", &queue.url, error))?;
    // an answer of 200 may list entries that failed, and what is in neither list is not known to be deleted
    let deleted: Vec<usize> =
        answer.successful.iter().filter_map(|entry| entry.id.parse().ok()).collect();
    for entry in &answer.failed {
        tracing::debug!(
            code = entry.code,
            sender_fault = entry.sender_fault,
            "an entry was not deleted"
        );
    }
    Ok(handles
        .iter()
        .enumerate()
        .filter(|(at, _)| !deleted.contains(at))
        .map(|(_, handle)| handle.clone())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_name_a_queue() {
        for (word, region) in [
            ("https://sqs.eu-west-1.amazonaws.com/123456789012/bounces", Some("eu-west-1")),
            ("arn:aws:sqs:us-east-1:123456789012:bounces", Some("us-east-1")),
            ("http://127.0.0.1:4566/000000000000/bounces", None),
        ] {
            assert!(is_queue(word));
            assert_eq!(region_of(word).as_deref(), region);
        }
        assert!(!is_queue("archive/2026"));
    }
}
