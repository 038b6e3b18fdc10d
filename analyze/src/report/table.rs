//! Checks, reconciliations and reports as text tables. Control characters in values are escaped.

use std::collections::HashMap;
use std::fmt::Write;

use anstyle::Style;
use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::printable::printable;
use bouncewatch_schemas::text_layout::{TextLayout, level_style};

use crate::brake::report::BrakeReport;
use crate::check::contribution::Contributor;
use crate::check::level::AlertLevel;
use crate::check::reconcile::{ReconciledScope, Reconciliation, ReconciliationStep};
use crate::check::sending::SendingReport;
use crate::check::verdict::Headroom;
use crate::check::{CheckReport, FeedHealth, Verdict};
use crate::incidents::table::incidents;
use crate::report::rates::{RateReport, RateRow};
use crate::report::text::{duration, humanize, percent, shortened, utc_minute, utc_second};
use crate::report::text_table::TextTable;
use crate::report::trend::{BARS, Trends, bars};
use crate::timeline::NO_VALUE;

/// Title of the column with the rates of the last 14 days.
const TREND: &str = "trend";
/// Maximum length of a reason of AWS.
const TEXT_MAX: usize = 200;
/// Maximum number of contributors of a rate, without causes.
const CONTRIBUTORS_MAX: usize = 6;

/// Returns a check as text: status, feed, one line per rate, projections, contributors.
pub fn check(check: &CheckReport, trends: &Trends, layout: TextLayout) -> String {
    let service = match check.service {
        Service::Ses => "",
        Service::WorkMail => "WorkMail, ",
    };
    let mut out = format!(
        "{}  {service}as of {}\n{}\n",
        layout.styled(check.status.as_upper(), level_style(check.status).bold()),
        utc_second(&check.as_of),
        feed(&check.feed) + &sending(&check.sending) + &brake(check.brake.as_ref())
    );
    let mut header = vec![
        "level",
        "metric",
        "scope",
        "window",
        "rate",
        "95 % CI",
        "count",
        "attempts",
        "more to warning",
        "more to critical",
    ];
    let mut rows: Vec<Vec<String>> = check.verdicts.iter().map(row).collect();
    if !trends.is_empty() {
        header.push(TREND);
        rows.iter_mut()
            .zip(&check.verdicts)
            .for_each(|(row, verdict)| row.push(trends.bars(verdict)));
    }
    let styles: Vec<Style> = check.verdicts.iter().map(verdict_style).collect();
    let table = TextTable {
        header: &header,
        left_columns: 4,
        optional: &[TREND, "more to warning", "95 % CI"],
        styles: &styles,
        ..TextTable::default()
    };
    if !rows.is_empty() {
        out.push_str(&table.text(&rows, layout));
    }
    for verdict in &check.verdicts {
        out.push_str(&projection(verdict));
    }
    out.push_str(&contributors(&check.verdicts));
    out.push_str(&incidents(&check.incidents));
    out
}

/// Color of the level: bold if it is significant, dimmed if the volume is low.
fn verdict_style(verdict: &Verdict) -> Style {
    let style = level_style(verdict.level);
    match (verdict.level, verdict.significant) {
        (AlertLevel::Ok, false) => Style::new().dimmed(),
        (_, true) => style.bold(),
        (_, false) => style,
    }
}

/// Returns a line for each part of the account for which SES does not allow sending, and for each
/// finding of AWS.
fn sending(report: &SendingReport) -> String {
    let mut out = String::new();
    // omit unknown fields
    let known = |name: &str, value: Option<&str>| {
        value.map_or_else(String::new, |value| {
            format!("{name}{}", shortened(&printable(value), TEXT_MAX))
        })
    };
    for one in report.disabled() {
        // writing to a String cannot fail
        _ = writeln!(
            out,
            "sending  STOPPED since {}, {}{}{}",
            utc_second(&one.since),
            printable(&one.scope.to_string()),
            known(", changed by ", one.changed_by_text()),
            known(": ", one.reason.as_deref())
        );
    }
    for one in &report.findings {
        _ = writeln!(
            out,
            "sending  finding of AWS since {}, {}{}{}{}",
            utc_second(&one.since),
            printable(&one.scope.to_string()),
            known(", type ", one.finding_type.as_deref()),
            known(", impact ", one.impact.as_deref()),
            known(": ", one.text.as_deref())
        );
    }
    out
}

