//! Bytes -> documents: finds where one JSON document ends and the next begins, without reading them.
//!
//! Takes NDJSON, documents without anything between them (`}{`, as some writers into Firehose leave them), arrays,
//! and pretty-printed documents over many lines. A broken line costs that line: the text around it is still read.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// Documents longer than this are set aside unread; SES's own end at 1 MiB (facts 3.8).
pub const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How often the bytes of an input may be looked at on the average; only hostile input needs more.
const RESCANS_MAX: usize = 16;

/// What stands where one document follows another.
static JOINT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"}{"));

/// A part of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// First byte.
    pub start: usize,
    /// Behind the last byte.
    pub end: usize,
    /// Whether it looks like a whole document; if not, it cannot be read.
    pub whole: bool,
}

/// Finds the documents in `bytes` and returns them with the number of bytes that are dealt with.
///
/// The rest is the beginning of a document whose end is still to come; with `last` there is none to come, and
/// everything is dealt with.
pub fn split(bytes: &[u8], last: bool) -> (Vec<Piece>, usize) {
    let mut pieces = Vec::new();
    let mut at = 0;
    // each byte is looked at once, and again only behind what is broken: that is not allowed to go on for ever
    let mut budget = bytes.len().saturating_mul(RESCANS_MAX);
    let mut ends = Ends::default();
    loop {
        at += bytes[at..].iter().take_while(|byte| is_between(**byte)).count();
        if at >= bytes.len() {
            return (pieces, at);
        }
        if budget == 0 {
            let end = ends.line(bytes, at);
            pieces.push(Piece { start: at, end, whole: true });
            at = end;
            continue;
        }
        if let Some(end) = plain_line(bytes, at, &mut ends) {
            pieces.push(Piece { start: at, end, whole: true });
            at = end;
            continue;
        }
        match scan(&bytes[at..]) {
            Scan::Whole(length) => {
                pieces.push(Piece { start: at, end: at + length, whole: true });
                at += length;
            }
            Scan::Unfinished if !last && bytes.len() - at <= DOCUMENT_BYTES_MAX => {
                return (pieces, at);
            }
            broken => {
                let end = ends.broken(bytes, at, &broken);
                let looked_at =
                    if let Scan::Broken(length) = broken { length } else { bytes.len() - at };
                budget = budget.saturating_sub(looked_at);
                pieces.push(Piece { start: at, end, whole: false });
                at = end;
            }
        }
    }
}

/// The end of a line that can only be one document, or a broken one: it begins and ends with the braces of an object,
/// no object follows another in it, and the next line begins one. Its brackets need not be counted to know where the
/// next document is, which is most of the work of a splitter on lines as Firehose writes them.
fn plain_line(bytes: &[u8], at: usize, ends: &mut Ends) -> Option<usize> {
    if bytes[at] != b'{' {
        return None;
    }
    let line_end = ends.line(bytes, at);
    // judged once for a line, which may hold very many documents
    if ends.not_plain == Some(line_end) {
        return None;
    }
    let line = bytes[at..line_end].trim_ascii_end();
    let follows = || bytes[line_end..].trim_ascii_start().first() == Some(&b'{');
    let is_plain = line.ends_with(b"}") && JOINT.find(line).is_none() && follows();
    if !is_plain {
        ends.not_plain = Some(line_end);
        return None;
    }
    Some(at + line.len())
}

/// What may stand between documents: blanks, the brackets and commas of an array around them, a byte order mark,
/// the record separator of JSON text sequences.
fn is_between(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'[' | b']' | b',' | 0xEF | 0xBB | 0xBF | 0x1E)
}

enum Scan {
    /// A document of this many bytes.
    Whole(usize),
    /// The input ends inside a document.
    Unfinished,
    /// What stands here cannot become a document; behind so many bytes something else begins.
    Broken(usize),
}

