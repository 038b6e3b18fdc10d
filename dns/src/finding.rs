//! A finding: what a check found, how bad it is, and how to repair it.

use std::fmt::Display;

use bouncewatch_schemas::printable::printable;
use serde::Serialize;

/// How bad a finding is, in order of severity. The levels are those of `check`, and notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingLevel {
    /// As it must be.
    Ok,
    /// Worth knowing; no fault.
    Note,
    /// Could not be checked.
    Unknown,
    /// A fault that harms some messages, or will do harm later.
    Warning,
    /// A fault that stops mail.
    Critical,
}

impl FindingLevel {
    /// Exit code of a Nagios plugin: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. A note changes no status.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Ok | Self::Note => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }

    /// Value in the JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Critical => "critical",
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

/// The result of a check.
///
/// Texts from the DNS are escaped: the fields contain no control characters.
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

/// A text without control characters, and cut if it is too long.
fn safe(text: &str) -> String {
    let mut safe = printable(text).into_owned();
    if let Some((end, _)) = safe.char_indices().nth(TEXT_CHARS_MAX) {
        safe.truncate(end);
        safe.push_str("...");
    }
    safe
}

impl FindingKind {
    /// A finding of this kind.
    pub(crate) fn found(self, what: impl Display, fix: impl Display) -> Finding {
        let FindingKind { id, level, source } = self;
        let [what, fix] = [what.to_string(), fix.to_string()].map(|text| safe(&text));
        Finding {
            id,
            level,
            subject: None,
            what,
            evidence: Vec::new(),
            fix,
            assumption: None,
            source,
        }
    }

    /// The same kind at another level.
    pub(crate) fn at(self, level: FindingLevel) -> Self {
        Self { level, ..self }
    }
}

impl Finding {
    /// Adds a piece of evidence.
    pub(crate) fn with(mut self, evidence: impl Display) -> Self {
        if self.evidence.len() < EVIDENCE_MAX {
            self.evidence.push(safe(&evidence.to_string()));
        }
        self
    }

    /// Names what was checked.
    pub(crate) fn about(mut self, subject: &str) -> Self {
        self.subject = Some(safe(subject));
        self
    }

    /// Names what the finding assumes.
    pub(crate) fn assuming(mut self, assumption: &'static str) -> Self {
        self.assumption = Some(assumption);
        self
    }

    /// Adds several pieces of evidence.
    pub(crate) fn with_all(self, evidence: impl IntoIterator<Item: Display>) -> Self {
        evidence.into_iter().fold(self, Finding::with)
    }
}
