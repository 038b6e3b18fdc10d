//! The IAM actions of all calls. `deploy/policies/doctor.json` allows exactly these.

bouncewatch_schemas::text_enum! {
    /// An IAM action that a call needs.
    Action {
        /// Reputation and counts.
        CloudWatchGetMetricData = "cloudwatch:GetMetricData",
        /// State and manager of a key.
        KmsDescribeKey = "kms:DescribeKey",
        /// Policy of a key.
        KmsGetKeyPolicy = "kms:GetKeyPolicy",
        /// Rules for inbound mail.
        SesDescribeActiveReceiptRuleSet = "ses:DescribeActiveReceiptRuleSet",
        /// The account in the region.
        SesGetAccount = "ses:GetAccount",
        /// Block lists of dedicated addresses.
        SesGetBlacklistReports = "ses:GetBlacklistReports",
        /// Options of a configuration set.
        SesGetConfigurationSet = "ses:GetConfigurationSet",
        /// Event destinations of a configuration set.
        SesGetConfigurationSetEventDestinations = "ses:GetConfigurationSetEventDestinations",
        /// Dedicated addresses.
        SesGetDedicatedIps = "ses:GetDedicatedIps",
        /// Whether the account pays for block lists.
        SesGetDeliverabilityDashboardOptions = "ses:GetDeliverabilityDashboardOptions",
        /// Details of an identity.
        SesGetEmailIdentity = "ses:GetEmailIdentity",
        /// Identity feedback: notifications of identities.
        SesGetIdentityNotificationAttributes = "ses:GetIdentityNotificationAttributes",
        /// Reputation of a tenant.
        SesGetReputationEntity = "ses:GetReputationEntity",
        /// Counts of two weeks.
        SesGetSendStatistics = "ses:GetSendStatistics",
        /// Whether an address is suppressed.
        SesGetSuppressedDestination = "ses:GetSuppressedDestination",
        /// Names of configuration sets.
        SesListConfigurationSets = "ses:ListConfigurationSets",
        /// Identities.
        SesListEmailIdentities = "ses:ListEmailIdentities",
        /// Findings of VDM.
        SesListRecommendations = "ses:ListRecommendations",
        /// Tenants.
        SesListTenants = "ses:ListTenants",
        /// Attributes of a subscription.
        SnsGetSubscriptionAttributes = "sns:GetSubscriptionAttributes",
        /// Attributes of a topic.
        SnsGetTopicAttributes = "sns:GetTopicAttributes",
        /// Subscriptions of a topic.
        SnsListSubscriptionsByTopic = "sns:ListSubscriptionsByTopic",
        /// Attributes of a queue.
        SqsGetQueueAttributes = "sqs:GetQueueAttributes",
        /// URL of a queue.
        SqsGetQueueUrl = "sqs:GetQueueUrl",
        /// Account ID of the credentials; allowed for all.
        StsGetCallerIdentity = "sts:GetCallerIdentity",
        /// Message tracing.
        WorkMailDescribeEmailMonitoringConfiguration = "workmail:DescribeEmailMonitoringConfiguration",
        /// Inbound DMARC.
        WorkMailDescribeInboundDmarcSettings = "workmail:DescribeInboundDmarcSettings",
        /// A mail domain.
        WorkMailGetMailDomain = "workmail:GetMailDomain",
        /// Mail domains.
        WorkMailListMailDomains = "workmail:ListMailDomains",
        /// Organizations.
        WorkMailListOrganizations = "workmail:ListOrganizations",
    }
}

impl Action {
    /// Whether a policy must allow the action.
    pub const fn needs_permission(self) -> bool {
        !matches!(self, Self::StsGetCallerIdentity)
    }

    /// Whether the limit of SES applies: one call per second.
    pub(super) fn is_ses(self) -> bool {
        self.as_str().starts_with("ses:")
    }
}
