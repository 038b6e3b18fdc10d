//! Recognises envelopes and notices by their keys.

use bouncewatch_schemas::wire::envelope::Envelope;

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
    if envelope.inbound.0.is_some() {
        return Some(IgnoreReason::InboundMail);
    }
    envelope.summary_version.0.is_some().then_some(IgnoreReason::WorkMailMessageFlow)
}

/// Whether an envelope is an SNS message; some relays remove `Type`.
pub(super) fn is_sns(envelope: &Envelope<'_>) -> bool {
    if envelope.topic_arn.0.is_some() {
        return envelope.type_name.0.is_some() || envelope.message.0.is_some();
    }
    envelope.message.0.is_some() && envelope.type_name.is("Notification")
}
