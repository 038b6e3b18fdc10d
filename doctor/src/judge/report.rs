//! Collects findings: problems one by one, passed checks once per check, unreadable parts once per check and action.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::{Check, Finding, FindingLevel};
use crate::snapshot::part::Part;

/// Findings of one run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    findings: Vec<(Check, Finding)>,
    passed: BTreeMap<Check, (BTreeSet<String>, &'static str)>,
    /// Subjects by check, level and reason.
    unreadable: BTreeMap<(Check, FindingLevel, String), (BTreeSet<String>, &'static str)>,
}

/// A problem before it is reported.
pub(crate) struct Problem {
    pub(crate) check: Check,
    pub(crate) level: FindingLevel,
    pub(crate) subject: Option<String>,
    pub(crate) what: String,
    pub(crate) evidence: Vec<String>,
    pub(crate) fix: String,
    pub(crate) assumption: Option<&'static str>,
    pub(crate) source: &'static str,
}

impl Problem {
    pub(crate) fn new(
        check: Check,
        level: FindingLevel,
        what: impl Into<String>,
        source: &'static str,
    ) -> Self {
        Self {
            check,
            level,
            subject: None,
            what: what.into(),
            evidence: Vec::new(),
            fix: String::new(),
            assumption: None,
            source,
        }
    }

    pub(crate) fn about(mut self, subject: &str) -> Self {
        self.subject = Some(subject.to_owned());
        self
    }

    pub(crate) fn evidence(mut self, evidence: impl Into<String>) -> Self {
        self.evidence.push(evidence.into());
        self
    }

    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = fix.into();
        self
    }

    /// The finding, with its check.
    fn found(self) -> (Check, Finding) {
        let Self { check, level, subject, what, evidence, fix, assumption, source } = self;
        let id = check.as_str();
        (check, Finding { id, level, subject, what, evidence, fix, assumption, source })
    }

    pub(crate) fn assuming(mut self, assumption: &'static str) -> Self {
        self.assumption = Some(assumption);
        self
    }
}

impl Report {
    /// Adds a problem.
    pub(crate) fn add(&mut self, problem: Problem) {
        let found = problem.found();
        if !self.findings.contains(&found) {
            self.findings.push(found);
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
        problem: Option<Problem>,
    ) {
        match problem {
            Some(problem) if subject.is_empty() => self.add(problem),
            Some(problem) => self.add(problem.about(subject)),
            None => self.pass(check, subject, source),
        }
    }

    /// The value of a part; if there is none, records why.
    pub(crate) fn read<'a, T>(
        &mut self,
        check: Check,
        subject: &str,
        part: &'a Part<T>,
        source: &'static str,
    ) -> Option<&'a T> {
        let (level, why) = match part {
            Part::Value(value) => return Some(value),
            Part::Absent(action) => (FindingLevel::Unknown, format!("{action}: does not exist")),
            Part::Denied(action) => (FindingLevel::Unknown, format!("needs {action}")),
            Part::Error(failure) => {
                (FindingLevel::Unknown, format!("{} failed: {}", failure.action, failure.message))
            }
            Part::Skipped(why) => (FindingLevel::Note, format!("not checked: {why}")),
        };
        let entry = self.unreadable.entry((check, level, why));
        entry.or_insert_with(|| (BTreeSet::new(), source)).0.insert(subject.to_owned());
        None
    }

    /// All findings, worst first, then in the order of the checks.
    pub(crate) fn into_findings(self) -> Vec<Finding> {
        let mut findings = self.findings;
        for ((check, level, why), (subjects, source)) in self.unreadable {
            let problem = Problem::new(check, level, why.clone(), source);
            let fix = why.strip_prefix("needs ").map_or_else(String::new, |action| {
                format!("allow {action} (deploy/policies/doctor.json has all actions)")
            });
            findings.push(finding_of_subjects(problem.fix(fix), subjects));
        }
        let is_known: BTreeSet<Check> = findings.iter().map(|(check, _)| *check).collect();
        for (check, (subjects, source)) in self.passed {
            if !is_known.contains(&check) {
                let problem = Problem::new(check, FindingLevel::Ok, "no problem found", source);
                findings.push(finding_of_subjects(problem, subjects));
            }
        }
        findings.sort_by(|(check_a, a), (check_b, b)| {
            (b.level.cmp(&a.level))
                .then(check_a.cmp(check_b))
                .then_with(|| a.subject.cmp(&b.subject))
        });
        findings.into_iter().map(|(_, finding)| finding).collect()
    }
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
fn finding_of_subjects(problem: Problem, subjects: BTreeSet<String>) -> (Check, Finding) {
    let mut subjects: Vec<String> = subjects.into_iter().filter(|name| !name.is_empty()).collect();
    let subject = if subjects.len() == 1 { subjects.pop() } else { None };
    let evidence = first_names(subjects.into_iter());
    Problem { subject, evidence, ..problem }.found()
}
