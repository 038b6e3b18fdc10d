//! What becomes of a document that does not become rows: ignored, or set aside, each with its reason.

/// Why a document is ignored. These are no events of ours, and nothing is lost with them (facts 1.8, 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ignored {
    /// `Successfully validated SNS topic for Amazon SES event publishing.`
    SnsTopicValidated,
    /// `AmazonSnsSubscriptionSucceeded`
    FeedbackTopicSubscribed,
    /// SNS asks to confirm a subscription.
    SubscriptionConfirmation,
    /// SNS tells that a subscription ended.
    UnsubscribeConfirmation,
    /// S3 tells that notifications are set up.
    S3TestEvent,
    /// CloudWatch Logs tests the way.
    CloudWatchControlMessage,
    /// Mail that SES received, not mail that it sent.
    InboundMail,
    /// An EventBridge event about something else.
    NotAMailEvent,
    /// S3 tells something else than that an object with content was created.
    OtherObjectEvent,
}

impl Ignored {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::SnsTopicValidated,
        Self::FeedbackTopicSubscribed,
        Self::SubscriptionConfirmation,
        Self::UnsubscribeConfirmation,
        Self::S3TestEvent,
        Self::CloudWatchControlMessage,
        Self::InboundMail,
        Self::NotAMailEvent,
    ];

    /// The word for it in summaries and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SnsTopicValidated => "sns_topic_validated",
            Self::FeedbackTopicSubscribed => "feedback_topic_subscribed",
            Self::SubscriptionConfirmation => "subscription_confirmation",
            Self::UnsubscribeConfirmation => "unsubscribe_confirmation",
            Self::S3TestEvent => "s3_test_event",
            Self::CloudWatchControlMessage => "cloudwatch_control_message",
            Self::InboundMail => "inbound_mail",
            Self::NotAMailEvent => "not_a_mail_event",
            Self::OtherObjectEvent => "other_object_event",
        }
    }
}

/// Why a document goes to quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It cannot be read at all.
    NotJson,
    /// It is JSON, but of no shape that carries events.
    NotAnEvent,
    /// A mail event whose type word is missing or new.
    UnknownKind,
    /// The message has no id, so the event has no identity.
    NoMessageId,
    /// The event names no usable recipient, though its kind has one.
    NoRecipient,
    /// Nothing tells when it happened.
    NoTime,
    /// A pointer to an S3 object, which was not followed.
    ObjectNotification,
    /// A pointer to an S3 object that is not there.
    ObjectMissing,
    /// A pointer to an S3 object of a form in which events are not read, or that is broken.
    ObjectUnreadable,
    /// The packed payload cannot be unpacked.
    BadPayload,
    /// Longer than any document that is read.
    TooLarge,
    /// Of an account, topic or identity that is not on the list.
    NotAllowed,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::NotJson,
        Self::NotAnEvent,
        Self::UnknownKind,
        Self::NoMessageId,
        Self::NoRecipient,
        Self::NoTime,
        Self::ObjectNotification,
        Self::BadPayload,
        Self::TooLarge,
        Self::NotAllowed,
    ];

    /// The word for it in the quarantine table and in summaries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NotAnEvent => "not_an_event",
            Self::UnknownKind => "unknown_kind",
            Self::NoMessageId => "no_message_id",
            Self::NoRecipient => "no_recipient",
            Self::NoTime => "no_time",
            Self::ObjectNotification => "object_notification",
            Self::ObjectMissing => "object_missing",
            Self::ObjectUnreadable => "object_unreadable",
            Self::BadPayload => "bad_payload",
            Self::TooLarge => "too_large",
            Self::NotAllowed => "not_allowed",
        }
    }
}

/// A document that could not become rows, or not wholly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Why.
    pub reason: Reason,
    /// What exactly was wrong; never holds a mailbox.
    pub detail: String,
}

impl Rejected {
    /// A rejection with its detail.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}
