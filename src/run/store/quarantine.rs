//! `bouncewatch store quarantine`

use std::fmt::Write;

use bouncewatch_ingest::telemetry::counts::IngestCounts;
use bouncewatch_schemas::printable::printable;
use bouncewatch_schemas::time::format_ms;
use bouncewatch_store::quarantine::Quarantined;
use serde_json::{Value, json};

use crate::cli::{BasicFormat, QuarantineListArgs};
use crate::run::command_result::CommandResult;

/// Maximum number of characters of a document in the table.
const BODY_CHARS_MAX: usize = 200;

pub(super) fn list_result(
    documents: &[Quarantined],
    args: &QuarantineListArgs,
) -> anyhow::Result<CommandResult> {
    match args.common.output.format {
        BasicFormat::Json => {
            let entries: Vec<Value> =
                documents.iter().map(|document| entry_json(document, args)).collect();
            CommandResult::json(&json!({"version": 1, "entries": entries}))
        }
        BasicFormat::Table => Ok(CommandResult::data(list_text(documents, args))),
    }
}

fn entry_json(document: &Quarantined, args: &QuarantineListArgs) -> Value {
    let body = args.bodies.then(|| Value::from(String::from_utf8_lossy(&document.body)));
    json!({
        "id": document.id, "received_at": format_ms(document.received_at), "reason": document.reason,
        "detail": document.detail, "origin": document.origin, "bytes": document.body.len(), "body": body,
    })
}

fn list_text(documents: &[Quarantined], args: &QuarantineListArgs) -> String {
    let mut out = String::new();
    // writing to a String cannot fail
    for document in documents {
        let detail = printable(document.detail.as_deref().unwrap_or_default());
        _ = writeln!(
            out,
            "{}  {}  {}: {detail}",
            format_ms(document.received_at),
            document.reason,
            printable(&document.origin)
        );
        if args.bodies {
            let body: String =
                String::from_utf8_lossy(&document.body).chars().take(BODY_CHARS_MAX).collect();
            _ = writeln!(out, "    {}", printable(&body));
        }
    }
    _ = writeln!(out, "{} documents quarantined", documents.len());
    out
}

pub(super) fn replay_result(
    counts: &IngestCounts,
    format: BasicFormat,
) -> anyhow::Result<CommandResult> {
    let remaining = counts.quarantined_total();
    let result = match format {
        BasicFormat::Json => CommandResult::json(&json!({
            "version": 1, "replayed": counts.messages, "events": counts.events, "rows": counts.rows,
            "ignored": counts.ignored, "quarantined": remaining,
        }))?,
        BasicFormat::Table => CommandResult::data(format!(
            "{} documents read again: {} events stored in {} rows; {remaining} remain in quarantine\n",
            counts.messages, counts.events, counts.rows
        )),
    };
    Ok(result.with_attention(remaining > 0))
}