fn scan(bytes: &[u8]) -> Scan {
    match bytes.first() {
        Some(b'{') => scan_object(bytes),
        Some(b'"') => match string_end(bytes, 0) {
            Ok(Some(end)) => Scan::Whole(end),
            Ok(None) => Scan::Unfinished,
            Err(end) => Scan::Broken(end),
        },
        _ => match scalar_end(bytes).or_else(|| memchr::memchr(b'\n', bytes)) {
            // text that is no JSON: a notice, perhaps, or a log line with a time before the document
            Some(end) => Scan::Whole(end),
            None => Scan::Unfinished,
        },
    }
}

/// The end of a number or word of JSON that stands alone, as an element of an array may.
fn scalar_end(bytes: &[u8]) -> Option<usize> {
    let length = bytes
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.'))
        .count();
    let behind = bytes[length..].iter().find(|b| !matches!(b, b' ' | b'\t' | b'\r'));
    let ends = behind.is_none_or(|b| matches!(b, b',' | b']' | b'\n'));
    (ends && serde_json::from_slice::<serde::de::IgnoredAny>(&bytes[..length]).is_ok())
        .then_some(length)
}

/// Follows the nesting of an object. Brackets that cannot stand where they do mean that a line was cut off and the
/// next record follows: the scan stops there instead of swallowing it.
fn scan_object(bytes: &[u8]) -> Scan {
    let mut open: Vec<u8> = Vec::with_capacity(8);
    let mut before = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {
                at += 1;
                continue;
            }
            b'"' => match string_end(bytes, at) {
                Ok(Some(end)) => at = end - 1,
                Ok(None) => return Scan::Unfinished,
                Err(end) => return Scan::Broken(end),
            },
            b'{' | b'[' => {
                let fits = match open.last() {
                    None => at == 0,
                    Some(b'{') => before == b':',
                    Some(_) => matches!(before, b'[' | b','),
                };
                if !fits {
                    return Scan::Broken(at);
                }
                open.push(byte);
            }
            b'}' | b']' => {
                let opened = open.pop();
                if opened != Some(if byte == b'}' { b'{' } else { b'[' }) {
                    return Scan::Broken(at + 1);
                }
                if open.is_empty() {
                    return Scan::Whole(at + 1);
                }
            }
            _ => {}
        }
        before = byte;
        at += 1;
    }
    Scan::Unfinished
}

/// The byte behind the string that starts at `at`; `None` if the input ends first, the end of its line as an
/// error if that ends first.
fn string_end(bytes: &[u8], at: usize) -> Result<Option<usize>, usize> {
    let mut from = at + 1;
    loop {
        let Some(offset) =
            bytes.get(from..).and_then(|rest| memchr::memchr3(b'"', b'\\', b'\n', rest))
        else {
            return Ok(None);
        };
        match bytes[from + offset] {
            b'"' => return Ok(Some(from + offset + 1)),
            b'\\' => from += offset + 2,
            _ => return Err(from + offset),
        }
    }
}

/// Where lines end, and where one document follows another in a line. Both are looked for once and kept until the
/// input is beyond them: a line may hold very many broken documents.
#[derive(Default)]
struct Ends {
    line: Option<usize>,
    /// The end of a line that is not one document.
    not_plain: Option<usize>,
    next: Option<usize>,
}

