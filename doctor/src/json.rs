//! Findings as JSON, with the keys that `check` uses for its status.

use std::io::Write;

use bouncewatch_schemas::printable;
use serde::Serialize;

use crate::finding::{Finding, FindingLevel};
use crate::judge::worst;
use crate::snapshot::Snapshot;
use crate::snapshot::time::Time;

/// Version of the JSON of findings. Keys are added, never renamed or removed.
const VERSION: u32 = 1;

/// The document.
#[derive(Serialize)]
struct FindingsDocument<'a> {
    version: u32,
    as_of: Time,
    region: &'a str,
    account: Option<&'a String>,
    status: &'static str,
    exit_code: u8,
    findings: &'a [Finding],
}

/// Writes findings as JSON in one line without a line end. Characters that a terminal interprets are escaped.
///
/// # Errors
/// If writing fails.
pub fn write_json(
    out: impl Write,
    snapshot: &Snapshot,
    findings: &[Finding],
) -> serde_json::Result<()> {
    // a note changes no status
    let level = worst(findings);
    let level = if level == FindingLevel::Note { FindingLevel::Ok } else { level };
    let document = FindingsDocument {
        version: VERSION,
        as_of: snapshot.taken_at,
        region: &snapshot.region,
        account: snapshot.account_id.value(),
        status: level.as_str(),
        exit_code: level.exit_code(),
        findings,
    };
    printable::write_json(out, &document)
}
