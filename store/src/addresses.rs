//! Redaction of recipient addresses before they are stored: kept, replaced by a keyed hash, or dropped. No I/O.
//!
//! The event key is always computed from the original address, so copies of an event are merged
//! even if they arrived under different policies. The key is a 64-bit hash of one recipient and one
//! message. It can be recomputed if both are known. It does not reveal that two messages went to
//! the same recipient.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::ops::Range;

use bouncewatch_schemas::address;
use bouncewatch_schemas::event::EventRow;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Minimum length of a key in bytes.
pub const KEY_BYTES_MIN: usize = 16;
/// Bytes of a keyed hash that are stored.
const HASH_BYTES: usize = 16;

/// Prefix of a dropped address (`d-HASH@domain`).
pub const DROPPED_PREFIX: &str = "d-";
/// Prefix of a hashed address (`h-HASH@domain`).
pub const HASHED_PREFIX: &str = "h-";

/// Whether a recipient is the pseudonym of a dropped or forgotten address. It differs in each
/// message.
pub fn is_dropped(recipient: &str) -> bool {
    is_pseudonym(recipient, DROPPED_PREFIX, 8)
}

/// Whether a recipient is a keyed hash of an address, which can be computed only with the key.
pub fn is_hashed(recipient: &str) -> bool {
    is_pseudonym(recipient, HASHED_PREFIX, HASH_BYTES)
}

fn is_pseudonym(recipient: &str, prefix: &str, hash_bytes: usize) -> bool {
    let local = recipient.rsplit_once('@').map_or(recipient, |(local, _)| local);
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    local
        .strip_prefix(prefix)
        .is_some_and(|hash| hash.len() == 2 * hash_bytes && hash.bytes().all(is_digit))
}

/// What is stored instead of an address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RedactionPolicy {
    /// The address.
    #[default]
    Keep,
    /// A keyed hash, the same in all messages: bounces per recipient can still be counted.
    Hash,
    /// A pseudonym that is the same only within one message.
    Drop,
}

/// An invalid key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashKeyError {
    /// The policy needs a key, and there is none.
    #[error("the policy `hash` needs a key")]
    Missing,
    /// The key is too short; its length in bytes.
    #[error("the key has {0} bytes; at least {KEY_BYTES_MIN} are needed")]
    Short(usize),
}

/// Redacts addresses by a policy.
#[derive(Clone, Default)]
pub struct AddressRedactor {
    policy: RedactionPolicy,
    hasher: Option<Hmac<Sha256>>,
}

