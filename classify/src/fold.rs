//! A text in the form in which phrases are looked for, and the inner reply of a text that wraps one.

use std::sync::LazyLock;

use memchr::memmem;

/// Bytes at the begin of a text that are read. Replies are shorter; a cost that grows with a stranger's text is none.
const HEAD_BYTES: usize = 480;
/// Bytes at the end of a longer text that are read as well.
const TAIL_BYTES: usize = 160;

/// Bytes at the begin of a text within which it says that a message expired.
const EXPIRED_BYTES: usize = 96;

/// Bytes at the begin of a text within which one that wraps a reply names the server.
const WRAPPER_BYTES: usize = 256;

/// What stands for an IP address. No text holds it, since control characters become blanks.
const IP: u8 = 1;

/// What was seen while folding.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// An IP address that is not the remote server's.
    pub(super) ip: bool,
}

/// Brings a text to lower case without accents, with one blank for each run of blanks, hyphens and underscores, `@` for
/// each address and `#` for each IP address. It begins and ends with a blank.
pub(super) fn fold(text: &str, remote: Option<&str>, out: &mut Vec<u8>) -> Seen {
    let read = text.len().min(HEAD_BYTES + TAIL_BYTES);
    // no letter becomes longer; a blank at each end, and between two parts
    out.clear();
    out.resize(read + 3, 0);
    let mut form = Form { bytes: out, length: 0 };
    form.push(b' ');
    let mut seen = Seen::default();
    if read == text.len() {
        fold_part(text.as_bytes(), remote, &mut form, &mut seen);
    } else {
        let head = text.floor_char_boundary(HEAD_BYTES);
        let tail = text.ceil_char_boundary(text.len() - TAIL_BYTES);
        fold_part(&text.as_bytes()[..head], remote, &mut form, &mut seen);
        form.push_blank();
        fold_part(&text.as_bytes()[tail..], remote, &mut form, &mut seen);
    }
    form.push_blank();
    let length = form.length;
    out.truncate(length);
    seen
}

/// The form as far as it is written.
struct Form<'o> {
    bytes: &'o mut [u8],
    length: usize,
}

impl Form<'_> {
    fn push(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    fn push_blank(&mut self) {
        if self.bytes[self.length - 1] != b' ' {
            self.push(b' ');
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.push(*byte);
        }
    }
}

/// A pattern in the same form, without the blanks around it. `{ip}` and `{address}` stand for any.
pub(super) fn fold_pattern(pattern: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let example = pattern.replace("{ip}", "192.0.2.1").replace("{address}", "a@example.org");
    fold(&example, None, &mut out);
    out.trim_ascii().to_vec()
}

/// Of a byte: that it becomes a blank.
const BLANK: u8 = 1;
/// That it needs a closer look.
const MARK: u8 = 2;
/// That it needs one where a number begins.
const DIGIT: u8 = 4;
/// That no number begins after it.
const GLUE: u8 = DIGIT << 1;
/// That it ends an address on its left.
const ENDS: u8 = 16;

/// What a byte is in a text.
static FLAGS: [u8; 256] = {
    let mut table = [MARK; 256];
    let mut at = 0_u8;
    while at < 128 {
        table[at as usize] = match at {
            0..=32 | 127 => BLANK | ENDS,
            b'-' | b'_' => BLANK,
            b'@' | b':' => MARK,
            b'0'..=b'9' => DIGIT | GLUE,
            b'A'..=b'Z' | b'a'..=b'z' | b'.' => GLUE,
            b'<' | b'>' | b'(' | b')' | b'"' | b'\'' | b',' | b';' | b'[' | b']' | b'=' => ENDS,
            _ => 0,
        };
        at += 1;
    }
    table
};

/// What a byte becomes.
static BECOMES: [u8; 256] = {
    let mut table = [0; 256];
    let mut at = 0_u8;
    while at < 128 {
        table[at as usize] = match at {
            _ if FLAGS[at as usize] & BLANK != 0 => b' ',
            _ => at.to_ascii_lowercase(),
        };
        at += 1;
    }
    table
};

/// What needs a closer look after a byte.
const fn looked_for_after(flags: u8) -> u8 {
    MARK | DIGIT & !(flags >> 1)
}

