//! `bouncewatch reconcile`

use anyhow::Context;
use bouncewatch_analyze::check::reconcile::{Request, reconcile};
use bouncewatch_analyze::report::table;

use super::{Answer, analyzed_folder, counted_from, cuts, own_domains, time_ms, windows};
use crate::cli::{ReconcileArgs, SummaryFormat};
use crate::config::Config;

pub(super) fn run(args: &ReconcileArgs, config: &Config, now: i64) -> anyhow::Result<Answer> {
    let typed = if args.window.is_empty() { &config.windows } else { &args.window };
    let request = Request {
        store: analyzed_folder(&args.store, &args.cache, config)?,
        at: time_ms("--at", args.at.as_deref())?.unwrap_or(now),
        windows: windows(typed)?,
        cuts: cuts(&args.by)?,
        own_domains: own_domains(config, &args.own_domain)?,
        counted_from: counted_from(args.counted_from.as_deref(), config)?,
        aws_rate: args.aws_rate.as_deref().map(fraction).transpose()?,
    };
    let found = reconcile(&request)?;
    let mut answer = match args.format {
        SummaryFormat::Table => Answer::data(table::reconciliation(&found)),
        SummaryFormat::Json => Answer::json(&found)?,
    };
    if found.accounts.is_empty() {
        answer.notes.push("note: the store holds no event of SES up to this moment".to_owned());
    }
    Ok(answer)
}

/// `6.2%` or `0.062`.
fn fraction(text: &str) -> anyhow::Result<f64> {
    let (number, scale) = match text.trim().strip_suffix('%') {
        Some(percent) => (percent.trim(), 100.0),
        None => (text.trim(), 1.0),
    };
    let rate = number.parse::<f64>().ok().map(|rate| rate / scale);
    rate.filter(|rate| (0.0..=1.0).contains(rate)).with_context(|| {
        format!("--aws-rate: not a rate: `{text}`; write 6.2% or 0.062, as the console shows it")
    })
}
