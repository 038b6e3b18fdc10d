//! A host that sends mail without SES: its reverse DNS, and SPF of its envelope sender.

use std::net::IpAddr;

use crate::address_range::is_unreachable;
use crate::answer::{Lookup, RecordType, Unanswered};
use crate::catalogue as kinds;
use crate::finding::Finding;
use crate::name;
use crate::request::Relay;
use crate::spf::{self, NAMES_MAX, SpfQuery, SpfResult, check_host};

/// Checks the host.
pub(crate) fn check(lookup: &dyn Lookup, relay: &Relay) -> Vec<Finding> {
    let ip = relay.ip.to_canonical();
    let mut findings = Vec::new();
    if is_unreachable(ip) {
        let what = format!("{ip} is a private address: receivers see another one");
        let fix = "Check the public address from which the host sends";
        findings.push(kinds::PTR_PRIVATE.found(what, fix));
        return findings;
    }
    findings.push(check_reverse(lookup, ip));
    if ip.is_ipv6() {
        let what = format!("{ip} is an IPv6 address: mail from it is not sent by SES");
        let fix = "If receivers refuse IPv6 without PTR or authentication, send over IPv4";
        let finding = kinds::RELAY_IPV6.found(what, fix);
        findings.push(finding.assuming("the outbound addresses of SES are IPv4"));
    }
    if let Some(sender) = &relay.sender {
        findings.extend(spf::lint(lookup, name::after_at(sender)).findings);
        findings.push(check_spf(lookup, ip, sender, relay.helo.as_deref().unwrap_or_default()));
    }
    findings
}

/// The name of the address, and whether the name has the address.
fn check_reverse(lookup: &dyn Lookup, ip: IpAddr) -> Finding {
    let at = name::reverse_name(ip);
    let unknown = |failure: &Unanswered| {
        let what = format!("reverse DNS of {ip} could not be checked");
        kinds::PTR_LOOKUP_FAILED.unanswered(what).with(failure)
    };
    let names = match lookup.targets(&at, RecordType::Ptr) {
        Ok(names) => names,
        Err(failure) => return unknown(&failure),
    };
    if names.is_empty() {
        let what = format!("{ip} has no PTR record: Gmail and others refuse mail from it");
        let fix = "Ask the owner of the network to publish a PTR record with the name of the host";
        return kinds::PTR_MISSING.found(what, fix).with(format!("PTR {at}: no record"));
    }
    let record_type = if ip.is_ipv4() { RecordType::A } else { RecordType::Aaaa };
    let mut failure = None;
    for name in names.iter().take(NAMES_MAX) {
        match lookup.records(name, record_type) {
            Ok(records) if records.iter().any(|record| record.address() == Some(ip)) => {
                let what = format!("{ip} and {name} point to each other");
                return kinds::PTR_OK.found(what, "");
            }
            Ok(_) => {}
            Err(failed) => failure = Some(failed),
        }
    }
    if let Some(failure) = &failure {
        return unknown(failure);
    }
    let what = format!(
        "the name of {ip} does not have this address: Gmail and others refuse mail from it"
    );
    let fix = format!(
        "Publish an address record ({record_type}) with {ip} for the name, or correct the PTR record"
    );
    kinds::PTR_MISMATCH
        .found(what, fix)
        .with_all(names.iter().map(|name| format!("PTR {at}: {name}")))
}

fn check_spf(lookup: &dyn Lookup, ip: IpAddr, sender: &str, helo: &str) -> Finding {
    let query = SpfQuery { ip, sender, helo, receiver: "unknown", time_unix_secs: 0 };
    let outcome = check_host(lookup, &query);
    let domain = name::after_at(sender);
    let result = outcome.result.as_str();
    let finding = match outcome.result {
        SpfResult::Pass => {
            kinds::SPF_HOST_PASSES.found(format!("{ip} may send for {domain}: SPF {result}"), "")
        }
        SpfResult::PermError => {
            let what = format!("receivers cannot evaluate SPF of {domain} for {ip}: {result}");
            kinds::SPF_HOST_NOT_PERMITTED.found(what, "Correct the SPF record")
        }
        SpfResult::TempError => {
            let what = format!("SPF of {domain} could not be evaluated for {ip}");
            return kinds::SPF_HOST_UNKNOWN.unanswered(what).with(outcome.reason);
        }
        _ => {
            let what = format!("SPF of {domain} does not permit {ip}: {result}");
            let fix = format!(
                "Add `ip{}:{ip}` to the SPF record of {domain}",
                if ip.is_ipv4() { 4 } else { 6 }
            );
            kinds::SPF_HOST_NOT_PERMITTED.found(what, fix)
        }
    };
    finding.with(outcome.reason)
}
