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
    if mail_from_domain == domain || !name::is_within(&mail_from_domain, &parent_of(&domain)) {
        let what = format!(
            "the MAIL FROM domain {mail_from_domain} is no subdomain of {domain} or of its parent"
        );
        let fix = format!("Use a subdomain such as bounce.{domain} that nothing else uses");
        findings.push(kinds::MAIL_FROM_NOT_SUBDOMAIN.found(what, fix));
    }
    let (is_used, of_exchangers) = check_exchangers(lookup, &domain, &mail_from_domain, mail_from);
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
    kinds::MAIL_FROM_LOOKUP_FAILED
        .found(what, "Run the check again, or with another DNS server")
        .with(failure)
}

fn check_exchangers(
    lookup: &dyn Lookup,
    domain: &str,
    mail_from_domain: &str,
    mail_from: &MailFrom,
) -> (Option<bool>, Vec<Finding>) {
    let wanted = format!("feedback-smtp.{}.amazonses.com", mail_from.region);
    let record = format!("MX {mail_from_domain} 10 {wanted}");
    // the records of the domain itself show whether the record was put in the wrong place
    let apex = lookup.exchangers(domain);
    let doubled = format!("{mail_from_domain}.{domain}");
    let is_doubled = lookup.exchangers(&doubled).is_ok_and(|exchangers| !exchangers.is_empty());
    let exchangers = match lookup.exchangers(mail_from_domain) {
        Ok(exchangers) => exchangers,
        Err(failure) => return (None, vec![unknown(mail_from_domain, &failure)]),
    };
    let mut findings = Vec::new();
    if let Ok(apex) = &apex
        && domain != mail_from_domain
        && apex.iter().any(|mx| is_feedback_host(&mx.exchange))
    {
        let what = format!(
            "the MX record for the MAIL FROM domain is at {domain}: mail to {domain} is lost"
        );
        let fix = format!("Move it to {mail_from_domain}");
        findings
            .push(kinds::MAIL_FROM_MX_ON_APEX.found(what, fix).with_all(texts_of(domain, apex)));
    }
    let evidence = texts_of(mail_from_domain, &exchangers);
    let consequence = if mail_from.rejects_on_mx_failure {
        "SES sends no mail (REJECT_MESSAGE)"
    } else {
        "SES uses its own MAIL FROM domain, and SPF does not align"
    };
    let faulty = |kind: FindingKind, what: String| {
        let level =
            if mail_from.rejects_on_mx_failure { kind.level } else { FindingLevel::Warning };
        let what = format!("{what}: {consequence}");
        kind.at(level)
            .found(what, format!("Publish exactly one record, {record}; then set the MAIL FROM domain again if SES shows FAILED"))
            .with_all(&evidence)
    };
    let hosts: Vec<&Mx> = exchangers.iter().collect();
    let fault = match hosts.as_slice() {
        [] if is_doubled => Some((
            kinds::MAIL_FROM_NAME_DOUBLED,
            format!("the MX record is at {doubled}: the domain occurs twice in its name"),
        )),
        [] => Some((kinds::MAIL_FROM_MX_MISSING, format!("{mail_from_domain} has no MX record"))),
        [mx] if mx.exchange == wanted => None,
        [mx] if mx.exchange.starts_with("feedback-smtp.")
            && mx.exchange.ends_with(".amazonaws.com") =>
        {
            Some((
                kinds::MAIL_FROM_MX_SUFFIX,
                format!(
                    "the MX record of {mail_from_domain} ends in amazonaws.com instead of amazonses.com"
                ),
            ))
        }
        [mx] if is_feedback_host(&mx.exchange) => Some((
            kinds::MAIL_FROM_MX_REGION,
            format!(
                "the MX record of {mail_from_domain} is for another region than {}",
                mail_from.region
            ),
        )),
        [_] => Some((
            kinds::MAIL_FROM_MX_OTHER,
            format!("the MX record of {mail_from_domain} points to another host"),
        )),
        _ => Some((
            kinds::MAIL_FROM_SECOND_MX,
            format!(
                "{mail_from_domain} has {} MX records, but SES requires exactly one",
                hosts.len()
            ),
        )),
    };
    let is_used = Some(fault.is_none());
    findings.extend(fault.map(|(kind, what)| faulty(kind, what)));
    (is_used, findings)
}

fn is_feedback_host(host: &str) -> bool {
    host.starts_with("feedback-smtp.") && host.ends_with(".amazonses.com")
}

fn texts_of(domain: &str, exchangers: &[Mx]) -> Vec<String> {
    exchangers.iter().map(|mx| format!("MX {domain}: {mx}")).collect()
}

fn check_spf(lookup: &dyn Lookup, mail_from_domain: &str) -> (Option<bool>, Vec<Finding>) {
    let mut report = spf::lint(lookup, mail_from_domain);
    let includes_ses =
        report.tree.as_ref().is_some_and(|tree| tree.domains.iter().any(|d| d == SES_SPF_DOMAIN));
    let passes = report.is_usable().map(|is_usable| is_usable && includes_ses);
    report.findings.retain(|finding| finding.id != kinds::SPF_MISSING.id);
    if passes == Some(false) {
        let what = format!("SPF of the MAIL FROM domain {mail_from_domain} does not pass for SES");
        let fix =
            format!("Publish TXT {mail_from_domain} \"v=spf1 include:{SES_SPF_DOMAIN} ~all\"");
        report.findings.push(kinds::MAIL_FROM_SPF.found(what, fix));
    }
    (passes, report.findings)
}
