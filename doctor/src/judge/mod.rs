//! Judges a snapshot: a pure function from a snapshot to findings.
//!
//! Checks read no clock: "now" is the time of the snapshot. A part without a value makes a finding "unknown", never "ok".
//! A rule that AWS does not document never makes a finding critical, and the finding states the assumption.

mod account;
mod figures;
mod identity;
mod recipient;
mod report;
mod reputation;
mod tenants;
mod wiring;
mod workmail;

pub use figures::{ConsumerFigures, Figures, RecipientEvent, RecipientFigures, StoreFigures};
pub(crate) use report::first_names;

use std::cmp::Reverse;

use crate::finding::{Check, Finding, FindingLevel};
use crate::snapshot::Snapshot;
use report::Report;

/// Source of the finding that no record was read.
const DNS_SOURCE: &str = "RFC 1035";

/// Judges a snapshot. Findings are sorted: worst level first, then in the order of [`crate::finding::Check`].
pub fn judge(snapshot: &Snapshot, figures: &Figures) -> Vec<Finding> {
    let mut report = Report::default();
    account::judge(snapshot, &mut report);
    recipient::judge(snapshot, figures.recipient.as_ref(), &mut report);
    identity::judge(snapshot, &mut report);
    tenants::judge(snapshot, &mut report);
    reputation::judge(snapshot, figures.store.as_ref(), &mut report);
    if let Some(error) = &figures.store_error {
        let what = format!("the store could not be read: {error}");
        let problem = Check::StoreReadable.found(FindingLevel::Unknown, what, "the store");
        report.add(problem.fix("Check --store, or `store` in the settings"));
    } else if figures.store.is_some() {
        report.pass(Check::StoreReadable, "", "the store");
    }
    wiring::judge(snapshot, figures, &mut report);
    workmail::judge(snapshot, &mut report);
    let dns = report.read(Check::DnsReadable, "", &snapshot.dns, DNS_SOURCE);
    if dns.is_some() {
        report.pass(Check::DnsReadable, "", DNS_SOURCE);
    }
    let records = dns.map(|dns| bouncewatch_dns::judge(&dns.answers, &dns.request));
    let mut findings = report.into_findings();
    findings.extend(records.into_iter().flatten());
    // stable: the account first, then its records
    findings.sort_by_key(|finding| Reverse(finding.level));
    findings
}

/// The worst level; `Ok` if there are no findings.
pub fn worst(findings: &[Finding]) -> FindingLevel {
    findings.iter().map(|finding| finding.level).max().unwrap_or(FindingLevel::Ok)
}
