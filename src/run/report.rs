//! `bouncewatch report`

use std::io;

use bouncewatch_analyze::report::{ReportRequest, csv, parquet, report, table};
use bouncewatch_schemas::printable::write_json;
use bouncewatch_schemas::text_layout::TextLayout;

use super::arguments::{
    basis, counted_from, groupings, no_events_hint, own_domains, positive_duration_ms, service,
    windows,
};
use super::command_result::CommandResult;
use super::store_access::store_files;
use super::times::time_ms;
use crate::cli::{ReportArgs, ReportFormat};
use crate::config::Config;

/// Default length of a report.
const PERIOD_MS: i64 = 7 * 86_400_000;

pub(super) fn run(
    args: &ReportArgs,
    config: &Config,
    now: i64,
    layout: TextLayout,
) -> anyhow::Result<CommandResult> {
    let to = time_ms("--to", args.to.as_deref())?.unwrap_or(now);
    let request = ReportRequest {
        store: store_files(&args.store, &args.aws, &args.cache, config)?,
        service: service(args.service.service),
        from: time_ms("--from", args.from.as_deref())?.unwrap_or(to - PERIOD_MS),
        to,
        every: positive_duration_ms("--every", &args.every)?,
        windows: windows(&args.window, &[])?,
        basis: basis(args.basis.basis),
        groupings: groupings(&args.grouping.by, &[])?,
        counted_from: counted_from(args.counted_from.counted_from.as_deref(), config)?,
        top: args.top,
        own_domains: own_domains(config, &args.own_domains.own_domain)?,
    };
    let rates = report(&request)?;
    let is_empty = rates.rows.is_empty();
    let (format, critical) = (args.format, config.bounce.critical);
    let mut result = CommandResult::streamed(move |out| match format {
        ReportFormat::Table => out.write_all(table::report(&rates, critical, layout).as_bytes()),
        ReportFormat::Json => {
            write_json(&mut *out, &rates)?;
            out.write_all(b"\n")
        }
        ReportFormat::Csv => csv::report(&rates, out),
        ReportFormat::Parquet => parquet::report(&rates, out).map_err(io::Error::other),
    });
    if is_empty {
        let hint = no_events_hint(request.counted_from);
        result.notes.push(format!("note: no events in this period{hint}"));
    }
    Ok(result)
}
