//! Checks and reports as text for people. Control characters of strangers are shown, not sent to the terminal.

use std::fmt::Write;

use crate::report::{Report, Row};
use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::printable::printable;

use crate::check::contribution::Contributor;
use crate::check::levels::Level;
use crate::check::reconcile::{Reconciliation, Step};
use crate::check::{Check, Verdict};

/// Parts of a rate that a table names.
const DRIVERS_MAX: usize = 6;
/// Lines beyond which a table is cut in the middle.
const LINES_MAX: usize = 400;

/// A check: the verdict first, then the feed, then one line for each rate.
pub fn check(check: &Check) -> String {
    let whose = match check.service {
        Service::Ses => "",
        Service::WorkMail => "WorkMail, ",
    };
    let mut out = format!("{}  {whose}as of {}\n", check.status.as_upper(), check.as_of);
    let feed = match (&check.feed.newest_event_at, check.feed.silent_seconds) {
        (Some(newest), Some(silent)) => {
            let stale = if check.feed.stale { ": STALE, no newer event came" } else { "" };
            format!("newest event {newest}, {} before{stale}", duration(silent))
        }
        _ => "no events".to_owned(),
    };
    // writing to a String cannot fail
    _ = writeln!(out, "feed  {feed}");
    if !check.feed.missing.is_empty() {
        _ = writeln!(out, "feed  no events of kind: {}", check.feed.missing.join(", "));
    }
    out.push('\n');
    let header = [
        "level",
        "metric",
        "scope",
        "window",
        "rate",
        "95 % interval",
        "count",
        "attempts",
        "until warning",
        "until critical",
    ];
    out.push_str(&grid(&header, &check.verdicts.iter().map(verdict).collect::<Vec<_>>(), 4));
    for verdict in &check.verdicts {
        out.push_str(&course(verdict));
    }
    for verdict in &check.verdicts {
        out.push_str(&drivers(verdict));
    }
    out
}

/// Where a rate is going, if it is going anywhere.
fn course(verdict: &Verdict) -> String {
    let Some(pace) = &verdict.pace else { return String::new() };
    let crossing =
        [("warning", &verdict.crosses_warning_at), ("critical", &verdict.crosses_critical_at)];
    let crossing: Vec<String> = crossing
        .iter()
        .filter_map(|(level, at)| Some(format!("{level} at {}", at.as_deref()?)))
        .collect();
    if crossing.is_empty() {
        return String::new();
    }
    let before = verdict.before.as_ref().and_then(|before| before.rate);
    let before = before.map_or_else(String::new, |rate| {
        format!("; the window before had {}", percent(Some(rate)))
    });
    #[expect(clippy::cast_possible_truncation, reason = "a span of time in seconds")]
    let long = duration(pace.long.seconds as i64);
    format!(
        "\n{} of {} in {}: at the pace of the last {long} ({}, {} of {}) {}{before}\n",
        words(verdict.metric),
        printable(&verdict.scope.to_string()),
        verdict.window,
        percent(pace.long.rate),
        pace.long.count,
        pace.long.attempts,
        crossing.join(", ")
    )
}

/// The parts without which a rate would be lower, and the causes of most of it.
fn drivers(verdict: &Verdict) -> String {
    let lowers = |part: &&Contributor| {
        part.rate_without.zip(verdict.rate).is_some_and(|(without, rate)| without < rate)
    };
    let all = || verdict.contributors.iter().filter(lowers);
    let parts = all().filter(|part| !part.is_cause()).take(DRIVERS_MAX);
    let parts: Vec<&Contributor> = parts.chain(all().filter(|part| part.is_cause())).collect();
    if parts.is_empty() {
        return String::new();
    }
    let mut out = format!(
        "\n{} of {} in {} comes from\n",
        words(verdict.metric),
        printable(&verdict.scope.to_string()),
        verdict.window
    );
    let noun = if verdict.metric == "bounce_rate" { "bounces" } else { "complaints" };
    for part in parts {
        let value = part.value.as_deref().unwrap_or("(none)");
        _ = writeln!(
            out,
            "  {} {}  {} of {} {noun}; without it {}",
            words(&part.by),
            printable(value),
            part.count,
            verdict.count,
            percent(part.rate_without)
        );
    }
    out
}

