//! Extracts the reply of the last server from the text that other servers put around it. The frames are data:
//! `rules/frames.tsv`.
//!
//! `SMTP error from remote mail server after RCPT TO:<anna@example.org>: host mx.example.org [192.0.2.1]: 550 5.1.1 no
//! such user` becomes `550 5.1.1 no such user`. The text around a reply has IP addresses and words that do not belong
//! to the reason.

use std::cmp::Reverse;
use std::sync::LazyLock;

use memchr::memmem;

use crate::fold::NO_VALID_RECIPIENTS;

/// The frames, as text.
const TABLE: &str = include_str!("rules/frames.tsv");

/// Bytes from the start of a text in which a frame ends.
const FRAME_BYTES: usize = 512;

/// Colons and quotes that are read. The limit bounds the time per text.
const MARKS_MAX: usize = 32;

/// Bytes from the start of a text in which SES reports that a message expired.
const EXPIRED_BYTES: usize = 96;

/// The summary of sendmail if another server refused a message.
const SUMMARY: &str = "554 5.0.0 Service unavailable";

/// Reply codes about the login of the sender (RFC 4954, section 6).
const LOGIN_CODES: [&str; 4] = ["530", "534", "535", "538"];

/// The reply of the last server.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct InnerReply<'t> {
    /// The reply without the text around it; the whole text if there is no frame.
    pub(super) text: &'t str,
    /// Whether there is a frame.
    pub(super) has_frame: bool,
    /// Whether SES gave up the message after hours of retries.
    pub(super) expired: bool,
    /// Whether the frame shows that the reply is about the sender, e.g. a reply to MAIL FROM.
    pub(super) about_sender: bool,
}

impl<'t> InnerReply<'t> {
    /// The enhanced status code at the start of a reply with a frame.
    pub(super) fn status(&self) -> Option<&'t str> {
        let text = Some(self.text).filter(|_| self.has_frame)?;
        let rest = if reply_code(text).is_some() { text.get(4..)? } else { text };
        bouncewatch_schemas::diagnostic::leading_status(rest)
    }

    /// The reply code at the start of a reply with a frame. An expired message has that of SES, which is permanent.
    pub(super) fn code(&self) -> Option<u16> {
        let code = reply_code(self.text).filter(|_| self.has_frame && !self.expired)?;
        code.parse().ok()
    }
}

/// Where the text of a frame stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FramePosition {
    Before,
    Code,
    Within,
    Tail,
    Sender,
}