/// Returns a line with the phase of the brake.
fn brake(report: Option<&BrakeReport>) -> String {
    let line = |one: &BrakeReport| {
        let why = one.why.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
        format!(
            "brake    {}: {}{}\n",
            printable(&one.scope.to_string()),
            one.text(),
            printable(&why)
        )
    };
    report.map_or_else(String::new, line)
}

fn feed(feed: &FeedHealth) -> String {
    let age = match (&feed.newest_event_at, feed.silent_seconds) {
        (Some(newest), Some(silent)) => {
            let stale = if feed.stale { "STALE, " } else { "" };
            format!("{stale}newest event {}, {} ago", utc_second(newest), duration(silent))
        }
        _ => "no events".to_owned(),
    };
    let missing = match feed.missing.as_slice() {
        [] => String::new(),
        missing => format!("feed  missing event types: {}\n", missing.join(", ")),
    };
    let mut out = format!("feed  {age}\n{missing}");
    for jump in &feed.sends_without_outcome {
        // writing to a String cannot fail
        _ = writeln!(
            out,
            "feed  {} of {} sends without delivery or bounce in {}, {}: {} (previous period: {})",
            jump.without_outcome,
            jump.sends,
            jump.window,
            printable(&jump.scope.to_string()),
            percent(Some(jump.share)),
            percent(Some(jump.share_before))
        );
    }
    out
}

/// `bounce rate of SCOPE in WINDOWS`.
fn title(verdict: &Verdict, windows: &str) -> String {
    let scope = verdict.scope.to_string();
    format!("{} of {} in {windows}", humanize(verdict.metric), printable(&scope))
}

/// Returns when a rate is projected to reach a threshold; empty if it is not.
fn projection(verdict: &Verdict) -> String {
    let Some(pace) = &verdict.pace else { return String::new() };
    let crossings =
        [("warning", &verdict.crosses_warning_at), ("critical", &verdict.crosses_critical_at)];
    let crossings: Vec<String> = crossings
        .iter()
        .filter_map(|(level, at)| Some(format!("{level} at {}", utc_minute(at.as_deref()?))))
        .collect();
    if crossings.is_empty() {
        return String::new();
    }
    let previous = verdict.before.as_ref().and_then(|previous| previous.rate);
    let previous = previous
        .map_or_else(String::new, |rate| format!("; previous period: {}", percent(Some(rate))));
    #[expect(clippy::cast_possible_truncation, reason = "a span of time in seconds")]
    let length = duration(pace.long.seconds as i64);
    format!(
        "\nProjection of the {}: {}, if the rate of the last {length} continues ({}, {} of {}){previous}\n",
        title(verdict, &verdict.window),
        crossings.join(", "),
        percent(pace.long.rate),
        pace.long.count,
        pace.long.attempts,
    )
}

/// Returns the contributors of all rates. Windows of a rate with the same contributors share one
/// section.
fn contributors(verdicts: &[Verdict]) -> String {
    let mut sections: Vec<(&Verdict, Vec<&str>, String)> = Vec::new();
    // sections by metric, scope and lines: a linear search takes minutes with 20,000 groups
    let mut known: HashMap<(&str, String, String), usize> = HashMap::new();
    for verdict in verdicts {
        let lines = contributor_lines(verdict);
        if lines.is_empty() {
            continue;
        }
        let key = (verdict.metric, verdict.scope.to_string(), lines.clone());
        let at = *known.entry(key).or_insert(sections.len());
        match sections.get_mut(at) {
            Some((_, windows, _)) => windows.push(&verdict.window),
            None => sections.push((verdict, vec![&verdict.window], lines)),
        }
    }
    let section = |(verdict, windows, lines): &(&Verdict, Vec<&str>, String)| {
        format!("\nContributors to the {}:\n{lines}", title(verdict, &windows.join(", ")))
    };
    sections.iter().map(section).collect()
}

