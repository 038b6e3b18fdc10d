//! What is counted: from all attempts and all bounces to the rate, step by step.

use crate::data::{ReconcileData, ReconcileStep, ReconciledScope};
use crate::format::{minute, number, percent};
use crate::layout::{Block, Cell, Column, Line, Row, Section, Table};
use crate::svg::step_bar;

pub(super) fn section(data: &ReconcileData) -> Section {
    let mut section = Section::new(
        "counted",
        "What is counted",
        "Not every bounce is in the rate of SES. Each step removes bounces or attempts that SES does not count.",
    );
    for (at, scope) in data.accounts.iter().enumerate() {
        let base = format!("/reconcile/accounts/{at}");
        let from = scope.from.as_deref().map_or_else(|| "first event".to_owned(), minute);
        let title = format!("{} in {}", scope.scope.account(), scope.window);
        section
            .blocks
            .push(Block::Heading(Line::of(format!("{title}: {from} to {}", minute(&scope.to)))));
        if !scope.attempts.is_empty() {
            section.blocks.push(Block::Table(table(
                &format!("Attempts of {title}"),
                &scope.attempts,
                &format!("{base}/attempts"),
                scope,
                false,
            )));
        }
        section.blocks.push(Block::Table(table(
            &format!("Bounces of {title}"),
            &scope.bounces,
            &format!("{base}/bounces"),
            scope,
            true,
        )));
        let mut line =
            Line::of("Bounce rate ").percent(scope.rate, format!("{base}/rate")).text(".");
        if let (Some(aws), Some(difference)) = (scope.aws_rate, scope.difference) {
            line = line
                .text(" AWS shows ")
                .percent(Some(aws), format!("{base}/aws_rate"))
                .text(format!(", a difference of {:+.2} percentage points.", difference * 100.0));
            if let Some(step) = &scope.nearest {
                line = line.text(format!(" Nearest to it is the rate after \"{}\".", label(step)));
            }
        }
        section.paragraph(line);
    }
    section
}

/// Returns the text of a step.
fn label(step: &str) -> String {
    match step {
        "counted_hard" => "counted: hard".to_owned(),
        "counted_suppressed_by_ses" => "counted: on the global suppression list of SES".to_owned(),
        "of_unknown_class" => "unclassified".to_owned(),
        other => other.replace('_', " "),
    }
}

fn table(
    caption: &str,
    steps: &[ReconcileStep],
    base: &str,
    scope: &ReconciledScope,
    is_bounces: bool,
) -> Table {
    let noun = if is_bounces { "Bounces" } else { "Attempts" };
    let mut columns = vec![
        Column::text("Step"),
        Column::number(noun, "count"),
        Column::number("Remaining", "left"),
    ];
    if is_bounces {
        columns.push(Column::number("Rate", "rate"));
    }
    let mut table = Table::new(caption, columns);
    let total = steps.first().map_or(0, |step| step.left);
    for (at, step) in steps.iter().enumerate() {
        let is_part = step.step.starts_with("counted_");
        let prefix = if at == 0 || is_part { "" } else { "minus " };
        let name = format!("{prefix}{}", label(&step.step));
        let is_nearest = is_bounces && scope.nearest.as_deref() == Some(step.step.as_str());
        let name = if is_nearest {
            Line::default().strong(format!("{name} (nearest to AWS)"))
        } else {
            Line::of(name)
        };
        let removed = if at == 0 || is_part { 0 } else { step.count };
        let mut cells = vec![
            Cell::header(name),
            Cell::of(number(step.count)),
            Cell::of(number(step.left)).with_chart(step_bar(step.left, removed, total), 0.0),
        ];
        if is_bounces {
            cells.push(Cell::of(percent(step.rate)));
        }
        table.rows.push(Row { pointer: Some(format!("{base}/{at}")), cells });
    }
    table
}
