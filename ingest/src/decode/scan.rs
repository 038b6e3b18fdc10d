//! Finds the end of one document: an object, a string, a number, a row of a CSV file, or a line of
//! text.

use crate::decode::csv_rows::{self, RowScan};

/// Result of [`scan`].
#[derive(Debug)]
pub(super) enum Scan {
    /// A document of this many bytes.
    Complete(usize),
    /// The input ends within a document.
    Unfinished,
    /// Not a document.
    Damaged(Damage),
}

/// Why and where a scan stopped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Damage {
    /// Number of bytes after which the next document may start.
    pub(super) length: usize,
    /// Number of bytes that were scanned.
    pub(super) scanned: usize,
    /// Whether the line ends within a string.
    pub(super) is_in_string: bool,
}

impl Damage {
    /// Damage outside of a string, found by scanning up to it.
    pub(super) fn after(length: usize) -> Self {
        Self { length, scanned: length, is_in_string: false }
    }
}

/// Scans the document at the start of `bytes`.
pub(super) fn scan(bytes: &[u8]) -> Scan {
    match bytes.first() {
        Some(b'{') => scan_object(bytes),
        Some(b'"') => match csv_rows::scan(bytes) {
            RowScan::Complete(end) => Scan::Complete(end),
            RowScan::Unfinished => Scan::Unfinished,
            RowScan::NotARow => scan_string(bytes),
        },
        _ => scan_text(bytes),
    }
}

/// Scans a string that is a document, such as an element of an array. It may contain raw line
/// feeds.
fn scan_string(bytes: &[u8]) -> Scan {
    let cut = match string_end(bytes, 0, false) {
        Ok(Some(end)) => return Scan::Complete(end),
        Ok(None) => return Scan::Unfinished,
        Err(cut) => cut,
    };
    match string_end(bytes, 0, true) {
        Ok(Some(end)) if matches!(next_token(&bytes[end..]), None | Some(b',' | b']')) => {
            Scan::Complete(end)
        }
        Ok(None) => Scan::Unfinished,
        _ => Scan::Damaged(Damage { length: cut, scanned: cut, is_in_string: true }),
    }
}

/// Scans a document that starts with neither `{` nor `"`: a JSON scalar, a row of a CSV file, a
/// notice in plain text, or a log line. A log line ends with its line, or with the line where the
/// JSON object in it ends.
fn scan_text(bytes: &[u8]) -> Scan {
    if let Some(end) = scalar_end(bytes) {
        return Scan::Complete(end);
    }
    match csv_rows::scan(bytes) {
        RowScan::Complete(end) => return Scan::Complete(end),
        RowScan::Unfinished => return Scan::Unfinished,
        RowScan::NotARow => {}
    }
    let line_end = |from: usize| memchr::memchr(b'\n', &bytes[from..]).map(|offset| from + offset);
    let Some(end) = line_end(0) else { return Scan::Unfinished };
    let Some(object) = memchr::memchr(b'{', &bytes[..end]) else { return Scan::Complete(end) };
    // in a quoted string, the quotes of an object are escaped
    if bytes[object + 1..].starts_with(b"\\") {
        return Scan::Complete(end);
    }
    match scan_object(&bytes[object..]) {
        Scan::Complete(length) if object + length > end => {
            line_end(object + length).map_or(Scan::Complete(object + length), Scan::Complete)
        }
        Scan::Complete(_) => Scan::Complete(end),
        Scan::Unfinished => Scan::Unfinished,
        Scan::Damaged(damage) => Scan::Damaged(Damage { length: end, ..damage }),
    }
}

/// The end of a number, `true`, `false` or `null` that is a document or an element of an array.
fn scalar_end(bytes: &[u8]) -> Option<usize> {
    let length = bytes
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.'))
        .count();
    let next = bytes[length..].iter().find(|b| !matches!(b, b' ' | b'\t' | b'\r'));
    let is_end = next.is_none_or(|b| matches!(b, b',' | b']' | b'\n'));
    (is_end && serde_json::from_slice::<serde::de::IgnoredAny>(&bytes[..length]).is_ok())
        .then_some(length)
}

/// Scans an object. If a line ends within a string, either the line was truncated there, or the
/// string contains a raw line feed. In the second case, the rest is an intact object.
fn scan_object(bytes: &[u8]) -> Scan {
    match scan_brackets(bytes, false) {
        Scan::Damaged(cut) if cut.is_in_string => match scan_brackets(bytes, true) {
            Scan::Damaged(damage) => Scan::Damaged(Damage { scanned: damage.scanned, ..cut }),
            scan => scan,
        },
        scan => scan,
    }
}

/// Scans an object to its closing brace. Stops at a bracket that JSON does not allow in its
/// position: the line was truncated there, and the next record follows.
///
/// With `line_feeds`, strings may contain raw line feeds, and each string must be followed by a
/// token that JSON allows after a string. A truncated string seems to end at the first quote of the
/// next record, and a field name follows, which JSON does not allow.
fn scan_brackets(bytes: &[u8], line_feeds: bool) -> Scan {
    let mut open: Vec<u8> = Vec::with_capacity(8);
    let mut previous = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {
                at += 1;
                continue;
            }
            b'"' => match string_end(bytes, at, line_feeds) {
                Ok(Some(end)) => {
                    let is_allowed = |next| matches!(next, b':' | b',' | b'}' | b']');
                    if line_feeds && !next_token(&bytes[end..]).is_none_or(is_allowed) {
                        return Scan::Damaged(Damage::after(end));
                    }
                    at = end - 1;
                }
                Ok(None) => return Scan::Unfinished,
                Err(end) => {
                    return Scan::Damaged(Damage { length: end, scanned: end, is_in_string: true });
                }
            },
            b'{' | b'[' => {
                let is_allowed = match open.last() {
                    None => at == 0,
                    Some(b'{') => previous == b':',
                    Some(_) => matches!(previous, b'[' | b','),
                };
                if !is_allowed {
                    return Scan::Damaged(Damage::after(at));
                }
                open.push(byte);
            }
            b'}' | b']' => {
                let opened = open.pop();
                if opened != Some(if byte == b'}' { b'{' } else { b'[' }) {
                    return Scan::Damaged(Damage::after(at + 1));
                }
                if open.is_empty() {
                    return Scan::Complete(at + 1);
                }
            }
            _ => {}
        }
        previous = byte;
        at += 1;
    }
    Scan::Unfinished
}

/// The first byte that is not white space.
fn next_token(bytes: &[u8]) -> Option<u8> {
    bytes.trim_ascii_start().first().copied()
}

/// The index after the string that starts at `at`; `None` if the input ends within the string. If
/// `line_feeds` is false and the line ends within the string, the error is the index of the line
/// end.
fn string_end(bytes: &[u8], at: usize, line_feeds: bool) -> Result<Option<usize>, usize> {
    let mut from = at + 1;
    loop {
        let rest = bytes.get(from..).unwrap_or_default();
        let found = if line_feeds {
            memchr::memchr2(b'"', b'\\', rest)
        } else {
            memchr::memchr3(b'"', b'\\', b'\n', rest)
        };
        let Some(offset) = found else { return Ok(None) };
        match bytes[from + offset] {
            b'"' => return Ok(Some(from + offset + 1)),
            b'\\' => from += offset + 2,
            _ => return Err(from + offset),
        }
    }
}
