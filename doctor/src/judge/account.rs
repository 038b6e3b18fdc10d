//! The account: sandbox, pause, review, quota, suppression.

use crate::finding::Check;
use crate::finding::FindingLevel::{Critical, Note, Unknown, Warning};
use crate::judge::report::{Problem, Report};
use crate::snapshot::Snapshot;
use crate::snapshot::account::Account;

const SOURCE: &str = "SES API v2, GetAccount";
const REVIEW: &str = "SES developer guide, reputation dashboard messages";
const SANDBOX: &str = "SES developer guide, request production access";
const SUPPRESSION: &str = "SES developer guide, account-level suppression list";

/// Share of the daily quota at which a warning is reported.
const QUOTA_SHARE_MAX: f64 = 0.8;

pub(super) fn judge(snapshot: &Snapshot, report: &mut Report) {
    let Some(account) = report.read(Check::AccountReadable, "", &snapshot.account, SOURCE) else {
        return;
    };
    if account.is_empty_response() {
        let what =
            "GetAccount returned neither a quota nor an enforcement status; its flags are not used";
        report.add(Problem::new(Check::AccountReadable, Unknown, what, SOURCE));
        return;
    }
    report.pass(Check::AccountReadable, "", SOURCE);
    report.check(Check::AccountSandbox, "", SANDBOX, sandbox(account, &snapshot.region));
    report.check(Check::AccountPaused, "", SOURCE, paused(account));
    report.check(Check::AccountReview, "", REVIEW, review(account));
    report.check(Check::AccountQuota, "", SOURCE, quota(account));
    report.check(Check::AccountSuppression, "", SUPPRESSION, suppression(account));
    report.check(Check::AccountAccessRequest, "", SANDBOX, access_request(account));
    report.check(Check::AccountContact, "", SOURCE, contact(account));
    options(account, report);
}

fn sandbox(account: &Account, region: &str) -> Option<Problem> {
    (!account.production_access).then(|| {
        let what = format!(
            "the account is in the sandbox in {region}: mail goes only to verified addresses and the mailbox simulator, \
             200 messages in 24 hours"
        );
        Problem::new(Check::AccountSandbox, Critical, what, SANDBOX)
            .evidence("ProductionAccessEnabled = false")
            .fix("request production access for this region, or send in the region that has it")
    })
}

fn paused(account: &Account) -> Option<Problem> {
    if account.sending_enabled {
        return None;
    }
    let status = account.enforcement_status.as_deref();
    let (what, fix) = match status {
        Some("SHUTDOWN") => (
            "AWS paused sending in this region",
            "answer the case in the AWS Support Center; the API cannot resume sending",
        ),
        Some("HEALTHY") => (
            "sending is paused in this region; the account is healthy, so the pause is the account's own",
            "find out why it was paused, then run `aws sesv2 put-account-sending-attributes --sending-enabled`",
        ),
        _ => (
            "sending is paused in this region",
            "read the reputation dashboard of SES for the reason; resume with `aws sesv2 put-account-sending-attributes \
             --sending-enabled` if the pause is the account's own",
        ),
    };
    let problem = Problem::new(Check::AccountPaused, Critical, what, SOURCE)
        .evidence("SendingEnabled = false")
        .evidence(format!("EnforcementStatus = {}", status.unwrap_or("none")));
    Some(problem.fix(fix))
}

fn review(account: &Account) -> Option<Problem> {
    let status = account.enforcement_status.as_deref()?;
    let problem = match status {
        "HEALTHY" => return None,
        "PROBATION" => {
            Problem::new(Check::AccountReview, Warning, "the account is under review", REVIEW).fix(
                "lower the bounce and complaint rates before the review ends; the mail from AWS states its date",
            )
        }
        "SHUTDOWN" => Problem::new(Check::AccountReview, Critical, "AWS paused the account", REVIEW)
            .fix("answer the case in the AWS Support Center"),
        other => {
            let what = format!("EnforcementStatus is `{other}`, a value that this release does not know");
            Problem::new(Check::AccountReview, Unknown, what, REVIEW)
                .fix("read the reputation dashboard of SES")
        }
    };
    Some(problem.evidence(format!("EnforcementStatus = {status}")))
}

fn quota(account: &Account) -> Option<Problem> {
    let quota = account.quota?;
    let share = quota.sent_24_hours / quota.max_24_hours;
    if quota.max_24_hours <= 0.0 || share < QUOTA_SHARE_MAX {
        return None;
    }
    let what = format!("{:.0} % of the daily sending quota is used", share * 100.0);
    let problem = Problem::new(Check::AccountQuota, Warning, what, SOURCE)
        .evidence(format!("{} of {} messages in 24 hours", quota.sent_24_hours, quota.max_24_hours))
        .fix("request a higher quota; at 100 % SES answers `Daily message quota exceeded`");
    Some(problem)
}

fn suppression(account: &Account) -> Option<Problem> {
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
        Problem::new(Check::AccountSuppression, Warning, what, SUPPRESSION).fix(
            "aws sesv2 put-account-suppression-attributes --suppressed-reasons BOUNCE COMPLAINT",
        )
    })
}

fn access_request(account: &Account) -> Option<Problem> {
    let request = account.access_request.as_ref()?;
    let level = match request.status.as_str() {
        "GRANTED" => return None,
        "PENDING" => Note,
        _ if account.production_access => Note,
        _ => Warning,
    };
    let what = format!("the request for production access is {}", request.status);
    let problem = Problem::new(Check::AccountAccessRequest, level, what, SANDBOX)
        .fix("answer the case in the AWS Support Center");
    Some(match &request.case_id {
        Some(case) => problem.evidence(format!("case {case}")),
        None => problem,
    })
}

fn contact(account: &Account) -> Option<Problem> {
    (account.additional_contacts == Some(0)).then(|| {
        let what = "AWS has no additional contact address: warnings go to the root address only";
        Problem::new(Check::AccountContact, Note, what, SOURCE).fix(
            "aws sesv2 put-account-details --additional-contact-email-addresses ADDRESS ... (with the other details)",
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
        Problem::new(Check::AccountLinkTracking, Note, what, SOURCE)
    });
    report.check(Check::AccountLinkTracking, "", SOURCE, tracking);
    let optimized = account.optimized_delivery.then(|| {
        let what = "VDM optimises delivery: SES may hold mail back";
        Problem::new(Check::AccountOptimizedDelivery, Note, what, SOURCE)
    });
    report.check(Check::AccountOptimizedDelivery, "", SOURCE, optimized);
}
