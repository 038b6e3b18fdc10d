//! Report as CSV. Unknown is an empty field.

use std::io::{self, Write};

use crate::csv_output::{csv_writer, escape_formula, io_error};
use crate::report::columns::{ReportColumn, columns};
use crate::report::rates::{RateReport, RateRow};

/// Writes a report as CSV with a header line, row by row.
///
/// # Errors
/// If `out` cannot be written.
pub fn report(report: &RateReport, out: &mut dyn Write) -> io::Result<()> {
    let columns = columns(report);
    let mut csv = csv_writer(out);
    csv.write_record(columns.iter().map(|(name, _)| escape_formula(name).into_owned()))
        .map_err(io_error)?;
    for row in report.rows.iter() {
        csv.write_record(columns.iter().map(|(_, column)| field(column, &row)))
            .map_err(io_error)?;
    }
    csv.flush()
}

fn field(column: &ReportColumn, row: &RateRow) -> String {
    let number = match column {
        ReportColumn::Text(text) => {
            return escape_formula(&text(row).unwrap_or_default()).into_owned();
        }
        ReportColumn::Count(count) => count(row).map(|count| count.to_string()),
        ReportColumn::Rate(rate) => rate(row).map(|rate| rate.to_string()),
    };
    number.unwrap_or_default()
}
