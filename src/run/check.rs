//! `bouncewatch check`

use bouncewatch_analyze::alert::{Message, message, sns};
use bouncewatch_analyze::check::{Check, Request, check};
use bouncewatch_analyze::levels::Thresholds;
use bouncewatch_analyze::report::table;

use super::{Answer, analyzed_folder, block_on, cuts, duration_ms, own_domains, time_ms, windows};
use crate::cli::{CheckArgs, CheckFormat};
use crate::config::{Config, Levels};

pub(super) fn run(args: &CheckArgs, config: &Config, now: i64) -> anyhow::Result<Answer> {
    let typed = if args.window.is_empty() { &config.windows } else { &args.window };
    let thresholds =
        |levels: Levels| Thresholds { warning: levels.warning, critical: levels.critical };
    let request = Request {
        store: analyzed_folder(&args.store, &args.cache, config)?,
        at: time_ms("--at", args.at.as_deref())?.unwrap_or(now),
        windows: windows(typed)?,
        cuts: cuts(&args.by)?,
        own_domains: own_domains(config, &args.own_domain)?,
        bounce: thresholds(config.bounce),
        complaint: thresholds(config.complaint),
        minimum_volume: args.minimum_volume.unwrap_or(config.minimum_volume),
        stale_after: duration_ms(
            "--stale-after",
            args.stale_after.as_deref().unwrap_or(&config.stale_after),
        )?,
    };
    let found = check(&request)?;
    let answer = match args.format {
        CheckFormat::Table => Answer::data(table::check(&found)),
        CheckFormat::Json => Answer::json(&found)?,
    };
    let mut notes = notes(&found);
    if let Some(topic) = &args.alert_sns
        && let Some(message) = message(&found)?
    {
        // whether or not people could be told, the exit code tells
        notes.extend(
            publish(topic, args.store.endpoint_url.as_deref(), &message)
                .err()
                .map(|error| format!("error: {error:#}")),
        );
    }
    Ok(Answer { notes, exit_code: found.exit_code, ..answer })
}

fn publish(topic: &str, endpoint_url: Option<&str>, message: &Message) -> anyhow::Result<()> {
    block_on(async { Ok(sns::publish(topic, endpoint_url, message).await?) })
}

/// Why something is unknown, and the way out.
fn notes(check: &Check) -> Vec<String> {
    let mut notes = Vec::new();
    if check.verdicts.iter().any(|verdict| verdict.denominator.is_none()) {
        notes.push(
            "unknown: there are no Send and no Delivery events, so nobody knows how many mails the bounces are out of\n  \
             hint: add SEND (or at least DELIVERY) to the event destination of the configuration set, or switch on \
             delivery notifications of the identity; from then on the rate is known"
                .to_owned(),
        );
    }
    if check
        .verdicts
        .iter()
        .any(|verdict| verdict.denominator.is_some() && verdict.rate.is_none() && verdict.count > 0)
    {
        notes.push("note: a window holds bounces or complaints but no attempts; a longer window tells more".to_owned());
    }
    match &check.feed.newest_event_at {
        None => notes.push("unknown: the store holds no event of SES up to this moment".to_owned()),
        Some(newest) if check.feed.stale => notes.push(format!(
            "unknown: the feed is silent since {newest}\n  hint: is the consumer running, and do the topics still have their subscriptions? \
             SES drops a topic to which it cannot publish; --stale-after sets how long silence is ordinary"
        )),
        Some(_) => {}
    }
    if check.feed.missing.contains(&"bounce") {
        notes.push(
            "note: not one bounce beside many sends: are bounce events published to this queue?"
                .to_owned(),
        );
    }
    notes
}
