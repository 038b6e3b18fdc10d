//! Kind, service and channel of an event.

text_enum! {
    /// Kind of an event.
    EventKind {
        /// SES accepted the message for this recipient.
        Send = "send",
        /// The recipient's server accepted the message.
        Delivery = "delivery",
        /// The message bounced; see [`crate::bounce::BounceClass`].
        Bounce = "bounce",
        /// The recipient's provider reported the message as spam.
        Complaint = "complaint",
        /// Delivery is delayed; SES retries.
        DeliveryDelay = "delivery_delay",
        /// SES refused to send the message because it contains a virus.
        Reject = "reject",
        /// SES could not render the template.
        RenderingFailure = "rendering_failure",
        /// The message was opened.
        Open = "open",
        /// A link was clicked.
        Click = "click",
        /// Subscription preferences changed.
        Subscription = "subscription",
        /// WorkMail: a user submitted a message.
        Submission = "submission",
        /// WorkMail: a message to the organisation bounced.
        IncomingBounce = "incoming_bounce",
        /// WorkMail: the organisation received a message.
        Received = "received",
        /// WorkMail: a message reached a mailbox.
        MailboxDelivery = "mailbox_delivery",
        /// WorkMail: a mail flow rule was applied.
        RuleApplied = "rule_applied",
        /// WorkMail: a copy was sent to the journaling address.
        Journaling = "journaling",
        /// WorkMail: a DMARC policy was applied.
        DmarcPolicy = "dmarc_policy",
        /// Account: sending was stopped, by AWS or by the customer.
        SendingDisabled = "sending_disabled",
        /// Account: sending was allowed again.
        SendingEnabled = "sending_enabled",
        /// Account: AWS found a problem that harms the reputation.
        SendingFindingOpen = "sending_finding_open",
        /// Account: the problem is resolved.
        SendingFindingResolved = "sending_finding_resolved",
    }
}

impl EventKind {
    /// The kinds of events about the account, which are about no mail.
    pub const ACCOUNT_KINDS: [Self; 4] = [
        Self::SendingDisabled,
        Self::SendingEnabled,
        Self::SendingFindingOpen,
        Self::SendingFindingResolved,
    ];

    /// The kinds of failures of a message.
    pub const FAILURE_KINDS: [Self; 3] = [Self::Bounce, Self::Complaint, Self::DeliveryDelay];

    /// Whether it is a failure of a message.
    pub fn is_failure(self) -> bool {
        Self::FAILURE_KINDS.contains(&self)
    }
}

text_enum! {
    /// The service that reported an event.
    Service {
        /// Amazon SES.
        Ses = "ses",
        /// Amazon WorkMail.
        WorkMail = "workmail",
    }
}

text_enum! {
    /// The channel on which an event was reported.
    Channel {
        /// Feedback notifications of a verified identity.
        IdentityFeedback = "identity_feedback",
        /// Events of a configuration set.
        EventPublishing = "event_publishing",
        /// Events about the account on the default event bus of EventBridge.
        EventBus = "event_bus",
        /// The mail event log of WorkMail.
        WorkMailLog = "workmail_log",
    }
}
