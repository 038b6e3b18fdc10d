//! Property tests of the decoder, over generated SES traffic and damaged events.

use std::collections::BTreeSet;
use std::io::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bouncewatch_fixtures::random::SplitMix64;
use bouncewatch_fixtures::traffic::{Envelope, Options, Scenario, Traffic};
use bouncewatch_schemas::address;
use bouncewatch_schemas::event::{Channel, EventRow};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::decode::context::{DecodeContext, Sink};
use crate::decode::outcome::{IgnoreReason, QuarantineReason, Rejection};
use crate::decode::{decode_document, decode_documents};

/// Arrival and publication: after all events.
const RECEIVED_AT: i64 = 1_800_000_000_000;
const PUBLISHED_AT: &str = "2027-01-15T08:00:00Z";

/// A row without the fields that an envelope determines, and these fields.
#[derive(Debug, Clone, PartialEq)]
struct OwnedRow {
    message_id: String,
    recipient: Option<String>,
    account: Option<String>,
    region: Option<String>,
    event_at: i64,
    /// All other fields.
    event_fields: String,
}

#[derive(Debug, Default)]
struct Recorder {
    events: usize,
    rows: Vec<OwnedRow>,
    ignored: Vec<IgnoreReason>,
}

impl Sink for Recorder {
    fn event(&mut self) {
        self.events += 1;
    }

    fn row(&mut self, row: &EventRow<'_>) {
        let event_fields = EventRow {
            channel: Channel::EventPublishing,
            published_at: None,
            account: None,
            region: None,
            ..row.clone()
        };
        self.rows.push(OwnedRow {
            message_id: row.message_id.to_owned(),
            recipient: row.recipient.map(str::to_owned),
            account: row.account.map(str::to_owned),
            region: row.region.map(str::to_owned),
            event_at: row.event_at,
            event_fields: format!("{event_fields:?}"),
        });
    }

    fn ignored(&mut self, reason: IgnoreReason) {
        self.ignored.push(reason);
    }
}

fn decode(body: &str) -> (Recorder, Result<(), Rejection>) {
    let mut recorder = Recorder::default();
    let result =
        decode_document(body.as_bytes(), DecodeContext::new("test", RECEIVED_AT), &mut recorder);
    (recorder, result)
}

/// Ten SES events without an envelope.
fn events() -> impl Strategy<Value = Vec<String>> {
    let scenarios = vec![
        Scenario::Mixed,
        Scenario::Storm,
        Scenario::BouncesOnly,
        Scenario::DeliveriesOnly,
        Scenario::FullMailboxes,
    ];
    (0..10_000u64, prop::sample::select(scenarios)).prop_map(|(seed, scenario)| {
        let options =
            Options { events: 10, seed, scenario, envelope: Envelope::Raw, ..Options::default() };
        Traffic::new(&options).unwrap().collect()
    })
}

/// An envelope, or another way to write a document.
#[derive(Debug, Clone, Copy)]
enum Wrapper {
    SnsString,
    SnsObject,
    EventBridge,
    LambdaSqs,
    LambdaSns,
    LogEvents,
    LogsGzip,
    Kinesis,
    QueryResult,
    JsonString,
    Array,
    TimePrefix,
    Whitespace,
}

const WRAPPERS: [Wrapper; 13] = [
    Wrapper::SnsString,
    Wrapper::SnsObject,
    Wrapper::EventBridge,
    Wrapper::LambdaSqs,
    Wrapper::LambdaSns,
    Wrapper::LogEvents,
    Wrapper::LogsGzip,
    Wrapper::Kinesis,
    Wrapper::QueryResult,
    Wrapper::JsonString,
    Wrapper::Array,
    Wrapper::TimePrefix,
    Wrapper::Whitespace,
];

fn log_events(message: &str) -> Value {
    json!({"messageType": "DATA_MESSAGE", "owner": "111111111111", "logGroup": "g",
        "logEvents": [{"id": "1", "timestamp": RECEIVED_AT, "message": message}]})
}

fn sns(message: &Value) -> Value {
    json!({"Type": "Notification", "MessageId": "n", "Timestamp": PUBLISHED_AT, "Message": message,
        "TopicArn": "arn:aws:sns:eu-west-1:111111111111:ses"})
}

