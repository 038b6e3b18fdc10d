//! Documents in the shapes of SES, in nested envelopes and with extreme sizes: decode them into a batch.
#![no_main]

use std::io::Write;

use arbitrary::Arbitrary;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bouncewatch_ingest::fuzzing;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

/// A text, which may be long: the length costs no input.
#[derive(Arbitrary, Debug)]
enum Text {
    Short(String),
    Repeated(char, u32),
}

impl Text {
    fn text(&self) -> String {
        match self {
            Self::Short(text) => text.clone(),
            Self::Repeated(c, count) => c.to_string().repeat(*count as usize % 300_000),
        }
    }
}

#[derive(Arbitrary, Debug)]
enum Kind {
    Send,
    Delivery,
    Bounce,
    Complaint,
    DeliveryDelay,
    Reject,
    Click,
    Open,
    RenderingFailure,
    Subscription,
    Other(Text),
}

#[derive(Arbitrary, Debug)]
struct Event {
    kind: Kind,
    message_id: Text,
    source: Text,
    feedback_id: Text,
    types: [Text; 2],
    diagnostic: Text,
    link: Text,
    tags: Vec<(Text, Text)>,
    tag_values: u16,
    recipient: Text,
    recipients: u16,
    time: Option<u32>,
    is_workmail: bool,
}

impl Event {
    fn json(&self) -> Value {
        let recipients = self.recipients % 1_100;
        let address =
            |n: u16| format!("{}{n}@example.org", self.recipient.text().get(..200).unwrap_or("u"));
        let (name, key) = match &self.kind {
            Kind::Send => ("Send".to_owned(), "send"),
            Kind::Delivery => ("Delivery".to_owned(), "delivery"),
            Kind::Bounce => ("Bounce".to_owned(), "bounce"),
            Kind::Complaint => ("Complaint".to_owned(), "complaint"),
            Kind::DeliveryDelay => ("DeliveryDelay".to_owned(), "deliveryDelay"),
            Kind::Reject => ("Reject".to_owned(), "reject"),
            Kind::Click => ("Click".to_owned(), "click"),
            Kind::Open => ("Open".to_owned(), "open"),
            Kind::RenderingFailure => ("Rendering Failure".to_owned(), "failure"),
            Kind::Subscription => ("Subscription".to_owned(), "subscription"),
            Kind::Other(text) => (text.text(), "bounce"),
        };
        let time = self.time.map(|secs| i64::from(secs) * 1_000);
        if self.is_workmail {
            let all: Vec<Value> = (0..recipients)
                .map(|n| json!({"email": address(n), "emailAddress": address(n)}))
                .collect();
            return json!({"traceId": self.message_id.text(), "timestamp": time,
                "event": {"eventName": "OUTGOING_EMAIL_BOUNCED", "recipients": all, "ruleName": self.link.text(),
                    "from": self.source.text(), "reason": self.diagnostic.text()}});
        }
        let reports: Vec<Value> = (0..recipients)
            .map(|n| json!({"emailAddress": address(n), "diagnosticCode": if n < 3 { self.diagnostic.text() } else { String::new() }}))
            .collect();
        let destination: Vec<String> = (0..recipients).map(address).collect();
        let values = |value: &Text| vec![value.text(); usize::from(self.tag_values % 600) + 1];
        let tags: serde_json::Map<String, Value> = self
            .tags
            .iter()
            .take(20)
            .map(|(name, value)| (name.text(), json!(values(value))))
            .collect();
        json!({"eventType": name, "mail": {"timestamp": time, "messageId": self.message_id.text(), "source": self.source.text(),
                "sourceArn": format!("arn:aws:ses:us-east-1:1:identity/{}", self.source.text()), "destination": destination, "tags": tags},
            key: {"timestamp": time, "feedbackId": self.feedback_id.text(), "bounceType": self.types[0].text(),
                "bounceSubType": self.types[1].text(), "delayType": self.types[0].text(), "link": self.link.text(),
                "smtpResponse": self.diagnostic.text(), "reportingMTA": self.source.text(), "remoteMtaIp": self.types[1].text(),
                "bouncedRecipients": reports, "complainedRecipients": [], "delayedRecipients": []}})
    }
}

#[derive(Arbitrary, Debug)]
enum Envelope {
    Sns,
    EventBridge(Text),
    SqsRecords(u8),
    LogEvents(u8),
    Packed(u8),
    Firehose,
    JsonString,
    Lines(u8),
}

impl Envelope {
    fn wrap(&self, body: &str) -> String {
        let raw: Value = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
        let packed = || {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(body.as_bytes()).expect("a Vec can be written");
            STANDARD.encode(encoder.finish().expect("a Vec can be written"))
        };
        let times = |count: &u8| usize::from(*count % 20) + 1;
        match self {
            Self::Sns => json!({"Type": "Notification", "TopicArn": "arn:aws:sns:us-east-1:1:t", "Message": body}).to_string(),
            Self::EventBridge(kind) => json!({"detail-type": kind.text(), "source": "aws.ses", "detail": raw}).to_string(),
            Self::SqsRecords(count) => json!({"Records": vec![json!({"body": body}); times(count)]}).to_string(),
            Self::LogEvents(count) => {
                json!({"messageType": "DATA_MESSAGE", "owner": "1", "logEvents": vec![json!({"timestamp": 1, "message": body}); times(count)]}).to_string()
            }
            Self::Packed(_) => json!({"awslogs": {"data": packed()}}).to_string(),
            Self::Firehose => json!({"rawData": packed(), "arrivalTimestamp": 1}).to_string(),
            Self::JsonString => json!(body).to_string(),
            Self::Lines(count) => vec![body; times(count)].join("\n"),
        }
    }
}

#[derive(Arbitrary, Debug)]
struct Input {
    event: Event,
    envelopes: Vec<Envelope>,
}

fuzz_target!(|input: Input| {
    let mut body = input.event.json().to_string();
    for envelope in input.envelopes.iter().take(5) {
        // as long as a message or a document can be
        if body.len() > 4 * 1024 * 1024 {
            break;
        }
        body = envelope.wrap(&body);
    }
    fuzzing::decode_file(body.as_bytes()).check(body.len());
});
