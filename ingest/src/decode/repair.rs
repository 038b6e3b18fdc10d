//! Repairs JSON strings that senders write and JSON forbids.

/// Replaces what JSON forbids inside strings but senders write: escapes of half a surrogate pair (by U+FFFD), and
/// raw control characters (by a blank). Everything else is left for the parser to refuse.
pub(super) fn repair(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c == '\\' || c.is_control()) {
        let (head, tail) = rest.split_at(at);
        out.push_str(head);
        if !tail.starts_with('\\') {
            out.push(' ');
            rest = tail.split_at(tail.chars().next().map_or(1, char::len_utf8)).1;
            continue;
        }
        let length = match surrogate(tail) {
            None => tail.chars().take(2).map(char::len_utf8).sum(),
            Some(0xD800..=0xDBFF)
                if matches!(tail.get(6..).and_then(surrogate), Some(0xDC00..=0xDFFF)) =>
            {
                12
            }
            Some(_) => {
                out.push_str("\\ufffd");
                rest = tail.split_at(6).1;
                continue;
            }
        };
        let (kept, after) = tail.split_at(length);
        out.push_str(kept);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The value of a `\uD8xx`..`\uDFxx` escape at the start of a text.
fn surrogate(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let value = u32::from_str_radix(digits, 16).ok()?;
    (0xD800..=0xDFFF).contains(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_senders_write_and_json_forbids() {
        for (broken, repaired) in [
            (r#""a\ud800b""#, r#""a\ufffdb""#),
            (r#""a\udc00""#, r#""a\ufffd""#),
            (r#""\ud83d\ude00 \n \\ud800""#, r#""\ud83d\ude00 \n \\ud800""#),
            ("\"a\tb\u{1}\"", "\"a b \""),
            (r#""\"#, r#""\"#),
        ] {
            assert_eq!(repair(broken), repaired);
        }
    }
}
