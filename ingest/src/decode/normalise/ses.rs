//! Rows of SES events, one for each recipient of the event ("Contents of Amazon SES notifications" and "Examples of
//! event data" in the SES developer guide).

use std::borrow::Cow;

use bouncewatch_schemas::address;
use bouncewatch_schemas::bounce;
use bouncewatch_schemas::diagnostic::{self, Diagnostic};
use bouncewatch_schemas::event::{Channel, EventKind, EventRow};
use bouncewatch_schemas::provider;
use bouncewatch_schemas::time::{message_id_time_ms, parse_ms};
use bouncewatch_schemas::wire::envelope::Envelope;
use bouncewatch_schemas::wire::ses::{Detail, Mail, Recipient, RecipientObject};

use crate::decode::arn::arn_parts;
use crate::decode::context::{DecodeContext, Sink};
use crate::decode::limits;
use crate::decode::normalise::recipients::{
    DsnAction, RECIPIENTS_MAX, UsableRecipient, dsn_action, only_destination, split_destinations,
    usable_recipients,
};
use crate::decode::outcome::{IgnoreReason, QuarantineReason, Rejection};

/// Maximum plausible difference between two clocks, milliseconds.
const CLOCK_SKEW_MAX_MS: i64 = 3_600_000;
/// Maximum number of tags of one message. SES messages have at most a few dozen.
const TAGS_MAX: usize = 500;
/// Maximum number of characters of an unknown event type that an error quotes.
const QUOTED_CHARS_MAX: usize = 40;

/// Sends the rows of an SES event to the sink.
pub(crate) fn ses_rows(
    envelope: &Envelope<'_>,
    mut context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    let event_type = envelope.event_type.get().or(envelope.notification_type.get());
    if event_type.is_some_and(|text| is_type(text, "amazonsnssubscriptionsucceeded")) {
        sink.ignored(IgnoreReason::FeedbackTopicSubscribed);
        return Ok(());
    }
    if event_type.is_some_and(|text| is_type(text, "received")) {
        sink.ignored(IgnoreReason::InboundMail);
        return Ok(());
    }
    let kind = event_type.and_then(kind_of);
    let Some(mail) = &envelope.mail.0 else {
        return Err(Rejection::new(QuarantineReason::NotAnEvent, "an event type without `mail`"));
    };
    let Some(kind) = kind else {
        let event_type: String =
            event_type.unwrap_or("(none)").chars().take(QUOTED_CHARS_MAX).collect();
        return Err(Rejection::new(
            QuarantineReason::UnknownKind,
            format!("unknown event type: {event_type}"),
        ));
    };
    let Some(message_id) = mail.message_id.get() else {
        return Err(Rejection::new(QuarantineReason::NoMessageId, "`mail.messageId` is missing"));
    };
    if mail.tags.0.len() > TAGS_MAX {
        return Err(Rejection::new(
            QuarantineReason::TooLarge,
            format!("{} message tags", mail.tags.0.len()),
        ));
    }
    let no_detail = Detail::default();
    let detail = detail_of(kind, envelope);
    let has_detail = detail.is_some();
    let detail = detail.unwrap_or(&no_detail);
    let sent_at =
        mail.timestamp.get().and_then(parse_ms).or_else(|| message_id_time_ms(message_id));
    let reported_at = detail.timestamp.get().and_then(parse_ms);
    let reported_at = reported_at.map(|time| plausible_time(time, sent_at, &context));
    // if the time of an event is unreadable, that of an envelope is nearer than the time of sending
    let is_unreadable = reported_at.is_none() && detail.timestamp.get().is_some();
    let nearest = is_unreadable.then(|| context.time_of_envelopes()).flatten();
    let own_time = reported_at.or(nearest).or(sent_at);
    let Some(happened_at) = own_time.or_else(|| context.time_of_envelopes()) else {
        return Err(Rejection::new(
            QuarantineReason::NoTime,
            "neither the event nor the mail nor an envelope has a readable time",
        ));
    };
    if own_time.is_none() {
        // marks a row with the time of an envelope: `published_at` equals `event_at`, `sent_at` is
        // null
        context.published_at = Some(happened_at);
    }
    let published = envelope.event_type.0.is_some()
        || context.channel == Some(Channel::EventPublishing)
        || !mail.tags.0.is_empty();
    let event = SesEvent {
        kind,
        mail,
        destinations: split_destinations(&mail.destination.0),
        detail,
        message_id,
        sent_at,
        happened_at,
        has_detail,
        published,
        context,
    };
    event.rows(sink)
}

