//! Email addresses: normal form and domain. Remote servers change the case of addresses, and add display names, angle
//! brackets or a type prefix.

use std::borrow::Cow;

/// Normal form of an email address, by which events are compared: lower case, without display name, angle brackets,
/// `rfc822;` prefix, and blanks or dots at the ends. `None` if nothing is left.
///
/// - The local part is lower-cased too: SES ignores case. Quotes that it does not need are removed: `"jane"@example.com`
///   is `jane@example.com` (RFC 5321, section 4.1.2).
/// - An internationalised domain is in its ASCII form (`xn--...`, RFC 5891), in which SES and DNS compare domains.
/// - Text that is not an email address stays, in lower case, so that its bounce is still stored.
pub fn normalise(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    if is_plain(&text) {
        return (!text.is_empty()).then_some(text);
    }
    let mut address = text.trim();
    if let Some((head, tail)) =
        split_at_byte(address, address.bytes().position(|byte| byte == b';'))
        && matches!(head.trim().to_ascii_lowercase().as_str(), "rfc822" | "utf-8" | "utf8" | "smtp")
    {
        address = tail.trim();
    }
    // the address is in the last `<...>`; a quoted display name before it can contain brackets
    if let Some((_, inner)) = split_at_byte(address, address.bytes().rposition(|byte| byte == b'<'))
    {
        let end = inner.bytes().position(|byte| byte == b'>');
        address = split_at_byte(inner, end).map_or(inner, |(inside, _)| inside).trim();
    }
    let is_surplus =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '.' | '<' | '>' | ',' | ';');
    let address = address.trim_matches(is_surplus);
    let lower = if address.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        address.to_ascii_lowercase()
    } else {
        address.to_lowercase().chars().filter(|c| !c.is_control()).collect()
    };
    (!lower.is_empty()).then(|| Cow::Owned(canonical(lower)))
}

/// An address in lower case without quotes that its local part does not need, and with its domain in ASCII form.
fn canonical(address: String) -> String {
    let Some((local, domain)) =
        split_at_byte(&address, address.bytes().rposition(|byte| byte == b'@'))
    else {
        return address;
    };
    let unquoted = unquoted(local);
    let ascii = normalise_domain(domain);
    if unquoted.is_none() && ascii == domain {
        return address;
    }
    format!("{}@{ascii}", unquoted.as_deref().unwrap_or(local))
}

/// The text in a quoted local part, if it needs no quotes (dot-atom, RFC 5322, section 3.2.3).
fn unquoted(local: &str) -> Option<String> {
    let inner = local.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        text.push(if c == '\\' { chars.next()? } else { c });
    }
    let is_atom = |atom: &str| !atom.is_empty() && atom.chars().all(is_atom_char);
    text.split('.').all(is_atom).then_some(text)
}

/// Whether a local part needs no quotes for a character (`atext`, RFC 5322, section 3.2.3, and RFC 6532).
fn is_atom_char(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(c)
        || (!c.is_ascii() && !c.is_control() && !c.is_whitespace())
}

/// Whether a normalised text is an email address: a local part and a domain, each without characters that it cannot
/// contain. Dots may be anywhere in the local part, as in old addresses of Japanese providers.
pub fn is_address(text: &str) -> bool {
    let at = text.bytes().rposition(|byte| byte == b'@');
    let Some((local, domain)) = split_at_byte(text, at) else { return false };
    let quoted = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let is_local = match quoted {
        Some(inner) => !inner.is_empty() && !inner.contains(char::is_control),
        None => !local.is_empty() && local.chars().all(|c| c == '.' || is_atom_char(c)),
    };
    let is_label = |label: &str| {
        let is_inner = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        !label.is_empty() && label.chars().all(is_inner)
    };
    let literal = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_domain = match literal {
        Some(inner) => {
            !inner.is_empty()
                && inner.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | ':'))
        }
        None => domain.split('.').all(is_label),
    };
    is_local && is_domain
}

/// Normal form of a domain: lower case, ASCII form of an internationalised name, no dot at the end. A name that has no
/// ASCII form stays in lower case.
pub fn normalise_domain(domain: &str) -> Cow<'_, str> {
    let domain = domain.trim_end_matches('.');
    if domain.is_ascii() {
        return if domain.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(domain.to_ascii_lowercase())
        } else {
            Cow::Borrowed(domain)
        };
    }
    match idna::domain_to_ascii(domain) {
        Ok(ascii) if !ascii.is_empty() => Cow::Owned(ascii),
        _ => Cow::Owned(domain.to_lowercase()),
    }
}

