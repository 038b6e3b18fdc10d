//! The result of the classifier.

use bouncewatch_schemas::cause::{Action, Cause, Fault};

/// Reliability of a cause, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// No rule matches.
    None,
    /// Based on a reply code, a single word, or another sign that servers use for several causes.
    Low,
    /// Based on a phrase that many servers use, or an enhanced status code with one usual meaning.
    Medium,
    /// Based on a text of SES or of one provider.
    High,
}

impl Confidence {
    /// The text in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// The cause that would win without the rules of the winning cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunnerUp<'a> {
    /// The second best cause.
    pub cause: Cause,
    /// Id of its best rule.
    pub rule: &'a str,
}

/// Cause of a failure, with fault and recommended action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classification<'a> {
    /// The cause.
    pub cause: Cause,
    /// The party at fault.
    pub fault: Fault,
    /// The recommended action. [`Action::Suppress`] becomes [`Action::SuppressIfRepeated`] if the failure is temporary
    /// or the confidence is low.
    pub action: Action,
    /// Reliability of the cause.
    pub confidence: Confidence,
    /// Id of the winning rule; `None` if no rule matches.
    pub rule: Option<&'a str>,
    /// The pattern of the rule that matched, as written in the rule.
    pub matched: Option<&'a str>,
    /// The second best cause.
    pub runner_up: Option<RunnerUp<'a>>,
    /// Seconds to wait before a retry, if the text states them.
    pub retry_after: Option<u32>,
    /// The block list that the text names.
    pub block_list: Option<&'a str>,
    /// Whether SES gave up the message after hours of retries. The cause is then that of the last reply.
    pub expired: bool,
    /// Whether the SES bounce type fits the cause; `None` if there is no bounce type or the cause is unknown.
    pub agrees_with_ses: Option<bool>,
}
