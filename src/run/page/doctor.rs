//! The findings of a snapshot of `doctor`, for the document of a page.

use bouncewatch_analyze::page::PageRequest;
use bouncewatch_doctor::finding::{Finding, FindingLevel};
use bouncewatch_doctor::judge::{Figures, judge};
use bouncewatch_doctor::snapshot::Snapshot;
use bouncewatch_page::mask_addresses;
use bouncewatch_schemas::time::{DAY_MS, format_ms};
use serde::Serialize;

use crate::cli::PageArgs;
use crate::run::doctor::read;

/// Longest time between the bounce rate of a snapshot and the page.
const RATE_AGE_MAX_MS: i64 = 2 * DAY_MS;

/// Findings, and the number of checks without one.
#[derive(Serialize)]
pub(super) struct DoctorDocument {
    as_of: String,
    account: Option<String>,
    region: String,
    passed: usize,
    findings: Vec<FindingDocument>,
}

#[derive(Serialize)]
struct FindingDocument {
    id: &'static str,
    /// Null for a note.
    level: Option<&'static str>,
    subject: Option<String>,
    what: String,
    fix: String,
}

/// Returns the findings of the snapshot of `--doctor`. Its bounce rate of CloudWatch is the rate that AWS shows for its
/// account, if no other is given and it is not much older or newer than the page.
pub(super) fn findings(
    args: &PageArgs,
    request: &mut PageRequest,
) -> anyhow::Result<Option<DoctorDocument>> {
    let Some(path) = &args.doctor else { return Ok(None) };
    let snapshot = read(path)?;
    let point = snapshot.metrics.value().and_then(|metrics| metrics.bounce_rate);
    if let (Some(reconcile), Some(point), Some(account)) =
        (&mut request.reconcile, point, snapshot.account_id.value())
        && reconcile.aws_rate.is_none()
        && (reconcile.at - point.at.0).abs() <= RATE_AGE_MAX_MS
        && (0.0..=1.0).contains(&point.value)
    {
        reconcile.aws_rate = Some(point.value);
        reconcile.aws_account = Some([account.clone(), snapshot.region.clone()]);
    }
    Ok(Some(DoctorDocument::of_snapshot(&snapshot)))
}

impl DoctorDocument {
    /// Judges a snapshot.
    fn of_snapshot(snapshot: &Snapshot) -> Self {
        let findings = judge(snapshot, &Figures::default());
        let (passed, problems): (Vec<_>, Vec<_>) =
            findings.iter().partition(|finding| finding.level == FindingLevel::Ok);
        Self {
            as_of: format_ms(snapshot.taken_at.0),
            account: snapshot.account_id.value().cloned(),
            region: snapshot.region.clone(),
            passed: passed.len(),
            findings: problems.into_iter().map(FindingDocument::new).collect(),
        }
    }
}

impl FindingDocument {
    fn new(finding: &Finding) -> Self {
        Self {
            id: finding.id,
            level: (finding.level != FindingLevel::Note).then(|| finding.level.as_str()),
            subject: finding.subject.as_deref().map(public),
            what: public(&finding.what),
            fix: public(&finding.fix),
        }
    }
}

/// Masks email addresses, and shortens ARNs to the names of their resources.
fn public(text: &str) -> String {
    let is_arn = |c: char| c.is_ascii_alphanumeric() || ":/._-".contains(c);
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("arn:") {
        let (before, arn) = rest.split_at(start);
        let (arn, after) = arn.split_at(arn.find(|c| !is_arn(c)).unwrap_or(arn.len()));
        out.push_str(before);
        out.push_str(arn.splitn(6, ':').last().unwrap_or_default());
        rest = after;
    }
    out.push_str(rest);
    mask_addresses(&out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_on_a_page_have_no_arn_and_no_address() {
        let text = "allow arn:aws:sns:eu-west-1:1:topic, then jane@example.com (arn:aws:ses:r:1:identity/a.b)";
        assert_eq!(public(text), "allow topic, then ...@example.com (identity/a.b)");
        assert_eq!(public("arn:"), "");
    }
}
