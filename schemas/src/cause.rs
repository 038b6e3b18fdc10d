//! The words of the classifier: why a message did not arrive, whose fault that is, what to do.

words! {
    /// Why a message did not arrive. The order is that of the documentation; numbers there are one more than here.
    Cause {
        /// The address does not exist, or has moved.
        MailboxUnknown = "mailbox_unknown",
        /// The mailbox exists and is closed, suspended or abandoned.
        MailboxDisabled = "mailbox_disabled",
        /// The mailbox has no room left.
        MailboxFull = "mailbox_full",
        /// The domain does not exist, or takes no mail (no MX, null MX).
        DomainInvalid = "domain_invalid",
        /// The address is written in a way that no server takes.
        AddressSyntax = "address_syntax",
        /// The recipient, or who runs the mailbox, takes mail from some senders only.
        RecipientRestricted = "recipient_restricted",
        /// An automatic answer: the message did arrive.
        AutoReply = "auto_reply",
        /// Not attempted: the address is on a suppression list.
        Suppressed = "suppressed",
        /// SPF, DKIM, DMARC or alignment failed.
        SenderAuth = "sender_auth",
        /// DNS of the sender: no PTR, wrong HELO, a sender domain that does not resolve, a sender address that fails a callback.
        SenderDns = "sender_dns",
        /// The connection was not encrypted as one side demands.
        TlsRequired = "tls_required",
        /// The sending IP is on a block list.
        IpBlocklisted = "ip_blocklisted",
        /// The sending domain, or a domain in the message, is on a block list.
        DomainBlocklisted = "domain_blocklisted",
        /// The receiver thinks badly of the sending IP or domain.
        ReputationLow = "reputation_low",
        /// The message looks like spam.
        ContentSpam = "content_spam",
        /// A virus, or a kind of attachment that is not taken.
        ContentMalware = "content_malware",
        /// The message is larger than the receiver takes.
        MessageTooLarge = "message_too_large",
        /// The message breaks the rules of its format.
        MessageMalformed = "message_malformed",
        /// Too many messages, connections or recipients for now.
        RateLimited = "rate_limited",
        /// A first attempt was put off, as a test of the sender.
        Greylisted = "greylisted",
        /// A rule of the receiver that is none of the above.
        PolicyRejected = "policy_rejected",
        /// The server does not take mail for this domain.
        RelayDenied = "relay_denied",
        /// The receiver's server has a fault.
        ServerError = "server_error",
        /// No connection, no answer, no DNS answer; or given up after trying for hours.
        NetworkTimeout = "network_timeout",
        /// No rule knows the text.
        Unknown = "unknown",
    }
}

words! {
    /// Whose fault it is that a message did not arrive.
    Fault {
        /// Who wrote down the address.
        RecipientAddress = "recipient_address",
        /// The recipient's mailbox.
        RecipientMailbox = "recipient_mailbox",
        /// The recipient's server.
        RecipientServer = "recipient_server",
        /// Rules of the receiver.
        Policy = "policy",
        /// How often, or how much at a time, was sent.
        RateLimit = "rate_limit",
        /// The sender's authentication or DNS.
        SenderAuthentication = "sender_authentication",
        /// What receivers think of the sender.
        SenderReputation = "sender_reputation",
        /// The message itself.
        Content = "content",
        /// The way between the servers.
        Network = "network",
        /// The sender's own suppression list.
        OwnList = "own_list",
        /// Nobody's: the message arrived.
        None = "none",
        /// Nobody knows.
        Unknown = "unknown",
    }
}

words! {
    /// What to do about it, in one word; [`super::advice`] says it in sentences.
    Action {
        /// Do not mail this address again.
        Suppress = "suppress",
        /// Do not mail this address again if it happens repeatedly.
        SuppressIfRepeated = "suppress_if_repeated",
        /// Take the address out of the source of the mailing.
        RemoveFromSource = "remove_from_source",
        /// Ask the recipient to let the mail in.
        AskRecipient = "ask_recipient",
        /// Set SPF, DKIM, DMARC right.
        FixAuthentication = "fix_authentication",
        /// Set PTR, HELO, MX of the sender right.
        FixDns = "fix_dns",
        /// Set the TLS policy right.
        FixTls = "fix_tls",
        /// Get off the block list, or send from another pool.
        Delist = "delist",
        /// Slow down, clean the list, lower complaints.
        ImproveReputation = "improve_reputation",
        /// Change what the message says or links to.
        ChangeContent = "change_content",
        /// Send a smaller message, or another attachment.
        ShrinkMessage = "shrink_message",
        /// Take the attachment out and look for malware.
        RemoveAttachment = "remove_attachment",
        /// Mend what makes the message.
        FixMessage = "fix_message",
        /// Send slower to this receiver.
        SlowDown = "slow_down",
        /// Nothing: the message is tried again.
        Wait = "wait",
        /// Read the text and write to the receiver's postmaster.
        ContactPostmaster = "contact_postmaster",
        /// Nothing at all.
        Ignore = "ignore",
        /// Read the text: nobody knows.
        Look = "look",
    }
}

words! {
    /// The three questions that people ask first.
    Rollup {
        /// Is my list good?
        ListQuality = "list_quality",
        /// Am I a sender whom receivers want?
        SenderHealth = "sender_health",
        /// Or is it none of my doing?
        NotUs = "not_us",
        /// Not known.
        Unknown = "unknown",
    }
}

impl Cause {
    /// Whose fault it is.
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

    /// What to do by default. A text that says that a failure passes softens it: see [`super::Classification::action`].
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
            Self::Unknown => Action::Look,
        }
    }

    /// Which of the three questions it answers.
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

    /// Whether it says that mail to this address is useless for now or for ever. Nothing that is about the sender, the
    /// content, a policy, a rate or the network may ever be filed under one of these.
    pub const fn is_dead_address(self) -> bool {
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