/// Returns the parts that raise a rate, then the most frequent causes; empty if there are none.
fn contributor_lines(verdict: &Verdict) -> String {
    let raises_rate = |part: &&Contributor| {
        part.rate_without.zip(verdict.rate).is_some_and(|(without, rate)| without < rate)
    };
    let all = || verdict.contributors.iter().filter(raises_rate);
    let parts = all().filter(|part| !part.is_cause()).take(CONTRIBUTORS_MAX);
    let parts = parts.chain(all().filter(|part| part.is_cause()));
    let noun = if verdict.metric == "bounce_rate" { "bounces" } else { "complaints" };
    let mut out = String::new();
    for part in parts {
        let value = part.value.as_deref().unwrap_or(NO_VALUE);
        // writing to a String cannot fail
        _ = writeln!(
            out,
            "  {} {}  {} of {} {noun} (rate excluding it: {})",
            part.by,
            printable(value),
            part.count,
            verdict.count,
            percent(part.rate_without)
        );
    }
    out
}

fn row(verdict: &Verdict) -> Vec<String> {
    let known = |number: Option<u64>| {
        number.map_or_else(|| "unknown".to_owned(), |number| number.to_string())
    };
    let attempts = match verdict.denominator {
        Some(source) => format!("{} {}", known(verdict.attempts), humanize(source.as_str())),
        None => "unknown".to_owned(),
    };
    let is_low_volume =
        verdict.level == AlertLevel::Ok && verdict.rate.is_some() && !verdict.significant;
    let level = match (verdict.level, verdict.rate) {
        // a level needs a rate
        (AlertLevel::Ok, None) => "-",
        _ if is_low_volume => "OK (low volume)",
        (level, _) => level.as_upper(),
    };
    // headroom has no meaning: with a low volume, a rate at a threshold does not reach the level
    let headroom = |more: fn(Headroom) -> u64| {
        if is_low_volume { "-".to_owned() } else { known(verdict.headroom.map(more)) }
    };
    vec![
        level.to_owned(),
        humanize(verdict.metric),
        verdict.scope.to_string(),
        verdict.window.clone(),
        percent(verdict.rate),
        interval(verdict.interval),
        verdict.count.to_string(),
        attempts,
        headroom(|headroom| headroom.warning),
        headroom(|headroom| headroom.critical),
    ]
}

/// Formats a confidence interval: `5.27 % to 8.45 %`; empty if unknown.
fn interval(interval: Option<[f64; 2]>) -> String {
    interval.map_or_else(String::new, |[low, high]| {
        format!("{} to {}", percent(Some(low)), percent(Some(high)))
    })
}

/// Returns a reconciliation as text: tables of steps for each scope and window.
pub fn reconciliation(reconciliation: &Reconciliation, layout: TextLayout) -> String {
    reconciliation.accounts.iter().map(|account| reconciled_scope(account, layout)).collect()
}

fn reconciled_scope(account: &ReconciledScope, layout: TextLayout) -> String {
    let from = account.from.as_deref().map_or_else(|| "first event".to_owned(), utc_second);
    let mut out = format!(
        "{}, window {}: {from} to {}\n",
        printable(&account.scope.to_string()),
        account.window,
        utc_second(&account.to)
    );
    let steps = |header: &[&str], steps| {
        let table = TextTable { header, left_columns: 1, ..TextTable::default() };
        table.text(&step_rows(steps), layout)
    };
    out.push_str(&steps(&["attempts", "count", "remaining", ""], &account.attempts));
    out.push_str(&steps(&["bounces", "count", "remaining", "rate"], &account.bounces));
    // writing to a String cannot fail
    _ = writeln!(out, "bounce rate {}", percent(account.rate));
    if let (Some(aws), Some(difference)) = (account.aws_rate, account.difference) {
        let nearest = account.nearest.map_or_else(String::new, |step| {
            format!("; nearest to the AWS rate: the rate after \"{}\"", step_label(step))
        });
        _ = writeln!(
            out,
            "AWS rate {}, difference {:+.2} percentage points{nearest}",
            percent(Some(aws)),
            difference * 100.0
        );
    }
    out.push('\n');
    out
}

