//! Collects findings: problems one by one, passed checks once per check, unreadable parts once per check and reason.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::finding::{Check, Finding, FindingLevel};
use crate::policy::{Decision, Evaluation};
use crate::snapshot::part::Part;

/// Why a part has no value, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Unreadable {
    check: Check,
    level: FindingLevel,
    why: String,
    fix: String,
}

/// Findings of one run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    findings: Vec<Finding>,
    passed: BTreeMap<Check, (BTreeSet<String>, &'static str)>,
    unreadable: BTreeMap<Unreadable, (BTreeSet<String>, &'static str)>,
}

impl Report {
    /// Adds a problem.
    pub(crate) fn add(&mut self, problem: Finding) {
        if !self.findings.contains(&problem) {
            self.findings.push(problem);
        }
    }

    /// Records that a check found no problem of a subject. `subject` is empty for the account.
    pub(crate) fn pass(&mut self, check: Check, subject: &str, source: &'static str) {
        self.passed
            .entry(check)
            .or_insert_with(|| (BTreeSet::new(), source))
            .0
            .insert(subject.to_owned());
    }

    /// Adds the problem, or records that the check passed.
    pub(crate) fn check(
        &mut self,
        check: Check,
        subject: &str,
        source: &'static str,
        problem: Option<Finding>,
    ) {
        match problem {
            Some(problem) if subject.is_empty() => self.add(problem),
            Some(problem) => self.add(problem.about(subject)),
            None => self.pass(check, subject, source),
        }
    }

    /// The value of a part; if there is none, records why. A part that the snapshot does not have is unknown.
    pub(crate) fn read<'a, T: 'a>(
        &mut self,
        check: Check,
        subject: &str,
        part: impl Into<Option<&'a Part<T>>>,
        source: &'static str,
    ) -> Option<&'a T> {
        let mut fix = String::new();
        let (level, why) = match part.into() {
            Some(Part::Value(value)) => return Some(value),
            Some(Part::Absent(action)) => {
                let why = "it does not exist, or access is not allowed";
                (FindingLevel::Unknown, format!("not found by {action}: {why}"))
            }
            Some(Part::Denied(action)) => {
                fix = format!(
                    "The check needs {action}: allow it (deploy/policies/doctor.json has all actions)"
                );
                (FindingLevel::Unknown, format!("access to {action} is denied"))
            }
            Some(Part::Error(failure)) => {
                (FindingLevel::Unknown, format!("{} failed: {}", failure.action, failure.message))
            }
            Some(Part::Skipped(why)) => (FindingLevel::Note, format!("not checked: {why}")),
            Some(Part::Missing) | None => {
                (FindingLevel::Unknown, "not checked: not in the snapshot".to_owned())
            }
        };
        let entry = self.unreadable.entry(Unreadable { check, level, why, fix });
        entry.or_insert_with(|| (BTreeSet::new(), source)).0.insert(subject.to_owned());
        None
    }

    /// All findings, worst first, then in the order of the checks.
    pub(crate) fn into_findings(self) -> Vec<Finding> {
        let mut findings = self.findings;
        for (Unreadable { check, level, why, fix }, (subjects, source)) in self.unreadable {
            let problem = check.found(level, why, source).fix(fix);
            findings.push(finding_of_subjects(problem, subjects));
        }
        let is_known: BTreeSet<&str> = findings.iter().map(|finding| finding.id).collect();
        let passed = self.passed.into_iter();
        let passed: Vec<Finding> = passed
            .filter(|(check, _)| !is_known.contains(check.as_str()))
            .map(|(check, (subjects, source))| {
                let passed = check.found(FindingLevel::Ok, "no problem found", source);
                finding_of_subjects(passed, subjects)
            })
            .collect();
        findings.extend(passed);
        findings.sort_by(|a, b| {
            let key = |finding: &Finding| (Reverse(finding.level), Check::parse(finding.id));
            key(a).cmp(&key(b)).then_with(|| a.subject.cmp(&b.subject))
        });
        findings
    }
}

/// The problem of a policy: `denied`, `undecided`, or none, with the reasons of the evaluation.
pub(crate) fn policy_problem(
    evaluation: Evaluation,
    denied: Finding,
    undecided: Finding,
) -> Option<Finding> {
    let problem = match evaluation.decision {
        Decision::Allowed => return None,
        Decision::Denied if evaluation.is_explicit_denial => {
            denied.fix("Remove or narrow the statement that denies it")
        }
        Decision::Denied => denied,
        Decision::Undecided => undecided,
    };
    Some(problem.with_all(evaluation.reasons))
}

/// Subjects that one finding names.
const SUBJECTS_MAX: usize = 10;

/// The first names of a list, and how many more there are.
pub(crate) fn first_names(names: impl ExactSizeIterator<Item = String>) -> Vec<String> {
    let more = names.len().saturating_sub(SUBJECTS_MAX);
    let mut first: Vec<String> = names.take(SUBJECTS_MAX).collect();
    if more > 0 {
        first.push(format!("and {more} more"));
    }
    first
}

/// One finding: its subject if it has one, or the first subjects as evidence.
fn finding_of_subjects(finding: Finding, subjects: BTreeSet<String>) -> Finding {
    let mut subjects: Vec<String> = subjects.into_iter().filter(|name| !name.is_empty()).collect();
    match (subjects.len(), subjects.pop()) {
        (1, Some(only)) => finding.about(&only),
        (_, last) => {
            subjects.extend(last);
            finding.with_all(first_names(subjects.into_iter()))
        }
    }
}
