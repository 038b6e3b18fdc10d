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
use crate::decode::documents::split;
use crate::decode::outcome::{IgnoreReason, QuarantineReason, Rejection};
use crate::decode::{decode_document, decode_documents};

/// Arrival and publication: after all events.
const RECEIVED_AT: i64 = 1_800_000_000_000;
const PUBLISHED_AT: &str = "2027-01-15T08:00:00Z";

/// A row, with the fields that an envelope can change separate from all others.
#[derive(Debug, Clone, PartialEq)]
struct OwnedRow {
    message_id: String,
    recipient: Option<String>,
    account: Option<String>,
    region: Option<String>,
    event_at: i64,
    /// All fields except those that an envelope can change.
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
    SnsWithoutType,
    Firehose,
    FirehoseGzip,
    LambdaDestination,
    LambdaResult,
    PipesLog,
    DockerLog,
    LoggerLine,
    CsvRow,
    OpenSearch,
    DynamoItem,
    DynamoText,
    Base64,
}

const WRAPPERS: [Wrapper; 26] = [
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
    Wrapper::SnsWithoutType,
    Wrapper::Firehose,
    Wrapper::FirehoseGzip,
    Wrapper::LambdaDestination,
    Wrapper::LambdaResult,
    Wrapper::PipesLog,
    Wrapper::DockerLog,
    Wrapper::LoggerLine,
    Wrapper::CsvRow,
    Wrapper::OpenSearch,
    Wrapper::DynamoItem,
    Wrapper::DynamoText,
    Wrapper::Base64,
];

fn log_events(message: &str) -> Value {
    json!({"messageType": "DATA_MESSAGE", "owner": "111111111111", "logGroup": "g",
        "logEvents": [{"id": "1", "timestamp": RECEIVED_AT, "message": message}]})
}

fn sns(message: &Value) -> Value {
    json!({"Type": "Notification", "MessageId": "n", "Timestamp": PUBLISHED_AT, "Message": message,
        "TopicArn": "arn:aws:sns:eu-west-1:111111111111:ses"})
}

fn gzip(text: &str) -> String {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    STANDARD.encode(gzip.finish().unwrap())
}

fn lambda_destination(payload: &Value) -> Value {
    json!({"version": "1.0", "timestamp": PUBLISHED_AT, "requestContext": {"requestId": "r"},
        "requestPayload": payload, "responsePayload": {"errorMessage": "x"}})
}

/// A value in `DynamoDB` JSON.
fn typed(value: &Value) -> Value {
    match value {
        Value::Null => json!({"NULL": true}),
        Value::Bool(value) => json!({"BOOL": value}),
        Value::Number(value) => json!({"N": value.to_string()}),
        Value::String(value) => json!({"S": value}),
        Value::Array(values) => json!({"L": values.iter().map(typed).collect::<Vec<_>>()}),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), typed(value)));
            json!({"M": fields.collect::<serde_json::Map<_, _>>()})
        }
    }
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
                json!({"awslogs": {"data": gzip(&log_events(body).to_string())}}).to_string()
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
            Self::SnsWithoutType => json!({"Message": body}).to_string(),
            Self::Firehose => json!({"attemptsMade": 1, "arrivalTimestamp": RECEIVED_AT,
                "rawData": STANDARD.encode(body)})
            .to_string(),
            Self::FirehoseGzip => json!({"rawData": gzip(body)}).to_string(),
            Self::LambdaDestination => lambda_destination(&value).to_string(),
            Self::LambdaResult => {
                json!({"detail-type": "Lambda Function Invocation Result - Failure",
                "source": "lambda", "detail": lambda_destination(&value)})
                .to_string()
            }
            Self::PipesLog => json!({"messageType": "ExecutionFailed", "timestamp": RECEIVED_AT,
                "payload": json!([{"messageId": "m", "body": body}]).to_string()})
            .to_string(),
            Self::DockerLog => {
                json!({"log": format!("{body}\n"), "stream": "stdout", "time": PUBLISHED_AT})
                    .to_string()
            }
            Self::LoggerLine => format!("{PUBLISHED_AT}\tr\tINFO\t{body}"),
            Self::CsvRow => format!("2027-01-15 08:00:00.000,\"{}\"", body.replace('"', "\"\"")),
            Self::OpenSearch => json!({"hits": {"hits": [{"_source": value}]}}).to_string(),
            Self::DynamoItem => json!({"Item": typed(&value)["M"]}).to_string(),
            Self::DynamoText => {
                json!({"Item": {"pk": {"S": "x"}, "body": {"S": body}}}).to_string()
            }
            Self::Base64 => STANDARD.encode(body),
        }
    }

    /// Whether the wrapper is used only around the event itself.
    fn is_innermost(self) -> bool {
        use Wrapper::{
            Array, Base64, CsvRow, DynamoItem, JsonString, LoggerLine, TimePrefix, Whitespace,
        };
        matches!(
            self,
            JsonString
                | Array
                | TimePrefix
                | Whitespace
                | LoggerLine
                | CsvRow
                | Base64
                | DynamoItem
        )
    }
}

