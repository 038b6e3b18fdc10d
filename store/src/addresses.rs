//! What becomes of a recipient's address before it is stored: it is kept, replaced by a keyed hash, or dropped. Pure.
//!
//! The identity of an event is always computed from the true address, so that copies merge whatever the policy was
//! when they came. It is a hash of 64 bits of one recipient and one message: who knows both can recompute it, and
//! nobody can tell by it that two messages went to one person.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::ops::Range;

use bouncewatch_schemas::address;
use bouncewatch_schemas::event::EventRow;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Bytes that a key must have at least.
pub const KEY_BYTES_MIN: usize = 16;
/// Bytes of a keyed hash that are kept.
const HASH_BYTES: usize = 16;

/// What becomes of addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// They are stored as they came.
    #[default]
    Keep,
    /// They become the same keyed hash wherever they come: one can still tell how often a recipient bounced.
    Hash,
    /// They become a word that is the same only within one message.
    Drop,
}

/// A key that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is none, and the policy needs one.
    #[error("the policy `hash` needs a key")]
    Missing,
    /// It is too short.
    #[error("a key needs at least {KEY_BYTES_MIN} bytes, and this one has {0}")]
    Short(usize),
}

/// The policy, with the key that it needs.
#[derive(Clone, Default)]
pub struct Addresses {
    policy: Policy,
    hasher: Option<Hmac<Sha256>>,
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Addresses").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Addresses {
    /// A policy and its key; a key is also of use where nothing is hashed any more, to find what was.
    ///
    /// # Errors
    /// If the key is missing or too short.
    pub fn new(policy: Policy, key: Option<&[u8]>) -> Result<Self, KeyError> {
        let hasher = match key {
            None if policy == Policy::Hash => return Err(KeyError::Missing),
            None => None,
            Some(key) if key.len() < KEY_BYTES_MIN => return Err(KeyError::Short(key.len())),
            Some(key) => Some(Hmac::new_from_slice(key).map_err(|_| KeyError::Short(key.len()))?),
        };
        Ok(Self { policy, hasher })
    }

    /// What `hash` makes of an address; `None`, where there is no key.
    pub(crate) fn hashed(&self, recipient: &str) -> Option<String> {
        let mut hasher = self.hasher.clone()?;
        hasher.update(recipient.as_bytes());
        let hash = hasher.finalize().into_bytes();
        let mut local = "h-".to_owned();
        for byte in hash.iter().take(HASH_BYTES) {
            // writing to a String cannot fail
            _ = write!(local, "{byte:02x}");
        }
        Some(at_its_domain(&local, recipient))
    }

    /// What the policy makes of an address; `None`, where it is kept.
    fn pseudonym(&self, message_id: &str, recipient: &str) -> Option<String> {
        match self.policy {
            Policy::Keep => None,
            Policy::Hash => self.hashed(recipient),
            Policy::Drop => Some(dropped(message_id, recipient)),
        }
    }

    /// Gives a row on as it shall be stored: without its recipient's address, and without those that stand in its
    /// diagnostic, its link and the values of its tags; an open or a click has no recipient, but often a link that
    /// names one. The sender's address stays.
    pub fn apply(&self, row: &EventRow<'_>, store: impl FnOnce(&EventRow<'_>)) {
        if self.policy == Policy::Keep {
            return store(row);
        }
        let pseudonym =
            row.recipient.and_then(|recipient| self.pseudonym(row.message_id, recipient));
        let clean = |text: &str| {
            let own = match (row.recipient, &pseudonym) {
                (Some(recipient), Some(pseudonym)) => {
                    Sought::new([recipient]).replaced(text, pseudonym).into_owned()
                }
                _ => text.to_owned(),
            };
            each_replaced(&own, |address| {
                let stays = Some(address) == row.source || Some(address) == pseudonym.as_deref();
                if stays { None } else { self.pseudonym(row.message_id, address) }
            })
        };
        let tags: Vec<(Cow<'_, str>, Cow<'_, str>)> = row
            .tags
            .iter()
            .map(|(key, value)| (Cow::Borrowed(key.as_ref()), Cow::Owned(clean(value))))
            .collect();
        let (diagnostic, link) = (row.diagnostic.map(clean), row.link.map(clean));
        store(&EventRow {
            recipient: pseudonym.as_deref(),
            diagnostic: diagnostic.as_deref(),
            link: link.as_deref(),
            tags: &tags,
            ..row.clone()
        });
    }
}

