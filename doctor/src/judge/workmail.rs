//! WorkMail: domains, receipt rules, permission to send, tracing.

use bouncewatch_dns::is_within;

use crate::finding::Check;
use crate::finding::FindingLevel::{Critical, Note, Warning};
use crate::judge::report::Report;
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
    let what = "AWS ends WorkMail on 2027-03-31";
    report.add(Check::WorkMailEnd.found(Note, what, END).fix("Plan the move of the mailboxes"));
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
            Check::WorkMailDmarc.found(Note, what, DMARC).fix(
                "Run `aws workmail put-inbound-dmarc-settings --enforced --organization-id ID`",
            )
        });
        report.check(Check::WorkMailDmarc, name, DMARC, problem);
    }
    if let Some(log_group) =
        report.read(Check::WorkMailTracing, name, &organization.tracing, TRACING)
    {
        let problem = log_group.is_none().then(|| {
            let what = "message tracing is off: bounces and lost mail of WorkMail leave no trace";
            Check::WorkMailTracing.found(Warning, what, TRACING)
                .fix("Enable email event logging of the organization, then `bouncewatch ingest` reads its log group")
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
        let what = "WorkMail has not verified that the organization owns the domain: it does not send or receive for it";
        let mut problem = Check::WorkMailOwnership.found(Critical, what, DOMAIN)
            .with(format!("OwnershipVerificationStatus = {}", details.ownership))
            .fix("Publish the records that WorkMail requires");
        let records = details.records.iter().filter(|record| record.kind == "TXT");
        for record in records {
            problem = problem.with(format!("{} TXT {}", record.hostname, record.value));
        }
        problem
    });
    report.check(Check::WorkMailOwnership, name, DOMAIN, ownership);
    let dkim = (details.dkim != "VERIFIED").then(|| {
        let what = "DKIM of the WorkMail domain is not verified";
        let mut problem = Check::WorkMailDkim
            .found(Warning, what, DOMAIN)
            .with(format!("DkimVerificationStatus = {}", details.dkim))
            .fix("Publish the DKIM records that WorkMail requires");
        let records =
            details.records.iter().filter(|record| record.hostname.contains("._domainkey."));
        for record in records {
            problem = problem.with(format!("{} {} {}", record.hostname, record.kind, record.value));
        }
        problem
    });
    report.check(Check::WorkMailDkim, name, DOMAIN, dkim);
}

/// Part of the mail of a domain to which a rule applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Coverage {
    None,
    /// Single addresses.
    Addresses,
    Whole,
}

/// The coverage of a rule. A recipient is an address, a domain without its subdomains, or `.domain`: its subdomains.
fn coverage(rule: &ReceiptRule, domain: &str) -> Coverage {
    let of_recipient = |recipient: &String| {
        let recipient = recipient.to_ascii_lowercase();
        let is_whole = match recipient.strip_prefix('.') {
            Some(parent) => domain != parent && is_within(domain, parent),
            None => recipient == domain,
        };
        match recipient.rsplit_once('@') {
            _ if is_whole => Coverage::Whole,
            Some((_, of_address)) if of_address == domain => Coverage::Addresses,
            _ => Coverage::None,
        }
    };
    // a rule without recipients applies to all mail
    let recipients = rule.recipients.iter().map(of_recipient);
    if rule.recipients.is_empty() {
        Coverage::Whole
    } else {
        recipients.max().unwrap_or(Coverage::None)
    }
}

fn receipt_rules(domain: &str, snapshot: &Snapshot, report: &mut Report) {
    let check = Check::WorkMailReceiptRule;
    let Some(rules) = report.read(check, domain, &snapshot.receipt_rules, RULES) else { return };
    let fix = "Activate the rule set that WorkMail created, with a rule for the domain that has the action WorkMail";
    let Some(rules) = rules else {
        let what = "no receipt rule set is active: SES passes no mail to WorkMail";
        report.add(check.found(Critical, what, RULES).about(domain).fix(fix));
        return;
    };
    let normal = domain.to_ascii_lowercase();
    let rules: Vec<(&ReceiptRule, Coverage)> = rules
        .iter()
        .map(|rule| (rule, coverage(rule, &normal)))
        .filter(|(_, coverage)| *coverage > Coverage::None)
        .collect();
    let is_ours = |rule: &ReceiptRule| rule.actions.iter().any(|action| action == "workmail");
    let enabled: Vec<_> = rules.iter().filter(|(rule, _)| rule.enabled).collect();
    let best =
        enabled.iter().filter(|(rule, _)| is_ours(rule)).map(|(_, coverage)| *coverage).max();
    let problem = match best {
        Some(Coverage::Whole) => None,
        Some(_) => Some((
            Warning,
            "receipt rules pass mail of single addresses to WorkMail, not of the domain",
        )),
        None if rules.iter().any(|(rule, _)| is_ours(rule)) => {
            Some((Critical, "the receipt rule of the domain is disabled"))
        }
        None => Some((Critical, "no receipt rule passes mail of the domain to WorkMail")),
    };
    let problem = problem.map(|(level, what)| check.found(level, what, RULES).fix(fix));
    report.check(check, domain, RULES, problem);
    let is_first =
        |(rule, coverage): &&(&ReceiptRule, Coverage)| is_ours(rule) && Some(*coverage) == best;
    let Some(at) = enabled.iter().position(is_first) else { return };
    let before = enabled.iter().take(at + 1).flat_map(|(rule, coverage)| {
        let actions = rule.actions.iter().take_while(|action| *action != "workmail");
        actions.map(move |action| (action.as_str(), Some(*coverage) >= best))
    });
    let before: Vec<(&str, bool)> = before.collect();
    let is_fatal =
        before.iter().any(|(action, is_all)| *is_all && ["bounce", "stop"].contains(action));
    let problem = (!before.is_empty()).then(|| {
        let (level, what) = if is_fatal {
            (Critical, "an action before WorkMail bounces mail or ends the rules: mail does not reach WorkMail")
        } else {
            (Warning, "actions run before WorkMail: if one fails or takes the mail, it does not reach WorkMail")
        };
        let actions: Vec<&str> = before.iter().map(|(action, _)| *action).collect();
        Check::WorkMailRuleActions
            .found(level, what, RULES)
            .with(format!("before WorkMail: {}", actions.join(", ")))
            .fix("Move the action WorkMail to the start of the rule")
    });
    report.check(Check::WorkMailRuleActions, domain, RULES, problem);
}

fn sending(domain: &str, snapshot: &Snapshot, report: &mut Report) {
    let Some(identities) = snapshot.identities.value() else { return };
    let identity = identities.iter().find(|identity| identity.name.eq_ignore_ascii_case(domain));
    let problem = match identity {
        None => {
            let what =
                "the domain is no identity of SES in this region: WorkMail cannot send for it";
            let problem = Check::WorkMailSending.found(Warning, what, POLICIES);
            Some(problem.fix("Verify the domain in SES in the region of the organization"))
        }
        Some(identity) => {
            let Some(details) =
                report.read(Check::WorkMailSending, domain, &identity.details, POLICIES)
            else {
                return;
            };
            let is_allowed = details.policies.values().any(|policy| policy.contains("workmail"));
            (!is_allowed).then(|| {
                let what =
                    "no policy of the identity names WorkMail, so it may not send for the domain";
                Check::WorkMailSending
                    .found(Warning, what, POLICIES)
                    .assuming("AWS does not document the principal of that policy; the check looks for `workmail` in its text")
                    .fix("Add the sending authorization policy that WorkMail creates with a domain")
            })
        }
    };
    report.check(Check::WorkMailSending, domain, POLICIES, problem);
}
