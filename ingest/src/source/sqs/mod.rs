//! SQS: receives with long polls, and deletes what is durable, reading every answer entry by entry (facts 6).
//!
//! This file knows the queue and what can be wrong with it; `receive` takes messages, `answer` reads what the queue sends,
//! `settle` deletes messages and keeps them hidden while they are worked on, `held` is the list of what is worked on.

mod answer;
pub mod cost;
mod in_flight;
mod receive;
mod settle;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::QueueAttributeName;
use tokio::sync::mpsc;

use crate::source::Intake;
use crate::source::objects::ObjectError;
use crate::source::objects::follow::Follower;
use crate::telemetry::metrics::Telemetry;
use answer::ReadAnswers;
use bouncewatch_store::aws::{Buckets, chain, is_credential_code};
use in_flight::Held;
use receive::Crew;

/// Messages of one call; SQS allows no more.
const MESSAGES_PER_CALL: usize = 10;
/// Seconds that SQS waits for a message while the queue is followed; it allows no more.
const POLL_SECS_FOLLOW: i32 = 20;
/// Longest time of one call, from its beginning to the last byte of its answer.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);
/// Seconds for which a message can be hidden; SQS allows no more.
const VISIBILITY_SECS_MAX: u64 = 43_200;

/// How a queue is read.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Whether it is followed until the run is stopped, or drained until it is empty.
    pub follow: bool,
    /// For how long a received message is hidden from others; it is hidden again while it is worked on.
    pub visibility: Duration,
    /// Receivers that poll at the same time, at most.
    pub receivers_max: usize,
    /// How long deletes are waited for, and tried again, when the run shall end.
    pub last_deletes: Duration,
}

impl Settings {
    /// Deletes, or renewals of visibility, that are under way at the same time: more than receivers, which would take
    /// more than is settled.
    fn calls_at_once(&self) -> usize {
        (2 * self.receivers_max).max(8)
    }

    /// The default for a batch age: a message is hidden for some batches, and at least a minute.
    pub fn visibility_for(batch_age: Duration) -> Duration {
        let secs = (batch_age.as_secs().saturating_mul(4)).clamp(60, VISIBILITY_SECS_MAX);
        Duration::from_secs(secs)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            follow: false,
            visibility: Duration::from_secs(80),
            receivers_max: 16,
            last_deletes: Duration::from_secs(5),
        }
    }
}

/// The settings of a client: a call has a minute, instead of the SDK's watch over each piece of an answer, which a
/// drain feels.
pub fn client_settings(config: &aws_config::SdkConfig) -> aws_sdk_sqs::config::Builder {
    let timeouts =
        config.timeout_config().map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder);
    aws_sdk_sqs::config::Builder::from(config)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(timeouts.operation_attempt_timeout(CALL_TIMEOUT).build())
}

/// A queue that can be read.
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    buckets: Buckets,
    url: String,
    attributes: Attributes,
}