impl fmt::Debug for AddressRedactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddressRedactor").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl AddressRedactor {
    /// Creates a redactor. A key is also useful with another policy: `forget` finds hashed addresses with it.
    ///
    /// # Errors
    /// If the key is missing or too short.
    pub fn new(policy: RedactionPolicy, key: Option<&[u8]>) -> Result<Self, HashKeyError> {
        let hasher = match key {
            None if policy == RedactionPolicy::Hash => return Err(HashKeyError::Missing),
            None => None,
            Some(key) if key.len() < KEY_BYTES_MIN => return Err(HashKeyError::Short(key.len())),
            Some(key) => {
                Some(Hmac::new_from_slice(key).map_err(|_| HashKeyError::Short(key.len()))?)
            }
        };
        Ok(Self { policy, hasher })
    }

    /// Returns each keyed hash by which rows can contain an address in normal form; empty without a
    /// key. There can be two: format version 1 hashed an internationalised domain in Unicode.
    pub fn hashes(&self, address: &str) -> Vec<String> {
        let spellings = [Cow::Borrowed(address), address::to_display(address)];
        let hashes = spellings.iter().filter_map(|spelling| self.keyed_hash(spelling));
        let mut hashes: Vec<String> = hashes
            .filter_map(|hash| address::normalise(Cow::Owned(hash)).map(Cow::into_owned))
            .collect();
        hashes.dedup();
        hashes
    }

    /// Keyed hash of an address; `None` without a key.
    fn keyed_hash(&self, recipient: &str) -> Option<String> {
        let mut hasher = self.hasher.clone()?;
        hasher.update(recipient.as_bytes());
        let hash = hasher.finalize().into_bytes();
        let mut local = HASHED_PREFIX.to_owned();
        for byte in hash.iter().take(HASH_BYTES) {
            // writing to a String cannot fail
            _ = write!(local, "{byte:02x}");
        }
        Some(with_domain(&local, recipient))
    }

    /// Returns the replacement of an address by the policy; `None` if the policy keeps it.
    fn pseudonym(&self, message_id: &str, recipient: &str) -> Option<String> {
        match self.policy {
            RedactionPolicy::Keep => None,
            RedactionPolicy::Hash => self.keyed_hash(recipient),
            RedactionPolicy::Drop => Some(message_pseudonym(message_id, recipient)),
        }
    }

    /// Passes a redacted row to `store`. Replaces the recipient, and every address in the diagnostic, the link and the
    /// values of tags: an open or a click has no recipient, but often a link that contains one. The address of the
    /// sender is kept.
    pub fn apply(&self, row: &EventRow<'_>, store: impl FnOnce(&EventRow<'_>)) {
        if self.policy == RedactionPolicy::Keep {
            return store(row);
        }
        let pseudonym =
            row.recipient.and_then(|recipient| self.pseudonym(row.message_id, recipient));
        let clean = |text: &str| {
            let without_recipient = match (row.recipient, &pseudonym) {
                (Some(recipient), Some(pseudonym)) => {
                    AddressMatcher::new([recipient]).replaced(text, pseudonym).into_owned()
                }
                _ => text.to_owned(),
            };
            replace_addresses(&without_recipient, |address| {
                let address = address::normalise(Cow::Borrowed(address))?;
                let is_kept =
                    Some(&*address) == row.source || Some(&*address) == pseudonym.as_deref();
                if is_kept { None } else { self.pseudonym(row.message_id, &address) }
            })
        };
        let tags: Vec<(Cow<'_, str>, Cow<'_, str>)> = row
            .tags
            .iter()
            .map(|(key, value)| (Cow::Borrowed(key.as_ref()), Cow::Owned(clean(value))))
            .collect();
        let (diagnostic, link) = (row.diagnostic.map(clean), row.link.map(clean));
        let reported_recipient =
            row.reported_recipient.and_then(|reported| self.pseudonym(row.message_id, reported));
        store(&EventRow {
            recipient: pseudonym.as_deref(),
            reported_recipient: reported_recipient.as_deref(),
            diagnostic: diagnostic.as_deref(),
            link: link.as_deref(),
            tags: &tags,
            ..row.clone()
        });
    }
}

/// Replaces each part of a text that looks like an address by `replacement`; `None` keeps it.
fn replace_addresses(text: &str, replacement: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, sign)) = find_at_sign(rest) {
        let (head, tail) = rest.split_at(at);
        let domain = tail.split_at(sign).1;
        let local = head.len() - trailing(head, is_local_char).len();
        // `%3Djane@example.com`: `%3D` is an escaped `=`, not part of the address
        let (before, local) = head.split_at(local);
        let local = if before.ends_with('%') { local.get(2..).unwrap_or_default() } else { local };
        let end = domain.find(|c| !is_domain_char(c)).unwrap_or(domain.len());
        let domain = domain.split_at(end).0.trim_end_matches(['.', '-']);
        let address = format!("{local}@{domain}").to_lowercase();
        let is_address = !local.is_empty() && domain.contains('.');
        let replaced = if is_address { replacement(&address) } else { None };
        let length = at + sign + domain.len();
        match replaced {
            Some(replaced) => {
                out.push_str(head.strip_suffix(local).unwrap_or(head));
                out.push_str(&replaced);
            }
            None => out.push_str(rest.split_at(length).0),
        }
        rest = rest.split_at(length).1;
    }
    out + rest
}

/// Position and length of the first `@`, or of the first `%40`, its form in a URL.
fn find_at_sign(text: &str) -> Option<(usize, usize)> {
    let sign = text.find('@').map(|at| (at, 1));
    let in_link = text.find("%40").map(|at| (at, 3));
    sign.into_iter().chain(in_link).min()
}

/// Longest suffix of a text that consists of matching characters.
fn trailing(text: &str, is_part: impl Fn(char) -> bool) -> &str {
    let begin = text.char_indices().rev().take_while(|(_, c)| is_part(*c)).last();
    text.split_at(begin.map_or(text.len(), |(at, _)| at)).1
}

fn is_local_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '+' | '-')
}

fn is_domain_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '-')
}

/// Pseudonym of an address by the policy `drop`: only rows of the same message and recipient share it.
pub(crate) fn message_pseudonym(message_id: &str, recipient: &str) -> String {
    let hash = xxh3_64_with_seed(recipient.as_bytes(), xxh3_64(message_id.as_bytes()));
    with_domain(&format!("{DROPPED_PREFIX}{hash:016x}"), recipient)
}

