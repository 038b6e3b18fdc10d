//! What a notice says to people, in a line: what, how bad, sure or not, how far it is from worse, what drives it, and
//! what to do.

use bouncewatch_schemas::event::Service;

use crate::alert::advance::{Change, Notice};
use crate::alert::message::{moment, worst_verdict};
use crate::alert::state::{DENOMINATOR, FEED, Peak, ScopeMap};
use crate::check::contribution::Contributor;
use crate::check::levels::Level;
use crate::check::{Check, Verdict};
use crate::report::table::{self, percent};
use crate::timeline::model::ACCOUNT_COLUMNS;

/// A part drives a rate that would without it be at most this share of what it is.
const DRIVER_RATE_MAX: f64 = 0.9;

/// The word for a change, as in the JSON.
pub(super) const fn change(change: Change) -> &'static str {
    match change {
        Change::Raised => "raised",
        Change::Worsened => "worsened",
        Change::Reminded => "reminded",
        Change::Cleared => "cleared",
        Change::Missed => "missed",
    }
}

/// A notice for a subject.
pub(super) fn subject(check: &Check, notice: &Notice) -> String {
    let scope = shown(&notice.alarm.key.scope);
    match notice.alarm.key.metric.as_str() {
        FEED if notice.alarm.level == Level::Ok => "events come again".to_owned(),
        FEED => "the feed of events is silent".to_owned(),
        DENOMINATOR if notice.alarm.level == Level::Ok => {
            format!("the rate is known again, {scope}")
        }
        DENOMINATOR => format!("the rate is not known, {scope}"),
        metric => match worst_verdict(check, notice) {
            Some(verdict) if verdict.rate.is_some() => format!(
                "{} {} ({} of {}) in {}, {scope}",
                table::words(metric),
                percent(verdict.rate),
                verdict.count,
                verdict.attempts.unwrap_or_default(),
                verdict.window
            ),
            _ => format!("{}: no mail, {scope}", table::words(metric)),
        },
    }
}

/// A notice in a line.
pub(super) fn line(check: &Check, notice: &Notice) -> String {
    let alarm = &notice.alarm;
    let still = if notice.change == Change::Reminded { "still " } else { "" };
    let mut parts = vec![format!("{}: {still}{}", alarm.level.as_upper(), subject(check, notice))];
    match (alarm.level, alarm.key.metric.as_str()) {
        (Level::Ok, _) => parts.extend(ended(notice)),
        (_, FEED) => parts.extend(feed(check)),
        (_, DENOMINATOR) => parts.push(
            "there are no events from which attempts could be counted: add Send (or Delivery) events to the event destination of the configuration set"
                .to_owned(),
        ),
        (level, _) => match worst_verdict(check, notice) {
            Some(verdict) => parts.extend(rate(verdict, level)),
            None => parts.push("nothing is known of it now".to_owned()),
        },
    }
    if notice.change == Change::Reminded {
        parts.push(format!("since {}", moment(alarm.raised_at)));
    }
    parts.join("; ")
}

fn rate(verdict: &Verdict, level: Level) -> Vec<String> {
    let of = if verdict.metric == "bounce_rate" { "bounces" } else { "complaints" };
    let (threshold, act) = match level {
        Level::Critical => (verdict.critical, "where SES may pause the account"),
        _ => (verdict.warning, "where SES reviews the account"),
    };
    let mut parts = Vec::new();
    if verdict.level >= level {
        parts.push(format!("at or over {}, {act}", percent(Some(threshold))));
    } else {
        // the level stays for a while when a rate falls
        parts.push(format!("it was at or over {}, {act}", percent(Some(threshold))));
    }
    if let Some([low, high]) = verdict.interval {
        let how = if low > threshold { "sure" } else { "near the threshold" };
        parts.push(format!(
            "{how}: 95 % interval {} to {}",
            percent(Some(low)),
            percent(Some(high))
        ));
    }
    if let Some(room) = verdict.headroom {
        parts.push(match room.critical {
            0 => format!("no head-room: {} is reached", percent(Some(verdict.critical))),
            more => format!("{more} more {of} until {}", percent(Some(verdict.critical))),
        });
    }
    if let Some(at) = &verdict.crosses_critical_at {
        parts.push(format!("at the pace of now critical at {at}"));
    }
    if let Some(part) = driver(verdict) {
        parts.push(format!(
            "driven by {} {}: {} of {} {of}, without it {}",
            word(&part.by),
            part.value.as_deref().unwrap_or("-"),
            part.count,
            verdict.count,
            percent(part.rate_without)
        ));
    }
    let causes = verdict.contributors.iter().filter(|part| part.is_cause());
    if let Some(part) =
        causes.max_by_key(|part| part.count).filter(|part| 2 * part.count >= verdict.count)
        && let Some(cause) = &part.value
    {
        parts.push(format!(
            "mostly {}: {} of {} {of} (`bouncewatch causes` tells what to do)",
            table::words(cause),
            part.count,
            verdict.count
        ));
    }
    parts.push(advice(verdict));
    parts
}

