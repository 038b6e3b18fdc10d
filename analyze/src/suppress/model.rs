//! Result of `suppress`; its JSON is a contract.

use bouncewatch_schemas::address::to_display;
use serde::{Serialize, Serializer};

use crate::incidents::model::ProviderIncident;

/// Reason why an address is suppressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SuppressReason {
    /// The recipient reported mail as spam.
    Complaint,
    /// The address is invalid.
    HardBounce,
    /// The address failed so often that it is probably invalid.
    RepeatedFailure,
    /// On hold: an established address that bounced once.
    OnHold,
    /// On hold: it bounced in a provider incident.
    ProviderIncident,
}

impl SuppressReason {
    /// Returns the value in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complaint => "complaint",
            Self::HardBounce => "hard_bounce",
            Self::RepeatedFailure => "repeated_failure",
            Self::OnHold => "on_hold",
            Self::ProviderIncident => "provider_incident",
        }
    }

    /// Whether the address is only on hold.
    pub const fn is_hold(self) -> bool {
        matches!(self, Self::OnHold | Self::ProviderIncident)
    }

    /// Returns the reason in SES's account-level suppression list (SES API v2, `SuppressionListReason`).
    pub const fn ses_reason(self) -> &'static str {
        match self {
            Self::Complaint => "COMPLAINT",
            _ => "BOUNCE",
        }
    }
}

/// Result of `suppress`.
#[derive(Debug, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are the keys of the JSON, see docs/src/causes-and-suppression.md"
)]
pub struct Suppressions {
    pub version: u32,
    pub as_of: String,
    pub soft_count: usize,
    pub soft_days: i64,
    /// In alphabetical order; with a list to compare with, only addresses that are not on it.
    pub addresses: Vec<SuppressedAddress>,
    /// Addresses of the list without evidence; null without a list.
    pub without_evidence: Option<Vec<AddressWithoutEvidence>>,
    pub left_out: OmittedCounts,
    /// Minimum number of addresses of a provider incident; 0: incidents are not detected.
    pub mass_guard: usize,
    /// Addresses not to mail before `expires_at`. They are not in `addresses`, and are not filtered
    /// by a list to compare with.
    pub on_hold: Vec<SuppressedAddress>,
    pub incidents: Vec<ProviderIncident>,
}

/// A suppressed address, or one on hold.
#[derive(Debug, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are the keys of the JSON, see docs/src/causes-and-suppression.md"
)]
pub struct SuppressedAddress {
    /// In normal form; the output has the Unicode form of its domain.
    #[serde(serialize_with = "display_address")]
    pub address: String,
    pub reason: SuppressReason,
    /// Null for complaints.
    pub cause: Option<&'static str>,
    /// Text of the last bounce, or type of the last complaint.
    pub evidence: Option<String>,
    pub first_at: String,
    pub last_at: String,
    /// Number of bounces or complaints that are evidence.
    pub count: u64,
    /// When the suppression ends without further failures; null if it does not end.
    pub expires_at: Option<String>,
    /// The domain that was probably meant.
    pub suggestion: Option<&'static str>,
}

/// An address of the list to compare with that has no evidence in the store.
#[derive(Debug, Serialize)]
pub struct AddressWithoutEvidence {
    /// In normal form; the output has the Unicode form of its domain.
    #[serde(serialize_with = "display_address")]
    pub address: String,
    /// Time of the last delivery to it, if any.
    pub delivered_at: Option<String>,
}

/// Number of addresses that `suppress` does not list, by reason.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OmittedCounts {
    /// Number of failures (not addresses): the address was dropped at ingest or by `forget`.
    pub dropped: u64,
    /// Addresses on a suppression list of SES, to which SES sends nothing.
    pub on_ses_list: u64,
    /// Addresses on the global suppression list of SES, where each attempt counts as a bounce; they
    /// are part of `on_ses_list`.
    pub on_global_list: u64,
    /// Addresses with a hard bounce that matches no rule.
    pub unknown_text: u64,
    /// Addresses with a hold that ended without another hard bounce.
    pub hold_ended: u64,
    /// Recipients of failures that are not addresses.
    pub not_an_address: u64,
}

/// Addresses to remove from the account-level suppression list of SES.
#[derive(Debug, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are the keys of the JSON, see docs/src/causes-and-suppression.md"
)]
pub struct Releases {
    pub version: u32,
    pub as_of: String,
    /// In alphabetical order.
    pub release: Vec<ReleasedAddress>,
    /// Number of addresses that stay on the list.
    pub kept: u64,
    pub mass_guard: usize,
    pub incidents: Vec<ProviderIncident>,
}

/// An address to remove from the account-level suppression list of SES.
#[derive(Debug, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are the keys of the JSON, see docs/src/causes-and-suppression.md"
)]
pub struct ReleasedAddress {
    /// In normal form; the output has the Unicode form of its domain.
    #[serde(serialize_with = "display_address")]
    pub address: String,
    pub reason: ReleaseReason,
    pub delivered_at: Option<String>,
    /// Time and text of the last hard bounce.
    pub bounced_at: Option<String>,
    pub evidence: Option<String>,
}

/// Reason why an address is removed from the suppression list of SES.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseReason {
    /// Mail was delivered after the address was listed.
    Delivered,
    /// It bounced in a provider incident, and not again later.
    ProviderIncident,
    /// An established address that bounced once; its hold ended.
    HoldEnded,
}

impl ReleaseReason {
    /// Returns the value in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::ProviderIncident => "provider_incident",
            Self::HoldEnded => "hold_ended",
        }
    }
}

fn display_address<S: Serializer>(address: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&to_display(address))
}
