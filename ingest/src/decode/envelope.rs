//! Unwraps the envelopes around events. Each envelope is recognised by its keys, so they may be nested in any order.
//!
//! Rows and ignored documents go to a [`Sink`]. An unreadable document is returned as a [`Rejection`], for the caller
//! to quarantine with the bytes of the document.

use std::borrow::Cow;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bouncewatch_schemas::event::Channel;
use bouncewatch_schemas::time::parse_ms;
use bouncewatch_schemas::wire::envelope::{Envelope, ObjectPointer, RawJson, Record};
use bouncewatch_schemas::wire::inplace;
use bouncewatch_schemas::wire::lenient::Text;

use crate::decode::arn::arn_parts;
use crate::decode::context::{DecodeContext, Sink};
use crate::decode::documents;
use crate::decode::log_lines::{self, LogLine};
use crate::decode::normalise;
use crate::decode::outcome::{IgnoreReason, QuarantineReason, Rejection};
use crate::decode::pointers::{KeyEncoding, PointerTarget};
use crate::decode::repair::repair_strings;

/// Maximum number of nested envelopes.
const DEPTH_MAX: u8 = 8;
/// Prefix of the S3 event names for new objects.
const CREATED: &str = "ObjectCreated";
/// Maximum number of bytes of a decompressed payload.
const DECOMPRESSED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Decodes one document. Rows go to the sink even if another part of the document is unreadable.
///
/// # Errors
/// The first reason why a part of the document is unreadable.
pub fn decode_document(
    bytes: &[u8],
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    match simdutf8::basic::from_utf8(bytes) {
        Ok(text) => unwrap_text(text, context, sink),
        // a diagnostic may have bytes that are not UTF-8; the event is kept
        Err(_) => unwrap_text(&String::from_utf8_lossy(bytes), context, sink),
    }
}

fn unwrap_text(
    text: &str,
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if context.depth > DEPTH_MAX {
        return Err(Rejection::new(
            QuarantineReason::NotAnEvent,
            format!("more than {DEPTH_MAX} nested envelopes"),
        ));
    }
    let context = DecodeContext { depth: context.depth + 1, ..context };
    if !text.starts_with('{') {
        return unwrap_non_object(text, context, sink);
    }
    // fast path: common documents are parsed in place
    if let Ok(notification) = inplace::notification_from_str(text) {
        let context = topic_context(&notification.topic_arn, &notification.timestamp, context);
        return unwrap_envelope(&notification.message, context, sink);
    }
    if let Ok(envelope) = inplace::from_str::<Envelope<'_>>(text) {
        return unwrap_envelope(&envelope, context, sink);
    }
    let error = match serde_json::from_str::<Envelope<'_>>(text) {
        Ok(envelope) => return unwrap_envelope(&envelope, context, sink),
        Err(error) => error,
    };
    if let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(&repair_strings(text)) {
        return unwrap_envelope(&envelope, context, sink);
    }
    let (spans, _) = documents::split(text.as_bytes(), true);
    if spans.len() > 1 {
        return decode_documents(text.as_bytes(), context, sink);
    }
    Err(Rejection::new(QuarantineReason::NotJson, error.to_string()))
}

/// Text that is not an object: a JSON string or array of documents, a notice, or a log line that starts with its time.
fn unwrap_non_object(
    text: &str,
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    if let Ok(inner) = serde_json::from_str::<Cow<'_, str>>(text)
        && inner.trim_start().starts_with('{')
    {
        return unwrap_text(&inner, context, sink);
    }
    if text.starts_with('[') {
        return decode_documents(text.as_bytes(), context, sink);
    }
    if text.starts_with("Successfully validated SNS topic") {
        sink.ignored(IgnoreReason::SnsTopicValidated);
        return Ok(());
    }
    if let Some((time, rest)) = text.split_once(' ')
        && let Some(logged_at) = parse_ms(time)
        && rest.trim_start().starts_with('{')
    {
        return unwrap_text(rest, DecodeContext { logged_at: Some(logged_at), ..context }, sink);
    }
    if text.is_empty() {
        return Err(Rejection::new(QuarantineReason::NotJson, "the body is empty"));
    }
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
        return Err(Rejection::new(QuarantineReason::NotAnEvent, "JSON, but not an object"));
    }
    Err(Rejection::new(QuarantineReason::NotJson, "neither JSON nor a known notice"))
}

/// Decodes every document in some bytes. See [`decode_document`].
///
/// # Errors
/// The reason why the first unreadable document is unreadable; the documents after it are decoded too.
pub fn decode_documents(
    bytes: &[u8],
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    let (spans, _) = documents::split(bytes, true);
    if spans.is_empty() {
        return Err(Rejection::new(QuarantineReason::NotAnEvent, "it contains no document"));
    }
    try_all(spans.iter().map(|span| decode_document(&bytes[span.start..span.end], context, sink)))
}

