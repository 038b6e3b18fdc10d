//! Parses address lists: one address per line, CSV, the output of `aws sesv2 list-suppressed-destinations`, and the
//! output of `suppress`.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bouncewatch_schemas::address::normalise;
use serde_json::Value;

use crate::error::AnalyzeError;

/// JSON keys of an address: in responses of SES, in import files of SES, in the output of `suppress`.
const ADDRESS_KEYS: [&str; 3] = ["EmailAddress", "emailAddress", "address"];
/// JSON keys of a list of addresses.
const LIST_KEYS: [&str; 2] = ["SuppressedDestinationSummaries", "addresses"];

/// A list of addresses.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct AddressList {
    /// Normalised like the recipients in the store.
    pub addresses: BTreeSet<String>,
    /// Number of lines without an address.
    pub unreadable: u64,
    /// Whether the list has further pages (`NextToken`).
    pub is_truncated: bool,
}

impl AddressList {
    /// Parses a list.
    ///
    /// # Errors
    /// If it is JSON with another structure.
    pub fn parse(text: &str) -> Result<Self, AnalyzeError> {
        let text = text.trim_start_matches('\u{feff}');
        if text.trim_start().starts_with(['{', '[']) {
            parse_json(text)
        } else {
            Ok(parse_lines(text))
        }
    }

    /// Adds an address, and returns whether the text is one.
    fn add(&mut self, text: &str) -> bool {
        let address = normalise(Cow::Borrowed(text)).filter(|address| address.contains('@'));
        match address {
            Some(address) => {
                self.addresses.insert(address.into_owned());
                true
            }
            None => false,
        }
    }
}

/// Parses the first field of each line. The first line can be a header.
fn parse_lines(text: &str) -> AddressList {
    let mut list = AddressList::default();
    for (at, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let is_address = list.add(&first_field(line));
        if !is_address && at > 0 {
            list.unreadable += 1;
        }
    }
    list
}

/// Returns the first field of a line of CSV, without the `'` that keeps a spreadsheet from running it as a formula.
fn first_field(line: &str) -> String {
    let field = match line.strip_prefix('"') {
        Some(quoted) => {
            let mut field = String::new();
            let mut characters = quoted.chars().peekable();
            while let Some(character) = characters.next() {
                // a doubled quote is an escaped quote, a single one ends the field
                if character == '"' && characters.next_if_eq(&'"').is_none() {
                    break;
                }
                field.push(character);
            }
            field
        }
        None => line.split([',', ';', '\t']).next().unwrap_or_default().to_owned(),
    };
    match field.strip_prefix('\'') {
        Some(rest) if rest.starts_with(['=', '+', '-', '@']) => rest.to_owned(),
        _ => field,
    }
}

fn parse_json(text: &str) -> Result<AddressList, AnalyzeError> {
    let mut list = AddressList::default();
    let mut is_list = false;
    // one document, or one per line
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let value = value.map_err(|error| AnalyzeError::AddressList(error.to_string()))?;
        is_list |= add_value(&value, &mut list);
    }
    if is_list {
        Ok(list)
    } else {
        Err(AnalyzeError::AddressList("the JSON contains no addresses".to_owned()))
    }
}

/// Adds the addresses of a value, and returns whether it is an address or a list.
fn add_value(value: &Value, list: &mut AddressList) -> bool {
    match value {
        Value::Array(all) => {
            for one in all {
                if !add_value(one, list) {
                    list.unreadable += 1;
                }
            }
            true
        }
        Value::String(text) => list.add(text),
        Value::Object(object) => {
            let text = |key: &&str| object.get(*key)?.as_str();
            if let Some(address) = ADDRESS_KEYS.iter().find_map(text) {
                return list.add(address);
            }
            list.is_truncated |= object.get("NextToken").is_some_and(Value::is_string);
            let inner = LIST_KEYS.iter().filter_map(|key| object.get(*key));
            inner.filter(|inner| add_value(inner, list)).count() > 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, addresses: &[&str], unreadable: u64) {
        let list = AddressList::parse(text).unwrap();
        assert_eq!(list.addresses.iter().collect::<Vec<_>>(), addresses, "{text}");
        assert_eq!(list.unreadable, unreadable, "{text}");
    }

    #[test]
    fn every_list_format_is_parsed() {
        let both = ["anna@example.org", "bob@example.org"];
        check("Anna@example.org\n\nbob@example.org\r\n# end\n", &both, 0);
        check("\u{feff}email,reason\nanna@example.org,BOUNCE\n\"bob@example.org\",x\n", &both, 0);
        check("anna@example.org;1\nnobody\nbob@example.org\t2\n", &both, 1);
        check("'+a@example.org,x\n'=b@example.org\n", &["+a@example.org", "=b@example.org"], 0);
        check("\"\"\"a b\"\"@example.org\",x", &["\"a b\"@example.org"], 0);
        check(
            r#"{"SuppressedDestinationSummaries":[{"EmailAddress":"anna@example.org","Reason":"BOUNCE","LastUpdateTime":"2026-11-01T00:00:00Z"},{"EmailAddress":"Bob@example.org"}]}"#,
            &both,
            0,
        );
        check(
            "{\"emailAddress\":\"anna@example.org\",\"reason\":\"BOUNCE\"}\n{\"emailAddress\":\"bob@example.org\"}",
            &both,
            0,
        );
        check(
            r#"{"version":1,"addresses":[{"address":"anna@example.org"},{"address":"bob@example.org"}]}"#,
            &both,
            0,
        );
        check(r#"["anna@example.org", "bob@example.org", 7]"#, &both, 1);
        check(r#"{"SuppressedDestinationSummaries":[]}"#, &[], 0);
        check("", &[], 0);
        let truncated =
            AddressList::parse(r#"{"SuppressedDestinationSummaries":[],"NextToken":"x"}"#);
        assert!(truncated.unwrap().is_truncated);
        for wrong in ["{\"a\":1}", "[", "{\"SuppressedDestinationSummaries\":7}"] {
            assert!(AddressList::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_parsed_without_panic(text in "\\PC{0,200}") {
            _ = AddressList::parse(&text);
        }
    }
}
