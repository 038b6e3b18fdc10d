//! The custom MAIL FROM domain of an SES identity.

use crate::answer::{Lookup, Mx, Unanswered};
use crate::catalogue as kinds;
use crate::finding::{Finding, FindingKind, FindingLevel};
use crate::name;
use crate::request::MailFrom;
use crate::spf;

/// Domain of the SPF record that lists the addresses of SES.
pub(crate) const SES_SPF_DOMAIN: &str = "amazonses.com";

/// What the records of a MAIL FROM domain mean for mail; `None` if unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MailFromState {
    /// SES uses the domain; otherwise amazonses.com.
    pub(crate) is_used: Option<bool>,
    /// SPF of the domain passes for SES.
    pub(crate) spf: Option<bool>,
}

/// Checks the MX and SPF records of a MAIL FROM domain. `domain` is the domain of the identity.
pub(crate) fn check(
    lookup: &dyn Lookup,
    domain: &str,
    mail_from: &MailFrom,
) -> (MailFromState, Vec<Finding>) {
    let mail_from_domain = name::of_domain(&mail_from.domain);
    let mut findings = Vec::new();
    if mail_from_domain == domain || !name::is_within(&mail_from_domain, &parent_of(domain)) {
        let what = format!(
            "the MAIL FROM domain {mail_from_domain} is not a subdomain of {domain} or of its parent"
        );
        let fix = format!("Use a subdomain such as bounce.{domain} that nothing else uses");
        findings.push(kinds::MAIL_FROM_NOT_SUBDOMAIN.found(what, fix));
    }
    let (is_used, of_exchangers) = check_exchangers(lookup, domain, &mail_from_domain, mail_from);
    let (spf, of_spf) = check_spf(lookup, &mail_from_domain);
    findings.extend(of_exchangers.into_iter().chain(of_spf));
    if findings.iter().all(|finding| finding.level < FindingLevel::Unknown) {
        let what = format!("the records of the MAIL FROM domain {mail_from_domain} are correct");
        findings.push(kinds::MAIL_FROM_OK.found(what, ""));
    }
    (MailFromState { is_used, spf }, findings)
}

/// The parent of a domain if it can be a verified identity, else the domain.
fn parent_of(domain: &str) -> String {
    let parent = name::parent(domain).filter(|parent| parent.contains('.'));
    parent.unwrap_or(domain).to_owned()
}

fn unknown(domain: &str, failure: &Unanswered) -> Finding {
    let what = format!("the records of the MAIL FROM domain {domain} could not be checked");
    kinds::MAIL_FROM_LOOKUP_FAILED.unanswered(what).with(failure)
}

fn check_exchangers(
    lookup: &dyn Lookup,
    domain: &str,
    mail_from_domain: &str,
    mail_from: &MailFrom,
) -> (Option<bool>, Vec<Finding>) {
    let wanted = format!("feedback-smtp.{}.amazonses.com", mail_from.region);
    // the records of other names show whether the record was put in the wrong place
    let on_apex = check_apex(lookup, domain, mail_from_domain);
    let doubled = format!("{mail_from_domain}.{domain}");
    let is_doubled = || {
        let is_feedback = |mx: &Mx| is_feedback_host(&mx.exchange);
        lookup.exchangers(&doubled).is_ok_and(|exchangers| exchangers.iter().any(is_feedback))
    };
    let exchangers = match lookup.exchangers(mail_from_domain) {
        Ok(exchangers) => exchangers,
        Err(failure) => return (None, vec![unknown(mail_from_domain, &failure)]),
    };
    let fault = match exchangers.as_slice() {
        [] if is_doubled() => Some((
            kinds::MAIL_FROM_NAME_DOUBLED,
            format!("the MX record is at {doubled}, with the domain twice in its name"),
        )),
        exchangers => fault_of(mail_from_domain, exchangers, &wanted),
    };
    let is_used = fault.is_none();
    let of_fault = |(kind, what): (FindingKind, String)| {
        let (level, consequence) = if mail_from.rejects_on_mx_failure {
            (kind.level, "SES sends no mail (REJECT_MESSAGE)")
        } else {
            let consequence = "SES uses its own MAIL FROM domain, and SPF does not align";
            (FindingLevel::Warning, consequence)
        };
        let fix = format!(
            "Publish exactly one record, MX {mail_from_domain} 10 {wanted}; \
             then set the MAIL FROM domain again if SES shows FAILED"
        );
        let finding = kind.at(level).found(format!("{what}: {consequence}"), fix);
        finding.with_all(texts_of(mail_from_domain, &exchangers))
    };
    (Some(is_used), on_apex.into_iter().chain(fault.map(of_fault)).collect())
}

