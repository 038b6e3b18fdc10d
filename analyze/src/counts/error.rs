//! Errors of counts.

/// Why a row cannot be used. Texts contain no value that can be an email address (invariant I-8).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}\n  hint: {hint}")]
pub struct RowProblem {
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub hint: String,
}

impl RowProblem {
    pub(super) fn new(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { problem: problem.into(), hint: hint.into() }
    }
}

/// Errors of counts. One wrong row is an error: the rates without it would be wrong.
#[derive(Debug, thiserror::Error)]
pub enum CountsError {
    /// The text or file as a whole cannot be read.
    #[error("{problem}\n  hint: {hint}")]
    Input {
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: &'static str,
    },
    /// A row cannot be used.
    #[error("{unit} {number}: {problem}")]
    Row {
        /// `line` of a text, `row` of a Parquet file.
        unit: &'static str,
        /// Number of the line or row, from 1.
        number: u64,
        /// What is wrong.
        problem: RowProblem,
    },
    /// Rows that do not fit together.
    #[error(transparent)]
    Rows(RowProblem),
}
