//! Pseudonyms that replace redacted addresses.

/// Whether a recipient is a redacted address (`d-HASH@domain`), different for each message.
pub(super) fn is_dropped(recipient: &str) -> bool {
    is_pseudonym(recipient, "d-", 16)
}

/// Whether a recipient is a hashed address (`h-HASH@domain`), reversible only with the key.
pub(super) fn is_hashed(recipient: &str) -> bool {
    is_pseudonym(recipient, "h-", 32)
}

fn is_pseudonym(recipient: &str, prefix: &str, digits: usize) -> bool {
    let local = recipient.rsplit_once('@').map_or(recipient, |(local, _)| local);
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    local
        .strip_prefix(prefix)
        .is_some_and(|hash| hash.len() == digits && hash.bytes().all(is_digit))
}
