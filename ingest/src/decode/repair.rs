//! Repairs invalid JSON strings that some writers produce.

/// The content of a JSON string, repaired if necessary.
pub(super) fn json_string(raw: &str) -> serde_json::Result<String> {
    serde_json::from_str(raw).or_else(|_| serde_json::from_str(&repair_strings(raw)))
}

/// Replaces escapes of half a surrogate pair by U+FFFD, and raw control characters by a space. Leaves all other text
/// unchanged.
pub(super) fn repair_strings(text: &str) -> String {
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

/// The value of an escape from `\uD800` to `\uDFFF` at the start of a text.
fn surrogate(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let value = u32::from_str_radix(digits, 16).ok()?;
    (0xD800..=0xDFFF).contains(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_surrogates_and_control_characters_are_replaced() {
        for (broken, repaired) in [
            (r#""a\ud800b""#, r#""a\ufffdb""#),
            (r#""a\udc00""#, r#""a\ufffd""#),
            (r#""\ud83d\ude00 \n \\ud800""#, r#""\ud83d\ude00 \n \\ud800""#),
            ("\"a\tb\u{1}\"", "\"a b \""),
            (r#""\"#, r#""\"#),
        ] {
            assert_eq!(repair_strings(broken), repaired);
        }
    }
}
