//! Result of `causes`; its JSON is a contract.

use serde::Serialize;

use crate::incidents::model::ProviderIncident;
use crate::timeline::Scope;

/// Result of `causes`. Bounces exclude automatic replies; shares are fractions of the bounces. Counts of the previous
/// period are null if the store starts later.
#[derive(Debug, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are the keys of the JSON, see docs/src/causes-and-suppression.md"
)]
pub struct CausesReport {
    pub version: u32,
    pub as_of: String,
    pub from: String,
    pub to: String,
    pub bounces: u64,
    /// Bounces that count in the bounce rate of SES.
    pub counted: u64,
    pub bounces_before: Option<u64>,
    /// Not part of the bounces: the mail was delivered.
    pub auto_replies: u64,
    pub rollups: Vec<RollupCount>,
    /// Number of groups before `top` applies.
    pub groups_total: usize,
    pub groups: Vec<CauseGroup>,
    /// One per cause, sorted by bounces.
    pub advice: Vec<CauseAdvice>,
    pub delays: Vec<DelayCount>,
    /// Bounces with a type of SES that contradicts the server's text.
    pub disagreements: Vec<Disagreement>,
    /// Texts that match no rule.
    pub unknown: Vec<UnknownText>,
    pub incidents: Vec<ProviderIncident>,
}

/// Bounces of one rollup.
#[derive(Debug, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are the keys of the JSON, see docs/src/causes-and-suppression.md"
)]
pub struct RollupCount {
    pub rollup: &'static str,
    pub count: u64,
    pub share: Option<f64>,
    pub counted: u64,
    pub count_before: Option<u64>,
    pub share_before: Option<f64>,
}

/// Bounces with the same values of a grouping.
#[derive(Debug, Clone, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are the keys of the JSON, see docs/src/causes-and-suppression.md"
)]
pub struct CauseGroup {
    pub scope: Scope,
    pub fault: Option<&'static str>,
    pub count: u64,
    pub share: Option<f64>,
    pub counted: u64,
    pub count_before: Option<u64>,
    pub share_before: Option<f64>,
    /// A text of the most frequent template.
    pub example: Option<String>,
}

/// Advice on a cause.
#[derive(Debug, Clone, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are the keys of the JSON, see docs/src/causes-and-suppression.md"
)]
pub struct CauseAdvice {
    pub cause: &'static str,
    pub fault: &'static str,
    pub action: &'static str,
    pub count: u64,
    pub share: Option<f64>,
    /// Values that at least a third of the bounces have.
    pub mostly: Vec<CommonValue>,
    /// Block lists in the texts.
    pub block_lists: Vec<NamedCount>,
    /// Domains that are probably mistyped.
    pub suggestions: Vec<MistypedDomain>,
    pub meaning: &'static str,
    pub remedy: &'static str,
    pub ses: Option<&'static str>,
}

/// A value that many bounces of a cause have.
#[derive(Debug, Clone, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are the keys of the JSON, see docs/src/causes-and-suppression.md"
)]
pub struct CommonValue {
    pub by: String,
    pub value: String,
    pub count: u64,
}

/// A name and its number of occurrences.
#[derive(Debug, Clone, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are the keys of the JSON, see docs/src/causes-and-suppression.md"
)]
pub struct NamedCount {
    pub name: String,
    pub count: u64,
}

/// A domain that is probably mistyped.
#[derive(Debug, Clone, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are the keys of the JSON, see docs/src/causes-and-suppression.md"
)]
pub struct MistypedDomain {
    pub domain: String,
    pub likely: &'static str,
    pub count: u64,
}

/// Delays of one type at one provider.
#[derive(Debug, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are the keys of the JSON, see docs/src/causes-and-suppression.md"
)]
pub struct DelayCount {
    /// Delay type of SES; null for a bounce report of a delay.
    pub delay_type: Option<String>,
    pub provider: String,
    pub count: u64,
    pub count_before: Option<u64>,
    /// Whether the sender causes the delay, so that counted bounces can follow.
    pub about_sender: bool,
    /// Null for an unknown delay type.
    pub meaning: Option<&'static str>,
}

/// Bounces with an SES type and subtype that contradicts their cause.
#[derive(Debug, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are the keys of the JSON, see docs/src/causes-and-suppression.md"
)]
pub struct Disagreement {
    pub bounce_type: Option<String>,
    pub bounce_subtype: Option<String>,
    pub cause: &'static str,
    pub count: u64,
    pub counted: u64,
    pub example: Option<String>,
}

/// A text that matches no rule, without personal data.
#[derive(Debug, Clone, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are the keys of the JSON, see docs/src/causes-and-suppression.md"
)]
pub struct UnknownText {
    pub count: u64,
    /// Null for bounces without text.
    pub template: Option<String>,
    pub smtp_code: Option<u16>,
    pub enhanced_status: Option<String>,
    pub bounce_type: Option<String>,
    pub bounce_subtype: Option<String>,
}

/// Texts that match no rule, without other data, to share with the maintainers of the rules.
#[derive(Debug, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are the keys of the JSON, see docs/src/causes-and-suppression.md"
)]
pub struct UnknownTextReport<'a> {
    pub version: u32,
    pub as_of: &'a str,
    pub from: &'a str,
    pub to: &'a str,
    pub bounces: u64,
    pub unknown_bounces: u64,
    pub unknown: &'a [UnknownText],
}

impl CausesReport {
    /// Returns the part without personal data.
    pub fn unknown_report(&self) -> UnknownTextReport<'_> {
        UnknownTextReport {
            version: self.version,
            as_of: &self.as_of,
            from: &self.from,
            to: &self.to,
            bounces: self.bounces,
            unknown_bounces: self.unknown.iter().map(|one| one.count).sum(),
            unknown: &self.unknown,
        }
    }
}
