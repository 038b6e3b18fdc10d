//! The account: sandbox, pause, review, quota, suppression.

use bouncewatch_schemas::text::percent;

use crate::finding::FindingLevel::{Critical, Note, Unknown, Warning};
use crate::finding::{Check, Finding};
use crate::judge::report::Report;
use crate::snapshot::Snapshot;
use crate::snapshot::account::{Account, SendPoint};
use crate::snapshot::time::Time;

const SOURCE: &str = "SES API v2, GetAccount";
const REVIEW: &str = "SES developer guide, reputation dashboard messages";
const SANDBOX: &str = "SES developer guide, request production access";
const SUPPRESSION: &str = "SES developer guide, account-level suppression list";

const CALLER: &str = "STS API, GetCallerIdentity";
const STATISTICS: &str = "SES API, GetSendStatistics";

const DAY_SECS: i64 = 86_400;
/// Seconds of a point of `GetSendStatistics`.
const POINT_SECS: f64 = 900.0;
/// Share of a quota at which a warning is reported.
const QUOTA_SHARE_MAX: f64 = 0.8;

pub(super) fn judge(snapshot: &Snapshot, report: &mut Report) {
    // policies and the owners of resources are compared with the account
    _ = report.read(Check::AccountReadable, "", &snapshot.account_id, CALLER);
    let Some(account) = report.read(Check::AccountReadable, "", &snapshot.account, SOURCE) else {
        return;
    };
    if account.is_empty_response() {
        let what =
            "GetAccount returned neither a quota nor an enforcement status; its flags are not used";
        report.add(Check::AccountReadable.found(Unknown, what, SOURCE));
        return;
    }
    report.pass(Check::AccountReadable, "", SOURCE);
    report.check(Check::AccountSandbox, "", SANDBOX, sandbox(account, &snapshot.region));
    report.check(Check::AccountPaused, "", SOURCE, paused(account));
    report.check(Check::AccountReview, "", REVIEW, review(account));
    report.check(Check::AccountQuota, "", SOURCE, quota(account));
    let points = report.read(Check::AccountRate, "", &snapshot.send_statistics, STATISTICS);
    if let Some(points) = points {
        let problem = rate(account, points, snapshot.taken_at);
        report.check(Check::AccountRate, "", STATISTICS, problem);
    }
    report.check(Check::AccountSuppression, "", SUPPRESSION, suppression(account));
    report.check(Check::AccountAccessRequest, "", SANDBOX, access_request(account));
    report.check(Check::AccountContact, "", SOURCE, contact(account));
    options(account, report);
}

fn sandbox(account: &Account, region: &str) -> Option<Finding> {
    (!account.production_access).then(|| {
        let what = format!(
            "the account is in the sandbox in {region}: mail goes only to verified addresses and the mailbox simulator, \
             200 messages in 24 hours"
        );
        Check::AccountSandbox.found(Critical, what, SANDBOX)
            .with("ProductionAccessEnabled = false")
            .fix("Request production access for this region, or send in the region that has it")
    })
}

fn paused(account: &Account) -> Option<Finding> {
    if account.sending_enabled {
        return None;
    }
    let status = account.enforcement_status.as_deref();
    let (what, fix) = match status {
        Some("SHUTDOWN") => (
            "AWS paused sending in this region",
            "Answer the case in the AWS Support Center; the API cannot resume sending",
        ),
        Some("HEALTHY") => (
            "sending is paused in this region by the account owner: AWS reports the account as healthy",
            "Find out why it was paused, then run `aws sesv2 put-account-sending-attributes --sending-enabled`",
        ),
        _ => (
            "sending is paused in this region",
            "Read the reputation dashboard of SES for the reason; resume with `aws sesv2 put-account-sending-attributes \
             --sending-enabled` if the account owner paused it",
        ),
    };
    let problem = Check::AccountPaused
        .found(Critical, what, SOURCE)
        .with("SendingEnabled = false")
        .with(format!("EnforcementStatus = {}", status.unwrap_or("none")));
    Some(problem.fix(fix))
}

fn review(account: &Account) -> Option<Finding> {
    let status = account.enforcement_status.as_deref()?;
    let problem = match status {
        "HEALTHY" => return None,
        "PROBATION" => {
            Check::AccountReview.found(Warning, "the account is under review", REVIEW).fix(
                "Lower the bounce and complaint rates before the review ends; the mail from AWS states its date",
            )
        }
        "SHUTDOWN" => Check::AccountReview.found(Critical, "AWS paused the account", REVIEW)
            .fix("Answer the case in the AWS Support Center"),
        other => {
            let what = format!("EnforcementStatus is `{other}`, a value that this release does not know");
            Check::AccountReview.found(Unknown, what, REVIEW)
                .fix("Read the reputation dashboard of SES")
        }
    };
    Some(problem.with(format!("EnforcementStatus = {status}")))
}

