//! Recognises envelopes and notices by their keys.

use std::collections::BTreeMap;

use bouncewatch_schemas::wire::envelope::{
    BulkAction, BulkTarget, Envelope, InboundMail, Record, RecordsByQueue,
};
use bouncewatch_schemas::wire::lenient::List;
use serde_json::value::RawValue;

use crate::decode::outcome::{IgnoreReason, QuarantineReason, Rejection};

/// Why a document is ignored; `None` if it may contain an event.
pub(super) fn notice(envelope: &Envelope<'_>) -> Option<IgnoreReason> {
    if envelope.type_name.is("SubscriptionConfirmation") {
        return Some(IgnoreReason::SubscriptionConfirmation);
    }
    if envelope.type_name.is("UnsubscribeConfirmation") {
        return Some(IgnoreReason::UnsubscribeConfirmation);
    }
    if envelope.type_name.get().is_some_and(|name| name.starts_with("platform.")) {
        return Some(IgnoreReason::LambdaPlatformLog);
    }
    if envelope.message_type.is("CONTROL_MESSAGE") {
        return Some(IgnoreReason::CloudWatchControlMessage);
    }
    if envelope.event.text.is("s3:TestEvent") {
        return Some(IgnoreReason::S3TestEvent);
    }
    if envelope.ses.0.is_some_and(is_inbound_mail) {
        return Some(IgnoreReason::InboundMail);
    }
    envelope.summary_version.0.is_some().then_some(IgnoreReason::WorkMailMessageFlow)
}

/// Whether an object is an action line of the bulk API of `OpenSearch`: `{"index": {"_index": "ses"}}`.
pub(super) fn is_bulk_action(object: &str) -> bool {
    let Ok(BulkAction { index, create, update, delete }) = serde_json::from_str(object) else {
        return false;
    };
    let mut actions = [index, create, update, delete].into_iter().filter_map(|action| action.0);
    let is_target = |target: Box<BulkTarget<'_>>| target.index.0.is_some() || target.id.0.is_some();
    actions.next().is_some_and(is_target) && actions.next().is_none()
}

/// The lists of Kafka or `RabbitMQ` messages by topic or queue in an event of Lambda.
pub(super) fn records_by_queue(object: &str) -> Option<Vec<List<Record<'_>>>> {
    let lists = serde_json::from_str::<RecordsByQueue<'_>>(object).ok()?.lists.0?;
    let lists: BTreeMap<String, List<Record<'_>>> = serde_json::from_str(lists).ok()?;
    let has_data = |list: &List<Record<'_>>| list.0.iter().any(|record| record.data.0.is_some());
    lists.values().any(has_data).then(|| lists.into_values().collect())
}

/// Whether a `ses` object describes mail that SES received: it has a receipt, which no event has.
pub(super) fn is_inbound_mail(ses: &str) -> bool {
    serde_json::from_str::<InboundMail<'_>>(ses).is_ok_and(|mail| mail.receipt.0.is_some())
}

/// The only member of an object that can contain a mail event, unless it was read as a part of the envelope.
pub(super) fn unread_member_with_mail<'a>(
    envelope: &Envelope<'_>,
    object: &'a str,
) -> Option<&'a str> {
    let Envelope { mail, aws_logs, content, ses, detail, body, message, event, .. } = envelope;
    let is_event_read = event.text.get().is_some_and(|text| text.contains('{'))
        || event.object.0.as_ref().is_some_and(|event| event.original.0.is_some());
    if mail.0.is_some() || aws_logs.0.is_some() || is_event_read || has_wrapped_items(envelope) {
        return None;
    }
    let read = [content, ses, detail, body, message].map(|one| one.0);
    only_member_with_mail(object).filter(|member| !read.contains(&Some(*member)))
}

/// Whether an item of a list of records, log events or query results contains a document under a known key. A list
/// can also contain the events themselves.
fn has_wrapped_items(envelope: &Envelope<'_>) -> bool {
    let is_wrapped = |record: &Record<'_>| {
        let Record { body, sns, s3, kinesis, data, dynamodb, ses, .. } = record;
        [body, sns, dynamodb, ses].iter().any(|one| one.0.is_some())
            || s3.0.is_some()
            || kinesis.0.is_some()
            || data.0.is_some()
    };
    envelope.records.0.iter().any(is_wrapped)
        || envelope.log_events.0.iter().any(|event| event.message.0.is_some())
        || envelope.results.0.iter().flat_map(|row| &row.0).any(|field| field.value.0.is_some())
}

/// The member of an object that can contain a mail event, if only one can: an object, a list, or JSON in a string.
fn only_member_with_mail(object: &str) -> Option<&str> {
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_str(object).ok()?;
    // the value of an attribute in `DynamoDB` JSON belongs to the attributes beside it
    members.retain(|key, _| !matches!(key.as_str(), "S" | "M" | "L"));
    let can_contain_mail = |member: &&str| {
        let content = member.trim_start_matches(['"', ' ']);
        content.starts_with(['{', '[']) && mentions_mail(member)
    };
    let mut members = members.into_values().map(RawValue::get).filter(can_contain_mail);
    members.next().filter(|_| members.next().is_none())
}

/// The result of a log line, from the results of its first document and of the text after it: the context of a logger, or
/// further documents.
pub(super) fn result_of_line(
    first: Result<(), Rejection>,
    second: Result<(), Rejection>,
    rest: &str,
    has_events: bool,
) -> Result<(), Rejection> {
    use QuarantineReason::{NotAnEvent, NotJson};
    let is_lost = |rejection: &Rejection| {
        !rejection.is_not_a_mail_event() || rejection.reason == NotJson && mentions_mail(rest)
    };
    match (first, second) {
        (first, Err(rejection)) if is_lost(&rejection) => first.and(Err(rejection)),
        (Err(rejection), _) if has_events && rejection.reason == NotAnEvent => Ok(()),
        (first, _) => first,
    }
}

/// Whether a text can contain a mail event.
pub(super) fn mentions_mail(text: &str) -> bool {
    text.to_ascii_lowercase().contains("mail")
}

/// Whether an envelope is an SNS message; some relays remove `Type`.
pub(super) fn is_sns(envelope: &Envelope<'_>) -> bool {
    if envelope.topic_arn.0.is_some() {
        return envelope.type_name.0.is_some() || envelope.message.0.is_some();
    }
    envelope.message.0.is_some() && envelope.type_name.is("Notification")
}
