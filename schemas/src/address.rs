//! Mail addresses as foreign servers write them, brought to one form (facts 8.9).

use std::borrow::Cow;

/// Brings an address to the form by which events are compared: no display name, no brackets, no `rfc822;`, no
/// trailing dot or blank, lower case. SES treats case as equal, and remote servers change it. `None` where nothing
/// is left.
///
/// What cannot be understood stays as it is, in lower case: a bounce for an odd address is still a bounce.
pub fn normalise(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    if is_plain(&text) {
        return (!text.is_empty()).then_some(text);
    }
    let mut address = text.trim();
    if let Some((head, tail)) = cut_at(address, address.bytes().position(|byte| byte == b';'))
        && matches!(head.trim().to_ascii_lowercase().as_str(), "rfc822" | "utf-8" | "utf8" | "smtp")
    {
        address = tail.trim();
    }
    // the last `<...>` holds the address; before it stands a display name, which may hold brackets in quotes
    if let Some((_, inner)) = cut_at(address, address.bytes().rposition(|byte| byte == b'<')) {
        let end = inner.bytes().position(|byte| byte == b'>');
        address = cut_at(inner, end).map_or(inner, |(inside, _)| inside).trim();
    }
    let junk =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '.' | '<' | '>' | ',' | ';');
    let address = address.trim_matches(junk);
    let lower = if address.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        address.to_ascii_lowercase()
    } else {
        address.to_lowercase().chars().filter(|c| !c.is_control()).collect()
    };
    (!lower.is_empty()).then_some(Cow::Owned(lower))
}

/// Whether an address is already in its final form, as nearly all are.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'@' | b'.' | b'-' | b'_' | b'+' | b'=' | b'\'' | b'/');
    text.bytes().all(plain) && !text.ends_with('.') && !text.starts_with('.')
}

/// The domain of a normalised address: what stands behind the last `@`.
pub fn domain(address: &str) -> Option<&str> {
    let at = address.bytes().rposition(|byte| byte == b'@');
    cut_at(address, at).map(|(_, domain)| domain).filter(|domain| !domain.is_empty())
}

/// What stands before and behind an ASCII character. An address is so short that a search of `str` takes longer to begin
/// than to find.
fn cut_at(text: &str, at: Option<usize>) -> Option<(&str, &str)> {
    let at = at?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_address() {
        for (text, expected) in [
            ("jane@example.com", Some("jane@example.com")),
            ("Jane@Example.COM", Some("jane@example.com")),
            ("Sender Name <sender@example.com>", Some("sender@example.com")),
            ("\"Name <x>, Inc\" <sender@example.com>", Some("sender@example.com")),
            ("<jane@example.com>", Some("jane@example.com")),
            ("rfc822;jane@example.com", Some("jane@example.com")),
            ("RFC822; <Jane@example.com>", Some("jane@example.com")),
            ("jane@example.com.", Some("jane@example.com")),
            (" jane@example.com \n", Some("jane@example.com")),
            ("\"john doe\"@example.com", Some("\"john doe\"@example.com")),
            ("ÜSER@exämple.com", Some("üser@exämple.com")),
            ("jane+News@example.com", Some("jane+news@example.com")),
            (
                "SRS0=abc=de=example.com=x@relay.example",
                Some("srs0=abc=de=example.com=x@relay.example"),
            ),
            ("nobody", Some("nobody")),
            ("", None),
            ("<>", None),
            ("  ", None),
        ] {
            assert_eq!(normalise(Cow::Borrowed(text)).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn domains() {
        assert_eq!(domain("\"a@b\"@example.com"), Some("example.com"));
        assert_eq!(domain("nobody"), None);
        assert_eq!(domain("nobody@"), None);
    }

    proptest::proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "\\PC{0,40}") {
            if let Some(once) = normalise(Cow::Borrowed(&text)) {
                let twice = normalise(Cow::Borrowed(&once)).map(Cow::into_owned);
                proptest::prop_assert_eq!(twice.as_deref(), Some(once.as_ref()));
            }
        }
    }
}
