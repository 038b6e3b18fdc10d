//! `bouncewatch store repair`

use std::fmt::Write;

use bouncewatch_schemas::printable::printable;
use bouncewatch_store::repair::RepairReport;

use super::wording::append_problems;
use crate::cli::BasicFormat;
use crate::run::command_result::CommandResult;

pub(super) fn result(report: &RepairReport, format: BasicFormat) -> anyhow::Result<CommandResult> {
    let result = match format {
        BasicFormat::Json => CommandResult::json(report)?,
        BasicFormat::Table => CommandResult::data(text(report)),
    };
    Ok(result.with_attention(!report.moved.is_empty() || !report.problems.is_empty()))
}

fn text(report: &RepairReport) -> String {
    let (intact, moved) = (report.segments, report.moved.len());
    let mut out = format!("{intact} segments can be used, {moved} damaged segments were moved\n");
    // writing to a String cannot fail
    for segment in &report.moved {
        let (path, moved_to) = (printable(&segment.path), printable(&segment.moved_to));
        let problem = printable(&segment.problem);
        _ = writeln!(out, "moved: `{path}` to `{moved_to}`: {problem}");
    }
    append_problems(&mut out, &report.problems, "not changed");
    if moved > 0 {
        out.push_str(
            "  hint: ingest the messages of these days again (archive, log group), or restore the segments from a backup; then delete the folder `damaged`\n",
        );
    }
    out
}
