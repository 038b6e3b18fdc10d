//! Documents and the envelopes around events: each envelope is unwrapped by its shape, in whatever order they are nested.
//!
//! Pure: no I/O, no clock. Rows and ignored documents go to a [`Sink`]. Unreadable input is returned as [`Rejected`], for
//! the caller to quarantine with the bytes of the whole document.

use std::borrow::Cow;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bouncewatch_schemas::event::Channel;
use bouncewatch_schemas::time::parse_ms;
use bouncewatch_schemas::wire::envelope::{Envelope, ObjectPointer, Raw, Record};
use bouncewatch_schemas::wire::inplace;
use bouncewatch_schemas::wire::lenient::Text;
use bouncewatch_schemas::wire::notification::notification;

use crate::decode::arn::arn_parts;
use crate::decode::context::{Context, Sink};
use crate::decode::documents;
use crate::decode::log_lines;
use crate::decode::normalise;
use crate::decode::outcome::{Ignored, Reason, Rejected};
use crate::decode::pointers::{KeyForm, Pointed};
use crate::decode::repair::repair;

/// Envelopes inside envelopes, deeper than which nobody packs.
const DEPTH_MAX: u8 = 8;
/// How the names of S3's events for new objects begin.
const CREATED: &str = "ObjectCreated";
/// Bytes that a packed payload may unpack to.
const UNPACKED_BYTES_MAX: u64 = 64 * 1024 * 1024;

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
            .map(|event| peel_line(log_lines::event(event, context)?, sink)));
    }
    if !envelope.results.0.is_empty() {
        return all(envelope
            .results
            .0
            .iter()
            .map(|row| peel_line(log_lines::query_row(&row.0, context)?, sink)));
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
        return peel_line(log_lines::alone(envelope, context)?, sink);
    }
    Err(Rejected::new(Reason::NotAnEvent, "no `mail`, and no envelope that we know"))
}

/// Unwraps a log line under the context of its log.
fn peel_line(line: log_lines::Line<'_>, sink: &mut impl Sink) -> Result<(), Rejected> {
    peel_raw(line.message, line.context, sink)
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
fn peel_raw(raw: &str, context: Context<'_>, sink: &mut impl Sink) -> Result<(), Rejected> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use bouncewatch_schemas::event::EventRow;

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