/// Rows of steps: the total, what is subtracted (`- `), and the parts of the result (`  counted: `).
fn step_rows(steps: &[ReconciliationStep]) -> Vec<Vec<String>> {
    let row = |(at, step): (usize, &ReconciliationStep)| {
        let (label, count) = (step_label(step.step), step.count.to_string());
        if is_part_of_result(step.step) {
            return vec![format!("  {label}"), count, String::new(), String::new()];
        }
        let prefix = if at == 0 { "" } else { "- " };
        let rate = step.rate.map_or_else(String::new, |rate| percent(Some(rate)));
        vec![format!("{prefix}{label}"), count, step.left.to_string(), rate]
    };
    steps.iter().enumerate().map(row).collect()
}

/// Whether a step subtracts nothing and lists a part of what remains.
fn is_part_of_result(step: &str) -> bool {
    step.starts_with("counted_")
}

/// Returns the text of a step: its name in the JSON, except for some steps.
fn step_label(step: &str) -> String {
    match step {
        "counted_hard" => "counted: hard".to_owned(),
        "counted_suppressed_by_ses" => "counted: on the global suppression list of SES".to_owned(),
        "of_unknown_class" => "unclassified".to_owned(),
        _ => humanize(step),
    }
}

/// A column of the report table: header, and the cell of a row.
type TableColumn = (&'static str, CellText);
/// Returns the cell of a row.
type CellText = fn(&RateRow) -> String;

/// Columns of every report.
const COLUMNS: [TableColumn; 7] = [
    ("to", |row| utc_second(&row.to)),
    ("window", |row| row.window.clone()),
    ("scope", |row| row.scope.to_string()),
    ("attempts", |row| row.attempts.map_or_else(|| "unknown".to_owned(), |n| n.to_string())),
    ("bounces", |row| row.bounces.to_string()),
    ("bounce rate", |row| percent(row.bounce_rate)),
    ("95 % CI", |row| interval(row.bounce_interval)),
];

/// Additional columns for SES.
const SES_COLUMNS: [TableColumn; 5] = [
    ("complaints", |row| row.complaints.to_string()),
    ("complaint rate", |row| percent(row.complaint_rate)),
    ("soft", |row| row.soft.to_string()),
    ("delays", |row| row.delays.to_string()),
    ("deliveries", |row| row.deliveries.to_string()),
];

/// Additional columns for WorkMail.
const WORKMAIL_COLUMNS: [TableColumn; 5] = [
    ("hard", |row| row.hard.to_string()),
    ("soft", |row| row.soft.to_string()),
    ("undetermined", |row| row.undetermined.to_string()),
    ("sends", |row| row.sends.to_string()),
    ("incoming bounces", |row| row.incoming_bounces.unwrap_or_default().to_string()),
];

/// Returns a report as text: one line per scope, window and end of a window. On a terminal, each
/// line has bars of the preceding bounce rates, on a scale from 0 to `critical`.
pub fn report(report: &RateReport, critical: f64, layout: TextLayout) -> String {
    let service_columns = match report.service {
        Service::Ses => SES_COLUMNS,
        Service::WorkMail => WORKMAIL_COLUMNS,
    };
    let (mut header, cells): (Vec<&str>, Vec<CellText>) =
        COLUMNS.into_iter().chain(service_columns).unzip();
    if layout.has_blocks {
        header.push(TREND);
    }
    let row = |at| {
        let row = report.rows.get(at)?;
        let mut cells: Vec<String> = cells.iter().map(|cell| cell(&row)).collect();
        if layout.has_blocks {
            cells.push(bars(report.rows.until(at, BARS).map(|row| row.bounce_rate), critical));
        }
        Some(cells)
    };
    let table = TextTable {
        header: &header,
        left_columns: 3,
        optional: &[TREND, "deliveries", "delays", "soft", "95 % CI"],
        ..TextTable::default()
    };
    let mut out = table.computed_text(report.rows.len(), row, layout);
    if report.scopes_shown < report.scopes {
        // writing to a String cannot fail
        _ = writeln!(
            out,
            "{} of {} groups shown; omit --top to show all",
            report.scopes_shown, report.scopes
        );
    }
    out
}