/// A text in which each word that looks like an address is replaced, where there is something to put in its place.
fn each_replaced(text: &str, replacement: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, sign)) = next_at_sign(rest) {
        let (head, tail) = rest.split_at(at);
        let domain = tail.split_at(sign).1;
        let local = head.len() - trailing(head, is_local).len();
        // `%3Djane@example.com` is `=` and an address
        let (before, local) = head.split_at(local);
        let local = if before.ends_with('%') { local.get(2..).unwrap_or_default() } else { local };
        let end = domain.find(|c| !is_domain(c)).unwrap_or(domain.len());
        let domain = domain.split_at(end).0.trim_end_matches(['.', '-']);
        let address = format!("{local}@{domain}").to_lowercase();
        let is_address = !local.is_empty() && domain.contains('.');
        let word = if is_address { replacement(&address) } else { None };
        let length = at + sign + domain.len();
        match word {
            Some(word) => {
                out.push_str(head.strip_suffix(local).unwrap_or(head));
                out.push_str(&word);
            }
            None => out.push_str(rest.split_at(length).0),
        }
        rest = rest.split_at(length).1;
    }
    out + rest
}

/// Where the next `@` stands, or what stands for it in a link, and how long that is.
fn next_at_sign(text: &str) -> Option<(usize, usize)> {
    let sign = text.find('@').map(|at| (at, 1));
    let in_link = text.find("%40").map(|at| (at, 3));
    sign.into_iter().chain(in_link).min()
}

/// The end of a text that is made of some letters.
fn trailing(text: &str, is_part: impl Fn(char) -> bool) -> &str {
    let begin = text.char_indices().rev().take_while(|(_, c)| is_part(*c)).last();
    text.split_at(begin.map_or(text.len(), |(at, _)| at)).1
}

fn is_local(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '+' | '-')
}

fn is_domain(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '-')
}

/// What `drop` makes of an address: rows of one message and recipient share it, and no others.
pub(crate) fn dropped(message_id: &str, recipient: &str) -> String {
    let hash = xxh3_64_with_seed(recipient.as_bytes(), xxh3_64(message_id.as_bytes()));
    at_its_domain(&format!("d-{hash:016x}"), recipient)
}

fn at_its_domain(local: &str, recipient: &str) -> String {
    match address::domain(recipient) {
        Some(domain) => format!("{local}@{domain}"),
        None => local.to_owned(),
    }
}

/// Words that are looked for in texts, whatever their case; as they are, and as they stand in links.
#[derive(Debug, Clone)]
pub(crate) struct Sought(Vec<Vec<char>>);

impl Sought {
    /// Looks for some addresses.
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

    /// Whether a text holds one of them.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        self.find(text).is_some()
    }

    /// The text with another word in their place.
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

    /// Where the first of them stands; not inside a longer address.
    fn find(&self, text: &str) -> Option<Range<usize>> {
        // most texts have no address in them
        if !text.contains(['@', '%'])
            && self.0.iter().all(|form| form.contains(&'@') || form.contains(&'%'))
        {
            return None;
        }
        text.char_indices().find_map(|(start, _)| {
            let (before, here) = text.split_at(start);
            let whole = |form: &Vec<char>| {
                let length = prefix_length(here, form)?;
                ends(here.split_at(length).1).then_some(length)
            };
            let length = self.0.iter().filter_map(whole).max()?;
            begins(before).then_some(start..start + length)
        })
    }
}

