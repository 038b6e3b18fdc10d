//! Rates over time: one chart per account and metric, with the attempts below it and the numbers in a table.

use bouncewatch_schemas::time::parse_ms;

use super::{base_verdicts, capital};
use crate::data::{PageData, ReportRow, Verdict};
use crate::format::{interval, known, minute, number};
use crate::layout::{Block, Cell, Chart, Column, Line, Row, Section, Table};
use crate::sections::rates::rate_text;
use crate::svg::{Mark, SeriesChart, SeriesPoint, attempts_chart, count_chart, series_chart};

/// Age from which the outcome of a mail is known, with basis `send`.
const MATURE_AFTER_MS: i64 = 14 * 3_600_000;
/// Most alerts with a mark.
const MARKS_MAX: usize = 12;

pub(super) fn section(data: &PageData) -> Option<Section> {
    let first = data.report.rows.first()?;
    let mut section = Section::new(
        "trend",
        "Rates over time",
        &format!(
            "Each point is the rate of a window of {} that ends at that time. The band is the 95 % confidence interval. \
             A gap means that no rate is known.",
            first.window
        ),
    );
    if let Some(from) =
        data.store.history_from.as_deref().filter(|from| *from > data.report.from.as_str())
    {
        section
            .paragraph(Line::of("The history starts ").time(from, "/store/history_from").text("."));
    }
    for (number, account) in super::accounts(data).iter().enumerate() {
        let rows: Vec<(usize, &ReportRow)> = data
            .report
            .rows
            .iter()
            .enumerate()
            .filter(|(_, row)| row.scope.account() == *account)
            .filter(|(_, row)| {
                data.store.history_from.as_deref().is_none_or(|from| row.to.as_str() > from)
            })
            .collect();
        for metric in ["bounce_rate", "complaint_rate"] {
            let verdicts: Vec<&Verdict> = base_verdicts(data)
                .map(|(_, verdict)| verdict)
                .filter(|verdict| verdict.metric == metric && verdict.scope.account() == *account)
                .collect();
            let Some(main) = verdicts.first() else { continue };
            section.blocks.extend(charts(data, number, main, &verdicts, &rows));
        }
        let caption = format!("Rates of {account} over time");
        section
            .blocks
            .push(Block::Details("Show the numbers".to_owned(), table(caption, &rows, data)));
    }
    Some(section)
}

fn charts(
    data: &PageData,
    account: usize,
    main: &Verdict,
    verdicts: &[&Verdict],
    rows: &[(usize, &ReportRow)],
) -> Vec<Block> {
    let is_bounce = main.is_bounce();
    let points: Vec<SeriesPoint> = rows
        .iter()
        .filter_map(|(_, row)| {
            let (count, rate, interval) = if is_bounce {
                (row.bounces, row.bounce_rate, row.bounce_interval)
            } else {
                (row.complaints, row.complaint_rate, row.complaint_interval)
            };
            Some(SeriesPoint {
                at: parse_ms(&row.to)?,
                count,
                attempts: row.attempts,
                rate,
                interval,
            })
        })
        .collect();
    let (Some(first), Some(to)) = (points.first(), parse_ms(&data.check.as_of)) else {
        return Vec::new();
    };
    let start = data.store.history_from.as_deref().and_then(parse_ms);
    let from = parse_ms(&data.report.from)
        .into_iter()
        .chain(start)
        .max()
        .unwrap_or(first.at)
        .min(first.at);
    let latest: Vec<(String, f64)> = verdicts
        .iter()
        .filter(|verdict| verdict.window != main.window)
        .filter_map(|verdict| Some((verdict.window.clone(), verdict.rate?)))
        .collect();
    let title = format!("{} of {}", capital(&main.metric_name()), main.scope.account());
    let id = format!("c{account}{}", if is_bounce { "b" } else { "c" });
    let marks = marks(data, main, from, &points);
    let chart = SeriesChart {
        id: &id,
        title: &title,
        points: &points,
        from,
        to,
        warning: main.warning,
        critical: main.critical,
        latest: &latest,
        marks: &marks,
        incomplete: incomplete(data, main, to),
    };
    let mut blocks = vec![Block::Heading(Line::of(title.clone()))];
    if points.iter().all(|point| point.rate.is_none()) {
        // the send count is unknown: counts instead of rates
        let svg = count_chart(&chart, main.noun());
        blocks.push(Block::Chart(Chart { name: title, svg }));
        return blocks;
    }
    blocks.push(Block::Chart(Chart { name: title.clone(), svg: series_chart(&chart) }));
    if is_bounce {
        blocks.push(Block::Chart(Chart {
            name: format!("{title}: attempts"),
            svg: attempts_chart(&chart),
        }));
    }
    blocks
}

