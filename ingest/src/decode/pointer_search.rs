//! Finds the S3 objects that a message points to.

use std::panic::catch_unwind;

use bouncewatch_schemas::event::EventRow;
use memchr::memmem;

use crate::decode::context::{DecodeContext, Sink};
use crate::decode::envelope::decode_document;
use crate::decode::outcome::IgnoreReason;
use crate::decode::pointers::S3Pointer;

/// Maximum number of objects that one message can point to. A message with more is quarantined: S3
/// itself sends one message per object.
const POINTERS_MAX: usize = 1_000;

/// The distinct S3 objects that a message points to, in any envelope, sorted; `None` if there are
/// none or too many.
pub fn find_pointers(message: &[u8]) -> Option<Vec<S3Pointer>> {
    // most messages are events; this check avoids decoding them twice. .NET writes the key as
    // `Bucket`
    if memmem::find(message, b"s3").is_none() || memmem::find(message, b"ucket").is_none() {
        return None;
    }
    let search = || {
        let mut sink = PointerSink::default();
        // errors are reported when the worker decodes the message
        _ = decode_document(message, DecodeContext::new("", 0), &mut sink);
        sink.0
    };
    // the worker reports a panic too
    let mut pointers = catch_unwind(search).unwrap_or_default();
    let is_plausible = pointers.len() <= POINTERS_MAX;
    pointers.sort();
    pointers.dedup();
    (!pointers.is_empty() && is_plausible).then_some(pointers)
}

/// Collects pointers and drops everything else.
#[derive(Default)]
struct PointerSink(Vec<S3Pointer>);

impl Sink for PointerSink {
    fn event(&mut self) {}
    fn row(&mut self, _: &EventRow<'_>) {}
    fn ignored(&mut self, _: IgnoreReason) {}
    fn object(&mut self, pointer: S3Pointer) {
        if self.0.len() <= POINTERS_MAX {
            self.0.push(pointer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, key: &str) -> String {
        format!(
            r#"{{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"eu-west-1","eventName":"{name}","s3":{{"bucket":{{"name":"archive"}},"object":{{"key":"{key}","size":10}}}}}}"#
        )
    }

    fn records(records: &[String]) -> String {
        format!(r#"{{"Records":[{}]}}"#, records.join(","))
    }

    fn sns(message: &str) -> String {
        let message = serde_json::Value::from(message);
        format!(
            r#"{{"Type":"Notification","TopicArn":"arn:aws:sns:eu-west-1:1:t","Message":{message}}}"#
        )
    }

    fn keys(message: &str) -> Vec<String> {
        let found = find_pointers(message.as_bytes()).unwrap_or_default();
        found.into_iter().map(|pointer| pointer.key).collect()
    }

    #[test]
    fn pointer_is_found_in_every_envelope() {
        let raw = records(&[record("ObjectCreated:Put", "ses/2026/a+b%2Bc%C3%BC.gz")]);
        let pointer = S3Pointer {
            bucket: "archive".to_owned(),
            key: "ses/2026/a b+cü.gz".to_owned(),
            version: None,
            region: Some("eu-west-1".to_owned()),
        };
        let bridge = r#"{"detail-type":"Object Created","source":"aws.s3","region":"eu-west-1","detail":{"bucket":{"name":"archive"},"object":{"key":"ses/2026/a b+cü.gz","size":1}}}"#;
        for message in [raw.clone(), sns(&raw), bridge.to_owned(), sns(bridge), sns(&sns(&raw))] {
            let found = find_pointers(message.as_bytes());
            assert_eq!(found, Some(vec![pointer.clone()]), "{message}");
        }
        let pascal = raw.replace("\"bucket\"", "\"Bucket\"").replace("\"s3\"", "\"S3\"");
        assert_eq!(find_pointers(pascal.as_bytes()), Some(vec![pointer]));
        let versioned = raw.replace("\"size\"", "\"versionId\":\"v1\",\"size\"");
        assert_eq!(find_pointers(versioned.as_bytes()).unwrap()[0].version.as_deref(), Some("v1"));
    }

    #[test]
    fn pointers_of_several_records_are_sorted_and_distinct() {
        let put = |key: &str| record("ObjectCreated:Put", key);
        let copy = record("s3:ObjectCreated:Copy", "c");
        assert_eq!(keys(&records(&[put("b"), put("a"), put("b"), copy])), ["a", "b", "c"]);
        let event = r#"{"body":"{\"eventType\":\"Send\",\"mail\":{}}"}"#.to_owned();
        assert_eq!(keys(&records(&[event, put("a")])), ["a"]);
    }

    #[test]
    fn messages_without_a_created_object_have_no_pointers() {
        let created = |key: &str| records(&[record("ObjectCreated:Put", key)]);
        for message in [
            records(&[record("ObjectRemoved:Delete", "a")]),
            records(&[record("ObjectRestore:Post", "a")]),
            created("a%ZZ"),
            created("a%F"),
            created("%FF"),
            created(""),
            created("folder/").replace(":10", ":0"),
            created("a").replace("archive", ""),
            r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"bucket"}"#.to_owned(),
            r#"{"eventType":"Send","mail":{"messageId":"s3 bucket"}}"#.to_owned(),
            "s3 bucket".to_owned(),
        ] {
            assert_eq!(find_pointers(message.as_bytes()), None, "{message}");
        }
    }
}
