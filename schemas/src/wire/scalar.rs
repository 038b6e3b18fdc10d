//! Numbers and words of JSON as senders write them every day.

use crate::wire::inplace::Unusual;

/// A number or a word.
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Whole(u64),
}

impl Scalar {
    /// Reads one; fractions, signs and what is too long are left to the general reader.
    pub(super) fn read(text: &str) -> Result<Self, Unusual> {
        match text {
            "null" => Ok(Self::Null),
            "true" => Ok(Self::Bool(true)),
            "false" => Ok(Self::Bool(false)),
            _ => {
                let is_whole = !text.is_empty()
                    && text.len() < 19
                    && text.bytes().all(|digit| digit.is_ascii_digit())
                    && (text == "0" || !text.starts_with('0'));
                if is_whole {
                    text.parse().map(Self::Whole).map_err(|_| Unusual)
                } else {
                    Err(Unusual)
                }
            }
        }
    }
}
