//! A document -> the events in it: peels one envelope after the other, whatever their order (facts 3).
//!
//! Pure: no I/O, no clock. What each document turns out to be is told to a [`Sink`]; what cannot be read is returned
//! as [`Rejected`], for the caller to set aside with the bytes of the whole document.

use std::borrow::Cow;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bouncewatch_schemas::event::{Channel, EventRow, Service};
use bouncewatch_schemas::time::parse_ms;
use bouncewatch_schemas::wire::envelope::{Envelope, ObjectPointer, Raw, Record};
use bouncewatch_schemas::wire::inplace;
use bouncewatch_schemas::wire::lenient::Text;
use bouncewatch_schemas::wire::notification::notification;

use crate::allow::{Allowed, Provenance};
use crate::documents;
use crate::log_lines;
use crate::normalise::{self, arn_parts};
use crate::outcome::Ignored;
use crate::outcome::Reason;
use crate::outcome::Rejected;
use crate::pointers::{KeyForm, Pointed, Pointer};

/// Envelopes inside envelopes, deeper than which nobody packs.
const DEPTH_MAX: u8 = 8;
/// How the names of S3's events for new objects begin.
const CREATED: &str = "ObjectCreated";
/// Bytes that a packed payload may unpack to.
const UNPACKED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Takes what a document turns out to hold.
pub trait Sink {
    /// An event whose rows follow.
    fn event(&mut self);
    /// One event for one recipient.
    fn row(&mut self, row: &EventRow<'_>);
    /// Something that is no event of ours.
    fn ignored(&mut self, reason: Ignored);
    /// An object in S3 that the document points to.
    fn object(&mut self, _: Pointer) {}
}

/// What the envelopes around an event said of it.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// File or queue.
    pub origin: &'a str,
    /// When it was taken.
    pub received_at: i64,
    /// When SNS or EventBridge passed it on.
    pub published_at: Option<i64>,
    /// The channel, where the envelope tells.
    pub channel: Option<Channel>,
    /// Account of EventBridge, the log group or the topic.
    pub account: Option<&'a str>,
    /// Region of EventBridge or the topic.
    pub region: Option<&'a str>,
    /// Time of the log event.
    pub logged_at: Option<i64>,
    /// ARN of the topic.
    pub topic: Option<&'a str>,
    allowed: Option<&'a Allowed>,
    /// Whether somebody follows the pointers to objects; if not, a document with one is set aside.
    pub followed: bool,
    depth: u8,
}

impl<'a> Context<'a> {
    /// The context of a document that came by itself.
    pub fn new(origin: &'a str, received_at: i64) -> Self {
        Self {
            origin,
            received_at,
            published_at: None,
            channel: None,
            account: None,
            region: None,
            logged_at: None,
            topic: None,
            allowed: None,
            followed: false,
            depth: 0,
        }
    }

    /// The same where only the events of some are taken.
    #[must_use]
    pub fn allowing(self, allowed: &'a Allowed) -> Self {
        Self { allowed: Some(allowed), ..self }
    }

    /// Refuses events of those who are not on the list.
    pub(crate) fn check(&self, row: &EventRow<'_>) -> Result<(), Rejected> {
        let from = Provenance { account: row.account, topic: self.topic, identity: row.identity };
        match (self.allowed, row.service) {
            (None, _) => Ok(()),
            (Some(allowed), Service::Ses) => allowed.check(from),
            (Some(allowed), Service::WorkMail) => allowed.check_log(from),
        }
    }

    /// The same, where somebody follows the pointers to objects.
    pub(crate) fn following(self) -> Self {
        Self { followed: true, ..self }
    }
}

/// Reads one document.
///
/// # Errors
/// What was wrong with it. Rows that could be read were given to the sink all the same.
pub fn document(bytes: &[u8], context: Context<'_>, sink: &mut impl Sink) -> Result<(), Rejected> {
    match simdutf8::basic::from_utf8(bytes) {
        Ok(text) => peel(text, context, sink),
        // an unreadable letter in a diagnostic must not cost the event
        Err(_) => peel(&String::from_utf8_lossy(bytes), context, sink),
    }
}