/// The part of a scope that drives its rate: the one without which it would be lowest, if that is much lower. The part
/// with most bounces is often just the one that gets most mail.
fn driver(verdict: &Verdict) -> Option<&Contributor> {
    let rate = verdict.rate?;
    let without = |part: &Contributor| part.rate_without.unwrap_or(rate);
    let parts = verdict.contributors.iter().filter(|part| part.value.is_some() && !part.is_cause());
    parts
        .min_by(|a, b| without(a).total_cmp(&without(b)))
        .filter(|part| without(part) <= rate * DRIVER_RATE_MAX)
}

fn advice(verdict: &Verdict) -> String {
    let driver = driver(verdict).and_then(|part| Some((part.by.as_str(), part.value.as_deref()?)));
    let is_recipient = |by: &str| matches!(by, "recipient_domain" | "provider");
    match (verdict.metric, driver) {
        ("bounce_rate", Some((by, value))) if is_recipient(by) => format!(
            "to do: hold back mail to {value}, and check the list that it came from (`bouncewatch report --by tag:campaign`)"
        ),
        ("bounce_rate", Some((by, value))) => format!(
            "to do: hold back the mail of {} {value}, and check its list of addresses (`bouncewatch report --by recipient_domain`)",
            word(by)
        ),
        (_, Some((by, value))) if !is_recipient(by) => {
            format!("to do: stop the mail of {} {value}, which draws the complaints", word(by))
        }
        ("bounce_rate", None) => {
            "to do: find the campaign or list that bounces, and hold it back (`bouncewatch report --by tag:campaign`)"
                .to_owned()
        }
        _ => "to do: find the campaign that draws complaints, and stop it (`bouncewatch report --by tag:campaign`)"
            .to_owned(),
    }
}

/// A word of a cut as people say it.
fn word(by: &str) -> String {
    table::words(by.trim_start_matches("tag:"))
}

fn feed(check: &Check) -> Vec<String> {
    let since = match &check.feed.newest_event_at {
        Some(newest) => format!("no event since {newest}"),
        None => "the store holds no event".to_owned(),
    };
    let look = match check.service {
        Service::Ses => "do the topics still have their subscriptions?",
        Service::WorkMail => "does the organisation still log its mail events?",
    };
    vec![
        since,
        format!("to do: is the consumer running, and {look} No rate can be trusted until then"),
    ]
}

/// How an alarm was that is over.
fn ended(notice: &Notice) -> Vec<String> {
    let alarm = &notice.alarm;
    let until = alarm.cleared_at.unwrap_or(alarm.since);
    let peak = alarm.peak.as_ref().map_or_else(String::new, |peak| format!(", {}", highest(peak)));
    let mut parts = vec![format!(
        "it was {} from {} to {}{peak}",
        alarm.worst.as_upper(),
        moment(alarm.raised_at),
        moment(until)
    )];
    if notice.change == Change::Missed {
        parts.push("nobody could be told while it lasted".to_owned());
    }
    parts
}

fn highest(peak: &Peak) -> String {
    format!(
        "{} at most ({} of {} in {})",
        percent(Some(peak.rate)),
        peak.count,
        peak.attempts,
        peak.window
    )
}

/// Account and region first, then the other words.
fn shown(scope: &ScopeMap) -> String {
    let value = |word: &str| scope.get(word).cloned().flatten().unwrap_or_else(|| "-".to_owned());
    let own =
        ACCOUNT_COLUMNS.iter().filter(|word| scope.contains_key(**word)).map(|word| value(word));
    let others = scope.keys().filter(|word| !ACCOUNT_COLUMNS.contains(&word.as_str()));
    own.chain(others.map(|word| format!("{word}={}", value(word)))).collect::<Vec<_>>().join(" ")
}
