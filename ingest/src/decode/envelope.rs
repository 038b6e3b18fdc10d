//! Unwraps the envelopes around events. Each envelope is recognised by its keys, so they may be nested in any order.
//!
//! Rows and ignored documents go to a [`Sink`]. An unreadable document is returned as a [`Rejection`], for the caller
//! to quarantine with the bytes of the document.

use bouncewatch_schemas::wire::envelope::{Envelope, RawJson, Record};
use bouncewatch_schemas::wire::inplace;
use bouncewatch_schemas::wire::lenient::{LIST_TOO_LONG, Text};
use bouncewatch_schemas::wire::ses::NESTED_JSON;

use crate::decode::context::{CountingSink, DecodeContext, Sink};
use crate::decode::documents;
use crate::decode::dynamodb;
use crate::decode::log_lines::{self, LogLine};
use crate::decode::nested_json;
use crate::decode::normalise;
use crate::decode::outcome::{IgnoreReason, QuarantineReason, Rejection};
use crate::decode::partial_lines;
use crate::decode::payload::{self, Compression};
use crate::decode::pointer_events::{unwrap_eventbridge_pointer, unwrap_record_pointer};
use crate::decode::repair::{json_string, repair_strings, wrapped_field};
use crate::decode::shapes;
use crate::decode::text::{self, TextForm};

/// Maximum number of nested envelopes.
const DEPTH_MAX: u8 = 12;
/// Prefix of the detail types of EventBridge events that a Lambda destination publishes.
const LAMBDA_RESULT: &str = "Lambda Function Invocation Result";

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
        // a remote MTA may send bytes that are not UTF-8 in a diagnostic
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
    if let Some(lines) = partial_lines::join(text) {
        return try_all(lines.iter().map(|line| unwrap_text(line, context, sink)));
    }
    if !text.starts_with('{') {
        return unwrap_non_object(text, context, sink);
    }
    // fast path: common documents are parsed in place
    if let Ok(notification) = inplace::notification_from_str(text) {
        let topic = context.with_topic(&notification.topic_arn, &notification.timestamp);
        let result = unwrap_envelope(&notification.message, topic, sink);
        // an event of an unknown type may be an item in `DynamoDB` JSON
        if !matches!(&result, Err(rejection) if rejection.reason == QuarantineReason::UnknownKind) {
            return result;
        }
    }
    if let Ok(envelope) = inplace::from_str::<Envelope<'_>>(text) {
        return unwrap_object(text, &envelope, context, sink);
    }
    let error = match serde_json::from_str::<Envelope<'_>>(text) {
        Ok(envelope) => return unwrap_object(text, &envelope, context, sink),
        Err(error) => error.to_string(),
    };
    if error.starts_with(LIST_TOO_LONG) {
        return Err(Rejection::new(QuarantineReason::TooLarge, error));
    }
    if error.starts_with(NESTED_JSON)
        && let Some(expanded) = nested_json::expand(text)
    {
        return unwrap_text(&expanded, context, sink);
    }
    let repaired = repair_strings(text);
    if let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(&repaired) {
        if let Some(field) = wrapped_field(text) {
            let detail = format!("a line feed within `{field}`: a line was wrapped or split");
            return Err(Rejection::new(QuarantineReason::NotJson, detail));
        }
        return unwrap_object(&repaired, &envelope, context, sink);
    }
    if documents::has_several_documents(text.as_bytes()) {
        return decode_documents(text.as_bytes(), context, sink);
    }
    Err(Rejection::new(QuarantineReason::NotJson, error))
}

/// Unwraps an object. If its shape is unknown, tries it as an item in `DynamoDB` JSON, and as a container with any key.
fn unwrap_object(
    text: &str,
    envelope: &Envelope<'_>,
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    use QuarantineReason::{NoRecipient, NotAnEvent, NotJson, UnknownKind};
    let rejection = match unwrap_envelope(envelope, context, sink) {
        Ok(()) => return Ok(()),
        Err(rejection) => rejection,
    };
    if matches!(rejection.reason, NotAnEvent | NoRecipient)
        && let Some(expanded) = nested_json::expand(text)
    {
        return unwrap_text(&expanded, context, sink);
    }
    if !matches!(rejection.reason, NotAnEvent | NotJson | UnknownKind) {
        return Err(rejection);
    }
    if let Some(lists) = shapes::records_by_queue(text) {
        let records = lists.iter().flat_map(|list| &list.0);
        return try_all(records.map(|record| unwrap_record(record, context, sink)));
    }
    if let Some(plain) = dynamodb::plain_json(text) {
        return unwrap_text(&plain, context, sink);
    }
    match shapes::unread_member_with_mail(envelope, text) {
        Some(member) => unwrap_raw(member, log_lines::with_times(envelope, context), sink)
            .map_err(|_| rejection),
        None if shapes::is_bulk_action(text) => {
            sink.ignored(IgnoreReason::OpenSearchAction);
            Ok(())
        }
        None => Err(rejection),
    }
}