/// A random wrapper, and up to two envelopes around it.
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

/// A spelling of keys.
#[derive(Debug, Clone, Copy)]
enum Spelling {
    Lower,
    Upper,
    Pascal,
    Snake,
    Random(u64),
}

impl Spelling {
    fn apply(self, key: &str) -> String {
        match self {
            Self::Lower => key.to_lowercase(),
            Self::Upper => key.to_uppercase(),
            Self::Pascal => {
                let (first, rest) = key.split_at(key.chars().next().map_or(0, char::len_utf8));
                first.to_uppercase() + rest
            }
            Self::Snake => {
                let mut snake = String::new();
                let mut follows_lower_case = false;
                for c in key.chars() {
                    if c.is_uppercase() && follows_lower_case {
                        snake.push('_');
                    }
                    follows_lower_case = c.is_lowercase();
                    snake.extend(c.to_lowercase());
                }
                snake
            }
            Self::Random(seed) => {
                let mut rng = SplitMix64::new(seed ^ key.len() as u64);
                let flip = |c: char| {
                    if rng.chance(500_000) {
                        c.to_ascii_uppercase()
                    } else {
                        c.to_ascii_lowercase()
                    }
                };
                key.chars().map(flip).collect()
            }
        }
    }

    /// Changes all keys of a document and of the documents in its strings. Names of tags are data.
    fn respell(self, value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let fields = fields.iter().map(|(key, value)| {
                    let value = if key == "tags" { value.clone() } else { self.respell(value) };
                    (self.apply(key), value)
                });
                Value::Object(fields.collect())
            }
            Value::Array(values) => values.iter().map(|value| self.respell(value)).collect(),
            Value::String(text) => match serde_json::from_str::<Value>(text) {
                Ok(inner @ Value::Object(_)) => self.respell(&inner).to_string().into(),
                _ => value.clone(),
            },
            _ => value.clone(),
        }
    }
}

fn spellings() -> impl Strategy<Value = Spelling> {
    prop_oneof![
        Just(Spelling::Lower),
        Just(Spelling::Upper),
        Just(Spelling::Pascal),
        Just(Spelling::Snake),
        any::<u64>().prop_map(Spelling::Random),
    ]
}

/// Names and contents of the uncompressed fixture payloads.
fn payloads() -> Vec<(String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/payloads");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read(path).unwrap())
    };
    let is_compressed =
        |bytes: &[u8]| bytes.starts_with(&[0x1f, 0x8b]) || bytes.starts_with(&[0x28, 0xb5]);
    paths.map(read).filter(|(_, bytes)| !is_compressed(bytes)).collect()
}

/// Decodes the documents of a file. Returns the reasons of the unreadable ones.
fn decode_file(bytes: &[u8]) -> (Recorder, Vec<QuarantineReason>) {
    let mut recorder = Recorder::default();
    let context = DecodeContext::new("test", RECEIVED_AT);
    let results = split(bytes, true).0.into_iter().filter_map(|span| {
        decode_document(&bytes[span.start..span.end], context, &mut recorder).err()
    });
    let reasons = results.map(|rejection| rejection.reason).collect();
    (recorder, reasons)
}

