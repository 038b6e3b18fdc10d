//! [`ResponseReader`]: parses responses to `ReceiveMessage` in one pass.
//!
//! The deserializer of the SDK reads each byte several times, which takes more CPU time than all
//! other work on a message. It is still used for errors and for responses that the fast path does
//! not accept.

use aws_sdk_sqs::config::{
    ConfigBag, FrozenLayer, Intercept, RuntimeComponents, RuntimePlugin as _,
};
use aws_sdk_sqs::operation::receive_message::{ReceiveMessage, ReceiveMessageOutput};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeSerializationInterceptorContextRef, Error, Output,
};
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, Metadata, OrchestratorError};
use aws_smithy_runtime_api::client::ser_de::{DeserializeResponse, SharedResponseDeserializer};
use bouncewatch_schemas::wire::inplace;
use serde::{Deserialize, Deserializer};

/// Interceptor that replaces the deserializer of `ReceiveMessage`. Skips message fields that the
/// consumer does not use.
#[derive(Debug)]
pub(super) struct ResponseReader {
    /// Configuration layer with the deserializer of the SDK.
    sdk: Option<FrozenLayer>,
}

impl ResponseReader {
    pub(super) fn new() -> Self {
        Self { sdk: ReceiveMessage::new().config() }
    }
}

#[dyn_dispatch_hint]
impl Intercept for ResponseReader {
    fn name(&self) -> &'static str {
        "ResponseReader"
    }

    // the first hook in which an interceptor can read the name of the operation
    fn read_before_serialization(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = settings.load::<Metadata>();
        if operation.is_some_and(|operation| operation.name() == "ReceiveMessage")
            && let Some(sdk) = self.sdk.clone()
        {
            let deserializer = SharedResponseDeserializer::new(FastDeserializer { sdk });
            settings.interceptor_state().store_put(deserializer);
        }
        Ok(())
    }
}

/// Deserializer with the fast path, and the SDK as fallback.
#[derive(Debug)]
struct FastDeserializer {
    sdk: FrozenLayer,
}