/// Returns an address of a local part and the domain of `recipient`.
fn with_domain(local: &str, recipient: &str) -> String {
    match address::domain(recipient) {
        Some(domain) => format!("{local}@{domain}"),
        None => local.to_owned(),
    }
}

/// Finds addresses in texts, ignoring case, also in the forms that they have in URLs.
#[derive(Debug, Clone)]
pub(crate) struct AddressMatcher(Vec<Vec<char>>);

impl AddressMatcher {
    /// Creates a matcher for the given addresses.
    pub(crate) fn new<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Self {
        let mut forms: Vec<Vec<char>> = Vec::new();
        for address in addresses {
            let address = address.to_lowercase();
            let in_link = address.replace('@', "%40");
            for form in [in_link.replace('+', "%2b"), in_link, address] {
                let form: Vec<char> = form.chars().collect();
                if !form.is_empty() && !forms.contains(&form) {
                    forms.push(form);
                }
            }
        }
        Self(forms)
    }

    /// Whether a text contains one of the addresses.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        self.find(text).is_some()
    }

    /// Returns a text in which `by` replaces each address.
    pub(crate) fn replaced<'t>(&self, text: &'t str, by: &str) -> Cow<'t, str> {
        let mut rest = text;
        let mut out = String::new();
        while let Some(found) = self.find(rest) {
            let (head, tail) = rest.split_at(found.start);
            out.push_str(head);
            out.push_str(by);
            rest = tail.split_at(found.len()).1;
        }
        if out.is_empty() { Cow::Borrowed(rest) } else { Cow::Owned(out + rest) }
    }

    /// Position of the first address that is not part of a longer address.
    fn find(&self, text: &str) -> Option<Range<usize>> {
        // fast path: most texts contain no address
        if !text.contains(['@', '%'])
            && self.0.iter().all(|form| form.contains(&'@') || form.contains(&'%'))
        {
            return None;
        }
        text.char_indices().find_map(|(start, _)| {
            let (before, here) = text.split_at(start);
            let match_length = |form: &Vec<char>| {
                let length = prefix_length(here, form)?;
                can_end(here.split_at(length).1).then_some(length)
            };
            let length = self.0.iter().filter_map(match_length).max()?;
            can_start(before).then_some(start..start + length)
        })
    }
}

/// Whether an address can start directly after the text `before`.
fn can_start(before: &str) -> bool {
    let mut last = before.chars().rev();
    let last: [Option<char>; 3] = std::array::from_fn(|_| last.next());
    let hex = |c: Option<char>| c.is_some_and(|c| c.is_ascii_hexdigit());
    // `%3Djane@example.com`: `%3D` is an escaped `=`
    let is_escape = hex(last[0]) && hex(last[1]) && last[2] == Some('%');
    is_escape || !last[0].is_some_and(is_local_char)
}

/// Whether an address can end directly before the text `after`.
fn can_end(after: &str) -> bool {
    let mut next = after.chars();
    match next.next() {
        Some('.') => !next.next().is_some_and(char::is_alphanumeric),
        Some(first) => !first.is_alphanumeric() && first != '-',
        None => true,
    }
}

