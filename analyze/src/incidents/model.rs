//! Provider incidents in the output of `check`, `causes` and `suppress`; their JSON is a contract.

use serde::Serialize;

/// What to do in a provider incident.
pub(crate) const INCIDENT_REMEDY: &str = "Pause mail to this provider until its servers work again, then send again. `suppress` puts the addresses on hold; `suppress --release` lists those to remove from the suppression list of SES.";

/// A provider incident.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are the keys of the JSON, see docs/src/causes-and-suppression.md"
)]
pub struct ProviderIncident {
    /// First and last bounce.
    pub from: String,
    pub to: String,
    /// Provider, or domain if the provider is unknown.
    pub provider: String,
    /// Text of the server, masked; null if there is none.
    pub text: Option<String>,
    /// Number of addresses that bounced, all of which received mail before.
    pub addresses: u64,
    pub hold_until: String,
    /// What to do.
    pub remedy: &'static str,
}