/// Unwraps text that is not an object: a JSON string or array of documents, several lines, a
/// notice, a log line, a row of a CSV file, or a document in base64.
fn unwrap_non_object(
    text: &str,
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    if text.starts_with('"')
        && let Ok(inner) = json_string(text)
    {
        return unwrap_json_string(&inner, context, sink);
    }
    if text.starts_with('[') {
        if text.chars().all(|c| matches!(c, '[' | ']' | ',') || c.is_ascii_whitespace()) {
            return Err(Rejection::new(QuarantineReason::NotAnEvent, "it contains no document"));
        }
        // journald writes a text as an array of bytes if it has control characters
        if let Some(bytes) = payload::byte_array(text) {
            return decode_payload(&bytes, context, sink);
        }
        return decode_documents(text.as_bytes(), context, sink);
    }
    if let Some(payload) = payload::unpack_text(text, context.unpacked_bytes) {
        return decode_payload(&payload?, context, sink);
    }
    if text.contains('\n') && documents::has_several_documents(text.as_bytes()) {
        return decode_documents(text.as_bytes(), context, sink);
    }
    match text::form_of(text) {
        TextForm::Notice(reason) => {
            sink.ignored(reason);
            return Ok(());
        }
        TextForm::Line { logged_at, document, rest } => {
            let context = DecodeContext { logged_at: logged_at.or(context.logged_at), ..context };
            return unwrap_line(&document, rest, context, sink);
        }
        TextForm::Other => {}
    }
    if text.is_empty() {
        return Err(Rejection::new(QuarantineReason::NotJson, "the body is empty"));
    }
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
        return Err(not_an_object());
    }
    Err(Rejection::new(QuarantineReason::NotJson, "neither JSON nor a known notice"))
}

/// Unwraps the document of a log line, and the text after it: the context of a logger, or further documents.
fn unwrap_line(
    document: &str,
    rest: &str,
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    let mut counting = CountingSink { sink, events: 0 };
    let first = unwrap_text(document, context, &mut counting);
    if !rest.contains('{') {
        return first;
    }
    let second = unwrap_text(rest, context, &mut counting);
    shapes::result_of_line(first, second, rest, counting.events > 0)
}

fn not_an_object() -> Rejection {
    Rejection::new(QuarantineReason::NotAnEvent, "JSON, but not an object")
}

/// Unwraps the content of a JSON string: a JSON document or plain text.
fn unwrap_json_string(
    inner: &str,
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    let result = unwrap_text(inner, context, sink);
    if inner.trim_start().starts_with(['{', '[', '"']) {
        return result;
    }
    result.map_err(|rejection| match rejection.reason {
        QuarantineReason::NotJson => not_an_object(),
        _ => rejection,
    })
}

/// Decodes every document in `bytes`. See [`decode_document`].
///
/// # Errors
/// The reason of the first unreadable document. The documents after it are decoded too.
pub fn decode_documents(
    bytes: &[u8],
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    let mut spans = documents::spans(bytes).peekable();
    if spans.peek().is_none() {
        return Err(Rejection::new(QuarantineReason::NotAnEvent, "it contains no document"));
    }
    try_all(spans.map(|span| decode_document(&bytes[span.start..span.end], context, sink)))
}

/// Decodes every document in an unpacked payload.
fn decode_payload(
    payload: &[u8],
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    let unpacked_bytes = context.unpacked_bytes + payload.len();
    decode_documents(payload, DecodeContext { unpacked_bytes, ..context }, sink)
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
    if let Some(reason) = shapes::notice(envelope) {
        sink.ignored(reason);
        return Ok(());
    }
    if shapes::is_sns(envelope) {
        return unwrap_sns(envelope, context, sink);
    }
    if let Some(logs) = &envelope.aws_logs.0 {
        return unwrap_payload(&logs.data, Compression::Gzip, context, sink);
    }
    let of_log = log_lines::context_of_list(envelope, context);
    let context = log_lines::with_times(envelope, context);
    let Envelope { log_events, results, records, .. } = envelope;
    if !(log_events.0.is_empty() && results.0.is_empty() && records.0.is_empty()) {
        let lines = log_events.0.iter().map(|event| log_lines::from_list(event, of_log));
        let rows = results.0.iter().map(|row| log_lines::from_query(&row.0, of_log));
        let lines = try_all(lines.chain(rows).map(|line| {
            let LogLine { message, context } = line?;
            unwrap_raw(message, context, sink)
        }));
        let records = records.0.iter().map(|record| unwrap_record(record, context, sink));
        let items = lines.and(try_all(records));
        return match unwrap_container(envelope, context, sink) {
            Err(rejection) if rejection.is_not_a_mail_event() => items,
            rest => items.and(rest),
        };
    }
    if envelope.event.object.0.as_ref().is_some_and(|event| event.event_name.0.is_some()) {
        return normalise::workmail_rows(envelope, context, sink);
    }
    unwrap_container(envelope, context, sink)
}

