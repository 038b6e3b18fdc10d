//! Rows of a CSV export of CloudWatch Logs Insights: `@timestamp,@message`. A message is a quoted
//! field; it contains doubled quotes and may contain line feeds.

use std::borrow::Cow;
use std::ops::Range;

use bouncewatch_schemas::time::parse_ms;

/// First bytes of a JSON object in a quoted field: a brace and a doubled quote.
const QUOTED_OBJECT: &[u8] = b"{\"\"";
/// Possible lengths of a date with a time.
const TIME_BYTES: std::ops::RangeInclusive<usize> = 19..=35;

/// Result of [`scan`].
pub(super) enum RowScan {
    /// A row of this many bytes.
    Complete(usize),
    /// The input ends within a row.
    Unfinished,
    /// Not a row of such an export.
    NotARow,
}

/// Finds the end of the row at the start of `bytes`.
pub(super) fn scan(bytes: &[u8]) -> RowScan {
    let mut fields = Fields { bytes, at: 0, end: None };
    let (mut is_row, mut names) = (false, QuotedNames::default());
    loop {
        match fields.next() {
            Some(Ok(field)) => {
                names.add(bytes, &field);
                is_row |= is_column(&bytes[field]);
            }
            Some(Err(Malformed::Open(_)))
                if is_row || bytes.get(1..).is_some_and(|rest| rest.starts_with(QUOTED_OBJECT)) =>
            {
                return RowScan::Unfinished;
            }
            None if is_row || names.are_header() => {
                return RowScan::Complete(fields.end.unwrap_or(bytes.len()));
            }
            _ => return RowScan::NotARow,
        }
    }
}

/// The fields of a row, without quotes; `None` if the text is not a row.
pub(super) fn fields(text: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut fields = Fields { bytes: text.as_bytes(), at: 0, end: None };
    let mut row = Vec::new();
    let mut is_row = false;
    for field in fields.by_ref() {
        let field = match field {
            Ok(field) | Err(Malformed::Open(field)) => field,
            Err(Malformed::Other) => return None,
        };
        let content = text.get(field)?;
        is_row |= is_column(content.as_bytes());
        row.push(if content.contains("\"\"") {
            Cow::Owned(content.replace("\"\"", "\""))
        } else {
            Cow::Borrowed(content)
        });
    }
    let rest = text.get(fields.end.unwrap_or(text.len())..)?;
    (is_row && rest.trim().is_empty()).then_some(row)
}

/// Whether a field is typical for such an export: a time, the name of a column, or an object in doubled quotes.
fn is_column(field: &[u8]) -> bool {
    let is_time = || {
        TIME_BYTES.contains(&field.len())
            && field[4] == b'-'
            && std::str::from_utf8(field).is_ok_and(|text| parse_ms(text).is_some())
    };
    field.starts_with(QUOTED_OBJECT) || is_header(field) || is_time()
}

/// Whether a line is the header of an export of Logs Insights.
pub(crate) fn is_insights_header(line: &str) -> bool {
    let line = line.trim_start_matches('\u{feff}');
    fields(line).is_some_and(|fields| fields.iter().any(|field| is_header(field.as_bytes())))
}

/// Whether a line is the header of an export.
pub(super) fn is_header_line(line: &str) -> bool {
    let bytes = line.trim_end().as_bytes();
    let mut names = QuotedNames::default();
    let mut fields = Fields { bytes, at: 0, end: None };
    let is_row = fields.by_ref().all(|field| field.is_ok_and(|field| names.add(bytes, &field)));
    is_insights_header(line) || is_row && names.are_header() && fields.end == Some(bytes.len())
}

/// Whether all fields of a row are quoted names of columns, as some programs write a header.
#[derive(Default)]
struct QuotedNames {
    names: usize,
    has_other: bool,
}

impl QuotedNames {
    /// Returns whether all fields are names until now.
    fn add(&mut self, bytes: &[u8], field: &Range<usize>) -> bool {
        let is_quoted = field.start.checked_sub(1).is_some_and(|before| bytes[before] == b'"');
        let content = &bytes[field.clone()];
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_@. -".contains(byte);
        let is_header = content.iter().all(is_name) && content.iter().any(u8::is_ascii_alphabetic);
        self.has_other |= !(is_quoted && is_header);
        self.names += 1;
        !self.has_other
    }

