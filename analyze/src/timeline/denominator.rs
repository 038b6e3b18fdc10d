//! The source of the attempts in a window.

use serde::Serialize;

/// Source of the attempts in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Denominator {
    /// Send events.
    Sends,
    /// Deliveries and final bounces.
    DeliveriesAndBounces,
    /// WorkMail: recipients with a sent or a bounced message.
    SentAndBounced,
    /// Imported send counts.
    #[serde(rename = "volumes")]
    SendCounts,
    /// Imported send counts before the first known Send event, Send events from then on.
    #[serde(rename = "volumes_and_sends")]
    SendCountsAndSends,
}

impl Denominator {
    /// Returns the value in reports and in the JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sends => "sends",
            Self::DeliveriesAndBounces => "deliveries_and_bounces",
            Self::SentAndBounced => "sent_and_bounced",
            Self::SendCounts => "volumes",
            Self::SendCountsAndSends => "volumes_and_sends",
        }
    }

    /// Whether attempts are (message, recipient) pairs of several outcomes.
    pub const fn is_of_pairs(self) -> bool {
        matches!(self, Self::DeliveriesAndBounces | Self::SentAndBounced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_str_equals_the_json_value() {
        for denominator in [
            Denominator::Sends,
            Denominator::DeliveriesAndBounces,
            Denominator::SentAndBounced,
            Denominator::SendCounts,
            Denominator::SendCountsAndSends,
        ] {
            let json = serde_json::to_value(denominator).unwrap();
            assert_eq!(json, denominator.as_str());
        }
    }
}
