//! What a remote server said: its text in one line, its reply code and its enhanced status code (RFC 5321, RFC 3463).

use std::borrow::Cow;

/// A diagnostic brought to one line, with the codes read from it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Diagnostic<'a> {
    /// The text: type prefix gone, reply lines joined, trimmed.
    pub text: Option<Cow<'a, str>>,
    /// Reply code, 400 to 599.
    pub smtp_code: Option<u16>,
    /// Enhanced status code such as `5.1.1`.
    pub enhanced_status: Option<Cow<'a, str>>,
}

/// Reads a diagnostic and, where the report has one of its own, a status field (which is believed first).
pub fn read<'a>(diagnostic: Option<Cow<'a, str>>, status: Option<&'a str>) -> Diagnostic<'a> {
    let text = diagnostic.map(cut).and_then(one_line);
    let smtp_code = text.as_deref().and_then(reply_code).filter(|code| *code >= 400);
    let enhanced_status = match status.and_then(leading_status) {
        Some(status) => Some(Cow::Borrowed(status)),
        None => {
            text.as_deref().and_then(status_in_text).map(|status| Cow::Owned(status.to_owned()))
        }
    };
    Diagnostic { text, smtp_code, enhanced_status }
}

/// Bytes of a diagnostic that are kept; replies of SMTP are far shorter, and a text stands once for each recipient.
const BYTES_MAX: usize = 8 * 1024;

/// A text that is not too long, cut between two letters.
fn cut(text: Cow<'_, str>) -> Cow<'_, str> {
    let end = text.floor_char_boundary(BYTES_MAX);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(..end).unwrap_or(text)),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}

/// Takes the type prefix off, joins the lines of one reply and drops the codes that its further lines repeat.
fn one_line(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let body = without_type(&text).trim();
    if body.is_empty() {
        return None;
    }
    if !body.contains(['\n', '\r']) && !is_continued(body) {
        if body.len() == text.len() {
            return Some(text);
        }
        return Some(Cow::Owned(body.to_owned()));
    }
    let mut joined = String::with_capacity(body.len());
    let mut code = "";
    let mut status = None;
    for line in body.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()) {
        if joined.is_empty() {
            code = line.get(..3).filter(|_| reply_code(line).is_some()).unwrap_or_default();
            let rest = line.get(4..).filter(|_| !code.is_empty() && is_continued(line));
            match rest {
                Some(rest) => joined.extend([code, " ", rest.trim()]),
                None => joined.push_str(line),
            }
            status = status_in_text(line);
            continue;
        }
        joined.push(' ');
        joined.push_str(without_repeated_codes(line, code, status));
    }
    Some(Cow::Owned(joined))
}

/// The rest of a further line of a reply: without the reply code and the status code that the first line had.
fn without_repeated_codes<'l>(line: &'l str, code: &str, status: Option<&str>) -> &'l str {
    let Some(rest) = line.strip_prefix(code).filter(|_| !code.is_empty()) else { return line };
    let Some(rest) = rest.strip_prefix(['-', ' ']) else {
        return if rest.is_empty() { rest } else { line };
    };
    match (leading_status(rest), status) {
        (Some(again), Some(status)) if again == status => {
            rest.strip_prefix(again).unwrap_or(rest).trim_start()
        }
        _ => rest.trim_start(),
    }
}

/// Whether a reply line says that another one follows: `550-...`.
fn is_continued(line: &str) -> bool {
    reply_code(line).is_some() && line.as_bytes().get(3) == Some(&b'-')
}

/// `smtp; 550 ...` and `X-Postfix; ...` without what stands before the `;`, where that is a type word.
fn without_type(text: &str) -> &str {
    match text.split_once(';') {
        Some((word, rest)) if is_type_word(word.trim()) => rest,
        _ => text,
    }
}

fn is_type_word(word: &str) -> bool {
    let known = ["smtp", "dns", "dsn", "lmtp", "unix", "x400"];
    let word = word.to_ascii_lowercase();
    let custom =
        word.starts_with("x-") && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    custom || known.contains(&word.as_str())
}

/// `dns; host` and `dsn; host` without the type; other text as it is.
pub fn mta_name(text: &str) -> Option<&str> {
    Some(without_type(text).trim()).filter(|name| !name.is_empty())
}

