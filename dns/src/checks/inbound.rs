//! The records of a domain that receives mail with WorkMail or Exchange Online.

use super::mail_from::SES_SPF_DOMAIN;
use crate::answer::{Lookup, Mx, RecordType, Unanswered};
use crate::catalogue as kinds;
use crate::finding::{Finding, FindingLevel};
use crate::name;
use crate::request::{Inbound, InboundService};
use crate::spf;

/// Domain of the SPF record that lists the addresses of Exchange Online.
const EXCHANGE_SPF_DOMAIN: &str = "spf.protection.outlook.com";

/// Checks the MX records, SPF for mail from the mailboxes, and autodiscover.
pub(crate) fn check(lookup: &dyn Lookup, inbound: &Inbound) -> Vec<Finding> {
    let domain = name::of_domain(&inbound.domain);
    let service = &inbound.service;
    let mut findings = match lookup.exchangers(&domain) {
        Ok(exchangers) => check_exchangers(&domain, service, &exchangers),
        Err(failure) => vec![unknown(&domain, &failure)],
    };
    findings.extend(check_spf(lookup, &domain, service));
    findings.extend(check_autodiscover(lookup, &domain, service));
    if findings.iter().all(|finding| finding.level < FindingLevel::Unknown) {
        let what = format!("mail to {domain} is routed to {}", service_name(service));
        findings.push(kinds::INBOUND_OK.found(what, ""));
    }
    for finding in findings.iter_mut().filter(|finding| finding.id.starts_with("dns.inbound_")) {
        finding.source = source(service);
    }
    findings
}

fn unknown(domain: &str, failure: &Unanswered) -> Finding {
    let what = format!("the records for mail to {domain} could not be checked");
    kinds::INBOUND_LOOKUP_FAILED.unanswered(what).with(failure)
}

/// The page of the service about its records.
fn source(service: &InboundService) -> &'static str {
    match service {
        InboundService::WorkMail { .. } => kinds::WORKMAIL,
        InboundService::ExchangeOnline => kinds::EXCHANGE,
    }
}

fn service_name(service: &InboundService) -> &'static str {
    match service {
        InboundService::WorkMail { .. } => "WorkMail",
        InboundService::ExchangeOnline => "Exchange Online",
    }
}

/// Whether a host is the one of the service.
fn is_host_of(service: &InboundService, host: &str) -> bool {
    match service {
        InboundService::WorkMail { region } => host == work_mail_host(region),
        InboundService::ExchangeOnline => {
            host.ends_with(".mail.protection.outlook.com") || host.ends_with(".mx.microsoft")
        }
    }
}

fn work_mail_host(region: &str) -> String {
    format!("inbound-smtp.{region}.amazonaws.com")
}

/// The MX record that the service requires.
fn wanted(domain: &str, service: &InboundService) -> String {
    match service {
        InboundService::WorkMail { region } => {
            format!("MX {domain} 10 {}", work_mail_host(region))
        }
        InboundService::ExchangeOnline => format!(
            "the MX record that the Microsoft 365 admin center shows, \
             such as MX {domain} 0 {}.mail.protection.outlook.com",
            domain.replace('.', "-")
        ),
    }
}

