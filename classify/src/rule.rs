//! Rules and their file format.
//!
//! Builtin rules are in `rules/*.tsv`. A line that starts with `> ` is a sample: a text that the next rule wins. It may
//! start with `{Type/Subtype}` or `{delay:Type}`, the SES types of the event. A rule is one line of columns, separated
//! by tabs:
//!
//! | column | content |
//! |---|---|
//! | id | unique name |
//! | cause | a cause, or `-` |
//! | weight | 1 to 9; the matching rule with the greatest weight wins; 1 for a phrase: a word that counts only if nothing else does |
//! | kind | kind of the patterns, see below |
//! | patterns | alternatives, separated by ` \| ` |
//! | source | source of the first sample |
//! | action | optional; default: the action of the cause |
//!
//! Lines that start with `#` are comments.
//!
//! | kind | the pattern matches |
//! |---|---|
//! | `phrase` | a text that contains the phrase; case, accents, hyphens and runs of blanks are ignored |
//! | `token` | like `phrase`, for texts of one provider or program only |
//! | `status` | an enhanced status code: `5.1.1`, `x.2.2` (`x` stands for any class) |
//! | `code` | an SMTP reply code |
//! | `ses` | an SES bounce type and subtype, `Type/Subtype`; `*` stands for any |
//! | `delay` | an SES delay type |
//! | `guard` | like `phrase`; marks a text as not about the recipient |
//! | `list` | like `phrase`; marks the block list that the id names (its cause is `-`, weight 1 if it is no certain list) |
//! | `hedge` | like `phrase`; marks a text that names possible causes; in the sentence of an invalid recipient, no suppression at once |
//! | `temporary` | like `phrase`; marks a text that asks for a retry: no suppression at once |
//! | `advice` | like `phrase`; marks the start of advice, which does not outweigh a reason before it |
//! | `retry` | like `phrase`; a retry delay follows |
//! | `condition` | a word; what follows it in its sentence is no reason about the recipient |
//! | `alternative` | a word between alternatives: of a full mailbox and an invalid recipient, the first is reported |
//! | `recipient` | a word for a recipient; a text without one never suppresses at once because of a phrase without one |
//!
//! A phrase matches at the start and end of words. A `*` at its end matches any rest of the last word. ` & ` joins
//! phrases that must all occur, ` & !` excludes a phrase. `{address}` stands for any email address, `{ip}` for any IP
//! address.
//!
//! If a guard matches, no recipient failure (unknown mailbox, mailbox full, ...) is reported. If only recipient
//! failures match, the cause of the guard is reported, unless it is `-`.

use bouncewatch_schemas::cause::{Action, Cause};
use bouncewatch_schemas::diagnostic::Diagnostic;

use crate::failure_facts::FailureFacts;

/// Kind of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternKind {
    /// Phrase that many servers use.
    Phrase,
    /// Phrase of one provider or program.
    Token,
    /// Enhanced status code.
    Status,
    /// SMTP reply code.
    Code,
    /// SES bounce type and subtype.
    Ses,
    /// SES delay type.
    Delay,
    /// Phrase that marks a text as not about the recipient.
    Guard,
    /// Phrase that names a block list.
    List,
    /// Phrase of a text that names possible causes.
    Hedge,
    /// Phrase of a text that asks for a retry, or states that the failure is temporary.
    Temporary,
    /// Phrase at the start of advice.
    Advice,
    /// Phrase before a retry delay.
    Retry,
    /// Word at the start of a condition.
    Condition,
    /// Word between alternatives.
    Alternative,
    /// Word for a recipient.
    Recipient,
}

impl PatternKind {
    /// The kind with this text in a rule file.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "phrase" => Self::Phrase,
            "token" => Self::Token,
            "status" => Self::Status,
            "code" => Self::Code,
            "ses" => Self::Ses,
            "delay" => Self::Delay,
            "guard" => Self::Guard,
            "list" => Self::List,
            "hedge" => Self::Hedge,
            "temporary" => Self::Temporary,
            "advice" => Self::Advice,
            "retry" => Self::Retry,
            "condition" => Self::Condition,
            "alternative" => Self::Alternative,
            "recipient" => Self::Recipient,
            _ => return None,
        })
    }
}

/// Weight of custom rules, greater than that of all builtin rules.
pub const CUSTOM_RULE_WEIGHT: u8 = 10;

/// Weight of a phrase that is a single word, and gives a cause only if nothing else does.
pub(super) const WORD_WEIGHT: u8 = 1;

