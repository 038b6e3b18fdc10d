//! Rows of WorkMail mail events ("Monitoring WorkMail email event logs" in the WorkMail administrator guide). The
//! events have fewer fields than SES events; missing values are null.

use std::borrow::Cow;

use bouncewatch_schemas::address;
use bouncewatch_schemas::bounce::BounceClass;
use bouncewatch_schemas::diagnostic;
use bouncewatch_schemas::event::{Channel, EventKind, EventRow, Service};
use bouncewatch_schemas::provider;
use bouncewatch_schemas::time::parse_ms;
use bouncewatch_schemas::wire::envelope::{Envelope, WorkMailEvent};

use crate::decode::context::{DecodeContext, Sink};
use crate::decode::limits;
use crate::decode::normalise::recipients::{RECIPIENTS_MAX, UsableRecipient, usable_recipients};
use crate::decode::outcome::{QuarantineReason, Rejection};

fn kind_of(event_name: &str) -> Option<EventKind> {
    Some(match event_name {
        "OUTGOING_EMAIL_SUBMITTED" => EventKind::Submission,
        "OUTGOING_EMAIL_SENT" => EventKind::Send,
        "OUTGOING_EMAIL_BOUNCED" => EventKind::Bounce,
        "INCOMING_EMAIL_BOUNCED" => EventKind::IncomingBounce,
        "ORGANIZATION_EMAIL_RECEIVED" => EventKind::Received,
        "MAILBOX_EMAIL_DELIVERED" => EventKind::MailboxDelivery,
        "RULE_APPLIED" => EventKind::RuleApplied,
        "JOURNALING_INITIATED" => EventKind::Journaling,
        "DMARC_POLICY_APPLIED" => EventKind::DmarcPolicy,
        _ => return None,
    })
}

/// Whether an event of this kind must name a recipient.
fn needs_recipient(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Submission
            | EventKind::Send
            | EventKind::Bounce
            | EventKind::IncomingBounce
            | EventKind::MailboxDelivery
    )
}

/// Sends the rows of a WorkMail mail event to the sink.
pub(crate) fn workmail_rows(
    envelope: &Envelope<'_>,
    mut context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    let Some(event) = &envelope.event.object.0 else {
        return Err(Rejection::new(QuarantineReason::NotAnEvent, "`event` is missing"));
    };
    let Some(name) = event.event_name.trimmed() else {
        return Err(Rejection::new(QuarantineReason::NotAnEvent, "`event.eventName` is missing"));
    };
    let Some(kind) = kind_of(name) else {
        let name: String = name.chars().take(40).collect();
        return Err(Rejection::new(
            QuarantineReason::UnknownKind,
            format!("unknown eventName: {name}"),
        ));
    };
    let Some(message_id) = envelope.trace_id.get().or(event.message_id.get()) else {
        return Err(Rejection::new(
            QuarantineReason::NoMessageId,
            "`traceId` and `event.messageId` are missing",
        ));
    };
    let reported_at = envelope.timestamp.get().or(envelope.time.get()).and_then(parse_ms);
    let mail_at = event.message_timestamp.get().and_then(parse_ms);
    let own_time = context.logged_at.or(reported_at).or(mail_at);
    let Some(event_at) = own_time.or_else(|| context.time_of_envelopes()) else {
        return Err(Rejection::new(QuarantineReason::NoTime, "the log event has no time"));
    };
    if own_time.is_none() {
        // marks a row with the time of an envelope, as for SES events
        context.published_at = Some(event_at);
    }
    let source = event.from.get().or(event.sender.get());
    let source = source.and_then(|source| address::normalise(Cow::Borrowed(source)));
    let base = base(kind, event, message_id, event_at, source.as_deref(), context);
    context.check(&base)?;
    limits::check(&base, sink)?;
    let (recipients, all_usable) = usable_recipients(&event.recipients.0);
    if recipients.is_empty() && needs_recipient(kind) {
        return Err(Rejection::new(
            QuarantineReason::NoRecipient,
            format!("{name} names no recipient"),
        ));
    }
    if recipients.len() > RECIPIENTS_MAX {
        return Err(Rejection::new(
            QuarantineReason::TooLarge,
            format!("{} recipients", recipients.len()),
        ));
    }
    sink.event();
    if recipients.is_empty() {
        sink.row(&base);
    }
    for recipient in &recipients {
        row(&base, event, recipient, sink);
    }
    if !all_usable {
        return Err(Rejection::new(
            QuarantineReason::NoRecipient,
            format!("{name} names a recipient without an address"),
        ));
    }
    Ok(())
}

fn base<'a>(
    kind: EventKind,
    event: &'a WorkMailEvent<'_>,
    message_id: &'a str,
    event_at: i64,
    source: Option<&'a str>,
    context: DecodeContext<'a>,
) -> EventRow<'a> {
    EventRow {
        service: Service::WorkMail,
        channel: Channel::WorkMailLog,
        event_at,
        sent_at: event.message_timestamp.get().and_then(parse_ms),
        published_at: context.published_at,
        received_at: context.received_at,
        message_id,
        source,
        source_domain: source.and_then(address::domain),
        account: context.account,
        region: context.region,
        link: event.rule_name.get(),
        origin: context.origin,
        ..EventRow::of_kind(kind)
    }
}

fn row(
    base: &EventRow<'_>,
    event: &WorkMailEvent<'_>,
    recipient: &UsableRecipient<'_>,
    sink: &mut impl Sink,
) {
    let wire = recipient.wire;
    let reason = wire.reason.get().or(wire.diagnostic_code.get()).or(event.reason.get());
    let diagnostic =
        diagnostic::parse(reason.map(Cow::Borrowed), wire.status.get().or(event.status.get()));
    let domain = address::domain(&recipient.address);
    let is_bounce = base.kind == EventKind::Bounce;
    sink.row(&EventRow {
        recipient: Some(&recipient.address),
        recipient_domain: domain,
        provider: domain
            .map(|domain| provider::provider_of(domain, diagnostic.text.as_deref().into_iter())),
        class: is_bounce
            .then(|| class_of(diagnostic.enhanced_status.as_deref(), diagnostic.smtp_code)),
        smtp_code: diagnostic.smtp_code,
        enhanced_status: diagnostic.enhanced_status.as_deref(),
        diagnostic: diagnostic.text.as_deref(),
        ..base.clone()
    });
}

/// WorkMail does not report whether a bounce is hard or soft. The class comes from the enhanced
/// status code or, if that is missing, from the SMTP reply code.
fn class_of(status: Option<&str>, smtp_code: Option<u16>) -> BounceClass {
    let class = status.and_then(|status| status.bytes().next()).map(char::from);
    match (class, smtp_code) {
        (Some('5'), _) | (None, Some(500..)) => BounceClass::Hard,
        (Some('4'), _) | (None, Some(_)) => BounceClass::Soft,
        _ => BounceClass::Undetermined,
    }
}
