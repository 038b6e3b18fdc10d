//! `bouncewatch history`

use anyhow::Context;
use bouncewatch_analyze::history::{HistoryRequest, HistorySubject, MailHistory, history, table};
use bouncewatch_schemas::text_layout::TextLayout;

use super::arguments::{mass_guard, positive_duration_ms};
use super::command_result::CommandResult;
use super::intake::address_redactor;
use super::stdin_argument::argument_or_stdin;
use super::store_access::store_files;
use super::times::time_ms;
use crate::cli::{BasicFormat, HistoryArgs};
use crate::config::Config;
use crate::settings::AddressPolicy;

/// Maximum number of lines of a table.
const TABLE_MAX: usize = 400;

pub(super) fn run(
    args: &HistoryArgs,
    config: &Config,
    now: i64,
    layout: TextLayout,
) -> anyhow::Result<CommandResult> {
    let classifier = config.classifier()?;
    let has_key = config.addresses.key_file.is_some();
    let hasher =
        has_key.then(|| address_redactor(config, Some(AddressPolicy::Hash))).transpose()?;
    let subject = HistorySubject::parse(&argument_or_stdin(&args.subject)?, hasher.as_ref())
        .context("no address or message ID given\n  hint: write it after the command, or on stdin with -")?;
    let to = time_ms("--to", args.to.as_deref())?.unwrap_or(now);
    let window = args.window.as_deref().map(|text| positive_duration_ms("--window", text));
    let since_window = window.transpose()?.map(|window| to.saturating_sub(window));
    let top = usize::try_from(args.top)?;
    let request = HistoryRequest {
        store: store_files(&args.store, &args.aws, &args.cache, config)?,
        subject,
        from: time_ms("--from", args.from.as_deref())?.or(since_window),
        to,
        mass_guard: mass_guard(None, config),
        top: if args.format.format == BasicFormat::Table { top.min(TABLE_MAX) } else { top },
    };
    let history = history(&request, &classifier)?;
    let mut result = match args.format.format {
        BasicFormat::Table => CommandResult::data(table::history(&history, layout)),
        BasicFormat::Json => CommandResult::json(&history)?,
    };
    result.notes = notes(&history, has_key);
    Ok(result.with_attention(history.events_total == 0))
}

/// Notes on events that are not listed. They do not contain the address.
fn notes(history: &MailHistory, has_key: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let (total, listed) = (history.events_total, history.events.len());
    if total > listed as u64 {
        notes.push(format!(
            "note: the newest {listed} of {total} events are listed; use --top {total} --format json to list all"
        ));
    }
    if let Some(rows) = history.dropped_rows.filter(|rows| *rows > 0) {
        notes.push(format!(
            "note: {rows} rows at this domain are stored without address (policy drop, or forgotten); find them by message ID"
        ));
    }
    let may_be_hashed = !has_key || total == 0;
    if let Some(rows) = history.hashed_rows.filter(|rows| *rows > 0 && may_be_hashed) {
        let reason = if has_key {
            "rows that were hashed with another key are not found"
        } else {
            "set `key_file` in [addresses] of the settings file (--config) to find an address"
        };
        notes.push(format!("note: {rows} rows at this domain have hashed addresses; {reason}"));
    }
    if total == 0 {
        notes.push(nothing_found(history));
    }
    notes
}

fn nothing_found(history: &MailHistory) -> String {
    let (subject, check) = if history.address.is_some() {
        (
            "address",
            "check the spelling; for a Message-ID header, use the part before the @ without <",
        )
    } else {
        ("message ID", "use the message ID of SES, or the trace ID of WorkMail, without < and @...")
    };
    let period = if history.from.is_some() { "; omit --from and --window" } else { "" };
    format!(
        "note: no events found for this {subject}\n  hint: {check}{period}; `bouncewatch store stats` prints the period of the store"
    )
}
