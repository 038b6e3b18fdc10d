//! SES's events as rows: one per recipient that the event is about (facts 1 and 2).

use std::borrow::Cow;

use bouncewatch_schemas::address;
use bouncewatch_schemas::bounce;
use bouncewatch_schemas::diagnostic::{self, Diagnostic};
use bouncewatch_schemas::event::{Channel, EventRow, Kind, Service};
use bouncewatch_schemas::provider;
use bouncewatch_schemas::time::{message_id_clock_ms, parse_ms};
use bouncewatch_schemas::wire::envelope::Envelope;
use bouncewatch_schemas::wire::ses::{Detail, Mail, RecipientObject};

use crate::decode::arn::arn_parts;
use crate::decode::context::{Context, Sink};
use crate::decode::normalise::recipients::{Action, Addressed, RECIPIENTS_MAX, action, usable};
use crate::decode::outcome::Ignored;
use crate::decode::outcome::Reason;
use crate::decode::outcome::Rejected;

/// By how much clocks may disagree before one of them is wrong.
const CLOCK_SLACK_MS: i64 = 3_600_000;
/// Tags that one message may have; SES allows a few dozen.
const TAGS_MAX: usize = 500;
/// Longest type word that is quoted in a message.
const QUOTED_CHARS_MAX: usize = 40;

