//! Formatting for people: percentages, times, durations, aligned tables.

use std::fmt::Write;

use bouncewatch_schemas::printable::printable;

/// Most rows of a table; longer tables omit rows in the middle.
const ROWS_MAX: usize = 400;

/// Formats a fraction as percent: `6.69 %`; `unknown` for `None`.
pub(crate) fn percent(rate: Option<f64>) -> String {
    rate.map_or_else(|| "unknown".to_owned(), |rate| format!("{:.2} %", rate * 100.0))
}

/// Replaces underscores with spaces: `bounce_rate` becomes `bounce rate`.
pub(crate) fn humanize(name: &str) -> String {
    name.replace('_', " ")
}

/// Formats an RFC 3339 time in UTC to the minute: `2026-11-20 00:00 UTC`.
pub(crate) fn utc_minute(time: &str) -> String {
    let (date, clock) = time.split_once('T').unwrap_or((time, ""));
    format!("{date} {} UTC", clock.chars().take(5).collect::<String>())
}

/// Formats an RFC 3339 time in UTC to the second, or to the minute if the seconds are zero.
pub fn utc_second(time: &str) -> String {
    let (date, clock) = time.split_once('T').unwrap_or((time, ""));
    match clock.get(..8) {
        Some(seconds) if !seconds.ends_with(":00") => format!("{date} {seconds} UTC"),
        _ => utc_minute(time),
    }
}

/// Formats seconds in the unit that fits: `91 s`, `60 min`, `12 h`, `3 days`.
pub(crate) fn duration(seconds: i64) -> String {
    match seconds {
        s if s < 120 => format!("{s} s"),
        s if s < 2 * 3_600 => format!("{} min", s / 60),
        s if s < 2 * 86_400 => format!("{} h", s / 3_600),
        s => format!("{} days", s / 86_400),
    }
}

/// Returns the first `max` characters of a text; `...` stands for the rest.
pub(crate) fn shortened(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}...", text.split_at(end).0),
        None => text.to_owned(),
    }
}

/// Aligns columns to their widest cell: the first `left_columns` to the left, the others to the right.
///
/// Control characters in cells are escaped. A table with more than 400 rows omits rows in the middle and states so.
pub fn text_table(header: &[&str], rows: &[Vec<String>], left_columns: usize) -> String {
    computed_table(header, rows.len(), |at| rows.get(at).cloned(), left_columns)
}

/// As [`text_table`]; `row` computes one of `count` rows, and is called for rows that are shown only.
pub(super) fn computed_table(
    header: &[&str],
    count: usize,
    row: impl Fn(usize) -> Option<Vec<String>>,
    left_columns: usize,
) -> String {
    let cells =
        |row: Vec<String>| row.iter().map(|cell| printable(cell).into_owned()).collect::<Vec<_>>();
    let mut lines = vec![header.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>()];
    let half = ROWS_MAX / 2;
    let is_shortened = count > ROWS_MAX;
    let (first, rest) = if is_shortened { (half, count - half) } else { (count, count) };
    lines.extend((0..first).chain(rest..count).filter_map(row).map(cells));
    let width = |at: usize| {
        lines.iter().filter_map(|line| line.get(at)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..header.len()).map(|at| width(at).unwrap_or_default()).collect();
    let mut out = String::new();
    for (number, line) in lines.iter().enumerate() {
        if is_shortened && number == half + 1 {
            // writing to a String cannot fail
            _ = writeln!(
                out,
                "... {} of {} rows shown; use --format csv or json for all rows ...",
                2 * half,
                count
            );
        }
        let mut text = String::new();
        for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let gap = if at == 0 { "" } else { "  " };
            _ = if at < left_columns {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_table_omits_rows_in_the_middle_above_400() {
        let rows: Vec<Vec<String>> =
            (0..1_000).map(|n| vec![n.to_string(), "x".to_owned()]).collect();
        let text = text_table(&["n", "x"], &rows, 2);
        assert_eq!(text.lines().count(), 1 + ROWS_MAX + 1);
        assert!(text.contains("400 of 1000 rows shown"));
        assert!(text.contains("\n999  x\n"));
    }

    #[test]
    fn times_are_formatted_to_the_minute_or_second() {
        let time = "2026-11-19T23:58:28.262Z";
        assert_eq!(utc_minute(time), "2026-11-19 23:58 UTC");
        assert_eq!(utc_second(time), "2026-11-19 23:58:28 UTC");
        assert_eq!(utc_second("2026-11-20T00:00:00.000Z"), "2026-11-20 00:00 UTC");
    }
}
