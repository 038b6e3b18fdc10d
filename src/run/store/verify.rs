//! `bouncewatch store verify`

use std::fmt::Write;

use bouncewatch_schemas::printable::printable;
use bouncewatch_store::verify::VerifyReport;

use crate::cli::BasicFormat;
use crate::run::command_result::CommandResult;

pub(super) fn result(report: &VerifyReport, format: BasicFormat) -> anyhow::Result<CommandResult> {
    let result = match format {
        BasicFormat::Json => CommandResult::json(report)?,
        BasicFormat::Table => CommandResult::data(text(report)),
    };
    Ok(result.with_attention(!report.problems.is_empty()))
}

fn text(report: &VerifyReport) -> String {
    let mut out = format!(
        "{} segments with {} rows (events, quarantine and send counts) can be read\n",
        report.segments, report.rows
    );
    // writing to a String cannot fail
    if report.no_checksum > 0 {
        _ = writeln!(
            out,
            "{} segments without checksum, written by an earlier release: changed values in them are not found",
            report.no_checksum
        );
    }
    for problem in &report.problems {
        _ = writeln!(out, "problem: {}", printable(&problem.problem));
    }
    if !report.problems.is_empty() {
        out.push_str(
            "  hint: restore damaged segments from a backup, or move them aside with `bouncewatch store repair`\n",
        );
    }
    for path in &report.unpublished {
        _ = writeln!(
            out,
            "unpublished: `{}`; `bouncewatch store compact` removes it when it is a day old",
            path.display()
        );
    }
    out
}
