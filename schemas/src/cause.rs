//! The taxonomy of failures: 25 causes, with the party at fault, the recommended action and a rollup for reports.
//! The crate `bouncewatch-classify` assigns them.

text_enum! {
    /// Cause of a failure, in the order of the documentation.
    Cause {
        /// The mailbox does not exist, or has moved.
        MailboxUnknown = "mailbox_unknown",
        /// The mailbox exists, but is closed, suspended or abandoned.
        MailboxDisabled = "mailbox_disabled",
        /// The mailbox is full.
        MailboxFull = "mailbox_full",
        /// The domain does not exist, or accepts no mail (no MX, null MX).
        DomainInvalid = "domain_invalid",
        /// The syntax of the address is invalid.
        AddressSyntax = "address_syntax",
        /// The recipient, or the operator of the mailbox, accepts mail from selected senders only.
        RecipientRestricted = "recipient_restricted",
        /// An automatic reply. The message was delivered.
        AutoReply = "auto_reply",
        /// Not attempted: the address is on a suppression list.
        Suppressed = "suppressed",
        /// SPF, DKIM, DMARC or alignment failed.
        SenderAuth = "sender_auth",
        /// DNS of the sender: no PTR record, wrong HELO, a sender domain that does not resolve, a sender address that
        /// fails a callback.
        SenderDns = "sender_dns",
        /// One side requires an encrypted connection, and the connection was not encrypted.
        TlsRequired = "tls_required",
        /// The sending IP is on a block list.
        IpBlocklisted = "ip_blocklisted",
        /// The sending domain, or a domain in the message, is on a block list.
        DomainBlocklisted = "domain_blocklisted",
        /// The receiver rates the sending IP or domain low.
        ReputationLow = "reputation_low",
        /// The receiver classified the message as spam.
        ContentSpam = "content_spam",
        /// A virus, or a type of attachment that is not accepted.
        ContentMalware = "content_malware",
        /// The message is larger than the receiver accepts.
        MessageTooLarge = "message_too_large",
        /// The message violates its format (RFC 5322, MIME).
        MessageMalformed = "message_malformed",
        /// Too many messages, connections or recipients at a time.
        RateLimited = "rate_limited",
        /// The first attempt was deferred as a test of the sender.
        Greylisted = "greylisted",
        /// Another rule of the receiver.
        PolicyRejected = "policy_rejected",
        /// The server does not accept mail for this domain.
        RelayDenied = "relay_denied",
        /// The receiver's server has a fault.
        ServerError = "server_error",
        /// No connection, no reply, no DNS response; or given up after hours of retries.
        NetworkTimeout = "network_timeout",
        /// No rule matches the text.
        Unknown = "unknown",
    }
}

text_enum! {
    /// Where the fault of a failure lies.
    Fault {
        /// The address is wrong.
        RecipientAddress = "recipient_address",
        /// The recipient's mailbox.
        RecipientMailbox = "recipient_mailbox",
        /// The recipient's server.
        RecipientServer = "recipient_server",
        /// A rule of the receiver.
        Policy = "policy",
        /// The receiver defers mail: sending rate, or greylisting.
        RateLimit = "rate_limit",
        /// The sender's authentication or DNS.
        SenderAuthentication = "sender_authentication",
        /// The sender's reputation at receivers.
        SenderReputation = "sender_reputation",
        /// The message itself.
        Content = "content",
        /// The network between the servers.
        Network = "network",
        /// A suppression list: yours, or the global one of SES.
        OwnList = "own_list",
        /// No party: the message was delivered.
        None = "none",
        /// Not known.
        Unknown = "unknown",
    }
}

text_enum! {
    /// Recommended action. `bouncewatch_classify::advice` explains it in sentences.
    Action {
        /// Do not send to this address again.
        Suppress = "suppress",
        /// Do not send to this address again if the failure repeats.
        SuppressIfRepeated = "suppress_if_repeated",
        /// Remove the address from the source of the mailing.
        RemoveFromSource = "remove_from_source",
        /// Ask the recipient to allow the sender.
        AskRecipient = "ask_recipient",
        /// Fix SPF, DKIM or DMARC.
        FixAuthentication = "fix_authentication",
        /// Fix PTR, HELO or MX of the sender.
        FixDns = "fix_dns",
        /// Fix the TLS policy.
        FixTls = "fix_tls",
        /// Request removal from the block list, or send from another IP pool.
        Delist = "delist",
        /// Send more slowly, remove invalid addresses, reduce complaints.
        ImproveReputation = "improve_reputation",
        /// Change the text or the links of the message.
        ChangeContent = "change_content",
        /// Send a smaller message.
        ShrinkMessage = "shrink_message",
        /// Remove the attachment, and check for malware.
        RemoveAttachment = "remove_attachment",
        /// Fix the software that composes the message.
        FixMessage = "fix_message",
        /// Send more slowly to this receiver.
        SlowDown = "slow_down",
        /// None: the message is retried.
        Wait = "wait",
        /// Read the text, and contact the receiver's postmaster.
        ContactPostmaster = "contact_postmaster",
        /// None.
        Ignore = "ignore",
        /// Read the text: the cause is unknown.
        Review = "look",
    }
}