fn verdict(verdict: &Verdict) -> Vec<String> {
    let known = |number: Option<u64>| {
        number.map_or_else(|| "unknown".to_owned(), |number| number.to_string())
    };
    let attempts = match verdict.denominator {
        Some(from) => format!("{} {}", known(verdict.attempts), words(from.as_str())),
        None => "unknown".to_owned(),
    };
    let doubt = if verdict.level == Level::Ok && !verdict.sure && verdict.rate.is_some() {
        " (few)"
    } else {
        ""
    };
    vec![
        format!("{}{doubt}", verdict.level.as_upper()),
        words(verdict.metric),
        verdict.scope.to_string(),
        verdict.window.clone(),
        percent(verdict.rate),
        verdict.interval.map_or_else(String::new, |[low, high]| {
            format!("{} to {}", percent(Some(low)), percent(Some(high)))
        }),
        verdict.count.to_string(),
        attempts,
        known(verdict.headroom.map(|more| more.warning)),
        known(verdict.headroom.map(|more| more.critical)),
    ]
}

/// A reconciliation: one table of steps for each scope and window.
pub fn reconciliation(found: &Reconciliation) -> String {
    let mut out = String::new();
    for account in &found.accounts {
        let from = account.from.as_deref().unwrap_or("the first event");
        let scope = account.scope.to_string();
        _ = writeln!(
            out,
            "{} {}: from {from} to {}",
            printable(&scope),
            account.window,
            account.to
        );
        let line = |step: &Step, is_first: bool, sign: &str| {
            let sign = if is_first { "" } else { sign };
            vec![
                format!("{sign}{}", words(step.step)),
                step.count.to_string(),
                step.left.to_string(),
                step.rate.map_or_else(String::new, |rate| percent(Some(rate))),
            ]
        };
        let lines = |steps: &[Step]| -> Vec<Vec<String>> {
            let sign =
                |step: &Step| if step.step.starts_with("counted") { "  of these " } else { "- " };
            let numbered = steps.iter().enumerate();
            numbered.map(|(at, step)| line(step, at == 0, sign(step))).collect()
        };
        out.push_str(&grid(&["attempts", "count", "left", ""], &lines(&account.attempts), 1));
        out.push_str(&grid(&["bounces", "count", "left", "rate"], &lines(&account.bounces), 1));
        _ = writeln!(out, "bounce rate {}", percent(account.rate));
        if let (Some(aws), Some(difference)) = (account.aws_rate, account.difference) {
            let nearest = account.nearest.map_or_else(String::new, |step| {
                format!("; nearest to it is the rate after \"{}\"", words(step))
            });
            _ = writeln!(
                out,
                "AWS shows {}, ours is {:+.2} points off{nearest}",
                percent(Some(aws)),
                difference * 100.0
            );
        }
        out.push('\n');
    }
    out
}

