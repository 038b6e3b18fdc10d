//! Masks the parts of a text that differ from message to message, so that equal texts can be grouped.

/// Greatest length of a word in bytes; longer ones are IDs.
const WORD_BYTES_MAX: usize = 24;

/// Least length of a hexadecimal number that is an ID.
const HEXADECIMAL_BYTES_MIN: usize = 6;

/// Replaces email addresses, IP addresses, URL paths, host names, ids, dates and numbers by placeholders such as
/// `{address}`. Reply codes, enhanced status codes and words stay. The result contains no personal data.
pub fn template(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut first = true;
    while let Some(word) = next_word(&mut rest) {
        if !first {
            out.push(' ');
        }
        mask_word(word, first, &mut out);
        first = false;
    }
    out
}

fn next_word<'t>(rest: &mut &'t str) -> Option<&'t str> {
    let text = rest.trim_start();
    if text.is_empty() {
        return None;
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, after) = text.split_at(end);
    *rest = after;
    Some(word)
}

/// Splits a word at brackets, quotes and commas, and masks the parts.
fn mask_word(word: &str, first: bool, out: &mut String) {
    // most words, which have no part to mask
    if word.len() <= WORD_BYTES_MAX && word.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        out.push_str(word);
        return;
    }
    if let Some(at) = word.find("://") {
        mask_url(word, at, out);
        return;
    }
    let is_edge = |c: char| {
        matches!(
            c,
            '<' | '>'
                | '('
                | ')'
                | '['
                | ']'
                | '{'
                | '}'
                | '"'
                | '\''
                | ','
                | ';'
                | '='
                | '|'
                | '`'
        )
    };
    let mut from = 0;
    for (at, edge) in word.match_indices(is_edge) {
        out.push_str(masked(word.get(from..at).unwrap_or_default(), first && from == 0));
        out.push_str(edge);
        from = at + edge.len();
    }
    out.push_str(masked(word.get(from..).unwrap_or_default(), first && from == 0));
}

/// Masks a URL. Its host stays, and the value of `?p=`, which is a code of the provider.
fn mask_url(word: &str, scheme_end: usize, out: &mut String) {
    let (before, rest) = word.split_at(scheme_end + 3);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    out.push_str(before.trim_start_matches(|c: char| !c.is_ascii_alphabetic()));
    out.push_str(if host.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b':') {
        "{ip}"
    } else {
        host
    });
    let code = path.split_once("?p=").map(|(_, code)| code);
    match code.filter(|code| !code.is_empty() && code.bytes().all(|b| b.is_ascii_alphabetic())) {
        Some(code) => out.extend(["/?p=", code]),
        None if path.trim_end_matches(['.', ',', ')', '>']).len() > 1 => out.push_str("/..."),
        None => {}
    }
}

/// A part of a word, or its placeholder.
fn masked(part: &str, is_code: bool) -> &str {
    let bare = part.trim_end_matches(['.', ':', '!', '?']);
    if bare.is_empty() {
        return part;
    }
    if bare.contains('@') {
        return "{address}";
    }
    if is_reply_code(bare, is_code) || is_status(bare) {
        return part;
    }
    if is_ip(bare) {
        return "{ip}";
    }
    let digits = bare.bytes().filter(u8::is_ascii_digit).count();
    let letters = bare.bytes().filter(u8::is_ascii_alphabetic).count();
    if digits > 0 && letters == 0 {
        return if bare.contains([':', '/']) || bare.matches('-').count() == 2 {
            "{time}"
        } else {
            "{n}"
        };
    }
    if is_hexadecimal_id(bare) {
        return "{id}";
    }
    if is_host(bare) {
        return "{host}";
    }
    // codes of providers are short (`OFR_416`, `S3150`, `SLN5070`); ids are long or mix cases
    let mixed = bare.bytes().any(|b| b.is_ascii_lowercase())
        && bare.bytes().any(|b| b.is_ascii_uppercase());
    if digits > 0 && (bare.len() > 12 || (mixed && bare.len() > 6) || digits > 6) {
        return "{id}";
    }
    if bare.len() > WORD_BYTES_MAX && bare.is_ascii() && !bare.contains('.') {
        return "{id}";
    }
    part
}

