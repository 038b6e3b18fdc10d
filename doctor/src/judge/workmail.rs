//! WorkMail: domains, receipt rules, permission to send, tracing.

use crate::finding::Check;
use crate::finding::FindingLevel::{Critical, Note, Warning};
use crate::judge::report::{Problem, Report};
use crate::snapshot::Snapshot;
use crate::snapshot::part::Part;
use crate::snapshot::workmail::{MailDomainDetails, Organization, ReceiptRule};

const DOMAIN: &str = "WorkMail API, GetMailDomain";
const RULES: &str = "SES API, DescribeActiveReceiptRuleSet";
const POLICIES: &str = "SES API v2, GetEmailIdentity (Policies)";
const DMARC: &str = "WorkMail API, DescribeInboundDmarcSettings";
const TRACING: &str = "WorkMail API, DescribeEmailMonitoringConfiguration";
const END: &str = "WorkMail administrator guide, end of support";

pub(super) fn judge(snapshot: &Snapshot, report: &mut Report) {
    if matches!(snapshot.workmail, Part::Skipped(_)) {
        return;
    }
    let organizations = report.read(Check::WorkMailOwnership, "", &snapshot.workmail, DOMAIN);
    let Some(organizations) = organizations.filter(|found| !found.is_empty()) else { return };
    let what = "AWS ends WorkMail on 31 March 2027";
    report.add(
        Problem::new(Check::WorkMailEnd, Note, what, END).fix("plan the move of the mailboxes"),
    );
    for organization in organizations {
        judge_organization(organization, snapshot, report);
    }
}

fn judge_organization(organization: &Organization, snapshot: &Snapshot, report: &mut Report) {
    let name = organization.alias.as_deref().unwrap_or(&organization.id);
    if let Some(is_enforced) =
        report.read(Check::WorkMailDmarc, name, &organization.dmarc_enforced, DMARC)
    {
        let problem = (!is_enforced).then(|| {
            let what = "WorkMail accepts inbound mail that fails DMARC of its sender";
            Problem::new(Check::WorkMailDmarc, Note, what, DMARC)
                .fix("aws workmail put-inbound-dmarc-settings --enforced --organization-id ID")
        });
        report.check(Check::WorkMailDmarc, name, DMARC, problem);
    }
    if let Some(log_group) =
        report.read(Check::WorkMailTracing, name, &organization.tracing, TRACING)
    {
        let problem = log_group.is_none().then(|| {
            let what = "message tracing is off: bounces and lost mail of WorkMail leave no trace";
            Problem::new(Check::WorkMailTracing, Warning, what, TRACING)
                .fix("enable email event logging of the organisation, then `bouncewatch ingest` reads its log group")
        });
        report.check(Check::WorkMailTracing, name, TRACING, problem);
    }
    let Some(domains) = report.read(Check::WorkMailOwnership, name, &organization.domains, DOMAIN)
    else {
        return;
    };
    for domain in domains {
        let details = report.read(Check::WorkMailOwnership, &domain.name, &domain.details, DOMAIN);
        let Some(details) = details.filter(|details| !details.is_test_domain) else { continue };
        judge_domain(&domain.name, details, report);
        receipt_rules(&domain.name, snapshot, report);
        sending(&domain.name, snapshot, report);
    }
}

fn judge_domain(name: &str, details: &MailDomainDetails, report: &mut Report) {
    let ownership = (details.ownership != "VERIFIED").then(|| {
        let what = "WorkMail has not verified that the organisation owns the domain: it does not send or receive for it";
        let mut problem = Problem::new(Check::WorkMailOwnership, Critical, what, DOMAIN)
            .evidence(format!("OwnershipVerificationStatus = {}", details.ownership))
            .fix("publish the records that WorkMail requires");
        let records = details.records.iter().filter(|record| record.kind == "TXT");
        for record in records {
            problem = problem.evidence(format!("{} TXT {}", record.hostname, record.value));
        }
        problem
    });
    report.check(Check::WorkMailOwnership, name, DOMAIN, ownership);
    let dkim = (details.dkim != "VERIFIED").then(|| {
        let what = "DKIM of the WorkMail domain is not verified";
        let mut problem = Problem::new(Check::WorkMailDkim, Warning, what, DOMAIN)
            .evidence(format!("DkimVerificationStatus = {}", details.dkim))
            .fix("publish the DKIM records that WorkMail requires");
        let records =
            details.records.iter().filter(|record| record.hostname.contains("._domainkey."));
        for record in records {
            problem =
                problem.evidence(format!("{} {} {}", record.hostname, record.kind, record.value));
        }
        problem
    });
    report.check(Check::WorkMailDkim, name, DOMAIN, dkim);
}

