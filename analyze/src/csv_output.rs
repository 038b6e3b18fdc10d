//! CSV output (RFC 4180), shared by `report`, `causes` and `suppress`.
//!
//! Records end with CRLF; fields are quoted only if necessary. Text from mail (domains, tags, diagnostics) must pass
//! [`escape_formula`], because a spreadsheet runs a cell that starts with `=` as a formula.

use std::borrow::Cow;
use std::io::{self, Write};

use bouncewatch_schemas::printable::printable_lines;
use csv::{ErrorKind, QuoteStyle, Terminator, Writer, WriterBuilder};

/// Characters that start a formula in a spreadsheet (OWASP, "CSV Injection").
const FORMULA_START: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Escapes the text of a field: control characters, and with a leading `'` a text that a
/// spreadsheet would run as a formula.
pub(crate) fn escape_formula(text: &str) -> Cow<'_, str> {
    let text = printable_lines(text);
    if text.starts_with(FORMULA_START) { Cow::Owned(format!("'{text}")) } else { text }
}

/// Returns a writer of records to a file, a pipe or memory. Text fields must be escaped with [`escape_formula`].
pub(crate) fn csv_writer<W: Write>(out: W) -> Writer<W> {
    WriterBuilder::new()
        .quote_style(QuoteStyle::Necessary)
        .terminator(Terminator::CRLF)
        // records of different lengths are not an error, so that writing to memory cannot fail
        .flexible(true)
        .from_writer(out)
}

/// Returns the error of the file or pipe, with its kind: a closed pipe is not an error of the command.
pub(crate) fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}

/// Writes records to a string.
#[derive(Debug)]
pub(crate) struct CsvOutput(Writer<Vec<u8>>);

impl CsvOutput {
    /// Returns an output without records.
    pub(crate) fn new() -> Self {
        Self(csv_writer(Vec::new()))
    }

    /// Appends a record. Text fields must be escaped with [`escape_formula`].
    pub(crate) fn record<F: AsRef<str>>(&mut self, fields: impl IntoIterator<Item = F>) {
        for field in fields {
            self.0.write_field(field.as_ref()).expect("writing to memory cannot fail");
        }
        self.0.write_record(None::<&[u8]>).expect("writing to memory cannot fail");
    }

    /// Returns the records as CSV.
    pub(crate) fn finish(self) -> String {
        let bytes = self.0.into_inner().expect("writing to memory cannot fail");
        String::from_utf8(bytes).expect("fields are UTF-8")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_escaped_and_fields_are_quoted_if_necessary() {
        for (text, field) in [
            ("example.org", "example.org"),
            ("=1+1", "'=1+1"),
            ("a\u{1b}[2J\u{0}\u{9b}", "a\\u{1b}[2J\\u{0}\\u{9b}"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-2", "'-2"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=a\nb", "\"'=a\nb\""),
            ("", ""),
            (" #x", " #x"),
        ] {
            let mut out = CsvOutput::new();
            out.record([escape_formula(text), escape_formula("end")]);
            assert_eq!(out.finish(), format!("{field},end\r\n"));
        }
    }

    /// RFC 4180, section 2: quotes around a field with a comma, quote or line break; quotes are doubled.
    fn quoted(field: &str) -> String {
        if field.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", field.replace('"', "\"\""))
        } else {
            field.to_owned()
        }
    }

    proptest::proptest! {
        #[test]
        fn records_follow_rfc_4180(fields in proptest::collection::vec("[ -~\r\n\tä]{0,12}", 2..6)) {
            let mut out = CsvOutput::new();
            out.record(&fields);
            let expected: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
            proptest::prop_assert_eq!(out.finish(), expected.join(",") + "\r\n");
        }
    }
}
