//! `bouncewatch causes`

use bouncewatch_analyze::causes::{CauseGrouping, CausesRequest, causes, csv, table};
use bouncewatch_schemas::text_layout::TextLayout;

use super::arguments::{mass_guard, own_domains, positive_duration_ms, without_duplicates};
use super::command_result::CommandResult;
use super::store_access::store_files;
use super::times::time_ms;
use crate::cli::{CausesArgs, CausesFormat};
use crate::config::Config;

/// Default length of the period.
const PERIOD: &str = "7d";

pub(super) fn run(
    args: &CausesArgs,
    config: &Config,
    now: i64,
    layout: TextLayout,
) -> anyhow::Result<CommandResult> {
    let classifier = config.classifier()?;
    let to = time_ms("--to", args.to.as_deref())?.unwrap_or(now);
    let window = positive_duration_ms("--window", args.window.as_deref().unwrap_or(PERIOD))?;
    let request = CausesRequest {
        store: store_files(&args.store, &args.aws, &args.cache, config)?,
        from: time_ms("--from", args.from.as_deref())?.unwrap_or(to.saturating_sub(window)),
        to,
        groupings: without_duplicates(args.by.iter().map(|text| text.parse::<CauseGrouping>()))?,
        top: args.top,
        mass_guard: mass_guard(None, config),
        own_domains: own_domains(config, &args.own_domains.own_domain)?,
    };
    let report = causes(&request, &classifier)?;
    let unknown = report.unknown_report();
    let mut result = match (args.format, args.unknown) {
        (CausesFormat::Table, false) => CommandResult::data(table::causes(&report, layout)),
        (CausesFormat::Json, false) => CommandResult::json(&report)?,
        (CausesFormat::Csv, false) => CommandResult::data(csv::causes(&report)),
        (CausesFormat::Table, true) => CommandResult::data(table::unknown(&unknown, layout)),
        (CausesFormat::Json, true) => CommandResult::json(&unknown)?,
        (CausesFormat::Csv, true) => CommandResult::data(csv::unknown(unknown.unknown)),
    };
    if report.bounces == 0 {
        result.notes.push("note: no bounces in this period".to_owned());
    }
    if args.unknown && !report.unknown.is_empty() {
        result.notes.push(
            "note: known personal data is masked; check the texts before you share them".to_owned(),
        );
    }
    Ok(result)
}
