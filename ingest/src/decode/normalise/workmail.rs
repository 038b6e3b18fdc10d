//! WorkMail's mail events as rows (facts 4.3). Their documents are thin and disagree; everything that they name is
//! read, and what they do not say stays null.

use std::borrow::Cow;

use bouncewatch_schemas::address;
use bouncewatch_schemas::bounce::BounceClass;
use bouncewatch_schemas::diagnostic;
use bouncewatch_schemas::event::{Channel, EventRow, Kind, Service};
use bouncewatch_schemas::provider;
use bouncewatch_schemas::time::parse_ms;
use bouncewatch_schemas::wire::envelope::{Envelope, WorkMailEvent};

use crate::decode::context::{Context, Sink};
use crate::decode::normalise::recipients::{Addressed, RECIPIENTS_MAX, usable};
use crate::decode::outcome::Reason;
use crate::decode::outcome::Rejected;

fn kind_of(event_name: &str) -> Option<Kind> {
    Some(match event_name {
        "OUTGOING_EMAIL_SUBMITTED" => Kind::Submission,
        "OUTGOING_EMAIL_SENT" => Kind::Send,
        "OUTGOING_EMAIL_BOUNCED" => Kind::Bounce,
        "INCOMING_EMAIL_BOUNCED" => Kind::IncomingBounce,
        "ORGANIZATION_EMAIL_RECEIVED" => Kind::Received,
        "MAILBOX_EMAIL_DELIVERED" => Kind::MailboxDelivery,
        "RULE_APPLIED" => Kind::RuleApplied,
        "JOURNALING_INITIATED" => Kind::Journaling,
        "DMARC_POLICY_APPLIED" => Kind::DmarcPolicy,
        _ => return None,
    })
}

/// Kinds that make no sense without a recipient.
fn needs_recipient(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Submission | Kind::Send | Kind::Bounce | Kind::IncomingBounce | Kind::MailboxDelivery
    )
}

/// Rows of one mail event of WorkMail.
pub(crate) fn workmail(
    envelope: &Envelope<'_>,
    context: Context<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejected> {
    let Some(event) = &envelope.workmail.0 else {
        return Err(Rejected::new(Reason::NotAnEvent, "no `event`"));
    };
    let Some(name) = event.event_name.get() else {
        return Err(Rejected::new(Reason::NotAnEvent, "an `event` without eventName"));
    };
    let Some(kind) = kind_of(name) else {
        let name: String = name.chars().take(40).collect();
        return Err(Rejected::new(Reason::UnknownKind, format!("eventName: {name}")));
    };
    let Some(message_id) = envelope.trace_id.get().or(event.message_id.get()) else {
        return Err(Rejected::new(Reason::NoMessageId, "neither traceId nor event.messageId"));
    };
    let written_at = envelope.sns_timestamp.get().or(envelope.time.get()).and_then(parse_ms);
    let mail_at = event.message_timestamp.get().and_then(parse_ms);
    let Some(event_at) = context.logged_at.or(written_at).or(mail_at) else {
        return Err(Rejected::new(Reason::NoTime, "the log event has no time"));
    };
    let source = event.from.get().or(event.sender.get());
    let source = source.and_then(|source| address::normalise(Cow::Borrowed(source)));
    let base = base(kind, event, message_id, event_at, source.as_deref(), context);
    context.check(&base)?;
    let (recipients, all_usable) = usable(&event.recipients.0);
    if recipients.is_empty() && needs_recipient(kind) {
        return Err(Rejected::new(Reason::NoRecipient, format!("{name} names no recipient")));
    }
    if recipients.len() > RECIPIENTS_MAX {
        return Err(Rejected::new(Reason::TooLarge, format!("{} recipients", recipients.len())));
    }
    sink.event();
    if recipients.is_empty() {
        sink.row(&base);
    }
    for recipient in &recipients {
        row(&base, event, recipient, sink);
    }
    if !all_usable {
        return Err(Rejected::new(
            Reason::NoRecipient,
            format!("{name} names a recipient without address"),
        ));
    }
    Ok(())
}

fn base<'a>(
    kind: Kind,
    event: &'a WorkMailEvent<'_>,
    message_id: &'a str,
    event_at: i64,
    source: Option<&'a str>,
    context: Context<'a>,
) -> EventRow<'a> {
    EventRow {
        kind,
        service: Service::WorkMail,
        channel: Channel::WorkMailLog,
        event_at,
        sent_at: event.message_timestamp.get().and_then(parse_ms),
        published_at: context.published_at,
        received_at: context.received_at,
        message_id,
        feedback_id: None,
        recipient: None,
        recipient_domain: None,
        provider: None,
        source,
        source_domain: source.and_then(address::domain),
        identity: None,
        configuration_set: None,
        account: context.account,
        region: context.region,
        tenant: None,
        tags: &[],
        source_ip: None,
        outgoing_ip: None,
        remote_mta: None,
        reporting_mta: None,
        bounce_type: None,
        bounce_subtype: None,
        complaint_type: None,
        complaint_subtype: None,
        delay_type: None,
        class: None,
        counts: false,
        smtp_code: None,
        enhanced_status: None,
        diagnostic: None,
        cause: None,
        cause_rule: None,
        processing_ms: None,
        expires_at: None,
        link: event.rule_name.get(),
        origin: context.origin,
    }
}

fn row(
    base: &EventRow<'_>,
    event: &WorkMailEvent<'_>,
    recipient: &Addressed<'_>,
    sink: &mut impl Sink,
) {
    let wire = recipient.wire;
    let reason = wire.reason.get().or(wire.diagnostic_code.get()).or(event.reason.get());
    let said =
        diagnostic::read(reason.map(Cow::Borrowed), wire.status.get().or(event.status.get()));
    let domain = address::domain(&recipient.address);
    let bounced = base.kind == Kind::Bounce;
    sink.row(&EventRow {
        recipient: Some(&recipient.address),
        recipient_domain: domain,
        provider: domain
            .map(|domain| provider::provider_of(domain, said.text.as_deref().into_iter())),
        class: bounced.then(|| class_of(said.enhanced_status.as_deref(), said.smtp_code)),
        smtp_code: said.smtp_code,
        enhanced_status: said.enhanced_status.as_deref(),
        diagnostic: said.text.as_deref(),
        ..base.clone()
    });
}

/// WorkMail has no hard and soft: the class digit of the status tells, else the reply code.
fn class_of(status: Option<&str>, smtp_code: Option<u16>) -> BounceClass {
    let class = status.and_then(|status| status.bytes().next()).map(char::from);
    match (class, smtp_code) {
        (Some('5'), _) | (None, Some(500..)) => BounceClass::Hard,
        (Some('4'), _) | (None, Some(_)) => BounceClass::Soft,
        _ => BounceClass::Undetermined,
    }
}