/// Evaluates all results and returns the first error.
fn try_all(results: impl Iterator<Item = Result<(), Rejection>>) -> Result<(), Rejection> {
    results.fold(Ok(()), Result::and)
}

/// Recognises an envelope by its keys and unwraps it.
fn unwrap_envelope(
    envelope: &Envelope<'_>,
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    let has = |text: &Text<'_>| text.0.is_some();
    if let (Some(detail), Some(detail_type)) = (envelope.detail.0, envelope.detail_type.get()) {
        return unwrap_eventbridge(envelope, detail, detail_type, context, sink);
    }
    if envelope.mail.0.is_some() || has(&envelope.event_type) || has(&envelope.notification_type) {
        return normalise::ses_rows(envelope, context, sink);
    }
    if has(&envelope.sns_type) && (has(&envelope.topic_arn) || envelope.sns_message.0.is_some()) {
        return unwrap_sns(envelope, context, sink);
    }
    if let Some(logs) = &envelope.aws_logs.0 {
        return unwrap_payload(&logs.data, Compression::Gzip, context, sink);
    }
    if envelope.message_type.is("CONTROL_MESSAGE") {
        sink.ignored(IgnoreReason::CloudWatchControlMessage);
        return Ok(());
    }
    if !envelope.log_events.0.is_empty() {
        let context = DecodeContext {
            account: envelope.owner.get().or(context.account),
            region: envelope.region.get().or(context.region),
            ..context
        };
        return try_all(
            envelope
                .log_events
                .0
                .iter()
                .map(|event| unwrap_log_line(&log_lines::from_list(event, context)?, sink)),
        );
    }
    if !envelope.results.0.is_empty() {
        return try_all(
            envelope
                .results
                .0
                .iter()
                .map(|row| unwrap_log_line(&log_lines::from_query(&row.0, context)?, sink)),
        );
    }
    if !envelope.records.0.is_empty() {
        return try_all(
            envelope.records.0.iter().map(|record| unwrap_record(record, context, sink)),
        );
    }
    if let Some(body) = envelope.body.0 {
        return unwrap_raw(body, context, sink);
    }
    if envelope.test_event.is("s3:TestEvent") {
        sink.ignored(IgnoreReason::S3TestEvent);
        return Ok(());
    }
    if envelope.workmail.0.is_some() {
        return normalise::workmail_rows(envelope, context, sink);
    }
    if envelope.log_line.0.is_some() && has(&envelope.log_time) {
        return unwrap_log_line(&log_lines::from_event(envelope, context)?, sink);
    }
    Err(Rejection::new(QuarantineReason::NotAnEvent, "neither `mail` nor a known envelope"))
}

/// Unwraps a log line.
fn unwrap_log_line(line: &LogLine<'_>, sink: &mut impl Sink) -> Result<(), Rejection> {
    unwrap_raw(line.message, line.context, sink)
}

fn unwrap_eventbridge(
    envelope: &Envelope<'_>,
    detail: &str,
    detail_type: &str,
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    if envelope.event_source.is("aws.s3") {
        let wire = detail_type
            .starts_with("Object Created")
            .then(|| serde_json::from_str(detail).unwrap_or_default());
        return unwrap_pointer(
            wire.as_ref(),
            KeyEncoding::Plain,
            envelope.region.get(),
            context,
            sink,
        );
    }
    // SES publishes "Email Bounced" and similar, and events without mail such as "Sending Status Enabled"; a custom bus
    // may forward mail events with another detail type
    if !detail_type.starts_with("Email ") && !contains_mail(detail) {
        sink.ignored(IgnoreReason::NotAMailEvent);
        return Ok(());
    }
    let context = DecodeContext {
        published_at: envelope.time.get().and_then(parse_ms),
        channel: Some(Channel::EventPublishing),
        account: envelope.account.get().or(context.account),
        region: envelope.region.get().or(context.region),
        ..context
    };
    unwrap_raw(detail, context, sink)
}

/// Whether a nested document is a mail event.
fn contains_mail(detail: &str) -> bool {
    serde_json::from_str::<Envelope<'_>>(detail).is_ok_and(|envelope| envelope.mail.0.is_some())
}

fn unwrap_sns(
    envelope: &Envelope<'_>,
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    let ignored = match envelope.sns_type.get() {
        Some("SubscriptionConfirmation") => Some(IgnoreReason::SubscriptionConfirmation),
        Some("UnsubscribeConfirmation") => Some(IgnoreReason::UnsubscribeConfirmation),
        _ => None,
    };
    if let Some(reason) = ignored {
        sink.ignored(reason);
        return Ok(());
    }
    let RawJson(Some(message)) = envelope.sns_message else {
        return Err(Rejection::new(
            QuarantineReason::NotAnEvent,
            "an SNS notification without `Message`",
        ));
    };
    unwrap_raw(message, topic_context(&envelope.topic_arn, &envelope.sns_timestamp, context), sink)
}