/// A rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Unique name.
    pub id: String,
    /// Cause of a text that the rule wins; `Unknown` for kinds that give no cause.
    pub cause: Cause,
    /// Action, if it differs from that of the cause.
    pub action: Option<Action>,
    /// 1 to 9; [`CUSTOM_RULE_WEIGHT`] for custom rules.
    pub weight: u8,
    /// Kind of the patterns.
    pub kind: PatternKind,
    /// Alternatives; one match is sufficient.
    pub patterns: Vec<String>,
    /// Texts that the rule wins.
    pub samples: Vec<String>,
    /// Source of the first sample.
    pub source: String,
}

/// An error in a rule.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RuleError {
    /// A line of a rule file is invalid.
    #[error("{table} line {line}: {reason}")]
    InvalidLine {
        /// Name of the file.
        table: &'static str,
        /// Line number, from 1.
        line: usize,
        /// The reason.
        reason: &'static str,
    },
    /// A pattern is invalid.
    #[error("rule `{id}`: invalid pattern `{pattern}`: {reason}")]
    InvalidPattern {
        /// Id of the rule.
        id: String,
        /// The pattern.
        pattern: String,
        /// The reason.
        reason: &'static str,
    },
    /// Two rules have the same id.
    #[error("two rules have the id `{0}`")]
    DuplicateId(String),
    /// A rule does not win its own sample.
    #[error("rule `{id}` does not win its own sample `{sample}`: {winner}")]
    LosesSample {
        /// Id of the rule.
        id: String,
        /// The sample.
        sample: String,
        /// The winner, as a sentence.
        winner: String,
    },
}

/// Parses a rule file; `table` is its name in errors.
///
/// # Errors
/// The first invalid line.
pub fn parse(table: &'static str, text: &str) -> Result<Vec<Rule>, RuleError> {
    let mut rules = Vec::new();
    let mut samples: Vec<String> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let error = |reason| RuleError::InvalidLine { table, line: at + 1, reason };
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(sample) = line.strip_prefix("> ") {
            samples.push(sample.to_owned());
            continue;
        }
        if samples.is_empty() {
            return Err(error("no sample above the rule"));
        }
        rules.push(parse_rule(line, std::mem::take(&mut samples)).map_err(error)?);
    }
    Ok(rules)
}

/// Parses the line of a rule. The error is the reason.
fn parse_rule(line: &str, samples: Vec<String>) -> Result<Rule, &'static str> {
    let mut columns = line.split('\t');
    let mut next = |missing| columns.next().filter(|text| !text.is_empty()).ok_or(missing);
    let id = next("no id")?.to_owned();
    let cause = match next("no cause")? {
        "-" => Cause::Unknown,
        text => Cause::parse(text).ok_or("unknown cause")?,
    };
    let weight = next("no weight")?.parse().map_err(|_| "the weight is not a number")?;
    let kind = PatternKind::parse(next("no kind")?).ok_or("unknown kind of pattern")?;
    let patterns = next("no pattern")?.split(" | ").map(str::to_owned).collect();
    let source = next("no source")?.to_owned();
    let action = match columns.next() {
        None => None,
        Some(text) => Some(Action::parse(text).ok_or("unknown action")?),
    };
    if !(1..=9).contains(&weight) {
        return Err("the weight is not in 1 to 9");
    }
    Ok(Rule { id, cause, action, weight, kind, patterns, samples, source })
}

/// The SES types of a sample.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct SesTypes<'a> {
    pub(super) bounce_type: Option<&'a str>,
    pub(super) bounce_subtype: Option<&'a str>,
    pub(super) delay_type: Option<&'a str>,
}

impl<'a> SesTypes<'a> {
    /// The input of the classifier for these types and a diagnostic.
    pub(super) fn with_diagnostic(&self, diagnostic: &'a Diagnostic<'_>) -> FailureFacts<'a> {
        FailureFacts {
            bounce_type: self.bounce_type,
            bounce_subtype: self.bounce_subtype,
            delay_type: self.delay_type,
            ..FailureFacts::from_diagnostic(diagnostic)
        }
    }
}

/// Splits a sample into SES types and text.
pub(super) fn sample(sample: &str) -> (SesTypes<'_>, &str) {
    match sample.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some((types, text)) => (ses_types(types), text.trim()),
        None => (SesTypes::default(), sample),
    }
}

/// Parses `Type/Subtype` or `delay:Type`.
pub(super) fn ses_types(text: &str) -> SesTypes<'_> {
    match (text.strip_prefix("delay:"), text.split_once('/')) {
        (Some(delay), _) => SesTypes { delay_type: Some(delay), ..SesTypes::default() },
        (None, Some((bounce_type, subtype))) => SesTypes {
            bounce_type: Some(bounce_type),
            bounce_subtype: Some(subtype),
            delay_type: None,
        },
        (None, None) => SesTypes::default(),
    }
}
