//! Whether a recipient's domain can receive mail.

use std::borrow::Cow;

use bouncewatch_classify::likely_domain;
use bouncewatch_schemas::address;

use crate::address_range::is_unreachable;
use crate::answer::{Answer, Lookup, Mx, Question, RecordType, Unanswered};
use crate::catalogue as kinds;
use crate::finding::{Finding, FindingLevel};
use crate::name;

/// Most mail exchangers of which the addresses are looked up.
const HOSTS_MAX: usize = 20;

/// Checks an address or a domain.
pub(crate) fn check(lookup: &dyn Lookup, recipient: &str) -> Vec<Finding> {
    let Some(domain) = domain_of(recipient) else {
        let what = format!("`{recipient}` is neither an email address nor a domain");
        return vec![kinds::RECIPIENT_INVALID.found(what, "Correct the address")];
    };
    let mut findings = check_domain(lookup, &domain);
    if let Some(likely) = likely_domain(&domain) {
        let what = format!("{domain} resembles {likely}: perhaps a typing error");
        let fix = format!("Ask the recipient whether {likely} is meant");
        findings.push(kinds::RECIPIENT_TYPO.found(what, fix));
    }
    if findings.iter().all(|finding| finding.level < FindingLevel::Unknown) {
        findings.push(kinds::RECIPIENT_OK.found(format!("{domain} can receive mail"), ""));
    }
    findings
}

/// The domain in ASCII form. `None` for an address literal and for text that is neither an address nor a domain.
fn domain_of(recipient: &str) -> Option<String> {
    let text = recipient.trim();
    let domain = if text.contains('@') {
        let normal = address::normalise(Cow::Borrowed(text))?;
        address::is_address(&normal).then(|| address::domain(&normal).map(str::to_owned))??
    } else {
        address::normalise_domain(text).into_owned()
    };
    let is_top_label =
        domain.rsplit_once('.').is_some_and(|(_, top)| name::is_top_label(top.as_bytes()));
    (domain.is_ascii() && is_top_label && name::is_queryable(&domain)).then_some(domain)
}

fn unknown(domain: &str, failure: &Unanswered) -> Finding {
    let what = format!("whether {domain} can receive mail could not be checked");
    kinds::RECIPIENT_LOOKUP_FAILED.unanswered(what).with(failure)
}

/// Why a domain accepts no mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoMailReason {
    /// It does not exist (NXDOMAIN).
    NoDomain,
    /// Its only MX record is null (RFC 7505).
    NullMx,
    /// It has neither MX records nor addresses (RFC 5321, section 5.1).
    NoHost,
}

impl NoMailReason {
    /// Returns the reason as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoDomain => "no such domain",
            Self::NullMx => "null MX record",
            Self::NoHost => "no MX record and no address",
        }
    }
}

/// Returns why a domain accepts no mail; `None` if it may accept mail, also if the DNS gave no answer.
pub(crate) fn no_mail_reason(lookup: &dyn Lookup, domain: &str) -> Option<NoMailReason> {
    let question = Question::new(domain, RecordType::Mx)?;
    let answer = lookup.answer(&question);
    if answer.failure().is_some() {
        return None;
    }
    match lookup.exchangers(domain).unwrap_or_default().as_slice() {
        [] if answer == Answer::NxDomain => Some(NoMailReason::NoDomain),
        [] => lookup.addresses(domain).ok()?.is_empty().then_some(NoMailReason::NoHost),
        [only] => only.is_null().then_some(NoMailReason::NullMx),
        _ => None,
    }
}

fn check_domain(lookup: &dyn Lookup, domain: &str) -> Vec<Finding> {
    let Some(question) = Question::new(domain, RecordType::Mx) else { return Vec::new() };
    let answer = lookup.answer(&question);
    if let Some(reason) = answer.failure() {
        return vec![unknown(domain, &Unanswered { question, reason: reason.to_owned() })];
    }
    let exchangers = lookup.exchangers(domain).unwrap_or_default();
    let evidence = exchangers.iter().map(|mx| format!("MX {domain}: {mx}"));
    let findings = match no_mail_reason(lookup, domain) {
        Some(NoMailReason::NoDomain) => {
            let what = format!("{domain} does not exist");
            vec![kinds::RECIPIENT_NO_DOMAIN.found(what, "Correct the address").with("NXDOMAIN")]
        }
        Some(NoMailReason::NullMx) => {
            let what = format!("{domain} accepts no mail: it has a null MX record");
            vec![kinds::RECIPIENT_NULL_MX.found(what, "Remove the address")]
        }
        Some(NoMailReason::NoHost) => {
            let what =
                format!("{domain} has neither MX records nor addresses: it cannot receive mail");
            vec![kinds::RECIPIENT_NO_HOST.found(what, "Correct the address")]
        }
        None if exchangers.is_empty() => without_exchangers(lookup, domain),
        None => check_exchangers(lookup, domain, &exchangers),
    };
    let evidence: Vec<String> = evidence.collect();
    findings.into_iter().map(|finding| finding.with_all(&evidence)).collect()
}

