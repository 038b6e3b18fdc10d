//! Rates of the account: one row per metric and window.

use super::{base_verdicts, denominator_text};
use crate::data::{PageData, Verdict};
use crate::format::{interval, known, minute, number, percent};
use crate::layout::{Block, Cell, Column, LevelMark, Line, Row, Section, Table};
use crate::svg::{Bullet, BulletScale, Svg, bullet};

/// Size of the chart of a rate.
const CHART: (f64, f64) = (220.0, 22.0);

pub(super) fn section(data: &PageData) -> Section {
    let mut section = Section::new(
        "rates",
        "Rates",
        "Each rate is bounces or complaints divided by attempts in a window that ends at the time of the page. \
         In the chart, the dot is the rate, the line its 95 % confidence interval, the solid tick the warning threshold, \
         the dashed tick the critical threshold, and the triangle the previous period.",
    );
    for account in super::accounts(data) {
        let of_account: Vec<(usize, &Verdict)> =
            base_verdicts(data).filter(|(_, verdict)| verdict.scope.account() == account).collect();
        section.blocks.push(Block::Table(table(&account, &of_account)));
    }
    let incoming = base_verdicts(data)
        .filter_map(|(at, verdict)| Some((at, verdict, verdict.incoming_bounces?)));
    if let Some((at, verdict, count)) =
        incoming.max_by_key(|(_, _, count)| *count).filter(|(_, _, count)| *count > 0)
    {
        section.paragraph(
            Line::default().number(count, format!("/check/verdicts/{at}/incoming_bounces")).text(
                format!(
                    " bounces of incoming mail in {}; they are part of no rate.",
                    verdict.window
                ),
            ),
        );
    }
    section
}

fn columns(has_complaints: bool, has_maturity: bool) -> Vec<Column> {
    let mut columns = vec![
        Column::text("Level"),
        Column::text("Metric"),
        Column::text("Window"),
        Column::number("Rate", "rate"),
        Column::number("95 % interval", "interval"),
        Column::number("Count", "count"),
        Column::number("Attempts", "attempts"),
        Column::text("Denominator"),
        Column::number("Until warning", "headroom/warning"),
        Column::number("Until critical", "headroom/critical"),
        Column::number("Previous period", "before/rate"),
        Column::text("Burn rate"),
    ];
    if has_complaints {
        columns.push(Column::number("With feedback", "with_feedback/rate"));
    }
    if has_maturity {
        columns.push(Column::number("Mature", "mature"));
    }
    columns
}

fn table(account: &str, verdicts: &[(usize, &Verdict)]) -> Table {
    let has_complaints = verdicts.iter().any(|(_, verdict)| !verdict.is_bounce());
    let has_maturity = verdicts.iter().any(|(_, verdict)| verdict.mature.is_some());
    let mut table =
        Table::new(format!("Rates of {account}"), columns(has_complaints, has_maturity));
    for (at, verdict) in verdicts {
        let scale = scale(verdicts, verdict);
        table.rows.push(row(*at, verdict, scale, (has_complaints, has_maturity)));
    }
    table
}

/// Returns the rate at the right end of the charts of a metric.
fn scale(verdicts: &[(usize, &Verdict)], of: &Verdict) -> f64 {
    let same = verdicts.iter().filter(|(_, verdict)| verdict.metric == of.metric);
    let upper = same.filter_map(|(_, verdict)| Some(verdict.interval?[1])).fold(0.0, f64::max);
    (1.25 * of.critical).max(1.05 * upper)
}

/// Adds a chart to a cell, with its length in a mail.
pub(super) fn with_chart(cell: Cell, chart: Option<(Svg, f64)>) -> Cell {
    match chart {
        Some((svg, bar)) => cell.with_chart(svg, bar),
        None => cell,
    }
}

/// Returns the rate as text; a window without mail has none, which differs from an unknown rate.
pub(super) fn rate_text(rate: Option<f64>, attempts: Option<u64>) -> String {
    if rate.is_none() && attempts == Some(0) { "no mail sent".to_owned() } else { percent(rate) }
}

fn row(
    at: usize,
    verdict: &Verdict,
    scale: f64,
    (has_complaints, has_maturity): (bool, bool),
) -> Row {
    let chart = verdict.rate.zip(verdict.interval).map(|(rate, interval)| {
        let before = verdict.before.and_then(|before| before.rate);
        let (warning, critical, (width, height)) = (verdict.warning, verdict.critical, CHART);
        let of = BulletScale { warning, critical, end: scale, width, height };
        (bullet(&Bullet { rate, interval, before }, &of, None), rate / scale)
    });
    let from = verdict.from.as_deref().map_or_else(|| "first event".to_owned(), minute);
    let burn = verdict.pace.map_or_else(
        || "unknown".to_owned(),
        |pace| {
            let one = |burn: Option<f64>| {
                burn.map_or_else(|| "unknown".to_owned(), |burn| format!("{burn:.2}"))
            };
            format!("{} long, {} short", one(pace.long.burn), one(pace.short.burn))
        },
    );
    let headroom = |select: fn(&crate::data::Headroom) -> u64| {
        Cell::of(
            verdict.headroom.as_ref().map_or_else(|| "unknown".to_owned(), |of| number(select(of))),
        )
    };
    let mut cells = vec![
        Cell::level(LevelMark::new(verdict.level, verdict.significant, verdict.rate.is_some())),
        Cell::header(Line::of(verdict.metric_name())),
        Cell::of(format!("{} from {from}", verdict.window)),
        with_chart(Cell::of(rate_text(verdict.rate, verdict.attempts)), chart),
        Cell::of(interval(verdict.interval)),
        Cell::of(number(verdict.count)),
        Cell::of(known(verdict.attempts)),
        Cell::of(denominator_text(verdict.denominator.as_deref())),
        headroom(|of| of.warning),
        headroom(|of| of.critical),
        Cell::of(percent(verdict.before.and_then(|before| before.rate))),
        Cell::of(burn),
    ];
    if has_complaints {
        cells.push(Cell::of(match (verdict.is_bounce(), verdict.with_feedback) {
            (true, _) => "not applicable".to_owned(),
            (false, of) => percent(of.and_then(|of| of.rate)),
        }));
    }
    if has_maturity {
        cells.push(Cell::of(percent(verdict.mature)));
    }
    Row { pointer: Some(format!("/check/verdicts/{at}")), cells }
}