impl Wrapper {
    fn wrap(self, body: &str) -> String {
        // a body that is not JSON (a line that starts with its time) stays a string
        let value = serde_json::from_str(body).unwrap_or_else(|_| Value::from(body));
        match self {
            Self::SnsString => sns(&body.into()).to_string(),
            Self::SnsObject => sns(&value).to_string(),
            Self::EventBridge => json!({"version": "0", "detail-type": "Email Bounced",
                "source": "aws.ses", "account": "111111111111", "time": PUBLISHED_AT,
                "region": "eu-west-1", "detail": value})
            .to_string(),
            Self::LambdaSqs => json!({"Records": [{"messageId": "m", "body": body,
                "eventSource": "aws:sqs"}]})
            .to_string(),
            Self::LambdaSns => json!({"Records": [{"EventSource": "aws:sns",
                "Sns": sns(&body.into())}]})
            .to_string(),
            Self::LogEvents => log_events(body).to_string(),
            Self::LogsGzip => {
                let mut gzip =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                gzip.write_all(log_events(body).to_string().as_bytes()).unwrap();
                json!({"awslogs": {"data": STANDARD.encode(gzip.finish().unwrap())}}).to_string()
            }
            Self::Kinesis => {
                json!({"Records": [{"kinesis": {"data": STANDARD.encode(body)}}]}).to_string()
            }
            Self::QueryResult => json!({"results": [[{"field": "@timestamp",
                "value": "2027-01-15 08:00:00.000"}, {"field": "@message", "value": body}]]})
            .to_string(),
            Self::JsonString => Value::from(body).to_string(),
            Self::Array => format!("[{body}]"),
            Self::TimePrefix => format!("{PUBLISHED_AT} {body}"),
            Self::Whitespace => format!("\u{feff} \r\n{body}\n "),
        }
    }

    /// Whether the result of the wrapper can be wrapped again.
    fn is_innermost(self) -> bool {
        matches!(self, Self::JsonString | Self::Array | Self::TimePrefix | Self::Whitespace)
    }
}

/// At most three envelopes around one of the other forms.
fn wrappers() -> impl Strategy<Value = Vec<Wrapper>> {
    prop::collection::vec(prop::sample::select(WRAPPERS.to_vec()), 1..4).prop_map(|mut wrappers| {
        let mut is_first = true;
        wrappers.retain(|wrapper| std::mem::take(&mut is_first) || !wrapper.is_innermost());
        wrappers
    })
}