/// The texts of all frames.
struct Frames {
    /// Texts directly before a colon or quote, by their last byte.
    endings: Vec<Vec<(FramePosition, &'static str)>>,
    /// Texts anywhere before it.
    inside: Vec<(FramePosition, memmem::Finder<'static>)>,
}

static FRAMES: LazyLock<Frames> = LazyLock::new(|| {
    let mut frames = Frames { endings: vec![Vec::new(); 256], inside: Vec::new() };
    let rows = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', '>']));
    for row in rows {
        let mut columns = row.split('\t').skip(1);
        let place = match columns.next() {
            Some("before") => FramePosition::Before,
            Some("code") => FramePosition::Code,
            Some("within") => FramePosition::Within,
            Some("tail") => FramePosition::Tail,
            _ => FramePosition::Sender,
        };
        for text in columns.next().unwrap_or_default().split(" | ") {
            match (place, text.bytes().last()) {
                (FramePosition::Before | FramePosition::Code | FramePosition::Tail, Some(last)) => {
                    frames.endings[usize::from(last)].push((place, text));
                }
                _ => frames.inside.push((place, memmem::Finder::new(text))),
            }
        }
    }
    // a longer text states more
    let by_length =
        |texts: &mut Vec<(FramePosition, &str)>| texts.sort_by_key(|(_, text)| Reverse(text.len()));
    frames.endings.iter_mut().for_each(by_length);
    frames
});

impl Frames {
    /// The text with which `before` ends, and its place.
    fn end_of(&self, before: &[u8]) -> Option<(FramePosition, &'static str)> {
        let last = before.last()?.to_ascii_lowercase();
        let ends = |(_, text): &&(FramePosition, &str)| {
            let start = before.len().checked_sub(text.len());
            start.is_some_and(|start| before[start..].eq_ignore_ascii_case(text.as_bytes()))
        };
        self.endings[usize::from(last)].iter().find(ends).copied()
    }

    /// Position of the first text of this place.
    fn position(&self, place: FramePosition, text: &[u8]) -> Option<usize> {
        let text = text.to_ascii_lowercase();
        let inside = self.inside.iter().filter(|(other, _)| *other == place);
        inside.filter_map(|(_, inside)| inside.find(&text)).min()
    }
}

/// The samples of the frames, with `{reply}` for a reply.
#[cfg(test)]
pub(super) fn samples() -> impl Iterator<Item = &'static str> {
    TABLE.lines().filter_map(|line| line.strip_prefix("> "))
}

/// Extracts the reply of the last server.
pub(super) fn unwrap(text: &str) -> InnerReply<'_> {
    let text = without_exchange_host(without_summary(text));
    let expired = has_expired(text);
    let bytes = text.as_bytes();
    let head = bytes.get(..FRAME_BYTES).unwrap_or(bytes);
    let (mut start, mut end) = (None, text.len());
    let mut within = None;
    let frames: &Frames = &FRAMES;
    for at in memchr::memchr3_iter(b':', b'\'', b'<', head).take(MARKS_MAX) {
        if bytes[at] != b':' && !expired && !is_code_near(bytes, at) {
            continue;
        }
        let before = bytes[..at].trim_ascii_end();
        let ending = frames.end_of(before);
        if let Some((FramePosition::Tail, note)) = ending {
            end = before.len() - note.len();
            break;
        }
        let inner = text.get(at + 1..).unwrap_or_default();
        let inner = inner.trim_start_matches(' ');
        // sendmail quotes the reply to each command: `<<< 503 Need RCPT` follows from the reply before it
        let is_about_order =
            inner.starts_with("503 ") || inner.as_bytes().starts_with(NO_VALID_RECIPIENTS);
        if before.ends_with(b"<<") && is_about_order && start.is_some() {
            end = before.len() - 2;
            break;
        }
        let is_reply = match Quote::of(text, before, bytes[at], inner) {
            Quote::Certain => true,
            Quote::Code => {
                ending.is_some() || {
                    let first =
                        within.get_or_insert_with(|| frames.position(FramePosition::Within, head));
                    first.is_some_and(|first| first < at)
                }
            }
            Quote::None => {
                matches!(ending, Some((FramePosition::Before, _))) && bytes[at] == b':'
                    || bytes[at] == b'<' && expired && before.ends_with(b".")
            }
        };
        if is_reply {
            start = Some((at, text.len() - inner.len()));
        }
    }
    let Some((at, from)) = start else {
        let text = without_log(text.get(..end).unwrap_or_default());
        let inner = without_outer_codes(text);
        let has_frame = inner.len() < text.len();
        return InnerReply { text: inner, has_frame, expired, ..InnerReply::default() };
    };
    let inner = text.get(from..end).unwrap_or_default();
    let inner = match bytes[at] {
        b'<' => inner.trim_end().trim_end_matches('>'),
        b'\'' => inner.rsplit_once('\'').map_or(inner, |(inner, _)| inner),
        // qmail appends the server that it gave up on
        _ => inner.split_once("Giving up on ").map_or(inner, |(inner, _)| inner),
    };
    // Postfix appends the command
    let (inner, command) = inner.split_once("(in reply to ").unwrap_or((inner, ""));
    let about_sender = FRAMES.position(FramePosition::Sender, &bytes[..at]).is_some()
        || FRAMES.position(FramePosition::Sender, command.as_bytes()).is_some()
        || reply_code(inner).is_some_and(|code| LOGIN_CODES.contains(&code));
    let text = without_log(without_outer_codes(inner));
    InnerReply { text, has_frame: true, expired, about_sender }
}

/// The reply in a text of Exchange: `<192.0.2.44 #5.1.1 smtp;550 User unknown>`.
fn without_exchange_host(text: &str) -> &str {
    let Some(inner) = text.strip_prefix('<') else { return text };
    let reply = inner.split_once(" #").and_then(|(host, rest)| {
        let status = bouncewatch_schemas::diagnostic::leading_status(rest)?;
        let rest = rest.strip_prefix(status)?.trim_start();
        let (protocol, reply) = rest.split_at_checked("smtp;".len())?;
        let is_host = !host.trim_start().contains([' ', '>']);
        (is_host && protocol.eq_ignore_ascii_case("smtp;")).then_some(reply.trim_start())
    });
    reply.map_or(text, |reply| reply.trim_end().trim_end_matches('>'))
}

/// A text without the summary that sendmail adds after the replies of the other server.
fn without_summary(text: &str) -> &str {
    let before = text.trim_end().strip_suffix(SUMMARY);
    before.filter(|before| !before.is_empty()).unwrap_or(text)
}

/// A reply without what Postfix adds in its log: `User unknown; from=<a@example.com> to=<b@example.org> proto=ESMTP
/// helo=<mail.example.com>`.
fn without_log(reply: &str) -> &str {
    static START: LazyLock<memmem::Finder<'static>> =
        LazyLock::new(|| memmem::Finder::new("; from=<"));
    let start = START.find(reply.as_bytes());
    let log = start.and_then(|at| reply.split_at_checked(at));
    log.filter(|(_, log)| log.contains(" proto=")).map_or(reply, |(before, _)| before)
}

/// A reply without the codes that a server puts before another reply: `550 5.0.0 550 5.1.1 no such user`.
fn without_outer_codes(reply: &str) -> &str {
    let inner = reply_code(reply).and_then(|code| {
        let rest = reply.get(4..)?;
        let status = bouncewatch_schemas::diagnostic::leading_status(rest)?;
        let inner = rest.strip_prefix(status)?.trim_start();
        (reply_code(inner) == Some(code)).then_some(inner)
    });
    inner.unwrap_or(reply)
}

