//! A rule and how it is written.
//!
//! Builtin rules stand in `rules/*.tsv`. A line that begins with `>` is a sample, a text that the rule below it wins;
//! `{Type/Subtype}` or `{delay:Type}` before it are SES's words. Then comes the rule, in columns between tabs:
//! id, cause, weight (1 to 9), kind, pattern, source of the sample. `#` begins a comment.
//!
//! Kinds of patterns, each with alternatives between ` | `:
//! - `phrase`: words that the text holds, without regard to case, accents, hyphens and runs of blanks. They begin and end
//!   where words do; a `*` at the end stands for any rest of the last word. ` & ` joins several that must all be there, ` & !` one that must not.
//!   `{address}` stands for any address and `{ip}` for any IP address.
//! - `token`: the same, for what only one provider or program says.
//! - `status`: enhanced status codes, `x` for any class: `5.1.1`, `x.2.2`.
//! - `code`: reply codes.
//! - `ses`: words of SES, `Type/Subtype`; `*` stands for any.
//! - `delay`: SES's delay types.
//! - `guard`: phrases that tell that the text is not about the recipient. Its cause, unless that is `-`, is told where
//!   the text says of an address that it does not exist, and nothing else.
//! - `list` (its cause is `-`): how the block list is called whose name is the id.

use crate::classification::Input;
use bouncewatch_schemas::cause::{Action, Cause};
use bouncewatch_schemas::diagnostic::Diagnostic;

/// Kind of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Words that many servers use.
    Phrase,
    /// Words of one provider or program.
    Token,
    /// Enhanced status code.
    Status,
    /// Reply code.
    Code,
    /// SES's type and subtype.
    Ses,
    /// SES's delay type.
    Delay,
    /// A phrase that tells that the text is about the sending server.
    Guard,
    /// How a block list is called.
    List,
}

impl Kind {
    /// What a word stands for.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "phrase" => Self::Phrase,
            "token" => Self::Token,
            "status" => Self::Status,
            "code" => Self::Code,
            "ses" => Self::Ses,
            "delay" => Self::Delay,
            "guard" => Self::Guard,
            "list" => Self::List,
            _ => return None,
        })
    }
}

/// Weight of the user's rules, which is above that of all others.
pub const OWN_WEIGHT: u8 = 10;

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name, unique in the table.
    pub id: String,
    /// What it tells; `Unknown` for guards that tell nothing.
    pub cause: Cause,
    /// What to do, where that is not what the cause says.
    pub action: Option<Action>,
    /// 1 to 9, and 10 for rules of the user's.
    pub weight: u8,
    /// What is looked for.
    pub kind: Kind,
    /// Its alternatives.
    pub patterns: Vec<String>,
    /// Texts that it wins.
    pub samples: Vec<String>,
    /// Where the first sample is from.
    pub source: String,
}

/// What is wrong with a rule.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RuleError {
    /// A line of a table is not made of columns as they should be.
    #[error("{table} line {line}: {what}")]
    Line {
        /// Which table.
        table: &'static str,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A pattern cannot be used.
    #[error("rule `{id}`: {what}: `{pattern}`")]
    Pattern {
        /// The rule.
        id: String,
        /// The pattern.
        pattern: String,
        /// What is wrong.
        what: &'static str,
    },
    /// Two rules have one name.
    #[error("two rules are named `{0}`")]
    Twice(String),
    /// A rule does not win its own sample.
    #[error("rule `{id}` does not win its own sample `{sample}`: {winner}")]
    Loses {
        /// The rule.
        id: String,
        /// The text.
        sample: String,
        /// Who does.
        winner: String,
    },
}

/// Reads a table of rules.
///
/// # Errors
/// The first line that is wrong.
pub fn parse(table: &'static str, text: &str) -> Result<Vec<Rule>, RuleError> {
    let mut rules = Vec::new();
    let mut samples: Vec<String> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let wrong = |what| RuleError::Line { table, line: at + 1, what };
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(sample) = line.strip_prefix("> ") {
            samples.push(sample.to_owned());
            continue;
        }
        let mut columns = line.split('\t');
        let mut next = |what| columns.next().filter(|text| !text.is_empty()).ok_or(wrong(what));
        let id = next("no id")?.to_owned();
        let cause = match next("no cause")? {
            "-" => Cause::Unknown,
            word => Cause::from_word(word).ok_or(wrong("no such cause"))?,
        };
        let weight = next("no weight")?.parse().map_err(|_| wrong("the weight is no number"))?;
        let kind = Kind::from_word(next("no kind")?).ok_or(wrong("no such kind"))?;
        let patterns = next("no pattern")?.split(" | ").map(str::to_owned).collect();
        let source = next("no source")?.to_owned();
        let action = match columns.next() {
            None => None,
            Some(word) => Some(Action::from_word(word).ok_or(wrong("no such action"))?),
        };
        if !(1..=9).contains(&weight) {
            return Err(wrong("a weight is 1 to 9"));
        }
        if samples.is_empty() {
            return Err(wrong("no sample above the rule"));
        }
        let samples = std::mem::take(&mut samples);
        rules.push(Rule { id, cause, action, weight, kind, patterns, samples, source });
    }
    Ok(rules)
}

/// SES's words before the text of a sample.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct SesWords<'a> {
    pub(super) bounce_type: Option<&'a str>,
    pub(super) bounce_subtype: Option<&'a str>,
    pub(super) delay_type: Option<&'a str>,
}

impl<'a> SesWords<'a> {
    /// What SES and a server say together.
    pub(super) fn input(&self, said: &'a Diagnostic<'_>) -> Input<'a> {
        Input {
            bounce_type: self.bounce_type,
            bounce_subtype: self.bounce_subtype,
            delay_type: self.delay_type,
            ..Input::of(said)
        }
    }
}

/// The words of SES of a sample, and its text.
pub(super) fn sample(sample: &str) -> (SesWords<'_>, &str) {
    match sample.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some((words, text)) => (ses_words(words), text.trim()),
        None => (SesWords::default(), sample),
    }
}

/// `Type/Subtype` or `delay:Type`.
pub(super) fn ses_words(words: &str) -> SesWords<'_> {
    match (words.strip_prefix("delay:"), words.split_once('/')) {
        (Some(delay), _) => SesWords { delay_type: Some(delay), ..SesWords::default() },
        (None, Some((bounce_type, subtype))) => SesWords {
            bounce_type: Some(bounce_type),
            bounce_subtype: Some(subtype),
            delay_type: None,
        },
        (None, None) => SesWords::default(),
    }
}
