//! Splits bytes into JSON documents without parsing them.
//!
//! Accepts NDJSON, concatenated documents (`}{`, as Firehose writes them if records have no line
//! feed), arrays, and pretty-printed documents. After a damaged document, splitting continues at
//! the next line or at the next `}{`.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::decode::partial_lines::{self, PartialEnd};
use crate::decode::scan::{Damage, Scan, scan};

/// Maximum length of a document; a longer one is quarantined without parsing. An SQS message has at most 1 MiB.
pub const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Maximum number of scans per input byte, on average. Only malicious input needs more.
const SCANS_PER_BYTE_MAX: usize = 16;

/// Maximum number of documents that one call returns. The positions of short documents need more
/// memory than the documents.
pub const SPANS_MAX: usize = 16 * 1024;

/// State of [`split_some`] between calls.
#[derive(Debug)]
pub struct Splitter {
    /// Number of bytes that may still be scanned. Bytes are scanned again only after a damaged
    /// document; the budget limits the time for malicious input.
    budget: usize,
    /// Number of open arrays; `None` after a damaged document, which may contain brackets.
    open_arrays: Option<usize>,
    /// Whether only white space follows the opening bracket of an array.
    is_array_empty: bool,
}

impl Splitter {
    /// The state at the start of these bytes.
    pub fn new(bytes: &[u8]) -> Self {
        let mut splitter = Self { budget: 0, open_arrays: Some(0), is_array_empty: false };
        splitter.refill(bytes);
        splitter
    }

    /// Resets the scan budget for these bytes: the unconsumed rest of the previous bytes, and new
    /// bytes.
    pub fn refill(&mut self, bytes: &[u8]) {
        self.budget = bytes.len().saturating_mul(SCANS_PER_BYTE_MAX);
    }

    /// Skips separators from `at`. Stops at an empty array and at a closing bracket without an
    /// array: both are returned as documents, so that no input is dropped silently.
    fn skip_separators(&mut self, bytes: &[u8], at: usize) -> (usize, Option<DocumentSpan>) {
        let mut opened = None;
        for (at, byte) in (at..).zip(&bytes[at..]) {
            match byte {
                b'\n' | b' ' | b'\t' | b'\r' => {}
                b'[' => {
                    self.open_arrays = self.open_arrays.map(|arrays| arrays + 1);
                    self.is_array_empty = true;
                    opened = Some(at);
                }
                b']' => {
                    let is_stray = self.open_arrays == Some(0);
                    let is_empty = std::mem::take(&mut self.is_array_empty);
                    self.open_arrays = self.open_arrays.map(|arrays| arrays.saturating_sub(1));
                    if is_empty || is_stray {
                        let start = opened.filter(|_| is_empty).unwrap_or(at);
                        let span = DocumentSpan { start, end: at + 1, is_complete: !is_stray };
                        return (at + 1, Some(span));
                    }
                }
                _ if is_separator(*byte) => self.is_array_empty = false,
                _ => {
                    self.is_array_empty = false;
                    return (at, None);
                }
            }
        }
        (bytes.len(), None)
    }
}

/// The boundary between concatenated documents.
static BOUNDARY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"}{"));

/// The position of a document in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentSpan {
    /// Index of the first byte.
    pub start: usize,
    /// Index after the last byte.
    pub end: usize,
    /// Whether the end of the document was found. If not, the span is unreadable, unless it is a notice in plain text.
    pub is_complete: bool,
}

impl DocumentSpan {
    /// Converts positions relative to `base` into positions in the input.
    fn moved_by(self, base: usize) -> Self {
        Self { start: base + self.start, end: base + self.end, ..self }
    }
}