/// Without MX records, mail goes to the addresses of the domain itself.
fn without_exchangers(lookup: &dyn Lookup, domain: &str) -> Vec<Finding> {
    match lookup.addresses(domain) {
        Err(failure) => vec![unknown(domain, &failure)],
        Ok(addresses) => {
            let what = format!(
                "{domain} has no MX record: mail goes to its web or other host, which often refuses it"
            );
            let fix = "Check the spelling of the address";
            vec![kinds::RECIPIENT_IMPLICIT_MX.found(what, fix).with_all(addresses)]
        }
    }
}

/// The state of one mail exchanger.
enum Host {
    Reachable,
    Unreachable,
    Unresolved,
    Unknown,
}

fn check_exchangers(lookup: &dyn Lookup, domain: &str, exchangers: &[Mx]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if exchangers.iter().any(Mx::is_null) {
        let what =
            format!("{domain} has a null MX record beside others: receivers may refuse mail");
        let fix = "The owner of the domain must remove it";
        findings.push(kinds::RECIPIENT_NULL_MX_MIXED.found(what, fix));
    }
    let hosts = exchangers.iter().filter(|mx| !mx.is_null()).take(HOSTS_MAX);
    let states: Vec<(&Mx, Host)> =
        hosts.map(|mx| (mx, check_host(lookup, domain, mx, &mut findings))).collect();
    let count =
        |wanted: fn(&Host) -> bool| states.iter().filter(|(_, state)| wanted(state)).count();
    let unreachable = count(|state| matches!(state, Host::Unreachable));
    let usable = count(|state| matches!(state, Host::Reachable | Host::Unknown));
    // as long as one host may work, the others cost time only
    let level = if usable == 0 { FindingLevel::Critical } else { FindingLevel::Warning };
    if unreachable > 0 {
        let what =
            format!("a mail exchanger of {domain} has a private address, which SES cannot reach");
        let fix = "The owner of the domain must correct the MX records";
        findings.push(kinds::RECIPIENT_MX_PRIVATE.at(level).found(what, fix));
    }
    let is_unresolved =
        |(mx, state): &(&Mx, Host)| matches!(state, Host::Unresolved).then(|| mx.exchange.clone());
    let unresolved: Vec<String> = states.iter().filter_map(is_unresolved).collect();
    if !unresolved.is_empty() {
        let what =
            format!("mail exchangers of {domain} have no address: {}", unresolved.join(", "));
        let fix = "The owner of the domain must correct the MX records";
        findings.push(kinds::RECIPIENT_MX_UNRESOLVED.at(level).found(what, fix));
    }
    findings
}

fn check_host(lookup: &dyn Lookup, domain: &str, mx: &Mx, findings: &mut Vec<Finding>) -> Host {
    let host = &mx.exchange;
    if host.parse::<std::net::IpAddr>().is_ok() {
        let what =
            format!("an MX record of {domain} contains the IP address {host} instead of a name");
        let fix = "The owner of the domain must name a host";
        findings.push(kinds::RECIPIENT_MX_ADDRESS.found(what, fix));
        return Host::Unresolved;
    }
    // look up both before an early return, so that `MissingQuestions` records both
    let (aliases, addresses) = (lookup.targets(host, RecordType::Cname), lookup.addresses(host));
    if let Ok([alias, ..]) = aliases.as_deref() {
        let what = format!(
            "the mail exchanger {host} of {domain} is an alias of {alias}, which some senders refuse"
        );
        let fix = "The owner of the domain must name the host itself";
        findings.push(kinds::RECIPIENT_MX_ALIAS.found(what, fix));
    }
    match addresses {
        Err(failure) => {
            findings.push(unknown(domain, &failure));
            Host::Unknown
        }
        Ok(addresses) if addresses.is_empty() => Host::Unresolved,
        Ok(addresses) if addresses.iter().all(|ip| is_unreachable(*ip)) => Host::Unreachable,
        Ok(_) => Host::Reachable,
    }
}