fn peel(text: &str, context: Context<'_>, sink: &mut impl Sink) -> Result<(), Rejected> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if context.depth > DEPTH_MAX {
        return Err(Rejected::new(
            Reason::NotAnEvent,
            format!("more than {DEPTH_MAX} envelopes around it"),
        ));
    }
    let context = Context { depth: context.depth + 1, ..context };
    if !text.starts_with('{') {
        return peel_text(text, context, sink);
    }
    // what comes every day is read where it stands
    if let Ok(found) = notification(text) {
        let context = of_topic(&found.topic_arn, &found.timestamp, context);
        return peel_envelope(&found.message, context, sink);
    }
    if let Ok(envelope) = inplace::document::<Envelope<'_>>(text) {
        return peel_envelope(&envelope, context, sink);
    }
    let error = match serde_json::from_str::<Envelope<'_>>(text) {
        Ok(envelope) => return peel_envelope(&envelope, context, sink),
        Err(error) => error,
    };
    if let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(&repair(text)) {
        return peel_envelope(&envelope, context, sink);
    }
    let (pieces, _) = documents::split(text.as_bytes(), true);
    if pieces.len() > 1 {
        return peel_all(text.as_bytes(), context, sink);
    }
    Err(Rejected::new(Reason::NotJson, error.to_string()))
}

/// Text that is no object: a JSON string or array around documents, a notice, or a log line with its time in front.
fn peel_text(text: &str, context: Context<'_>, sink: &mut impl Sink) -> Result<(), Rejected> {
    if let Ok(inner) = serde_json::from_str::<Cow<'_, str>>(text)
        && inner.trim_start().starts_with('{')
    {
        return peel(&inner, context, sink);
    }
    if text.starts_with('[') {
        return peel_all(text.as_bytes(), context, sink);
    }
    if text.starts_with("Successfully validated SNS topic") {
        sink.ignored(Ignored::SnsTopicValidated);
        return Ok(());
    }
    if let Some((time, rest)) = text.split_once(' ')
        && let Some(logged_at) = parse_ms(time)
        && rest.trim_start().starts_with('{')
    {
        return peel(rest, Context { logged_at: Some(logged_at), ..context }, sink);
    }
    if text.is_empty() {
        return Err(Rejected::new(Reason::NotJson, "an empty body"));
    }
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
        return Err(Rejected::new(Reason::NotAnEvent, "JSON, but no object"));
    }
    Err(Rejected::new(Reason::NotJson, "neither JSON nor a notice that we know"))
}

/// Reads every document in some bytes; the first that cannot be read is returned after the others were.
pub fn peel_all(bytes: &[u8], context: Context<'_>, sink: &mut impl Sink) -> Result<(), Rejected> {
    let (pieces, _) = documents::split(bytes, true);
    if pieces.is_empty() {
        return Err(Rejected::new(Reason::NotAnEvent, "nothing in it"));
    }
    all(pieces.iter().map(|piece| document(&bytes[piece.start..piece.end], context, sink)))
}

/// Goes through all results and returns the first failure.
fn all(results: impl Iterator<Item = Result<(), Rejected>>) -> Result<(), Rejected> {
    results.fold(Ok(()), Result::and)
}

