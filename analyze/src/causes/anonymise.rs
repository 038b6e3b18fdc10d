//! Removes personal data from texts that match no rule, so that they can be shared.

use bouncewatch_classify::template;
use bouncewatch_schemas::provider;

/// Minimum length of a masked part of an address, in characters; shorter parts are common words.
const PART_MIN: usize = 3;

/// Returns a text with placeholders for addresses, hosts, IDs, times, and parts of the recipient's
/// address. Example of a part: `anna.smith` in `mailbox of anna.smith`.
pub(crate) fn anonymise(text: &str, recipient: Option<&str>) -> String {
    let Some(recipient) = recipient else { return template(text) };
    let (local, domain) = recipient.rsplit_once('@').unwrap_or((recipient, ""));
    let mut names: Vec<&str> = vec![recipient, local];
    names.extend(local.split(|c: char| !c.is_alphanumeric()));
    // a domain can contain the name of a person, except that of a mailbox provider
    if !provider::is_known(domain) {
        names.push(domain);
        names.extend(domain.split('.').rev().skip(1));
    }
    names.retain(|name| name.chars().count() >= PART_MIN || *name == local && !name.is_empty());
    // longest first, so that no part of a name remains
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    names.dedup();
    let mut masked = template(text);
    for name in names {
        masked = mask_name(&masked, name);
    }
    masked
}

/// Replaces each word equal to `name`, ignoring case, by `{name}`.
fn mask_name(text: &str, name: &str) -> String {
    let folded = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<String>();
    let is_edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    let (name, length) = (folded(name), name.chars().count());
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    while let Some(first) = rest.chars().next() {
        // skip placeholders such as `{address}`
        if first == '{'
            && let Some(end) = rest.find('}')
        {
            let (own, after) = rest.split_at(end + 1);
            out.push_str(own);
            (before, rest) = (Some('}'), after);
            continue;
        }
        if is_edge(before)
            && let Some((head, tail)) = split_chars(rest, length)
            && is_edge(tail.chars().next())
            && folded(head) == name
        {
            out.push_str("{name}");
            (before, rest) = (head.chars().next_back(), tail);
            continue;
        }
        out.push(first);
        (before, rest) = (Some(first), rest.split_at(first.len_utf8()).1);
    }
    out
}

/// Splits a text after `count` characters; `None` if it is shorter.
fn split_chars(text: &str, count: usize) -> Option<(&str, &str)> {
    let mut ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    text.split_at_checked(ends.nth(count)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_the_recipient_address_are_masked() {
        for (text, recipient, expected) in [
            (
                "550 box of Anna Smith is odd",
                "anna.smith@example.org",
                "550 box of {name} {name} is odd",
            ),
            ("550 odd: anna.smith", "anna.smith@example.org", "550 odd: {host}"),
            ("550 odd: anna-smith2 here", "anna-smith2@example.org", "550 odd: {name} here"),
            ("550 ACME says no to ÄNNE", "änne@acme.example", "550 {name} says no to {name}"),
            ("550 annabel is another", "anna@example.org", "550 annabel is another"),
            ("550 <anna@example.org> is odd", "anna@example.org", "550 <{address}> is odd"),
            ("550 5.9.9 jo is odd", "jo@example.org", "550 5.9.9 {name} is odd"),
            ("550 host {name} id", "host@id.example", "550 {name} {name} id"),
            (
                "550 odd, see https://postmaster.gmx.net/x",
                "jo@gmx.net",
                "550 odd, see https://postmaster.gmx.net/...",
            ),
            ("550 odd", "", "550 odd"),
        ] {
            assert_eq!(anonymise(text, Some(recipient)), expected, "{text}");
        }
        assert_eq!(anonymise("550 a@b.example", None), "550 {address}");
    }

    proptest::proptest! {
        #[test]
        fn any_text_and_address_is_accepted(text in "\\PC{0,80}", recipient in "\\PC{0,30}") {
            anonymise(&text, Some(&recipient));
        }

        #[test]
        fn no_part_of_the_address_remains(first in "[a-z]{3,9}", last in "[A-Z][a-z]{2,9}", edge in "[ ,:;<>'\"(]") {
            let recipient = format!("{first}.{}@example.org", last.to_lowercase());
            let text = format!("550 5.1.7 {first}{edge}{last} 7");
            let words = anonymise(&text, Some(&recipient)).to_lowercase();
            let words: Vec<&str> = words.split(|c: char| !c.is_alphanumeric()).collect();
            for name in [first.as_str(), &last.to_lowercase()] {
                proptest::prop_assert!(["name", "host"].contains(&name) || !words.contains(&name), "{:?}", words);
            }
        }
    }
}
