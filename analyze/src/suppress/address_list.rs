//! Parses address lists: one address per line, CSV, the output of `aws sesv2 list-suppressed-destinations`, and the
//! output of `suppress`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use bouncewatch_schemas::address::{is_address, normalise};
use bouncewatch_schemas::time::parse_ms;
use serde_json::Value;

use crate::error::AnalyzeError;
use crate::suppress::model::SuppressReason;

/// JSON keys of an address: in responses of SES, in import files of SES, in the output of `suppress`.
const ADDRESS_KEYS: [&str; 3] = ["EmailAddress", "emailAddress", "address"];
/// JSON keys of the reason of an address.
const REASON_KEYS: [&str; 2] = ["Reason", "reason"];
/// Reasons in the output of `suppress` of addresses that are on hold, not suppressed.
const HOLD_REASONS: [&str; 2] =
    [SuppressReason::OnHold.as_str(), SuppressReason::ProviderIncident.as_str()];
/// JSON keys of a list of addresses.
const LIST_KEYS: [&str; 2] = ["SuppressedDestinationSummaries", "addresses"];

/// Separators of the fields of a line.
pub(crate) const SEPARATORS: [char; 3] = [',', ';', '\t'];

/// A list of addresses.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct AddressList {
    /// In normal form, like the recipients in the store.
    pub addresses: BTreeSet<String>,
    /// Addresses that are listed because of a complaint.
    pub complaints: BTreeSet<String>,
    /// Time at which an address was listed, if known; epoch milliseconds.
    pub listed_at: BTreeMap<String, i64>,
    /// Number of lines without an address.
    pub unreadable: u64,
    /// Whether the list has further pages (`NextToken`).
    pub is_truncated: bool,
}

impl AddressList {
    /// Parses a list.
    ///
    /// # Errors
    /// If it is invalid JSON, or JSON without a list of addresses.
    pub fn parse(text: &str) -> Result<Self, AnalyzeError> {
        let text = text.trim_start_matches('\u{feff}');
        if text.trim_start().starts_with(['{', '[']) {
            parse_json(text)
        } else {
            Ok(parse_lines(text))
        }
    }

    /// Adds an address with its reason and the time at which it was listed (epoch milliseconds).
    /// Returns its normal form; `None` if the text is not an address. An address on hold is not
    /// added.
    pub fn add(
        &mut self,
        text: &str,
        reason: Option<&str>,
        listed_at: Option<i64>,
    ) -> Option<String> {
        let address = normalise(Cow::Borrowed(text)).filter(|address| is_address(address));
        let address = address.map(Cow::into_owned)?;
        if reason.is_some_and(|reason| HOLD_REASONS.contains(&reason)) {
            return Some(address);
        }
        if reason.is_some_and(|reason| reason.eq_ignore_ascii_case("complaint")) {
            self.complaints.insert(address.clone());
        }
        if let Some(at) = listed_at {
            self.listed_at.insert(address.clone(), at);
        }
        self.addresses.insert(address.clone());
        Some(address)
    }
}

/// Parses the first two fields of each line: address and reason. The first line can be a header.
fn parse_lines(text: &str) -> AddressList {
    let mut list = AddressList::default();
    for (at, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (address, rest) = first_field(line);
        let reason = rest.split(SEPARATORS).next().map(str::trim);
        let is_address = list.add(&address, reason, None).is_some();
        if !is_address && at > 0 {
            list.unreadable += 1;
        }
    }
    list
}

/// Returns the first field of a CSV line, and the text after its separator. Removes the leading `'`
/// that escapes a formula in spreadsheets.
pub(crate) fn first_field(line: &str) -> (String, &str) {
    let (field, rest) = if let Some(quoted) = line.strip_prefix('"') {
        let mut field = String::new();
        let mut characters = quoted.chars();
        while let Some(character) = characters.next() {
            // a doubled quote is an escaped quote, a single one ends the field
            if character == '"' && !characters.as_str().starts_with('"') {
                break;
            }
            if character == '"' {
                characters.next();
            }
            field.push(character);
        }
        let rest = characters.as_str();
        (field, rest.strip_prefix(SEPARATORS).unwrap_or(rest))
    } else {
        let (field, rest) = line.split_once(SEPARATORS).unwrap_or((line, ""));
        (field.to_owned(), rest)
    };
    match field.strip_prefix('\'') {
        Some(inner) if inner.starts_with(['=', '+', '-', '@']) => (inner.to_owned(), rest),
        _ => (field, rest),
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
        Value::String(text) => list.add(text, None, None).is_some(),
        Value::Object(object) => {
            let text = |key: &&str| object.get(*key)?.as_str();
            if let Some(address) = ADDRESS_KEYS.iter().find_map(text) {
                let listed_at = object.get("LastUpdateTime").and_then(time_ms);
                let reason = REASON_KEYS.iter().find_map(text);
                return list.add(address, reason, listed_at).is_some();
            }
            list.is_truncated |= object.get("NextToken").is_some_and(Value::is_string);
            let inner = LIST_KEYS.iter().filter_map(|key| object.get(*key));
            inner.filter(|inner| add_value(inner, list)).count() > 0
        }
        _ => false,
    }
}

/// Returns a time in RFC 3339, or in seconds since 1970, in milliseconds.
fn time_ms(value: &Value) -> Option<i64> {
    let seconds = || value.as_i64().and_then(|seconds| seconds.checked_mul(1_000));
    value.as_str().map_or_else(seconds, parse_ms)
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
        check("anna@example.org;1\nno-domain\nbob@example.org\t2\n", &both, 1);
        check("\u{feff}anna@example.org\nbob@example.org\n", &both, 0);
        // the apostrophe belongs to the address
        check("'a@example.org\n", &["'a@example.org"], 0);
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
        let complete =
            AddressList::parse(r#"{"SuppressedDestinationSummaries":[],"NextToken":null}"#);
        assert!(!complete.unwrap().is_truncated);
        for wrong in ["{\"a\":1}", "[", "{\"SuppressedDestinationSummaries\":7}"] {
            assert!(AddressList::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn reason_and_time_of_an_address_are_parsed() {
        let ses = r#"{"SuppressedDestinationSummaries":[{"EmailAddress":"anna@example.org","Reason":"COMPLAINT","LastUpdateTime":"2026-11-01T02:00:00.5+02:00"},{"EmailAddress":"bob@example.org","Reason":"BOUNCE","LastUpdateTime":1793491200}]}"#;
        let complaints = |text: &str| AddressList::parse(text).unwrap().complaints;
        let anna = BTreeSet::from(["anna@example.org".to_owned()]);
        for text in [
            ses,
            "anna@example.org,COMPLAINT\nbob@example.org,BOUNCE\n",
            "address,reason\n\"anna@example.org\",complaint,x\nbob@example.org, BOUNCE\n",
            "anna@example.org, COMPLAINT\n",
        ] {
            assert_eq!(complaints(text), anna, "{text}");
        }
        let times = AddressList::parse(ses).unwrap().listed_at;
        assert_eq!(times.into_values().collect::<Vec<_>>(), [1_793_491_200_500, 1_793_491_200_000]);
        check("anna@example.org,on_hold\nbob@example.org,provider_incident,x\n", &[], 0);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_parsed_without_panic(text in "\\PC{0,200}") {
            _ = AddressList::parse(&text);
        }
    }
}
