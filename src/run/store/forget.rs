//! `bouncewatch store forget`

use std::fmt::Write;

use bouncewatch_store::forget::ForgetReport;

use super::wording::append_problems;
use crate::cli::BasicFormat;
use crate::run::command_result::CommandResult;

pub(super) fn result(report: &ForgetReport, format: BasicFormat) -> anyhow::Result<CommandResult> {
    let result = match format {
        BasicFormat::Json => CommandResult::json(report)?,
        BasicFormat::Table => CommandResult::data(text(report)),
    };
    let mut result = result.with_attention(report.left > 0 || !report.problems.is_empty());
    let found = report.rows + report.bodies + report.volumes + report.left;
    if found == 0 && report.problems.is_empty() {
        result.notes.push(
            "note: the address is not in the store\n  hint: check the spelling; hashed addresses are found only with their key (`key_file` in [addresses] of the settings)"
                .to_owned(),
        );
    }
    Ok(result)
}

fn text(report: &ForgetReport) -> String {
    let mut out = format!(
        "removed the address from {} rows in {} segments; deleted {} documents in {} quarantine segments\n",
        report.rows, report.segments, report.bodies, report.quarantine_segments
    );
    // writing to a String cannot fail
    if report.volumes > 0 {
        _ = writeln!(out, "deleted {} rows of send counts that named the address", report.volumes);
    }
    if report.left > 0 {
        _ = writeln!(
            out,
            "{} rows or documents with the address arrived during the run; run the command again",
            report.left
        );
    }
    append_problems(&mut out, &report.problems, "it may contain the address");
    out
}
