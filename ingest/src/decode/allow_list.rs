//! [`AllowList`]: accept only events of listed accounts, topics and identities. Anything that may publish to the topic
//! or the queue can forge events; an event that is not on the list is quarantined.

use crate::decode::outcome::{QuarantineReason, Rejection};

/// Accounts, topics and identities with accepted events. An empty list accepts all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList {
    /// Sending AWS accounts, 12 digits.
    pub accounts: Vec<String>,
    /// ARNs of SNS topics.
    pub topics: Vec<String>,
    /// Verified identities: domains, which include their addresses, or single addresses.
    pub identities: Vec<String>,
}

/// Account, topic and identity that an event names.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EventSource<'a> {
    pub(crate) account: Option<&'a str>,
    pub(crate) topic: Option<&'a str>,
    pub(crate) identity: Option<&'a str>,
}

impl AllowList {
    /// Rejects an event that is not on the lists. If a list is not empty, an event without the
    /// listed attribute is rejected too: a forged event could omit it.
    pub(crate) fn check(&self, source: EventSource<'_>) -> Result<(), Rejection> {
        self.check_without_identity(source)?;
        if is_listed(&self.identities, source.identity, is_identity) {
            return Ok(());
        }
        // only the domain: an identity may be an email address
        Err(rejection("identity", source.identity.map(domain)))
    }

    /// Like [`check`](Self::check), for events that have no identity: WorkMail events and account
    /// events.
    pub(crate) fn check_without_identity(&self, source: EventSource<'_>) -> Result<(), Rejection> {
        if !is_listed(&self.accounts, source.account, str::eq_ignore_ascii_case) {
            return Err(rejection("account", source.account));
        }
        if !is_listed(&self.topics, source.topic, str::eq_ignore_ascii_case) {
            return Err(rejection("topic", source.topic));
        }
        Ok(())
    }
}

fn is_listed(list: &[String], value: Option<&str>, matches: fn(&str, &str) -> bool) -> bool {
    list.is_empty() || value.is_some_and(|value| list.iter().any(|entry| matches(entry, value)))
}

fn rejection(attribute: &str, value: Option<&str>) -> Rejection {
    let detail = value.map_or_else(
        || format!("the event has no {attribute}, but [allow] requires one"),
        |value| format!("the {attribute} is not in [allow]: {value}"),
    );
    Rejection::new(QuarantineReason::NotAllowed, detail)
}

fn domain(identity: &str) -> &str {
    identity.rsplit_once('@').map_or(identity, |(_, domain)| domain)
}

/// Whether an identity is the listed one, or an address in the listed domain.
fn is_identity(listed: &str, identity: &str) -> bool {
    listed.eq_ignore_ascii_case(identity) || listed.eq_ignore_ascii_case(domain(identity))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow_list(account: &str, topic: &str, identity: &str) -> AllowList {
        let list =
            |text: &str| text.split(' ').filter(|w| !w.is_empty()).map(str::to_owned).collect();
        AllowList { accounts: list(account), topics: list(topic), identities: list(identity) }
    }

    fn detail(list: &AllowList, account: &str, topic: &str, identity: &str) -> Option<String> {
        let value = |text| Some(text).filter(|text: &&str| !text.is_empty());
        let source =
            EventSource { account: value(account), topic: value(topic), identity: value(identity) };
        list.check(source).err().map(|rejection| rejection.detail)
    }

    #[test]
    fn event_is_rejected_unless_account_topic_and_identity_are_listed() {
        let all = AllowList::default();
        assert_eq!(detail(&all, "", "", ""), None);
        let listed = allow_list("111111111111 222222222222", "", "example.com boss@other.example");
        for (account, identity, expected) in [
            ("222222222222", "Example.com", None),
            ("111111111111", "news@example.com", None),
            ("111111111111", "boss@other.example", None),
            ("333333333333", "example.com", Some("the account is not in [allow]: 333333333333")),
            ("", "example.com", Some("the event has no account, but [allow] requires one")),
            (
                "111111111111",
                "jane@other.example",
                Some("the identity is not in [allow]: other.example"),
            ),
            (
                "111111111111",
                "notexample.com",
                Some("the identity is not in [allow]: notexample.com"),
            ),
            ("111111111111", "", Some("the event has no identity, but [allow] requires one")),
        ] {
            assert_eq!(detail(&listed, account, "", identity).as_deref(), expected);
        }
        let topic = allow_list("", "arn:aws:sns:us-east-1:111111111111:ses", "");
        assert_eq!(detail(&topic, "", "arn:aws:sns:us-east-1:111111111111:ses", ""), None);
        assert!(detail(&topic, "", "arn:aws:sns:us-east-1:999999999999:ses", "").is_some());
        assert!(detail(&topic, "", "", "").is_some());
    }
}
