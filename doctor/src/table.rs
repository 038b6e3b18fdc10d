//! Findings as text: the first line states what to repair first, then the findings with the worst first.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use bouncewatch_schemas::level::AlertLevel;
use bouncewatch_schemas::printable::printable;

use crate::finding::{Finding, FindingLevel};
use crate::judge::first_names;

/// Width of a line of passed checks.
const LINE_CHARS_MAX: usize = 100;

/// Formats findings, which are sorted as [`crate::judge::judge`] returns them. Texts from outside are escaped.
pub fn render_table(findings: &[Finding]) -> String {
    let mut out = String::new();
    // writing to a String cannot fail
    _ = writeln!(out, "{}", headline(findings));
    for (finding, subjects) in groups(findings) {
        out.push('\n');
        render_finding(&finding, subjects, &mut out);
    }
    let passed = findings.iter().filter(|finding| finding.level == FindingLevel::Ok);
    render_passed(passed.map(|finding| finding.id), &mut out);
    out
}

/// Problems without their subjects, each with the subjects that it has. The order is that of the first ones.
fn groups(findings: &[Finding]) -> Vec<(Finding, Vec<String>)> {
    let mut groups: Vec<(Finding, Vec<String>)> = Vec::new();
    for finding in findings.iter().filter(|finding| finding.level != FindingLevel::Ok) {
        let mut problem = finding.clone();
        let subject = problem.subject.take();
        match groups.iter_mut().find(|(known, _)| *known == problem) {
            Some((_, subjects)) => subjects.extend(subject),
            None => groups.push((problem, subject.into_iter().collect())),
        }
    }
    groups
}

fn headline(findings: &[Finding]) -> String {
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let worst = findings.first().filter(|finding| finding.level.status() > AlertLevel::Ok);
    let Some(worst) = worst else {
        return format!("OK: {} checks passed", count(FindingLevel::Ok));
    };
    let subject = worst.subject.as_ref().map_or_else(String::new, |name| format!("{name}: "));
    let verb =
        if worst.level == FindingLevel::Unknown { "allow or read first" } else { "repair first" };
    format!(
        "{}: {verb}: {}{} ({} critical, {} warning, {} unknown)",
        worst.level.status().as_upper(),
        printable(&subject),
        printable(&worst.what),
        count(FindingLevel::Critical),
        count(FindingLevel::Warning),
        count(FindingLevel::Unknown),
    )
}

fn render_finding(finding: &Finding, subjects: Vec<String>, out: &mut String) {
    let subject = match first_names(subjects.into_iter()).join(", ") {
        subjects if subjects.is_empty() => subjects,
        subjects => format!("  {subjects}"),
    };
    let level = finding.level.as_str().to_uppercase();
    _ = writeln!(out, "{level:<8}  {}{}", finding.id, printable(&subject));
    _ = writeln!(out, "  {}", printable(&finding.what));
    for evidence in &finding.evidence {
        _ = writeln!(out, "    - {}", printable(evidence));
    }
    if let Some(assumption) = finding.assumption {
        _ = writeln!(out, "    assumption: {assumption}");
    }
    if !finding.fix.is_empty() {
        _ = writeln!(out, "    fix: {}", printable(&finding.fix));
    }
    // what is known about AWS is stated where it leads to an action
    if finding.level > FindingLevel::Unknown {
        _ = writeln!(out, "    source: {}", finding.source);
    }
}

fn render_passed<'a>(ids: impl Iterator<Item = &'a str>, out: &mut String) {
    let mut lines: Vec<String> = Vec::new();
    let mut known = BTreeSet::new();
    for id in ids.filter(|id| known.insert(*id)) {
        match lines.last_mut() {
            Some(line) if line.len() + id.len() + 2 <= LINE_CHARS_MAX => {
                line.push_str("  ");
                line.push_str(id);
            }
            _ => lines.push(id.to_owned()),
        }
    }
    if !lines.is_empty() {
        out.push('\n');
    }
    for (at, line) in lines.iter().enumerate() {
        _ = writeln!(out, "{:<8}  {line}", if at == 0 { "OK" } else { "" });
    }
}