/// An address or a domain for people: an internationalised domain in Unicode. A name without a valid Unicode form
/// stays as it is.
pub fn to_display(text: &str) -> Cow<'_, str> {
    let at = text.bytes().rposition(|byte| byte == b'@');
    let (local, domain) = text.split_at(at.map_or(0, |at| at + 1));
    if !domain.split('.').any(|label| label.starts_with("xn--")) {
        return Cow::Borrowed(text);
    }
    match idna::domain_to_unicode(domain) {
        (unicode, Ok(())) => Cow::Owned(format!("{local}{unicode}")),
        _ => Cow::Borrowed(text),
    }
}

/// Bytes of an address in normal form that needs no quotes. A table: each byte of each address is looked up.
const IS_PLAIN: [bool; 256] = {
    let plain = b"abcdefghijklmnopqrstuvwxyz0123456789@.-_+='/";
    let (mut table, mut at) = ([false; 256], 0);
    while at < plain.len() {
        table[plain[at] as usize] = true;
        at += 1;
    }
    table
};

/// Whether an address is already in normal form, as almost all are.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| IS_PLAIN[usize::from(byte)])
        && !text.ends_with('.')
        && !text.starts_with('.')
}

/// The domain of a normalised address: the text after the last `@`; `None` if there is none.
pub fn domain(address: &str) -> Option<&str> {
    let at = address.bytes().rposition(|byte| byte == b'@');
    split_at_byte(address, at).map(|(_, domain)| domain).filter(|domain| !domain.is_empty())
}

/// Local parts of addresses of a role, not of a person: those of RFC 2142, and others that are common.
const ROLES: [&str; 34] = [
    "abuse",
    "accounting",
    "accounts",
    "admin",
    "administrator",
    "billing",
    "careers",
    "contact",
    "customerservice",
    "enquiries",
    "feedback",
    "finance",
    "ftp",
    "hello",
    "help",
    "hostmaster",
    "hr",
    "info",
    "jobs",
    "mail",
    "marketing",
    "no-reply",
    "noc",
    "noreply",
    "office",
    "orders",
    "postmaster",
    "root",
    "sales",
    "security",
    "service",
    "support",
    "webmaster",
    "www",
];

/// Whether a normalised address belongs to a role, such as `info@` or `sales@`.
pub fn is_role(address: &str) -> bool {
    let local = split_at_byte(address, address.bytes().position(|byte| byte == b'@'));
    local.is_some_and(|(local, _)| ROLES.binary_search(&local).is_ok())
}