/// Whether a reply code can stand beside the quote or `<` at `at`: `550-'no'`, `<550 no`, `<<< 550 no`.
fn is_code_near(bytes: &[u8], at: usize) -> bool {
    match bytes.get(at + 1..) {
        Some([b'4' | b'5', ..] | [b' ', b'4' | b'5', ..]) => true,
        _ => bytes[..at].ends_with(b"-"),
    }
}

/// What follows a colon, a quote or `<`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quote {
    /// A reply in quotes, or with an enhanced status code of its class.
    Certain,
    /// A number that can be a reply code.
    Code,
    /// Neither.
    None,
}

impl Quote {
    /// What `inner` is, after `before` and a colon, quote or `<` in a text.
    fn of(text: &str, before: &[u8], delimiter: u8, inner: &str) -> Self {
        // `550-'no such user'`
        let code = before.last_chunk::<4>().filter(|_| delimiter == b'\'');
        if let Some([b'4' | b'5', b'0'..=b'9', b'0'..=b'9', b'-']) = code {
            return Self::Certain;
        }
        let Some(code) = reply_code(inner).filter(|_| !before.is_empty()) else {
            return Self::None;
        };
        // the next line of a reply has the code of its first line
        let is_next_line = reply_code(text) == Some(code);
        let status = inner.get(4..).and_then(bouncewatch_schemas::diagnostic::leading_status);
        let has_status = status.is_some_and(|status| status.as_bytes()[0] == code.as_bytes()[0]);
        if delimiter == b'<' || has_status && !is_next_line { Self::Certain } else { Self::Code }
    }
}

/// The reply code at the start of a text: class 4 or 5, then a blank or a hyphen.
fn reply_code(text: &str) -> Option<&str> {
    match text.as_bytes() {
        [b'4' | b'5', b'0'..=b'9', b'0'..=b'9', b' ' | b'-' | b'#', ..] => text.get(..3),
        _ => None,
    }
}

/// Whether SES gave up the message.
fn has_expired(text: &str) -> bool {
    static MARK: LazyLock<memmem::Finder<'static>> =
        LazyLock::new(|| memmem::Finder::new("xpired: unable to deliver"));
    let head = text.as_bytes().get(..EXPIRED_BYTES).unwrap_or(text.as_bytes());
    MARK.find(head).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unwrap_returns_the_last_reply() {
        for (text, inner) in [
            (
                "554 4.4.7 Message expired: unable to deliver in 840 minutes.<421 4.4.2 Connection timed out>",
                "421 4.4.2 Connection timed out",
            ),
            (
                "host a.example[192.0.2.1] said: 450 4.1.1 unverified: host b.example[192.0.2.2] said: 550 no (in reply to RCPT TO command)",
                "550 no ",
            ),
            ("550 he said: no", "550 he said: no"),
            (
                "550 5.1.1 <a@example.org>: no, see https://example.org/550",
                "550 5.1.1 <a@example.org>: no, see https://example.org/550",
            ),
            ("550-5.7.1 virus: 550-5.7.1 x", "550-5.7.1 virus: 550-5.7.1 x"),
            ("<<< 550 5.2.1 disabled. <<< 503 RCPT first.", "550 5.2.1 disabled."),
            ("550 5.0.0 550-5.1.1 no such user", "550-5.1.1 no such user"),
            ("550 5.0.0 551 no", "550 5.0.0 551 no"),
            ("550 5.1.1 no 554 5.0.0 Service unavailable", "550 5.1.1 no "),
            ("554 5.0.0 Service unavailable", "554 5.0.0 Service unavailable"),
            ("550 no; from=<> to=<b@example.org> proto=ESMTP helo=<a>", "550 no"),
            ("<192.0.2.44 #5.1.1 smtp;550 no>", "550 no"),
            ("< mx.example.org #5.0.0 SMTP; 550 \"no\">", "550 \"no\""),
            ("<a@example.org> #5.1.1 smtp;550 no", "<a@example.org> #5.1.1 smtp;550 no"),
            ("no", "no"),
            ("", ""),
        ] {
            assert_eq!(unwrap(text).text, inner);
        }
        assert_eq!(
            unwrap("5.3.0 - Other mail system problem 550-'no (delivery attempts: 0)").text,
            "no (delivery attempts: 0)"
        );
    }

    /// Each frame around replies with and without a status code.
    #[test]
    fn each_frame_is_removed_from_around_a_reply() {
        let replies =
            ["550 5.1.1 no such user", "550 no such user", "452-4.2.2 full, call +49 (30) 1"];
        for sample in samples() {
            for reply in replies {
                let text = sample.replace("{reply}", reply);
                let inner = unwrap(&text);
                let rest = inner.text.strip_prefix(reply);
                assert!(
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\'', ')'])),
                    "{text}: {inner:?}"
                );
            }
        }
    }
}
