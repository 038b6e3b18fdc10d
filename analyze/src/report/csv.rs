//! Report as CSV. Unknown is an empty field.

use std::io::{self, Write};

use crate::csv_output::{CsvOutput, escape_formula};
use crate::report::columns::{ReportColumn, columns};
use crate::report::rates::{RateReport, RateRow};

/// Writes a report as CSV with a header line, row by row.
///
/// # Errors
/// If `out` cannot be written.
pub fn report(report: &RateReport, out: &mut dyn Write) -> io::Result<()> {
    let columns = columns(report);
    let mut header = CsvOutput::new();
    header.record(columns.iter().map(|(name, _)| escape_formula(name)));
    out.write_all(header.finish().as_bytes())?;
    for row in report.rows.iter() {
        let mut record = CsvOutput::new();
        record.record(columns.iter().map(|(_, column)| field(column, &row)));
        out.write_all(record.finish().as_bytes())?;
    }
    Ok(())
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