/// The text before and after the ASCII byte at `at`. Callers find the byte with `position`, which is faster than the
/// search of `str` on texts as short as an address.
fn split_at_byte(text: &str, at: Option<usize>) -> Option<(&str, &str)> {
    let at = at?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalise_handles_all_forms_of_an_address() {
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
            ("ÜSER@exämple.com", Some("üser@xn--exmple-cua.com")),
            ("info@XN--Exmple-cua.com", Some("info@xn--exmple-cua.com")),
            ("info@EXÄMPLE。com", Some("info@xn--exmple-cua.com")),
            ("info@faß.example", Some("info@xn--fa-hia.example")),
            ("\"jane\"@Example.com", Some("jane@example.com")),
            ("\"jane.doe+x\"@example.com", Some("jane.doe+x@example.com")),
            ("\"ja\\ne\"@example.com", Some("jane@example.com")),
            // needed quotes stay: a dot at the end, an empty local part, an escaped quote
            ("\"jane.\"@example.com", Some("\"jane.\"@example.com")),
            ("\"\"@example.com", Some("\"\"@example.com")),
            ("\"a\\\"b\"@example.com", Some("\"a\\\"b\"@example.com")),
            // no domain name
            ("jane@\u{fffd}.com", Some("jane@\u{fffd}.com")),
            ("jane+News@example.com", Some("jane+news@example.com")),
            (
                "SRS0=abc=de=example.com=x@relay.example",
                Some("srs0=abc=de=example.com=x@relay.example"),
            ),
            ("postmaster", Some("postmaster")),
            ("", None),
            ("<>", None),
            ("  ", None),
        ] {
            assert_eq!(normalise(Cow::Borrowed(text)).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn role_addresses_are_found_by_their_local_part() {
        assert!(ROLES.is_sorted());
        for (address, expected) in [
            ("info@example.org", true),
            ("no-reply@example.org", true),
            ("information@example.org", false),
            ("jane@info.example", false),
            ("info", false),
        ] {
            assert_eq!(is_role(address), expected, "{address}");
        }
    }

    #[test]
    fn display_form_has_the_unicode_domain() {
        for (text, expected) in [
            ("info@xn--exmple-cua.com", "info@exämple.com"),
            ("xn--exmple-cua.com", "exämple.com"),
            ("h-0123@xn--exmple-cua.com", "h-0123@exämple.com"),
            ("xn--a@example.com", "xn--a@example.com"),
            // not valid punycode
            ("info@xn--\u{1b}.com", "info@xn--\u{1b}.com"),
            ("postmaster", "postmaster"),
        ] {
            assert_eq!(to_display(text), expected);
        }
    }

    #[test]
    fn text_without_local_part_or_domain_is_no_address() {
        for (text, expected) in [
            ("anna@example.org", true),
            ("anna.smith+news@mail.example.co.uk", true),
            ("o'neil/x=y@example.org", true),
            ("a..b.@docomo.ne.jp", true),
            ("\"john doe\"@example.com", true),
            ("\"a@b\"@example.com", true),
            ("üser@xn--exmple-cua.com", true),
            ("anna@localhost", true),
            ("anna@[192.0.2.1]", true),
            ("h-0123456789abcdef0123456789abcdef@example.org", true),
            ("", false),
            ("@", false),
            ("no-domain", false),
            ("@example.org", false),
            ("anna@", false),
            ("undisclosed-recipients:", false),
            ("a b@example.org", false),
            ("a,b@example.org", false),
            ("a@b@example.org", false),
            ("anna\u{a0}x@example.org", false),
            ("anna\u{7}@example.org", false),
            ("\"\"@example.org", false),
            ("anna@exa mple.org", false),
            ("anna@example..org", false),
            ("anna@.example.org", false),
            ("anna@example.org)", false),
            ("anna@[]", false),
        ] {
            assert_eq!(is_address(text), expected, "{text:?}");
        }
    }

    #[test]
    fn domain_is_the_text_after_the_last_at_sign() {
        assert_eq!(domain("\"a@b\"@example.com"), Some("example.com"));
        assert_eq!(domain("postmaster"), None);
        assert_eq!(domain("postmaster@"), None);
    }

    proptest::proptest! {
        #[test]
        fn normalise_is_idempotent_and_trims(text in "\\PC{0,40}|[aB@<>.;, \"]{0,20}") {
            if let Some(once) = normalise(Cow::Borrowed(&text)) {
                let twice = normalise(Cow::Borrowed(&once)).map(Cow::into_owned);
                proptest::prop_assert_eq!(twice.as_deref(), Some(once.as_ref()));
                proptest::prop_assert!(!once.starts_with(['.', ' ', '<']) && !once.ends_with(['.', ' ', '>']));
                proptest::prop_assert!(!once.contains(char::is_control));
                proptest::prop_assert!(!once.bytes().any(|byte| byte.is_ascii_uppercase()));
            }
        }

        #[test]
        fn unicode_and_ascii_form_of_a_domain_are_one_address(label in "[a-zäöüßéñøçа-яα-ω]{1,12}") {
            let unicode = format!("jane@{label}.example");
            let normal = normalise(Cow::Borrowed(&unicode)).unwrap();
            proptest::prop_assert!(normal.is_ascii());
            let upper = normal.to_uppercase();
            let shown = to_display(&normal).into_owned();
            for form in [upper.as_str(), shown.as_str()] {
                let again = normalise(Cow::Borrowed(form)).unwrap();
                proptest::prop_assert_eq!(&again, &normal);
            }
        }

        #[test]
        fn all_forms_of_one_address_have_one_normal_form(
            local in "[A-Za-z0-9_+=-]{1,12}",
            domain_name in "[A-Za-z0-9-]{1,12}\\.(com|ORG)",
            display_name in "[A-Za-z]{0,8}",
        ) {
            let address = format!("{local}@{domain_name}");
            let forms = [
                address.clone(),
                address.to_uppercase(),
                format!("{display_name} <{address}>"),
                format!("\"{display_name} <x>\" <{address}>"),
                format!("rfc822; {address}."),
                format!("\"{local}\"@{domain_name}"),
                format!("  <{address}>\r\n"),
            ];
            for form in forms {
                let normal = normalise(Cow::Owned(form)).unwrap().into_owned();
                proptest::prop_assert_eq!(&normal, &address.to_lowercase());
                let expected = domain_name.to_lowercase();
                proptest::prop_assert_eq!(domain(&normal), Some(expected.as_str()));
            }
        }
    }
}