/// Unwraps an envelope with no metadata except a time, which `context` has. Log shippers write objects under the same
/// keys (`log.file.path`, `event.dataset`), and the same document under several.
fn unwrap_container(
    envelope: &Envelope<'_>,
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    let Envelope { body, content, ses, detail, event, message, timestamp, .. } = envelope;
    let line = log_lines::context_of(envelope, context);
    let original = event.object.0.as_ref().and_then(|event| event.original.0);
    let contents = [body, content, ses, detail].map(|content| (content.0, context));
    let contents = contents.into_iter().chain([(message.0, line), (original, line)]);
    let mut counting = CountingSink { sink, events: 0 };
    let (mut first, mut damaged) = (None, Ok(()));
    let mut read: Vec<&str> = Vec::new();
    for (content, context) in contents {
        // the original is the text of an event that was read already, if any was
        let is_copy = |content: &&str| {
            read.contains(content) || counting.events > 0 && original == Some(*content)
        };
        let Some(content) = content.filter(|content| !is_copy(content)) else { continue };
        read.push(content);
        match unwrap_raw(content, context, &mut counting) {
            Err(rejection) if rejection.is_not_a_mail_event() => _ = first.get_or_insert(rejection),
            Err(rejection) => damaged = damaged.and(Err(rejection)),
            Ok(()) if counting.events == 0 => return Ok(()),
            Ok(()) => {}
        }
    }
    if damaged.is_err() || counting.events > 0 {
        return damaged;
    }
    let result = match event.text.get() {
        Some(text) => unwrap_json_string(text, context, &mut counting),
        None => Err(not_an_event()),
    };
    let is_container = body.0.is_some() || content.0.is_some() || timestamp.0.is_some();
    result.map_err(|last| first.filter(|_| is_container).unwrap_or(last))
}

fn not_an_event() -> Rejection {
    Rejection::new(QuarantineReason::NotAnEvent, "neither `mail` nor a known envelope")
}

fn unwrap_eventbridge(
    envelope: &Envelope<'_>,
    detail: &str,
    detail_type: &str,
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    if envelope.event_source.is("aws.s3") {
        return unwrap_eventbridge_pointer(envelope, detail, detail_type, context, sink);
    }
    let context = context.with_eventbridge(envelope);
    if envelope.event_source.is("aws.ses")
        && let Some(kind) = normalise::account_kind(detail_type)
    {
        let detail = serde_json::from_str(detail).unwrap_or_default();
        return normalise::account_row(kind, envelope, &detail, context, sink);
    }
    // a custom bus may forward mail events with another detail type, in any envelope
    if detail_type.starts_with("Email ") || detail_type.starts_with(LAMBDA_RESULT) {
        return unwrap_raw(detail, context, sink);
    }
    let mut counting = CountingSink { sink, events: 0 };
    match unwrap_raw(detail, context, &mut counting) {
        Err(rejection) if counting.events == 0 && rejection.is_not_a_mail_event() => {
            sink.ignored(IgnoreReason::NotAMailEvent);
            Ok(())
        }
        result => result,
    }
}

fn unwrap_sns(
    envelope: &Envelope<'_>,
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    let RawJson(Some(message)) = envelope.message else {
        return Err(Rejection::new(
            QuarantineReason::NotAnEvent,
            "an SNS notification without `Message`",
        ));
    };
    unwrap_raw(message, context.with_topic(&envelope.topic_arn, &envelope.timestamp), sink)
}

/// Unwraps a nested document in raw JSON: an object, or a string that contains an object.
fn unwrap_raw(
    raw: &str,
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    if !raw.starts_with('"') {
        return unwrap_text(raw, context, sink);
    }
    let inner = json_string(raw).map_err(|error| {
        Rejection::new(QuarantineReason::NotJson, format!("the message in the envelope: {error}"))
    })?;
    unwrap_text(&inner, context, sink)
}

fn unwrap_record(
    record: &Record<'_>,
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    if let Some(inner) = record.body.0.or(record.sns.0).or(record.dynamodb.0) {
        let attributes = record.attributes.0.as_ref();
        let context = attributes
            .map_or(context, |attributes| context.with_envelope_time(&attributes.sent_timestamp));
        return unwrap_raw(inner, context, sink);
    }
    if let Some(ses) = record.ses.0 {
        if shapes::is_inbound_mail(ses) {
            sink.ignored(IgnoreReason::InboundMail);
            return Ok(());
        }
        return unwrap_raw(ses, context, sink);
    }
    if let Some(wire) = &record.s3.0 {
        return unwrap_record_pointer(record, wire, context, sink);
    }
    if let Some(kinesis) = &record.kinesis.0 {
        let context = context.with_envelope_time(&kinesis.arrival_time);
        return unwrap_payload(&kinesis.data, Compression::Detect, context, sink);
    }
    if record.data.0.is_some() {
        let context = context.with_envelope_time(&record.arrival_time);
        return unwrap_payload(&record.data, Compression::Detect, context, sink);
    }
    Err(Rejection::new(QuarantineReason::NotAnEvent, "a record without a body"))
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
    if encoded.trim_start().starts_with(['{', '[']) {
        return unwrap_text(encoded, context, sink);
    }
    let payload = payload::unpack(encoded, compression, context.unpacked_bytes)?;
    decode_payload(&payload, context, sink)
}
