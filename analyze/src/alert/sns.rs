//! SNS: one message to a topic, as text for mail and as JSON for machines. The only socket that this room opens.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sns::Client;
use aws_sdk_sns::config::Region;
use aws_sdk_sns::error::DisplayErrorContext;
use aws_sdk_sns::types::MessageAttributeValue;
use serde_json::json;

use crate::alert::Message;

/// Longest that a message may take to be sent, tries of the SDK included.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest that one try may take.
const TRY_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a message could not be sent.
#[derive(Debug, thiserror::Error)]
#[error(
    "could not publish to the topic {topic}: {why}\n  hint: allow sns:Publish on it, and kms:GenerateDataKey and kms:Decrypt where it is encrypted; the message is kept for the next run"
)]
pub struct SnsError {
    topic: String,
    why: String,
}

/// Publishes a message to a topic: subscriptions by mail get the text, those by telephone the subject, all others the
/// JSON. Its attributes are for the filter policies of subscriptions. Topics with an order get each message once.
///
/// Credentials come from the SDK's usual chain, the region from the ARN.
///
/// # Errors
/// If SNS does not take it.
pub async fn publish(
    topic: &str,
    endpoint_url: Option<&str>,
    message: &Message,
) -> Result<(), SnsError> {
    let failed = |why: String| SnsError { topic: topic.to_owned(), why };
    let timeouts = TimeoutConfig::builder()
        .operation_timeout(SEND_TIMEOUT)
        .operation_attempt_timeout(TRY_TIMEOUT)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts);
    if let Some(region) = topic.split(':').nth(3).filter(|region| !region.is_empty()) {
        loader = loader.region(Region::new(region.to_owned()));
    }
    if let Some(url) = endpoint_url {
        loader = loader.endpoint_url(url);
    }
    let client = Client::new(&loader.load().await);
    let bodies = json!({"default": message.json, "email": message.text, "sms": message.subject});
    let mut call = client
        .publish()
        .topic_arn(topic)
        .subject(&message.subject)
        .message_structure("json")
        .message(bodies.to_string());
    for (name, values) in &message.attributes {
        let (kind, value) = match values.as_slice() {
            [one] => ("String", one.clone()),
            several => ("String.Array", json!(several).to_string()),
        };
        let attribute = MessageAttributeValue::builder().data_type(kind).string_value(value);
        let attribute = attribute.build().map_err(|error| failed(error.to_string()))?;
        call = call.message_attributes(*name, attribute);
    }
    if topic.strip_suffix(".fifo").is_some() {
        call = call.message_group_id("bouncewatch").message_deduplication_id(&message.id);
    }
    let sent = call.send().await;
    sent.map(|_| ()).map_err(|error| failed(DisplayErrorContext(error).to_string()))
}
