//! The checks of an account. Findings are those of the package `dns`: one statement, with its evidence and what to do.

use std::fmt::Display;

use bouncewatch_dns::FindingKind;
pub use bouncewatch_dns::{Finding, FindingLevel};

impl Check {
    /// A finding of the check.
    pub(crate) fn found(
        self,
        level: FindingLevel,
        what: impl Display,
        source: &'static str,
    ) -> Finding {
        FindingKind { id: self.as_str(), level, source }.found(what, "")
    }
}

bouncewatch_schemas::text_enum! {
    /// The checks, in the order in which equal levels are printed: first what stops mail, then what stops events, causes
    /// before symptoms.
    Check {
        /// `GetAccount` can be read.
        AccountReadable = "account.readable",
        /// Sending is not paused.
        AccountPaused = "account.paused",
        /// The account is out of the sandbox.
        AccountSandbox = "account.sandbox",
        /// The account is not under review.
        AccountReview = "account.review",
        /// The sending quota is not nearly used up.
        AccountQuota = "account.quota",
        /// The sending rate stays below its limit.
        AccountRate = "account.rate",
        /// The account suppresses bounced and complained addresses.
        AccountSuppression = "account.suppression",
        /// State of the request for production access.
        AccountAccessRequest = "account.access_request",
        /// AWS has an additional contact.
        AccountContact = "account.contact",
        /// Links are not rewritten.
        AccountLinkTracking = "account.link_tracking",
        /// VDM does not delay mail.
        AccountOptimizedDelivery = "account.optimized_delivery",
        /// The recipient that was asked about can be sent to.
        RecipientAllowed = "recipient.allowed",
        /// The recipient that was asked about is not suppressed.
        RecipientSuppressed = "recipient.suppressed",
        /// The store can be read.
        StoreReadable = "store.readable",
        /// The last mail to the recipient that was asked about arrived.
        RecipientHistory = "recipient.history",
        /// Sending identities exist.
        IdentityExists = "identity.exists",
        /// The identity is verified.
        IdentityVerified = "identity.verified",
        /// The custom MAIL FROM domain works.
        IdentityMailFrom = "identity.mail_from",
        /// DKIM works.
        IdentityDkim = "identity.dkim",
        /// The DKIM key has 2048 bits.
        IdentityDkimKey = "identity.dkim_key",
        /// Mail of an address identity can pass DMARC.
        IdentityAlignment = "identity.alignment",
        /// No policy lets every AWS account send.
        IdentityPolicies = "identity.policies",
        /// Bounces reach a person or a topic.
        IdentityFeedback = "identity.feedback",
        /// No tenant is paused.
        TenantPaused = "tenant.paused",
        /// No tenant has a high reputation impact.
        TenantImpact = "tenant.impact",
        /// Bounce rate as AWS computes it.
        ReputationBounceRate = "reputation.bounce_rate",
        /// Complaint rate as AWS computes it.
        ReputationComplaintRate = "reputation.complaint_rate",
        /// VDM has no open finding.
        VdmRecommendation = "vdm.recommendation",
        /// Dedicated IP addresses are warmed up.
        IpWarmup = "ip.warmup",
        /// Dedicated IP addresses are in no block list.
        IpBlockList = "ip.block_list",
        /// The default configuration set of an identity exists.
        SetDeleted = "wiring.set_deleted",
        /// No configuration set is paused.
        SetPaused = "wiring.set_paused",
        /// The identity has a default configuration set.
        DefaultSet = "wiring.default_set",
        /// The configuration set has an event destination.
        DestinationMissing = "wiring.destination_missing",
        /// Event destinations are enabled.
        DestinationDisabled = "wiring.destination_disabled",
        /// Bounce and Complaint events are published.
        FeedbackEvents = "wiring.feedback_events",
        /// Send events are published.
        SendEvents = "wiring.send_events",
        /// The other events are published.
        OtherEvents = "wiring.other_events",
        /// The topic exists.
        TopicMissing = "wiring.topic_missing",
        /// The topic is in the region of the account.
        TopicRegion = "wiring.topic_region",
        /// The topic is a standard topic.
        TopicFifo = "wiring.topic_fifo",
        /// The policy of the topic lets SES publish.
        TopicPolicy = "wiring.topic_policy",
        /// The key of the topic lets SES publish.
        TopicKey = "wiring.topic_key",
        /// The queue exists.
        QueueMissing = "wiring.queue_missing",
        /// The topic has a subscription of the queue.
        SubscriptionMissing = "wiring.subscription_missing",
        /// The subscription is confirmed.
        SubscriptionPending = "wiring.subscription_pending",
        /// The subscription names the queue that is read.
        SubscriptionEndpoint = "wiring.subscription_endpoint",
        /// The filter policy lets events pass.
        FilterPolicy = "wiring.filter_policy",
        /// Events arrive in the SNS envelope.
        RawDelivery = "wiring.raw_delivery",
        /// The subscription has a dead-letter queue.
        SubscriptionDeadLetters = "wiring.subscription_dead_letters",
        /// The policy of the queue lets SNS send.
        QueuePolicy = "wiring.queue_policy",
        /// The key of the queue lets SNS send.
        QueueKey = "wiring.queue_key",
        /// The policy of the queue lets EventBridge send.
        EventBusPolicy = "wiring.event_bus_policy",
        /// The key of the queue lets EventBridge send.
        EventBusKey = "wiring.event_bus_key",
        /// The consumer may decrypt messages.
        ConsumerKey = "wiring.consumer_key",
        /// Messages are received before they expire.
        Backlog = "wiring.backlog",
        /// Messages are kept for four days.
        Retention = "wiring.retention",
        /// Dead letters are kept longer than messages.
        DeadLetterRetention = "wiring.dead_letter_retention",
        /// The queue has a dead-letter queue.
        DeadLetterQueue = "wiring.dead_letter_queue",
        /// The dead-letter queue exists and accepts messages of the queue.
        DeadLetterAllowed = "wiring.dead_letter_allowed",
        /// The dead-letter queue is empty.
        DeadLetters = "wiring.dead_letters",
        /// A message is received often enough before it becomes a dead letter.
        ReceiveCount = "wiring.receive_count",
        /// A message is invisible for as long as it is processed.
        Visibility = "wiring.visibility",
        /// No event arrives over two ways.
        DuplicateFeed = "wiring.duplicate_feed",
        /// No other consumer reads the queue.
        OtherConsumer = "wiring.other_consumer",
        /// The store has the events of the mail that SES counted.
        ReputationEvents = "reputation.events",
        /// Counts of CloudWatch along the path of events.
        Flow = "wiring.flow",
        /// Mail to servers without TLS does not bounce.
        SetTls = "set.tls",
        /// SES has time to deliver.
        SetDeliveryTime = "set.delivery_time",
        /// The configuration set does not disable suppression.
        SetSuppression = "set.suppression",
        /// DNS servers can be asked.
        DnsReadable = "dns.readable",
        /// WorkMail owns its domain.
        WorkMailOwnership = "workmail.ownership",
        /// DKIM of a WorkMail domain works.
        WorkMailDkim = "workmail.dkim",
        /// Mail of the domain reaches WorkMail.
        WorkMailReceiptRule = "workmail.receipt_rule",
        /// No rule action runs before WorkMail.
        WorkMailRuleActions = "workmail.rule_actions",
        /// WorkMail may send for the domain.
        WorkMailSending = "workmail.sending",
        /// Inbound DMARC is enforced.
        WorkMailDmarc = "workmail.dmarc",
        /// Message tracing is on.
        WorkMailTracing = "workmail.tracing",
        /// End of the service.
        WorkMailEnd = "workmail.end",
    }
}
