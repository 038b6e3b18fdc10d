//! `bouncewatch causes`

use std::sync::Arc;

use bouncewatch_analyze::causes::{CauseCut, Request, causes, csv, table};
use bouncewatch_classify::Classifier;

use super::{Answer, analyzed_folder, duration_ms, each_once, own_domains, time_ms};
use crate::cause_rules;
use crate::config::Config;
use crate::failure_args::{CausesArgs, CausesFormat};

/// Length of the span where none is given.
const SPAN: &str = "7d";

pub(super) fn run(args: &CausesArgs, config: &Config, now: i64) -> anyhow::Result<Answer> {
    let own = cause_rules::classifier(config)?;
    let classifier = own.as_ref().map_or_else(|| Classifier::builtin(), Arc::as_ref);
    let to = time_ms("--to", args.to.as_deref())?.unwrap_or(now);
    let window = duration_ms("--window", args.window.as_deref().unwrap_or(SPAN))?;
    let request = Request {
        store: analyzed_folder(&args.store, &args.cache, config)?,
        from: time_ms("--from", args.from.as_deref())?.unwrap_or(to.saturating_sub(window)),
        to,
        cuts: each_once(args.by.iter().map(|text| text.parse::<CauseCut>()))?,
        top: args.top,
        own_domains: own_domains(config, &args.own_domain)?,
    };
    let found = causes(&request, classifier)?;
    let unknown = found.unknown_report();
    let mut answer = match (args.format, args.unknown) {
        (CausesFormat::Table, false) => Answer::data(table::causes(&found)),
        (CausesFormat::Json, false) => Answer::json(&found)?,
        (CausesFormat::Csv, false) => Answer::data(csv::causes(&found)),
        (CausesFormat::Table, true) => Answer::data(table::unknown(&unknown)),
        (CausesFormat::Json, true) => Answer::json(&unknown)?,
        (CausesFormat::Csv, true) => Answer::data(csv::unknown(unknown.unknown)),
    };
    if found.bounces == 0 {
        answer.notes.push("note: nothing bounced in this span".to_owned());
    }
    if args.unknown && !found.unknown.is_empty() {
        let said = "note: what is known to name somebody is masked; read it once before you give it to others";
        answer.notes.push(said.to_owned());
    }
    Ok(answer)
}
