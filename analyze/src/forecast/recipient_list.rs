//! Parses the list to forecast: text or CSV, address first. An invalid line is an error of that
//! line only; all other lines are parsed. No I/O.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::BuildHasherDefault;

use bouncewatch_schemas::address::{domain, is_address, normalise};
use serde::Serialize;

use crate::scan::{IdentityHasher, recipient_hash};
use crate::suppress::address_list::{SEPARATORS, first_field};

/// Maximum length of a line in bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Maximum length of local part and domain in bytes (RFC 5321, section 4.5.3.1).
const LOCAL_BYTES_MAX: usize = 64;
const DOMAIN_BYTES_MAX: usize = 255;
/// Maximum number of errors that are kept.
const ERRORS_MAX: usize = 1_000;

/// An invalid line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LineError {
    /// Number of the line, from 1.
    pub line: u64,
    /// Defect.
    pub error: &'static str,
}

/// A part of the text.
#[derive(Debug, Clone, Copy)]
struct TextRange {
    start: usize,
    end: usize,
}

/// A record of the list.
#[derive(Debug, Clone, Copy)]
struct Record {
    range: TextRange,
    /// Its address in normal form.
    address: TextRange,
}

/// A list of recipients.
#[derive(Debug, Default)]
pub struct RecipientList {
    /// The text of the list. Addresses that are not in normal form at the start of their line follow
    /// in normal form.
    text: String,
    records: Vec<Record>,
    /// Names of the columns, if there is a header.
    header: Option<Vec<String>>,
    separator: Option<char>,
    /// The first errors.
    pub errors: Vec<LineError>,
    /// Number of invalid lines.
    pub invalid: u64,
    /// Number of lines with an address of an earlier line; these lines are ignored.
    pub duplicates: u64,
}

impl RecipientList {
    /// Parses a list in UTF-8, or in UTF-16 with a byte order mark.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut list = Self::default();
        let mut text = decode(bytes);
        let mut normalised = String::new();
        let mut known: HashSet<u64, BuildHasherDefault<IdentityHasher>> = HashSet::default();
        let (mut is_open, mut is_first) = (false, true);
        for (number, range) in (1..).zip(lines(&text)) {
            let line = text.get(range.start..range.end).unwrap_or_default();
            let has_odd_quotes = line.bytes().filter(|byte| *byte == b'"').count() % 2 == 1;
            match line_address(line) {
                Ok(None) => continue,
                Ok(Some(address)) => {
                    is_open = has_odd_quotes;
                    list.separator = list.separator.or_else(|| separator(line));
                    if known.insert(recipient_hash(&address)) {
                        let start = if line.starts_with(&address) {
                            range.start
                        } else {
                            normalised.push_str(&address);
                            text.len() + normalised.len() - address.len()
                        };
                        let address = TextRange { start, end: start + address.len() };
                        list.records.push(Record { range, address });
                    } else {
                        list.duplicates += 1;
                    }
                }
                Err("not an address") if is_first && !line.contains('@') => {
                    list.separator = separator(line);
                    list.header = Some(fields(line, list.separator));
                }
                // a quoted field can contain line breaks
                Err("not an address") if is_open => {
                    is_open = !has_odd_quotes;
                    if let Some(last) = list.records.last_mut() {
                        last.range.end = range.end;
                    }
                }
                Err(error) => list.add_error(number, error),
            }
            is_first = false;
        }
        text.reserve_exact(normalised.len());
        text.push_str(&normalised);
        list.text = text;
        list
    }

    /// Number of addresses.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether it has no address.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Returns the addresses in normal form, in the order of the list.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|number| self.address(number))
    }

    /// Returns the domains, each once, in alphabetical order.
    pub fn domains(&self) -> Vec<String> {
        let domains: HashSet<&str> = self.addresses().filter_map(domain).collect();
        let mut domains: Vec<String> = domains.into_iter().map(str::to_owned).collect();
        domains.sort_unstable();
        domains
    }

    /// Whether it has a column, given by its name or its number from 1.
    pub fn has_column(&self, name: &str) -> bool {
        self.column(name).is_some()
    }

    /// Returns the address of a record in normal form.
    pub(crate) fn address(&self, number: usize) -> &str {
        self.records.get(number).map_or("", |record| self.part(record.address))
    }

    /// Returns all fields of a record.
    pub(crate) fn fields(&self, number: usize) -> Vec<String> {
        fields(self.record(number), self.separator)
    }

    /// Returns the names of the columns; a column without a name has its number.
    pub(crate) fn columns(&self) -> Vec<String> {
        let named = self.header.clone().unwrap_or_else(|| vec!["address".to_owned()]);
        let most = (0..self.len().min(100)).map(|number| self.fields(number).len()).max();
        let count = most.unwrap_or_default().max(named.len());
        let name = |at: usize| named.get(at).cloned().unwrap_or_else(|| format!("{}", at + 1));
        (0..count).map(name).collect()
    }

    /// Returns the position of a column, given by its name or its number from 1.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        let named = self
            .header
            .as_ref()
            .and_then(|header| header.iter().position(|one| one.trim().eq_ignore_ascii_case(name)));
        named.or_else(|| name.parse::<usize>().ok()?.checked_sub(1))
    }

    fn record(&self, number: usize) -> &str {
        self.records.get(number).map_or("", |record| self.part(record.range))
    }

    fn part(&self, range: TextRange) -> &str {
        self.text.get(range.start..range.end).unwrap_or_default()
    }

    fn add_error(&mut self, line: u64, error: &'static str) {
        self.invalid += 1;
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(LineError { line, error });
        }
    }
}