fn fold_part(text: &[u8], remote: Option<&str>, form: &mut Form<'_>, seen: &mut Seen) {
    let mut at = 0;
    // where in the form a word begins that may turn out to be an address
    let mut word = form.length;
    // up to where colons were looked at and found to be in no IP address
    let mut looked_at = 0;
    let mut looked_for = looked_for_after(0);
    loop {
        // where words and blanks come cannot be foretold, so nothing branches on it
        let mut was_blank = u8::from(form.bytes[form.length - 1] == b' ');
        while let Some(&byte) = text.get(at)
            && FLAGS[usize::from(byte)] & looked_for == 0
        {
            let flags = FLAGS[usize::from(byte)];
            form.bytes[form.length] = BECOMES[usize::from(byte)];
            let is_blank = flags & BLANK;
            form.length += usize::from(1 ^ (is_blank & was_blank));
            was_blank = is_blank;
            word = if flags & ENDS != 0 { form.length } else { word };
            looked_for = looked_for_after(flags);
            at += 1;
        }
        let Some(&byte) = text.get(at) else { return };
        looked_for = looked_for_after(0);
        match byte {
            128.. => at += fold_letter(&text[at..], form),
            b'@' => {
                form.length = word;
                form.push(b'@');
                at += 1 + text[at + 1..].iter().take_while(|byte| is_of_domain(**byte)).count();
                looked_for = looked_for_after(FLAGS[usize::from(text[at - 1])]);
            }
            b':' => {
                let found = if at < looked_at { Err(looked_at) } else { ipv6(text, at) };
                match found {
                    Ok((start, end)) => {
                        form.length = form.length.saturating_sub(at - start);
                        form.push(IP);
                        seen.ip |= !is_remote(&text[start..end], remote);
                        at = end;
                        looked_for = looked_for_after(GLUE);
                    }
                    Err(end) => {
                        looked_at = end;
                        form.push(byte);
                        at += 1;
                    }
                }
                word = form.length;
            }
            _ => {
                let length = address_length(&text[at..]);
                if length > 1 {
                    form.push(IP);
                    seen.ip |= !is_remote(&text[at..at + length], remote)
                        && !is_told_by_the_way(&text[..at], &text[at + length..]);
                } else {
                    form.push(byte);
                }
                at += length;
                looked_for = looked_for_after(GLUE);
            }
        }
    }
}

fn is_of_domain(byte: u8) -> bool {
    byte >= 128 || byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

/// Length of the IP address that begins with a digit where a number begins, or that digit's.
fn address_length(text: &[u8]) -> usize {
    // a dot comes within four letters
    let dotted = text.iter().take(4).any(|byte| *byte == b'.');
    if dotted { ipv4(text).unwrap_or(1) } else { 1 }
}

/// Whether an address is that of a server that was asked, `host mx.example.org[192.0.2.1] said: ...`, or of who is
/// answered, which some servers add to whatever they say: `Addressee unknown, relay=[192.0.2.1]`.
fn is_told_by_the_way(before: &[u8], after: &[u8]) -> bool {
    after.starts_with(b"] said:") || before.ends_with(b"relay=[")
}

fn is_remote(address: &[u8], remote: Option<&str>) -> bool {
    remote.is_some_and(|remote| remote.as_bytes() == address)
}

/// Length of an IPv4 address that a text begins with.
fn ipv4(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    for part in 0..4 {
        let digits = text[at..].iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=3).contains(&digits) {
            return None;
        }
        at += digits;
        if part < 3 {
            if text.get(at) != Some(&b'.') {
                return None;
            }
            at += 1;
        }
    }
    let goes_on = match text.get(at) {
        Some(b'.') => text.get(at + 1).is_some_and(u8::is_ascii_digit),
        Some(byte) => byte.is_ascii_alphanumeric(),
        None => false,
    };
    (!goes_on).then_some(at)
}