/// Length in bytes of the prefix of a text that equals `form`, ignoring case.
fn prefix_length(text: &str, form: &[char]) -> Option<usize> {
    let mut rest = form.iter();
    let mut length = 0;
    for character in text.chars() {
        if rest.len() == 0 {
            break;
        }
        for lower in character.to_lowercase() {
            if rest.next() != Some(&lower) {
                return None;
            }
        }
        length += character.len_utf8();
    }
    (rest.len() == 0).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"0123456789abcdef";

    #[test]
    fn new_refuses_missing_and_short_keys() {
        assert_eq!(
            AddressRedactor::new(RedactionPolicy::Hash, None).unwrap_err(),
            HashKeyError::Missing
        );
        assert_eq!(
            AddressRedactor::new(RedactionPolicy::Keep, Some(b"short")).unwrap_err(),
            HashKeyError::Short(5)
        );
        assert!(AddressRedactor::new(RedactionPolicy::Drop, None).is_ok());
    }

    #[test]
    fn pseudonyms_are_stable_and_keep_the_domain() {
        let redactor = AddressRedactor::new(RedactionPolicy::Hash, Some(KEY)).unwrap();
        let hashed = redactor.keyed_hash("jane@example.com").unwrap();
        // printf jane@example.com | openssl dgst -sha256 -hmac 0123456789abcdef
        assert_eq!(hashed, "h-a7a54661c75bce906717ca553fdff1b9@example.com");
        let other = AddressRedactor::new(RedactionPolicy::Hash, Some(b"0123456789abcdeg")).unwrap();
        assert_ne!(other.keyed_hash("jane@example.com").unwrap(), hashed);
        let one = message_pseudonym("m1", "jane@example.com");
        assert!(one.starts_with("d-") && one.ends_with("@example.com") && one.len() == 30, "{one}");
        assert_eq!(one, message_pseudonym("m1", "jane@example.com"));
        assert_ne!(one, message_pseudonym("m2", "jane@example.com"));
        assert_ne!(one, message_pseudonym("m1", "joan@example.com"));
        assert!(message_pseudonym("m1", "no-domain").starts_with("d-"));
    }

    #[test]
    fn hashes_contain_the_hash_of_each_format_version() {
        let redactor = AddressRedactor::new(RedactionPolicy::Keep, Some(KEY)).unwrap();
        assert_eq!(redactor.hashes("jane@example.com").len(), 1);
        let hashes = redactor.hashes("info@xn--exmple-cua.com");
        let unicode = redactor.keyed_hash("info@exämple.com").unwrap();
        let stored_by_version_1 = address::normalise(Cow::Owned(unicode)).unwrap().into_owned();
        assert_eq!(hashes.len(), 2);
        assert!(hashes.iter().all(|hash| is_hashed(hash)) && hashes.contains(&stored_by_version_1));
        assert_eq!(AddressRedactor::default().hashes("jane@example.com"), [""; 0]);
        assert!(is_dropped(&message_pseudonym("m1", "jane@example.com")));
        assert!(!is_hashed("h-zz@example.com") && !is_dropped("d-jane@example.com"));
    }

    #[test]
    fn matcher_finds_every_form_of_an_address() {
        let matcher = AddressMatcher::new(["jane+x@exämple.com"]);
        for (text, expected) in [
            ("<Jane+X@EXÄMPLE.com>: unknown", "<*>: unknown"),
            ("http://x/?to=jane%2Bx%40exämple.com&a=1", "http://x/?to=*&a=1"),
            ("http://x/?to=jane+x%40Exämple.com", "http://x/?to=*"),
            ("jane+x@exämple.com jane+x@exämple.com", "* *"),
            ("janet+x@exämple.com", "janet+x@exämple.com"),
            ("mary.jane+x@exämple.com", "mary.jane+x@exämple.com"),
            ("jane+x@exämple.com.au", "jane+x@exämple.com.au"),
            ("jane+x@exämple.co", "jane+x@exämple.co"),
            ("a%3Djane+x@exämple.com.", "a%3D*."),
            ("", ""),
        ] {
            assert_eq!(matcher.replaced(text, "*"), expected);
            assert_eq!(matcher.is_in(text), text != expected);
        }
    }

    #[test]
    fn replace_addresses_replaces_everything_that_looks_like_one() {
        let star = |address: &str| (address != "shop@example.com").then(|| format!("<{address}>"));
        for (text, expected) in [
            ("to Jane.Doe@Example.ORG. Sorry", "to <jane.doe@example.org>. Sorry"),
            ("http://x/?a=%3Djane%40example.org&b", "http://x/?a=%3D<jane@example.org>&b"),
            ("a@b.example,c+d@e.example", "<a@b.example>,<c+d@e.example>"),
            ("from shop@example.com", "from shop@example.com"),
            ("@example.org a@localhost %40 @@ x@", "@example.org a@localhost %40 @@ x@"),
            ("ü@ö.example", "<ü@ö.example>"),
            ("no address", "no address"),
        ] {
            assert_eq!(replace_addresses(text, star), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn replace_addresses_is_idempotent_on_any_text(text in "[a%@.3D40 ü-]{0,20}") {
            proptest::prop_assert_eq!(replace_addresses(&text, |_| None), text.clone());
            let cleaned = replace_addresses(&text, |_| Some("*".to_owned()));
            proptest::prop_assert_eq!(replace_addresses(&cleaned, |_| Some("*".to_owned())), cleaned.clone());
        }

        #[test]
        fn replaced_leaves_no_address(
            before in "\\PC{0,12}[ =</;:(,%]", after in "[ >&;:),]\\PC{0,12}",
            local in "[a-z+.]{1,6}", upper: bool,
        ) {
            let address = format!("{local}@example.com");
            let written = if upper { address.to_uppercase() } else { address.clone() };
            let matcher = AddressMatcher::new([address.as_str()]);
            let cleaned = matcher.replaced(&format!("{before}{written}{after}"), "*").into_owned();
            proptest::prop_assert!(cleaned.contains('*') && !matcher.is_in(&cleaned), "{cleaned}");
        }
    }
}
