//! Replaces email addresses in a snapshot, so that it can be given to other people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

/// Characters of the local part of an address as it occurs in names, ARNs and policies.
fn is_local(c: char) -> bool {
    c.is_alphanumeric() || ".!#$%&'*+-=?^_`{|}~".contains(c)
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
        while let Some((before, after)) = rest.split_once('@') {
            let kept = before.trim_end_matches(is_local);
            let local = before.strip_prefix(kept).unwrap_or_default();
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
            out.push('@');
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
            "carl+x@example.org": ["@", "a@", "@example.com", "write to bob@example.com, please", 1],
        }));
        let expected = json!({
            "identity": "address-2@example.com",
            "policy": "{\"arn:aws:ses:eu-west-1:1:identity/address-2@example.com\"}",
            "address-1@example.org": ["@", "a@", "@example.com", "write to address-2@example.com, please", 1],
        });
        assert_eq!(masked, expected);
    }
}
