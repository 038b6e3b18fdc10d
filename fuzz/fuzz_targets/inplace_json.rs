//! The in-place reader against `serde_json`: what it reads is equal, and what it does not read falls back.
#![no_main]

use bouncewatch_schemas::wire::envelope::Envelope;
use bouncewatch_schemas::wire::inplace;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|text: &str| {
    if let Ok(read) = inplace::from_str::<Value>(text) {
        let expected: Value =
            serde_json::from_str(text).expect("the in-place reader accepts only JSON");
        assert_eq!(read, expected);
    }
    if let Ok(read) = inplace::from_str::<Envelope<'_>>(text) {
        let expected: Envelope<'_> =
            serde_json::from_str(text).expect("the in-place reader accepts only JSON");
        assert_eq!(format!("{read:?}"), format!("{expected:?}"));
    }
    if let Ok(read) = inplace::notification_from_str(text) {
        let expected: Envelope<'_> =
            serde_json::from_str(text).expect("the in-place reader accepts only JSON");
        assert_eq!(read.topic_arn, expected.topic_arn);
        assert_eq!(read.timestamp, expected.timestamp);
        let message = expected.message.0.expect("a notification has a message");
        let message: String = serde_json::from_str(message).expect("the message is a string");
        let inner: Envelope<'_> = serde_json::from_str(&message).expect("the message is an object");
        assert_eq!(format!("{:?}", read.message), format!("{inner:?}"));
    }
});