/// Where the IPv6 address lies whose first colon stands at `at`: five parts or more, or `::`; a time has three. If there
/// is none: up to where there is none.
fn ipv6(text: &[u8], at: usize) -> Result<(usize, usize), usize> {
    let before =
        text[..at].iter().rev().take(5).take_while(|byte| byte.is_ascii_hexdigit()).count();
    let start = at - before;
    let length = text[start..]
        .iter()
        .take(40)
        .take_while(|byte| byte.is_ascii_hexdigit() || **byte == b':')
        .count();
    let end = start + length;
    let found = &text[start..end];
    let torn = before > 4
        || (start > 0 && text[start - 1].is_ascii_alphanumeric())
        || text.get(end).is_some_and(u8::is_ascii_alphanumeric);
    let is_short = length > 3 && found.windows(2).any(|pair| pair == b"::");
    if !torn && (is_short || memchr::memchr_iter(b':', found).count() >= 4) {
        Ok((start, end))
    } else {
        Err(end.max(at + 1))
    }
}

/// A letter beyond ASCII: without its accent where it is a Latin one. Returns how many bytes were read.
fn fold_letter(text: &[u8], form: &mut Form<'_>) -> usize {
    match *text {
        [0xc2, 0xa0, ..] => {
            form.push_blank();
            2
        }
        [0xc3, second, ..] => {
            form.extend(latin1(second));
            2
        }
        [first @ (0xc4 | 0xc5), second, ..] => {
            let at = usize::from(first - 0xc4) * 64 + usize::from(second & 0x3f);
            form.push(LATIN_A.get(at).copied().unwrap_or(b'?'));
            2
        }
        // Cyrillic capitals
        [0xd0, second @ 0x90..=0x9f, ..] => {
            form.extend(&[0xd0, second + 0x20]);
            2
        }
        [0xd0, second @ 0xa0..=0xaf, ..] => {
            form.extend(&[0xd1, second - 0x20]);
            2
        }
        // typographic quotes and hyphens
        [0xe2, 0x80, 0x98 | 0x99, ..] => {
            form.push(b'\'');
            3
        }
        // the last is an ideographic blank
        [0xe2, 0x80, 0x90..=0x95, ..] | [0xe3, 0x80, 0x80, ..] => {
            form.push_blank();
            3
        }
        [first, ..] => {
            form.push(first);
            1
        }
        [] => 0,
    }
}

/// U+00C0 to U+00FF by the second byte of UTF-8.
fn latin1(second: u8) -> &'static [u8] {
    if second == 0x9f {
        return b"ss";
    }
    match second | 0x20 {
        0xa0..=0xa5 => b"a",
        0xa6 => b"ae",
        0xa7 => b"c",
        0xa8..=0xab => b"e",
        0xac..=0xaf => b"i",
        0xb0 => b"d",
        0xb1 => b"n",
        0xb2..=0xb6 | 0xb8 => b"o",
        0xb9..=0xbc => b"u",
        0xbd | 0xbf => b"y",
        0xbe => b"th",
        _ => b"?",
    }
}

/// U+0100 to U+017F.
static LATIN_A: &[u8; 128] = b"aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkkllllllllllnnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";

/// The reply inside of a text, and whether that text says that a message was given up after hours.
///
/// SES: `554 4.4.7 Message expired: unable to deliver in 840 minutes.<421 4.4.2 Connection timed out>`. Others wrap what
/// a remote server said in words of their own: `host mx.example.org[192.0.2.1] said: 550 ...`.
pub(super) fn unwrap(text: &str) -> (&str, bool) {
    if let Some(inner) = expired(text) {
        return (inner, true);
    }
    if let [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9', b' ' | b'-', ..] = text.as_bytes() {
        // a reply as it came
        return (text, false);
    }
    let head = text.as_bytes().get(..WRAPPER_BYTES).unwrap_or(text.as_bytes());
    let inner = memchr::memchr_iter(b':', head).find_map(|colon| {
        let before = head[..colon].trim_ascii_end();
        let inner = text.get(colon + 1..)?.strip_prefix(' ')?;
        let is_reply = matches!(inner.as_bytes(), [b'4' | b'5', b'0'..=b'9', b'0'..=b'9', ..]);
        // Exim: `... host mx.example.org [192.0.2.1]: 550 ...`
        let wraps = before.ends_with(b" said")
            || before.ends_with(b" refused to talk to me")
            || (is_reply && (before.ends_with(b"]") || before.ends_with(b"remote server")));
        // qmail adds which server it gave up on
        wraps.then(|| inner.split_once("Giving up on ").map_or(inner, |(inner, _)| inner))
    });
    (inner.unwrap_or(text), false)
}

