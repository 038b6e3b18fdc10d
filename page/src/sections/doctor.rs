//! Findings of `doctor` about the AWS account and its DNS records.

use bouncewatch_schemas::printable::printable;

use crate::data::{DoctorData, DoctorFinding};
use crate::format::{counted, minute};
use crate::layout::{Block, Cell, Column, LevelMark, Line, Row, Section, Table};

/// Most findings.
const FINDINGS_MAX: usize = 50;

pub(super) fn section(data: &DoctorData) -> Section {
    let mut section = Section::new(
        "doctor",
        "AWS account and DNS",
        "Findings of the command doctor, those to fix first at the top.",
    );
    section.paragraph(
        Line::of("Account ")
            .untrusted(data.account.as_deref().unwrap_or("unknown"))
            .text(" ")
            .untrusted(&data.region)
            .text(", as of ")
            .text(minute(&data.as_of))
            .text(": ")
            .text(counted(data.findings.len() as u64, "findings"))
            .text(", ")
            .text(counted(data.passed, "checks passed"))
            .text("."),
    );
    if data.findings.is_empty() {
        return section;
    }
    let columns = ["Level", "Check", "About", "Finding", "What to do"];
    let mut table = Table::new("Findings", columns.map(Column::text).into());
    table.rows = data.findings.iter().take(FINDINGS_MAX).map(row).collect();
    let more = data.findings.len().saturating_sub(FINDINGS_MAX);
    if more > 0 {
        table.foot = Some(Line::of(format!("{more} more: the command doctor prints them.")));
    }
    section.blocks.push(Block::Table(table));
    section
}

fn row(finding: &DoctorFinding) -> Row {
    let level = match finding.level {
        Some(level) => Cell::level(LevelMark::Level(level)),
        None => Cell::of("NOTE"),
    };
    let untrusted = |text: &str| Cell::line(Line::default().untrusted(text));
    // a finding and its fix are complete: a shortened command or statement would be wrong
    let complete = |text: &str| Cell::of(printable(text));
    Row {
        pointer: None,
        cells: vec![
            level,
            Cell::header(Line::of(finding.id.clone())),
            untrusted(finding.subject.as_deref().unwrap_or("the account")),
            complete(&finding.what),
            complete(&finding.fix),
        ],
    }
}