/// Limits the time of an event to the time between the sending of the mail and the report: the
/// clock of a remote MTA may be wrong by years. Differences up to [`CLOCK_SKEW_MAX_MS`] are kept.
fn plausible_time(time: i64, sent_at: Option<i64>, context: &DecodeContext<'_>) -> i64 {
    let latest = context.published_at.unwrap_or(context.received_at);
    if time > latest.saturating_add(CLOCK_SKEW_MAX_MS) {
        return latest;
    }
    sent_at.filter(|sent| time < sent.saturating_sub(CLOCK_SKEW_MAX_MS)).unwrap_or(time)
}

/// Whether a text is the type `known`, which is in lower case. Ignores case, spaces, underscores
/// and hyphens: `Rendering Failure` and `RENDERING_FAILURE` are the same type.
fn is_type(text: &str, known: &str) -> bool {
    let letters = text.bytes().filter(|byte| !matches!(byte, b' ' | b'_' | b'-'));
    letters.map(|byte| byte.to_ascii_lowercase()).eq(known.bytes())
}

/// The event types, most frequent first.
const KINDS: [(&str, EventKind); 10] = [
    ("send", EventKind::Send),
    ("delivery", EventKind::Delivery),
    ("bounce", EventKind::Bounce),
    ("open", EventKind::Open),
    ("click", EventKind::Click),
    ("complaint", EventKind::Complaint),
    ("deliverydelay", EventKind::DeliveryDelay),
    ("reject", EventKind::Reject),
    ("renderingfailure", EventKind::RenderingFailure),
    ("subscription", EventKind::Subscription),
];

fn kind_of(event_type: &str) -> Option<EventKind> {
    KINDS.iter().find(|(known, _)| is_type(event_type, known)).map(|(_, kind)| *kind)
}

/// The detail object of an event, under the key of its kind.
fn detail_of<'e, 'a>(kind: EventKind, envelope: &'e Envelope<'a>) -> Option<&'e Detail<'a>> {
    let object = match kind {
        EventKind::Bounce => &envelope.bounce,
        EventKind::Complaint => &envelope.complaint,
        EventKind::Delivery => &envelope.delivery,
        EventKind::Send => &envelope.send,
        EventKind::Reject => &envelope.reject,
        EventKind::Open => &envelope.open,
        EventKind::Click => &envelope.click,
        EventKind::RenderingFailure => &envelope.failure,
        EventKind::DeliveryDelay => &envelope.delivery_delay,
        EventKind::Subscription => &envelope.subscription,
        _ => return None,
    };
    object.0.as_deref()
}

/// A validated event.
struct SesEvent<'a> {
    kind: EventKind,
    mail: &'a Mail<'a>,
    /// The destinations, if they differ from those of `mail`.
    destinations: Option<Vec<Recipient<'a>>>,
    detail: &'a Detail<'a>,
    message_id: &'a str,
    sent_at: Option<i64>,
    happened_at: i64,
    /// Whether the event has a detail object.
    has_detail: bool,
    published: bool,
    context: DecodeContext<'a>,
}

impl<'a> SesEvent<'a> {
    fn rows(&self, sink: &mut impl Sink) -> Result<(), Rejection> {
        let source =
            self.mail.source.get().and_then(|source| address::normalise(Cow::Borrowed(source)));
        let base = self.base(source.as_deref());
        self.context.check(&base)?;
        limits::check(&base, sink)?;
        if matches!(self.kind, EventKind::Open | EventKind::Click | EventKind::Subscription) {
            sink.event();
            sink.row(&base);
            return Ok(());
        }
        let (recipients, all_usable) = match self.kind {
            EventKind::Send | EventKind::Reject | EventKind::RenderingFailure => {
                usable_recipients(self.destinations())
            }
            _ => self.reported_recipients(),
        };
        if recipients.is_empty() {
            return Err(Rejection::new(
                QuarantineReason::NoRecipient,
                format!("the {} names no recipient", self.kind.as_str()),
            ));
        }
        if recipients.len() > RECIPIENTS_MAX {
            return Err(Rejection::new(
                QuarantineReason::TooLarge,
                format!("{} recipients", recipients.len()),
            ));
        }
        sink.event();
        for recipient in &recipients {
            self.row(&base, recipient, sink);
        }
        if !all_usable {
            let detail = format!("the {} names a recipient without an address", self.kind.as_str());
            return Err(Rejection::new(QuarantineReason::NoRecipient, detail));
        }
        Ok(())
    }

    fn destinations(&self) -> &[Recipient<'a>] {
        self.destinations.as_ref().unwrap_or(&self.mail.destination.0)
    }

    /// The recipients of a report, and whether every entry is usable.
    fn reported_recipients(&self) -> (Vec<UsableRecipient<'_>>, bool) {
        let reported = &self.detail.recipients.0;
        if let [destination] = self.destinations()
            && self.has_detail
            && let Some(recipient) = only_destination(destination, reported)
        {
            return (vec![recipient], true);
        }
        usable_recipients(reported)
    }

