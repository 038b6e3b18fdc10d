//! `bouncewatch store compact`, `retain` and `forget`: what was meant, and what the answers look like.

use std::fmt::Write;

use anyhow::Context;
use bouncewatch_schemas::event::Kind;
use bouncewatch_schemas::printable::printable;
use bouncewatch_schemas::time::{parse_day, parse_duration_ms};
use bouncewatch_store::Problem;
use bouncewatch_store::compact::{Compacted, CompactedDay, CompactedVolumes, Limits, Settings};
use bouncewatch_store::forget::Forgotten;
use bouncewatch_store::retain::{self, Retained};

use super::Answer;
use crate::cli::{CompactArgs, EXIT_LOOK, RetainArgs, SummaryFormat};

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
    if let Some(volumes) = &done.volumes {
        _ = writeln!(out, "{}", compacted_volumes(volumes));
    }
    for day in &done.skipped {
        _ = writeln!(out, "{day}  was changed by somebody else meanwhile, and left; run again");
    }
    problems(&mut out, &done.problems, "its day is left as it is");
    let (merge, remove) =
        if done.dry_run { ("would merge", "would remove") } else { ("merged", "removed") };
    _ = writeln!(
        out,
        "{merge} {}, left {}; {remove} {} replaced segments, {} wait for the grace",
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

fn compacted_volumes(volumes: &CompactedVolumes) -> String {
    let after =
        |after: Option<String>| after.map_or_else(String::new, |after| format!(" -> {after}"));
    format!(
        "volumes  files {}{}  rows {}{}  bytes {}{}",
        volumes.files_before,
        after(volumes.files_after.map(|number| number.to_string())),
        volumes.rows_before,
        after(volumes.rows_after.map(|number| number.to_string())),
        volumes.bytes_before,
        after(volumes.bytes_after.map(|number| number.to_string())),
    )
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

fn problems(out: &mut String, problems: &[Problem], end: &str) {
    for problem in problems {
        let (path, why) = (printable(&problem.path), printable(&problem.problem));
        _ = writeln!(out, "problem: `{path}`: {why}; {end}");
    }
}

/// What shall be kept.
pub(super) fn retention(args: &RetainArgs) -> anyhow::Result<retain::Settings> {
    let kind = |word: &String| {
        Kind::ALL.iter().copied().find(|kind| kind.as_str() == word.trim()).with_context(|| {
            let words: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
            format!("--kind: not a kind of event: `{word}`; there are {}", words.join(", "))
        })
    };
    Ok(retain::Settings {
        days: args.days,
        kinds: args.kind.iter().map(kind).collect::<anyhow::Result<_>>()?,
        quarantine_days: args.quarantine_days,
        volume_days: args.volume_days,
        dry_run: args.dry_run,
    })
}

pub(super) fn retained(done: &Retained, format: SummaryFormat) -> anyhow::Result<Answer> {
    let answer = match format {
        SummaryFormat::Json => Answer::json(done)?,
        SummaryFormat::Table => Answer::data(retained_text(done)),
    };
    Ok(Answer { exit_code: if done.problems.is_empty() { 0 } else { EXIT_LOOK }, ..answer })
}

fn retained_text(done: &Retained) -> String {
    let mut out = String::new();
    let remove = if done.dry_run { "would remove" } else { "removed" };
    if let Some(day) = &done.events_kept_from {
        let rows: u64 = done.rows_by_kind.values().sum();
        let of = days(done.days);
        _ = writeln!(out, "events before {day}: {remove} {rows} rows of {of}");
        for (kind, rows) in &done.rows_by_kind {
            _ = writeln!(out, "  {kind:<20} {rows}");
        }
    }
    if let Some(day) = &done.quarantine_kept_from {
        _ = writeln!(out, "quarantine before {day}: {remove} {} bodies", done.bodies);
    }
    if let Some(day) = &done.volumes_kept_from {
        _ = writeln!(out, "volumes before {day}: {remove} {} rows", done.volumes);
    }
    problems(&mut out, &done.problems, "it is not touched");
    out
}

/// The address that was typed, or stands in the first line of stdin.
pub(super) fn address(typed: &str) -> anyhow::Result<String> {
    if typed != "-" {
        return Ok(typed.to_owned());
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).context("could not read the address from stdin")?;
    Ok(line)
}

pub(super) fn forgotten(done: &Forgotten, format: SummaryFormat) -> anyhow::Result<Answer> {
    let answer = match format {
        SummaryFormat::Json => Answer::json(done)?,
        SummaryFormat::Table => Answer::data(forgotten_text(done)),
    };
    let needs_look = done.left > 0 || !done.problems.is_empty();
    Ok(Answer { exit_code: if needs_look { EXIT_LOOK } else { 0 }, ..answer })
}

fn forgotten_text(done: &Forgotten) -> String {
    let mut out = format!(
        "taken out of {} rows in {} segments; {} bodies removed from {} segments of the quarantine\n",
        done.rows, done.segments, done.bodies, done.quarantine_segments
    );
    if done.volumes > 0 {
        _ = writeln!(out, "{} rows of volumes named it, and were removed", done.volumes);
    }
    if done.left > 0 {
        _ = writeln!(out, "{} rows or bodies have it still or again: run this again", done.left);
    }
    problems(&mut out, &done.problems, "it may hold the address");
    out
}
