//! `bouncewatch check`

mod alert;
mod notes;

use bouncewatch_analyze::check::levels::Thresholds;
use bouncewatch_analyze::check::thresholds::{Limits, Rule, Rules};
use bouncewatch_analyze::check::{Request, check};
use bouncewatch_analyze::report::{nagios, prometheus, table};

use self::notes::notes;
use super::{
    Answer, analyzed_folder, basis, contributors, counted_from, cuts, duration_ms, own_domains,
    service, time_ms, windows,
};
use crate::cli::{CheckArgs, CheckFormat};
use crate::config::{Config, Levels};

pub(super) fn run(args: &CheckArgs, config: &Config, now: i64) -> anyhow::Result<Answer> {
    let typed = if args.window.is_empty() { &config.windows } else { &args.window };
    let by = if args.by.is_empty() { &config.by } else { &args.by };
    let (windows, cuts) = (windows(typed)?, cuts(by)?);
    let at = time_ms("--at", args.at.as_deref())?.unwrap_or(now);
    // what is misused is told before a store in S3 is fetched
    let alerts = alert::Plan::new(args, config, at, alert::asked(&windows, &cuts))?;
    let request = Request {
        store: analyzed_folder(&args.store, &args.cache, config)?,
        service: service(args.service),
        at,
        windows,
        basis: basis(&args.counting),
        cuts,
        counted_from: counted_from(args.counting.counted_from.as_deref(), config)?,
        contributors: contributors(config)?,
        own_domains: own_domains(config, &args.own_domain)?,
        bounce: thresholds(config.bounce),
        complaint: thresholds(config.complaint),
        minimum_volume: args.minimum_volume.unwrap_or(config.minimum_volume),
        rules: rules(args, config)?,
        stale_after: duration_ms(
            "--stale-after",
            args.stale_after.as_deref().unwrap_or(&config.stale_after),
        )?,
    };
    let found = check(&request)?;
    let answer = match args.format {
        CheckFormat::Table => Answer::data(table::check(&found)),
        CheckFormat::Json => Answer::json(&found)?,
        CheckFormat::Nagios => Answer::data(nagios::check(&found)),
        CheckFormat::Prometheus => Answer::data(prometheus::check(&found, request.at)),
    };
    let mut notes = notes(&found);
    notes.extend(request.rules.idle(&request.cuts).into_iter().map(|rule| {
        format!(
            "note: the [[threshold]] for {rule} is not looked at, since nothing is cut by it\n  hint: `by` in the settings, or --by"
        )
    }));
    let answer = Answer { notes, exit_code: found.exit_code, ..answer };
    // whether or not people could be told, the exit code is that of the levels
    match alerts {
        Some(alerts) => alerts.tell(&found, answer),
        None => Ok(answer),
    }
}

fn thresholds(levels: Levels) -> Thresholds {
    Thresholds {
        warning: levels.warning,
        critical: levels.critical,
        minimum_count: levels.minimum_count,
    }
}

/// The thresholds of scopes; what they leave out is as for all others.
fn rules(args: &CheckArgs, config: &Config) -> anyhow::Result<Rules> {
    let minimum_volume = args.minimum_volume.unwrap_or(config.minimum_volume);
    let rules = config.threshold.iter().map(|one| {
        let others = if one.metric == "complaint_rate" { config.complaint } else { config.bounce };
        let limits = Limits {
            thresholds: Thresholds {
                warning: one.warning,
                critical: one.critical,
                minimum_count: one.minimum_count.unwrap_or(others.minimum_count),
            },
            minimum_volume: one.minimum_volume.unwrap_or(minimum_volume),
        };
        let scope = one.scope.iter().map(|(word, value)| (word.as_str(), value.as_str()));
        Rule::new(&one.metric, scope, limits)
    });
    Ok(Rules::new(rules.collect::<Result<_, _>>()?)?)
}
