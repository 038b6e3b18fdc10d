//! `bouncewatch store stats`

use std::fmt::Write;

use bouncewatch_store::stats::Stats;

use crate::cli::BasicFormat;
use crate::run::command_result::CommandResult;

pub(super) fn result(stats: &Stats, format: BasicFormat) -> anyhow::Result<CommandResult> {
    match format {
        BasicFormat::Json => CommandResult::json(stats),
        BasicFormat::Table => Ok(CommandResult::data(text(stats))),
    }
}

fn text(stats: &Stats) -> String {
    let mut out = String::new();
    let days = match (&stats.first_day, &stats.last_day) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "none".to_owned(),
    };
    // writing to a String cannot fail
    _ = writeln!(out, "segments     {}", stats.segments);
    _ = writeln!(
        out,
        "stored rows  {}   (includes duplicates, which rates count once)",
        stats.rows
    );
    _ = writeln!(out, "bytes        {}", stats.bytes);
    _ = writeln!(out, "days         {days}");
    _ = writeln!(out, "quarantined  {} documents", stats.quarantined);
    let counts = &stats.volumes;
    if let (Some(from), Some(to)) = (&counts.from, &counts.to) {
        _ = writeln!(
            out,
            "send counts  {} rows, {from} to {to}, in {} files of {} bytes",
            counts.points, counts.files, counts.bytes
        );
    }
    if stats.unpublished > 0 {
        _ = writeln!(
            out,
            "unpublished  {}   (being written, or left by a crash; `bouncewatch store verify` lists them)",
            stats.unpublished
        );
    }
    let by = [
        ("rows by kind of event", &stats.rows_by_kind),
        ("rows by channel", &stats.rows_by_channel),
    ];
    for (title, counts) in by.into_iter().filter(|(_, counts)| !counts.is_empty()) {
        _ = writeln!(out, "\n{title}");
        for (name, count) in counts {
            _ = writeln!(out, "  {name:<20} {count}");
        }
    }
    out
}
