//! The content of daily aggregates.

/// Content of daily aggregates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scan) enum Measure {
    /// Event times by outcome.
    Events,
    /// Times of attempted (message, recipient) pairs.
    Pairs,
    /// Scopes with events, without times.
    Scopes,
    /// The provider of each recipient domain.
    DomainProviders,
    /// The provider of each recipient domain, of all days up to one.
    AllDomainProviders,
    /// Events about the account.
    AccountEvents,
    /// The time of the newest event.
    NewestEvent,
}

impl Measure {
    /// Returns its name in folder names.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Pairs => "pairs",
            Self::Scopes => "scopes",
            // the name in existing stores
            Self::DomainProviders => "hosts",
            Self::AllDomainProviders => "all-hosts",
            Self::AccountEvents => "account-events",
            Self::NewestEvent => "newest",
        }
    }
}
