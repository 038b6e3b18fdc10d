//! Columns of a report, shared by the CSV and the Parquet output.

use bouncewatch_schemas::event::Service;

use crate::report::rates::{RateReport, RateRow};

/// Values of a column, one per row; `None` if unknown.
#[derive(Debug)]
pub(super) enum ColumnValues {
    /// Text and times.
    Text(Vec<Option<String>>),
    /// Counts.
    Count(Vec<Option<u64>>),
    /// Fractions.
    Rate(Vec<Option<f64>>),
}

/// Returns the columns of a report, in order. Each dimension is a column, empty for groupings without it.
pub(super) fn columns(report: &RateReport) -> Vec<(String, ColumnValues)> {
    let rows = &report.rows;
    let mut out = Vec::new();
    let mut text = |name: &str, value: &dyn Fn(&RateRow) -> Option<String>| {
        out.push((name.to_owned(), ColumnValues::Text(rows.iter().map(value).collect())));
    };
    text("from", &|row| row.from.clone());
    text("to", &|row| Some(row.to.clone()));
    text("window", &|row| Some(row.window.clone()));
    let mut dimensions: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flat_map(|row| &row.scope.0) {
        if !dimensions.contains(&name.as_str()) {
            dimensions.push(name);
        }
    }
    for dimension in dimensions {
        text(dimension, &|row| {
            row.scope
                .0
                .iter()
                .find(|(name, _)| name == dimension)
                .and_then(|(_, value)| value.clone())
        });
    }
    text("denominator", &|row| row.denominator.map(|from| from.as_str().to_owned()));
    let mut count = |name: &str, value: &dyn Fn(&RateRow) -> Option<u64>| {
        out.push((name.to_owned(), ColumnValues::Count(rows.iter().map(value).collect())));
    };
    count("attempts", &|row| row.attempts);
    count("sends", &|row| Some(row.sends));
    count("deliveries", &|row| Some(row.deliveries));
    count("bounces", &|row| Some(row.bounces));
    count("hard", &|row| Some(row.hard));
    count("soft", &|row| Some(row.soft));
    count("undetermined", &|row| Some(row.undetermined));
    count("suppressed", &|row| Some(row.suppressed));
    count("auto_replies", &|row| Some(row.auto_replies));
    count("complaints", &|row| Some(row.complaints));
    count("delays", &|row| Some(row.delays));
    count("rejects", &|row| Some(row.rejects));
    count("rendering_failures", &|row| Some(row.rendering_failures));
    // WorkMail only; the columns of SES do not change
    if report.service == Service::WorkMail {
        count("incoming_bounces", &|row| row.incoming_bounces);
    }
    let mut rate = |name: &str, value: &dyn Fn(&RateRow) -> Option<f64>| {
        out.push((name.to_owned(), ColumnValues::Rate(rows.iter().map(value).collect())));
    };
    rate("bounce_rate", &|row| row.bounce_rate);
    rate("bounce_low", &|row| row.bounce_interval.map(|[low, _]| low));
    rate("bounce_high", &|row| row.bounce_interval.map(|[_, high]| high));
    rate("complaint_rate", &|row| row.complaint_rate);
    rate("complaint_low", &|row| row.complaint_interval.map(|[low, _]| low));
    rate("complaint_high", &|row| row.complaint_interval.map(|[_, high]| high));
    rate("total_bounce_rate", &|row| row.total_bounce_rate);
    rate("delay_rate", &|row| row.delay_rate);
    rate("delivery_rate", &|row| row.delivery_rate);
    out
}
