//! Output formats of `suppress --release`: CSV, plain addresses, and import files for SES.

use std::fmt::Write;

use bouncewatch_schemas::address::to_display;
use bouncewatch_schemas::printable::printable;

use crate::csv_output::{CsvOutput, escape_formula};
use crate::suppress::formats::{SesImportFile, ses_lines};
use crate::suppress::model::Releases;

/// Maximum number of addresses in one import job of SES that deletes.
pub const SES_DELETE_MAX: usize = 10_000;

/// Returns all fields as CSV (RFC 4180), one record per address.
pub fn csv(releases: &Releases) -> String {
    let mut out = CsvOutput::new();
    let header = ["address", "reason", "delivered_at", "bounced_at", "evidence"];
    out.record(header.map(str::to_owned));
    for one in &releases.release {
        out.record([
            escape_formula(&to_display(&one.address)).into_owned(),
            one.reason.as_str().to_owned(),
            one.delivered_at.clone().unwrap_or_default(),
            one.bounced_at.clone().unwrap_or_default(),
            escape_formula(one.evidence.as_deref().unwrap_or_default()).into_owned(),
        ]);
    }
    out.finish()
}

/// Returns the addresses, one per line.
pub fn txt(releases: &Releases) -> String {
    let mut out = String::new();
    for one in &releases.release {
        // writing to a String cannot fail
        _ = writeln!(out, "{}", printable(&to_display(&one.address)));
    }
    out
}

/// Returns an import file for `CreateImportJob` of the SES API v2 with the action `DELETE` and the data format CSV: one
/// address per line (SES developer guide, "Removing email addresses in bulk from your Amazon SES account-level suppression
/// list").
pub fn ses(releases: &Releases) -> SesImportFile {
    ses_lines(releases.release.iter().map(|one| (one.address.as_str(), None)))
}