/// What a queue says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// About how many messages can be received.
    pub visible: u64,
    /// Whether messages of one group come in order, and only when those before are deleted.
    pub fifo: bool,
    /// How long it keeps a message.
    pub retention_secs: Option<u64>,
    /// Whether messages that come too often go to a dead-letter queue.
    pub has_dead_letter_queue: bool,
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
        "access to the queue is denied: {action} on {queue}\n  hint: allow {action} for these credentials; a consumer needs sqs:ReceiveMessage, sqs:DeleteMessage, sqs:ChangeMessageVisibility, sqs:GetQueueAttributes, for an ARN sqs:GetQueueUrl, and kms:Decrypt where the queue is encrypted"
    )]
    Denied {
        /// What was tried.
        action: &'static str,
        /// On which queue.
        queue: String,
    },
    /// The credentials are missing, wrong or expired.
    #[error(
        "AWS does not accept the credentials: {action} on {queue}: {why}\n  hint: `aws sts get-caller-identity` tells which are used; renew them (`aws sso login`, a new session, the instance's role), the run goes on by itself"
    )]
    Credentials {
        /// What was tried.
        action: &'static str,
        /// On which queue.
        queue: String,
        /// What AWS said.
        why: String,
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

impl QueueError {
    /// Whether trying again cannot help.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::NoSuchQueue(_) | Self::Denied { .. } | Self::NotAQueue(_))
    }
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
    /// Finds the queue and makes sure that it can be asked, before anything is received.
    ///
    /// # Errors
    /// If there is no such queue, or access is denied.
    pub async fn open(
        config: &aws_config::SdkConfig,
        word: &str,
        telemetry: &Telemetry,
    ) -> Result<Self, QueueError> {
        let settings = client_settings(config).interceptor(ReadAnswers::new());
        let client = Client::from_conf(settings.build());
        let url = match word.strip_prefix("arn:") {
            None => word.to_owned(),
            Some(arn) => url_of(&client, word, arn, telemetry).await?,
        };
        // a queue that hears of objects is in the region of their bucket
        let buckets = Buckets::new(config.clone());
        let mut queue = Self { client, buckets, url, attributes: Attributes::default() };
        queue.attributes = queue.ask(telemetry).await?;
        Ok(queue)
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What the queue said of itself when it was opened.
    pub fn attributes(&self) -> Attributes {
        self.attributes
    }

    /// What the queue says of itself now.
    async fn ask(&self, telemetry: &Telemetry) -> Result<Attributes, QueueError> {
        let call = self.client.get_queue_attributes().queue_url(&self.url);
        let answer = call.attribute_names(QueueAttributeName::All).send();
        let answer = called("sqs:GetQueueAttributes", &self.url, telemetry, answer).await?;
        let all = answer.attributes.unwrap_or_default();
        let number = |name| all.get(&name).and_then(|text: &String| text.parse::<u64>().ok());
        Ok(Attributes {
            visible: number(QueueAttributeName::ApproximateNumberOfMessages).unwrap_or_default(),
            fifo: is_fifo(&self.url),
            retention_secs: number(QueueAttributeName::MessageRetentionPeriod),
            has_dead_letter_queue: all
                .get(&QueueAttributeName::RedrivePolicy)
                .is_some_and(|policy| policy.contains("deadLetterTargetArn")),
        })
    }
}

/// A FIFO queue's name says so, and SQS insists on it.
fn is_fifo(queue: &str) -> bool {
    queue.rsplit_once('.').is_some_and(|(_, end)| end == "fifo")
}

async fn url_of(
    client: &Client,
    word: &str,
    arn: &str,
    telemetry: &Telemetry,
) -> Result<String, QueueError> {
    // PARTITION:sqs:REGION:ACCOUNT:NAME
    let parts: Vec<&str> = arn.split(':').collect();
    let [_, "sqs", _, account, name] = parts.as_slice() else {
        return Err(QueueError::NotAQueue(word.to_owned()));
    };
    let call = client.get_queue_url().queue_name(*name).queue_owner_aws_account_id(*account);
    let answer = called("sqs:GetQueueUrl", word, telemetry, call.send()).await?;
    answer.queue_url.ok_or_else(|| QueueError::NoSuchQueue(word.to_owned()))
}

fn failed<E>(action: &'static str, queue: &str, error: &E) -> QueueError
where
    E: ProvideErrorMetadata + std::error::Error,
{
    let queue = queue.to_owned();
    let said = |error: &E| {
        let message = error.message().unwrap_or_default();
        format!("{} {message}", error.code().unwrap_or_default()).trim().to_owned()
    };
    match error.code() {
        Some("QueueDoesNotExist" | "AWS.SimpleQueueService.NonExistentQueue") => {
            QueueError::NoSuchQueue(queue)
        }
        Some(
            "AccessDenied"
            | "AccessDeniedException"
            | "KMS.AccessDeniedException"
            | "KmsAccessDenied",
        ) => QueueError::Denied { action, queue },
        Some(code) if is_credential_code(code) => {
            QueueError::Credentials { action, queue, why: said(error) }
        }
        Some(_) => QueueError::Failed { action, queue, why: said(error) },
        None => {
            let why = chain(error);
            if why.contains("credential") {
                QueueError::Credentials {
                    action,
                    queue,
                    why: "no credentials were found".to_owned(),
                }
            } else {
                QueueError::Failed { action, queue, why }
            }
        }
    }
}

/// Makes a call, counts it, and says what failed.
async fn called<T, E>(
    action: &'static str,
    queue: &str,
    telemetry: &Telemetry,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, QueueError>
where
    E: ProvideErrorMetadata + std::error::Error,
{
    telemetry.requested("sqs", action);
    telemetry.billed(is_fifo(queue), 1);
    call.await.map_err(|error| {
        telemetry.request_failed("sqs", action);
        failed(action, queue, &error)
    })
}

/// What was settled, and why the queue was left.
#[derive(Debug, Default)]
pub struct Settled {
    /// Messages that were deleted.
    pub deleted: u64,
    /// Messages that could not be deleted, and come again.
    pub delete_failed: u64,
    /// Messages that were given back: what is in them is not stored.
    pub left: u64,
    /// Why the queue was left before it was empty; what was received before is settled all the same.
    pub failure: Option<QueueError>,
    /// Why objects that messages point to could not be read; those messages come again.
    pub object_failure: Option<ObjectError>,
}

/// Receives until the queue is empty, or for ever with `follow`, and deletes what is settled.
pub async fn run(queue: Queue, intake: Intake, settings: Settings) -> Settled {
    let (outcomes, told) = mpsc::unbounded_channel();
    let held = Arc::new(Held::new(intake.telemetry.held.slot()));
    let told_before = Arc::default();
    let telemetry = Arc::clone(&intake.telemetry);
    let follower = Arc::new(Follower::new(queue.buckets.clone()));
    let line = Line { queue, settings, held, told: told_before, follower, telemetry };
    let settling = tokio::spawn(settle::settle(line.clone(), told, intake.halt()));
    let hiding = tokio::spawn(settle::keep_hidden(line.clone()));
    let failure = Crew::run(&line, intake, outcomes).await;
    let settled = settling.await.unwrap_or_else(|error| Settled {
        failure: Some(line.task_failed(&error)),
        ..Settled::default()
    });
    hiding.abort();
    // all receipts are settled or dropped, so nobody follows a pointer any more
    let object_failure = line.follower.failure();
    Settled { failure: failure.or(settled.failure), object_failure, ..settled }
}

/// A queue in use: what receivers and deleters share.
#[derive(Debug, Clone)]
struct Line {
    queue: Queue,
    settings: Settings,
    held: Arc<Held>,
    told: Arc<Told>,
    follower: Arc<Follower>,
    telemetry: Arc<Telemetry>,
}

/// What was told already, and is not told again in this run.
#[derive(Debug, Default)]
struct Told {
    hiding: Once,
    deleting: Once,
}

/// True the first time it is asked.
#[derive(Debug, Default)]
struct Once(AtomicBool);

impl Once {
    fn first(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

impl Line {
    /// Makes a call to this queue, counts it, and says what failed.
    async fn called<T, E>(
        &self,
        action: &'static str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, QueueError>
    where
        E: ProvideErrorMetadata + std::error::Error,
    {
        called(action, &self.queue.url, &self.telemetry, call).await
    }

    fn task_failed(&self, error: &tokio::task::JoinError) -> QueueError {
        QueueError::Failed {
            action: "reading",
            queue: self.queue.url.clone(),
            why: error.to_string(),
        }
    }
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

    #[test]
    fn a_message_is_hidden_for_longer_than_a_batch_grows_old() {
        for (age, hidden) in [(1, 60), (20, 80), (600, 2_400), (86_400, 43_200)] {
            let visibility = Settings::visibility_for(Duration::from_secs(age));
            assert_eq!(visibility, Duration::from_secs(hidden));
        }
    }
}