fn expired(text: &str) -> Option<&str> {
    static MARK: LazyLock<memmem::Finder<'static>> =
        LazyLock::new(|| memmem::Finder::new("xpired: unable to deliver"));
    let head = text.as_bytes().get(..EXPIRED_BYTES).unwrap_or(text.as_bytes());
    let mark = MARK.find(head)?;
    let (_, inner) = text.get(mark..)?.split_once('<')?;
    Some(inner.trim_end().trim_end_matches('>'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> (String, bool) {
        let mut out = Vec::new();
        let seen = fold(text, Some("198.51.100.9"), &mut out);
        (String::from_utf8(out).unwrap(), seen.ip)
    }

    #[test]
    fn texts_are_brought_to_one_form() {
        for (text, form, ip) in [
            ("User  UNKNOWN\tin table", " user unknown in table ", false),
            ("over-quota e_mail", " over quota e mail ", false),
            ("<Anna.Berg+x@Example.ORG>: no", " <@>: no ", false),
            ("rcpt anna-berg_x@example.org: no", " rcpt @: no ", false),
            ("no-such-user anna@example.org", " no such user @ ", false),
            ("Client host [192.0.2.7] blocked", " client host [\u{1}] blocked ", true),
            ("unknown, relay=[192.0.2.7]", " unknown, relay=[\u{1}] ", false),
            ("host mx[192.0.2.7] said: no", " host mx[\u{1}] said: no ", false),
            ("said 198.51.100.9 here", " said \u{1} here ", false),
            ("from 2001:db8::7 at 12:30:59", " from \u{1} at 12:30:59 ", true),
            ("5.1.1 v1.2.3.4.5", " 5.1.1 v1.2.3.4.5 ", false),
            ("Boîte pleine, Größe ŁÓDŹ", " boite pleine, grosse lodz ", false),
            ("Doesn\u{2019}t\u{a0}exist", " doesn't exist ", false),
            ("信箱不存在", " 信箱不存在 ", false),
            ("Ящик НЕ НАЙДЕН", " ящик не найден ", false),
            ("", " ", false),
        ] {
            assert_eq!(folded(text), (form.to_owned(), ip), "{text}");
        }
    }

    #[test]
    fn of_long_texts_the_ends_are_read() {
        let text = format!("begin {} the end", "ö ".repeat(5_000));
        let (form, _) = folded(&text);
        assert!(form.starts_with(" begin o") && form.ends_with(" the end "));
        assert!(form.len() < HEAD_BYTES + TAIL_BYTES + 3);
    }

    #[test]
    fn inner_replies_are_found() {
        let expired = "554 4.4.7 Message expired: unable to deliver in 840 minutes.<421 4.4.2 Connection timed out>";
        for (text, inner) in [
            (expired, ("421 4.4.2 Connection timed out", true)),
            ("host mx.example.org[192.0.2.1] said: 550 5.1.1 no", ("550 5.1.1 no", false)),
            ("SMTP error: host mx.example.org [192.0.2.1]: 550 no", ("550 no", false)),
            (
                "192.0.2.9 does not like recipient. Remote host said: 550 no user Giving up on 192.0.2.9.",
                ("550 no user ", false),
            ),
            (
                "host mx.example.org[192.0.2.1] refused to talk to me: 554 5.7.1 blocked",
                ("554 5.7.1 blocked", false),
            ),
            ("550 he said: no", ("550 he said: no", false)),
            ("no", ("no", false)),
        ] {
            assert_eq!(unwrap(text), inner);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_folded(text in "\\PC{0,200}") {
            let mut out = Vec::new();
            fold(&text, None, &mut out);
            proptest::prop_assert!(out.len() <= text.len() + 2);
        }

        #[test]
        fn addresses_of_any_form_are_folded(text in "[-_a:@. 0-9.<>]{0,60}") {
            fold(&text, None, &mut Vec::new());
        }
    }
}
