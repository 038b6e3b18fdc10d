//! `bouncewatch store compact`: what was meant, and what the answer looks like.

use std::fmt::Write;

use anyhow::Context;
use bouncewatch_ingest::store::compact::{Compacted, CompactedDay, Limits, Settings};
use bouncewatch_schemas::printable::printable;
use bouncewatch_schemas::time::{parse_day, parse_duration_ms};

use super::Answer;
use crate::cli::{CompactArgs, EXIT_LOOK, SummaryFormat};

/// What shall be compacted.
pub(super) fn compaction(args: &CompactArgs) -> anyhow::Result<Settings> {
    let grace_ms = parse_duration_ms(&args.grace).with_context(|| {
        format!("--grace: not a duration: `{}`; write 0s, 90s, 15m, 24h, 7d", args.grace)
    })?;
    let day = |text: &String| {
        parse_day(text).with_context(|| format!("--until: not a day: `{text}`; write 2026-11-20"))
    };
    let until_day = args.until.as_ref().map(day).transpose()?;
    Ok(Settings { grace_ms, until_day, dry_run: args.dry_run, limits: Limits::default() })
}

pub(super) fn compacted(done: &Compacted, format: SummaryFormat) -> anyhow::Result<Answer> {
    let answer = match format {
        SummaryFormat::Json => Answer::json(done)?,
        SummaryFormat::Table => Answer::data(compacted_text(done)),
    };
    let needs_look = !done.problems.is_empty() || !done.skipped.is_empty();
    Ok(Answer { exit_code: if needs_look { EXIT_LOOK } else { 0 }, ..answer })
}

fn compacted_text(done: &Compacted) -> String {
    let mut out = String::new();
    // writing to a String cannot fail
    for day in &done.days {
        _ = writeln!(out, "{}", compacted_day(day));
    }
    for day in &done.skipped {
        _ = writeln!(out, "{day}  was changed by somebody else meanwhile, and left; run again");
    }
    for problem in &done.problems {
        let (path, why) = (printable(&problem.path), printable(&problem.problem));
        _ = writeln!(out, "problem: `{path}`: {why}; its day is left as it is");
    }
    let would = if done.dry_run { "would be " } else { "" };
    _ = writeln!(
        out,
        "{} {would}merged, {} need nothing; {} replaced segments {would}removed, {} wait for the grace",
        days(done.days.len()),
        days(done.days_left),
        done.inputs_removed,
        done.inputs_waiting
    );
    out
}

fn days(number: usize) -> String {
    if number == 1 { "1 day".to_owned() } else { format!("{number} days") }
}

/// A line for a day; what is not known before the work is left out.
fn compacted_day(day: &CompactedDay) -> String {
    let after =
        |after: Option<String>| after.map_or_else(String::new, |after| format!(" -> {after}"));
    let mut line = format!(
        "{}/date={}  segments {}{}  rows {}{}  bytes {}{}",
        day.table,
        day.day,
        day.segments_before,
        after(day.segments_after.map(|number| number.to_string())),
        day.rows_before,
        after(day.rows_after.map(|number| number.to_string())),
        day.bytes_before,
        after(day.bytes_after.map(|number| number.to_string())),
    );
    if let (Some(copies), Some(kept)) = (day.copies_merged, day.contradictions_kept) {
        _ = write!(line, "  copies merged {copies}");
        if kept > 0 {
            _ = write!(line, "  events whose copies disagree {kept}");
        }
    }
    line
}