    fn are_header(&self) -> bool {
        self.names >= 2 && !self.has_other
    }
}

/// Whether a field is the name of a column of Logs Insights.
fn is_header(field: &[u8]) -> bool {
    field.eq_ignore_ascii_case(b"@timestamp") || field.eq_ignore_ascii_case(b"@message")
}

/// Why a field is malformed.
enum Malformed {
    /// The input ends within its quotes.
    Open(Range<usize>),
    /// Quotes in an unquoted field, or text after the quotes.
    Other,
}

/// The fields of a row, without their outer quotes.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The end of the row, once it is found.
    end: Option<usize>,
}

impl Iterator for Fields<'_> {
    type Item = Result<Range<usize>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.end.is_some() {
            return None;
        }
        let field = if self.bytes.get(self.at) == Some(&b'"') {
            match self.quoted() {
                Ok(field) => field,
                Err(malformed) => {
                    self.end = Some(self.bytes.len());
                    return Some(Err(malformed));
                }
            }
        } else {
            let rest = &self.bytes[self.at..];
            let length = memchr::memchr3(b',', b'\n', b'"', rest).unwrap_or(rest.len());
            self.at..self.at + length
        };
        let after = if self.bytes.get(field.end) == Some(&b'"') && field.start > self.at {
            field.end + 1
        } else {
            field.end
        };
        let after = after + usize::from(self.bytes[after..].starts_with(b"\r\n"));
        match self.bytes.get(after) {
            Some(b',') => self.at = after + 1,
            Some(b'\n') | None => self.end = Some(after),
            Some(_) => {
                self.end = Some(self.bytes.len());
                return Some(Err(Malformed::Other));
            }
        }
        Some(Ok(field))
    }
}

impl Fields<'_> {
    /// The content of the quoted field at the current position.
    fn quoted(&self) -> Result<Range<usize>, Malformed> {
        let start = self.at + 1;
        let mut end = start;
        loop {
            let rest = &self.bytes[end..];
            let Some(offset) = memchr::memchr(b'"', rest) else {
                return Err(Malformed::Open(start..self.bytes.len()));
            };
            end += offset;
            if self.bytes.get(end + 1) != Some(&b'"') {
                return Ok(start..end);
            }
            end += 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_log_exports_are_found_and_other_lines_are_not() {
        for (text, expected) in [
            ("@timestamp,@message\nx", Some("@timestamp,@message")),
            (
                "2026-11-18 09:00:00.000,\"{\"\"a\"\":1}\n\"\nx",
                Some("2026-11-18 09:00:00.000,\"{\"\"a\"\":1}\n\""),
            ),
            ("\"{\"\"a\"\":1}\",\"b\"\r\nx", Some("\"{\"\"a\"\":1}\",\"b\"\r")),
            ("2026-11-18 09:00:00,123 INFO {\"a\":1,\"b\":2}\n", None),
            ("\"{\\\"a\\\":1}\",\n", None),
            ("\"\",\"a\"]", None),
            ("\"_raw\",\"_time\"\nx", Some("\"_raw\",\"_time\"")),
            ("\"_raw\"\nx", None),
            ("\"a\",\"b@c.d:1\"\nx", None),
            ("a,b\n", None),
            ("", None),
        ] {
            let found = match scan(text.as_bytes()) {
                RowScan::Complete(end) => text.get(..end),
                RowScan::Unfinished | RowScan::NotARow => None,
            };
            assert_eq!(found, expected, "{text:?}");
        }
        assert!(matches!(scan(b"2026-11-18 09:00:00.000,\"a"), RowScan::Unfinished));
        assert!(is_insights_header("\u{feff}@timestamp,@message\r\n"));
        assert!(!is_insights_header("\"from\",\"to\""));
        assert!(is_header_line("\"_raw\",\"_time\""));
        assert!(!is_header_line("\"_raw\",\"_time\",\"1:2\""));
        assert!(!is_header_line("from,to,attempts"));
    }
}
