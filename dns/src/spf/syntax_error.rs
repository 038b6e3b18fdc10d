//! Where and why an SPF record is invalid.

use std::fmt;

use crate::snapshot::escape;

/// Where and why a record is invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpfSyntaxError {
    /// Number of bytes before the error.
    pub at: usize,
    /// The part of the record with the error, escaped.
    pub text: String,
    /// The reason.
    pub reason: &'static str,
}

impl SpfSyntaxError {
    pub(crate) fn new(at: usize, text: &[u8], reason: &'static str) -> Self {
        Self { at, text: escape(text), reason }
    }
}

impl fmt::Display for SpfSyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "position {}: {} in `{}`", self.at + 1, self.reason, self.text)
    }
}

impl std::error::Error for SpfSyntaxError {}
