//! Whose events are taken. A queue is easy to feed with forged events, or with those of somebody else's account; what
//! is not on the list goes to quarantine (facts 8.18). Pure.

use crate::decode::outcome::{Reason, Rejected};

/// Accounts, topics and identities whose events are taken; an empty list takes all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Accounts that send, 12 digits.
    pub accounts: Vec<String>,
    /// ARNs of SNS topics.
    pub topics: Vec<String>,
    /// Verified identities: domains, with the addresses in them, or single addresses.
    pub identities: Vec<String>,
}

/// What an event says of where it comes from.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Provenance<'a> {
    pub(crate) account: Option<&'a str>,
    pub(crate) topic: Option<&'a str>,
    pub(crate) identity: Option<&'a str>,
}

impl Allowed {
    /// Refuses what is not on the lists. An event that does not say is not on them: who forges leaves things out.
    pub(crate) fn check(&self, from: Provenance<'_>) -> Result<(), Rejected> {
        self.check_log(from)?;
        if is_listed(&self.identities, from.identity, is_identity) {
            return Ok(());
        }
        // an identity may be a mailbox, which is not named
        Err(refused("identity", from.identity.map(domain)))
    }

    /// The same for events of a log, which name no identity.
    pub(crate) fn check_log(&self, from: Provenance<'_>) -> Result<(), Rejected> {
        if !is_listed(&self.accounts, from.account, str::eq_ignore_ascii_case) {
            return Err(refused("account", from.account));
        }
        if !is_listed(&self.topics, from.topic, str::eq_ignore_ascii_case) {
            return Err(refused("topic", from.topic));
        }
        Ok(())
    }
}

fn is_listed(list: &[String], word: Option<&str>, fits: fn(&str, &str) -> bool) -> bool {
    list.is_empty() || word.is_some_and(|word| list.iter().any(|one| fits(one, word)))
}

fn refused(what: &str, known: Option<&str>) -> Rejected {
    let detail = known.map_or_else(
        || format!("it names no {what}, and [allow] lists some"),
        |known| format!("its {what} is not in [allow]: {known}"),
    );
    Rejected::new(Reason::NotAllowed, detail)
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

    fn allowed(account: &str, topic: &str, identity: &str) -> Allowed {
        let list =
            |word: &str| word.split(' ').filter(|w| !w.is_empty()).map(str::to_owned).collect();
        Allowed { accounts: list(account), topics: list(topic), identities: list(identity) }
    }

    fn refused(allowed: &Allowed, account: &str, topic: &str, identity: &str) -> Option<String> {
        let known = |word| Some(word).filter(|word: &&str| !word.is_empty());
        let from =
            Provenance { account: known(account), topic: known(topic), identity: known(identity) };
        allowed.check(from).err().map(|rejected| rejected.detail)
    }

    #[test]
    fn what_is_not_listed_is_refused() {
        let all = Allowed::default();
        assert_eq!(refused(&all, "", "", ""), None);
        let listed = allowed("111111111111 222222222222", "", "example.com boss@other.example");
        for (account, identity, detail) in [
            ("222222222222", "Example.com", None),
            ("111111111111", "news@example.com", None),
            ("111111111111", "boss@other.example", None),
            ("333333333333", "example.com", Some("its account is not in [allow]: 333333333333")),
            ("", "example.com", Some("it names no account, and [allow] lists some")),
            (
                "111111111111",
                "jane@other.example",
                Some("its identity is not in [allow]: other.example"),
            ),
            (
                "111111111111",
                "notexample.com",
                Some("its identity is not in [allow]: notexample.com"),
            ),
            ("111111111111", "", Some("it names no identity, and [allow] lists some")),
        ] {
            assert_eq!(refused(&listed, account, "", identity).as_deref(), detail);
        }
        let topic = allowed("", "arn:aws:sns:us-east-1:111111111111:ses", "");
        assert_eq!(refused(&topic, "", "arn:aws:sns:us-east-1:111111111111:ses", ""), None);
        assert!(refused(&topic, "", "arn:aws:sns:us-east-1:999999999999:ses", "").is_some());
        assert!(refused(&topic, "", "", "").is_some());
    }
}
