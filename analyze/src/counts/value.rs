//! Converts one value of a row to a count, a time or a text. No I/O.

use bouncewatch_schemas::printable::printable;
use bouncewatch_schemas::time::parse_ms;

use crate::counts::error::RowProblem;

/// Largest count. A floating-point number cannot represent every larger integer.
const COUNT_MAX: u64 = 1 << 53;
/// Maximum number of characters of a value in an error.
const ERROR_CHARS_MAX: usize = 40;

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// No value.
    Null,
    /// Text, including numbers in CSV. Never empty.
    Text(String),
    /// A whole number.
    Integer(i128),
    /// Another number.
    Float(f64),
    /// A time, epoch milliseconds.
    Time(i64),
    /// A value of another type, with its name.
    Other(&'static str),
}

impl Value {
    /// Returns a text without spaces around it; no value if it is empty.
    pub(super) fn text(text: &str) -> Self {
        match text.trim() {
            "" => Self::Null,
            text => Self::Text(text.to_owned()),
        }
    }

    /// Returns a count; `None` without a value.
    pub(super) fn to_count(&self, column: &str) -> Result<Option<u64>, RowProblem> {
        let count = match self {
            Self::Null => return Ok(None),
            Self::Integer(number) => u64::try_from(*number).ok(),
            Self::Float(number) => whole_number(*number),
            Self::Text(text) => {
                text.parse().ok().or_else(|| text.parse::<f64>().ok().and_then(whole_number))
            }
            Self::Time(_) | Self::Other(_) => None,
        };
        count.filter(|count| *count <= COUNT_MAX).map(Some).ok_or_else(|| {
            RowProblem::new(
                format!("`{column}` is not a count{}", self.error_suffix()),
                "write a whole number, 0 or greater",
            )
        })
    }

    /// Returns a time, epoch milliseconds; `None` without a value.
    pub(super) fn to_time(&self, column: &str) -> Result<Option<i64>, RowProblem> {
        let time = match self {
            Self::Null => return Ok(None),
            Self::Time(ms) => parse_ms(&ms.to_string()),
            Self::Integer(number) => parse_ms(&number.to_string()),
            Self::Text(text) => time(text),
            Self::Float(_) | Self::Other(_) => None,
        };
        time.map(Some).ok_or_else(|| {
            RowProblem::new(
                format!("`{column}` is not a time{}", self.error_suffix()),
                "write 2026-11-20T00:00:00Z, or milliseconds since 1970",
            )
        })
    }

    /// Returns a text; `None` without a value.
    pub(super) fn to_text(&self, column: &str) -> Result<Option<String>, RowProblem> {
        match self {
            Self::Null => Ok(None),
            Self::Text(text) => Ok(Some(text.clone())),
            _ => Err(RowProblem::new(
                format!("`{column}` is not text{}", self.error_suffix()),
                "write it as text: a number loses leading zeros",
            )),
        }
    }

    /// Returns `: VALUE` for the end of an error; empty if the value can be an email address.
    pub(super) fn error_suffix(&self) -> String {
        match self {
            Self::Null => ": it is empty".to_owned(),
            Self::Text(text) if text.contains('@') => String::new(),
            Self::Text(text) => {
                let start: String = text.chars().take(ERROR_CHARS_MAX).collect();
                format!(": `{}`", printable(&start))
            }
            Self::Integer(number) => format!(": `{number}`"),
            Self::Float(number) => format!(": `{number}`"),
            Self::Time(_) => ": it is a time".to_owned(),
            Self::Other(name) => format!(": it is {name}"),
        }
    }
}

/// Parses a time in the formats of the project, of DuckDB (`+00`) and of Athena (` UTC`).
fn time(text: &str) -> Option<i64> {
    let text = text.strip_suffix(" UTC").unwrap_or(text);
    parse_ms(text).or_else(|| parse_ms(&format!("{text}:00")))
}

/// Returns a float as a whole number; `None` if it is not a count. Some engines write sums as
/// floats: `957.0`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the range was checked"
)]
fn whole_number(number: f64) -> Option<u64> {
    let is_count = number.fract() == 0.0 && (0.0..=COUNT_MAX as f64).contains(&number);
    is_count.then_some(number as u64)
}
