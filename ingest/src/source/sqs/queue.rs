//! [`Queue`]: an SQS queue, its attributes, and calls to it.

use std::time::Duration;

use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::QueueAttributeName;
use bouncewatch_store::aws::Buckets;

use crate::source::sqs::error::QueueError;
use crate::source::sqs::response::ResponseReader;
use crate::telemetry::billed_requests::QueueKind;
use crate::telemetry::metrics::Telemetry;

/// Timeout of one call, from its start to the last byte of the response.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);

/// The client settings of the consumer: a timeout per call instead of the SDK's stalled stream protection, which checks
/// each chunk of a response and slows down a drain.
pub fn client_settings(config: &aws_config::SdkConfig) -> aws_sdk_sqs::config::Builder {
    let timeouts =
        config.timeout_config().map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder);
    aws_sdk_sqs::config::Builder::from(config)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(timeouts.operation_attempt_timeout(CALL_TIMEOUT).build())
}

/// An SQS queue.
#[derive(Debug, Clone)]
pub struct Queue {
    pub(super) client: Client,
    /// S3 clients for objects that messages of this queue point to.
    pub(super) buckets: Buckets,
    pub(super) url: String,
    pub(super) attributes: Option<QueueAttributes>,
}

/// Attributes of a queue (`GetQueueAttributes`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueAttributes {
    /// `ApproximateNumberOfMessages`: visible messages.
    pub visible: u64,
    /// `ApproximateNumberOfMessagesNotVisible`: messages in flight, of all consumers.
    pub in_flight: u64,
    /// `VisibilityTimeout`: the timeout if a consumer does not set one, seconds.
    pub visibility_secs: Option<u64>,
    /// `MessageRetentionPeriod`, seconds.
    pub retention_secs: Option<u64>,
    /// Whether the redrive policy names a dead-letter queue.
    pub has_dead_letter_queue: bool,
}

/// Whether an argument names a queue: a URL or an ARN.
pub fn is_queue(argument: &str) -> bool {
    argument.starts_with("https://")
        || argument.starts_with("http://")
        || argument.starts_with("arn:")
}

/// The region in the ARN or URL of a queue, used if no region is configured.
pub fn region_of(argument: &str) -> Option<String> {
    if let Some(arn) = argument.strip_prefix("arn:") {
        return arn.split(':').nth(2).filter(|region| !region.is_empty()).map(str::to_owned);
    }
    let host = argument.split("://").nth(1)?.split(['/', ':']).next()?;
    let mut labels = host.split('.');
    (labels.next() == Some("sqs")).then(|| labels.next().map(str::to_owned)).flatten()
}

impl Queue {
    /// Finds a queue by URL or ARN and reads its attributes.
    ///
    /// # Errors
    /// If the queue does not exist or the call fails.
    pub async fn open(
        config: &aws_config::SdkConfig,
        argument: &str,
        telemetry: &Telemetry,
    ) -> Result<Self, QueueError> {
        let settings = client_settings(config).interceptor(ResponseReader::new());
        let client = Client::from_conf(settings.build());
        let url = match argument.strip_prefix("arn:") {
            None => argument.to_owned(),
            Some(arn) => url_of(&client, argument, arn, telemetry).await?,
        };
        // S3 sends notifications only to queues in the region of the bucket, so the region is the
        // same
        let buckets = Buckets::new(config.clone());
        let mut queue = Self { client, buckets, url, attributes: None };
        queue.attributes = queue.attributes_if_allowed(telemetry).await?;
        Ok(queue)
    }

    /// The URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The attributes as of [`open`](Self::open); `None` if `sqs:GetQueueAttributes` is denied.
    pub fn attributes(&self) -> Option<QueueAttributes> {
        self.attributes
    }

    /// Standard or FIFO.
    pub fn kind(&self) -> QueueKind {
        kind_of(&self.url)
    }

    /// The current attributes; `None` if `sqs:GetQueueAttributes` is denied.
    pub(super) async fn attributes_if_allowed(
        &self,
        telemetry: &Telemetry,
    ) -> Result<Option<QueueAttributes>, QueueError> {
        match self.read_attributes(telemetry).await {
            Ok(attributes) => Ok(Some(attributes)),
            Err(QueueError::Denied { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The current attributes.
    async fn read_attributes(&self, telemetry: &Telemetry) -> Result<QueueAttributes, QueueError> {
        let call = self.client.get_queue_attributes().queue_url(&self.url);
        let response = call.attribute_names(QueueAttributeName::All).send();
        let response = call_sqs("sqs:GetQueueAttributes", &self.url, telemetry, response).await?;
        let all = response.attributes.unwrap_or_default();
        let number = |name| all.get(&name).and_then(|text: &String| text.parse::<u64>().ok());
        Ok(QueueAttributes {
            visible: number(QueueAttributeName::ApproximateNumberOfMessages).unwrap_or_default(),
            in_flight: number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
                .unwrap_or_default(),
            visibility_secs: number(QueueAttributeName::VisibilityTimeout),
            retention_secs: number(QueueAttributeName::MessageRetentionPeriod),
            has_dead_letter_queue: all
                .get(&QueueAttributeName::RedrivePolicy)
                .is_some_and(|policy| policy.contains("deadLetterTargetArn")),
        })
    }
}

/// The kind of a queue: SQS requires that the name of a FIFO queue ends in `.fifo`.
fn kind_of(queue: &str) -> QueueKind {
    let is_fifo = queue.rsplit_once('.').is_some_and(|(_, end)| end == "fifo");
    if is_fifo { QueueKind::Fifo } else { QueueKind::Standard }
}

async fn url_of(
    client: &Client,
    argument: &str,
    arn: &str,
    telemetry: &Telemetry,
) -> Result<String, QueueError> {
    // PARTITION:sqs:REGION:ACCOUNT:NAME
    let parts: Vec<&str> = arn.split(':').collect();
    let [_, "sqs", _, account, name] = parts.as_slice() else {
        return Err(QueueError::NotAQueue(argument.to_owned()));
    };
    let call = client.get_queue_url().queue_name(*name).queue_owner_aws_account_id(*account);
    let response = call_sqs("sqs:GetQueueUrl", argument, telemetry, call.send()).await?;
    response.queue_url.ok_or_else(|| QueueError::NoSuchQueue(argument.to_owned()))
}

/// Makes a call, counts it, and converts its error.
pub(super) async fn call_sqs<T, E>(
    action: &'static str,
    queue: &str,
    telemetry: &Telemetry,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, QueueError>
where
    E: ProvideErrorMetadata + std::error::Error,
{
    telemetry.aws.started("sqs", action);
    telemetry.aws.add_billed(kind_of(queue), 1);
    call.await.map_err(|error| {
        telemetry.aws.failed("sqs", action);
        QueueError::from_sdk(action, queue, &error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_arns_name_a_queue_and_its_region() {
        for (argument, region) in [
            ("https://sqs.eu-west-1.amazonaws.com/123456789012/bounces", Some("eu-west-1")),
            ("arn:aws:sqs:us-east-1:123456789012:bounces", Some("us-east-1")),
            ("http://127.0.0.1:4566/000000000000/bounces", None),
        ] {
            assert!(is_queue(argument));
            assert_eq!(region_of(argument).as_deref(), region);
        }
        assert!(!is_queue("archive/2026"));
    }
}