/// Adds the facts of an SNS topic (`arn:aws:sns:REGION:ACCOUNT:TOPIC`) to a context.
fn topic_context<'c>(
    arn: &'c Text<'_>,
    timestamp: &Text<'_>,
    context: DecodeContext<'c>,
) -> DecodeContext<'c> {
    let [region, account, _] = arn_parts(arn.get().unwrap_or_default());
    DecodeContext {
        published_at: timestamp.get().and_then(parse_ms),
        region: context.region.or(region),
        account: context.account.or(account),
        topic: arn.get().or(context.topic),
        ..context
    }
}

/// A nested document in raw JSON: an object, or a string that contains one.
fn unwrap_raw(
    raw: &str,
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    if !raw.starts_with('"') {
        return unwrap_text(raw, context, sink);
    }
    let inner = match serde_json::from_str::<Cow<'_, str>>(raw) {
        Ok(inner) => inner,
        Err(_) => Cow::Owned(serde_json::from_str(&repair_strings(raw)).map_err(|error| {
            Rejection::new(
                QuarantineReason::NotJson,
                format!("the message in the envelope: {error}"),
            )
        })?),
    };
    unwrap_text(&inner, context, sink)
}

fn unwrap_record(
    record: &Record<'_>,
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    if let Some(inner) = record.body.0.or(record.sns.0) {
        return unwrap_raw(inner, context, sink);
    }
    if let Some(wire) = &record.s3.0 {
        let name = record.event_name.get().unwrap_or(CREATED);
        let is_created = name.strip_prefix("s3:").unwrap_or(name).starts_with(CREATED);
        let wire = is_created.then_some(wire.as_ref());
        return unwrap_pointer(wire, KeyEncoding::Url, record.region.get(), context, sink);
    }
    if let Some(kinesis) = &record.kinesis.0 {
        return unwrap_payload(&kinesis.data, Compression::Detect, context, sink);
    }
    if record.data.0.is_some() {
        return unwrap_payload(&record.data, Compression::Detect, context, sink);
    }
    Err(Rejection::new(QuarantineReason::NotAnEvent, "a record without a body"))
}

/// A pointer to an S3 object; `wire` is `None` if the notification is not about a new object.
fn unwrap_pointer(
    wire: Option<&ObjectPointer<'_>>,
    encoding: KeyEncoding,
    region: Option<&str>,
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    let target =
        wire.map_or(PointerTarget::Folder, |wire| PointerTarget::read(wire, encoding, region));
    let detail = match target {
        PointerTarget::Folder => {
            sink.ignored(IgnoreReason::OtherObjectEvent);
            return Ok(());
        }
        PointerTarget::Object(pointer) => {
            sink.object(pointer);
            if context.pointers_followed {
                return Ok(());
            }
            "points to an S3 object, which this source does not read; `bouncewatch store quarantine replay` reads it"
        }
        PointerTarget::Unknown => "points to an S3 object, but does not name its bucket and key",
    };
    Err(Rejection::new(QuarantineReason::ObjectNotification, detail))
}

/// Compression of a base64-encoded payload.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compression {
    /// Always gzip: CloudWatch Logs.
    Gzip,
    /// Gzip if it starts with the magic number of gzip.
    Detect,
}

/// Decodes base64, decompresses, and decodes the documents inside.
fn unwrap_payload(
    data: &Text<'_>,
    compression: Compression,
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    let encoded = data
        .get()
        .ok_or_else(|| Rejection::new(QuarantineReason::BadPayload, "the record has no `data`"))?;
    let bytes = STANDARD.decode(encoded.trim()).map_err(|error| {
        Rejection::new(QuarantineReason::BadPayload, format!("not base64: {error}"))
    })?;
    if compression == Compression::Detect && !bytes.starts_with(&[0x1f, 0x8b]) {
        return decode_documents(&bytes, context, sink);
    }
    let mut decompressed = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes.as_slice())
        .take(DECOMPRESSED_BYTES_MAX + 1)
        .read_to_end(&mut decompressed)
        .map_err(|error| {
            Rejection::new(QuarantineReason::BadPayload, format!("not gzip: {error}"))
        })?;
    if u64::try_from(decompressed.len()).unwrap_or(u64::MAX) > DECOMPRESSED_BYTES_MAX {
        return Err(Rejection::new(
            QuarantineReason::TooLarge,
            format!("more than {DECOMPRESSED_BYTES_MAX} bytes when decompressed"),
        ));
    }
    decode_documents(&decompressed, context, sink)
}
