//! Columns of a report, shared by the CSV and the Parquet output.

use bouncewatch_schemas::event::Service;

use crate::report::rates::{RateReport, RateRow};

/// Reads a text of a row.
type TextOf = Box<dyn Fn(&RateRow) -> Option<String>>;
/// Reads a count of a row.
type CountOf = fn(&RateRow) -> Option<u64>;
/// Reads a fraction of a row.
type RateOf = fn(&RateRow) -> Option<f64>;

/// A column of a report, with the value of a row; `None` if unknown.
pub(super) enum ReportColumn {
    /// Text and times.
    Text(TextOf),
    /// Counts.
    Count(CountOf),
    /// Fractions.
    Rate(RateOf),
}

/// Counts of all services.
const COUNTS: [(&str, CountOf); 12] = [
    ("attempts", |row| row.attempts),
    ("sends", |row| Some(row.sends)),
    ("deliveries", |row| Some(row.deliveries)),
    ("bounces", |row| Some(row.bounces)),
    ("hard", |row| Some(row.hard)),
    ("soft", |row| Some(row.soft)),
    ("undetermined", |row| Some(row.undetermined)),
    ("suppressed", |row| Some(row.suppressed)),
    ("auto_replies", |row| Some(row.auto_replies)),
    ("complaints", |row| Some(row.complaints)),
    ("delays", |row| Some(row.delays)),
    ("rejects", |row| Some(row.rejects)),
];

/// Rates.
const RATES: [(&str, RateOf); 9] = [
    ("bounce_rate", |row| row.bounce_rate),
    ("bounce_low", |row| row.bounce_interval.map(|[low, _]| low)),
    ("bounce_high", |row| row.bounce_interval.map(|[_, high]| high)),
    ("complaint_rate", |row| row.complaint_rate),
    ("complaint_low", |row| row.complaint_interval.map(|[low, _]| low)),
    ("complaint_high", |row| row.complaint_interval.map(|[_, high]| high)),
    ("total_bounce_rate", |row| row.total_bounce_rate),
    ("delay_rate", |row| row.delay_rate),
    ("delivery_rate", |row| row.delivery_rate),
];

/// Returns the columns of a report with their names, in order. Each dimension is a column, empty for groupings without
/// it.
pub(super) fn columns(report: &RateReport) -> Vec<(String, ReportColumn)> {
    let text = |name: &str, value: TextOf| (name.to_owned(), ReportColumn::Text(value));
    let mut columns = vec![
        text("from", Box::new(|row| row.from.clone())),
        text("to", Box::new(|row| Some(row.to.clone()))),
        text("window", Box::new(|row| Some(row.window.clone()))),
    ];
    for dimension in report.rows.dimensions() {
        let name = dimension.to_owned();
        let value = move |row: &RateRow| {
            row.scope
                .0
                .iter()
                .find(|(known, _)| *known == name)
                .and_then(|(_, value)| value.clone())
        };
        columns.push(text(dimension, Box::new(value)));
    }
    let denominator = |row: &RateRow| row.denominator.map(|from| from.as_str().to_owned());
    columns.push(text("denominator", Box::new(denominator)));
    let count = |(name, value): (&str, _)| (name.to_owned(), ReportColumn::Count(value));
    columns.extend(COUNTS.map(count));
    columns.push(count(("rendering_failures", |row| Some(row.rendering_failures))));
    // WorkMail only: the columns of SES are a contract
    if report.service == Service::WorkMail {
        columns.push(count(("incoming_bounces", |row| row.incoming_bounces)));
    }
    columns.extend(RATES.map(|(name, value)| (name.to_owned(), ReportColumn::Rate(value))));
    columns
}
