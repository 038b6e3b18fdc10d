//! `bouncewatch store compact`

use std::fmt::{Display, Write};

use anyhow::Context;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::parse_day;
use bouncewatch_store::compact::{
    CompactLimits, CompactReport, CompactSettings, CompactedDay, CompactedSendCounts,
};

use super::wording::{append_problems, days};
use crate::cli::{BasicFormat, CompactArgs};
use crate::run::command_result::CommandResult;
use crate::run::times::duration_ms;

/// Converts the arguments.
///
/// # Errors
/// If a duration or day is invalid.
pub(super) fn settings(args: &CompactArgs) -> anyhow::Result<CompactSettings> {
    let day = |text: &String| {
        parse_day(text)
            .with_context(|| format!("--until: invalid day `{text}`\n  hint: write 2026-11-20"))
    };
    Ok(CompactSettings {
        grace_ms: duration_ms("--grace", &args.grace)?,
        until_day: args.until.as_ref().map(day).transpose()?,
        dry_run: args.dry_run,
        limits: CompactLimits::default(),
    })
}

pub(super) fn result(report: &CompactReport, format: BasicFormat) -> anyhow::Result<CommandResult> {
    let result = match format {
        BasicFormat::Json => CommandResult::json(report)?,
        BasicFormat::Table => CommandResult::data(text(report)),
    };
    Ok(result.with_attention(!report.problems.is_empty() || !report.skipped.is_empty()))
}

fn text(report: &CompactReport) -> String {
    let mut out = String::new();
    // writing to a String cannot fail
    for day in &report.days {
        _ = writeln!(out, "{}", day_line(day));
    }
    if let Some(counts) = &report.volumes {
        _ = writeln!(out, "{}", send_counts_line(counts));
    }
    for day in &report.skipped {
        _ = writeln!(out, "{day}  skipped: changed by another process; run the command again");
    }
    append_problems(&mut out, &report.problems, "this day was not compacted");
    let (merged, removed) =
        if report.dry_run { ("would merge", "would remove") } else { ("merged", "removed") };
    _ = writeln!(
        out,
        "{merged} {}; {} of events or quarantine unchanged; {removed} {} replaced segments, {} remain until the grace period ends",
        merged_days(&report.days),
        days(report.days_left),
        report.inputs_removed,
        report.inputs_waiting
    );
    out
}

/// Returns `7 days of events`, with `, 1 day of quarantine` if the quarantine has merged days.
fn merged_days(merged: &[CompactedDay]) -> String {
    let of = |table: &str| merged.iter().filter(|day| day.table == table).count();
    let events = format!("{} of events", days(of(table::EVENTS)));
    match of(table::QUARANTINE) {
        0 => events,
        quarantine => format!("{events}, {} of quarantine", days(quarantine)),
    }
}

fn day_line(day: &CompactedDay) -> String {
    let mut line = format!(
        "{}/date={}  segments {}  rows {}  bytes {}",
        day.table,
        day.day,
        change(day.segments_before, day.segments_after),
        change(day.rows_before, day.rows_after),
        change(day.bytes_before, day.bytes_after),
    );
    if let (Some(duplicates), Some(conflicts)) = (day.copies_merged, day.contradictions_kept) {
        _ = write!(line, "  duplicates merged {duplicates}");
        if conflicts > 0 {
            _ = write!(line, "  events with conflicting duplicates {conflicts}");
        }
    }
    line
}

fn send_counts_line(counts: &CompactedSendCounts) -> String {
    format!(
        "send counts  files {}  rows {}  bytes {}",
        change(counts.files_before, counts.files_after),
        change(counts.rows_before, counts.rows_after),
        change(counts.bytes_before, counts.bytes_after),
    )
}

/// Returns `before -> after`, or `before` in a dry run.
fn change<T: Display>(before: T, after: Option<T>) -> String {
    after.map_or_else(|| before.to_string(), |after| format!("{before} -> {after}"))
}