/// Finds the documents in `bytes`. Returns their spans and the number of bytes consumed.
///
/// The bytes after that are the start of a document: call again with more bytes. If `last` is true, there are no more
/// bytes, and all are consumed.
///
/// Returns at most [`SPANS_MAX`] documents. If it returns this many, call it again with the rest
/// before you read more bytes. Use one `splitter` per file.
pub fn split_some(bytes: &[u8], last: bool, splitter: &mut Splitter) -> (Vec<DocumentSpan>, usize) {
    let mut spans = Vec::new();
    let mut at = 0;
    let mut boundaries = Boundaries::default();
    loop {
        if spans.len() >= SPANS_MAX {
            return (spans, at);
        }
        let (end, document) = splitter.skip_separators(bytes, at);
        at = end;
        if let Some(document) = document {
            spans.push(document);
            continue;
        }
        if at >= bytes.len() {
            return (spans, at);
        }
        if splitter.budget == 0 {
            let end = boundaries.line_end(bytes, at);
            spans.push(DocumentSpan { start: at, end, is_complete: true });
            at = end;
            continue;
        }
        let is_more_expected = !last && bytes.len() - at <= DOCUMENT_BYTES_MAX;
        match partial_lines::end_of(&bytes[at..], !is_more_expected) {
            PartialEnd::At(length) => {
                spans.push(DocumentSpan { start: at, end: at + length, is_complete: true });
                at += length;
                continue;
            }
            PartialEnd::Unknown => return (spans, at),
            PartialEnd::NotPartial => {}
        }
        if let Some(end) = single_document_line(bytes, at, &mut boundaries) {
            spans.push(DocumentSpan { start: at, end, is_complete: true });
            at = end;
            continue;
        }
        match scan(&bytes[at..]) {
            Scan::Complete(length) if !is_nested_end(bytes, at, at + length) => {
                spans.push(DocumentSpan { start: at, end: at + length, is_complete: true });
                at += length;
            }
            unreadable => {
                let damage = match unreadable {
                    Scan::Damaged(damage) => Some(damage),
                    Scan::Complete(length) => Some(Damage::after(length)),
                    Scan::Unfinished if is_more_expected => return (spans, line_start(bytes, at)),
                    Scan::Unfinished => None,
                };
                let (end, is_followed) = boundaries.after_damage(bytes, at, damage);
                if !is_followed && is_more_expected {
                    return (spans, line_start(bytes, at));
                }
                let scanned = damage.map_or(bytes.len() - at, |damage| damage.scanned);
                splitter.budget = splitter.budget.saturating_sub(scanned);
                splitter.open_arrays = None;
                spans.push(DocumentSpan { start: at, end, is_complete: false });
                at = end;
            }
        }
    }
}

/// The documents in `bytes`, which must be the whole input. Finds them lazily to save memory.
pub(super) fn spans(bytes: &[u8]) -> impl Iterator<Item = DocumentSpan> + '_ {
    let (mut start, mut splitter) = (0, Splitter::new(bytes));
    let parts = std::iter::from_fn(move || {
        let rest = bytes.get(start..).filter(|rest| !rest.is_empty())?;
        let (spans, consumed) = split_some(rest, true, &mut splitter);
        let base = start;
        start += consumed;
        Some(spans.into_iter().map(move |span| span.moved_by(base)))
    });
    parts.flatten()
}

/// All documents in `bytes`, as [`split_some`] finds them.
#[cfg(test)]
pub(crate) fn split(bytes: &[u8], last: bool) -> (Vec<DocumentSpan>, usize) {
    let (mut all, mut done, mut splitter) = (Vec::new(), 0, Splitter::new(bytes));
    loop {
        let (spans, consumed) = split_some(&bytes[done..], last, &mut splitter);
        let is_end = spans.len() < SPANS_MAX;
        all.extend(spans.into_iter().map(|span| span.moved_by(done)));
        done += consumed;
        if is_end {
            return (all, done);
        }
    }
}

/// Whether `bytes` contain more than one document.
pub(super) fn has_several_documents(bytes: &[u8]) -> bool {
    spans(bytes).nth(1).is_some()
}

