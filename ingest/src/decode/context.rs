//! What the envelopes around an event say about it, and the receiver of decoded rows.

use bouncewatch_schemas::event::{Channel, EventRow, Service};

use crate::decode::allow_list::{Allowed, Provenance};
use crate::decode::outcome::{Ignored, Rejected};
use crate::decode::pointers::Pointer;

/// Takes what a document turns out to hold.
pub trait Sink {
    /// An event whose rows follow.
    fn event(&mut self);
    /// One event for one recipient.
    fn row(&mut self, row: &EventRow<'_>);
    /// Something that is no event of ours.
    fn ignored(&mut self, reason: Ignored);
    /// An object in S3 that the document points to.
    fn object(&mut self, _: Pointer) {}
}

/// What the envelopes around an event said of it.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// File or queue.
    pub origin: &'a str,
    /// When it was taken.
    pub received_at: i64,
    /// When SNS or EventBridge passed it on.
    pub published_at: Option<i64>,
    /// The channel, where the envelope tells.
    pub channel: Option<Channel>,
    /// Account of EventBridge, the log group or the topic.
    pub account: Option<&'a str>,
    /// Region of EventBridge or the topic.
    pub region: Option<&'a str>,
    /// Time of the log event.
    pub logged_at: Option<i64>,
    /// ARN of the topic.
    pub topic: Option<&'a str>,
    /// Accounts, topics and identities whose events are accepted.
    pub(super) allowed: Option<&'a Allowed>,
    /// Whether somebody follows the pointers to objects; if not, a document with one is set aside.
    pub followed: bool,
    /// Envelopes around the current document.
    pub(super) depth: u8,
}

impl<'a> Context<'a> {
    /// The context of a document that came by itself.
    pub fn new(origin: &'a str, received_at: i64) -> Self {
        Self {
            origin,
            received_at,
            published_at: None,
            channel: None,
            account: None,
            region: None,
            logged_at: None,
            topic: None,
            allowed: None,
            followed: false,
            depth: 0,
        }
    }

    /// The same where only the events of some are taken.
    #[must_use]
    pub fn allowing(self, allowed: &'a Allowed) -> Self {
        Self { allowed: Some(allowed), ..self }
    }

    /// Refuses events of those who are not on the list.
    pub(crate) fn check(&self, row: &EventRow<'_>) -> Result<(), Rejected> {
        let from = Provenance { account: row.account, topic: self.topic, identity: row.identity };
        match (self.allowed, row.service) {
            (None, _) => Ok(()),
            (Some(allowed), Service::Ses) => allowed.check(from),
            (Some(allowed), Service::WorkMail) => allowed.check_log(from),
        }
    }

    /// The same, where somebody follows the pointers to objects.
    pub(crate) fn following(self) -> Self {
        Self { followed: true, ..self }
    }
}
