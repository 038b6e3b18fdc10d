//! `bouncewatch report`

use bouncewatch_analyze::report::{Request, csv, parquet, report, table};

use super::{
    Answer, analyzed_folder, basis, counted_from, cuts, duration_ms, own_domains, service, time_ms,
    windows,
};
use crate::cli::{ReportArgs, ReportFormat};
use crate::config::Config;

/// Length of the span where none is given.
const SPAN_MS: i64 = 7 * 86_400_000;

pub(super) fn run(args: &ReportArgs, config: &Config, now: i64) -> anyhow::Result<Answer> {
    let to = time_ms("--to", args.to.as_deref())?.unwrap_or(now);
    let request = Request {
        store: analyzed_folder(&args.store, &args.cache, config)?,
        service: service(args.service),
        from: time_ms("--from", args.from.as_deref())?.unwrap_or(to - SPAN_MS),
        to,
        every: duration_ms("--every", &args.every)?,
        windows: windows(&args.window)?,
        basis: basis(&args.counting),
        cuts: cuts(&args.by)?,
        counted_from: counted_from(args.counting.counted_from.as_deref(), config)?,
        top: args.top,
        own_domains: own_domains(config, &args.own_domain)?,
    };
    let found = report(&request)?;
    let mut answer = match args.format {
        ReportFormat::Table => Answer::data(table::report(&found)),
        ReportFormat::Json => Answer::json(&found)?,
        ReportFormat::Csv => Answer::data(csv::report(&found)),
        ReportFormat::Parquet => Answer::data(parquet::report(&found)?),
    };
    if found.rows.is_empty() {
        answer.notes.push("note: no scope has any event in this span".to_owned());
    }
    Ok(answer)
}
