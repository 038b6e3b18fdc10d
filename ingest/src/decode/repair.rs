//! Repairs invalid JSON strings that some writers produce.

/// Fields of an event with identifiers, types, addresses and times.
const IDENTIFIERS: [&str; 14] = [
    "eventType",
    "notificationType",
    "messageId",
    "feedbackId",
    "timestamp",
    "source",
    "sourceArn",
    "sendingAccountId",
    "destination",
    "emailAddress",
    "bounceType",
    "bounceSubType",
    "complaintFeedbackType",
    "delayType",
];

/// The content of a JSON string, repaired if necessary.
pub(super) fn json_string(raw: &str) -> serde_json::Result<String> {
    serde_json::from_str(raw).or_else(|_| serde_json::from_str(&repair_strings(raw)))
}

/// Replaces escapes of half a surrogate pair by U+FFFD, raw line feeds in strings by their escape, and other raw control
/// characters by a space. Leaves all other text unchanged.
pub(super) fn repair_strings(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut is_in_string = false;
    while let Some(at) = rest.find(|c: char| c == '\\' || c.is_control()) {
        let (head, tail) = rest.split_at(at);
        out.push_str(head);
        is_in_string ^= head.bytes().filter(|byte| *byte == b'"').count() % 2 == 1;
        if !tail.starts_with('\\') {
            out.push_str(if is_in_string && tail.starts_with('\n') { "\\n" } else { " " });
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

/// The field in which an event cannot have a raw line feed, but has one: a line was wrapped, or split. Ignores strings
/// with JSON.
pub(super) fn wrapped_field(text: &str) -> Option<String> {
    let (mut rest, mut key) = (text, "");
    while let Some(start) = rest.find('"') {
        let content = rest.get(start + 1..)?;
        let mut is_escaped = false;
        let end = content.bytes().position(|byte| {
            let is_end = byte == b'"' && !is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            is_end
        })?;
        let (string, after) = content.split_at(end);
        rest = after.get(1..)?;
        let is_key = rest.trim_start().starts_with(':');
        if is_key {
            key = string;
        }
        let is_json = string.trim_start().starts_with(['{', '[']);
        let is_identifier = IDENTIFIERS.iter().any(|known| known.eq_ignore_ascii_case(key));
        if string.contains('\n') && (is_key || is_identifier && !is_json) {
            return Some(key.replace('\n', " "));
        }
    }
    None
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
            ("{\n\"a\": \"b\nc\"}\n", "{ \"a\": \"b\\nc\"} "),
            (r#""\"#, r#""\"#),
        ] {
            assert_eq!(repair_strings(broken), repaired);
        }
    }

    #[test]
    fn line_feed_in_an_identifier_is_found_and_in_a_text_is_not() {
        for (text, expected) in [
            ("{\"messageId\":\"a\nb\"}", Some("messageId")),
            ("{\"destination\":[\"a@example.org\",\"b@exa\nmple.org\"]}", Some("destination")),
            ("{\"bounce\nType\":\"Permanent\"}", Some("bounce Type")),
            ("{\"diagnosticCode\":\"550 \\\"a\nb\"}", None),
            ("{\"destination\":\"[\n]\",\n\"messageId\":\"a\"}", None),
        ] {
            assert_eq!(wrapped_field(text).as_deref(), expected, "{text}");
        }
    }
}