    /// A row with the values that are the same for all recipients.
    fn base<'r>(&'r self, source: Option<&'r str>) -> EventRow<'r>
    where
        'a: 'r,
    {
        let (mail, detail) = (self.mail, self.detail);
        // `arn:aws:ses:REGION:ACCOUNT:identity/IDENTITY`
        let arn = mail.source_arn.get().filter(|arn| arn.starts_with("arn:"));
        let [region, account, resource] = arn.map(arn_parts).unwrap_or_default();
        EventRow {
            channel: if self.published {
                Channel::EventPublishing
            } else {
                Channel::IdentityFeedback
            },
            event_at: self.happened_at,
            sent_at: self.sent_at,
            published_at: self.context.published_at,
            received_at: self.context.received_at,
            message_id: self.message_id,
            feedback_id: detail.feedback_id.get(),
            source,
            source_domain: source.and_then(address::domain),
            identity: resource.and_then(|resource| resource.strip_prefix("identity/")),
            configuration_set: mail.tags.first("ses:configuration-set"),
            account: mail.sending_account_id.get().or(account).or(self.context.account),
            region: region.or(self.context.region),
            tenant: mail.tags.first("ses:tenant-name"),
            tags: &mail.tags.0,
            source_ip: mail.source_ip.get().or(mail.tags.first("ses:source-ip")),
            outgoing_ip: mail.tags.first("ses:outgoing-ip"),
            remote_mta: detail.remote_mta_ip.get(),
            reporting_mta: detail.reporting_mta.get().and_then(diagnostic::mta_name),
            bounce_type: detail.bounce_type.trimmed(),
            bounce_subtype: detail.bounce_sub_type.trimmed(),
            complaint_type: detail.complaint_feedback_type.trimmed(),
            complaint_subtype: detail.complaint_sub_type.trimmed(),
            delay_type: detail.delay_type.trimmed(),
            processing_ms: detail.processing_time_millis.get().and_then(|text| text.parse().ok()),
            expires_at: detail.expiration_time.get().and_then(parse_ms),
            link: detail.link.get(),
            origin: self.context.origin,
            ..EventRow::of_kind(self.kind)
        }
    }

    fn row(&self, base: &EventRow<'_>, recipient: &UsableRecipient<'_>, sink: &mut impl Sink) {
        let diagnostic = self.diagnostic(recipient.wire);
        let domain = address::domain(&recipient.address);
        let texts = base.reporting_mta.into_iter().chain(diagnostic.text.as_deref());
        let row = EventRow {
            recipient: Some(&recipient.address),
            reported_recipient: recipient.reported.as_deref(),
            recipient_domain: domain,
            provider: domain.map(|domain| provider::provider_of(domain, texts)),
            smtp_code: diagnostic.smtp_code,
            enhanced_status: diagnostic.enhanced_status.as_deref(),
            diagnostic: diagnostic.text.as_deref(),
            ..base.clone()
        };
        if self.kind != EventKind::Bounce {
            sink.row(&row);
            return;
        }
        match dsn_action(recipient.wire) {
            DsnAction::Delayed => sink.row(&EventRow { kind: EventKind::DeliveryDelay, ..row }),
            DsnAction::Delivered => sink.row(&EventRow { kind: EventKind::Delivery, ..row }),
            DsnAction::Failed => {
                let (class, counts) = bounce::classify(
                    base.bounce_type,
                    base.bounce_subtype,
                    has_dsn(recipient.wire),
                );
                let is_simulated = domain == Some(bounce::SIMULATOR_DOMAIN);
                sink.row(&EventRow { class: Some(class), counts: counts && !is_simulated, ..row });
            }
        }
    }

    /// The reply of the remote MTA, or the error of SES, for one recipient.
    fn diagnostic<'r>(&'r self, recipient: &'r RecipientObject<'r>) -> Diagnostic<'r> {
        let text = match self.kind {
            EventKind::Bounce | EventKind::DeliveryDelay => recipient.diagnostic_code.get(),
            EventKind::Delivery => self.detail.smtp_response.get(),
            EventKind::Reject => self.detail.reason.get(),
            EventKind::RenderingFailure => self.detail.error_message.get(),
            _ => None,
        };
        diagnostic::parse(text.map(Cow::Borrowed), recipient.status.get())
    }
}

/// Whether the bounce has a delivery status notification. An automatic reply has none.
fn has_dsn(recipient: &RecipientObject<'_>) -> bool {
    recipient.action.0.is_some()
        || recipient.status.0.is_some()
        || recipient.diagnostic_code.0.is_some()
}
