//! `bouncewatch store retain`

use std::fmt::Write;

use anyhow::Context;
use bouncewatch_schemas::event::EventKind;
use bouncewatch_store::retain::{RetainReport, RetainSettings};

use super::wording::{append_problems, days};
use crate::cli::{BasicFormat, RetainArgs};
use crate::run::command_result::CommandResult;

/// Converts the arguments.
///
/// # Errors
/// If a kind of event is unknown.
pub(super) fn settings(args: &RetainArgs) -> anyhow::Result<RetainSettings> {
    let kind = |name: &String| {
        EventKind::ALL.iter().copied().find(|kind| kind.as_str() == name.trim()).with_context(
            || {
                let known: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
                format!(
                    "--kind: unknown kind of event `{name}`\n  hint: use one of {}",
                    known.join(", ")
                )
            },
        )
    };
    Ok(RetainSettings {
        days: args.days,
        kinds: args.kind.iter().map(kind).collect::<anyhow::Result<_>>()?,
        quarantine_days: args.quarantine_days,
        volume_days: args.send_count_days,
        dry_run: args.dry_run,
    })
}

pub(super) fn result(report: &RetainReport, format: BasicFormat) -> anyhow::Result<CommandResult> {
    let result = match format {
        BasicFormat::Json => CommandResult::json(report)?,
        BasicFormat::Table => CommandResult::data(text(report)),
    };
    Ok(result.with_attention(!report.problems.is_empty()))
}

fn text(report: &RetainReport) -> String {
    let mut out = String::new();
    let removed = if report.dry_run { "would remove" } else { "removed" };
    // writing to a String cannot fail
    if let Some(day) = &report.events_kept_from {
        let rows: u64 = report.rows_by_kind.values().sum();
        _ = writeln!(out, "events before {day}: {removed} {rows} rows from {}", days(report.days));
        for (kind, rows) in &report.rows_by_kind {
            _ = writeln!(out, "  {kind:<20} {rows}");
        }
    }
    if let Some(day) = &report.quarantine_kept_from {
        _ = writeln!(out, "quarantine before {day}: {removed} {} documents", report.bodies);
    }
    if let Some(day) = &report.volumes_kept_from {
        _ = writeln!(out, "send counts before {day}: {removed} {} rows", report.volumes);
    }
    append_problems(&mut out, &report.problems, "it was not changed");
    out
}
