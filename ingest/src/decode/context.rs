//! [`DecodeContext`]: metadata of an event from its envelopes. [`Sink`]: the receiver of decoded
//! rows.

use bouncewatch_schemas::event::{Channel, EventKind, EventRow, Service};
use bouncewatch_schemas::time::{DAY_MS, format_ms, parse_ms};
use bouncewatch_schemas::wire::envelope::Envelope;
use bouncewatch_schemas::wire::lenient::Text;

use crate::decode::allow_list::{AllowList, EventSource};
use crate::decode::arn::arn_parts;
use crate::decode::outcome::{IgnoreReason, QuarantineReason, Rejection};
use crate::decode::pointers::S3Pointer;

/// Maximum time between the arrival of an event and its timestamp. An event that is dated later is
/// quarantined: it would count on a future day and make the feed look fresh.
const FUTURE_MAX_MS: i64 = DAY_MS;

/// Receives the contents of a document.
pub trait Sink {
    /// An event; its rows follow.
    fn event(&mut self);
    /// One event for one recipient.
    fn row(&mut self, row: &EventRow<'_>);
    /// A document, or a part of one, that is not a mail event.
    fn ignored(&mut self, reason: IgnoreReason);
    /// An S3 object that the document points to.
    fn object(&mut self, _: S3Pointer) {}
    /// Whether the document has reached its maximum number of rows, bytes or days.
    fn is_full(&self) -> bool {
        false
    }
}

/// Forwards everything to another sink and counts the events.
pub(super) struct CountingSink<'s> {
    pub(super) sink: &'s mut dyn Sink,
    /// Number of events so far.
    pub(super) events: usize,
}

impl Sink for CountingSink<'_> {
    fn event(&mut self) {
        self.events += 1;
        self.sink.event();
    }
    fn row(&mut self, row: &EventRow<'_>) {
        self.sink.row(row);
    }
    fn ignored(&mut self, reason: IgnoreReason) {
        self.sink.ignored(reason);
    }
    fn object(&mut self, pointer: S3Pointer) {
        self.sink.object(pointer);
    }
    fn is_full(&self) -> bool {
        self.sink.is_full()
    }
}

/// Metadata of an event from its envelopes.
#[derive(Debug, Clone, Copy)]
pub struct DecodeContext<'a> {
    /// Name of the file, object, queue or log group.
    pub origin: &'a str,
    /// Time of arrival, epoch milliseconds.
    pub received_at: i64,
    /// Time at which SNS or EventBridge published the event, epoch milliseconds.
    pub published_at: Option<i64>,
    /// The channel, if an envelope determines it.
    pub channel: Option<Channel>,
    /// AWS account of the EventBridge event, the log group or the topic.
    pub account: Option<&'a str>,
    /// Region of the EventBridge event or the topic.
    pub region: Option<&'a str>,
    /// Time of the log event, epoch milliseconds.
    pub logged_at: Option<i64>,
    /// Time in an envelope of another kind (container, queue, Firehose, Kinesis), epoch
    /// milliseconds.
    pub envelope_at: Option<i64>,
    /// ARN of the SNS topic.
    pub topic: Option<&'a str>,
    /// Accounts, topics and identities with accepted events; `None` accepts all.
    pub(super) allow_list: Option<&'a AllowList>,
    /// Whether the caller reads the S3 objects that a document points to. If not, such a document is quarantined.
    pub pointers_followed: bool,
    /// Number of envelopes around the current document.
    pub(super) depth: u8,
    /// Bytes of the unpacked payloads that contain the current document.
    pub(super) unpacked_bytes: usize,
}

impl<'a> DecodeContext<'a> {
    /// The context of a document without envelopes.
    pub fn new(origin: &'a str, received_at: i64) -> Self {
        Self {
            origin,
            received_at,
            published_at: None,
            channel: None,
            account: None,
            region: None,
            logged_at: None,
            envelope_at: None,
            topic: None,
            allow_list: None,
            pointers_followed: false,
            depth: 0,
            unpacked_bytes: 0,
        }
    }

    /// Accepts only events of the allow list.
    #[must_use]
    pub fn with_allow_list(self, allow_list: &'a AllowList) -> Self {
        Self { allow_list: Some(allow_list), ..self }
    }

    /// Accepts pointers to S3 objects: the caller reads the objects.
    #[must_use]
    pub fn with_pointers_followed(self) -> Self {
        Self { pointers_followed: true, ..self }
    }

    /// Adds the metadata of an SNS message: the topic (`arn:aws:sns:REGION:ACCOUNT:TOPIC`) and the
    /// time of publication.
    #[must_use]
    pub(super) fn with_topic(self, arn: &'a Text<'_>, timestamp: &Text<'_>) -> Self {
        let [region, account, _] = arn_parts(arn.get().unwrap_or_default());
        Self {
            published_at: timestamp.get().and_then(parse_ms).or(self.published_at),
            region: self.region.or(region),
            account: self.account.or(account),
            topic: arn.get().or(self.topic),
            ..self
        }
    }

    /// Adds the metadata of an EventBridge event.
    #[must_use]
    pub(super) fn with_eventbridge(self, envelope: &'a Envelope<'_>) -> Self {
        Self {
            published_at: envelope.time.get().and_then(parse_ms).or(self.published_at),
            channel: Some(Channel::EventPublishing),
            account: envelope.account.get().or(self.account),
            region: envelope.region.get().or(self.region),
            ..self
        }
    }

    /// Adds the time in an envelope, if it is readable.
    #[must_use]
    pub(super) fn with_envelope_time(self, time: &Text<'_>) -> Self {
        Self { envelope_at: time.get().and_then(parse_ms).or(self.envelope_at), ..self }
    }

    /// The most reliable time of the envelopes, for an event without its own time.
    pub(super) fn time_of_envelopes(&self) -> Option<i64> {
        self.published_at.or(self.logged_at).or(self.envelope_at)
    }

    /// Rejects an event from the future, or one that is not on the allow list.
    pub(crate) fn check(&self, row: &EventRow<'_>) -> Result<(), Rejection> {
        if row.event_at > self.received_at.saturating_add(FUTURE_MAX_MS) {
            let (event_at, received_at) = (format_ms(row.event_at), format_ms(self.received_at));
            let detail = format!("dated {event_at}, received {received_at}");
            return Err(Rejection::new(QuarantineReason::Future, detail));
        }
        let source =
            EventSource { account: row.account, topic: self.topic, identity: row.identity };
        let names_identity =
            row.service == Service::Ses && !EventKind::ACCOUNT_KINDS.contains(&row.kind);
        match self.allow_list {
            None => Ok(()),
            Some(list) if names_identity => list.check(source),
            Some(list) => list.check_without_identity(source),
        }
    }
}