/// The MX record for the MAIL FROM domain at the domain of the identity.
fn check_apex(lookup: &dyn Lookup, domain: &str, mail_from_domain: &str) -> Option<Finding> {
    let exchangers = lookup.exchangers(domain).ok()?;
    let is_misplaced =
        domain != mail_from_domain && exchangers.iter().any(|mx| is_feedback_host(&mx.exchange));
    is_misplaced.then(|| {
        let what = format!(
            "the MX record for the MAIL FROM domain is at {domain}: mail to {domain} is lost"
        );
        let finding =
            kinds::MAIL_FROM_MX_ON_APEX.found(what, format!("Move it to {mail_from_domain}"));
        finding.with_all(texts_of(domain, &exchangers))
    })
}

/// What is wrong with the MX records of a MAIL FROM domain.
fn fault_of(domain: &str, exchangers: &[Mx], wanted: &str) -> Option<(FindingKind, String)> {
    let [mx] = exchangers else {
        let count = exchangers.len();
        return Some(if count == 0 {
            (kinds::MAIL_FROM_MX_MISSING, format!("{domain} has no MX record"))
        } else {
            let what = format!("{domain} has {count} MX records, but SES requires exactly one");
            (kinds::MAIL_FROM_SECOND_MX, what)
        });
    };
    let host = mx.exchange.as_str();
    let (kind, what) = if host == wanted {
        return None;
    } else if host.starts_with("feedback-smtp.") && host.ends_with(".amazonaws.com") {
        (kinds::MAIL_FROM_MX_SUFFIX, "ends in amazonaws.com instead of amazonses.com")
    } else if is_feedback_host(host) {
        (kinds::MAIL_FROM_MX_REGION, "is for another region than that of the account")
    } else {
        (kinds::MAIL_FROM_MX_OTHER, "points to another host")
    };
    Some((kind, format!("the MX record of {domain} {what}")))
}

fn is_feedback_host(host: &str) -> bool {
    host.starts_with("feedback-smtp.") && host.ends_with(".amazonses.com")
}

fn texts_of(domain: &str, exchangers: &[Mx]) -> Vec<String> {
    exchangers.iter().map(|mx| format!("MX {domain}: {mx}")).collect()
}

fn check_spf(lookup: &dyn Lookup, mail_from_domain: &str) -> (Option<bool>, Vec<Finding>) {
    let mut report = spf::lint(lookup, mail_from_domain);
    let passes = report.passes_for(SES_SPF_DOMAIN);
    report.findings.retain(|finding| finding.id != kinds::SPF_MISSING.id);
    if passes == Some(false) {
        let what = format!(
            "SPF of the MAIL FROM domain {mail_from_domain} does not include {SES_SPF_DOMAIN}, or is a permerror: \
             mail of SES fails SPF"
        );
        let fix =
            format!("Publish TXT {mail_from_domain} \"v=spf1 include:{SES_SPF_DOMAIN} ~all\"");
        report.findings.push(kinds::MAIL_FROM_SPF.found(what, fix));
    } else if passes == Some(true) {
        // only hosts of the later terms fail, and no other host uses the domain
        let late = report.findings.iter_mut();
        for finding in late.filter(|finding| finding.id == kinds::SPF_TOO_MANY_LOOKUPS.id) {
            finding.level = FindingLevel::Warning;
        }
    }
    (passes, report.findings)
}