/// A column of a report's table: its head, and its cell of a row.
type Column = (&'static str, Cell);
/// A cell of a row.
type Cell = fn(&Row) -> String;

/// The columns of every report.
const COLUMNS: [Column; 7] = [
    ("to", |row| row.to.clone()),
    ("window", |row| row.window.clone()),
    ("scope", |row| row.scope.to_string()),
    ("attempts", |row| row.attempts.map_or_else(|| "unknown".to_owned(), |n| n.to_string())),
    ("bounces", |row| row.bounces.to_string()),
    ("bounce rate", |row| percent(row.bounce_rate)),
    ("95 % interval", |row| {
        row.bounce_interval.map_or_else(String::new, |[low, high]| {
            format!("{} to {}", percent(Some(low)), percent(Some(high)))
        })
    }),
];

/// Further columns of a report on SES.
const COLUMNS_OF_SES: [Column; 5] = [
    ("complaints", |row| row.complaints.to_string()),
    ("complaint rate", |row| percent(row.complaint_rate)),
    ("soft", |row| row.soft.to_string()),
    ("delays", |row| row.delays.to_string()),
    ("deliveries", |row| row.deliveries.to_string()),
];

/// Further columns of a report on WorkMail.
const COLUMNS_OF_WORKMAIL: [Column; 5] = [
    ("hard", |row| row.hard.to_string()),
    ("soft", |row| row.soft.to_string()),
    ("undetermined", |row| row.undetermined.to_string()),
    ("sends", |row| row.sends.to_string()),
    ("incoming bounces", |row| row.incoming_bounces.unwrap_or_default().to_string()),
];

/// A report: one line for each scope, window and end.
pub fn report(report: &Report) -> String {
    let further = match report.service {
        Service::Ses => COLUMNS_OF_SES,
        Service::WorkMail => COLUMNS_OF_WORKMAIL,
    };
    let (header, cells): (Vec<&str>, Vec<Cell>) = COLUMNS.into_iter().chain(further).unzip();
    let rows: Vec<Vec<String>> =
        report.rows.iter().map(|row| cells.iter().map(|cell| cell(row)).collect()).collect();
    let mut out = grid(&header, &rows, 3);
    if report.scopes_shown < report.scopes {
        _ = writeln!(
            out,
            "{} of {} scopes; without --top all are shown",
            report.scopes_shown, report.scopes
        );
    }
    out
}

/// Columns padded to their widest cell; the first `texts` columns are texts, the others numbers. A long table is cut
/// in the middle and says so.
pub fn grid(header: &[&str], rows: &[Vec<String>], texts: usize) -> String {
    let cells =
        |row: &[String]| row.iter().map(|cell| printable(cell).into_owned()).collect::<Vec<_>>();
    let mut lines = vec![header.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>()];
    let half = LINES_MAX / 2;
    let cut = rows.len() > LINES_MAX;
    if cut {
        lines.extend(rows[..half].iter().map(|row| cells(row)));
        lines.extend(rows[rows.len() - half..].iter().map(|row| cells(row)));
    } else {
        lines.extend(rows.iter().map(|row| cells(row)));
    }
    let width = |at: usize| {
        lines.iter().filter_map(|line| line.get(at)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..header.len()).map(|at| width(at).unwrap_or_default()).collect();
    let mut out = String::new();
    for (number, line) in lines.iter().enumerate() {
        if cut && number == half + 1 {
            _ = writeln!(
                out,
                "... {} of {} lines are shown; --format csv or json gives all ...",
                2 * half,
                rows.len()
            );
        }
        let mut text = String::new();
        for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let gap = if at == 0 { "" } else { "  " };
            _ = if at < texts {
                write!(text, "{gap}{cell:<width$}")
            } else {
                write!(text, "{gap}{cell:>width$}")
            };
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

/// A fraction as percent; unknown where there is none.
pub(crate) fn percent(rate: Option<f64>) -> String {
    rate.map_or_else(|| "unknown".to_owned(), |rate| format!("{:.2} %", rate * 100.0))
}

/// `bounce_rate` as people write it.
pub(crate) fn words(name: &str) -> String {
    name.replace('_', " ")
}

fn duration(seconds: i64) -> String {
    match seconds {
        s if s < 120 => format!("{s} s"),
        s if s < 2 * 3_600 => format!("{} min", s / 60),
        s if s < 2 * 86_400 => format!("{} h", s / 3_600),
        s => format!("{} days", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_tables_say_what_was_cut() {
        let rows: Vec<Vec<String>> =
            (0..1_000).map(|n| vec![n.to_string(), "x".to_owned()]).collect();
        let text = grid(&["n", "x"], &rows, 2);
        assert_eq!(text.lines().count(), 1 + LINES_MAX + 1);
        assert!(text.contains("400 of 1000 lines are shown"));
        assert!(text.contains("\n999  x\n"));
    }
}