impl Ends {
    /// The end of the line that `at` is in.
    fn line(&mut self, bytes: &[u8], at: usize) -> usize {
        let find = || memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |offset| at + offset);
        let line = self.line.filter(|line| at <= *line).unwrap_or_else(find);
        self.line = Some(line);
        line
    }

    /// Where the next document may begin behind a broken one: at the end of the line; in a line of many documents,
    /// where the scan stumbled or one document follows another.
    fn broken(&mut self, bytes: &[u8], at: usize, broken: &Scan) -> usize {
        let line = self.line(bytes, at);
        let find = || JOINT.find(&bytes[at..line]).map_or(line, |offset| at + offset + 1);
        let next = self.next.filter(|next| at < *next && *next <= line).unwrap_or_else(find);
        self.next = Some(next);
        match broken {
            Scan::Broken(length) if *length > 0 && at + length < next => at + length,
            _ => next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expected: &[(&str, bool)]) {
        let (pieces, done) = split(input.as_bytes(), true);
        let got: Vec<(&str, bool)> = pieces
            .iter()
            .map(|piece| (input.get(piece.start..piece.end).unwrap().trim_end(), piece.whole))
            .collect();
        assert_eq!(got, expected, "{input:?}");
        assert_eq!(done, input.len());
    }

    #[test]
    fn every_way_to_put_documents_in_a_row() {
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
    fn a_broken_line_costs_that_line() {
        for cut in [
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
            let input = format!("{{\"x\":1}}\n{cut}\n{{\"y\":2}}\n{{\"z\":3}}\n");
            // what ends as an object does looks whole: the decoder says what is wrong with it
            let looks_whole = cut.ends_with('}');
            check(
                &input,
                &[
                    ("{\"x\":1}", true),
                    (cut, looks_whole),
                    ("{\"y\":2}", true),
                    ("{\"z\":3}", true),
                ],
            );
        }
    }

    #[test]
    fn a_broken_document_in_a_line_of_many_costs_at_most_its_neighbour() {
        let documents: Vec<String> =
            (0..50).map(|n| format!("{{\"n\":{n},\"a\":[{{\"b\":\"c\"}}]}}")).collect();
        for cut in 1..documents[7].len() {
            let mut all = documents.clone();
            all[7].truncate(cut);
            let line = all.concat();
            let (pieces, _) = split(line.as_bytes(), true);
            let whole = |document: &&String| {
                pieces.iter().any(|piece| {
                    piece.whole && line.get(piece.start..piece.end) == Some(document.as_str())
                })
            };
            assert!(documents.iter().filter(whole).count() >= 48, "cut at {cut}: {line}");
        }
    }

    #[test]
    fn hostile_nesting_takes_linear_time() {
        for part in ["{\"a\":[\n", "{", "{}{{", "{} {} ", "{} {}\n \n", "{}}\n  "] {
            let text = part.repeat(100_000);
            let (pieces, done) = split(text.as_bytes(), true);
            assert_eq!(done, text.len());
            assert!(pieces.len() >= 100_000, "{part}");
        }
    }

    #[test]
    fn the_end_may_still_come() {
        let (pieces, done) = split(b"{\"a\":1}\n{\"b\":", false);
        assert_eq!(pieces, [Piece { start: 0, end: 7, whole: true }]);
        assert_eq!(done, 8);
    }

    #[test]
    fn a_document_over_several_lines_is_never_cut_at_a_line() {
        let one = serde_json::json!({"a": {"b": {"c": 1}}, "d": [{"e": 2}, {"f": {}}]});
        let pretty = serde_json::to_string_pretty(&one).unwrap();
        // however its lines are broken: after each of its characters, and with more documents behind
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

    proptest::proptest! {
        #[test]
        fn any_bytes_are_dealt_with(bytes in proptest::collection::vec(proptest::sample::select(b"{}[]\",:\\\na ".to_vec()), 0..60)) {
            let (pieces, done) = split(&bytes, true);
            proptest::prop_assert_eq!(done, bytes.len());
            let mut end = 0;
            for piece in pieces {
                // nothing but what may stand between documents is left out
                proptest::prop_assert!(bytes[end..piece.start].iter().all(|b| is_between(*b)));
                proptest::prop_assert!(piece.start < piece.end);
                end = piece.end;
            }
            proptest::prop_assert!(bytes[end..].iter().all(|b| is_between(*b)));
        }

        #[test]
        fn chunks_make_no_difference(lines in proptest::collection::vec("[a-c{}\"\\\\:,]{0,12}", 0..12), cut in 0usize..80) {
            // documents that are whole in one piece are whole in two
            let documents = lines.iter().map(|line| serde_json::json!({"k": line}).to_string() + "\n");
            let text: String = documents.collect();
            let bytes = text.as_bytes();
            let cut = cut.min(bytes.len());
            let (first, done) = split(&bytes[..cut], false);
            let (second, _) = split(&bytes[done..], true);
            proptest::prop_assert_eq!(first.len() + second.len(), lines.len());
            proptest::prop_assert!(first.iter().chain(&second).all(|piece| piece.whole));
        }
    }
}
