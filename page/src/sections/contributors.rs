//! Contributors to the rates at or above a threshold.

use super::{base_verdicts, dimension, value_text};
use crate::data::{Contributor, Level, PageData, Verdict};
use crate::format::{known, number, percent};
use crate::layout::{Block, Cell, Column, Line, Row, Section, Table};
use crate::svg::share_bar;

/// Most parts of a rate, causes not counted.
const PARTS_MAX: usize = 6;
/// Smallest difference of a rate that makes a part a main contributor: 0.1 percentage points.
const DIFFERENCE_MIN: f64 = 0.001;

/// Returns the section; `None` if no rate is at or above a threshold.
pub(super) fn section(data: &PageData) -> Option<Section> {
    let reached: Vec<(usize, &Verdict)> =
        base_verdicts(data).filter(|(_, verdict)| verdict.level >= Level::Warning).collect();
    if reached.is_empty() {
        return None;
    }
    let mut section = Section::new(
        "contributors",
        "Contributors",
        "Parts of the mail that raise a rate. The rate without a part is the rate of all other mail. \
         For a cause, it is the rate if that mail had been delivered.",
    );
    for (at, verdict) in reached {
        let title = format!("{} in {}", verdict.metric_name(), verdict.window);
        section.blocks.push(Block::Heading(Line::of(format!("Contributors to the {title}"))));
        // complaint rates are small: a difference counts relative to the threshold
        let least = DIFFERENCE_MIN.min(verdict.warning / 10.0);
        let raises = |part: &&Contributor| {
            part.rate_without
                .zip(verdict.rate)
                .is_some_and(|(without, rate)| rate - without >= least)
        };
        if verdict.contributors.iter().any(|part| raises(&part)) {
            section.blocks.push(Block::Table(table(data, at, verdict, &title)));
        } else {
            section.paragraph(Line::of(format!(
                "No main contributor: no group lowers the rate by more than {} percentage points.",
                least * 100.0
            )));
        }
    }
    Some(section)
}

/// Returns the parts that raise a rate, then the causes, each with its index.
fn shown(verdict: &Verdict) -> Vec<(usize, &Contributor)> {
    let raises = |(_, part): &(usize, &Contributor)| {
        part.rate_without.zip(verdict.rate).is_some_and(|(without, rate)| without < rate)
    };
    let (causes, mut parts): (Vec<_>, Vec<_>) = verdict
        .contributors
        .iter()
        .enumerate()
        .filter(raises)
        .partition(|(_, part)| part.by == "cause");
    parts.truncate(PARTS_MAX);
    parts.extend(causes);
    parts
}

fn table(data: &PageData, at: usize, verdict: &Verdict, title: &str) -> Table {
    let noun = if verdict.is_bounce() { "Bounces" } else { "Complaints" };
    let columns = vec![
        Column::text("By"),
        Column::text("Value"),
        Column::number(noun, "count"),
        Column::text("Share"),
        Column::number("Rate without it", "rate_without"),
        Column::number("Its attempts", "attempts"),
        Column::text("Its own rate"),
    ];
    let mut table =
        Table::new(format!("Contributors to the {title} of {}", verdict.scope.account()), columns);
    for (index, part) in shown(verdict) {
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let ratio = |count: u64, of: u64| (of > 0).then(|| count as f64 / of as f64);
        let share = ratio(part.count, verdict.count);
        let own = part.attempts.and_then(|attempts| ratio(part.count, attempts));
        let is_enough = part.rate_without.is_some_and(|rate| rate < verdict.warning);
        let without = percent(part.rate_without);
        let without = if is_enough { Line::default().strong(without) } else { Line::of(without) };
        table.rows.push(Row {
            pointer: Some(format!("/check/verdicts/{at}/contributors/{index}")),
            cells: vec![
                Cell::of(dimension(&part.by)),
                Cell::header(Line::default().untrusted(&value_text(data, part.value.as_deref()))),
                Cell::of(number(part.count)),
                Cell::of(percent(share))
                    .with_chart(share_bar(share.unwrap_or_default()), share.unwrap_or_default()),
                Cell::line(without),
                Cell::of(known(part.attempts)),
                Cell::of(percent(own)),
            ],
        });
    }
    table
}
