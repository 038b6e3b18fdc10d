//! Lists of addresses as others write them: a line each, CSV, what `aws sesv2 list-suppressed-destinations` prints, and
//! what `suppress` itself writes.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bouncewatch_schemas::address::normalise;
use serde_json::Value;

use crate::error::AnalyzeError;

/// Keys under which an address stands: in SES's answers, in SES's import form, in ours.
const ADDRESS_KEYS: [&str; 3] = ["EmailAddress", "emailAddress", "address"];
/// Keys under which a list of them stands.
const LIST_KEYS: [&str; 2] = ["SuppressedDestinationSummaries", "addresses"];

/// A list of addresses.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct AddressList {
    /// In the form in which they stand in the table.
    pub addresses: BTreeSet<String>,
    /// Lines in which there is no address.
    pub unreadable: u64,
    /// Whether the list itself says that it goes on elsewhere (`NextToken`).
    pub is_cut: bool,
}

impl AddressList {
    /// Reads a list.
    ///
    /// # Errors
    /// If it is JSON of another form.
    pub fn parse(text: &str) -> Result<Self, AnalyzeError> {
        let text = text.trim_start_matches('\u{feff}');
        if text.trim_start().starts_with(['{', '[']) { json(text) } else { Ok(lines(text)) }
    }

    /// Adds an address; whether it is one.
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

/// The first cell of each line; a header is no address.
fn lines(text: &str) -> AddressList {
    let mut list = AddressList::default();
    for (at, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let is_address = list.add(&first_cell(line));
        if !is_address && at > 0 {
            list.unreadable += 1;
        }
    }
    list
}

/// The first cell of a line of CSV, without the mark that keeps spreadsheets from running it.
fn first_cell(line: &str) -> String {
    let cell = match line.strip_prefix('"') {
        Some(quoted) => {
            let mut cell = String::new();
            let mut letters = quoted.chars().peekable();
            while let Some(letter) = letters.next() {
                // two quotes are one, and one is the end
                if letter == '"' && letters.next_if_eq(&'"').is_none() {
                    break;
                }
                cell.push(letter);
            }
            cell
        }
        None => line.split([',', ';', '\t']).next().unwrap_or_default().to_owned(),
    };
    match cell.strip_prefix('\'') {
        Some(rest) if rest.starts_with(['=', '+', '-', '@']) => rest.to_owned(),
        _ => cell,
    }
}

fn json(text: &str) -> Result<AddressList, AnalyzeError> {
    let mut list = AddressList::default();
    let mut is_list = false;
    // one document, or one a line
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let value = value.map_err(|error| AnalyzeError::AddressList(error.to_string()))?;
        is_list |= take(&value, &mut list);
    }
    if is_list {
        Ok(list)
    } else {
        Err(AnalyzeError::AddressList("there are no addresses in this JSON".to_owned()))
    }
}

/// Takes the addresses of a value; whether it is a list, or an address, at all.
fn take(value: &Value, list: &mut AddressList) -> bool {
    match value {
        Value::Array(all) => {
            for one in all {
                if !take(one, list) {
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
            list.is_cut |= object.get("NextToken").is_some_and(Value::is_string);
            let inner = LIST_KEYS.iter().filter_map(|key| object.get(*key));
            inner.filter(|inner| take(inner, list)).count() > 0
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
    fn every_form_of_a_list() {
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
        let cut = AddressList::parse(r#"{"SuppressedDestinationSummaries":[],"NextToken":"x"}"#);
        assert!(cut.unwrap().is_cut);
        for wrong in ["{\"a\":1}", "[", "{\"SuppressedDestinationSummaries\":7}"] {
            assert!(AddressList::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "\\PC{0,200}") {
            _ = AddressList::parse(&text);
        }
    }
}
