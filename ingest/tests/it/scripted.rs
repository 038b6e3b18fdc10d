//! A queue behind the SDK whose answers a test writes: what real servers do rarely, on demand.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

/// One answer of a script: to which action, with which status, and what.
type Scripted = (&'static str, u16, Value);
/// Looks at each call.
pub(crate) type Watch = Box<dyn Fn(&str, &Value) + Send + Sync>;

/// The server side.
pub(crate) struct Script {
    answers: Mutex<VecDeque<Scripted>>,
    calls: Mutex<Vec<(String, Value)>>,
    /// Receipt handles whose first delete fails: named as failed, or in neither list of the answer.
    unwilling: Mutex<Vec<(&'static str, bool)>>,
    watch: Watch,
}

/// An error as SQS answers it.
pub(crate) fn error(action: &'static str, status: u16, code: &str) -> Scripted {
    (action, status, json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": "scripted"}))
}

/// An answer with messages.
pub(crate) fn messages(bodies: &[&str]) -> Scripted {
    let message = |(at, body): (usize, &&str)| json!({"MessageId": at.to_string(), "ReceiptHandle": format!("handle-{body}"), "Body": body});
    let all: Vec<Value> = bodies.iter().enumerate().map(message).collect();
    ("ReceiveMessage", 200, json!({"Messages": all}))
}

impl Script {
    /// A script; calls without an answer of their own are answered as by an empty queue that does what it is asked.
    pub(crate) fn new(answers: Vec<Scripted>, watch: Watch) -> Arc<Self> {
        Self::unwilling(answers, vec![], watch)
    }

    /// A script in which the first delete of some receipt handles fails, in whatever batch they come: said so (`true`), or
    /// not mentioned by the answer.
    pub(crate) fn unwilling(
        answers: Vec<Scripted>,
        unwilling: Vec<(&'static str, bool)>,
        watch: Watch,
    ) -> Arc<Self> {
        let (answers, unwilling) = (Mutex::new(answers.into()), Mutex::new(unwilling));
        Arc::new(Self { answers, calls: Mutex::default(), unwilling, watch })
    }

    /// Settings under which the SDK talks to the script.
    pub(crate) fn config(self: &Arc<Self>) -> SdkConfig {
        let script = Arc::clone(self);
        let client = infallible_client_fn(move |request| {
            let action =
                request.headers().get("x-amz-target").map(|target| target.to_str().unwrap());
            let action = action.unwrap().split('.').nth(1).unwrap().to_owned();
            let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
            let (status, answer) = script.answer(&action, &body);
            http::Response::builder()
                .status(status)
                .body(SdkBody::from(answer.to_string()))
                .unwrap()
        });
        let credentials = Credentials::new("test", "test", None, None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .retry_config(RetryConfig::disabled())
            .http_client(client)
            .build()
    }

    fn answer(&self, action: &str, body: &Value) -> (u16, Value) {
        // first, since what the watcher does may end the test
        self.calls.lock().unwrap().push((action.to_owned(), body.clone()));
        (self.watch)(action, body);
        let mut answers = self.answers.lock().unwrap();
        if let Some(at) = answers.iter().position(|(wanted, ..)| *wanted == action) {
            let (_, status, answer) = answers.remove(at).unwrap();
            return (status, answer);
        }
        let answer = match action {
            "GetQueueAttributes" => json!({"Attributes": {"ApproximateNumberOfMessages": "0"}}),
            "DeleteMessageBatch" => self.deleted(body),
            "ChangeMessageVisibilityBatch" => {
                let ids = body["Entries"].as_array().unwrap().iter();
                json!({"Successful": ids.map(|entry| json!({"Id": entry["Id"]})).collect::<Vec<_>>(), "Failed": []})
            }
            _ => json!({}),
        };
        (200, answer)
    }

    fn deleted(&self, body: &Value) -> Value {
        let mut unwilling = self.unwilling.lock().unwrap();
        let (mut successful, mut failed) = (vec![], vec![]);
        for entry in body["Entries"].as_array().unwrap() {
            let id = &entry["Id"];
            match unwilling.iter().position(|(handle, _)| entry["ReceiptHandle"] == *handle) {
                None => successful.push(json!({"Id": id})),
                Some(at) if unwilling.remove(at).1 => {
                    failed.push(json!({"Id": id, "SenderFault": false, "Code": "InternalError"}));
                }
                Some(_) => {}
            }
        }
        json!({"Successful": successful, "Failed": failed})
    }

    /// The receipt handles in all calls of an action, in order.
    pub(crate) fn handles(&self, action: &str) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        let entries = calls.iter().filter(|(called, _)| called == action).flat_map(|(_, body)| {
            body["Entries"].as_array().unwrap().iter().map(|entry| entry["ReceiptHandle"].clone())
        });
        entries.map(|handle| handle.as_str().unwrap().to_owned()).collect()
    }

    /// How often an action was called.
    pub(crate) fn calls(&self, action: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|(called, _)| called == action).count()
    }
}
