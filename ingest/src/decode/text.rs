//! Recognises text that is not JSON: notices, log lines, and rows of CSV files.

use std::borrow::Cow;

use bouncewatch_schemas::time::parse_ms;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::decode::csv_rows;
use crate::decode::outcome::IgnoreReason;

/// Maximum number of braces that are tried as the start of the document in a log line.
const BRACES_MAX: usize = 16;

/// Prefixes of the platform log lines of Lambda.
const LAMBDA_LINES: [&str; 11] = [
    "START RequestId: ",
    "END RequestId: ",
    "REPORT RequestId: ",
    "INIT_START ",
    "INIT_REPORT ",
    "RESTORE_START ",
    "RESTORE_REPORT ",
    "XRAY TraceId: ",
    "EXTENSION\tName: ",
    "TELEMETRY\tName: ",
    "LOGS\tName: ",
];

/// The form of a text.
pub(super) enum TextForm<'a> {
    /// A notice without an event.
    Notice(IgnoreReason),
    /// A log line or CSV row that contains a document.
    Line {
        /// Time of the line, epoch milliseconds.
        logged_at: Option<i64>,
        /// The document.
        document: Cow<'a, str>,
        /// Text after the document, which can contain another one.
        rest: &'a str,
    },
    /// Not recognised.
    Other,
}

/// Recognises the form of a text.
pub(super) fn form_of(text: &str) -> TextForm<'_> {
    if text.starts_with("Successfully validated SNS topic") {
        return TextForm::Notice(IgnoreReason::SnsTopicValidated);
    }
    if parse_ms(text).is_some() {
        return TextForm::Notice(IgnoreReason::TimeOnly);
    }
    if csv_rows::is_header_line(text) {
        return TextForm::Notice(IgnoreReason::CsvHeader);
    }
    if let Some(fields) = csv_rows::fields(text) {
        return csv_row(fields);
    }
    if let Some((prefix, document, rest)) = logged_json(text) {
        return TextForm::Line { logged_at: time_in(prefix), document, rest };
    }
    if is_lambda_line(text) {
        return TextForm::Notice(IgnoreReason::LambdaPlatformLog);
    }
    TextForm::Other
}

/// Selects the field of a CSV row that contains the document.
fn csv_row(fields: Vec<Cow<'_, str>>) -> TextForm<'_> {
    let logged_at = fields.iter().find_map(|field| parse_ms(field));
    let object = fields.iter().position(|field| field.contains('{'));
    let text = object.or_else(|| fields.iter().position(|field| parse_ms(field).is_none()));
    match text.and_then(|at| fields.into_iter().nth(at)) {
        Some(document) => TextForm::Line { logged_at, document, rest: "" },
        None => TextForm::Other,
    }
}

/// Splits a log line into its prefix (time, level, request ID), the JSON object or array after it, and the rest. The
/// object can be a quoted string.
fn logged_json(text: &str) -> Option<(&str, Cow<'_, str>, &str)> {
    let is_object = |(before, rest): &(&str, &str)| {
        is_quoted(before, rest)
            || rest.strip_prefix('{').is_some_and(|fields| fields.trim_start().starts_with('"'))
    };
    let mut braces = text.match_indices('{').map(|(at, _)| text.split_at(at)).take(BRACES_MAX);
    let (before, rest) = braces.find(is_object)?;
    if is_quoted(before, rest) {
        let prefix = before.get(..before.rfind('"')?)?;
        let (document, rest) = first_value(text.strip_prefix(prefix)?)?;
        return Some((prefix, Cow::Owned(document), rest));
    }
    let prefix = before.trim_end();
    let prefix = prefix.strip_suffix('[').unwrap_or(prefix);
    let document = text.strip_prefix(prefix).filter(|_| !prefix.is_empty())?.trim();
    if let Some((document, rest)) = first_value::<&RawValue>(document) {
        return Some((prefix, Cow::Borrowed(document.get()), rest));
    }
    document.ends_with(['}', ']']).then_some((prefix, Cow::Borrowed(document), ""))
}

/// Whether `before` has the start of a string that contains the object in `rest`: its quotes are escaped.
fn is_quoted(before: &str, rest: &str) -> bool {
    before.contains('"') && rest.starts_with("{\\")
}

/// The JSON value at the start of a text, and the text after it.
fn first_value<'a, T: Deserialize<'a>>(text: &'a str) -> Option<(T, &'a str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter();
    let value = values.next()?.ok()?;
    Some((value, text.get(values.byte_offset()..)?))
}

/// The time in the prefix of a log line: one word, or a date and a time in two words.
fn time_in(prefix: &str) -> Option<i64> {
    let is_mark = |c: char| matches!(c, '[' | ']' | '(' | ')' | '"' | ',' | ';' | '|');
    // the last part of a word in logfmt: `time=2026-11-18T09:00:00Z`
    let words = prefix.split_whitespace().filter_map(|word| word.rsplit('=').next());
    let words: Vec<&str> = words.map(|word| word.trim_matches(is_mark)).collect();
    (0..words.len()).find_map(|at| {
        let pair = words.get(at + 1).and_then(|next| parse_ms(&format!("{} {next}", words[at])));
        pair.or_else(|| parse_ms(words[at]))
    })
}

/// Whether a line is about the execution of a Lambda function. A time and the name of a log stream may precede it.
fn is_lambda_line(text: &str) -> bool {
    let is_start = |before: &str| before.is_empty() || before.ends_with(char::is_whitespace);
    LAMBDA_LINES
        .iter()
        .any(|line| text.split_once(line).is_some_and(|(before, _)| is_start(before)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_and_time_of_a_log_line_are_found() {
        let at = parse_ms("2026-11-18T09:00:00Z");
        for (prefix, expected) in [
            ("2026-11-18T09:00:00.000Z\t8f5d1c1e-0000-4000-8000-000000000000\tINFO\t", at),
            ("2026-11-18 09:00:00,000 INFO app: ", at),
            ("2026-11-18 09:00:00 +0000 [INFO] (main) ", at),
            ("INFO]\t2026-11-18T09:00:00.000Z\t8f5d\t", at),
            ("2026/11/18 09:00:00 ", at),
            ("2026-11-18T09:00:00.000000000Z stdout F ", at),
            ("192.0.2.1 - - [18/Nov/2026:09:00:00 +0000] ", at),
            ("event id={5} ", None),
        ] {
            for document in ["{\"a\":{}}", "{ \"a\": 1 }\n", "[{\"a\":1}]", "{\n  \"a\": 1\n}"] {
                let text = format!("{prefix}{document}");
                let TextForm::Line { logged_at, document: found, rest: "" } = form_of(&text) else {
                    panic!("{text}");
                };
                assert_eq!((logged_at, found.as_ref()), (expected, document.trim()), "{text}");
            }
        }
        for text in ["text", "text {\"a\":1 text", "{}", "text {a}", "text \"{\\\"a"] {
            assert!(matches!(form_of(text), TextForm::Other), "{text}");
        }
    }

    #[test]
    fn lines_without_an_event_have_a_reason() {
        for (text, reason) in [
            ("START RequestId: 8f5d Version: $LATEST", IgnoreReason::LambdaPlatformLog),
            ("2026-11-18T09:00:00.000Z END RequestId: 8f5d", IgnoreReason::LambdaPlatformLog),
            ("1795770006000000000", IgnoreReason::TimeOnly),
            ("@timestamp,@message", IgnoreReason::CsvHeader),
            ("\"@log\",\"@message\"", IgnoreReason::CsvHeader),
        ] {
            assert!(matches!(form_of(text), TextForm::Notice(got) if got == reason), "{text}");
        }
    }
}