/// Returns the start of the time without events, or with incomplete results.
fn incomplete(data: &PageData, main: &Verdict, to: i64) -> Option<(i64, String)> {
    let feed = &data.check.feed;
    if feed.stale {
        let newest = feed.newest_event_at.as_deref().and_then(parse_ms)?;
        return Some((newest, "no events".to_owned()));
    }
    (main.basis == "send").then(|| (to - MATURE_AFTER_MS, "incomplete results".to_owned()))
}

/// Returns the marks: alerts of the metric, start of counting, change of the denominator.
fn marks(data: &PageData, main: &Verdict, from: i64, points: &[SeriesPoint]) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    for alert in data.alerts.iter().flat_map(|alerts| &alerts.alarms) {
        if alert.metric != main.metric || !alert.scope.is_account() {
            continue;
        }
        let raised = (parse_ms(&alert.raised_at), "alert raised");
        let worsened = (
            parse_ms(&alert.since)
                .filter(|_| alert.since != alert.raised_at && alert.cleared_at.is_none()),
            "level changed",
        );
        let cleared = (alert.cleared_at.as_deref().and_then(parse_ms), "alert cleared");
        for (at, text) in [raised, worsened, cleared] {
            marks.extend(at.map(|at| Mark { at, text: text.to_owned() }));
        }
    }
    if let Some(at) = data.page.counted_from.as_deref().and_then(parse_ms) {
        marks.push(Mark { at, text: "counted from".to_owned() });
    }
    let changes = data.report.rows.windows(2).filter_map(|pair| {
        let [before, after] = pair else { return None };
        let is_change = before.denominator != after.denominator
            && before.denominator.is_some()
            && after.denominator.is_some()
            && before.scope == after.scope;
        is_change.then(|| parse_ms(&after.to)).flatten()
    });
    marks.extend(changes.map(|at| Mark { at, text: "denominator changed".to_owned() }));
    let last = points.last().map_or(from, |point| point.at);
    marks.retain(|mark| mark.at > from && mark.at <= last);
    marks.sort_by_key(|mark| mark.at);
    marks.truncate(MARKS_MAX);
    marks
}

fn table(caption: String, rows: &[(usize, &ReportRow)], data: &PageData) -> Table {
    let has_complaints = data.page.service != "workmail";
    let mut columns = vec![
        Column::number("End of window", "to"),
        Column::number("Attempts", "attempts"),
        Column::number("Bounces", "bounces"),
        Column::number("Bounce rate", "bounce_rate"),
        Column::number("95 % interval", "bounce_interval"),
        Column::number("Soft", "soft"),
    ];
    if has_complaints {
        columns.extend([
            Column::number("Complaints", "complaints"),
            Column::number("Complaint rate", "complaint_rate"),
            Column::number("95 % interval", "complaint_interval"),
            Column::number("Delays", "delays"),
        ]);
    }
    let mut table = Table::new(caption, columns);
    for (at, row) in rows {
        let mut cells = vec![
            Cell::header(Line::of(minute(&row.to))),
            Cell::of(known(row.attempts)),
            Cell::of(number(row.bounces)),
            Cell::of(rate_text(row.bounce_rate, row.attempts)),
            Cell::of(interval(row.bounce_interval)),
            Cell::of(number(row.soft)),
        ];
        if has_complaints {
            cells.extend([
                Cell::of(number(row.complaints)),
                Cell::of(rate_text(row.complaint_rate, row.attempts)),
                Cell::of(interval(row.complaint_interval)),
                Cell::of(number(row.delays)),
            ]);
        }
        table.rows.push(Row { pointer: Some(format!("/report/rows/{at}")), cells });
    }
    table
}
