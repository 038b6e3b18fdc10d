//! Rates by group: one section per grouping.

use bouncewatch_schemas::provider;

use super::value_text;
use crate::data::{GroupData, GroupRow, PageData};
use crate::format::{interval, known, number, percent, threshold};
use crate::layout::{Block, Cell, Chart, Column, LevelMark, Line, Row, Section, Table};
use crate::sections::rates::{rate_text, with_chart};
use crate::svg::{Bullet, BulletScale, FunnelDot, bullet, bullet_scale, funnel, sparkline};
use crate::untrusted_text::{argument, shown};

/// Groups from which a funnel plot helps.
const FUNNEL_MIN: usize = 26;
/// Sizes of the charts in a row.
const BULLET: (f64, f64) = (140.0, 14.0);
// 14 days are 13 steps of 5 pixels: whole numbers are short
const SPARKLINE: (f64, f64) = (67.0, 14.0);

pub(super) fn sections(data: &PageData) -> Vec<Section> {
    let all = data.groups.iter().enumerate();
    all.filter(|(_, group)| !group.rows.is_empty())
        .map(|(at, group)| section(data, at, group))
        .collect()
}

fn section(data: &PageData, at: usize, group: &GroupData) -> Section {
    let is_provider = group.title() == "provider";
    let title = if is_provider { "mailbox provider".to_owned() } else { group.title() };
    let mut intro = format!(
        "Rates of each group in {}, in order of level, then of the lower bound of the interval. The last column is the \
         bounce rate at the end of each of the last 14 days, its chart from 0 to {}.",
        group.window,
        threshold(group.critical)
    );
    if is_provider {
        intro.push_str(
            " Deliveries of mail that was sent before the window count too, so that more than 100 % can be delivered.",
        );
    }
    let mut section = Section::new(format!("g{at}"), format!("By {title}"), &intro);
    if group.rows.len() >= FUNNEL_MIN {
        section.blocks.extend(funnel_plot(data, at, group));
    }
    if group.rows.len() == 1
        && group.rows.iter().all(|row| row.scope.0.iter().skip(2).all(|(_, value)| value.is_none()))
    {
        section.paragraph(Line::of("No event has a value for this grouping."));
    }
    section.blocks.push(Block::Definition(bullet_scale(&scale(group), &scale_id(at))));
    section.blocks.push(Block::Table(table(data, at, group)));
    if group.scopes_shown < group.scopes {
        section.paragraph(
            Line::of(format!(
                "Showing {} of {}. For all: ",
                number(group.scopes_shown),
                number(group.scopes)
            ))
            .code(format!(
                "bouncewatch report --store STORE --by {} --format csv",
                group.by.iter().map(|by| argument(by)).collect::<Vec<_>>().join(",")
            ))
            .text("."),
        );
    }
    section
}

fn scale_id(at: usize) -> String {
    format!("s{at}")
}

/// Returns the scale of the charts of a table.
fn scale(group: &GroupData) -> BulletScale {
    let (width, height) = BULLET;
    BulletScale {
        warning: group.warning,
        critical: group.critical,
        end: 1.25 * group.critical,
        width,
        height,
    }
}

fn has_several_accounts(group: &GroupData) -> bool {
    let first = group.rows.first().map(|row| row.scope.account());
    group.rows.iter().any(|row| Some(row.scope.account()) != first)
}

fn columns(group: &GroupData, has_complaints: bool) -> Vec<Column> {
    let mut columns = Vec::new();
    if has_several_accounts(group) {
        columns.push(Column::text("Account"));
    }
    columns.extend([
        Column::text(super::capital(&group.title())),
        Column::text("Level"),
        Column::number("Bounce rate", "rate"),
        Column::number("95 % interval", "interval"),
        Column::number("Bounces", "count"),
        Column::number("Attempts", "attempts"),
    ]);
    if group.is_by_provider() {
        columns.extend([
            Column::number("Delivered", "outcomes/delivery_rate"),
            Column::number("Hard", "outcomes/hard"),
            Column::number("Soft", "outcomes/soft"),
            Column::number("Delays", "outcomes/delays"),
        ]);
    }
    if has_complaints {
        columns.extend([
            Column::number("Complaints", "complaints"),
            Column::number("Complaint rate", "complaint_rate"),
        ]);
    }
    columns.push(Column::number("Until critical", "until_critical"));
    columns.push(Column::text("Range and trend"));
    columns
}