text_enum! {
    /// Group of causes in reports.
    Rollup {
        /// Quality of the recipient list.
        ListQuality = "list_quality",
        /// Reputation, authentication and sending behaviour.
        SenderHealth = "sender_health",
        /// Neither list quality nor sender health: network, server of the recipient, or a single message (size, format,
        /// malware).
        NotUs = "not_us",
        /// Not known.
        Unknown = "unknown",
    }
}

impl Cause {
    /// The party at fault.
    pub const fn fault(self) -> Fault {
        match self {
            Self::MailboxUnknown | Self::DomainInvalid | Self::AddressSyntax => {
                Fault::RecipientAddress
            }
            Self::MailboxDisabled | Self::MailboxFull => Fault::RecipientMailbox,
            Self::RecipientRestricted | Self::TlsRequired | Self::PolicyRejected => Fault::Policy,
            Self::AutoReply => Fault::None,
            Self::Suppressed => Fault::OwnList,
            Self::SenderAuth | Self::SenderDns => Fault::SenderAuthentication,
            Self::IpBlocklisted | Self::DomainBlocklisted | Self::ReputationLow => {
                Fault::SenderReputation
            }
            Self::ContentSpam
            | Self::ContentMalware
            | Self::MessageTooLarge
            | Self::MessageMalformed => Fault::Content,
            Self::RateLimited | Self::Greylisted => Fault::RateLimit,
            Self::RelayDenied | Self::ServerError => Fault::RecipientServer,
            Self::NetworkTimeout => Fault::Network,
            Self::Unknown => Fault::Unknown,
        }
    }

    /// The recommended action. The classifier weakens it for temporary failures, see
    /// `bouncewatch_classify::Classification::action`.
    pub const fn action(self) -> Action {
        match self {
            Self::MailboxUnknown
            | Self::MailboxDisabled
            | Self::DomainInvalid
            | Self::AddressSyntax => Action::Suppress,
            Self::MailboxFull | Self::RelayDenied | Self::NetworkTimeout => {
                Action::SuppressIfRepeated
            }
            Self::RecipientRestricted => Action::AskRecipient,
            Self::AutoReply => Action::Ignore,
            Self::Suppressed => Action::RemoveFromSource,
            Self::SenderAuth => Action::FixAuthentication,
            Self::SenderDns => Action::FixDns,
            Self::TlsRequired => Action::FixTls,
            Self::IpBlocklisted | Self::DomainBlocklisted => Action::Delist,
            Self::ReputationLow => Action::ImproveReputation,
            Self::ContentSpam => Action::ChangeContent,
            Self::ContentMalware => Action::RemoveAttachment,
            Self::MessageTooLarge => Action::ShrinkMessage,
            Self::MessageMalformed => Action::FixMessage,
            Self::RateLimited => Action::SlowDown,
            Self::Greylisted | Self::ServerError => Action::Wait,
            Self::PolicyRejected => Action::ContactPostmaster,
            Self::Unknown => Action::Review,
        }
    }

    /// The group in reports.
    pub const fn rollup(self) -> Rollup {
        match self {
            Self::MailboxUnknown
            | Self::MailboxDisabled
            | Self::MailboxFull
            | Self::DomainInvalid
            | Self::AddressSyntax
            | Self::Suppressed => Rollup::ListQuality,
            Self::SenderAuth
            | Self::SenderDns
            | Self::TlsRequired
            | Self::IpBlocklisted
            | Self::DomainBlocklisted
            | Self::ReputationLow
            | Self::ContentSpam
            | Self::RateLimited
            | Self::PolicyRejected => Rollup::SenderHealth,
            Self::RecipientRestricted
            | Self::AutoReply
            | Self::ContentMalware
            | Self::MessageTooLarge
            | Self::MessageMalformed
            | Self::Greylisted
            | Self::RelayDenied
            | Self::ServerError
            | Self::NetworkTimeout => Rollup::NotUs,
            Self::Unknown => Rollup::Unknown,
        }
    }

    /// Whether the recipient's address or mailbox is the reason. Repeated failures with [`Self::RelayDenied`] and
    /// [`Self::NetworkTimeout`] suppress too (see [`Self::action`]). A sender, content, policy, rate or network failure is
    /// never classified as one of them.
    pub const fn is_recipient_failure(self) -> bool {
        matches!(
            self,
            Self::MailboxUnknown
                | Self::MailboxDisabled
                | Self::MailboxFull
                | Self::DomainInvalid
                | Self::AddressSyntax
        )
    }
}
