//! The address or message of a history.

use std::borrow::Cow;

use bouncewatch_schemas::address::normalise;
use bouncewatch_store::addresses::AddressRedactor;

use crate::scan::MailSelection;

/// The address or message of a history.
#[derive(Debug, Clone)]
pub enum HistorySubject {
    /// A recipient.
    Address {
        /// The address in normal form.
        address: String,
        /// Values of this address in the store: the address, and its hashes.
        stored: Vec<String>,
    },
    /// A message ID of SES, or a trace ID of WorkMail.
    Message(String),
}

impl HistorySubject {
    /// Parses an address (a text with `@`) or a message ID; `None` if the text is empty. `hasher`
    /// has the key of the store; without it, rows with a hashed address are not found.
    pub fn parse(text: &str, hasher: Option<&AddressRedactor>) -> Option<Self> {
        let text = text.trim();
        if !text.contains('@') {
            return (!text.is_empty()).then(|| Self::Message(text.to_owned()));
        }
        let address = normalise(Cow::Borrowed(text))?.into_owned();
        let mut stored = vec![address.clone()];
        stored.extend(hasher.map(|hasher| hasher.hashes(&address)).unwrap_or_default());
        Some(Self::Address { address, stored })
    }

    /// Returns the mail to scan.
    pub(super) fn selection(&self) -> MailSelection<'_> {
        match self {
            Self::Address { stored, .. } => MailSelection::Recipient(stored),
            Self::Message(id) => MailSelection::Message(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use bouncewatch_store::addresses::RedactionPolicy;

    use super::*;

    #[test]
    fn address_is_parsed_with_its_hashes_and_other_text_as_message_id() {
        let key = b"0123456789abcdef";
        let hasher = AddressRedactor::new(RedactionPolicy::Hash, Some(key)).unwrap();
        let stored = |text: &str, hasher| match HistorySubject::parse(text, hasher) {
            Some(HistorySubject::Address { stored, .. }) => stored,
            other => panic!("{other:?}"),
        };
        let hash = "h-a7a54661c75bce906717ca553fdff1b9@example.com";
        assert_eq!(stored(" Jane@Example.com\n", Some(&hasher)), ["jane@example.com", hash]);
        assert_eq!(stored("jane@example.com", None), ["jane@example.com"]);
        let unicode = stored("info@exämple.com", Some(&hasher));
        assert_eq!(unicode, stored("info@xn--exmple-cua.com", Some(&hasher)));
        let is_ascii = |stored: &String| stored.ends_with("@xn--exmple-cua.com");
        assert!(unicode.len() == 3 && unicode.iter().all(is_ascii), "{unicode:?}");
        let message = HistorySubject::parse("m-1\n", None);
        assert!(matches!(message, Some(HistorySubject::Message(id)) if id == "m-1"));
        assert!(HistorySubject::parse(" \n", None).is_none());
    }
}
