//! Faults of the DMARC record that applies to a domain.

use super::discovery::{DmarcDiscovery, DmarcRecordAt, discover, organizational};
use super::record::{DmarcFault, DmarcPolicy, is_dmarc};
use crate::answer::Lookup;
use crate::catalogue as kinds;
use crate::finding::{Finding, FindingLevel};

/// Most faults of a record that are reported.
const FAULTS_MAX: usize = 20;
/// Most receivers of reports of which the consent is looked up.
const REPORT_HOSTS_MAX: usize = 10;

/// Reads the record that applies to a From domain, and looks for faults.
pub(crate) fn lint(lookup: &dyn Lookup, domain: &str) -> (DmarcDiscovery, Vec<Finding>) {
    let discovery = discover(lookup, domain);
    let mut findings = Vec::new();
    if !discovery.unanswered.is_empty() {
        let what = format!("DMARC of {domain} could not be checked: a lookup failed");
        findings.push(kinds::DMARC_LOOKUP_FAILED.unanswered(what).with_all(&discovery.unanswered));
    }
    for several in &discovery.several {
        let what =
            format!("_dmarc.{several} has several DMARC records: receivers ignore all of them");
        findings.push(kinds::DMARC_TWO_RECORDS.found(what, "Remove all but one"));
    }
    match &discovery.found {
        Some(found) => lint_record(lookup, domain, &discovery, found, &mut findings),
        None if !discovery.unanswered.is_empty() || !discovery.several.is_empty() => {}
        None => findings.push(without_record(domain, &discovery.unrecognised)),
    }
    if let Some(found) = &discovery.found
        && findings.iter().all(|finding| finding.level < FindingLevel::Unknown)
    {
        let policy = discovery.policy().map_or("none", DmarcPolicy::as_str);
        let what = format!(
            "the DMARC record of {} applies to {domain} with policy {policy}",
            found.domain
        );
        findings.push(kinds::DMARC_OK.found(what, "").with(record_text(found)));
    }
    (discovery, findings)
}

fn record_text(found: &DmarcRecordAt) -> String {
    format!("TXT _dmarc.{}: {}", found.domain, found.text)
}

fn without_record(domain: &str, texts: &[String]) -> Finding {
    let is_meant = |text: &&String| text.to_ascii_lowercase().contains("dmarc");
    match texts.iter().find(is_meant) {
        Some(text) => kinds::DMARC_NOT_RECOGNISED
            .found(
                format!("the text record at _dmarc.{domain} is not a valid DMARC record"),
                "Start the record with exactly `v=DMARC1;`: capital letters, no space or quote before it",
            )
            .with(format!("TXT _dmarc.{domain}: {text}")),
        None => kinds::DMARC_MISSING.found(
            format!("neither {domain} nor a domain above it has a DMARC record"),
            format!(
                "Publish TXT _dmarc.{domain} \"v=DMARC1; p=none; rua=mailto:ADDRESS\"; \
                 bulk senders need it at Gmail, Yahoo and Microsoft"
            ),
        ),
    }
}

fn lint_record(
    lookup: &dyn Lookup,
    domain: &str,
    discovery: &DmarcDiscovery,
    found: &DmarcRecordAt,
    findings: &mut Vec<Finding>,
) {
    let at = format!("_dmarc.{}", found.domain);
    let start = findings.len();
    match discovery.policy() {
        None => {
            let what =
                format!("{at} has no valid policy and no report address: DMARC does not apply");
            findings
                .push(kinds::DMARC_WITHOUT_POLICY.found(what, "Add `p=none` or a stricter policy"));
        }
        Some(DmarcPolicy::None) => {
            let what = format!("the policy for {domain} is none: receivers only send reports");
            let fix = "If the reports show no message of yours that fails, use `p=quarantine`, then `p=reject`";
            findings.push(kinds::DMARC_POLICY_NONE.found(what, fix));
        }
        Some(_) => {}
    }
    if found.record.is_testing {
        let what = format!("{at} has t=y: receivers apply a milder policy");
        findings.push(kinds::DMARC_TESTING.found(what, "Remove `t=y` when the test is over"));
    }
    if found.record.aggregate_reports.is_empty() {
        let what = format!("{at} names no valid address for aggregate reports");
        findings.push(kinds::DMARC_NO_REPORTS.found(what, "Add `rua=mailto:ADDRESS`"));
    }
    let faults = found.record.faults.iter().take(FAULTS_MAX);
    findings.extend(faults.map(|fault| of_fault(&at, fault)));
    let reports = found.record.aggregate_reports.iter().chain(&found.record.failure_reports);
    let mut hosts: Vec<String> = reports
        .filter_map(|address| address.rsplit_once('@'))
        .map(|(_, host)| host.to_ascii_lowercase())
        .collect();
    hosts.sort();
    hosts.dedup();
    for host in hosts.into_iter().take(REPORT_HOSTS_MAX) {
        findings.extend(of_report_host(lookup, &found.domain, &host));
    }
    let of_record = findings.split_off(start);
    findings.extend(of_record.into_iter().map(|finding| finding.with(record_text(found))));
}

fn of_fault(at: &str, fault: &DmarcFault) -> Finding {
    let invalid = |what: String| kinds::DMARC_INVALID_TAG.found(what, "Correct or remove it");
    match fault {
        DmarcFault::InvalidValue(tag, value) => {
            invalid(format!("{at}: `{value}` is not a valid value of `{tag}`; receivers ignore it"))
        }
        DmarcFault::Malformed(text) => invalid(format!("{at}: `{text}` is not a tag with a value")),
        DmarcFault::InvalidUri(uri) => {
            invalid(format!("{at}: `{uri}` is not a `mailto:` address; no reports are sent to it"))
        }
        DmarcFault::Duplicate(tag) => kinds::DMARC_DUPLICATE_TAG.found(
            format!("{at}: `{tag}` occurs twice; receivers may ignore the record"),
            "Remove one of them",
        ),
        DmarcFault::Removed(tag) => kinds::DMARC_REMOVED_TAG.found(
            format!("{at}: RFC 9989 removed `{tag}`; receivers ignore it"),
            if tag == "pct" { "Remove it; use `t=y` to test a policy" } else { "Remove it" },
        ),
        DmarcFault::Unknown(tag) => kinds::DMARC_UNKNOWN_TAG.found(
            format!("{at}: receivers ignore the unknown tag `{tag}`"),
            "Check its spelling, or remove it",
        ),
    }
}

/// A receiver of reports outside the organization must agree to them.
fn of_report_host(lookup: &dyn Lookup, domain: &str, host: &str) -> Option<Finding> {
    let name = format!("{domain}._report._dmarc.{host}");
    let failed = |failure| {
        let what = format!("whether {host} accepts reports about {domain} could not be checked");
        Some(kinds::DMARC_LOOKUP_FAILED.unanswered(what).with(failure))
    };
    // look up all before an early return, so that `MissingQuestions` records each
    let domains = [domain, host].map(|domain| organizational(lookup, domain));
    let texts = lookup.texts(&name);
    match domains {
        [Ok(own), Ok(other)] if own == other => return None,
        [Err(failure), _] | [_, Err(failure)] => return failed(failure),
        _ => {}
    }
    match texts {
        Ok(texts) if texts.iter().any(|text| is_dmarc(text)) => None,
        Ok(_) => {
            let what = format!(
                "{host} does not state that it accepts reports about {domain}: none are sent there"
            );
            let fix = format!("Ask its owner to publish TXT {name} \"v=DMARC1\"");
            Some(kinds::DMARC_REPORTS_REFUSED.found(what, fix))
        }
        Err(failure) => failed(failure),
    }
}
