//! The findings of a snapshot of `doctor`, for the document of a page.

#[cfg(feature = "doctor")]
use bouncewatch_doctor::finding::{Finding, FindingLevel};
#[cfg(feature = "doctor")]
use bouncewatch_doctor::judge::{Figures, judge};
#[cfg(feature = "doctor")]
use bouncewatch_doctor::snapshot::Snapshot;
#[cfg(feature = "doctor")]
use bouncewatch_page::mask_addresses;
use serde::Serialize;

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

#[cfg(feature = "doctor")]
impl DoctorDocument {
    /// Judges a snapshot.
    pub(super) fn of_snapshot(snapshot: &Snapshot) -> Self {
        let findings = judge(snapshot, &Figures::default());
        let (passed, problems): (Vec<_>, Vec<_>) =
            findings.iter().partition(|finding| finding.level == FindingLevel::Ok);
        Self {
            as_of: bouncewatch_schemas::time::format_ms(snapshot.taken_at.0),
            account: snapshot.account_id.value().cloned(),
            region: snapshot.region.clone(),
            passed: passed.len(),
            findings: problems.into_iter().map(FindingDocument::new).collect(),
        }
    }
}

#[cfg(feature = "doctor")]
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
#[cfg(feature = "doctor")]
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
#[cfg(feature = "doctor")]
mod tests {
    use super::*;

    #[test]
    fn findings_on_a_page_have_no_arn_and_no_address() {
        let text = "allow arn:aws:sns:eu-west-1:1:topic, then jane@example.com (arn:aws:ses:r:1:identity/a.b)";
        assert_eq!(public(text), "allow topic, then ...@example.com (identity/a.b)");
        assert_eq!(public("arn:"), "");
    }
}
