//! Replaces email addresses in a snapshot, so that it can be given to other people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

/// Characters of the local part of an address as it occurs in names, ARNs and policies.
fn is_local(c: char) -> bool {
    c.is_alphanumeric() || ".!#$%&'*+-/=?^_`{|}~".contains(c)
}

/// What separates the local part from the domain: also in an encoded URL.
const SEPARATORS: [&str; 2] = ["@", "%40"];
/// What stands before the name of an identity in its ARN.
const IDENTITY: &str = "identity/";

/// The local part at the end of a text; empty if there is none.
fn local_part(text: &str) -> &str {
    if let Some(quoted) = quoted_part(text) {
        return quoted;
    }
    let local = text.strip_prefix(text.trim_end_matches(is_local)).unwrap_or_default();
    let prefix = if local.starts_with("//") { "/" } else { IDENTITY };
    local.rsplit_once(prefix).map_or(local, |(_, local)| local)
}

/// `"jane doe"` at the end of a text. In `{"key":"@example.com"}` the last quote opens a text: the quote before it does
/// not follow white space or an opening bracket.
fn quoted_part(text: &str) -> Option<&str> {
    let inner = text.strip_suffix('"')?;
    let (before, local) = inner.rsplit_once('"').filter(|(_, local)| !local.is_empty())?;
    let is_start = |c: char| c.is_whitespace() || "</:,".contains(c);
    let opens = before.is_empty() || before.ends_with(is_start);
    let is_name = local.chars().all(|c| is_local(c) || c == ' ');
    if opens && is_name { text.strip_prefix(before) } else { None }
}

/// Splits a text at the first separator.
fn split_at_separator(text: &str) -> Option<(&str, &str, &str)> {
    let found =
        SEPARATORS.into_iter().filter_map(|separator| Some((text.find(separator)?, separator)));
    let (_, separator) = found.min()?;
    text.split_once(separator).map(|(before, after)| (before, separator, after))
}

fn is_domain(c: char) -> bool {
    c.is_alphanumeric() || c == '.' || c == '-'
}

/// Replaces local parts: `bob@example.com` becomes `address-1@example.com` wherever it occurs, so equal addresses stay
/// equal.
#[derive(Debug, Default)]
pub(super) struct AddressMask {
    numbers: BTreeMap<String, usize>,
}

impl AddressMask {
    pub(super) fn apply(&mut self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.masked(&text)),
            Value::Array(values) => values.into_iter().map(|value| self.apply(value)).collect(),
            Value::Object(fields) => {
                // numbers do not depend on the order in which serde_json keeps keys
                let mut fields: Vec<(String, Value)> = fields.into_iter().collect();
                fields.sort_by(|a, b| a.0.cmp(&b.0));
                let fields =
                    fields.into_iter().map(|(key, value)| (self.masked(&key), self.apply(value)));
                Value::Object(fields.collect::<Map<_, _>>())
            }
            other => other,
        }
    }

    fn masked(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, separator, after)) = split_at_separator(rest) {
            let local = local_part(before);
            let kept = before.strip_suffix(local).unwrap_or(before);
            let domain_end = after.find(|c| !is_domain(c)).unwrap_or(after.len());
            let (domain, tail) = after.split_at_checked(domain_end).unwrap_or((after, ""));
            out.push_str(kept);
            if local.is_empty() || domain.is_empty() {
                out.push_str(local);
            } else {
                let next = self.numbers.len() + 1;
                let address = format!("{local}@{domain}").to_lowercase();
                let number = *self.numbers.entry(address).or_insert(next);
                // writing to a String cannot fail
                _ = write!(out, "address-{number}");
            }
            out.push_str(separator);
            out.push_str(domain);
            rest = tail;
        }
        out.push_str(rest);
        out
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_addresses_get_equal_numbers_and_domains_stay() {
        let masked = AddressMask::default().apply(json!({
            "identity": "Bob@example.com",
            "policy": "{\"arn:aws:ses:eu-west-1:1:identity/bob@example.com\"}",
            "quoted": "\"jane doe\"@example.com <\"jane doe\"@example.com>",
            "url": "https://example.com/?to=bob%40example.com&x",
            "arn": "arn:aws:ses:eu-west-1:1:identity/a/b@example.com",
            "json": "{\"a\": \"b\", \"c\":\"@example.com\"}",
            "carl+x@example.org": ["@", "a@", "@example.com", "write to bob@example.com, please", 1],
        }));
        let expected = json!({
            "identity": "address-3@example.com",
            "policy": "{\"arn:aws:ses:eu-west-1:1:identity/address-3@example.com\"}",
            "quoted": "address-4@example.com <address-4@example.com>",
            "url": "https://example.com/address-5%40example.com&x",
            "arn": "arn:aws:ses:eu-west-1:1:identity/address-1@example.com",
            "json": "{\"a\": \"b\", \"c\":\"@example.com\"}",
            "address-2@example.org": ["@", "a@", "@example.com", "write to address-3@example.com, please", 1],
        });
        assert_eq!(masked, expected);
    }
}