/// The reply code: at the start of the text, or the first later number that stands where a code would.
fn reply_code(text: &str) -> Option<u16> {
    let bytes = text.as_bytes();
    let code_at = |at: usize| {
        let digits = bytes.get(at..at + 3)?;
        let ends = bytes
            .get(at + 3)
            .is_none_or(|b| matches!(b, b' ' | b'-' | b'#' | b'\n' | b'\r' | b':'));
        let good = matches!(digits[0], b'2' | b'4' | b'5')
            && digits.iter().all(u8::is_ascii_digit)
            && digits[1] <= b'5';
        (ends && good)
            .then(|| digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0')))
    };
    code_at(0).or_else(|| {
        // `... said: 550 5.1.1 ...`: only where an enhanced code of the same class follows
        (1..bytes.len().saturating_sub(3))
            .filter(|&at| matches!(bytes[at - 1], b' ' | b'(' | b'<' | b':'))
            .find_map(|at| {
                let code = code_at(at)?;
                let status = leading_status(text.get(at + 4..)?)?;
                (status.as_bytes()[0] == bytes[at]).then_some(code)
            })
    })
}

/// An enhanced status code at the start of a text: class 2, 4 or 5, then two numbers of up to three digits.
pub fn leading_status(text: &str) -> Option<&str> {
    let text = text.trim_start().trim_start_matches(['#', '(']);
    let bytes = text.as_bytes();
    if !matches!(bytes.first(), Some(b'2' | b'4' | b'5')) || bytes.get(1) != Some(&b'.') {
        return None;
    }
    let subject = digits_from(bytes, 2)?;
    if bytes.get(subject) != Some(&b'.') {
        return None;
    }
    let end = digits_from(bytes, subject + 1)?;
    let ends = bytes.get(end).is_none_or(|b| !b.is_ascii_alphanumeric() && *b != b'.')
        || (bytes.get(end) == Some(&b'.')
            && bytes.get(end + 1).is_none_or(|b| !b.is_ascii_digit()));
    ends.then(|| text.get(..end)).flatten()
}

/// The end of a run of one to three digits that starts at `from`.
fn digits_from(bytes: &[u8], from: usize) -> Option<usize> {
    let length = bytes.get(from..)?.iter().take(4).take_while(|b| b.is_ascii_digit()).count();
    (1..=3).contains(&length).then_some(from + length)
}

/// The first enhanced status code in a text that stands as a word.
fn status_in_text(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    (0..bytes.len().saturating_sub(4))
        .filter(|&at| matches!(bytes[at], b'2' | b'4' | b'5'))
        .find_map(|at| {
            let word =
                at == 0 || matches!(bytes[at - 1], b' ' | b'-' | b'(' | b'#' | b'[' | b'<' | b':');
            if word { leading_status(text.get(at..)?) } else { None }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        diagnostic: &str,
        status: Option<&str>,
        text: &str,
        code: Option<u16>,
        enhanced: Option<&str>,
    ) {
        let got = read(Some(Cow::Borrowed(diagnostic)), status);
        let expected = Diagnostic {
            text: Some(Cow::Borrowed(text)),
            smtp_code: code,
            enhanced_status: enhanced.map(Cow::Borrowed),
        };
        assert_eq!(got, expected, "{diagnostic:?}");
    }

    #[test]
    fn texts_of_remote_servers() {
        check(
            "smtp; 550 5.1.1 user unknown",
            None,
            "550 5.1.1 user unknown",
            Some(550),
            Some("5.1.1"),
        );
        check("550-5.1.1 a\n550 5.1.1 b", None, "550 5.1.1 a b", Some(550), Some("5.1.1"));
        check(
            "smtp; 550-5.7.26 one\r\n550-5.7.26 two\r\n550 5.7.26 three",
            None,
            "550 5.7.26 one two three",
            Some(550),
            Some("5.7.26"),
        );
        check(
            "X-Postfix; unknown user",
            Some("5.0.0 (permanent failure)"),
            "unknown user",
            None,
            Some("5.0.0"),
        );
        check(
            "smtp;554 4.4.7 Message expired: unable to deliver in 840 minutes.<421 4.4.2 Connection timed out>",
            None,
            "554 4.4.7 Message expired: unable to deliver in 840 minutes.<421 4.4.2 Connection timed out>",
            Some(554),
            Some("4.4.7"),
        );
        check(
            "host mx.example.org said: 552 5.2.2 full",
            None,
            "host mx.example.org said: 552 5.2.2 full",
            Some(552),
            Some("5.2.2"),
        );
        check("550 Unrouteable address", None, "550 Unrouteable address", Some(550), None);
        check(
            "Amazon SES did not send the message",
            None,
            "Amazon SES did not send the message",
            None,
            None,
        );
        check("550-one\n550-two\n550 three", None, "550 one two three", Some(550), None);
        check(
            "554 blocked using 5.6.7.8 list",
            None,
            "554 blocked using 5.6.7.8 list",
            Some(554),
            None,
        );
        check("waiting for 550 seconds", None, "waiting for 550 seconds", None, None);
        check("450 4.2.1 say; no", None, "450 4.2.1 say; no", Some(450), Some("4.2.1"));
    }

    #[test]
    fn nothing_said() {
        assert_eq!(read(None, None), Diagnostic::default());
        assert_eq!(read(Some(Cow::Borrowed("smtp; ")), None), Diagnostic::default());
        assert_eq!(read(None, Some("4.4.7")).enhanced_status.as_deref(), Some("4.4.7"));
    }

    #[test]
    fn names_of_servers() {
        assert_eq!(mta_name("dns; mx.example.org"), Some("mx.example.org"));
        assert_eq!(
            mta_name("dsn; a27-23.smtp-out.us-west-2.amazonses.com"),
            Some("a27-23.smtp-out.us-west-2.amazonses.com")
        );
        assert_eq!(mta_name("example.com"), Some("example.com"));
        assert_eq!(mta_name("dns; "), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "\\PC{0,80}", status in "\\PC{0,12}") {
            read(Some(Cow::Borrowed(&text)), Some(&status));
        }

        #[test]
        fn replies_of_any_lines(lines in proptest::collection::vec("(4|5)[0-9]{2}[- ]\\PC{0,20}", 1..6)) {
            read(Some(Cow::Owned(lines.join("\r\n"))), None);
        }
    }
}