fn table(data: &PageData, at: usize, group: &GroupData) -> Table {
    let has_complaints = group.rows.iter().any(|row| row.complaints.is_some());
    let columns = columns(group, has_complaints);
    let mut table = Table::new(format!("Rates by {} in {}", group.title(), group.window), columns);
    table.is_sortable = group.rows.len() > 1;
    for (index, row) in group.rows.iter().enumerate() {
        let cells = cells(data, (at, group), row, has_complaints);
        table.rows.push(Row { pointer: Some(format!("/groups/{at}/rows/{index}")), cells });
    }
    if let Some(others) = &group.others {
        let base = format!("/groups/{at}/others");
        let line = Line::default()
            .number(others.scopes, format!("{base}/scopes"))
            .text(" others: ")
            .number(others.bounces, format!("{base}/bounces"))
            .text(" bounces, ")
            .value(known(others.attempts), format!("{base}/attempts"))
            .text(" attempts");
        table.foot = Some(line);
    }
    table
}

fn cells(
    data: &PageData,
    (at, group): (usize, &GroupData),
    row: &GroupRow,
    has_complaints: bool,
) -> Vec<Cell> {
    let scale = scale(group);
    let chart = row.rate.zip(row.interval).map(|(rate, interval)| {
        let of = Bullet { rate, interval, before: None };
        (bullet(&of, &scale, Some(&scale_id(at))), rate / scale.end)
    });
    let value = |(_, value): &(String, Option<String>)| value_text(data, value.as_deref());
    let values: Vec<String> =
        row.scope.0.iter().skip(2 + usize::from(data.page.each.is_some())).map(value).collect();
    let mut cells = Vec::new();
    if has_several_accounts(group) {
        cells.push(Cell::line(Line::default().untrusted(&row.scope.account())));
    }
    cells.extend([
        Cell::header(Line::default().untrusted(&values.join(" "))),
        Cell::level(LevelMark::new(row.level, row.significant, row.rate.is_some())),
        with_chart(Cell::of(rate_text(row.rate, row.attempts)), chart),
        Cell::of(interval(row.interval)),
        Cell::of(number(row.count)),
        Cell::of(known(row.attempts)),
    ]);
    if group.is_by_provider() {
        let outcomes = row.outcomes.as_ref();
        let count =
            |select: fn(&crate::data::GroupOutcomes) -> u64| Cell::of(known(outcomes.map(select)));
        cells.push(Cell::of(percent(outcomes.and_then(|of| of.delivery_rate))));
        cells.extend([count(|of| of.hard), count(|of| of.soft), count(|of| of.delays)]);
    }
    if has_complaints {
        cells.push(Cell::of(known(row.complaints)));
        let is_silent =
            values.first().is_some_and(|name| provider::WITHOUT_FEEDBACK.contains(&name.as_str()));
        cells.push(if group.is_by_provider() && is_silent && row.complaints == Some(0) {
            Cell::sorted("does not report complaints to SES", None)
        } else {
            Cell::of(rate_text(row.complaint_rate, row.attempts))
        });
    }
    cells.push(Cell::of(known(row.until_critical)));
    cells.push(trend(group, row));
    cells
}

/// Returns the lowest and the highest rate of the last days, and their chart.
fn trend(group: &GroupData, row: &GroupRow) -> Cell {
    let rates = || row.trend.iter().flatten().copied();
    let Some(chart) = sparkline(&row.trend, group.critical, SPARKLINE.0, SPARKLINE.1) else {
        return Cell::of("no trend");
    };
    let range = [rates().fold(f64::INFINITY, f64::min), rates().fold(0.0, f64::max)];
    Cell::of(interval(Some(range))).with_chart(chart, 0.0)
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn funnel_plot(data: &PageData, at: usize, group: &GroupData) -> [Block; 2] {
    let dots: Vec<FunnelDot> = group
        .rows
        .iter()
        .filter_map(|row| {
            let value = row.scope.0.last().and_then(|(_, value)| value.as_deref());
            Some(FunnelDot {
                name: shown(&value_text(data, value)).chars().take(24).collect(),
                attempts: row.attempts? as f64,
                rate: row.rate?,
                is_above: row.significant && row.rate.is_some_and(|rate| rate >= group.warning),
            })
        })
        .collect();
    let text = format!(
        "{} of {} groups are significantly above {}.",
        number(group.above_warning),
        number(group.scopes),
        threshold(group.warning)
    );
    let title = format!("Bounce rate against attempts, by {}", group.title());
    let svg = funnel(&format!("f{at}"), &title, &text, &dots, [group.warning, group.critical]);
    [Block::Paragraph(Line::of(text)), Block::Chart(Chart { name: title, svg })]
}