/// All strings of a JSON value.
fn strings(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            into.insert(text.clone());
        }
        Value::Array(values) => values.iter().for_each(|value| strings(value, into)),
        Value::Object(fields) => fields.values().for_each(|value| strings(value, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Removes, renames or replaces one random value.
fn damage(value: &mut Value, rng: &mut SplitMix64) {
    let replacements = [
        Value::Null,
        json!(7),
        json!(1.5),
        json!(true),
        json!(""),
        json!("x"),
        json!([]),
        json!({}),
    ];
    let is_here = rng.chance(250_000);
    match value {
        Value::Object(fields) if !fields.is_empty() && !is_here => {
            let key = fields.keys().nth(rng.index(fields.len())).unwrap().clone();
            match rng.below(8) {
                0 => _ = fields.remove(&key),
                1 => {
                    let field = fields.remove(&key).unwrap();
                    fields.insert(format!("{key}2"), field);
                }
                _ => damage(fields.get_mut(&key).unwrap(), rng),
            }
        }
        Value::Array(values) if !values.is_empty() && !is_here => {
            let at = rng.index(values.len());
            match rng.below(4) {
                0 => _ = values.remove(at),
                1 => values.push(values[at].clone()),
                _ => damage(&mut values[at], rng),
            }
        }
        _ => *value = rng.pick(&replacements).clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn envelopes_change_only_envelope_fields(events in events(), wrappers in wrappers()) {
        for event in &events {
            let wrapped = wrappers.iter().fold(event.clone(), |body, wrapper| wrapper.wrap(&body));
            let (raw, result) = decode(event);
            prop_assert_eq!(&result, &Ok(()));
            prop_assert!(!raw.rows.is_empty());
            let (unwrapped, result) = decode(&wrapped);
            prop_assert_eq!(&result, &Ok(()), "{}", wrapped);
            prop_assert_eq!(unwrapped.events, raw.events);
            prop_assert_eq!(unwrapped.rows.len(), raw.rows.len());
            for (mut row, expected) in unwrapped.rows.into_iter().zip(raw.rows) {
                // an envelope adds a missing account or region, and never replaces one
                row.account = row.account.filter(|_| expected.account.is_some());
                row.region = row.region.filter(|_| expected.region.is_some());
                prop_assert_eq!(row, expected, "{:?}", wrappers);
            }
        }
    }

    #[test]
    fn rows_of_several_documents_are_those_of_each(
        events in events(),
        separator in prop::sample::select(vec!["\n", "", " ", ",\n", "\r\n\r\n"]),
    ) {
        let mut expected = Vec::new();
        for event in &events {
            expected.extend(decode(event).0.rows);
        }
        let mut recorder = Recorder::default();
        let context = DecodeContext::new("test", RECEIVED_AT);
        let result = decode_documents(events.join(separator).as_bytes(), context, &mut recorder);
        prop_assert_eq!(result, Ok(()));
        prop_assert_eq!(recorder.events, events.len());
        prop_assert_eq!(recorder.rows, expected);
    }

    #[test]
    fn rows_of_damaged_events_contain_only_values_of_the_input(
        events in events(),
        seed in any::<u64>(),
        damages in 1..6usize,
    ) {
        let mut rng = SplitMix64::new(seed);
        for event in &events {
            let mut value: Value = serde_json::from_str(event).unwrap();
            for _ in 0..damages {
                damage(&mut value, &mut rng);
            }
            let body = value.to_string();
            let (recorder, result) = decode(&body);
            // each document is stored, ignored or rejected; an event with an unusable recipient is stored and rejected
            let is_stored = recorder.events == 1 && !recorder.rows.is_empty();
            prop_assert_eq!(recorder.events, usize::from(!recorder.rows.is_empty()), "{}", body);
            let is_partial = result.as_ref().is_err_and(|rejection| {
                rejection.reason == QuarantineReason::NoRecipient
            });
            prop_assert!(
                usize::from(is_stored && !is_partial) + recorder.ignored.len() + usize::from(result.is_err()) == 1,
                "{}: {:?} {:?}", body, recorder, result
            );
            let mut texts = BTreeSet::new();
            strings(&value, &mut texts);
            // a scalar may have become a message id
            let message_id = &value["mail"]["messageId"];
            let message_id = message_id.as_str().map_or_else(|| message_id.to_string(), str::to_owned);
            let addresses: BTreeSet<_> =
                texts.iter().filter_map(|text| address::normalise(text.into())).collect();
            let mut recipients = BTreeSet::new();
            for row in &recorder.rows {
                prop_assert_eq!(row.message_id.trim(), message_id.trim(), "{}", body);
                prop_assert!(recipients.insert(row.recipient.clone()), "repeated recipient: {}", body);
                if let Some(recipient) = &row.recipient
                    && recipient.contains('@')
                {
                    prop_assert!(addresses.contains(recipient.as_str()), "{}: {}", recipient, body);
                }
                prop_assert!(row.event_at <= RECEIVED_AT + 3_600_000, "{}", body);
            }
        }
    }

    #[test]
    fn text_without_an_event_has_no_rows(text in "\\PC{0,60}") {
        let (recorder, result) = decode(&text);
        prop_assert!(recorder.rows.is_empty() && recorder.events == 0);
        prop_assert_eq!(recorder.ignored.len() + usize::from(result.is_err()), 1);
    }

    #[test]
    fn objects_with_keys_of_envelopes_are_ignored_or_rejected(keys in prop::collection::vec(
        (prop::sample::select(vec!["mail", "bounce", "eventType", "Message", "Type", "detail", "detail-type",
            "Records", "logEvents", "event", "body", "awslogs"]),
         prop::sample::select(vec!["null", "1", "\"\"", "\"x\"", "{}", "[]", "[{}]", "\"{}\"", "true",
            "{\"messageId\":\"m\",\"timestamp\":1675264375826}", "\"Bounce\"", "1.5", "[[null]]"])), 0..5)
    ) {
        let fields: Vec<String> = keys.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        let (recorder, result) = decode(&format!("{{{}}}", fields.join(",")));
        prop_assert!(recorder.rows.is_empty() && recorder.events == 0);
        prop_assert!(!recorder.ignored.is_empty() || result.is_err());
    }
}