/// Whether an address may begin behind a text.
fn begins(before: &str) -> bool {
    let mut last = before.chars().rev();
    let last: [Option<char>; 3] = std::array::from_fn(|_| last.next());
    let hex = |c: Option<char>| c.is_some_and(|c| c.is_ascii_hexdigit());
    // `%3Djane@example.com` is `=` and an address
    let is_escape = hex(last[0]) && hex(last[1]) && last[2] == Some('%');
    is_escape || !last[0].is_some_and(is_local)
}

/// Whether an address may end before a text.
fn ends(after: &str) -> bool {
    let mut next = after.chars();
    match next.next() {
        Some('.') => !next.next().is_some_and(char::is_alphanumeric),
        Some(first) => !first.is_alphanumeric() && first != '-',
        None => true,
    }
}

/// The bytes of a text's beginning that are a form, in whatever case.
fn prefix_length(text: &str, form: &[char]) -> Option<usize> {
    let mut left = form.iter();
    let mut length = 0;
    for letter in text.chars() {
        if left.len() == 0 {
            break;
        }
        for lower in letter.to_lowercase() {
            if left.next() != Some(&lower) {
                return None;
            }
        }
        length += letter.len_utf8();
    }
    (left.len() == 0).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"0123456789abcdef";

    #[test]
    fn keys_are_long_enough() {
        assert_eq!(Addresses::new(Policy::Hash, None).unwrap_err(), KeyError::Missing);
        assert_eq!(Addresses::new(Policy::Keep, Some(b"short")).unwrap_err(), KeyError::Short(5));
        assert!(Addresses::new(Policy::Drop, None).is_ok());
    }

    #[test]
    fn pseudonyms() {
        let addresses = Addresses::new(Policy::Hash, Some(KEY)).unwrap();
        let hashed = addresses.hashed("jane@example.com").unwrap();
        // printf jane@example.com | openssl dgst -sha256 -hmac 0123456789abcdef
        assert_eq!(hashed, "h-a7a54661c75bce906717ca553fdff1b9@example.com");
        let other = Addresses::new(Policy::Hash, Some(b"0123456789abcdeg")).unwrap();
        assert_ne!(other.hashed("jane@example.com").unwrap(), hashed);
        let one = dropped("m1", "jane@example.com");
        assert!(one.starts_with("d-") && one.ends_with("@example.com") && one.len() == 30, "{one}");
        assert_eq!(one, dropped("m1", "jane@example.com"));
        assert_ne!(one, dropped("m2", "jane@example.com"));
        assert_ne!(one, dropped("m1", "joan@example.com"));
        assert!(dropped("m1", "nobody").starts_with("d-"));
    }

    #[test]
    fn addresses_are_found_in_every_form() {
        let sought = Sought::new(["jane+x@exämple.com"]);
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
            assert_eq!(sought.replaced(text, "*"), expected);
            assert_eq!(sought.is_in(text), text != expected);
        }
    }

    #[test]
    fn whatever_looks_like_an_address_is_replaced() {
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
            assert_eq!(each_replaced(text, star), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_can_be_cleaned(text in "[a%@.3D40 ü-]{0,20}") {
            proptest::prop_assert_eq!(each_replaced(&text, |_| None), text.clone());
            let cleaned = each_replaced(&text, |_| Some("*".to_owned()));
            proptest::prop_assert_eq!(each_replaced(&cleaned, |_| Some("*".to_owned())), cleaned.clone());
        }

        #[test]
        fn nothing_is_left_of_an_address(
            before in "\\PC{0,12}[ =</;:(,%]", after in "[ >&;:),]\\PC{0,12}",
            local in "[a-z+.]{1,6}", upper: bool,
        ) {
            let address = format!("{local}@example.com");
            let written = if upper { address.to_uppercase() } else { address.clone() };
            let sought = Sought::new([address.as_str()]);
            let cleaned = sought.replaced(&format!("{before}{written}{after}"), "*").into_owned();
            proptest::prop_assert!(cleaned.contains('*') && !sought.is_in(&cleaned), "{cleaned}");
        }
    }
}
