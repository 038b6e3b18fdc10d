//! SMTP replies of remote servers: the text in one line, the reply code (RFC 5321) and the enhanced status code
//! (RFC 3463).

use std::borrow::Cow;

/// A diagnostic in one line, with its codes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Diagnostic<'a> {
    /// The text: trimmed, without type prefix, lines joined, at most 8 KiB.
    pub text: Option<Cow<'a, str>>,
    /// Reply code, 400 to 599.
    pub smtp_code: Option<u16>,
    /// Enhanced status code such as `5.1.1`.
    pub enhanced_status: Option<Cow<'a, str>>,
}

/// Parses a diagnostic and the status field of the delivery report. The status field takes precedence over a status
/// code in the text.
pub fn parse<'a>(diagnostic: Option<Cow<'a, str>>, status: Option<&'a str>) -> Diagnostic<'a> {
    let text = diagnostic.map(truncated).and_then(one_line);
    let smtp_code = text.as_deref().and_then(reply_code).filter(|code| *code >= 400);
    let enhanced_status = match status.and_then(leading_status) {
        Some(status) => Some(Cow::Borrowed(status)),
        None => {
            text.as_deref().and_then(status_in_text).map(|status| Cow::Owned(status.to_owned()))
        }
    };
    Diagnostic { text, smtp_code, enhanced_status }
}

/// Bytes of a diagnostic that are kept. SMTP replies are much shorter; a text is stored once for each recipient.
const BYTES_MAX: usize = 8 * 1024;

/// The first [`BYTES_MAX`] bytes of a text, at a character boundary.
fn truncated(text: Cow<'_, str>) -> Cow<'_, str> {
    let end = text.floor_char_boundary(BYTES_MAX);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(..end).unwrap_or(text)),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}

/// Removes the type prefix, joins the lines of a reply, and drops the codes that its further lines repeat.
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
    // the last line can consist of repeated codes only
    joined.truncate(joined.trim_end().len());
    Some(Cow::Owned(joined))
}

/// A further line of a reply without the reply code and status code of the first line.
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

/// Whether another line of the reply follows: `550-...`.
fn is_continued(line: &str) -> bool {
    reply_code(line).is_some() && line.as_bytes().get(3) == Some(&b'-')
}

/// The text without its type prefix: `smtp; 550 ...`, `X-Postfix; ...`.
fn without_type(text: &str) -> &str {
    match text.split_once(';') {
        Some((prefix, rest)) if is_type(prefix.trim()) => rest,
        _ => text,
    }
}

fn is_type(prefix: &str) -> bool {
    let known = ["smtp", "dns", "dsn", "lmtp", "unix", "x400"];
    let prefix = prefix.to_ascii_lowercase();
    let custom =
        prefix.starts_with("x-") && prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    custom || known.contains(&prefix.as_str())
}

/// The host name of `dns; host` or `dsn; host`; other text unchanged. `None` if it is empty.
pub fn mta_name(text: &str) -> Option<&str> {
    Some(without_type(text).trim()).filter(|name| !name.is_empty())
}

/// The reply code: at the start of the text, or else the first number that an enhanced status code of the same class
/// follows.
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
        // `host mx.example.org replied: 550 5.1.1 ...`
        (1..bytes.len().saturating_sub(3))
            .filter(|&at| matches!(bytes[at - 1], b' ' | b'(' | b'<' | b':'))
            .find_map(|at| {
                let code = code_at(at)?;
                let status = leading_status(text.get(at + 4..)?)?;
                (status.as_bytes()[0] == bytes[at]).then_some(code)
            })
    })
}

/// The enhanced status code at the start of a text: class 2, 4 or 5, then two numbers of up to three digits.
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

/// The end of a run of one to three digits at `from`.
fn digits_from(bytes: &[u8], from: usize) -> Option<usize> {
    let length = bytes.get(from..)?.iter().take(4).take_while(|b| b.is_ascii_digit()).count();
    (1..=3).contains(&length).then_some(from + length)
}