impl DeserializeResponse for FastDeserializer {
    fn deserialize_nonstreaming_with_config(
        &self,
        response: &HttpResponse,
        settings: &ConfigBag,
    ) -> Result<Output, OrchestratorError<Error>> {
        let body = response.body().bytes().filter(|_| response.status().is_success());
        if let Some(output) = body.and_then(fast_path) {
            return Ok(Output::erase(output));
        }
        let sdk = self.sdk.load::<SharedResponseDeserializer>();
        let sdk = sdk.ok_or_else(|| {
            OrchestratorError::other("the SDK has no deserializer for ReceiveMessage")
        })?;
        sdk.deserialize_nonstreaming_with_config(response, settings)
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct ReceiveResponse {
    #[serde(deserialize_with = "present")]
    messages: Option<Vec<ReceivedMessage>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct ReceivedMessage {
    #[serde(deserialize_with = "present")]
    body: Option<String>,
    #[serde(rename = "MD5OfBody", deserialize_with = "present")]
    md5_of_body: Option<String>,
    #[serde(deserialize_with = "present")]
    receipt_handle: Option<String>,
    #[serde(deserialize_with = "present")]
    attributes: Option<MessageAttributes>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct MessageAttributes {
    #[serde(deserialize_with = "present")]
    approximate_receive_count: Option<String>,
    #[serde(deserialize_with = "present")]
    sent_timestamp: Option<String>,
}

/// Deserializes a value that is not `null`. On `null` the fast path fails, and the SDK parses the
/// response.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    value: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// Parses the body of a successful response; `None` if the SDK must parse it.
fn fast_path(body: &[u8]) -> Option<ReceiveMessageOutput> {
    let response: ReceiveResponse =
        inplace::from_str(simdutf8::basic::from_utf8(body).ok()?).ok()?;
    let message = |received: ReceivedMessage| {
        let attributes = received.attributes.map(|attributes| {
            use MessageSystemAttributeName::{ApproximateReceiveCount, SentTimestamp};
            [
                (ApproximateReceiveCount, attributes.approximate_receive_count),
                (SentTimestamp, attributes.sent_timestamp),
            ]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
        });
        Message::builder()
            .set_body(received.body)
            .set_md5_of_body(received.md5_of_body)
            .set_receipt_handle(received.receipt_handle)
            .set_attributes(attributes)
            .build()
    };
    let messages = response.messages.map(|messages| messages.into_iter().map(message).collect());
    Some(ReceiveMessageOutput::builder().set_messages(messages).build())
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::Client;
    use aws_sdk_sqs::config::{BehaviorVersion, Builder, Credentials, Region};
    use aws_sdk_sqs::error::ProvideErrorMetadata as _;
    use aws_smithy_http_client::test_util::infallible_client_fn;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    async fn read(
        status: u16,
        response: &'static str,
        settings: Builder,
    ) -> Result<Vec<Message>, Option<String>> {
        let respond = move |_| {
            let body = SdkBody::from(response);
            http::Response::builder().status(status).body(body).unwrap()
        };
        let settings = settings
            .behavior_version(BehaviorVersion::latest())
            .retry_config(aws_config::retry::RetryConfig::disabled())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
            .http_client(infallible_client_fn(respond));
        let call = Client::from_conf(settings.build()).receive_message();
        let output = call.queue_url("https://queue.example/1/q").send().await;
        let output = output.map_err(|error| error.code().map(str::to_owned))?;
        Ok(output.messages.unwrap_or_default())
    }

    /// The message with only the fields that the consumer uses.
    fn used_fields(message: Message) -> Message {
        use MessageSystemAttributeName::{ApproximateReceiveCount, SentTimestamp};
        let attributes = message.attributes.map(|attributes| {
            let is_used = |name: &_| matches!(name, ApproximateReceiveCount | SentTimestamp);
            attributes.into_iter().filter(|(name, _)| is_used(name)).collect()
        });
        Message::builder()
            .set_body(message.body)
            .set_md5_of_body(message.md5_of_body)
            .set_receipt_handle(message.receipt_handle)
            .set_attributes(attributes)
            .build()
    }

    #[tokio::test]
    async fn responses_are_parsed_like_the_sdk_parses_them() {
        for (status, is_fast, response) in [
            (200, true, "{}"),
            (200, true, r#"{"Messages":[]}"#),
            (200, true, r#"{"Messages":[{"Body":"a"},{"ReceiptHandle":"r","Attributes":{}}]}"#),
            (
                200,
                true,
                r#"{"Messages":[{"MessageId":"m","MD5OfBody":"x","ReceiptHandle":"r+/=","Body":"{\"a\":\"\\\"b\\\\\\n\\u00e9\"}", "Attributes":{"SentTimestamp":"1700000000123","ApproximateReceiveCount":"2","SenderId":"AIDA"},"MessageAttributes":{"k":{"DataType":"Binary","BinaryValue":"AAE="}}}],"Further":{"a":[1,null,true]}}"#,
            ),
            (200, true, r#" { "Messages" : [ { "Body" : "\u00fc ü 😀\/\b\f\n\r\t\u0001" } ] } "#),
            // valid responses that the fast path leaves to the SDK: null, surrogate pairs, line ends between tokens
            (200, false, r#"{"Messages":null}"#),
            (200, false, r#"{"Messages":[{"Body":"\ud83d\ude00"}]}"#),
            (200, false, "{\n}"),
            (200, false, ""),
            (200, false, r#"{"Messages":[{"Body":"a","Body":"b"}]}"#),
            (200, false, r#"{"Messages":[{"Body":"lone \ud800 half"}]}"#),
            (200, false, r#"{"Messages":[{"Body":7}]}"#),
            (200, false, r#"{"Messages":[{"Body":"cut off"#),
            (200, false, r#"{"Messages":[]} and more"#),
            (200, false, r#"{"Messages":{"Body":"a"}}"#),
            (200, false, "<html>"),
            (
                400,
                false,
                r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no such queue"}"#,
            ),
            (403, false, r#"{"__type":"AccessDenied","Messages":[{"Body":"a"}]}"#),
            (503, false, "busy"),
        ] {
            assert_eq!(
                status == 200 && fast_path(response.as_bytes()).is_some(),
                is_fast,
                "{response}"
            );
            let ours =
                read(status, response, Builder::new().interceptor(ResponseReader::new())).await;
            let sdk = read(status, response, Builder::new()).await;
            let sdk = sdk.map(|messages| messages.into_iter().map(used_fields).collect::<Vec<_>>());
            if is_fast {
                // all fields are compared: the fast path returns only the used ones
                assert_eq!(ours, sdk, "{status} {response}");
            } else {
                let ours = ours.map(|messages| messages.into_iter().map(used_fields).collect());
                assert_eq!(ours, sdk, "{status} {response}");
            }
        }
    }
}
