//! Rows of account events: sending enabled or disabled, and findings of AWS. SES sends them to the
//! default event bus of EventBridge ("Setting up EventBridge notifications" in the SES developer
//! guide). They do not concern a mail and do not count in any rate.

use std::borrow::Cow;

use bouncewatch_schemas::event::{Channel, EventKind, EventRow};
use bouncewatch_schemas::table::{FINDING_TYPE_TAG, IMPACT_TAG, ORIGIN_TAG};
use bouncewatch_schemas::wire::account::AccountDetail;
use bouncewatch_schemas::wire::envelope::Envelope;

use crate::decode::arn::arn_parts;
use crate::decode::context::{DecodeContext, Sink};
use crate::decode::limits;
use crate::decode::outcome::{QuarantineReason, Rejection};

/// The kind of an account event; `None` for other events. The SES developer guide calls the last
/// type `Closed`, the EventBridge reference calls it `Resolved`.
pub(crate) fn account_kind(detail_type: &str) -> Option<EventKind> {
    match detail_type {
        "Sending Status Disabled" => Some(EventKind::SendingDisabled),
        "Sending Status Enabled" => Some(EventKind::SendingEnabled),
        "Advisor Recommendation Status Open" => Some(EventKind::SendingFindingOpen),
        "Advisor Recommendation Status Resolved" | "Advisor Recommendation Status Closed" => {
            Some(EventKind::SendingFindingResolved)
        }
        _ => None,
    }
}

/// Sends the row of an account event to the sink.
pub(crate) fn account_row(
    kind: EventKind,
    envelope: &Envelope<'_>,
    detail: &AccountDetail<'_>,
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    let Some(id) = envelope.id.get() else {
        return Err(Rejection::new(QuarantineReason::NoMessageId, "`id` is missing"));
    };
    let Some(event_at) = context.time_of_envelopes() else {
        return Err(Rejection::new(QuarantineReason::NoTime, "`time` is missing"));
    };
    let resource = envelope.resources.0.iter().find_map(|arn| arn_parts(arn.get()?)[2]);
    let name_of = |kind: &str| {
        let name = resource?.strip_prefix(kind)?.strip_prefix('/')?;
        Some(name.split_once('/').map_or(name, |(name, _)| name))
    };
    let data = detail.data.object.0.as_deref();
    let metadata = detail.metadata.0.as_deref();
    let impact = metadata.and_then(|finding| finding.impact.get());
    let finding_type = metadata.and_then(|finding| finding.finding_type.get());
    let tags = [
        (ORIGIN_TAG, data.and_then(|data| data.origin.get())),
        (IMPACT_TAG, impact.or(data.and_then(|data| data.impact.get()))),
        (FINDING_TYPE_TAG, finding_type.or(data.and_then(|data| data.finding_type.get()))),
    ];
    let tags: Vec<(Cow<'_, str>, Cow<'_, str>)> =
        tags.into_iter().filter_map(|(name, value)| Some((name.into(), value?.into()))).collect();
    let cause = data.and_then(|data| data.record.0.as_ref()?.cause.get());
    let description = data.and_then(|data| data.description.get());
    let row = EventRow {
        channel: Channel::EventBus,
        event_at,
        published_at: context.published_at,
        received_at: context.received_at,
        message_id: id,
        identity: name_of("identity"),
        configuration_set: name_of("configuration-set"),
        tenant: name_of("tenant"),
        account: context.account,
        region: context.region,
        tags: &tags,
        diagnostic: detail.data.text.get().or(cause).or(description),
        origin: context.origin,
        ..EventRow::of_kind(kind)
    };
    context.check(&row)?;
    limits::check(&row, sink)?;
    sink.event();
    sink.row(&row);
    Ok(())
}
