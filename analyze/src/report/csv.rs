//! Report as CSV. Unknown is an empty field.

use std::borrow::Cow;

use crate::csv_output::{CsvOutput, escape_formula};
use crate::report::columns::{ColumnValues, columns};
use crate::report::rates::RateReport;

/// Returns a report as CSV with a header line.
pub fn report(report: &RateReport) -> String {
    let columns = columns(report);
    let mut out = CsvOutput::new();
    out.record(columns.iter().map(|(name, _)| escape_formula(name)));
    for row in 0..report.rows.len() {
        out.record(columns.iter().map(|(_, values)| field(values, row)));
    }
    out.finish()
}

fn field(values: &ColumnValues, row: usize) -> Cow<'_, str> {
    let number = match values {
        ColumnValues::Text(texts) => {
            return escape_formula(texts[row].as_deref().unwrap_or_default());
        }
        ColumnValues::Count(counts) => counts[row].map(|count| count.to_string()),
        ColumnValues::Rate(rates) => rates[row].map(|rate| rate.to_string()),
    };
    Cow::Owned(number.unwrap_or_default())
}
