//! What is known of a failure, and what the classifier says about it.

use bouncewatch_schemas::bounce::BounceClass;
use bouncewatch_schemas::cause::{Action, Cause, Fault};
use bouncewatch_schemas::diagnostic::Diagnostic;
use bouncewatch_schemas::event::EventRow;

/// What is known of one failure. Everything may be missing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Input<'a> {
    /// SES's word: `Permanent`, `Transient`, `Undetermined`.
    pub bounce_type: Option<&'a str>,
    /// SES's word: `General`, `MailboxFull`, `OnAccountSuppressionList`, ...
    pub bounce_subtype: Option<&'a str>,
    /// SES's word of a delivery delay: `IPFailure`, `SpamDetected`, ...
    pub delay_type: Option<&'a str>,
    /// Reply code, 400 to 599.
    pub smtp_code: Option<u16>,
    /// Enhanced status code such as `5.1.1`.
    pub enhanced_status: Option<&'a str>,
    /// What the remote server, or SES, said, in one line (see [`bouncewatch_schemas::diagnostic::read`]).
    pub text: Option<&'a str>,
    /// Address of the remote server: a text may quote it without quoting ours.
    pub remote_mta: Option<&'a str>,
    /// Domain of the recipient.
    pub recipient_domain: Option<&'a str>,
}

impl<'a> Input<'a> {
    /// What a diagnostic says, and nothing else.
    pub fn of(diagnostic: &'a Diagnostic<'_>) -> Self {
        Self {
            smtp_code: diagnostic.smtp_code,
            enhanced_status: diagnostic.enhanced_status.as_deref(),
            text: diagnostic.text.as_deref(),
            ..Self::default()
        }
    }
}

impl<'a> Input<'a> {
    /// What a row of the event table tells.
    pub fn of_row(row: &EventRow<'a>) -> Self {
        // a report without text is no automatic reply, though SES's words are the same
        let reported = row.class.is_some_and(|class| class != BounceClass::AutoReply);
        let is_general = |word: &str| word.eq_ignore_ascii_case("General");
        Self {
            bounce_type: row.bounce_type,
            bounce_subtype: row.bounce_subtype.filter(|word| !(reported && is_general(word))),
            delay_type: row.delay_type,
            smtp_code: row.smtp_code,
            enhanced_status: row.enhanced_status,
            text: row.diagnostic,
            remote_mta: row.remote_mta,
            recipient_domain: row.recipient_domain,
        }
    }
}

/// How sure a cause is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// No rule knows the text.
    None,
    /// A code or a single word, which servers use for many things.
    Low,
    /// A phrase that many servers use, or an enhanced status code that is mostly used as it is meant.
    Medium,
    /// SES's or a provider's own words.
    High,
}

impl Confidence {
    /// The word in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// The cause that would have been told if the winning rule had not been there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunnerUp<'a> {
    /// Another cause than the winner's.
    pub cause: Cause,
    /// The rule that speaks for it.
    pub rule: &'a str,
}

/// Why a message did not arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classification<'a> {
    /// Why.
    pub cause: Cause,
    /// Whose fault.
    pub fault: Fault,
    /// What to do. Softer than [`Cause::action`] where the server says that the failure passes, or where the cause is a
    /// guess: an address is suppressed at once only for a permanent failure that is told in words or by status.
    pub action: Action,
    /// How sure.
    pub confidence: Confidence,
    /// Id of the rule that told; `None` where no rule knows the text.
    pub rule: Option<&'a str>,
    /// The part of the rule that was found, as it is written there.
    pub matched: Option<&'a str>,
    /// The next best cause.
    pub runner_up: Option<RunnerUp<'a>>,
    /// Seconds after which the server wants to be tried again, where it says so.
    pub retry_after: Option<u32>,
    /// The block list that the text names.
    pub block_list: Option<&'a str>,
    /// Whether the text was that of a message given up after hours of trying; the cause is then that of the last answer.
    pub expired: bool,
    /// Whether SES's own type says the same; `None` where SES said nothing or the cause is not known.
    pub agrees_with_ses: Option<bool>,
}