fn quota(account: &Account) -> Option<Finding> {
    let quota = account.quota?;
    let share = quota.sent_24_hours / quota.max_24_hours;
    if quota.max_24_hours <= 0.0 || share < QUOTA_SHARE_MAX {
        return None;
    }
    let what = format!("{} of the daily sending quota is used", percent(Some(share)));
    let problem = Check::AccountQuota
        .found(Warning, what, SOURCE)
        .with(format!("{} of {} messages in 24 hours", quota.sent_24_hours, quota.max_24_hours))
        .fix("Request a higher quota; at 100 % SES answers `Daily message quota exceeded`");
    Some(problem)
}

/// Whether the sending rate of the last day came near to its limit.
fn rate(account: &Account, points: &[SendPoint], now: Time) -> Option<Finding> {
    let limit = account.quota.map(|quota| quota.max_per_second).filter(|limit| *limit > 0.0)?;
    let of_day = points.iter().filter(|point| point.at.secs_until(now) < DAY_SECS);
    let busiest = of_day.max_by_key(|point| point.attempts)?;
    let rate = attempts_per_second(busiest.attempts);
    (rate >= limit * QUOTA_SHARE_MAX).then(|| {
        let what = "mail was sent at almost the maximum sending rate";
        Check::AccountRate
            .found(Warning, what, STATISTICS)
            .with(format!(
                "{} delivery attempts in 15 minutes from {}: {rate:.1} per second, the limit is {limit}",
                busiest.attempts,
                busiest.at.to_minute()
            ))
            .assuming("attempts are counted, and the limit is one of messages")
            .fix("Send more slowly, or request a higher rate; above it SES answers `Maximum sending rate exceeded`")
    })
}

#[expect(clippy::cast_precision_loss, reason = "a count of 15 minutes")]
fn attempts_per_second(attempts: i64) -> f64 {
    attempts as f64 / POINT_SECS
}

fn suppression(account: &Account) -> Option<Finding> {
    let missing = match &account.suppressed_reasons {
        Some(reasons) => ["BOUNCE", "COMPLAINT"]
            .into_iter()
            .filter(|reason| !reasons.iter().any(|has| has == reason))
            .collect(),
        None => vec!["BOUNCE", "COMPLAINT"],
    };
    (!missing.is_empty()).then(|| {
        let what =
            format!("the account does not suppress addresses after {}", missing.join(" and "));
        Check::AccountSuppression.found(Warning, what, SUPPRESSION).fix(
            "Run `aws sesv2 put-account-suppression-attributes --suppressed-reasons BOUNCE COMPLAINT`",
        )
    })
}

fn access_request(account: &Account) -> Option<Finding> {
    let request = account.access_request.as_ref()?;
    let level = match request.status.as_str() {
        "GRANTED" => return None,
        "PENDING" => Note,
        _ if account.production_access => Note,
        _ => Warning,
    };
    let what = format!("the request for production access is {}", request.status);
    let problem = Check::AccountAccessRequest
        .found(level, what, SANDBOX)
        .fix("Answer the case in the AWS Support Center");
    Some(match &request.case_id {
        Some(case) => problem.with(format!("case {case}")),
        None => problem,
    })
}

fn contact(account: &Account) -> Option<Finding> {
    (account.additional_contacts == Some(0)).then(|| {
        let what = "AWS has no additional contact address: warnings go to the root address only";
        Check::AccountContact.found(Note, what, SOURCE).fix(
            "Run `aws sesv2 put-account-details --additional-contact-email-addresses ADDRESS ...` with the other details",
        )
    })
}

/// Options that change mail or delay it.
fn options(account: &Account, report: &mut Report) {
    if !account.vdm_enabled {
        return;
    }
    let tracking = account.engagement_metrics.then(|| {
        let what = "VDM tracks opens and clicks: SES rewrites links and adds an image";
        Check::AccountLinkTracking.found(Note, what, SOURCE)
    });
    report.check(Check::AccountLinkTracking, "", SOURCE, tracking);
    let optimized = account.optimized_delivery.then(|| {
        let what = "VDM optimizes delivery: SES may hold mail back";
        Check::AccountOptimizedDelivery.found(Note, what, SOURCE)
    });
    report.check(Check::AccountOptimizedDelivery, "", SOURCE, optimized);
}
