//! `bouncewatch forecast`

#[cfg(feature = "doctor")]
mod dns;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, ensure};
use bouncewatch_analyze::check::CheckRequest;
use bouncewatch_analyze::forecast::{
    BacktestRequest, ForecastRequest, ListForecast, RecipientList, backtest, csv, forecast, table,
};
use bouncewatch_analyze::suppress::{SoftLimit, SuppressRequest};
use bouncewatch_analyze::timeline::{Basis, Dimension};
use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::text_layout::TextLayout;
use bouncewatch_schemas::time::DAY_MS;

use super::arguments::{address_list, counted_from, fraction, mass_guard, own_domains, windows};
use super::check::{threshold_rules, thresholds};
use super::command_result::CommandResult;
use super::intake::address_redactor;
use super::output_file::write_file;
use super::stdin_argument::file_or_stdin;
use super::store_access::store_files;
use super::times::{duration_ms, time_ms};
use crate::cli::{ForecastArgs, ForecastFormat};
use crate::config::Config;
use crate::settings::AddressPolicy;

/// Days before the evaluation that a backtest hides by default.
const BACKTEST_DAYS: i64 = 14;
/// Bound of a split in a backtest without `--keep-below`.
const BACKTEST_BOUND: f64 = 0.04;
/// Most errors of lines that are printed.
const ERRORS_SHOWN: usize = 10;

pub(super) fn run(
    args: &ForecastArgs,
    config: &Config,
    now: i64,
    layout: TextLayout,
) -> anyhow::Result<CommandResult> {
    let at = time_ms("--at", args.as_of.at.as_deref())?.unwrap_or(now);
    let campaign: Dimension = args.by.parse()?;
    let keep_below = fraction("--keep-below", args.keep_below.as_deref())?;
    let over = args.over.as_deref().map(|text| duration_ms("--over", text)).transpose()?;
    let check = check_request(args, config, at)?;
    let Some(path) = &args.list else {
        let from = time_ms("--from", args.from.as_deref())?;
        let request = BacktestRequest {
            check,
            campaign,
            from: from.unwrap_or_else(|| at.saturating_sub(BACKTEST_DAYS * DAY_MS)),
            attempts_min: args.mailing_min,
            keep_below: keep_below.unwrap_or(BACKTEST_BOUND),
        };
        return run_backtest(&request, args.format, layout);
    };
    let list = RecipientList::parse(&read(path)?);
    ensure!(
        !list.is_empty(),
        "`{}` contains no address\n  hint: write one address per line, or CSV with the address in the first column",
        path.display()
    );
    let has_key = config.addresses.key_file.is_some();
    let hasher =
        has_key.then(|| address_redactor(config, Some(AddressPolicy::Hash))).transpose()?;
    let ses_list = address_list("--ses-list", args.ses_list.as_deref())?;
    let unknown = args.column.iter().find(|name| !list.has_column(name));
    ensure!(
        unknown.is_none(),
        "--column: the list has no column `{}`\n  hint: use a name of the first line, or a number from 1",
        unknown.map_or("", String::as_str)
    );
    let (no_mail_domains, dns_note) = no_mail_domains(args, &list)?;
    let request = ForecastRequest {
        suppress: SuppressRequest {
            store: check.store.clone(),
            at,
            soft: SoftLimit::default(),
            mass_guard: mass_guard(None, config),
            known: None,
        },
        check,
        campaign,
        over_ms: over.unwrap_or_default(),
        hasher,
        ses_list,
        no_mail_domains,
        columns: args.column.clone(),
        keep_below,
        top: args.top,
    };
    let classifier = config.classifier()?;
    let result = forecast(&request, &list, &classifier)?;
    let mut notes = notes(&list);
    notes.extend(dns_note);
    if keep_below.is_some() {
        notes.push(write_split(&args.split_dir, &list, &result)?);
    }
    output(args.format, list, result, notes, layout)
}

