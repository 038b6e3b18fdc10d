//! Findings as text: the first line states what to repair first, then the findings with the worst first.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anstyle::Style;
use bouncewatch_schemas::level::AlertLevel;
use bouncewatch_schemas::printable::printable;
use bouncewatch_schemas::text_layout::{TextLayout, level_style};
use textwrap::{Options, WordSeparator, WordSplitter};

use crate::finding::{Finding, FindingLevel};
use crate::judge::first_names;

/// Maximum width of the list of passed checks.
const LINE_CHARS_MAX: usize = 110;

/// Formats findings, which are sorted as [`crate::judge::judge`] returns them. Texts from outside are escaped.
pub fn render_table(findings: &[Finding], layout: TextLayout) -> String {
    let mut out = String::new();
    add_headline(findings, layout, &mut out);
    for (finding, subjects) in groups(findings) {
        out.push('\n');
        add_finding(&finding, subjects, layout, &mut out);
    }
    let passed = findings.iter().filter(|finding| finding.level == FindingLevel::Ok);
    add_passed(passed.map(|finding| finding.id), layout, &mut out);
    out
}

/// Merges problems that differ in their subject only. Returns each with its subjects, in the order of their first
/// appearance; passed checks are left out.
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

fn add_headline(findings: &[Finding], layout: TextLayout, out: &mut String) {
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let worst = findings.first().filter(|finding| finding.level.status() > AlertLevel::Ok);
    let Some(worst) = worst else {
        let status = styled_level(FindingLevel::Ok, "OK", layout);
        // writing to a String cannot fail
        _ = writeln!(out, "{status}: {} checks passed", count(FindingLevel::Ok));
        return;
    };
    let subject = worst.subject.as_ref().map_or_else(String::new, |name| format!("{name}: "));
    let verb = if worst.level == FindingLevel::Unknown { "could not check" } else { "fix first" };
    let status = worst.level.status().as_upper();
    let text = format!(
        "{status}: {verb}: {}{} ({} critical, {} warning, {} unknown)",
        printable(&subject),
        printable(&worst.what),
        count(FindingLevel::Critical),
        count(FindingLevel::Warning),
        count(FindingLevel::Unknown),
    );
    let start = out.len();
    add_wrapped(["", "  "], &text, layout.width, out);
    out.replace_range(start..start + status.len(), &styled_level(worst.level, status, layout));
}

fn styled_level(level: FindingLevel, text: &str, layout: TextLayout) -> String {
    let color = match level {
        FindingLevel::Note => Style::new(),
        _ => level_style(level.status()),
    };
    layout.styled(text, color.bold())
}

/// Adds a text with the indents of its first and its other lines. A word that is longer than a line is not broken.
fn add_wrapped(indents: [&str; 2], text: &str, width: Option<usize>, out: &mut String) {
    let [first, other] = indents;
    let Some(width) = width else {
        _ = writeln!(out, "{first}{text}");
        return;
    };
    let options = Options::new(width)
        .initial_indent(first)
        .subsequent_indent(other)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation);
    for line in textwrap::wrap(text, options) {
        _ = writeln!(out, "{line}");
    }
}

fn add_finding(finding: &Finding, subjects: Vec<String>, layout: TextLayout, out: &mut String) {
    let name = finding.level.as_str().to_uppercase();
    let title = match first_names(subjects.into_iter()).join(", ") {
        subjects if subjects.is_empty() => format!("{name:<8}  {}", finding.id),
        subjects => format!("{name:<8}  {}  {}", finding.id, printable(&subjects)),
    };
    let start = out.len();
    add_wrapped(["", "          "], &title, layout.width, out);
    out.replace_range(start..start + name.len(), &styled_level(finding.level, &name, layout));
    add_wrapped(["  ", "  "], &printable(&finding.what), layout.width, out);
    for evidence in &finding.evidence {
        add_wrapped(["    - ", "      "], &printable(evidence), layout.width, out);
    }
    if let Some(assumption) = finding.assumption {
        add_wrapped(["    assumption: ", "      "], assumption, layout.width, out);
    }
    if !finding.fix.is_empty() {
        // in one line: it can contain a command to copy
        _ = writeln!(out, "    fix: {}", printable(&finding.fix));
    }
    // the source is printed for warnings and critical findings only
    if finding.level > FindingLevel::Unknown {
        add_wrapped(["    source: ", "      "], finding.source, layout.width, out);
    }
}

fn add_passed<'a>(ids: impl Iterator<Item = &'a str>, layout: TextLayout, out: &mut String) {
    let mut known = BTreeSet::new();
    let ids: Vec<&str> = ids.filter(|id| known.insert(*id)).collect();
    if ids.is_empty() {
        return;
    }
    out.push('\n');
    let width = layout.width.map_or(LINE_CHARS_MAX, |width| width.min(LINE_CHARS_MAX));
    let start = out.len();
    add_wrapped(["OK        ", "          "], &ids.join("  "), Some(width), out);
    out.replace_range(start..start + 2, &styled_level(FindingLevel::Ok, "OK", layout));
}
