//! Recognises envelopes and notices by their keys.

use std::collections::BTreeMap;

use bouncewatch_schemas::wire::envelope::{Envelope, InboundMail};
use serde_json::value::RawValue;

use crate::decode::outcome::IgnoreReason;

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

/// Whether a `ses` object describes mail that SES received: it has a receipt, which no event has.
pub(super) fn is_inbound_mail(ses: &str) -> bool {
    serde_json::from_str::<InboundMail<'_>>(ses).is_ok_and(|mail| mail.receipt.0.is_some())
}

/// Whether no key of an envelope shows where its content is, so that no part of it was read.
pub(super) fn is_unknown(envelope: &Envelope<'_>) -> bool {
    let Envelope { mail, records, results, log_events, aws_logs, body, detail, content, .. } =
        envelope;
    let has_content = mail.0.is_some()
        || aws_logs.0.is_some()
        || [body, detail, content].iter().any(|one| one.0.is_some());
    // a log line can have a message beside the event
    let has_message = envelope.message.0.is_some_and(|message| message.contains('{'));
    let has_list = !(records.0.is_empty() && results.0.is_empty() && log_events.0.is_empty());
    !(has_content || has_message || has_list)
}

/// The member of an object that can contain a mail event, if only one can: an object, a list, or JSON in a string.
pub(super) fn only_member_with_mail(object: &str) -> Option<&str> {
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_str(object).ok()?;
    // the value of an attribute in `DynamoDB` JSON belongs to the attributes beside it
    members.retain(|key, _| !matches!(key.as_str(), "S" | "M" | "L"));
    let can_contain_mail = |member: &&str| {
        let content = member.trim_start_matches(['"', ' ']);
        content.starts_with(['{', '[']) && member.to_ascii_lowercase().contains("mail")
    };
    let mut members = members.into_values().map(RawValue::get).filter(can_contain_mail);
    members.next().filter(|_| members.next().is_none())
}

/// Whether an envelope is an SNS message; some relays remove `Type`.
pub(super) fn is_sns(envelope: &Envelope<'_>) -> bool {
    if envelope.topic_arn.0.is_some() {
        return envelope.type_name.0.is_some() || envelope.message.0.is_some();
    }
    envelope.message.0.is_some() && envelope.type_name.is("Notification")
}
