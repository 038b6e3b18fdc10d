//! Whether mail of a sender passes DMARC: alignment of the domains that SES authenticates (RFC 9989, section 4.4).

use super::mail_from::SES_SPF_DOMAIN;
use crate::answer::{Lookup, Unanswered};
use crate::catalogue as kinds;
use crate::dmarc::{AlignmentMode, DmarcDiscovery, DmarcPolicy, organizational};
use crate::finding::{Finding, FindingLevel};
use crate::name;
use crate::request::Sender;

/// Whether SPF and DKIM of a sender pass with a domain that aligns; `None` if unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Alignment {
    pub(crate) spf: Option<bool>,
    pub(crate) dkim: Option<bool>,
}

impl Alignment {
    /// Whether one of them aligns.
    pub(crate) fn any(self) -> Option<bool> {
        match (self.spf, self.dkim) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        }
    }
}

/// Whether the records of a sender are correct; `None` if unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Authentication {
    /// The MAIL FROM domain.
    pub(crate) mail_from: Option<bool>,
    /// The DKIM keys.
    pub(crate) dkim: Option<bool>,
}

/// Compares the domains that SES authenticates with the From domain.
pub(crate) fn check(
    lookup: &dyn Lookup,
    sender: &Sender,
    dmarc: &DmarcDiscovery,
    authentication: Authentication,
) -> (Alignment, Vec<Finding>) {
    let domain = name::of_domain(&sender.domain);
    let record = dmarc.found.as_ref().map(|found| &found.record);
    let spf_mode = record.map_or(AlignmentMode::Relaxed, |record| record.spf_alignment);
    let dkim_mode = record.map_or(AlignmentMode::Relaxed, |record| record.dkim_alignment);
    let mail_from = sender.identity.mail_from.as_ref().filter(|mail_from| !mail_from.is_unused);
    let spf_domain = mail_from.map(|mail_from| mail_from.domain.clone());
    let dkim_domain = signing_domain(sender);
    let mut failures = Vec::new();
    // without a custom MAIL FROM domain and without DKIM, SES authenticates amazonses.com
    let mut aligns = |other: Option<&String>, mode| match other {
        // without a policy no organizational domain can be found; a domain and its subdomain will align
        Some(other) if record.is_none() && dmarc.unanswered.is_empty() => {
            let other = name::of_domain(other);
            Some(name::is_within(&other, &domain) || name::is_within(&domain, &other))
        }
        Some(other) => relation(lookup, &domain, &name::of_domain(other), mode)
            .map_err(|failure| failures.push(failure))
            .ok(),
        None => Some(false),
    };
    let spf_aligns = aligns(spf_domain.as_ref(), spf_mode);
    let dkim_aligns = aligns(dkim_domain.as_ref(), dkim_mode);
    let alignment = Alignment {
        spf: both(spf_aligns, authentication.mail_from),
        dkim: both(dkim_aligns, authentication.dkim),
    };
    let or_ses = |domain: Option<String>| domain.unwrap_or_else(|| SES_SPF_DOMAIN.to_owned());
    let evidence = [
        format!("From domain: {domain}"),
        format!("MAIL FROM domain: {}", or_ses(spf_domain.clone())),
        format!("DKIM domain: {}", or_ses(dkim_domain.clone())),
    ];
    let is_enforced = matches!(dmarc.policy(), Some(DmarcPolicy::Quarantine | DmarcPolicy::Reject));
    let mut findings =
        vec![summary(&domain, alignment, is_enforced).with_all(evidence).with_all(&failures)];
    if spf_aligns == Some(false) && spf_domain.is_some() && spf_mode == AlignmentMode::Strict {
        let what = format!(
            "aspf=s: SPF never aligns with {domain}, because the MAIL FROM domain is a subdomain"
        );
        findings.push(kinds::ALIGNMENT_SPF_STRICT.found(what, "Remove `aspf=s`, or rely on DKIM"));
    }
    if dkim_aligns == Some(false) && dkim_domain.is_some() && dkim_mode == AlignmentMode::Strict {
        let what = format!("adkim=s: DKIM of the identity does not align with {domain}");
        let fix = format!("Remove `adkim=s`, or verify {domain} as an identity of its own");
        findings.push(kinds::ALIGNMENT_DKIM_STRICT.found(what, fix));
    }
    (alignment, findings)
}

/// Whether both hold; `None` if unknown.
pub(crate) fn both(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

/// The domain in the signature: that of the identity, if it signs.
fn signing_domain(sender: &Sender) -> Option<String> {
    let domain = name::after_at(&sender.identity.name);
    sender.identity.dkim.as_ref().filter(|dkim| dkim.is_signing).map(|_| domain.to_owned())
}

fn relation(
    lookup: &dyn Lookup,
    domain: &str,
    other: &str,
    mode: AlignmentMode,
) -> Result<bool, Unanswered> {
    if domain == other || mode == AlignmentMode::Strict {
        return Ok(domain == other);
    }
    let domains = [domain, other].map(|domain| organizational(lookup, domain));
    let [own, other] = domains;
    Ok(own? == other?)
}

fn summary(domain: &str, alignment: Alignment, is_enforced: bool) -> Finding {
    match (alignment.spf, alignment.dkim) {
        (Some(true), Some(true)) => {
            let what = format!("mail from {domain} can pass DMARC by SPF and by DKIM");
            kinds::ALIGNMENT_OK.found(what, "")
        }
        (Some(false), Some(false)) => {
            let what = format!(
                "mail from {domain} fails DMARC: neither SPF nor DKIM passes with a domain that aligns"
            );
            let fix = format!(
                "Verify {domain} as a domain identity with DKIM, and set a MAIL FROM domain below it"
            );
            // without a policy that is enforced receivers accept it
            let level = if is_enforced { FindingLevel::Critical } else { FindingLevel::Warning };
            kinds::ALIGNMENT_NONE.at(level).found(what, fix)
        }
        (Some(true), None) => of_one(domain, "SPF", "DKIM"),
        (None, Some(true)) => of_one(domain, "DKIM", "SPF"),
        (Some(_), Some(_)) => {
            let (one, other) =
                if alignment.dkim == Some(true) { ("DKIM", "SPF") } else { ("SPF", "DKIM") };
            let what = format!("mail from {domain} can pass DMARC by {one} alone");
            let fix = format!(
                "Repair {other} too: one of the two can fail, for example SPF at forwarders"
            );
            kinds::ALIGNMENT_ONE.found(what, fix)
        }
        _ => {
            let what = format!("whether mail from {domain} can pass DMARC could not be checked");
            kinds::ALIGNMENT_UNKNOWN.unanswered(what)
        }
    }
}

/// One aligns, the other one is unknown.
fn of_one(domain: &str, one: &str, other: &str) -> Finding {
    let what = format!("mail from {domain} can pass DMARC by {one}; {other} could not be checked");
    kinds::ALIGNMENT_OK.found(what, "")
}
