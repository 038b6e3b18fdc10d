//! SNS channel: publishes messages to a topic.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sns::Client;
use aws_sdk_sns::config::Region;
use aws_sdk_sns::error::ProvideErrorMetadata;
use aws_sdk_sns::types::MessageAttributeValue;
use bouncewatch_schemas::aws_error::is_credential_code;
use bouncewatch_store::aws::no_response_reason;
use serde_json::json;

use crate::alert::message::Message;

/// Time limit of a publish, including retries of the SDK.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Time limit of one attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// A message could not be published.
#[derive(Debug, thiserror::Error)]
#[error("could not publish to the topic {topic}: {why}")]
pub struct SnsError {
    topic: String,
    /// Cause, with a hint if there is one.
    why: String,
}

/// Returns the cause of an error of the SDK, with a hint in a second line. The debug text of the
/// error is not used, because it contains the complete response.
fn reason<E>(error: &E) -> String
where
    E: ProvideErrorMetadata + std::error::Error,
{
    let Some(code) = error.code() else {
        return match no_response_reason(error) {
            why if why.contains("credential") => {
                "no credentials were found\n  hint: set AWS_PROFILE, run `aws sso login`, or attach a role".to_owned()
            }
            why => why,
        };
    };
    let message = error.message().unwrap_or_default();
    let hint = match code {
        "NotFound" | "NotFoundException" => {
            "check region, account and name; `aws sns list-topics` lists the topics of a region"
        }
        code if is_credential_code(code) => CREDENTIALS_HINT,
        code if ["Auth", "Denied", "KMS"].iter().any(|part| code.contains(part)) => {
            "allow sns:Publish on the topic; for an encrypted topic also kms:GenerateDataKey and kms:Decrypt"
        }
        _ => "test with `aws sns publish --topic-arn ARN --message test`",
    };
    format!("{}\n  hint: {hint}", format!("{code} {message}").trim())
}

const CREDENTIALS_HINT: &str =
    "renew the credentials; `aws sts get-caller-identity` shows those in use";

/// Publishes a message to a topic. Email subscriptions get the text, SMS subscriptions the subject, others the JSON.
///
/// Subscriptions can filter by the attributes of the message. For a FIFO topic, the ID of the
/// message is its deduplication ID. Credentials come from the default chain of the SDK, the region
/// from the ARN.
///
/// # Errors
/// If SNS does not accept the message.
pub async fn publish(
    topic: &str,
    endpoint_url: Option<&str>,
    message: &Message,
) -> Result<(), SnsError> {
    let failed = |why: String| SnsError { topic: topic.to_owned(), why };
    let timeouts = TimeoutConfig::builder()
        .operation_timeout(SEND_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
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
    sent.map(|_| ()).map_err(|error| failed(reason(&error)))
}

#[cfg(test)]
mod tests {
    use aws_sdk_sns::error::ErrorMetadata;
    use aws_sdk_sns::operation::publish::PublishError;

    use super::*;

    #[test]
    fn error_of_sns_has_a_line_and_a_hint() {
        for (code, expected) in [
            ("NotFound", "NotFound Topic does not exist\n  hint: check region, account and name"),
            ("ExpiredToken", "ExpiredToken Topic does not exist\n  hint: renew the credentials"),
            ("InvalidParameter", "InvalidParameter Topic does not exist\n  hint: test with"),
            (
                "AuthorizationError",
                "AuthorizationError Topic does not exist\n  hint: allow sns:Publish",
            ),
        ] {
            let metadata = ErrorMetadata::builder().code(code).message("Topic does not exist");
            let text = reason(&PublishError::generic(metadata.build()));
            assert!(text.starts_with(expected), "{text}");
        }
    }
}
