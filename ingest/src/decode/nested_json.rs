//! Objects and lists of an event that are JSON in a string, as tables with one text column per key export them.

use serde_json::Value;

/// Keys of an event with an object or a list, in lower case without hyphens and underscores.
const KEYS: [&str; 17] = [
    "mail",
    "bounce",
    "complaint",
    "delivery",
    "send",
    "reject",
    "open",
    "click",
    "failure",
    "deliverydelay",
    "subscription",
    "destination",
    "tags",
    "bouncedrecipients",
    "complainedrecipients",
    "delayedrecipients",
    "recipients",
];

/// Replaces strings with JSON by their content. A string that starts like JSON but is none is removed. `None` if there is
/// no such string.
pub(super) fn expand(text: &str) -> Option<String> {
    let mut value = serde_json::from_str(text).ok()?;
    expand_value(&mut value).then(|| value.to_string())
}

/// Returns whether a string was replaced.
fn expand_value(value: &mut Value) -> bool {
    match value {
        Value::Array(items) => items.iter_mut().fold(false, |any, item| expand_value(item) | any),
        Value::Object(members) => members.iter_mut().fold(false, |any, (key, member)| {
            let content = member
                .as_str()
                .map(str::trim_start)
                .filter(|text| text.starts_with(['{', '[']) && is_known(key));
            let expanded = content.map(|text| serde_json::from_str(text).unwrap_or_default());
            let is_replaced = expanded.is_some();
            if let Some(expanded) = expanded {
                *member = expanded;
            }
            expand_value(member) | is_replaced | any
        }),
        _ => false,
    }
}

fn is_known(key: &str) -> bool {
    let letters = || key.bytes().filter(|byte| !matches!(byte, b'-' | b'_'));
    KEYS.iter().any(|known| letters().map(|byte| byte.to_ascii_lowercase()).eq(known.bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_keys_with_json_are_expanded() {
        for (text, expected) in [
            (r#"{"mail":"{\"tags\":\"{}\"}"}"#, Some(r#"{"mail":{"tags":{}}}"#)),
            (
                r#"{"bounce":{"bounced_recipients":"[1]"}}"#,
                Some(r#"{"bounce":{"bounced_recipients":[1]}}"#),
            ),
            (r#"{"tags":"{x"}"#, Some(r#"{"tags":null}"#)),
            (r#"{"diagnosticCode":"{}","mail":"x"}"#, None),
            ("{", None),
        ] {
            assert_eq!(expand(text).as_deref(), expected);
        }
    }
}
