//! Third-party SQS, SNS and CloudWatch Logs server (`rustack`) on a free port.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use aws_config::BehaviorVersion;
use aws_sdk_sqs::config::{Credentials, Region};
use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};

use crate::command::tool;

pub(crate) struct Emulator {
    server: Child,
    pub(crate) url: String,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) sns: aws_sdk_sns::Client,
    pub(crate) logs: aws_sdk_cloudwatchlogs::Client,
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

/// Environment variables of the command for requests to an emulator.
pub(crate) const CREDENTIALS: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

/// Returns SDK settings for a server at `url`.
pub(crate) async fn config(url: &str) -> aws_config::SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(url)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .load()
        .await
}

impl Emulator {
    pub(crate) async fn start() -> Self {
        // the server has no option for a random port: take a free one
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{port}");
        let server = Command::new(tool("bin/rustack"))
            .env("GATEWAY_LISTEN", &listen)
            .env("LOG_LEVEL", "error")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for attempt in 0..200 {
            if std::net::TcpStream::connect(&listen).is_ok() {
                break;
            }
            assert!(attempt < 199, "the emulator does not listen on {listen}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let url = format!("http://{listen}");
        let config = config(&url).await;
        Self {
            server,
            url,
            sqs: aws_sdk_sqs::Client::new(&config),
            sns: aws_sdk_sns::Client::new(&config),
            logs: aws_sdk_cloudwatchlogs::Client::new(&config),
        }
    }

    pub(crate) async fn create_queue(&self, name: &str) -> String {
        self.create_queue_with(name, &[]).await
    }

    /// Creates a queue with attributes; returns its URL.
    pub(crate) async fn create_queue_with(
        &self,
        name: &str,
        attributes: &[(QueueAttributeName, &str)],
    ) -> String {
        let attributes = attributes.iter().map(|(key, value)| (key.clone(), (*value).to_owned()));
        let request = self.sqs.create_queue().queue_name(name);
        let request = request.set_attributes(Some(attributes.collect()));
        request.send().await.unwrap().queue_url.unwrap()
    }

    /// Sends message bodies to a queue in batches of 10, with 16 concurrent calls.
    pub(crate) async fn send_all(&self, queue: &str, bodies: &[String]) {
        let mut sending = tokio::task::JoinSet::new();
        for chunk in bodies.chunks(10) {
            let entries = chunk.iter().enumerate().map(|(at, body)| {
                SendMessageBatchRequestEntry::builder()
                    .id(at.to_string())
                    .message_body(body)
                    .build()
                    .unwrap()
            });
            let call =
                self.sqs.send_message_batch().queue_url(queue).set_entries(Some(entries.collect()));
            sending.spawn(async move {
                let response = call.send().await.unwrap();
                assert!(response.failed.is_empty(), "{response:?}");
            });
            if sending.len() >= 16 {
                sending.join_next().await.unwrap().unwrap();
            }
        }
        while let Some(sent) = sending.join_next().await {
            sent.unwrap();
        }
    }

    /// Returns the numbers of visible messages and of messages in flight.
    pub(crate) async fn message_counts(&self, queue: &str) -> (u64, u64) {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let response = self
            .sqs
            .get_queue_attributes()
            .queue_url(queue)
            .set_attribute_names(Some(names.to_vec()))
            .send()
            .await
            .unwrap();
        let attributes = response.attributes.unwrap();
        let [visible, in_flight] = names.map(|name| attributes[&name].parse().unwrap());
        (visible, in_flight)
    }
}