/// Rows of one SES event.
pub(crate) fn ses(
    envelope: &Envelope<'_>,
    context: Context<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejected> {
    let word = envelope.event_type.get().or(envelope.notification_type.get());
    if word.is_some_and(|word| is_type_word(word, "amazonsnssubscriptionsucceeded")) {
        sink.ignored(Ignored::FeedbackTopicSubscribed);
        return Ok(());
    }
    if word.is_some_and(|word| is_type_word(word, "received")) {
        sink.ignored(Ignored::InboundMail);
        return Ok(());
    }
    let kind = word.and_then(kind_of);
    let Some(mail) = &envelope.mail.0 else {
        return Err(Rejected::new(Reason::NotAnEvent, "a type word, but no `mail`"));
    };
    let Some(kind) = kind else {
        let word: String = word.unwrap_or("(none)").chars().take(QUOTED_CHARS_MAX).collect();
        return Err(Rejected::new(Reason::UnknownKind, format!("type word: {word}")));
    };
    let Some(message_id) = mail.message_id.get() else {
        return Err(Rejected::new(Reason::NoMessageId, "mail.messageId is missing"));
    };
    if mail.tags.0.len() > TAGS_MAX {
        return Err(Rejected::new(Reason::TooLarge, format!("{} message tags", mail.tags.0.len())));
    }
    let nothing = Detail::default();
    let found = detail_of(kind, envelope);
    let has_detail = found.is_some();
    let detail = found.unwrap_or(&nothing);
    let sent_at =
        mail.timestamp.get().and_then(parse_ms).or_else(|| message_id_clock_ms(message_id));
    let reported_at = detail.timestamp.get().and_then(parse_ms);
    let reported_at = reported_at.map(|time| plausible(time, sent_at, &context));
    let Some(happened_at) = reported_at.or(sent_at) else {
        return Err(Rejected::new(
            Reason::NoTime,
            "neither the event nor the mail has a readable time",
        ));
    };
    let published = envelope.event_type.0.is_some()
        || context.channel == Some(Channel::EventPublishing)
        || !mail.tags.0.is_empty();
    let event = Event {
        kind,
        mail,
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

/// The time of an event by a foreign clock, which may be wrong by years: never before its mail was sent, nor after it
/// was reported. Small differences are ordinary and stay (facts 1.9).
fn plausible(time: i64, sent_at: Option<i64>, context: &Context<'_>) -> i64 {
    let latest = context.published_at.unwrap_or(context.received_at);
    if time > latest.saturating_add(CLOCK_SLACK_MS) {
        return latest;
    }
    sent_at.filter(|sent| time < sent.saturating_sub(CLOCK_SLACK_MS)).unwrap_or(time)
}

/// Whether a word is a type word, without case, blanks and underscores: `Rendering Failure` and `RENDERING_FAILURE` are
/// one.
fn is_type_word(word: &str, known: &str) -> bool {
    let letters = word.bytes().filter(|byte| !matches!(byte, b' ' | b'_' | b'-'));
    letters.map(|byte| byte.to_ascii_lowercase()).eq(known.bytes())
}

/// Type words, those that come most first.
const KINDS: [(&str, Kind); 10] = [
    ("send", Kind::Send),
    ("delivery", Kind::Delivery),
    ("bounce", Kind::Bounce),
    ("open", Kind::Open),
    ("click", Kind::Click),
    ("complaint", Kind::Complaint),
    ("deliverydelay", Kind::DeliveryDelay),
    ("reject", Kind::Reject),
    ("renderingfailure", Kind::RenderingFailure),
    ("subscription", Kind::Subscription),
];

fn kind_of(word: &str) -> Option<Kind> {
    KINDS.iter().find(|(known, _)| is_type_word(word, known)).map(|(_, kind)| *kind)
}

/// The detail of an event, under the key that its kind has.
fn detail_of<'e, 'a>(kind: Kind, envelope: &'e Envelope<'a>) -> Option<&'e Detail<'a>> {
    let object = match kind {
        Kind::Bounce => &envelope.bounce,
        Kind::Complaint => &envelope.complaint,
        Kind::Delivery => &envelope.delivery,
        Kind::Send => &envelope.send,
        Kind::Reject => &envelope.reject,
        Kind::Open => &envelope.open,
        Kind::Click => &envelope.click,
        Kind::RenderingFailure => &envelope.failure,
        Kind::DeliveryDelay => &envelope.delivery_delay,
        Kind::Subscription => &envelope.subscription,
        _ => return None,
    };
    object.0.as_deref()
}

/// An event with what identifies it.
struct Event<'a> {
    kind: Kind,
    mail: &'a Mail<'a>,
    detail: &'a Detail<'a>,
    message_id: &'a str,
    sent_at: Option<i64>,
    happened_at: i64,
    /// Whether the event says anything but its type.
    has_detail: bool,
    published: bool,
    context: Context<'a>,
}

impl<'a> Event<'a> {
    fn rows(&self, sink: &mut impl Sink) -> Result<(), Rejected> {
        let source =
            self.mail.source.get().and_then(|source| address::normalise(Cow::Borrowed(source)));
        let base = self.base(source.as_deref());
        self.context.check(&base)?;
        if matches!(self.kind, Kind::Open | Kind::Click | Kind::Subscription) {
            sink.event();
            sink.row(&base);
            return Ok(());
        }
        let (mut recipients, mut all_usable) = match self.kind {
            Kind::Send | Kind::Reject | Kind::RenderingFailure => usable(&self.mail.destination.0),
            _ => usable(&self.detail.recipients.0),
        };
        if recipients.is_empty() && self.has_detail && self.mail.destination.0.len() == 1 {
            // who else could it be about
            (recipients, all_usable) = usable(&self.mail.destination.0);
        }
        if recipients.is_empty() {
            return Err(Rejected::new(
                Reason::NoRecipient,
                format!("the {} names no recipient", self.kind.as_str()),
            ));
        }
        if recipients.len() > RECIPIENTS_MAX {
            return Err(Rejected::new(
                Reason::TooLarge,
                format!("{} recipients", recipients.len()),
            ));
        }
        sink.event();
        for recipient in &recipients {
            self.row(&base, recipient, sink);
        }
        if !all_usable {
            let detail = format!(
                "the {} names a recipient without address beside others",
                self.kind.as_str()
            );
            return Err(Rejected::new(Reason::NoRecipient, detail));
        }
        Ok(())
    }

    /// The row as far as it is the same for all recipients.
    fn base<'r>(&'r self, source: Option<&'r str>) -> EventRow<'r>
    where
        'a: 'r,
    {
        let (mail, detail) = (self.mail, self.detail);
        // `arn:aws:ses:REGION:ACCOUNT:identity/IDENTITY`
        let arn = mail.source_arn.get().filter(|arn| arn.starts_with("arn:"));
        let [region, account, resource] = arn.map(arn_parts).unwrap_or_default();
        EventRow {
            kind: self.kind,
            service: Service::Ses,
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
            recipient: None,
            recipient_domain: None,
            provider: None,
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
            bounce_type: detail.bounce_type.get(),
            bounce_subtype: detail.bounce_sub_type.get(),
            complaint_type: detail.complaint_feedback_type.get(),
            complaint_subtype: detail.complaint_sub_type.get(),
            delay_type: detail.delay_type.get(),
            class: None,
            counts: false,
            smtp_code: None,
            enhanced_status: None,
            diagnostic: None,
            cause: None,
            cause_rule: None,
            processing_ms: detail.processing_time_millis.get().and_then(|text| text.parse().ok()),
            expires_at: detail.expiration_time.get().and_then(parse_ms),
            link: detail.link.get(),
            origin: self.context.origin,
        }
    }

    fn row(&self, base: &EventRow<'_>, recipient: &Addressed<'_>, sink: &mut impl Sink) {
        let said = self.said(recipient.wire);
        let domain = address::domain(&recipient.address);
        let texts = base.reporting_mta.into_iter().chain(said.text.as_deref());
        let row = EventRow {
            recipient: Some(&recipient.address),
            recipient_domain: domain,
            provider: domain.map(|domain| provider::provider_of(domain, texts)),
            smtp_code: said.smtp_code,
            enhanced_status: said.enhanced_status.as_deref(),
            diagnostic: said.text.as_deref(),
            ..base.clone()
        };
        if self.kind != Kind::Bounce {
            sink.row(&row);
            return;
        }
        match action(recipient.wire) {
            Action::Delayed => sink.row(&EventRow { kind: Kind::DeliveryDelay, ..row }),
            Action::Delivered => sink.row(&EventRow { kind: Kind::Delivery, ..row }),
            Action::Failed => {
                let (class, counts) = bounce::classify(
                    base.bounce_type,
                    base.bounce_subtype,
                    has_report(recipient.wire),
                );
                let simulated = domain == Some(bounce::SIMULATOR_DOMAIN);
                sink.row(&EventRow { class: Some(class), counts: counts && !simulated, ..row });
            }
        }
    }

    /// What the remote server, or SES, said about one recipient.
    fn said<'r>(&'r self, recipient: &'r RecipientObject<'r>) -> Diagnostic<'r> {
        let text = match self.kind {
            Kind::Bounce | Kind::DeliveryDelay => recipient.diagnostic_code.get(),
            Kind::Delivery => self.detail.smtp_response.get(),
            Kind::Reject => self.detail.reason.get(),
            Kind::RenderingFailure => self.detail.error_message.get(),
            _ => None,
        };
        diagnostic::read(text.map(Cow::Borrowed), recipient.status.get())
    }
}

/// Whether a delivery report came with the bounce. An automatic reply has none.
fn has_report(recipient: &RecipientObject<'_>) -> bool {
    recipient.action.0.is_some()
        || recipient.status.0.is_some()
        || recipient.diagnostic_code.0.is_some()
}
