//! SNS: one message to a topic, as text for mail and as JSON for machines. The only socket that this room opens.

use aws_config::BehaviorVersion;
use aws_sdk_sns::Client;
use aws_sdk_sns::config::Region;
use aws_sdk_sns::error::DisplayErrorContext;
use serde_json::json;

use super::Message;

/// Why a message could not be sent.
#[derive(Debug, thiserror::Error)]
#[error(
    "could not publish to the topic {topic}: {why}\n  hint: allow sns:Publish on it, and kms:GenerateDataKey and kms:Decrypt where it is encrypted"
)]
pub struct SnsError {
    topic: String,
    why: String,
}

/// Publishes a message to a topic: subscriptions by mail get the text, those by telephone
/// the subject, all others the JSON.
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
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(region) = topic.split(':').nth(3).filter(|region| !region.is_empty()) {
        loader = loader.region(Region::new(region.to_owned()));
    }
    if let Some(url) = endpoint_url {
        loader = loader.endpoint_url(url);
    }
    let client = Client::new(&loader.load().await);
    let (text, machine) = (&message.text, &message.json);
    let bodies = json!({"default": machine, "email": text, "sms": message.subject});
    client
        .publish()
        .topic_arn(topic)
        .subject(&message.subject)
        .message_structure("json")
        .message(bodies.to_string())
        .send()
        .await
        .map(|_| ())
        .map_err(|error| SnsError {
            topic: topic.to_owned(),
            why: DisplayErrorContext(error).to_string(),
        })
}
