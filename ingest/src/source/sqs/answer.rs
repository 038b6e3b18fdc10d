//! The answers to `ReceiveMessage`, which are most of what a queue sends, in one pass over their bytes. The SDK's reader
//! goes over each byte several times, which costs more than all that is done here with a message. It still reads what
//! this one does not: errors, and answers of any other form.

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

/// Lets a client read the answers to `ReceiveMessage` in one pass. What the consumer has no use for is left out of them.
#[derive(Debug)]
pub(super) struct ReadAnswers {
    /// Where the SDK's own reader is.
    sdk: Option<FrozenLayer>,
}

impl ReadAnswers {
    pub(super) fn new() -> Self {
        Self { sdk: ReceiveMessage::new().config() }
    }
}

#[dyn_dispatch_hint]
impl Intercept for ReadAnswers {
    fn name(&self) -> &'static str {
        "ReadAnswers"
    }

    // the first moment at which a client's interceptor sees which operation it is
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
            let reader = SharedResponseDeserializer::new(Reader { sdk });
            settings.interceptor_state().store_put(reader);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Reader {
    sdk: FrozenLayer,
}

impl DeserializeResponse for Reader {
    fn deserialize_nonstreaming_with_config(
        &self,
        response: &HttpResponse,
        settings: &ConfigBag,
    ) -> Result<Output, OrchestratorError<Error>> {
        let body = response.body().bytes().filter(|_| response.status().is_success());
        if let Some(answer) = body.and_then(everyday) {
            return Ok(Output::erase(answer));
        }
        let sdk = self.sdk.load::<SharedResponseDeserializer>();
        let sdk = sdk.ok_or_else(|| OrchestratorError::other("the SDK cannot read answers"))?;
        sdk.deserialize_nonstreaming_with_config(response, settings)
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Answer {
    #[serde(deserialize_with = "present")]
    messages: Option<Vec<Received>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Received {
    #[serde(deserialize_with = "present")]
    body: Option<String>,
    #[serde(deserialize_with = "present")]
    receipt_handle: Option<String>,
    #[serde(deserialize_with = "present")]
    attributes: Option<Attributes>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Attributes {
    #[serde(deserialize_with = "present")]
    approximate_receive_count: Option<String>,
    #[serde(deserialize_with = "present")]
    sent_timestamp: Option<String>,
}

/// A value that is there. What `null` means is for the SDK to say.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    value: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// Reads what stands in an answer of 200, if it has the form that such answers have every day.
fn everyday(answer: &[u8]) -> Option<ReceiveMessageOutput> {
    let answer: Answer = inplace::document(simdutf8::basic::from_utf8(answer).ok()?).ok()?;
    let message = |received: Received| {
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
            .set_receipt_handle(received.receipt_handle)
            .set_attributes(attributes)
            .build()
    };
    let messages = answer.messages.map(|messages| messages.into_iter().map(message).collect());
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
        answer: &'static str,
        settings: Builder,
    ) -> Result<Vec<Message>, Option<String>> {
        let answer = move |_| {
            let body = SdkBody::from(answer);
            http::Response::builder().status(status).body(body).unwrap()
        };
        let settings = settings
            .behavior_version(BehaviorVersion::latest())
            .retry_config(aws_config::retry::RetryConfig::disabled())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
            .http_client(infallible_client_fn(answer));
        let call = Client::from_conf(settings.build()).receive_message();
        let answer = call.queue_url("https://queue.example/1/q").send().await;
        let answer = answer.map_err(|error| error.code().map(str::to_owned))?;
        Ok(answer.messages.unwrap_or_default())
    }

    /// What the consumer uses of a message.
    fn used(message: Message) -> Message {
        use MessageSystemAttributeName::{ApproximateReceiveCount, SentTimestamp};
        let attributes = message.attributes.map(|attributes| {
            let is_used = |name: &_| matches!(name, ApproximateReceiveCount | SentTimestamp);
            attributes.into_iter().filter(|(name, _)| is_used(name)).collect()
        });
        Message::builder()
            .set_body(message.body)
            .set_receipt_handle(message.receipt_handle)
            .set_attributes(attributes)
            .build()
    }

    #[tokio::test]
    async fn every_answer_is_read_as_the_sdk_reads_it() {
        for (status, is_known, answer) in [
            (200, true, "{}"),
            (200, true, r#"{"Messages":[]}"#),
            (200, true, r#"{"Messages":[{"Body":"a"},{"ReceiptHandle":"r","Attributes":{}}]}"#),
            (
                200,
                true,
                r#"{"Messages":[{"MessageId":"m","MD5OfBody":"x","ReceiptHandle":"r+/=","Body":"{\"a\":\"\\\"b\\\\\\n\\u00e9\"}", "Attributes":{"SentTimestamp":"1700000000123","ApproximateReceiveCount":"2","SenderId":"AIDA"},"MessageAttributes":{"k":{"DataType":"Binary","BinaryValue":"AAE="}}}],"Further":{"a":[1,null,true]}}"#,
            ),
            (200, true, r#" { "Messages" : [ { "Body" : "\u00fc ü 😀\/\b\f\n\r\t\u0001" } ] } "#),
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
                status == 200 && everyday(answer.as_bytes()).is_some(),
                is_known,
                "{answer}"
            );
            let ours = read(status, answer, Builder::new().interceptor(ReadAnswers::new())).await;
            let sdk = read(status, answer, Builder::new()).await;
            let sdk = sdk.map(|messages| messages.into_iter().map(used).collect::<Vec<_>>());
            if is_known {
                // also what is left out: it was not the SDK that read it
                assert_eq!(ours, sdk, "{status} {answer}");
            } else {
                let ours = ours.map(|messages| messages.into_iter().map(used).collect());
                assert_eq!(ours, sdk, "{status} {answer}");
            }
        }
    }
}
