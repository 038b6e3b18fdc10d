//! A part of a snapshot: the value that AWS returned, or why there is none.

use serde::{Deserialize, Serialize};

/// The value that AWS returned, or why there is none.
///
/// In JSON an object with one key: `{"value": ...}`, `{"denied": "ses:GetAccount"}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part<T> {
    /// The value.
    Value(T),
    /// The resource does not exist; the IAM action of the call.
    Absent(String),
    /// Access is denied; the IAM action that is missing.
    Denied(String),
    /// The call failed for another reason.
    Error(CallFailure),
    /// The operator chose not to read it, or nothing is to be read; the reason.
    Skipped(String),
    /// The snapshot has no such part.
    #[default]
    Missing,
}

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallFailure {
    /// IAM action of the call.
    pub action: String,
    /// Error code and message of AWS, or of the connection.
    pub message: String,
}

impl<T> Part<T> {
    /// The value, if AWS returned one.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            _ => None,
        }
    }

    /// The same state for another type of value.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Part<U> {
        match self {
            Self::Value(value) => Part::Value(convert(value)),
            Self::Absent(action) => Part::Absent(action),
            Self::Denied(action) => Part::Denied(action),
            Self::Error(failure) => Part::Error(failure),
            Self::Skipped(why) => Part::Skipped(why),
            Self::Missing => Part::Missing,
        }
    }
}