/// Whether a word is a hexadecimal number with a letter and a digit, such as the ID of a session: `1a2b3c4d`.
fn is_hexadecimal_id(word: &str) -> bool {
    let has = |is: fn(&u8) -> bool| word.bytes().any(|byte| is(&byte));
    word.len() >= HEXADECIMAL_BYTES_MIN
        && word.bytes().all(|byte| byte.is_ascii_hexdigit())
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_alphabetic)
}

fn is_reply_code(part: &str, is_first: bool) -> bool {
    let code = part.get(..3).unwrap_or_default();
    let rest = part.get(3..).unwrap_or_default();
    is_first
        && code.bytes().all(|b| b.is_ascii_digit())
        && matches!(code.bytes().next(), Some(b'2' | b'4' | b'5'))
        && (rest.is_empty()
            || rest.strip_prefix('-').is_some_and(|rest| rest.is_empty() || is_status(rest)))
}

fn is_status(part: &str) -> bool {
    let part = part.trim_start_matches('#');
    bouncewatch_schemas::diagnostic::leading_status(part)
        .is_some_and(|status| status.len() == part.len())
}

fn is_ip(part: &str) -> bool {
    let address = part.split_once('/').map_or(part, |(address, _)| address);
    address.parse::<core::net::IpAddr>().is_ok()
}

/// Whether this is a host name: two labels or more, the last one of lower-case letters.
fn is_host(part: &str) -> bool {
    let labels = part.split('.').count();
    let last = part.rsplit('.').next().unwrap_or_default();
    labels >= 2
        && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        && part.split('.').all(|label| !label.is_empty())
        && (2..=24).contains(&last.len())
        && last.bytes().all(|b| b.is_ascii_lowercase())
        && last.len() < part.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_masks_addresses_hosts_ids_times_and_numbers() {
        for (text, expected) in [
            ("550 5.1.1 <anna@example.org>: gone", "550 5.1.1 <{address}>: gone"),
            ("550-5.7.1 [192.0.2.1      19] no", "550-5.7.1 [{ip} {n}] no"),
            ("host mx.example.org[2001:db8::7] said no", "host {host}[{ip}] said no"),
            (
                "see https://support.google.com/mail/?p=NoSuchUser d2e1a72fcca58-2f8 - gsmtp",
                "see https://support.google.com/?p=NoSuchUser {id} - gsmtp",
            ),
            (
                "refused. https://rbl.example/q?ip=192.0.2.1&a=anna",
                "refused. https://rbl.example/...",
            ),
            (
                "OFR_416 [TSS04] S3150 RESOLVER.ADR.RecipNotFound",
                "OFR_416 [TSS04] S3150 RESOLVER.ADR.RecipNotFound",
            ),
            ("at 2026-11-20 12:30:59 after 840 minutes", "at {time} {time} after {n} minutes"),
            ("from=<a@b.example> to=<>", "from=<{address}> to=<>"),
            ("queued as 4Xyz9T1qkTz3nQ7", "queued as {id}"),
            ("unknown (session 1a2b3c4d), 08DC2F faced", "unknown (session {id}), {id} faced"),
            ("", ""),
        ] {
            assert_eq!(template(text), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn template_contains_no_email_address(local in "[a-zA-Z0-9._%+-]{1,20}", domain in "[a-z0-9-]{1,20}\\.[a-z]{2,8}", edge in "[<(\\[\"' =:,;]?") {
            let text = format!("550 5.1.1 {edge}{local}@{domain}{edge} unknown");
            let masked = template(&text);
            proptest::prop_assert!(!masked.contains('@'), "{}", masked);
            proptest::prop_assert!(!masked.contains(&domain), "{}", masked);
        }

        #[test]
        fn template_of_any_text_has_single_blanks_and_no_longer_words(text in "\\PC{0,120}") {
            let masked = template(&text);
            proptest::prop_assert_eq!(masked.split(' ').count(), text.split_whitespace().count().max(1));
            proptest::prop_assert!(!masked.starts_with(' ') && !masked.ends_with(' '));
        }
    }
}
