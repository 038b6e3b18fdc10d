//! Tenants, findings of Virtual Deliverability Manager, dedicated IP addresses.

use crate::finding::FindingLevel::{Critical, Note, Warning};
use crate::finding::{Check, Finding};
use crate::judge::report::Report;
use crate::snapshot::Snapshot;
use crate::snapshot::part::Part;
use crate::snapshot::tenants::{Reputation, StatusRecord};

const TENANTS: &str = "SES API v2, GetReputationEntity";
const ADVISOR: &str = "SES API v2, ListRecommendations";
const IPS: &str = "SES API v2, GetDedicatedIps";
const LISTS: &str = "SES API v2, GetBlacklistReports";

pub(super) fn judge(snapshot: &Snapshot, report: &mut Report) {
    if let Some(tenants) = report.read(Check::TenantPaused, "", &snapshot.tenants, TENANTS) {
        for tenant in tenants {
            let name = tenant.name.as_str();
            let Some(reputation) =
                report.read(Check::TenantPaused, name, &tenant.reputation, TENANTS)
            else {
                continue;
            };
            report.check(Check::TenantPaused, name, TENANTS, paused(reputation));
            report.check(Check::TenantImpact, name, TENANTS, impact(reputation));
        }
    }
    recommendations(snapshot, report);
    dedicated_ips(snapshot, report);
}

fn is_disabled(status: Option<&StatusRecord>) -> Option<&StatusRecord> {
    status.filter(|record| record.status == "DISABLED")
}

fn paused(reputation: &Reputation) -> Option<Finding> {
    let by_aws = is_disabled(reputation.aws.as_ref());
    let by_customer = is_disabled(reputation.customer.as_ref());
    let (record, what, fix) = match (by_aws, by_customer) {
        (Some(record), _) => (
            record,
            "AWS paused the tenant",
            "Resolve the findings of the tenant; the customer status (ENABLED, REINSTATED) does not end a pause of AWS",
        ),
        (None, Some(record)) => (
            record,
            "the tenant is paused by the account owner",
            "Find out why it was paused, then set its customer status to ENABLED",
        ),
        (None, None) if reputation.aggregate.as_deref() == Some("DISABLED") => {
            let problem = Check::TenantPaused.found(Critical, "the tenant is paused", TENANTS);
            return Some(problem.with("SendingStatusAggregate = DISABLED"));
        }
        (None, None) => return None,
    };
    let mut problem = Check::TenantPaused.found(Critical, what, TENANTS).fix(fix);
    if let Some(cause) = &record.cause {
        problem = problem.with(format!("cause: {cause}"));
    }
    if let Some(updated) = record.updated {
        problem = problem.with(format!("since {}", updated.to_minute()));
    }
    Some(problem)
}

fn impact(reputation: &Reputation) -> Option<Finding> {
    (reputation.impact.as_deref() == Some("HIGH")).then(|| {
        let policy = reputation.policy.as_deref().and_then(|arn| arn.rsplit('/').next());
        let policy = policy.unwrap_or("none");
        let what = "the reputation impact of the tenant is HIGH";
        Check::TenantImpact.found(Warning, what, TENANTS)
            .with(format!("reputation policy: {policy}"))
            .fix("With the policies `standard` and `strict` AWS pauses the tenant by itself: lower its bounces and complaints")
    })
}

fn recommendations(snapshot: &Snapshot, report: &mut Report) {
    // without VDM AWS has no findings, which is not the same as no problem
    let has_vdm = snapshot.account.value().is_some_and(|account| account.vdm_enabled);
    if !has_vdm && snapshot.recommendations.value().is_none_or(Vec::is_empty) {
        if matches!(snapshot.recommendations, Part::Denied(_)) {
            _ = report.read(Check::VdmRecommendation, "", &snapshot.recommendations, ADVISOR);
        } else {
            let what = "findings of AWS about the account are not available; they need Virtual Deliverability Manager";
            report.add(
                Check::VdmRecommendation
                    .found(Note, what, ADVISOR)
                    .assuming("AWS does not document what the call returns without VDM"),
            );
        }
        return;
    }
    let found = report.read(Check::VdmRecommendation, "", &snapshot.recommendations, ADVISOR);
    let Some(found) = found else { return };
    let open = found.iter().filter(|entry| entry.status == "OPEN");
    let mut is_open = false;
    for entry in open {
        is_open = true;
        let level = if entry.impact == "HIGH" { Warning } else { Note };
        let mut problem = Check::VdmRecommendation
            .found(level, entry.description.clone(), ADVISOR)
            .about(&entry.resource)
            .with(format!("{}, impact {}", entry.kind, entry.impact));
        if let Some(updated) = entry.updated {
            problem = problem.with(format!(
                "updated {}; AWS refreshes up to six hours after a change",
                updated.to_minute()
            ));
        }
        report.add(problem);
    }
    if !is_open {
        report.pass(Check::VdmRecommendation, "", ADVISOR);
    }
}

fn dedicated_ips(snapshot: &Snapshot, report: &mut Report) {
    let ips = report.read(Check::IpWarmup, "", &snapshot.dedicated_ips, IPS);
    let Some(ips) = ips else { return };
    for entry in ips {
        let problem = (entry.warmup_status == "IN_PROGRESS").then(|| {
            let what = "the address is warming up";
            Check::IpWarmup
                .found(Note, what, IPS)
                .with(format!("warm-up at {} %", entry.warmup_percent))
        });
        report.check(Check::IpWarmup, &entry.ip, IPS, problem);
    }
    if ips.is_empty() {
        report.pass(Check::IpWarmup, "", IPS);
        return;
    }
    let Some(listings) = report.read(Check::IpBlockList, "", &snapshot.block_lists, LISTS) else {
        return;
    };
    for listing in listings {
        let what = format!("the address is in the block list {}", listing.list);
        let problem = Check::IpBlockList.found(Warning, what, LISTS)
            .about(&listing.ip)
            .fix("AWS does not remove dedicated addresses from lists: follow the removal procedure of the list");
        report.add(match listing.since {
            Some(since) => problem.with(format!("since {}", since.to_minute())),
            None => problem,
        });
    }
    if listings.is_empty() {
        report.pass(Check::IpBlockList, "", LISTS);
    }
}
