//! Rolling windows as given in arguments and settings.

use std::fmt;
use std::str::FromStr;

use crate::error::AnalyzeError;

/// A rolling window: a duration, or a number of attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    text: String,
    span: WindowSpan,
}

/// Length of a window that ends at `t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowSpan {
    /// `(t - ms, t]`.
    Millis(i64),
    /// From the n-th last attempt (inclusive) to `t`. SES evaluates accounts over such a "representative volume".
    Attempts(u64),
}

impl Window {
    /// Returns its length.
    pub fn span(&self) -> WindowSpan {
        self.span
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Window {
    type Err = AnalyzeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let invalid = || AnalyzeError::Window(text.to_owned());
        let span = match text.strip_prefix("volume:") {
            Some(number) => {
                let attempts = number.parse().ok().filter(|n| *n > 0);
                WindowSpan::Attempts(attempts.ok_or_else(invalid)?)
            }
            None => WindowSpan::Millis(parse_duration_ms(text).ok_or_else(invalid)?),
        };
        Ok(Self { text: text.to_owned(), span })
    }
}

/// Parses a duration such as `90s`, `15m`, `1h`, `24h`, `7d` or `2w` to milliseconds; `None` if it is zero, negative or
/// not a duration.
pub fn parse_duration_ms(text: &str) -> Option<i64> {
    bouncewatch_schemas::time::parse_duration_ms(text).filter(|ms| *ms > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_is_parsed_from_a_duration_or_a_number_of_attempts() {
        for (text, span) in [
            ("1h", WindowSpan::Millis(3_600_000)),
            ("24h", WindowSpan::Millis(86_400_000)),
            ("7d", WindowSpan::Millis(604_800_000)),
            ("volume:10000", WindowSpan::Attempts(10_000)),
        ] {
            let window: Window = text.parse().unwrap();
            assert_eq!((window.span(), window.to_string().as_str()), (span, text));
        }
        for text in
            ["", "h", "0h", "-1h", "1y", "volume:0", "volume:", "24", "99999999999999999d", "1.5h"]
        {
            assert!(text.parse::<Window>().is_err(), "{text}");
        }
    }
}