#[test]
fn payload_has_the_same_rows_as_a_file_and_as_a_body() {
    for (name, bytes) in payloads() {
        let (file, reasons) = decode_file(&bytes);
        let mut body = Recorder::default();
        let result = decode_document(&bytes, DecodeContext::new("test", RECEIVED_AT), &mut body);
        assert_eq!(body.rows, file.rows, "{name}");
        assert_eq!(body.ignored, file.ignored, "{name}");
        let is_empty = bytes.trim_ascii().is_empty();
        assert_eq!(result.is_err(), !reasons.is_empty() || is_empty, "{name}: {result:?}");
    }
}

#[test]
fn payload_has_the_same_rows_with_every_spelling_of_keys() {
    for (name, bytes) in payloads() {
        // these payloads contain one field in two spellings
        if name.starts_with("exact-key") {
            continue;
        }
        for span in split(&bytes, true).0 {
            let document = &bytes[span.start..span.end];
            let Ok(value @ Value::Object(_)) = serde_json::from_slice(document) else { continue };
            let expected = decode(&value.to_string());
            for spelling in [
                Spelling::Lower,
                Spelling::Upper,
                Spelling::Pascal,
                Spelling::Snake,
                Spelling::Random(1),
            ] {
                let respelled = spelling.respell(&value).to_string();
                let found = decode(&respelled);
                assert_eq!(found.0.rows, expected.0.rows, "{name} {spelling:?}: {respelled}");
                assert_eq!(found.0.ignored, expected.0.ignored, "{name}: {respelled}");
                let reason = |result: &Result<(), Rejection>| {
                    result.as_ref().err().map(|rejection| rejection.reason)
                };
                assert_eq!(reason(&found.1), reason(&expected.1), "{name}: {respelled}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn raw_line_feed_in_a_string_affects_one_document(
        events in events(),
        position in any::<prop::sample::Index>(),
        is_pretty in any::<bool>(),
    ) {
        let value: Value = serde_json::from_str(&events[1]).unwrap();
        let text = if is_pretty { format!("{value:#}") } else { value.to_string() };
        let quotes: Vec<usize> = text.match_indices('"').map(|(at, _)| at).collect();
        let is_escaped = text.contains('\\');
        prop_assume!(!is_escaped);
        // a position within a string
        let string = position.index(quotes.len() / 2);
        let (start, end) = (quotes[2 * string] + 1, quotes[2 * string + 1]);
        let at = start + position.index(end - start + 1);
        prop_assume!(text.is_char_boundary(at));
        let (head, tail) = text.split_at(at);
        let broken = format!("{head}\n{tail}");
        let (file, reasons) = decode_file([&events[0], &broken, &events[2]].map(String::as_str).join("\n").as_bytes());
        let mut expected = decode(&events[0]).0.rows;
        let (body, result) = decode(&broken);
        expected.extend(body.rows);
        expected.extend(decode(&events[2]).0.rows);
        prop_assert_eq!(file.rows, expected, "{}", broken);
        prop_assert_eq!(reasons.len(), usize::from(result.is_err()), "{}", broken);
    }

    #[test]
    fn rows_do_not_depend_on_spelling_of_keys_and_envelopes(
        events in events(),
        wrappers in wrappers(),
        spelling in spellings(),
    ) {
        for event in &events {
            let wrapped = wrappers.iter().fold(event.clone(), |body, wrapper| wrapper.wrap(&body));
            let Ok(value) = serde_json::from_str::<Value>(&wrapped) else { continue };
            let (expected, _) = decode(&wrapped);
            let (found, result) = decode(&spelling.respell(&value).to_string());
            prop_assert_eq!(result, Ok(()), "{:?}: {}", wrappers, wrapped);
            prop_assert_eq!(found.rows, expected.rows);
        }
    }

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
    fn several_documents_have_the_same_rows_as_single_documents(
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
