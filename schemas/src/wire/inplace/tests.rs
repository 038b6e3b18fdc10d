//! The in-place reader against `serde_json`.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::wire::inplace::deserialize::DocumentInString;
use crate::wire::inplace::{Fallback, from_str, notification_from_str};

fn wrapped(inner: &str) -> String {
    json!({"Type": "Notification", "TopicArn": "arn:aws:sns:r:1:t", "Message": inner, "Signature": "x/+="})
        .to_string()
}

/// Reads all values of the document in a string.
fn document_in_string(text: &str) -> Result<Value, Fallback> {
    #[derive(Debug)]
    struct AnyDocument(Value);
    impl<'de> Deserialize<'de> for AnyDocument {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            DocumentInString::<Value>::deserialize(deserializer).map(|inner| Self(inner.0))
        }
    }
    from_str::<AnyDocument>(text).map(|document| document.0)
}

#[test]
fn sns_notification_borrows_fields_from_the_wrapped_text() {
    let inner = "{\"eventType\": \"Bounce\", \"mail\":{\"messageId\":\"m\",\"source\":\"a \\\"b\\\" <c@d>\"},\n\"x\":[1,{\"y\":null}]}\n";
    let text = wrapped(inner);
    let found = notification_from_str(&text).unwrap();
    assert_eq!(found.message.event_type.get(), Some("Bounce"));
    let mail = found.message.mail.0.unwrap();
    assert!(matches!(mail.message_id.0, Some(Cow::Borrowed("m"))));
    assert_eq!(mail.source.get(), Some("a \"b\" <c@d>"));
}

#[test]
fn invalid_or_uncovered_documents_return_fallback() {
    for text in [
        "",
        "{}",
        "{\"Type\":\"Notification\"}",
        "{\"Type\":\"Notification\",\"Message\":\"plain text\"}",
        "{\"Type\":\"Notification\",\"Message\":{}}",
        "{\"Type\":\"Notification\",\"Message\":\"[{}]\"}",
        "{\"Type\":\"Notification\",\"Message\":\"\\\"{}\\\"\"}",
        "{\"Type\":\"Notification\",\"Message\":\"{}\"}x",
        "{\"Type\":\"Notification\",\"Message\":\"{}\",}",
        "{\"Type\":\"Notification\",\"Message\":\"{\\\"a\\\":\\\"cut",
        "{\"Type\":\"Notification\",\"Message\":\"{\\\"a\\\":1\"}",
        "{\"Type\":\"Notification\",\"Message\":\"{}\",\"mail\":{}}",
        "{\"Type\":\"SubscriptionConfirmation\",\"Message\":\"{}\"}",
        "{\"Type\":\"Notification\",\"Message\":\"{}\",\"Message\":\"{}\"}",
        "{\"Type\":\"Notification\",\"Message\":\"{\\\"a\\\":\\\"\\\\ud83d\\\\ude00\\\"}\"}",
        "{\"Type\":\"Notification\",\n\"Message\":\"{}\"}",
    ] {
        assert!(notification_from_str(text).is_err(), "{text}");
    }
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    assert_eq!(from_str::<Value>(&deep), Err(Fallback));
}

/// JSON of a small alphabet, so that unusual combinations are frequent.
fn values() -> impl proptest::strategy::Strategy<Value = Value> {
    use proptest::prelude::*;
    let text = "[ab\"\\\\/\n\t\u{1}é€{}:,]{0,24}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u32>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(text, inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest::proptest! {
    #[test]
    fn inplace_reader_equals_serde_json(value in values(), pretty in proptest::bool::ANY) {
        let inner = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let outer = serde_json::to_string(&inner).unwrap();
        proptest::prop_assert_eq!(document_in_string(&outer), Ok(value.clone()));
        if !pretty {
            proptest::prop_assert_eq!(from_str::<Value>(&inner), Ok(value));
        }
        // strings that wrap the document once and twice, shorter and longer than the buffer
        for packed in [inner.clone(), outer.clone(), outer.repeat(200)] {
            let text = serde_json::to_string(&packed).unwrap();
            proptest::prop_assert_eq!(from_str::<String>(&text), Ok(packed));
        }
    }

    #[test]
    fn damaged_document_is_rejected_or_read_as_serde_json_reads_it(value in values(), at in 0usize..200, byte in proptest::sample::select(b"\"\\{}[],:1n".to_vec())) {
        let inner = serde_json::to_string(&value).unwrap();
        let mut damaged = serde_json::to_string(&inner).unwrap().into_bytes();
        let at = at % damaged.len();
        damaged[at] = byte;
        let Ok(text) = std::str::from_utf8(&damaged) else { return Ok(()) };
        let unescaped = serde_json::from_str::<String>(text);
        if let Ok(read) = from_str::<String>(text) {
            proptest::prop_assert_eq!(Ok(&read), unescaped.as_ref().map_err(|_| Fallback));
        }
        if let Ok(read) = document_in_string(text) {
            proptest::prop_assert_eq!(serde_json::from_str::<Value>(&unescaped.unwrap()).unwrap(), read);
        }
    }
}