fn receipt_rules(domain: &str, snapshot: &Snapshot, report: &mut Report) {
    let check = Check::WorkMailReceiptRule;
    let Some(rules) = report.read(check, domain, &snapshot.receipt_rules, RULES) else { return };
    let fix = "activate the rule set that WorkMail created, with a rule for the domain that has the action WorkMail";
    let Some(rules) = rules else {
        let what = "no receipt rule set is active: SES passes no mail to WorkMail";
        report.add(Problem::new(check, Critical, what, RULES).about(domain).fix(fix));
        return;
    };
    let is_ours = |rule: &&ReceiptRule| {
        let named = rule.recipients.is_empty() || rule.recipients.iter().any(|r| covers(r, domain));
        named && rule.actions.iter().any(|action| action == "workmail")
    };
    let ours: Vec<&ReceiptRule> = rules.iter().filter(is_ours).collect();
    let problem = if ours.is_empty() {
        Some("no receipt rule passes mail of the domain to WorkMail")
    } else if ours.iter().all(|rule| !rule.enabled) {
        Some("the receipt rule of the domain is disabled")
    } else {
        None
    };
    let problem = problem.map(|what| Problem::new(check, Critical, what, RULES).fix(fix));
    report.check(check, domain, RULES, problem);
    let Some(rule) = ours.into_iter().find(|rule| rule.enabled) else { return };
    let before: Vec<&str> = rules
        .iter()
        .filter(|other| {
            other.enabled
                && (other.recipients.is_empty()
                    || other.recipients.iter().any(|r| covers(r, domain)))
        })
        .take_while(|other| other.name != rule.name)
        .flat_map(|other| &other.actions)
        .chain(rule.actions.iter().take_while(|action| *action != "workmail"))
        .map(String::as_str)
        .collect();
    let is_fatal = before.iter().any(|action| ["bounce", "stop"].contains(action));
    let problem = (!before.is_empty()).then(|| {
        let (level, what) = if is_fatal {
            (Critical, "an action before WorkMail bounces mail or ends the rules: mail does not reach WorkMail")
        } else {
            (Warning, "actions run before WorkMail: if one fails or takes the mail, it does not reach WorkMail")
        };
        Problem::new(Check::WorkMailRuleActions, level, what, RULES)
            .evidence(format!("before WorkMail: {}", before.join(", ")))
            .fix("move the action WorkMail to the start of the rule")
    });
    report.check(Check::WorkMailRuleActions, domain, RULES, problem);
}

/// Whether a recipient of a rule (address, domain, or `.domain` for subdomains) can be of the domain.
fn covers(recipient: &str, domain: &str) -> bool {
    let of_recipient = recipient.rsplit_once('@').map_or(recipient, |(_, domain)| domain);
    of_recipient.eq_ignore_ascii_case(domain)
}

fn sending(domain: &str, snapshot: &Snapshot, report: &mut Report) {
    let Some(identities) = snapshot.identities.value() else { return };
    let identity = identities.iter().find(|identity| identity.name.eq_ignore_ascii_case(domain));
    let problem = match identity {
        None => {
            Some("the domain is no identity of SES in this region: WorkMail cannot send for it")
        }
        Some(identity) => {
            let Some(details) =
                report.read(Check::WorkMailSending, domain, &identity.details, POLICIES)
            else {
                return;
            };
            let is_allowed = details.policies.values().any(|policy| policy.contains("workmail"));
            (!is_allowed).then_some(
                "no policy of the identity names WorkMail, so it may not send for the domain",
            )
        }
    };
    let problem = problem.map(|what| {
        Problem::new(Check::WorkMailSending, Warning, what, POLICIES)
            .assuming("AWS does not document the principal of that policy; the check looks for `workmail` in its text")
            .fix("add the sending authorization policy that WorkMail creates with a domain")
    });
    report.check(Check::WorkMailSending, domain, POLICIES, problem);
}
