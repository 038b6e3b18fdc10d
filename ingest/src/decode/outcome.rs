//! Reasons why a document is ignored or quarantined.

bouncewatch_schemas::text_enum! {
    /// Why a document is ignored: it is not a mail event, so no event is lost.
    IgnoreReason {
        /// `Successfully validated SNS topic for Amazon SES event publishing.`
        SnsTopicValidated = "sns_topic_validated",
        /// `AmazonSnsSubscriptionSucceeded`
        FeedbackTopicSubscribed = "feedback_topic_subscribed",
        /// SNS asks to confirm a subscription.
        SubscriptionConfirmation = "subscription_confirmation",
        /// SNS reports that a subscription ended.
        UnsubscribeConfirmation = "unsubscribe_confirmation",
        /// S3 tests a new notification configuration.
        S3TestEvent = "s3_test_event",
        /// CloudWatch Logs tests the destination of a subscription filter.
        CloudWatchControlMessage = "cloudwatch_control_message",
        /// An email that SES received, not one that it sent.
        InboundMail = "inbound_mail",
        /// A message-flow event of WorkMail: a message on its way, before its delivery.
        WorkMailMessageFlow = "workmail_message_flow",
        /// A line that Lambda writes about itself: START, END, REPORT, ...
        LambdaPlatformLog = "lambda_platform_log",
        /// The header of a CSV export of Logs Insights.
        CsvHeader = "csv_header",
        /// An EventBridge event of another kind.
        NotAMailEvent = "not_a_mail_event",
        /// An S3 event other than the creation of an object with content.
        OtherObjectEvent = "other_object_event",
        /// An action line of the bulk API of `OpenSearch`: the document is on the next line.
        OpenSearchAction = "opensearch_action",
        /// A time beside an event in an array, such as `["1795770006000000000", "{...}"]` of Loki.
        TimeOnly = "time_only",
    }
}

bouncewatch_schemas::text_enum! {
    /// Why a document is quarantined.
    QuarantineReason {
        /// Not JSON.
        NotJson = "not_json",
        /// JSON, but neither an event nor a known envelope.
        NotAnEvent = "not_an_event",
        /// A mail event with a missing or unknown type.
        UnknownKind = "unknown_kind",
        /// A mail event without a message id.
        NoMessageId = "no_message_id",
        /// A mail event without recipients, or with at least one unusable recipient.
        NoRecipient = "no_recipient",
        /// A mail event without a readable time.
        NoTime = "no_time",
        /// A pointer to an S3 object that was not read.
        ObjectNotification = "object_notification",
        /// A pointer to an S3 object that does not exist.
        ObjectMissing = "object_missing",
        /// A pointer to an S3 object that is damaged or in an unsupported format.
        ObjectUnreadable = "object_unreadable",
        /// A compressed or base64-encoded payload that cannot be decoded.
        BadPayload = "bad_payload",
        /// A document that is too long, has too many recipients, tags or rows, or has a field that
        /// is too long.
        TooLarge = "too_large",
        /// The account, topic or identity is not on the allow list.
        NotAllowed = "not_allowed",
        /// A message without a valid SNS signature, if signatures are checked.
        SignatureInvalid = "signature_invalid",
        /// The event is dated more than a day after its arrival: a clock is wrong.
        Future = "future",
        /// The decoder panicked, which is a bug.
        Panicked = "panicked",
    }
}

/// The reason to quarantine a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The reason.
    pub reason: QuarantineReason,
    /// Details for the operator. Never contains an email address.
    pub detail: String,
}

impl Rejection {
    /// A rejection with its detail.
    pub fn new(reason: QuarantineReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    /// Whether a document was rejected because it is not a mail event.
    pub(super) fn is_not_a_mail_event(&self) -> bool {
        use QuarantineReason::{BadPayload, NotAnEvent, NotJson};
        matches!(self.reason, NotAnEvent | NotJson | BadPayload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_contains_each_variant_in_order_with_a_distinct_text() {
        // the macro builds ALL from the variants; the last discriminants show that none is missing
        assert_eq!(IgnoreReason::ALL.len(), IgnoreReason::TimeOnly as usize + 1);
        assert_eq!(QuarantineReason::ALL.len(), QuarantineReason::Panicked as usize + 1);
        for reason in IgnoreReason::ALL {
            assert_eq!(IgnoreReason::parse(reason.as_str()), Some(*reason));
        }
        for reason in QuarantineReason::ALL {
            assert_eq!(QuarantineReason::parse(reason.as_str()), Some(*reason));
        }
    }
}