/// Tells the shape of an object by its keys.
fn peel_envelope(
    envelope: &Envelope<'_>,
    context: Context<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejected> {
    let has = |text: &Text<'_>| text.0.is_some();
    if let (Some(detail), Some(detail_type)) = (envelope.detail.0, envelope.detail_type.get()) {
        return peel_eventbridge(envelope, detail, detail_type, context, sink);
    }
    if envelope.mail.0.is_some() || has(&envelope.event_type) || has(&envelope.notification_type) {
        return normalise::ses(envelope, context, sink);
    }
    if has(&envelope.sns_type) && (has(&envelope.topic_arn) || envelope.sns_message.0.is_some()) {
        return peel_sns(envelope, context, sink);
    }
    if let Some(logs) = &envelope.aws_logs.0 {
        return peel_packed(&logs.data, Packing::Gzip, context, sink);
    }
    if envelope.message_type.is("CONTROL_MESSAGE") {
        sink.ignored(Ignored::CloudWatchControlMessage);
        return Ok(());
    }
    if !envelope.log_events.0.is_empty() {
        let context = Context {
            account: envelope.owner.get().or(context.account),
            region: envelope.region.get().or(context.region),
            ..context
        };
        return all(envelope
            .log_events
            .0
            .iter()
            .map(|event| log_lines::event(event, context, sink)));
    }
    if !envelope.results.0.is_empty() {
        return all(envelope
            .results
            .0
            .iter()
            .map(|row| log_lines::query_row(&row.0, context, sink)));
    }
    if !envelope.records.0.is_empty() {
        return all(envelope.records.0.iter().map(|record| peel_record(record, context, sink)));
    }
    if let Some(body) = envelope.body.0 {
        return peel_raw(body, context, sink);
    }
    if envelope.test_event.is("s3:TestEvent") {
        sink.ignored(Ignored::S3TestEvent);
        return Ok(());
    }
    if envelope.workmail.0.is_some() {
        return normalise::workmail(envelope, context, sink);
    }
    if envelope.logged.0.is_some() && has(&envelope.logged_at) {
        return log_lines::alone(envelope, context, sink);
    }
    Err(Rejected::new(Reason::NotAnEvent, "no `mail`, and no envelope that we know"))
}

fn peel_eventbridge(
    envelope: &Envelope<'_>,
    detail: &str,
    detail_type: &str,
    context: Context<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejected> {
    if envelope.event_source.is("aws.s3") {
        let wire = detail_type
            .starts_with("Object Created")
            .then(|| serde_json::from_str(detail).unwrap_or_default());
        return peel_pointer(wire.as_ref(), KeyForm::Plain, envelope.region.get(), context, sink);
    }
    // "Email Bounced" and its like; not "Sending Status Enabled", "Advisor Recommendation Status Open", CloudTrail
    // which have no mail in them; a bus may also pass mail events on under a name of its own
    if !detail_type.starts_with("Email ") && !holds_mail(detail) {
        sink.ignored(Ignored::NotAMailEvent);
        return Ok(());
    }
    let context = Context {
        published_at: envelope.time.get().and_then(parse_ms),
        channel: Some(Channel::EventPublishing),
        account: envelope.account.get().or(context.account),
        region: envelope.region.get().or(context.region),
        ..context
    };
    peel_raw(detail, context, sink)
}

/// Whether a nested document is a mail event.
fn holds_mail(detail: &str) -> bool {
    serde_json::from_str::<Envelope<'_>>(detail).is_ok_and(|envelope| envelope.mail.0.is_some())
}

fn peel_sns(
    envelope: &Envelope<'_>,
    context: Context<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejected> {
    let ignored = match envelope.sns_type.get() {
        Some("SubscriptionConfirmation") => Some(Ignored::SubscriptionConfirmation),
        Some("UnsubscribeConfirmation") => Some(Ignored::UnsubscribeConfirmation),
        _ => None,
    };
    if let Some(reason) = ignored {
        sink.ignored(reason);
        return Ok(());
    }
    let Raw(Some(message)) = envelope.sns_message else {
        return Err(Rejected::new(Reason::NotAnEvent, "an SNS notification without Message"));
    };
    peel_raw(message, of_topic(&envelope.topic_arn, &envelope.sns_timestamp, context), sink)
}

/// The context of what came through a topic: `arn:aws:sns:REGION:ACCOUNT:TOPIC`.
fn of_topic<'c>(arn: &'c Text<'_>, timestamp: &Text<'_>, context: Context<'c>) -> Context<'c> {
    let [region, account, _] = arn_parts(arn.get().unwrap_or_default());
    Context {
        published_at: timestamp.get().and_then(parse_ms),
        region: context.region.or(region),
        account: context.account.or(account),
        topic: arn.get().or(context.topic),
        ..context
    }
}

/// A nested document: an object as it stands, or a string that holds it.
pub(crate) fn peel_raw(
    raw: &str,
    context: Context<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejected> {
    if !raw.starts_with('"') {
        return peel(raw, context, sink);
    }
    let inner = match serde_json::from_str::<Cow<'_, str>>(raw) {
        Ok(inner) => inner,
        Err(_) => Cow::Owned(serde_json::from_str(&repair(raw)).map_err(|error| {
            Rejected::new(Reason::NotJson, format!("the message inside the envelope: {error}"))
        })?),
    };
    peel(&inner, context, sink)
}

fn peel_record(
    record: &Record<'_>,
    context: Context<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejected> {
    if let Some(inner) = record.body.0.or(record.sns.0) {
        return peel_raw(inner, context, sink);
    }
    if let Some(wire) = &record.s3.0 {
        let name = record.event_name.get().unwrap_or(CREATED);
        let is_created = name.strip_prefix("s3:").unwrap_or(name).starts_with(CREATED);
        let wire = is_created.then_some(wire.as_ref());
        return peel_pointer(wire, KeyForm::Urlencoded, record.region.get(), context, sink);
    }
    if let Some(kinesis) = &record.kinesis.0 {
        return peel_packed(&kinesis.data, Packing::GzipOrNot, context, sink);
    }
    if record.data.0.is_some() {
        return peel_packed(&record.data, Packing::GzipOrNot, context, sink);
    }
    Err(Rejected::new(Reason::NotAnEvent, "a record without body"))
}

/// A pointer to an object that was created, or to nothing of that sort.
fn peel_pointer(
    wire: Option<&ObjectPointer<'_>>,
    form: KeyForm,
    region: Option<&str>,
    context: Context<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejected> {
    let pointed = wire.map_or(Pointed::Folder, |wire| Pointed::read(wire, form, region));
    let why = match pointed {
        Pointed::Folder => {
            sink.ignored(Ignored::OtherObjectEvent);
            return Ok(());
        }
        Pointed::Object(pointer) => {
            sink.object(pointer);
            if context.followed {
                return Ok(());
            }
            "points to an object in S3, which is not followed from here; `bouncewatch store quarantine replay` follows it"
        }
        Pointed::Nothing => "points to an object in S3, but does not name it",
    };
    Err(Rejected::new(Reason::ObjectNotification, why))
}

/// What stands inside base64.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Packing {
    /// Always gzip, as CloudWatch Logs writes it.
    Gzip,
    /// Gzip where the first bytes say so.
    GzipOrNot,
}

/// Unpacks base64, and gzip inside.
fn peel_packed(
    data: &Text<'_>,
    packing: Packing,
    context: Context<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejected> {
    let packed = data.get().ok_or_else(|| Rejected::new(Reason::BadPayload, "no data"))?;
    let bytes = STANDARD
        .decode(packed.trim())
        .map_err(|error| Rejected::new(Reason::BadPayload, format!("not base64: {error}")))?;
    if packing == Packing::GzipOrNot && !bytes.starts_with(&[0x1f, 0x8b]) {
        return peel_all(&bytes, context, sink);
    }
    let mut unpacked = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes.as_slice())
        .take(UNPACKED_BYTES_MAX + 1)
        .read_to_end(&mut unpacked)
        .map_err(|error| Rejected::new(Reason::BadPayload, format!("not gzip: {error}")))?;
    if u64::try_from(unpacked.len()).unwrap_or(u64::MAX) > UNPACKED_BYTES_MAX {
        return Err(Rejected::new(
            Reason::TooLarge,
            format!("unpacks to more than {UNPACKED_BYTES_MAX} bytes"),
        ));
    }
    peel_all(&unpacked, context, sink)
}

/// Replaces what JSON forbids inside strings but senders write: escapes of half a surrogate pair (by U+FFFD), and
/// raw control characters (by a blank). Everything else is left for the parser to refuse.
fn repair(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c == '\\' || c.is_control()) {
        let (head, tail) = rest.split_at(at);
        out.push_str(head);
        if !tail.starts_with('\\') {
            out.push(' ');
            rest = tail.split_at(tail.chars().next().map_or(1, char::len_utf8)).1;
            continue;
        }
        let length = match surrogate(tail) {
            None => tail.chars().take(2).map(char::len_utf8).sum(),
            Some(0xD800..=0xDBFF)
                if matches!(tail.get(6..).and_then(surrogate), Some(0xDC00..=0xDFFF)) =>
            {
                12
            }
            Some(_) => {
                out.push_str("\\ufffd");
                rest = tail.split_at(6).1;
                continue;
            }
        };
        let (kept, after) = tail.split_at(length);
        out.push_str(kept);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The value of a `\uD8xx`..`\uDFxx` escape at the start of a text.
fn surrogate(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let value = u32::from_str_radix(digits, 16).ok()?;
    (0xD800..=0xDFFF).contains(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_senders_write_and_json_forbids() {
        for (broken, repaired) in [
            (r#""a\ud800b""#, r#""a\ufffdb""#),
            (r#""a\udc00""#, r#""a\ufffd""#),
            (r#""\ud83d\ude00 \n \\ud800""#, r#""\ud83d\ude00 \n \\ud800""#),
            ("\"a\tb\u{1}\"", "\"a b \""),
            (r#""\"#, r#""\"#),
        ] {
            assert_eq!(repair(broken), repaired);
        }
    }

    struct Nothing;
    impl Sink for Nothing {
        fn event(&mut self) {}
        fn row(&mut self, _: &EventRow<'_>) {}
        fn ignored(&mut self, _: Ignored) {}
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
            let _outcome = document(text.as_bytes(), Context::new("test", 0), &mut Nothing);
        }

        #[test]
        fn any_object_is_read_or_refused(keys in proptest::collection::vec(
            (proptest::sample::select(vec!["mail", "bounce", "eventType", "Message", "Type", "detail", "detail-type",
                "Records", "logEvents", "event", "body", "awslogs"]),
             proptest::sample::select(vec!["null", "1", "\"\"", "\"x\"", "{}", "[]", "[{}]", "\"{}\"", "true",
                "{\"messageId\":\"m\",\"timestamp\":1675264375826}", "\"Bounce\"", "1.5", "[[null]]"])), 0..5)
        ) {
            let fields: Vec<String> = keys.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            let _outcome = document(format!("{{{}}}", fields.join(",")).as_bytes(), Context::new("test", 0), &mut Nothing);
        }
    }
}
