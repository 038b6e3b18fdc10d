//! Forecasts as CSV: one line per address or mailing; the `send` and `hold` parts of a split list.

use std::io::{self, Write};

use crate::csv_output::{CsvOutput, csv_writer, escape_formula, io_error};
use crate::forecast::evaluation::HoldReason;
use crate::forecast::model::BacktestReport;
use crate::forecast::recipient_list::RecipientList;
use crate::forecast::run::ListForecast;

/// Number of batches of the addresses to send to.
const BATCHES: usize = 10;

/// Writes one line per address: probabilities, their evidence, and the reason of a hold.
///
/// # Errors
/// If `out` cannot be written.
pub fn addresses(
    list: &RecipientList,
    forecast: &ListForecast,
    out: &mut dyn Write,
) -> io::Result<()> {
    let columns = ["address", "bounce_probability", "complaint_probability", "evidence", "hold"];
    let rows = forecast.addresses.iter().zip(&forecast.complaint_rates).enumerate();
    let rows = rows.map(|(at, (one, complaint))| {
        vec![
            list.address(at).to_owned(),
            probability(one.rated.probability),
            format!("{complaint:.6}"),
            one.evidence.as_str().to_owned(),
            one.hold.map_or("", HoldReason::as_str).to_owned(),
        ]
    });
    write(columns.iter().map(|name| (*name).to_owned()).collect(), rows, out)
}

/// Writes the addresses to send to, lowest risk first, with all columns of the list.
///
/// # Errors
/// If `out` cannot be written.
pub fn send(list: &RecipientList, forecast: &ListForecast, out: &mut dyn Write) -> io::Result<()> {
    let columns = list.columns();
    let mut header = columns.clone();
    header.extend(["bounce_probability".to_owned(), "batch".to_owned()]);
    let count = forecast.send.len();
    let rows = forecast.send.iter().enumerate().map(|(position, at)| {
        let mut row = padded(list.fields(*at), columns.len());
        row.push(probability(forecast.addresses[*at].rated.probability));
        row.push((position * BATCHES / count + 1).to_string());
        row
    });
    write(header, rows, out)
}

/// Writes the addresses to hold with all columns of the list, probability and reason.
///
/// # Errors
/// If `out` cannot be written.
pub fn hold(list: &RecipientList, forecast: &ListForecast, out: &mut dyn Write) -> io::Result<()> {
    let columns = list.columns();
    let mut header = columns.clone();
    header.extend(["bounce_probability".to_owned(), "reason".to_owned()]);
    let mut is_sent = vec![false; list.len()];
    for at in &forecast.send {
        is_sent[*at] = true;
    }
    let held = (0..list.len()).filter(|at| !is_sent[*at]);
    let rows = held.map(|at| {
        let one = &forecast.addresses[at];
        let mut row = padded(list.fields(at), columns.len());
        row.push(probability(one.rated.probability));
        let risk = || format!("risk: {}", one.evidence.as_str());
        row.push(one.hold.map_or_else(risk, |hold| hold.as_str().to_owned()));
        row
    });
    write(header, rows, out)
}

/// Returns one line per mailing of a backtest.
pub fn backtest(report: &BacktestReport) -> String {
    let mut out = CsvOutput::new();
    out.record([
        "campaign",
        "day",
        "attempts",
        "expected",
        "low",
        "high",
        "bounces",
        "covered",
        "held",
        "oracle",
        "kept_rate",
    ]);
    for one in &report.mailings {
        let [low, high] = one.bounces.interval;
        out.record([
            escape_formula(one.campaign.as_deref().unwrap_or_default()).into_owned(),
            one.day.clone(),
            one.attempts.to_string(),
            format!("{:.2}", one.bounces.expected),
            low.to_string(),
            high.to_string(),
            one.observed.to_string(),
            one.is_covered.to_string(),
            one.held.to_string(),
            one.oracle.to_string(),
            one.kept_rate.map_or_else(String::new, |rate| format!("{rate:.6}")),
        ]);
    }
    out.finish()
}

fn probability(value: f64) -> String {
    format!("{value:.4}")
}

fn padded(mut fields: Vec<String>, count: usize) -> Vec<String> {
    fields.resize(count.max(fields.len()), String::new());
    fields
}

fn write(
    header: Vec<String>,
    rows: impl Iterator<Item = Vec<String>>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut writer = csv_writer(out);
    for row in std::iter::once(header).chain(rows) {
        let fields = row.iter().map(|field| escape_formula(field));
        let fields: Vec<_> = fields.collect();
        writer.write_record(fields.iter().map(|field| field.as_bytes())).map_err(io_error)?;
    }
    writer.flush()
}
