//! Untrusted text, which senders or receivers control: names, domains, tags and replies of servers.

use bouncewatch_schemas::printable::printable;

/// Maximum number of characters of a value on the page; the JSON has the complete value.
const CHARS_MAX: usize = 120;
/// Characters that may follow a command without quoting.
const COMMAND_MARKS: &str = "._@:-";

/// Returns a value with escaped control characters; a long one is shortened in the middle.
pub(crate) fn shown(text: &str) -> String {
    let text = printable(text);
    let length = text.chars().count();
    if length <= CHARS_MAX {
        return text.into_owned();
    }
    let half = (CHARS_MAX - 3) / 2;
    let first: String = text.chars().take(half).collect();
    let last: String = text.chars().skip(length - half).collect();
    format!("{first}...{last}")
}

/// Returns a value for a command line; `NAME` if a shell could interpret it.
pub(crate) fn argument(value: &str) -> &str {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || COMMAND_MARKS.contains(c);
    let is_plain = !value.is_empty() && !value.starts_with('-') && value.chars().all(is_safe);
    if is_plain && value.chars().count() <= CHARS_MAX { value } else { "NAME" }
}

/// Replaces the local part of each address in a text: `<anna@example.org>` becomes `<...@example.org>`.
pub fn mask_addresses(text: &str) -> String {
    let is_local = |c: &char| c.is_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(*c);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('@') {
        // a quoted local part can contain any character
        let quoted = before.strip_suffix('"').and_then(|quoted| quoted.rsplit_once('"'));
        let local = before.chars().rev().take_while(is_local).map(char::len_utf8).sum::<usize>();
        let plain = || before.split_at(before.len() - local).0;
        let kept = quoted.map_or_else(plain, |(kept, _)| kept);
        out.push_str(kept);
        out.push_str(if kept.len() < before.len() { "...@" } else { "@" });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_shortened_in_the_middle() {
        let long = format!("{}{}", "a".repeat(5_000), "b".repeat(5_000));
        let text = shown(&long);
        assert_eq!(text.chars().count(), 119);
        assert!(text.starts_with("aaa") && text.contains("...") && text.ends_with("bbb"));
        assert_eq!(shown("a\u{202e}b\0"), "a\\u{202e}b\\u{0}");
    }

    #[test]
    fn arguments_that_a_shell_interprets_are_replaced() {
        assert_eq!(argument("marketing-2.a"), "marketing-2.a");
        for value in ["", "-x", "a b", "$(id)", "a;b", "a'b", "ä", &"a".repeat(200)] {
            assert_eq!(argument(value), "NAME", "{value}");
        }
    }

    #[test]
    fn local_parts_of_addresses_are_masked() {
        for (text, masked) in [
            ("552 5.2.2 <full0@example.org>", "552 5.2.2 <...@example.org>"),
            ("a@b.example, c.d+e@f.example", "...@b.example, ...@f.example"),
            ("\"a b\"@example.org is full", "...@example.org is full"),
            ("ännä@example.org", "...@example.org"),
            ("no address @ here", "no address @ here"),
            ("plain", "plain"),
        ] {
            assert_eq!(mask_addresses(text), masked);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_local_part_remains(local in "[a-zA-Z0-9.+_-]{1,20}", before in "[ -~]{0,20}[ <(]") {
            let before = before.replace('"', "");
            let masked = mask_addresses(&format!("{before}{local}@example.org"));
            let expected = format!("{}...@example.org", mask_addresses(&before));
            proptest::prop_assert_eq!(masked, expected);
        }
    }
}