/// Decodes UTF-8, or UTF-16 with a byte order mark; invalid bytes become U+FFFD.
fn decode(bytes: &[u8]) -> String {
    let units = |of: fn([u8; 2]) -> u16| {
        bytes.chunks(2).skip(1).map(move |pair| of([pair[0], *pair.get(1).unwrap_or(&0)]))
    };
    let text = |units: &mut dyn Iterator<Item = u16>| -> String {
        char::decode_utf16(units).map(|one| one.unwrap_or('\u{fffd}')).collect()
    };
    match bytes {
        [0xff, 0xfe, ..] => text(&mut units(u16::from_le_bytes)),
        [0xfe, 0xff, ..] => text(&mut units(u16::from_be_bytes)),
        _ => String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))
            .into_owned(),
    }
}

/// Returns the lines, which end with LF, CRLF or CR.
fn lines(text: &str) -> impl Iterator<Item = TextRange> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = text.as_bytes().get(start..).filter(|rest| !rest.is_empty())?;
        let length = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let length = length.unwrap_or(rest.len());
        let range = TextRange { start, end: start + length };
        let is_pair = rest.get(length..length + 2) == Some(b"\r\n");
        start += length + if is_pair { 2 } else { 1 };
        Some(range)
    })
}

/// Returns the address of a line in normal form; `None` for an empty line or a comment.
fn line_address(line: &str) -> Result<Option<String>, &'static str> {
    if line.trim().is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    if line.len() > LINE_BYTES_MAX {
        return Err("longer than 64 KB");
    }
    let (field, _) = first_field(line.trim());
    if field.contains('\u{fffd}') {
        return Err("not in UTF-8");
    }
    if field.contains('\0') {
        return Err("contains NUL bytes; UTF-16 needs a byte order mark");
    }
    let address = normalise(Cow::Borrowed(&field)).filter(|address| is_address(address));
    let Some(address) = address else { return Err("not an address") };
    let domain_bytes = domain(&address).map_or(0, str::len);
    if domain_bytes > DOMAIN_BYTES_MAX || address.len() - domain_bytes - 1 > LOCAL_BYTES_MAX {
        return Err("longer than an address can be (RFC 5321)");
    }
    Ok(Some(address.into_owned()))
}

/// Returns the separator after the first field.
fn separator(line: &str) -> Option<char> {
    let (_, rest) = first_field(line);
    let end = line.len() - rest.len();
    line.get(..end)?.chars().next_back().filter(|last| SEPARATORS.contains(last))
}

