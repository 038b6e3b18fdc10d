//! Identities: verification, DKIM, MAIL FROM, feedback.

use bouncewatch_dns::is_within;
use bouncewatch_schemas::address;

use crate::finding::FindingLevel::{Critical, Note, Warning};
use crate::finding::{Check, Finding};
use crate::judge::report::Report;
use crate::policy::open_statements;
use crate::snapshot::Snapshot;
use crate::snapshot::identity::{
    Dkim, Identity, IdentityDetails, MISSING, MailFrom, Notifications,
};
use crate::snapshot::time::Time;

const LIST: &str = "SES API v2, ListEmailIdentities";
const DETAILS: &str = "SES API v2, GetEmailIdentity";
const AUTHORIZATION: &str = "SES developer guide, sending authorization policies";
const FEEDBACK: &str = "SES API, GetIdentityNotificationAttributes";

/// Time for which SES looks for a record again before it gives up.
const RECHECK_HOURS: i64 = 72;

pub(super) fn judge(snapshot: &Snapshot, report: &mut Report) {
    let Some(identities) = report.read(Check::IdentityExists, "", &snapshot.identities, LIST)
    else {
        return;
    };
    let problem = (!identities.iter().any(Identity::is_verified)).then(|| {
        let what = format!("no verified identity in {}", snapshot.region);
        Check::IdentityExists
            .found(Critical, what, LIST)
            .with(format!("identities: {}, none verified", identities.len()))
            .fix("Identities belong to a region: verify one here, or use the region that has them")
    });
    report.check(Check::IdentityExists, "", LIST, problem);
    for identity in identities {
        judge_identity(identity, identities, report);
    }
}

fn judge_identity(identity: &Identity, all: &[Identity], report: &mut Report) {
    let name = identity.name.as_str();
    report.check(Check::IdentityVerified, name, LIST, verification(identity));
    if !identity.is_verified() {
        return;
    }
    let alignment = alignment(identity, all);
    report.check(Check::IdentityAlignment, name, DETAILS, alignment);
    // `TEMPORARY_FAILURE` of DKIM or MAIL FROM is visible only in the details
    let Some(details) = report.read(Check::IdentityDkim, name, &identity.details, DETAILS) else {
        return;
    };
    if identity.is_domain() {
        let dkim = details.dkim.clone().unwrap_or_default();
        report.check(Check::IdentityDkim, name, DETAILS, dkim_status(&dkim));
        report.check(Check::IdentityDkimKey, name, DETAILS, dkim_key(&dkim));
    }
    if let Some(mail_from) = &details.mail_from {
        report.check(Check::IdentityMailFrom, name, DETAILS, mail_from_status(mail_from));
    }
    report.check(Check::IdentityPolicies, name, AUTHORIZATION, open_policies(details));
    let notifications =
        report.read(Check::IdentityFeedback, name, &identity.notifications, FEEDBACK);
    if let Some(notifications) = notifications {
        report.check(Check::IdentityFeedback, name, FEEDBACK, feedback(notifications, details));
    }
}

/// Policies that let others send as the identity: their bounces count for this account.
fn open_policies(details: &IdentityDetails) -> Option<Finding> {
    let mut open = Vec::new();
    for (name, policy) in &details.policies {
        match open_statements(policy) {
            Ok(statements) => {
                open.extend(
                    statements.iter().map(|one| format!("policy `{name}`, statement `{one}`")),
                );
            }
            Err(error) => open.push(format!("policy `{name}`: {error}")),
        }
    }
    (!open.is_empty()).then(|| {
        let what = "a sending authorization policy lets every AWS account send as the identity, or cannot be read";
        Check::IdentityPolicies
            .found(Warning, what, AUTHORIZATION)
            .with_all(open)
            .fix("Name the accounts in `Principal`, or add a condition such as aws:PrincipalOrgID")
    })
}

fn verification(identity: &Identity) -> Option<Finding> {
    let details = identity.details.value();
    let (level, what, fix) = match identity.verification.as_str() {
        "SUCCESS" => return None,
        "PENDING" => (
            Note,
            "is not verified yet",
            "Publish the DNS records, or open the link in the mail from AWS".to_owned(),
        ),
        "TEMPORARY_FAILURE" => (
            Warning,
            "was verified, and SES no longer finds the record",
            recheck(details.and_then(|details| details.last_success)),
        ),
        MISSING => (
            Critical,
            "does not exist in this region",
            "Identities belong to a region: verify it here, or use the region that has it"
                .to_owned(),
        ),
        "FAILED" => (
            Warning,
            "failed to verify, and SES has stopped looking",
            "Publish the records, then start the verification again".to_owned(),
        ),
        _ => (Warning, "is not verified", "Start the verification".to_owned()),
    };
    let mut problem = Check::IdentityVerified
        .found(level, format!("the identity {what}"), LIST)
        .with(format!("VerificationStatus = {}", identity.verification))
        .fix(fix);
    if let Some(error) = details.and_then(|details| details.verification_error.as_ref()) {
        problem = problem.with(format!("error of the last check: {error}"));
    }
    Some(problem)
}

