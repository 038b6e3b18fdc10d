//! Escapes text from outside (addresses, replies of servers) before it is printed to a terminal or written to a file.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// Start of an escape.
const ESCAPE: &str = "\\u{";

/// The text with control characters, line ends and bidirectional marks as escapes such as `\u{1b}`.
///
/// Different texts stay different: in a text with an escape, or with the characters of one, a backslash is doubled.
pub fn printable(text: &str) -> Cow<'_, str> {
    escape(text, is_unsafe)
}

/// As [`printable`]; tabs and line ends stay, for fields that may have several lines.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escape(text, |c| is_unsafe(c) && !matches!(c, '\t' | '\n' | '\r'))
}

fn escape(text: &str, is_escaped: fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(is_escaped) && !text.contains(ESCAPE) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_escaped(c) {
            out.extend(c.escape_unicode());
        } else if c == '\\' {
            out.push_str("\\\\");
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Whether a terminal interprets the character: control characters and bidirectional marks.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Writes a value as JSON in one line without a line end. Characters that a terminal interprets are `\uXXXX`; JSON
/// itself requires that only for some.
///
/// # Errors
/// If the value cannot be serialised or written.
pub fn write_json(out: impl Write, value: &impl Serialize) -> serde_json::Result<()> {
    value.serialize(&mut Serializer::with_formatter(out, PrintableFormatter))
}

/// Compact JSON with escapes.
struct PrintableFormatter;

impl Formatter for PrintableFormatter {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((before, c, after)) = split_at_unsafe(rest) {
            CompactFormatter.write_string_fragment(out, before)?;
            write!(out, "\\u{:04x}", u32::from(c))?;
            rest = after;
        }
        CompactFormatter.write_string_fragment(out, rest)
    }
}

/// Splits a text at the first character that a terminal interprets; all of them have at most four hex digits.
fn split_at_unsafe(text: &str) -> Option<(&str, char, &str)> {
    let (at, c) = text.char_indices().find(|(_, c)| is_unsafe(*c))?;
    let (before, from) = text.split_at(at);
    Some((before, c, from.split_at(c.len_utf8()).1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_bidirectional_marks_are_escaped() {
        assert_eq!(printable("a\u{1b}[31mb\u{202e}c\n"), "a\\u{1b}[31mb\\u{202e}c\\u{a}");
        assert_eq!(printable("exämple.org"), "exämple.org");
        assert_eq!(printable_lines("a\u{9b}\r\n\t\u{7f}"), "a\\u{9b}\r\n\t\\u{7f}");
    }

    #[test]
    fn text_that_looks_like_an_escape_differs_from_the_escaped_character() {
        assert_eq!(printable("\\u{1b}"), "\\\\u{1b}");
        // no escape, no doubled backslash
        assert_eq!(printable("CORP\\jane"), "CORP\\jane");
    }

    proptest::proptest! {
        #[test]
        fn printable_texts_of_different_texts_differ(
            one in "(\\\\|u\\{1b\\}|\u{1b}|a){0,5}", other in "(\\\\|u\\{1b\\}|\u{1b}|a){0,5}",
        ) {
            proptest::prop_assert_eq!(printable(&one) == printable(&other), one == other);
        }

        #[test]
        fn json_has_the_same_value_and_no_control_characters(text in proptest::prelude::any::<String>()) {
            let text = text + "\u{0}\u{7}\u{1b}\u{7f}\u{9b}\u{202e}\"\\";
            let mut out = Vec::new();
            write_json(&mut out, &[&text]).unwrap();
            let json = String::from_utf8(out).unwrap();
            proptest::prop_assert!(!json.contains(is_unsafe), "{}", json);
            let parsed: Vec<String> = serde_json::from_str(&json).unwrap();
            proptest::prop_assert_eq!(parsed, vec![text]);
        }
    }
}
