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
    for problem in &report.problems {
        _ = writeln!(out, "problem: {}", printable(&problem.problem));
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