fn check_exchangers(domain: &str, service: &InboundService, exchangers: &[Mx]) -> Vec<Finding> {
    let (own, others): (Vec<&Mx>, Vec<&Mx>) =
        exchangers.iter().partition(|mx| is_host_of(service, &mx.exchange));
    let evidence: Vec<String> = exchangers.iter().map(|mx| format!("MX {domain}: {mx}")).collect();
    let service_name = service_name(service);
    let fix = format!("Publish {}, and no other MX record", wanted(domain, service));
    let Some(first) = own.first() else {
        let near = others.iter().find_map(|mx| near_miss(service, &mx.exchange));
        let finding = match near {
            Some((kind, what)) => kind.found(format!("{what}: mail does not arrive there"), fix),
            None if others.iter().all(|mx| mx.is_null()) => kinds::INBOUND_MX_MISSING
                .found(format!("{domain} has no MX record: mail does not arrive"), fix),
            None => {
                let what = format!(
                    "{domain} has no MX record of {service_name}: mail arrives there only if the other host forwards it"
                );
                let fix = format!("{fix}. If a filtering gateway forwards mail, ignore this");
                kinds::INBOUND_MX_MISSING.at(FindingLevel::Warning).found(what, fix)
            }
        };
        return vec![finding.with_all(evidence)];
    };
    let before = others.iter().any(|mx| mx.preference <= first.preference);
    let finding = match others.as_slice() {
        [] => return Vec::new(),
        _ if before => {
            let what = format!(
                "another MX record of {domain} is tried before or with that of {service_name}"
            );
            let fix = format!("{fix}. If a filtering gateway is in front on purpose, ignore this");
            kinds::INBOUND_MX_FIRST.found(what, fix)
        }
        _ => {
            let what = format!(
                "{domain} has further MX records: mail that they accept does not reach {service_name}"
            );
            kinds::INBOUND_MX_OTHER.found(what, fix)
        }
    };
    vec![finding.with_all(evidence)]
}

/// A host of WorkMail with the wrong suffix or region.
fn near_miss(
    service: &InboundService,
    host: &str,
) -> Option<(crate::finding::FindingKind, String)> {
    let InboundService::WorkMail { region } = service else { return None };
    let rest = host.strip_prefix("inbound-smtp.")?;
    if rest.ends_with(".amazonses.com") {
        let what = format!("the MX record {host} ends in amazonses.com instead of amazonaws.com");
        return Some((kinds::INBOUND_MX_SUFFIX, what));
    }
    rest.ends_with(".amazonaws.com").then(|| {
        let what = format!("the MX record {host} is for another region than {region}");
        (kinds::INBOUND_MX_REGION, what)
    })
}

/// Mail from the mailboxes has the domain as envelope sender, so SPF of the domain must include the service.
fn check_spf(lookup: &dyn Lookup, domain: &str, service: &InboundService) -> Vec<Finding> {
    let include = match service {
        InboundService::WorkMail { .. } => SES_SPF_DOMAIN,
        InboundService::ExchangeOnline => EXCHANGE_SPF_DOMAIN,
    };
    let mut report = spf::lint(lookup, domain);
    if !report.includes(include) && !report.is_unknown() {
        report.findings.retain(|finding| finding.id != kinds::SPF_MISSING.id);
        let service = service_name(service);
        let what =
            format!("SPF of {domain} does not include {include}: mail from {service} fails SPF");
        let fix = format!("Add `include:{include}` to the SPF record of {domain}");
        report.findings.push(kinds::INBOUND_SPF.found(what, fix));
    }
    report.findings
}

fn check_autodiscover(
    lookup: &dyn Lookup,
    domain: &str,
    service: &InboundService,
) -> Option<Finding> {
    let at = format!("autodiscover.{domain}");
    let target = match service {
        InboundService::WorkMail { region } => format!("autodiscover.mail.{region}.awsapps.com"),
        InboundService::ExchangeOnline => "autodiscover.outlook.com".to_owned(),
    };
    let aliases = match lookup.targets(&at, RecordType::Cname) {
        Ok(aliases) => aliases,
        Err(failure) => return Some(unknown(domain, &failure)),
    };
    if aliases.contains(&target) {
        return None;
    }
    let what =
        format!("{at} is not an alias of {target}: mail programs cannot configure themselves");
    let finding = kinds::INBOUND_AUTODISCOVER
        .found(what, format!("Publish CNAME {at} -> {target}"))
        .with_all(aliases.iter().map(|alias| format!("CNAME {at} -> {alias}")));
    Some(match service {
        InboundService::WorkMail { .. } => {
            finding.assuming("no page of AWS states the name of the WorkMail host")
        }
        InboundService::ExchangeOnline => finding,
    })
}