/// Returns the fields of a record. A doubled quote in a quoted field is a quote.
fn fields(record: &str, separator: Option<char>) -> Vec<String> {
    let (mut all, mut field, mut is_quoted) = (Vec::new(), String::new(), false);
    let mut characters = record.trim_end_matches(['\r', '\n']).chars().peekable();
    while let Some(one) = characters.next() {
        match one {
            '"' if is_quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' if is_quoted => is_quoted = false,
            '"' if field.is_empty() => is_quoted = true,
            _ if Some(one) == separator && !is_quoted => all.push(std::mem::take(&mut field)),
            _ => field.push(one),
        }
    }
    all.push(field);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses, and lines with errors.
    fn check(bytes: &[u8], addresses: &[&str], errors: &[u64]) {
        let list = RecipientList::parse(bytes);
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
        assert_eq!(list.addresses().collect::<Vec<_>>(), addresses, "{text:?}");
        let lines: Vec<u64> = list.errors.iter().map(|error| error.line).collect();
        assert_eq!(lines, errors, "{text:?} {:?}", list.errors);
        assert_eq!(list.invalid, errors.len() as u64);
    }

    fn utf16(text: &str, mark: u16, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        std::iter::once(mark).chain(text.encode_utf16()).flat_map(bytes).collect()
    }

    #[test]
    fn hostile_lines_are_errors_of_their_own_and_hide_no_address() {
        let both = ["ann@a.example", "bob@b.example"];
        check(b"Ann@a.example\r\nbob@b.example", &both, &[]);
        check(b"email,name\nann@a.example,\"Doe, Ann\"\n\nbob@b.example\n", &both, &[]);
        check(b"ann@a.example\rbob@b.example\r", &both, &[]);
        check(b"ann@a.example\n=cmd|' /C calc'!A0\n+1\nbob@b.example\n", &both, &[2, 3]);
        // quotes that are not closed, at the start and in another column
        check(b"ann@a.example,\"x\nbob@b.example,\"y\n", &both, &[]);
        check(b"\"ann@a.example\nbob@b.example\n", &both, &[]);
        check(b"ann@a.example,\"two\nlines, of text\"\nbob@b.example\n", &both, &[]);
        check(b"ann@a.example\n\xff\xfe@x\nbob@b.example\n", &both, &[2]);
        check(b"ann@a.example\na\0b@b.example\nbob@b.example\n", &both, &[2]);
        check(
            &[b"ann@a.example\n".as_slice(), &vec![b'x'; 10_000_000], b"\nbob@b.example"].concat(),
            &both,
            &[2],
        );
        let long = format!("ann@a.example\n{}@b.example\nbob@b.example\n", "x".repeat(65));
        check(long.as_bytes(), &both, &[2]);
        check(b"ann@a.example\nANN@a.example\nbob@b.example", &both, &[]);
        check(b"", &[], &[]);
        let text = "ann@a.example\nbob@b.example\n";
        check(&utf16(text, 0xfeff, u16::to_le_bytes), &both, &[]);
        check(&utf16(text, 0xfeff, u16::to_be_bytes), &both, &[]);
    }

    #[test]
    fn other_columns_are_kept() {
        let list = RecipientList::parse(b"mail;tag;note\nann@a.example;x;\"a;\"\"b\"\"\nc\"\n");
        assert_eq!(list.columns(), ["mail", "tag", "note"]);
        assert_eq!(list.fields(0), ["ann@a.example", "x", "a;\"b\"\nc"]);
        assert_eq!(
            [list.column("Tag"), list.column("3"), list.column("x")],
            [Some(1), Some(2), None]
        );
        let list = RecipientList::parse(b"ann@a.example,x\nann@a.example\n");
        assert_eq!(
            (list.columns(), list.duplicates),
            (vec!["address".to_owned(), "2".to_owned()], 1)
        );
    }

    proptest::proptest! {
        #[test]
        fn a_good_line_is_never_lost(before in "\\PC{0,60}", after in "\\PC{0,60}") {
            let text = format!("email\n{before}\nann@a.example,x\n{after}\nbob@b.example\n");
            let list = RecipientList::parse(text.as_bytes());
            let found: Vec<&str> = list.addresses().collect();
            for address in ["ann@a.example", "bob@b.example"] {
                proptest::prop_assert!(found.contains(&address), "{text}");
            }
        }
    }
}
