//! Result of `causes`. Examples have masked addresses.

use serde::Deserialize;

use super::scope::Scope;

/// Result of `causes`.
#[derive(Debug, Deserialize)]
pub struct CausesData {
    pub from: String,
    pub to: String,
    pub bounces: u64,
    pub counted: u64,
    pub bounces_before: Option<u64>,
    pub auto_replies: u64,
    pub rollups: Vec<RollupCount>,
    pub groups: Vec<CauseGroup>,
    #[serde(default)]
    pub advice: Vec<CauseAdvice>,
    #[serde(default)]
    pub delays: Vec<DelayCount>,
    #[serde(default)]
    pub disagreements: Vec<Disagreement>,
    /// Bounces with a text that matches no rule.
    #[serde(default)]
    pub unknown_bounces: u64,
}

/// Bounces of one rollup.
#[derive(Debug, Deserialize)]
pub struct RollupCount {
    pub rollup: String,
    pub count: u64,
    pub share: Option<f64>,
    pub counted: u64,
    pub count_before: Option<u64>,
}

/// Bounces of one cause.
#[derive(Debug, Deserialize)]
pub struct CauseGroup {
    pub scope: Scope,
    pub fault: Option<String>,
    pub count: u64,
    pub share: Option<f64>,
    pub counted: u64,
    pub count_before: Option<u64>,
    pub example: Option<String>,
}

/// Advice on a cause.
#[derive(Debug, Deserialize)]
pub struct CauseAdvice {
    pub cause: String,
    pub fault: String,
    pub count: u64,
    pub share: Option<f64>,
    #[serde(default)]
    pub mostly: Vec<CommonValue>,
    #[serde(default)]
    pub block_lists: Vec<NamedCount>,
    #[serde(default)]
    pub suggestions: Vec<MistypedDomain>,
    pub meaning: String,
    pub remedy: String,
    pub ses: Option<String>,
}

/// A value that many bounces of a cause have.
#[derive(Debug, Deserialize)]
pub struct CommonValue {
    pub by: String,
    pub value: String,
    pub count: u64,
}

/// A name and its number of occurrences.
#[derive(Debug, Deserialize)]
pub struct NamedCount {
    pub name: String,
    pub count: u64,
}

/// A domain that is probably mistyped.
#[derive(Debug, Deserialize)]
pub struct MistypedDomain {
    pub domain: String,
    pub likely: String,
    pub count: u64,
}

/// Delays of one type at one provider.
#[derive(Debug, Deserialize)]
pub struct DelayCount {
    pub delay_type: Option<String>,
    pub provider: String,
    pub count: u64,
    pub count_before: Option<u64>,
    pub about_sender: bool,
    pub meaning: Option<String>,
}

/// Bounces with an SES type that contradicts the text of the server.
#[derive(Debug, Deserialize)]
pub struct Disagreement {
    pub bounce_type: Option<String>,
    pub bounce_subtype: Option<String>,
    pub cause: String,
    pub count: u64,
    pub counted: u64,
}