fn recheck(last_success: Option<Time>) -> String {
    let limit = match last_success {
        Some(Time(at)) => {
            let limit = Time(at.saturating_add(RECHECK_HOURS * 3_600_000)).to_minute();
            format!("by {limit}, {RECHECK_HOURS} hours after the last check that found it")
        }
        None => format!("within {RECHECK_HOURS} hours of the first check without it"),
    };
    format!("Publish the record again {limit}; after that SES reports FAILED and stops looking")
}

/// Mail of an address identity passes DMARC only if its domain is an identity too.
fn alignment(identity: &Identity, all: &[Identity]) -> Option<Finding> {
    if identity.is_domain() {
        return None;
    }
    let (_, domain) = identity.name.rsplit_once('@')?;
    let normal = address::normalise_domain(domain);
    let is_parent = |parent: &str| is_within(&normal, &address::normalise_domain(parent));
    let has_domain =
        all.iter().any(|other| other.is_domain() && other.is_verified() && is_parent(&other.name));
    (!has_domain).then(|| {
        let what =
            "mail of this address is signed for amazonses.com only: it fails DMARC of its domain";
        Check::IdentityAlignment
            .found(Warning, what, DETAILS)
            .with(format!("{domain} is not a verified identity in this region"))
            .fix(format!("Verify the domain {domain} with DKIM"))
    })
}

fn dkim_status(dkim: &Dkim) -> Option<Finding> {
    let (level, what, fix) = match dkim.status.as_str() {
        "SUCCESS" if dkim.signing_enabled => return None,
        "SUCCESS" => (
            Warning,
            "DKIM is verified, but signing is disabled",
            "Run `aws sesv2 put-email-identity-dkim-attributes --signing-enabled --email-identity NAME`",
        ),
        "PENDING" => (Note, "DKIM is not verified yet", "Publish the DKIM records"),
        "TEMPORARY_FAILURE" => (
            Warning,
            "SES no longer finds the DKIM records",
            "Publish the records again; after 72 hours SES reports FAILED and stops signing",
        ),
        "FAILED" => (
            Warning,
            "DKIM failed, and SES has stopped looking for the records",
            "Publish the records, then start DKIM again (put-email-identity-dkim-signing-attributes)",
        ),
        _ => (
            Warning,
            "DKIM is not set up",
            "Run `aws sesv2 put-email-identity-dkim-signing-attributes`",
        ),
    };
    let mut problem = Check::IdentityDkim
        .found(level, what, DETAILS)
        .with(format!(
            "DKIM status {}",
            if dkim.status.is_empty() { "missing" } else { &dkim.status }
        ))
        .fix(fix);
    if let Some(zone) = dkim.hosted_zone.as_ref().filter(|_| dkim.status != "SUCCESS") {
        let names = dkim.tokens.iter().map(|token| format!("{token}._domainkey -> {token}.{zone}"));
        for name in names {
            problem = problem.with(name);
        }
    }
    Some(problem)
}

fn dkim_key(dkim: &Dkim) -> Option<Finding> {
    (dkim.key_length.as_deref() == Some("RSA_1024_BIT")).then(|| {
        Check::IdentityDkimKey.found(Note, "the DKIM key has 1024 bits", DETAILS)
            .fix("Run `aws sesv2 put-email-identity-dkim-signing-attributes` with NextSigningKeyLength RSA_2048_BIT")
    })
}

fn mail_from_status(mail_from: &MailFrom) -> Option<Finding> {
    let status = mail_from.status.as_str();
    if status == "SUCCESS" {
        return None;
    }
    let (level, what) = match (mail_from.rejects_on_failure, status) {
        (true, _) => {
            (Critical, "the custom MAIL FROM domain does not work, and SES then rejects all mail")
        }
        (false, "PENDING") => (Note, "the custom MAIL FROM domain is not verified yet"),
        (false, _) => (
            Warning,
            "the custom MAIL FROM domain does not work: SES uses amazonses.com, and SPF does not align",
        ),
    };
    let fix = if status == "FAILED" {
        "Publish the MX and TXT records, then set the MAIL FROM domain again: SES has stopped looking"
    } else {
        "Publish the MX and TXT records of the MAIL FROM domain"
    };
    Some(
        Check::IdentityMailFrom
            .found(level, what, DETAILS)
            .with(format!("{}: {status}", mail_from.domain))
            .fix(fix),
    )
}

fn feedback(notifications: &Notifications, details: &IdentityDetails) -> Option<Finding> {
    let has_topics =
        notifications.bounce_topic.is_some() && notifications.complaint_topic.is_some();
    let is_lost = !details.feedback_forwarding
        && !notifications.forwarding
        && !has_topics
        && details.configuration_set.is_none();
    is_lost.then(|| {
        let what = "bounces and complaints of this identity are neither sent by email nor to a topic";
        Check::IdentityFeedback.found(Warning, what, FEEDBACK)
            .fix("Set a default configuration set with an event destination, or switch email feedback on")
    })
}
