//! `bouncewatch reconcile`

use bouncewatch_analyze::check::reconcile::{ReconcileRequest, reconcile};
use bouncewatch_analyze::report::table;
use bouncewatch_schemas::text_layout::TextLayout;

use super::arguments::{counted_from, fraction, groupings, no_events_hint, own_domains, windows};
use super::command_result::CommandResult;
use super::store_access::store_files;
use super::times::time_ms;
use crate::cli::{BasicFormat, ReconcileArgs};
use crate::config::Config;

pub(super) fn run(
    args: &ReconcileArgs,
    config: &Config,
    now: i64,
    layout: TextLayout,
) -> anyhow::Result<CommandResult> {
    let at = time_ms("--at", args.as_of.at.as_deref())?.unwrap_or(now);
    let (aws_rate, note) = aws_rate(args, at)?;
    let request = ReconcileRequest {
        store: store_files(&args.store, &args.aws, &args.cache, config)?,
        at,
        windows: windows(&args.window.window, &config.windows)?,
        groupings: groupings(&args.grouping.by, &[])?,
        own_domains: own_domains(config, &args.own_domains.own_domain)?,
        counted_from: counted_from(args.counted_from.counted_from.as_deref(), config)?,
        aws_rate,
        aws_account: None,
    };
    let reconciliation = reconcile(&request)?;
    let mut result = match args.format.format {
        BasicFormat::Table => CommandResult::data(table::reconciliation(&reconciliation, layout)),
        BasicFormat::Json => CommandResult::json(&reconciliation)?,
    };
    result.notes.extend(note);
    if reconciliation.accounts.is_empty() {
        let hint = no_events_hint(request.counted_from);
        result.notes.push(format!("note: no SES events up to this time{hint}"));
    }
    Ok(result)
}

/// Returns the rate that AWS shows, and a note on its age if it was read from CloudWatch.
fn aws_rate(args: &ReconcileArgs, at: i64) -> anyhow::Result<(Option<f64>, Option<String>)> {
    #[cfg(feature = "doctor")]
    if args.reads_aws_rate {
        let point = super::aws_rate::of_cloudwatch(&args.aws, at)?;
        return Ok((Some(point.value), Some(super::aws_rate::note(point, at))));
    }
    _ = at;
    Ok((fraction("--aws-rate", args.aws_rate.as_deref())?, None))
}