/// The first enhanced status code in a text, at the start of a word.
fn status_in_text(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    (0..bytes.len().saturating_sub(4))
        .filter(|&at| matches!(bytes[at], b'2' | b'4' | b'5'))
        .find_map(|at| {
            let starts_word =
                at == 0 || matches!(bytes[at - 1], b' ' | b'-' | b'(' | b'#' | b'[' | b'<' | b':');
            if starts_word { leading_status(text.get(at..)?) } else { None }
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
        let got = parse(Some(Cow::Borrowed(diagnostic)), status);
        let expected = Diagnostic {
            text: Some(Cow::Borrowed(text)),
            smtp_code: code,
            enhanced_status: enhanced.map(Cow::Borrowed),
        };
        assert_eq!(got, expected, "{diagnostic:?}");
    }

    #[test]
    fn parse_joins_lines_and_reads_codes() {
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
    fn empty_diagnostic_has_no_text() {
        assert_eq!(parse(None, None), Diagnostic::default());
        assert_eq!(parse(Some(Cow::Borrowed("smtp; ")), None), Diagnostic::default());
        assert_eq!(parse(None, Some("4.4.7")).enhanced_status.as_deref(), Some("4.4.7"));
    }

    #[test]
    fn mta_name_removes_the_type() {
        assert_eq!(mta_name("dns; mx.example.org"), Some("mx.example.org"));
        assert_eq!(
            mta_name("dsn; a27-23.smtp-out.us-west-2.amazonses.com"),
            Some("a27-23.smtp-out.us-west-2.amazonses.com")
        );
        assert_eq!(mta_name("example.com"), Some("example.com"));
        assert_eq!(mta_name("dns; "), None);
    }

    /// An enhanced status code, checked with a regular grammar instead of a scanner.
    fn is_status(text: &str) -> bool {
        let parts: Vec<&str> = text.split('.').collect();
        matches!(parts[..], ["2" | "4" | "5", subject, detail] if [subject, detail]
            .iter()
            .all(|part| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())))
    }

    proptest::proptest! {
        #[test]
        fn any_diagnostic_is_one_trimmed_line_with_valid_codes(
            text in "\\PC{0,80}|([245][0-9]{2}[- ]?|[245]\\.[0-9]{1,3}\\.[0-9]{1,3}|smtp;|\r\n|[a ]){0,12}",
            status in "\\PC{0,12}|[245]\\.[0-9]{1,3}\\.[0-9]{1,3}[ .x]?",
        ) {
            let parsed = parse(Some(Cow::Borrowed(&text)), Some(&status));
            if let Some(line) = parsed.text.as_deref() {
                proptest::prop_assert!(!line.contains(['\n', '\r']), "{:?}", line);
                proptest::prop_assert_eq!(line.trim(), line);
                proptest::prop_assert!(!line.is_empty());
            }
            proptest::prop_assert!(parsed.smtp_code.is_none_or(|code| (400..=559).contains(&code)));
            proptest::prop_assert!(parsed.enhanced_status.as_deref().is_none_or(is_status));
            if let Some(leading) = leading_status(&status) {
                proptest::prop_assert_eq!(parsed.enhanced_status.as_deref(), Some(leading));
            }
        }

        #[test]
        fn multi_line_reply_keeps_all_words_and_its_codes(
            class in 4_u16..=5,
            detail in 0_u16..=59,
            status in "[0-7]\\.[0-9]{1,2}",
            lines in proptest::collection::vec("[a-z]{1,8}( [a-z]{1,8}){0,3}", 1..6),
            line_end in proptest::sample::select(vec!["\n", "\r\n"]),
        ) {
            let code = class * 100 + detail;
            let last = lines.len() - 1;
            let reply: Vec<String> = lines
                .iter()
                .enumerate()
                .map(|(at, line)| format!("{code}{}{class}.{status} {line}", if at < last { '-' } else { ' ' }))
                .collect();
            let parsed = parse(Some(Cow::Owned(reply.join(line_end))), None);
            let expected = format!("{code} {class}.{status} {}", lines.join(" "));
            proptest::prop_assert_eq!(parsed.text.as_deref(), Some(expected.as_str()));
            proptest::prop_assert_eq!(parsed.smtp_code, Some(code));
            proptest::prop_assert_eq!(parsed.enhanced_status, Some(Cow::from(format!("{class}.{status}"))));
        }

        #[test]
        fn long_diagnostic_is_truncated_at_a_character(letter in "[aé€]", count in 1_usize..6_000) {
            let text = letter.repeat(count);
            let parsed = parse(Some(Cow::Borrowed(&text)), None).text.unwrap();
            proptest::prop_assert!(parsed.len() <= BYTES_MAX && text.starts_with(parsed.as_ref()));
            proptest::prop_assert!(text.len() <= BYTES_MAX || parsed.len() > BYTES_MAX - letter.len());
        }
    }
}
