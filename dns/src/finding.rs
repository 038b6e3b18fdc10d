//! A finding: what a check found, how bad it is, and how to repair it.

use std::fmt::Display;

use bouncewatch_schemas::level::AlertLevel;
use bouncewatch_schemas::text_enum;
use serde::Serialize;

text_enum! {
    /// How bad a finding is, in order of severity. The levels are those of `check`, and notes.
    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    FindingLevel {
        /// As it must be.
        Ok = "ok",
        /// Worth knowing; no fault.
        Note = "note",
        /// Could not be checked.
        Unknown = "unknown",
        /// A fault that harms some messages, or will do harm later.
        Warning = "warning",
        /// A fault that stops mail.
        Critical = "critical",
    }
}

impl FindingLevel {
    /// The status of a run with this as its worst level. A note changes no status.
    pub const fn status(self) -> AlertLevel {
        match self {
            Self::Ok | Self::Note => AlertLevel::Ok,
            Self::Unknown => AlertLevel::Unknown,
            Self::Warning => AlertLevel::Warning,
            Self::Critical => AlertLevel::Critical,
        }
    }
}

/// The constant part of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FindingKind {
    /// Stable name, such as `dns.spf_two_records`.
    pub id: &'static str,
    /// The usual level.
    pub level: FindingLevel,
    /// The RFC or page on which the check is based.
    pub source: &'static str,
}

/// The result of a check. Its texts contain text from outside: writers escape it, with
/// [`printable`](bouncewatch_schemas::printable::printable).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable name, such as `dns.spf_two_records`.
    pub id: &'static str,
    /// How bad it is.
    pub level: FindingLevel,
    /// The domain, recipient or IP address that was checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What was found, in one sentence.
    pub what: String,
    /// The records and answers that show it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// What to do; empty if there is nothing to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fix: String,
    /// What the finding assumes although its source does not state it. Such a finding is never critical.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assumption: Option<&'static str>,
    /// The RFC or page on which the check is based.
    pub source: &'static str,
}

/// Most characters of one text. A record can have 64 kB, and it is quoted in each of its findings.
const TEXT_CHARS_MAX: usize = 2000;
/// Most pieces of evidence.
const EVIDENCE_MAX: usize = 20;

/// What to do about a lookup without an answer.
const ASK_AGAIN: &str =
    "Run the check again, or with another DNS server. SERVFAIL often means a fault of DNSSEC";

/// A text, cut if it is too long.
fn shortened(text: impl Display) -> String {
    let mut text = text.to_string();
    if let Some((end, _)) = text.char_indices().nth(TEXT_CHARS_MAX) {
        text.truncate(end);
        text.push_str("...");
    }
    text
}

impl FindingKind {
    /// A finding of this kind.
    pub fn found(self, what: impl Display, fix: impl Display) -> Finding {
        let FindingKind { id, level, source } = self;
        Finding {
            id,
            level,
            subject: None,
            what: shortened(what),
            evidence: Vec::new(),
            fix: shortened(fix),
            assumption: None,
            source,
        }
    }

    /// A finding about lookups without an answer, which are the evidence.
    pub(crate) fn unanswered(self, what: impl Display) -> Finding {
        self.found(what, ASK_AGAIN)
    }

    /// The same kind at another level.
    #[must_use]
    pub fn at(self, level: FindingLevel) -> Self {
        Self { level, ..self }
    }
}

impl Finding {
    /// Names what to do.
    #[must_use]
    pub fn fix(mut self, fix: impl Display) -> Self {
        self.fix = shortened(fix);
        self
    }

    /// Adds a piece of evidence.
    #[must_use]
    pub fn with(mut self, evidence: impl Display) -> Self {
        if self.evidence.len() < EVIDENCE_MAX {
            self.evidence.push(shortened(evidence));
        }
        self
    }

    /// Names what was checked.
    #[must_use]
    pub fn about(mut self, subject: &str) -> Self {
        self.subject = Some(shortened(subject));
        self
    }

    /// Names what the finding assumes.
    #[must_use]
    pub fn assuming(mut self, assumption: &'static str) -> Self {
        self.assumption = Some(assumption);
        self
    }

    /// Adds several pieces of evidence.
    #[must_use]
    pub fn with_all(self, evidence: impl IntoIterator<Item: Display>) -> Self {
        evidence.into_iter().fold(self, Finding::with)
    }
}