fn check_request(args: &ForecastArgs, config: &Config, at: i64) -> anyhow::Result<CheckRequest> {
    Ok(CheckRequest {
        store: store_files(&args.store, &args.aws, &args.cache, config)?,
        service: Service::Ses,
        at,
        windows: windows(&args.window.window, &config.windows)?,
        basis: Basis::Event,
        groupings: Vec::new(),
        counted_from: counted_from(args.counted_from.counted_from.as_deref(), config)?,
        contributors: Vec::new(),
        own_domains: own_domains(config, &args.own_domains.own_domain)?,
        bounce: thresholds(config.bounce),
        complaint: thresholds(config.complaint),
        minimum_volume: config.minimum_volume,
        rules: threshold_rules(None, config)?,
        stale_after: DAY_MS,
        incidents: None,
    })
}

fn run_backtest(
    request: &BacktestRequest,
    format: ForecastFormat,
    layout: TextLayout,
) -> anyhow::Result<CommandResult> {
    let report = backtest(request)?;
    let mut result = match format {
        ForecastFormat::Table => CommandResult::data(table::backtest(&report, layout)),
        ForecastFormat::Json => CommandResult::json(&report)?,
        ForecastFormat::Csv => CommandResult::data(csv::backtest(&report)),
    };
    if report.mailings.is_empty() {
        result.notes.push(
            "note: no mailing to forecast\n  hint: use an earlier --from, or a smaller --mailing-min"
                .to_owned(),
        );
    }
    Ok(result)
}

/// Reads a file, or stdin if the path is `-`.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file_or_stdin(path)
        .and_then(|mut source| source.read_to_end(&mut bytes))
        .with_context(|| format!("list `{}`", path.display()))?;
    Ok(bytes)
}

/// Returns the domains that accept no mail, and a note, if `--dns` is given.
fn no_mail_domains(
    args: &ForecastArgs,
    list: &RecipientList,
) -> anyhow::Result<(BTreeMap<String, String>, Option<String>)> {
    if !args.dns {
        return Ok((BTreeMap::new(), None));
    }
    #[cfg(feature = "doctor")]
    return dns::ask(args, list);
    #[cfg(not(feature = "doctor"))]
    {
        _ = list;
        anyhow::bail!(
            "--dns: this build has no DNS resolver\n  hint: install bouncewatch with the feature `doctor`"
        );
    }
}

/// Notes on lines that are not used. They contain no text of the list.
fn notes(list: &RecipientList) -> Vec<String> {
    let shown = list.errors.iter().take(ERRORS_SHOWN);
    let mut notes: Vec<String> =
        shown.map(|one| format!("note: line {}: {}", one.line, one.error)).collect();
    if list.invalid > notes.len() as u64 {
        notes.push(format!("note: {} lines of the list cannot be used", list.invalid));
    }
    if list.duplicates > 0 {
        notes.push(format!("note: {} addresses occur again; each counts once", list.duplicates));
    }
    notes
}

/// Writes `send.csv` and `hold.csv`.
fn write_split(
    folder: &Path,
    list: &RecipientList,
    result: &ListForecast,
) -> anyhow::Result<String> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("--split-dir `{}`", folder.display()))?;
    let write = |name: &str, content: &dyn Fn(&mut dyn Write) -> std::io::Result<()>| {
        let path = folder.join(name);
        write_file(&path, content).with_context(|| format!("could not write `{}`", path.display()))
    };
    write("send.csv", &|out| csv::send(list, result, out))?;
    write("hold.csv", &|out| csv::hold(list, result, out))?;
    Ok(format!("note: wrote send.csv and hold.csv to `{}`", folder.display()))
}

fn output(
    format: ForecastFormat,
    list: RecipientList,
    result: ListForecast,
    notes: Vec<String>,
    layout: TextLayout,
) -> anyhow::Result<CommandResult> {
    let exit_code = result.summary.exit_code;
    let output = match format {
        ForecastFormat::Table => CommandResult::data(table::forecast(&result.summary, layout)),
        ForecastFormat::Json => CommandResult::json(&result.summary)?,
        ForecastFormat::Csv => {
            CommandResult::streamed(move |out| csv::addresses(&list, &result, out))
        }
    };
    Ok(CommandResult { notes, exit_code, ..output })
}