/// The start of the white space before `at`. The indentation of a damaged document determines its
/// end.
fn line_start(bytes: &[u8], at: usize) -> usize {
    at - bytes[..at].iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// Whether the object in `bytes[start..end]` ends at the brace of a nested object, because an
/// opening bracket is missing. The brace is then alone on its line and indented more than the first
/// line.
fn is_nested_end(bytes: &[u8], start: usize, end: usize) -> bool {
    let brace_line = line_start(bytes, end - 1);
    bytes[start] == b'{'
        && brace_line > start
        && bytes[brace_line - 1] == b'\n'
        && end - 1 - brace_line > indentation_of(bytes, start)
        && serde_json::from_slice::<serde::de::IgnoredAny>(&bytes[start..end]).is_err()
}

/// Number of spaces and tabs at the start of the line that contains `at`.
fn indentation_of(bytes: &[u8], at: usize) -> usize {
    let line = memchr::memrchr(b'\n', &bytes[..at]).map_or(0, |end| end + 1);
    indentation(&bytes[line..at])
}

/// Number of spaces and tabs at the start of a line.
fn indentation(line: &[u8]) -> usize {
    line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// The end of a damaged document that may continue after `line_end`, and whether more input
/// follows. The lines of a pretty-printed document are indented more than its first line, up to the
/// closing brace. If a line ends within a string, the string may continue up to a line that closes
/// more brackets than it opens.
fn damaged_lines_end(
    bytes: &[u8],
    start: usize,
    line_end: usize,
    is_in_string: bool,
) -> (usize, bool) {
    let indented = indentation_of(bytes, start);
    let (mut end, mut line_end) = (line_end, line_end);
    while line_end < bytes.len() {
        let rest = &bytes[line_end + 1..];
        let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
        let next_end = line_end + 1 + line.len();
        match line.trim_ascii() {
            [] => {}
            [b'{', .., b'}'] | [b'{', .., b'}', b',' | b']'] => return (end, true),
            _ if indentation(line) > indented => end = next_end,
            [b'}', ..] => return (line_end + 2 + indentation(line), true),
            [b'{', ..] | [_, _, _, _, b'-', _, _, b'-', ..] => return (end, true),
            _ if !is_in_string => return (end, true),
            content if closes_brackets(content) => return (next_end, next_end < bytes.len()),
            _ => {}
        }
        line_end = next_end;
    }
    (end, false)
}

/// Whether a line closes more brackets than it opens.
fn closes_brackets(line: &[u8]) -> bool {
    let count = |brackets: &[u8]| line.iter().filter(|byte| brackets.contains(byte)).count();
    count(b"}]") > count(b"{[")
}

/// Fast path for NDJSON: the end of a line that is a single document, intact or damaged.
///
/// Such a line starts with `{`, ends with `}` and does not contain `}{`, and the next line starts
/// with `{`. This avoids the scan of brackets, the slowest step of a split. A line of several
/// documents with spaces between them matches too; the decoder splits it.
fn single_document_line(bytes: &[u8], at: usize, boundaries: &mut Boundaries) -> Option<usize> {
    if bytes[at] != b'{' {
        return None;
    }
    let line_end = boundaries.line_end(bytes, at);
    // cached per line: a line may contain many documents
    if boundaries.not_single_line_end == Some(line_end) {
        return None;
    }
    let line = bytes[at..line_end].trim_ascii_end();
    let is_followed = || bytes[line_end..].trim_ascii_start().first() == Some(&b'{');
    let is_single = line.ends_with(b"}") && BOUNDARY.find(line).is_none() && is_followed();
    if !is_single {
        boundaries.not_single_line_end = Some(line_end);
        return None;
    }
    Some(at + line.len())
}

/// Bytes that may separate documents: white space, the brackets and commas of an array, the bytes of a UTF-8 byte order
/// mark, the record separator of JSON text sequences (RFC 7464), and the end of a file of DOS.
fn is_separator(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'\t' | b'\r' | b'\n' | b'[' | b']' | b',' | 0xEF | 0xBB | 0xBF | 0x1E | 0x1A
    )
}

/// Cache of the next line end and the next `}{`. Without it, a line with many damaged documents
/// would be searched once per document.
#[derive(Default)]
struct Boundaries {
    line_end: Option<usize>,
    /// The end of a line that is not a single document.
    not_single_line_end: Option<usize>,
    next: Option<usize>,
}

impl Boundaries {
    /// The end of the line that contains `at`.
    fn line_end(&mut self, bytes: &[u8], at: usize) -> usize {
        let find = || memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |offset| at + offset);
        let line_end = self.line_end.filter(|line_end| at <= *line_end).unwrap_or_else(find);
        self.line_end = Some(line_end);
        line_end
    }

    /// The end of a damaged document, and whether more input follows. The end is the next `}{`, the
    /// position where the scan stopped, or the last line of the document. `damage` is `None` if the
    /// input ends within the document.
    fn after_damage(&mut self, bytes: &[u8], at: usize, damage: Option<Damage>) -> (usize, bool) {
        let line_end = self.line_end(bytes, at);
        if !matches!(bytes[at], b'{' | b'"') {
            return damaged_lines_end(bytes, at, line_end, false);
        }
        let find =
            || BOUNDARY.find(&bytes[at..line_end]).map_or(line_end, |offset| at + offset + 1);
        let next = self.next.filter(|next| at < *next && *next <= line_end).unwrap_or_else(find);
        self.next = Some(next);
        match damage {
            Some(damage) if damage.length > 0 && at + damage.length < next => {
                (at + damage.length, true)
            }
            _ if next < line_end => (next, true),
            _ => damaged_lines_end(
                bytes,
                at,
                line_end,
                damage.is_some_and(|damage| damage.is_in_string),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expected: &[(&str, bool)]) {
        let (spans, done) = split(input.as_bytes(), true);
        let got: Vec<(&str, bool)> = spans
            .iter()
            .map(|span| (input.get(span.start..span.end).unwrap().trim_end(), span.is_complete))
            .collect();
        assert_eq!(got, expected, "{input:?}");
        assert_eq!(done, input.len());
    }

    #[test]
    fn documents_are_found_with_every_separator() {
        check("", &[]);
        check("\n\n  \n", &[]);
        check("{\"a\":1}\n{\"b\":2}\n", &[("{\"a\":1}", true), ("{\"b\":2}", true)]);
        check("{\"a\":1}{\"b\":\"}{\"}", &[("{\"a\":1}", true), ("{\"b\":\"}{\"}", true)]);
        check(
            "\u{feff}[{\"a\":[1,{}]},\n {\"b\":2}]",
            &[("{\"a\":[1,{}]}", true), ("{\"b\":2}", true)],
        );
        check("{\n \"a\":\n {\n}\n}\r\n", &[("{\n \"a\":\n {\n}\n}", true)]);
        check("{\"a\":\"\\\"\\\\\"} {}", &[("{\"a\":\"\\\"\\\\\"}", true), ("{}", true)]);
        check("Successfully validated", &[("Successfully validated", false)]);
        check("text\n{}", &[("text", true), ("{}", true)]);
        check("\"{}\"\n", &[("\"{}\"", true)]);
    }

    #[test]
    fn array_without_a_document_and_stray_bracket_are_documents() {
        check("[]", &[("[]", true)]);
        check("[ \n]\n{}", &[("[ \n]", true), ("{}", true)]);
        check("[{}]\n[]\n[[{}],[]]", &[("{}", true), ("[]", true), ("{}", true), ("[]", true)]);
        check("{}\n]\n{}", &[("{}", true), ("]", false), ("{}", true)]);
        check("]", &[("]", false)]);
        check("[[{}], [{}, {}]]\n", &[("{}", true), ("{}", true), ("{}", true)]);
        // the bracket may belong to the damaged document
        check("{\"a\":[\n]\n", &[("{\"a\":[", false)]);
    }

    #[test]
    fn damaged_line_does_not_affect_other_lines() {
        for damaged in [
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":\"x",
            "{\"a\":1,",
            "{\"a\":[",
            "{\"a\":[{},",
            "{",
            "{\"a\":{\"b\":1}",
            "}",
        ] {
            let input = format!("{{\"x\":1}}\n{damaged}\n{{\"y\":2}}\n{{\"z\":3}}\n");
            // a line that ends with a brace counts as complete; the decoder reports the damage
            let is_complete = damaged.ends_with('}');
            check(
                &input,
                &[
                    ("{\"x\":1}", true),
                    (damaged, is_complete),
                    ("{\"y\":2}", true),
                    ("{\"z\":3}", true),
                ],
            );
        }
    }

    #[test]
    fn damaged_document_in_a_line_loses_at_most_one_neighbour() {
        let documents: Vec<String> =
            (0..50).map(|n| format!("{{\"n\":{n},\"a\":[{{\"b\":\"c\"}}]}}")).collect();
        for cut in 1..documents[7].len() {
            let mut all = documents.clone();
            all[7].truncate(cut);
            let line = all.concat();
            let (spans, _) = split(line.as_bytes(), true);
            let is_found = |document: &&String| {
                spans.iter().any(|span| {
                    span.is_complete && line.get(span.start..span.end) == Some(document.as_str())
                })
            };
            assert!(documents.iter().filter(is_found).count() >= 48, "cut at {cut}: {line}");
        }
    }

    #[test]
    fn broken_pretty_document_is_one_span() {
        let value =
            serde_json::json!({"a": {"b": "c d", "e": ["f", "g"]}, "h": [{"i": "j"}, {"k": 1}]});
        let pretty = format!("{value:#}");
        let good = value.to_string();
        for at in 1..pretty.len() {
            let (head, tail) = pretty.split_at(at);
            for broken in [
                format!("{head}{}", tail.split_at(1).1),
                format!("{head}\n{tail}"),
                head.to_owned(),
            ] {
                let text = format!("{good}\n{broken}\n{good}\n{pretty}\n{good}\n");
                let (spans, _) = split(text.as_bytes(), true);
                assert_eq!(spans.len(), 5, "{broken}");
                let (mut spans, rest) = split(&text.as_bytes()[..good.len() + 1 + at], false);
                let (others, _) = split(&text.as_bytes()[rest..], true);
                spans.extend(others);
                assert_eq!(spans.len(), 5, "{broken}");
            }
        }
    }

    #[test]
    fn malicious_nesting_is_split_in_linear_time() {
        for part in [
            "{\"a\n\":",
            "{\"a\":\"\n",
            ": {\n",
            "2000-01-01 00:00:00,\"\n",
            "{\"a\":[\n",
            "{",
            "{}{{",
            "{} {} ",
            "{} {}\n \n",
            "{}}\n  ",
        ] {
            let text = part.repeat(100_000);
            let (spans, done) = split(text.as_bytes(), true);
            assert_eq!(done, text.len());
            assert!(spans.len() >= 50_000, "{part}");
        }
    }

    #[test]
    fn start_of_a_document_is_not_consumed_before_the_last_chunk() {
        let (spans, done) = split(b"{\"a\":1}\n{\"b\":", false);
        assert_eq!(spans, [DocumentSpan { start: 0, end: 7, is_complete: true }]);
        assert_eq!(done, 8);
    }

    #[test]
    fn document_with_line_breaks_is_one_span() {
        let one = serde_json::json!({"a": {"b": {"c": 1}}, "d": [{"e": 2}, {"f": {}}]});
        let pretty = serde_json::to_string_pretty(&one).unwrap();
        // with a line break after each of its characters, and more documents after it
        for at in 1..pretty.len() {
            let (head, tail) = pretty.split_at(at);
            let broken = format!("{}\n{}", head.replace('\n', " "), tail);
            if serde_json::from_str::<serde_json::Value>(&broken).is_ok() {
                check(
                    &format!("{broken}\n{{}}\n{{}}\n"),
                    &[(broken.as_str(), true), ("{}", true), ("{}", true)],
                );
            }
        }
    }

    /// Splits chunks of the given lengths as a source does: it keeps the bytes that were not consumed for the next
    /// call.
    fn split_in_chunks(bytes: &[u8], lengths: &[usize]) -> Vec<DocumentSpan> {
        let mut lengths = lengths.iter().copied().cycle();
        let (mut spans, mut done, mut end) = (Vec::new(), 0, 0);
        while end < bytes.len() {
            end = (end + lengths.next().unwrap_or(bytes.len())).min(bytes.len());
            let (found, consumed) = split(&bytes[done..end], end == bytes.len());
            spans.extend(found.into_iter().map(|span| DocumentSpan {
                start: done + span.start,
                end: done + span.end,
                ..span
            }));
            done += consumed;
        }
        spans
    }

    proptest::proptest! {
        #[test]
        fn every_byte_is_in_one_span_or_a_separator(bytes in proptest::collection::vec(proptest::sample::select(b"{}[]\",:\\\na ".to_vec()), 0..60)) {
            let (spans, done) = split(&bytes, true);
            proptest::prop_assert_eq!(done, bytes.len());
            let mut end = 0;
            for span in spans {
                proptest::prop_assert!(bytes[end..span.start].iter().all(|b| is_separator(*b)));
                proptest::prop_assert!(span.start < span.end);
                end = span.end;
            }
            proptest::prop_assert!(bytes[end..].iter().all(|b| is_separator(*b)));
        }

        #[test]
        fn documents_do_not_depend_on_chunk_boundaries(
            values in proptest::collection::vec("[a-c{}\"\\\\:,\\[\\]]{0,12}", 0..12),
            separators in proptest::collection::vec(proptest::sample::select(vec!["", "\n", "\r\n", ",\n", "\n\n"]), 12),
            lengths in proptest::collection::vec(1usize..40, 1..6),
            is_pretty in proptest::bool::ANY,
        ) {
            let mut text = String::new();
            let mut expected = Vec::new();
            for (value, separator) in values.iter().zip(&separators) {
                let value = serde_json::json!({"k": value, "n": [{"k": value}, 1.5]});
                let start = text.len();
                let value = if is_pretty { format!("{value:#}") } else { value.to_string() };
                text += &value;
                expected.push(DocumentSpan { start, end: text.len(), is_complete: true });
                text += separator;
            }
            let (spans, done) = split(text.as_bytes(), true);
            proptest::prop_assert_eq!(done, text.len());
            proptest::prop_assert_eq!(&spans, &expected);
            proptest::prop_assert_eq!(&split_in_chunks(text.as_bytes(), &lengths), &expected);
        }
    }
}
