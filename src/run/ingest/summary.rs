//! Summary of a run, as text and as JSON.

use std::fmt::Write;
use std::time::Duration;

use bouncewatch_ingest::pipeline::IngestSummary;
use bouncewatch_ingest::send_counts::ImportSummary;
use bouncewatch_ingest::source::sqs::InFlightElsewhere;
use bouncewatch_ingest::telemetry::billed_requests::BilledRequests;
use bouncewatch_ingest::telemetry::counts::IngestCounts;
use bouncewatch_ingest::telemetry::metrics::Telemetry;
use bouncewatch_schemas::time::format_ms;
use serde_json::json;

use super::cost::Cost;
use super::send_counts;
use crate::cli::{BasicFormat, Verbosity};
use crate::exit_code;
use crate::run::command_result::CommandResult;

/// What a run did.
pub(super) struct IngestRun {
    pub(super) summary: IngestSummary,
    /// What the sources contain: `messages` of queues, `documents` of all other sources.
    pub(super) unit: &'static str,
    /// SQS requests of a month without messages; `None` if the run does not follow a queue.
    pub(super) idle_month: Option<BilledRequests>,
    pub(super) send_counts: ImportSummary,
}

/// Returns summary, errors and exit code.
///
/// # Errors
/// If JSON cannot be written.
pub(super) fn result(
    run: &IngestRun,
    telemetry: &Telemetry,
    elapsed: Duration,
    format: BasicFormat,
    verbosity: Verbosity,
) -> anyhow::Result<CommandResult> {
    let IngestRun { summary, unit, idle_month, send_counts } = run;
    let cost = Cost { billed: telemetry.aws.billed_requests(), idle_month: *idle_month };
    let data = match (format, verbosity) {
        (BasicFormat::Json, _) => json_result(run, telemetry, &cost, elapsed)?,
        (BasicFormat::Table, Verbosity::Quiet) => CommandResult::default(),
        (BasicFormat::Table, Verbosity::Normal) => {
            let cost = cost.text(elapsed).map_or_else(String::new, |line| format!("  {line}\n"));
            let text = text(summary, unit, elapsed);
            CommandResult::data(text + &cost + &send_counts::text(send_counts))
        }
    };
    let mut notes: Vec<String> =
        summary.failures.iter().map(|failure| format!("error: {failure}")).collect();
    if (format, verbosity) == (BasicFormat::Table, Verbosity::Quiet) {
        notes.extend(attention(&summary.counts));
    }
    if summary.interrupted {
        notes.push(
            "interrupted: some files or objects were not read to the end\n  hint: run the command again; events that are stored already count once"
                .to_owned(),
        );
    }
    if summary.in_flight.is_some_and(|in_flight| in_flight.is_denied) {
        notes.push(
            "note: messages in flight elsewhere were not counted: sqs:GetQueueAttributes is denied\n  hint: allow it for these credentials"
                .to_owned(),
        );
    }
    notes.extend(send_counts.refused.iter().map(|line| format!("error: {line}")));
    Ok(CommandResult { notes, exit_code: exit_code(run), ..data })
}

/// Returns what the summary reports with exit code 1, as errors: without a summary nothing else reports it.
fn attention(counts: &IngestCounts) -> Vec<String> {
    let mut errors = Vec::new();
    let reasons: Vec<String> =
        counts.quarantined.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    if !reasons.is_empty() {
        errors.push(format!(
            "error: documents quarantined: {}\n  hint: `bouncewatch store quarantine list` shows details",
            reasons.join(", ")
        ));
    }
    if counts.delete_failed > 0 {
        errors.push(format!(
            "error: {} messages could not be deleted; SQS delivers them again",
            counts.delete_failed
        ));
    }
    if counts.left > 0 {
        errors.push(format!(
            "error: {} messages that could not be read were left in the queue",
            counts.left
        ));
    }
    errors
}

fn exit_code(run: &IngestRun) -> u8 {
    let counts = &run.summary.counts;
    let needs_attention = counts.quarantined_total() > 0
        || counts.delete_failed > 0
        || counts.left > 0
        || run.summary.in_flight.is_some_and(|in_flight| in_flight.messages > 0)
        || run.summary.interrupted
        || !run.send_counts.refused.is_empty();
    match (run.summary.failures.is_empty(), needs_attention) {
        (false, _) => exit_code::FAILED,
        (true, true) => exit_code::ATTENTION,
        (true, false) => 0,
    }
}

fn json_result(
    run: &IngestRun,
    telemetry: &Telemetry,
    cost: &Cost,
    elapsed: Duration,
) -> anyhow::Result<CommandResult> {
    let counts = &run.summary.counts;
    CommandResult::json(&json!({
        "version": 1, "messages": counts.messages, "events": counts.events, "rows": counts.rows,
        "ignored": counts.ignored, "quarantined": counts.quarantined_total(),
        "quarantined_by_reason": counts.quarantined, "segments": counts.segments, "bytes": counts.bytes,
        "seconds": elapsed.as_secs_f64(), "deleted": counts.deleted, "delete_failed": counts.delete_failed,
        "left": counts.left, "interrupted": run.summary.interrupted, "duplicate_rows": counts.duplicates,
        "in_flight": in_flight_json(run.summary.in_flight),
        "requests": telemetry.aws.by_action(), "cost": cost.json(elapsed),
        "volumes": send_counts::json(&run.send_counts),
    }))
}

/// Returns messages in flight elsewhere; null if no queue was drained, or their number is unknown.
fn in_flight_json(in_flight: Option<InFlightElsewhere>) -> serde_json::Value {
    let known = in_flight.filter(|in_flight| !in_flight.is_denied || in_flight.messages > 0);
    known.map_or(serde_json::Value::Null, |in_flight| {
        json!({"messages": in_flight.messages, "visible_by": in_flight.visible_by.map(format_ms)})
    })
}

fn text(summary: &IngestSummary, unit: &str, elapsed: Duration) -> String {
    let counts = &summary.counts;
    let mut out = format!(
        "{} {unit}: {} events in {} rows written (duplicates are removed when read), {} ignored, {} quarantined, in {:.1} s\n",
        counts.messages,
        counts.events,
        counts.rows,
        counts.ignored_total(),
        counts.quarantined_total(),
        elapsed.as_secs_f64()
    );
    // writing to a String cannot fail
    for (reason, count) in &counts.ignored {
        _ = writeln!(out, "  ignored {count}: {reason}");
    }
    for (reason, count) in &counts.quarantined {
        _ = writeln!(
            out,
            "  quarantined {count}: {reason} (`bouncewatch store quarantine list` shows details)"
        );
    }
    if counts.deleted + counts.delete_failed > 0 {
        _ = write!(out, "  deleted {} messages from the queue", counts.deleted);
        if counts.delete_failed > 0 {
            _ = write!(
                out,
                ", {} could not be deleted; SQS delivers them again",
                counts.delete_failed
            );
        }
        out.push('\n');
    }
    if counts.left > 0 {
        _ = writeln!(
            out,
            "  left {} messages in the queue; SQS delivers them again or moves them to the dead-letter queue",
            counts.left
        );
    }
    if let Some(in_flight) = summary.in_flight
        && let Some(visible_by) = in_flight.visible_by
    {
        _ = writeln!(
            out,
            "  {} messages are in flight elsewhere (another consumer, or one that was killed); if they are not deleted, they are visible again by {} UTC; run again then, or use --wait-in-flight",
            in_flight.messages,
            format_ms(visible_by).get(..19).unwrap_or_default().replace('T', " "),
        );
    }
    out
}
