//! A scripted SQS server behind the SDK, for responses that real servers send rarely.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_config::SdkConfig;
use serde_json::{Value, json};

use crate::scripted_aws;

/// One scripted response: action, status and body.
type ScriptedResponse = (&'static str, u16, Value);
/// Called with action and body of each call.
pub(crate) type CallObserver = Box<dyn Fn(&str, &Value) + Send + Sync>;

/// A scripted server.
pub(crate) struct Script {
    responses: Mutex<VecDeque<ScriptedResponse>>,
    calls: Mutex<Vec<(String, Value)>>,
    /// Receipt handles of which the first delete fails: listed as failed (`true`), or in neither list of the response.
    failing_deletes: Mutex<Vec<(&'static str, bool)>>,
    observer: CallObserver,
}

/// An error response of SQS.
pub(crate) fn error(action: &'static str, status: u16, code: &str) -> ScriptedResponse {
    (action, status, json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": "scripted"}))
}

/// A response with messages.
pub(crate) fn messages(bodies: &[&str]) -> ScriptedResponse {
    let message = |(at, body): (usize, &&str)| json!({"MessageId": at.to_string(), "ReceiptHandle": format!("handle-{body}"), "Body": body});
    let all: Vec<Value> = bodies.iter().enumerate().map(message).collect();
    ("ReceiveMessage", 200, json!({"Messages": all}))
}

impl Script {
    /// A script; calls without a scripted response succeed, and the queue is empty.
    pub(crate) fn new(responses: Vec<ScriptedResponse>, observer: CallObserver) -> Arc<Self> {
        Self::with_failing_deletes(responses, vec![], observer)
    }

    /// A script in which the first delete of some receipt handles fails: listed as failed (`true`), or in neither list
    /// of the response.
    pub(crate) fn with_failing_deletes(
        responses: Vec<ScriptedResponse>,
        failing_deletes: Vec<(&'static str, bool)>,
        observer: CallObserver,
    ) -> Arc<Self> {
        Arc::new(Self {
            responses: Mutex::new(responses.into()),
            calls: Mutex::default(),
            failing_deletes: Mutex::new(failing_deletes),
            observer,
        })
    }

    /// SDK settings that send all calls to the script.
    pub(crate) fn config(self: &Arc<Self>) -> SdkConfig {
        let script = Arc::clone(self);
        scripted_aws::config(move |action, body| script.respond(action, body))
    }

    fn respond(&self, action: &str, body: &Value) -> (u16, Value) {
        // before the observer, which may end the test
        self.calls.lock().unwrap().push((action.to_owned(), body.clone()));
        (self.observer)(action, body);
        let mut responses = self.responses.lock().unwrap();
        if let Some(at) = responses.iter().position(|(scripted, ..)| *scripted == action) {
            let (_, status, response) = responses.remove(at).unwrap();
            return (status, response);
        }
        let response = match action {
            "GetQueueAttributes" => json!({"Attributes": {"ApproximateNumberOfMessages": "0"}}),
            "DeleteMessageBatch" => self.delete(body),
            "ChangeMessageVisibilityBatch" => {
                let ids = body["Entries"].as_array().unwrap().iter();
                json!({"Successful": ids.map(|entry| json!({"Id": entry["Id"]})).collect::<Vec<_>>(), "Failed": []})
            }
            _ => json!({}),
        };
        (200, response)
    }

    fn delete(&self, body: &Value) -> Value {
        let mut failing = self.failing_deletes.lock().unwrap();
        let (mut successful, mut failed) = (vec![], vec![]);
        for entry in body["Entries"].as_array().unwrap() {
            let id = &entry["Id"];
            match failing.iter().position(|(handle, _)| entry["ReceiptHandle"] == *handle) {
                None => successful.push(json!({"Id": id})),
                Some(at) if failing.remove(at).1 => {
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

    /// Number of calls of an action.
    pub(crate) fn calls(&self, action: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|(called, _)| called == action).count()
    }
}
