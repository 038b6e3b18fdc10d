//! All checks of a request.

use crate::answer::Lookup;
use crate::catalogue as kinds;
use crate::checks::alignment::{self, Authentication, both};
use crate::checks::bulk::{self, BulkFacts};
use crate::checks::mail_from::{self, MailFromState};
use crate::checks::{dkim, from_domain, inbound, recipient, record, relay, transport};
use crate::dmarc;
use crate::finding::{Finding, FindingLevel};
use crate::name;
use crate::request::{Identity, Request, Sender};
use crate::spf;

/// The findings of all checks of a request, in its order.
///
/// The function does no I/O: its result depends on the answers alone.
pub fn judge(lookup: &dyn Lookup, request: &Request) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |subject: &str, found: Vec<Finding>| {
        findings.extend(found.into_iter().map(|finding| finding.about(subject)));
    };
    for sender in &request.senders {
        let mut found = judge_sender(lookup, sender);
        if sender.is_unverified {
            limit(&mut found, FindingLevel::Warning);
        }
        add(&sender.domain, found);
    }
    for domain in &request.inbound {
        add(&domain.domain, inbound::check(lookup, domain));
        add(&domain.domain, transport::check(lookup, &domain.domain));
    }
    for address in &request.recipients {
        add(address, recipient::check(lookup, address));
    }
    for host in &request.relays {
        add(&host.ip.to_string(), relay::check(lookup, host));
    }
    for required in &request.records {
        add(&required.name, record::check(lookup, required).into_iter().collect());
    }
    without_copies(findings)
}

/// Each finding once, at its worst level: a domain that sends and receives has the same record for both.
fn without_copies(findings: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::with_capacity(findings.len());
    for finding in findings {
        let is_same = |other: &&mut Finding| {
            (other.id, &other.subject, &other.what) == (finding.id, &finding.subject, &finding.what)
        };
        match kept.iter_mut().find(is_same) {
            Some(other) if other.level < finding.level => *other = finding,
            Some(_) => {}
            None => kept.push(finding),
        }
    }
    kept
}

/// Lowers worse levels.
fn limit(findings: &mut [Finding], level: FindingLevel) {
    for finding in findings {
        finding.level = finding.level.min(level);
    }
}

/// Whether keys work: `None` if a finding is unknown and none is critical.
fn works(findings: &[Finding]) -> Option<bool> {
    let has = |level| findings.iter().any(|finding| finding.level == level);
    if has(FindingLevel::Critical) {
        Some(false)
    } else {
        (!has(FindingLevel::Unknown)).then_some(true)
    }
}

fn judge_sender(lookup: &dyn Lookup, sender: &Sender) -> Vec<Finding> {
    let domain = name::of_domain(&sender.domain);
    let Identity { name, dkim, mail_from } = &sender.identity;
    let identity = name::of_domain(name::after_at(name));
    let mut findings = from_domain::check(lookup, &domain);
    findings.extend(from_domain_spf(lookup, &domain));
    let state = if let Some(mail_from) = mail_from {
        let (state, found) = mail_from::check(lookup, &identity, mail_from);
        findings.extend(found);
        MailFromState {
            is_used: if mail_from.is_unused { Some(false) } else { state.is_used },
            ..state
        }
    } else {
        findings.push(default_mail_from(&identity));
        MailFromState { is_used: Some(false), spf: None }
    };
    let mut signs = Some(false);
    if let Some(dkim) = dkim {
        let mut found = dkim::check(lookup, &identity, dkim);
        // without keys of its own an identity is signed by amazonses.com, which aligns with nothing
        signs = match (dkim.is_signing, &dkim.keys) {
            (true, Some(_)) => works(&found),
            (true, None) => None,
            (false, _) => Some(false),
        };
        if !dkim.is_signing {
            limit(&mut found, FindingLevel::Warning);
        }
        findings.extend(found);
    }
    let (discovery, found) = dmarc::lint(lookup, &domain);
    findings.extend(found);
    let authentication = Authentication { mail_from: both(state.is_used, state.spf), dkim: signs };
    let (aligned, found) = alignment::check(lookup, sender, &discovery, authentication);
    findings.extend(found);
    if sender.is_bulk {
        // the default MAIL FROM domain of SES always has SPF
        let spf = match state {
            MailFromState { is_used: Some(false), .. } => Some(true),
            MailFromState { is_used: Some(true), spf } => spf,
            MailFromState { is_used: None, spf } => spf.filter(|passes| *passes),
        };
        let facts = BulkFacts::new(spf, signs, &discovery, aligned);
        findings.extend(bulk::check(&domain, facts, sender.is_bulk_assumed));
    }
    findings
}

fn default_mail_from(identity: &str) -> Finding {
    let what = format!(
        "{identity} has no custom MAIL FROM domain: SPF passes for amazonses.com, which does not align"
    );
    let fix =
        format!("Set a MAIL FROM domain such as bounce.{identity}; with DKIM this is optional");
    kinds::MAIL_FROM_DEFAULT.found(what, fix)
}

/// The record of the From domain. SES does not use it as envelope sender: no fault of it stops mail of SES.
fn from_domain_spf(lookup: &dyn Lookup, domain: &str) -> Vec<Finding> {
    let mut report = spf::lint(lookup, domain);
    let has_record = report.tree.is_some();
    if has_record && !report.includes(mail_from::SES_SPF_DOMAIN) && !report.is_unknown() {
        let what = format!("SPF of {domain} does not include {}", mail_from::SES_SPF_DOMAIN);
        let fix = "Nothing for SES itself, which uses the MAIL FROM domain. If WorkMail or an SMTP relay sends \
                   through SES with this envelope sender, add the include";
        report.findings.push(kinds::SPF_WITHOUT_SES.found(what, fix));
    }
    limit(&mut report.findings, FindingLevel::Warning);
    report.findings
}
