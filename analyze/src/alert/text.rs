//! Text of notifications: the subject, then one fact per line: threshold, significance, headroom, projection, main
//! contributor, main cause and next action.

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::format_ms;

use crate::alert::evaluation::scope_map;
use crate::alert::notification::{AlertChange, Notification};
use crate::alert::state::{BRAKE, DENOMINATOR, FEED, Peak, SENDING, ScopeMap};
use crate::alert::timestamp::Timestamp;
use crate::alert::verdicts::VerdictIndex;
use crate::brake::report::BrakeReport;
use crate::check::contribution::Contributor;
use crate::check::level::AlertLevel;
use crate::check::{CheckReport, Verdict};
use crate::report::text::{humanize, percent, utc_minute};
use crate::timeline::{ACCOUNT_COLUMNS, NO_VALUE};

/// A part is the main contributor only if the rate excluding it is at most this share of the rate.
const MAIN_CONTRIBUTOR_RATE_MAX: f64 = 0.9;

/// Returns `LEVEL: ` or `LEVEL (reminder): `.
pub(super) fn level_prefix(notification: &Notification) -> String {
    let reminder = if notification.change == AlertChange::Reminded { " (reminder)" } else { "" };
    format!("{}{reminder}: ", notification.alert.level.as_upper())
}

/// Returns the problem, or the end of the problem, without the level.
pub(super) fn subject(verdicts: &VerdictIndex<'_>, notification: &Notification) -> String {
    let alert = &notification.alert;
    let scope = scope_text(&alert.key.scope);
    let is_cleared = alert.level == AlertLevel::Ok;
    match alert.key.metric.as_str() {
        FEED if is_cleared => "feed recovered".to_owned(),
        FEED => "feed is stale".to_owned(),
        SENDING if is_cleared => format!("sending is allowed again, {scope}"),
        SENDING => format!("SES does not allow sending, {scope}"),
        BRAKE if is_cleared => format!("the brake no longer pauses sending, {scope}"),
        BRAKE if verdicts.check.brake.as_ref().is_some_and(BrakeReport::is_paused) => {
            format!("the brake paused sending, {scope}")
        }
        BRAKE => format!("the brake failed, {scope}"),
        DENOMINATOR if is_cleared => format!("denominator known again, {scope}"),
        DENOMINATOR => format!("rate unknown, no denominator, {scope}"),
        metric => match verdicts.worst(notification) {
            // low volume: the rate is not significant, and can be higher than the peak
            Some(verdict) if is_cleared && is_low_volume(verdict) => format!(
                "{} no longer significant ({} of {}) in {}, {scope}",
                humanize(metric),
                verdict.count,
                verdict.attempts.unwrap_or_default(),
                verdict.window
            ),
            Some(verdict) if verdict.rate.is_some() => format!(
                "{} {} ({} of {}) in {}, {scope}",
                humanize(metric),
                percent(verdict.rate),
                verdict.count,
                verdict.attempts.unwrap_or_default(),
                verdict.window
            ),
            _ => format!("{}: no attempts, {scope}", humanize(metric)),
        },
    }
}

/// Returns the text that replaces the facts of an alert if `broad`, listed above it, counts the
/// same mail.
pub(super) fn same_mail(broad: &Notification) -> String {
    format!("the same mail as in the alert of {} above", scope_text(&broad.alert.key.scope))
}

/// Returns true if a rate is at or above the warning threshold, but has too few attempts to reach the level.
fn is_low_volume(verdict: &Verdict) -> bool {
    verdict.level == AlertLevel::Ok && verdict.rate.is_some_and(|rate| rate >= verdict.warning)
}

/// Returns the facts about a notification that its subject does not contain, one per line. `arguments` are appended to
/// the commands in them.
pub(super) fn facts(
    verdicts: &VerdictIndex<'_>,
    notification: &Notification,
    arguments: &str,
) -> Vec<String> {
    let check = verdicts.check;
    let alert = &notification.alert;
    let mut facts = match (alert.level, alert.key.metric.as_str()) {
        (AlertLevel::Ok, _) => cleared_facts(notification),
        (_, FEED) => stale_feed_facts(check),
        (_, SENDING) => sending_disabled_facts(check, &alert.key.scope),
        (_, BRAKE) => check.brake.iter().flat_map(brake_facts).collect(),
        (_, DENOMINATOR) => no_denominator_facts(check.service).map(str::to_owned).to_vec(),
        (level, _) => match verdicts.worst(notification) {
            Some(verdict) => rate_facts(check.service, verdict, level, arguments),
            None => vec!["no current events".to_owned()],
        },
    };
    if notification.change == AlertChange::Reminded {
        facts.push(format!("raised {}", time(alert.raised_at)));
    }
    facts
}

/// Formats a time: `2026-11-20 00:00 UTC`.
fn time(time: Timestamp) -> String {
    utc_minute(&format_ms(time.0))
}

/// Facts about a rate at or above a threshold. `level` is the level of the alert, which falls later
/// than that of the rate.
fn rate_facts(
    service: Service,
    verdict: &Verdict,
    level: AlertLevel,
    arguments: &str,
) -> Vec<String> {
    let noun = if verdict.metric == "bounce_rate" { "bounces" } else { "complaints" };
    let (name, threshold, consequence) = match level {
        AlertLevel::Critical => ("critical", verdict.critical, "SES may pause sending"),
        _ => ("warning", verdict.warning, "SES reviews the account"),
    };
    let consequence = match service {
        Service::Ses => format!(" ({consequence})"),
        Service::WorkMail => String::new(),
    };
    let was = if verdict.level >= level { "" } else { "was " };
    let mut parts = vec![format!(
        "{was}at or above the {name} threshold of {}{consequence}",
        percent(Some(threshold))
    )];
    if let Some([low, high]) = verdict.interval {
        let interval = format!("95 % CI {} to {}", percent(Some(low)), percent(Some(high)));
        parts.push(if low > threshold {
            format!("significant ({interval})")
        } else if high >= threshold {
            format!("borderline ({interval} includes the threshold)")
        } else {
            interval
        });
    }
    if let Some(headroom) = verdict.headroom {
        let critical = percent(Some(verdict.critical));
        parts.push(match headroom.critical {
            0 => format!("headroom: none, {critical} is reached"),
            more => format!("headroom: {more} more {noun} reach {critical}"),
        });
    }
    if let Some(at) = &verdict.crosses_critical_at {
        parts.push(format!("projected to reach critical at {}", utc_minute(at)));
    }
    if let Some(part) = main_contributor(verdict) {
        parts.push(format!(
            "main contributor: {} {}, {} of {} {noun} (rate excluding it: {})",
            dimension(&part.by),
            part.value.as_deref().unwrap_or(NO_VALUE),
            part.count,
            verdict.count,
            percent(part.rate_without)
        ));
    }
    if let Some((cause, count)) = main_cause(verdict) {
        parts.push(format!(
            "main cause: {}, {count} of {} {noun} (see `bouncewatch causes{arguments}`)",
            humanize(cause),
            verdict.count
        ));
    }
    let of_service = if service == Service::WorkMail { " --service workmail" } else { "" };
    parts.push(format!("next: {}", next_action(verdict, &format!("{of_service}{arguments}"))));
    parts
}

/// Returns the part with the lowest `rate_without`, if that is clearly lower than the rate. The
/// number of bounces does not decide: it is often highest for the part with the most mail.
fn main_contributor(verdict: &Verdict) -> Option<&Contributor> {
    let rate = verdict.rate?;
    let rate_without = |part: &Contributor| part.rate_without.unwrap_or(rate);
    let parts = verdict.contributors.iter().filter(|part| part.value.is_some() && !part.is_cause());
    parts
        .min_by(|a, b| rate_without(a).total_cmp(&rate_without(b)))
        .filter(|part| rate_without(part) <= rate * MAIN_CONTRIBUTOR_RATE_MAX)
}

/// Returns the cause of at least half of the count, with its count.
fn main_cause(verdict: &Verdict) -> Option<(&str, u64)> {
    let causes = verdict.contributors.iter().filter(|part| part.is_cause());
    let main = causes.max_by_key(|part| part.count)?;
    (2 * main.count >= verdict.count).then_some((main.value.as_deref()?, main.count))
}

fn next_action(verdict: &Verdict, arguments: &str) -> String {
    let part =
        main_contributor(verdict).and_then(|part| Some((part.by.as_str(), part.value.as_deref()?)));
    let is_recipient = |by: &str| matches!(by, "recipient_domain" | "provider");
    match (verdict.metric, part) {
        ("bounce_rate", Some((by, value))) if is_recipient(by) => format!(
            "pause mail to {value} and check the source of these addresses (`bouncewatch report --by tag:campaign{arguments}`)"
        ),
        ("bounce_rate", Some((by, value))) => format!(
            "pause mail of {} {value} and check its recipient list (`bouncewatch report --by recipient_domain{arguments}`)",
            dimension(by)
        ),
        (_, Some((by, value))) if !is_recipient(by) => {
            format!("pause mail of {} {value}, which gets the complaints", dimension(by))
        }
        ("bounce_rate", None) => format!(
            "find and pause the campaign or list with the most bounces (`bouncewatch report --by tag:campaign{arguments}`)"
        ),
        _ => format!(
            "find and pause the campaign with the most complaints (`bouncewatch report --by tag:campaign{arguments}`)"
        ),
    }
}

/// Returns a dimension as text: `recipient domain`, `campaign`.
fn dimension(by: &str) -> String {
    humanize(by.trim_start_matches("tag:"))
}

const fn no_denominator_facts(service: Service) -> [&'static str; 2] {
    match service {
        Service::Ses => [
            "no Send or Delivery events to count attempts from",
            "next: add SEND (or at least DELIVERY) to the event destination of the configuration set",
        ],
        Service::WorkMail => [
            "no OUTGOING_EMAIL_SENT events to count attempts from",
            "next: ingest the log group itself or its complete export",
        ],
    }
}

fn stale_feed_facts(check: &CheckReport) -> Vec<String> {
    let newest = match &check.feed.newest_event_at {
        Some(newest) => format!("no event since {}", utc_minute(newest)),
        None => "the store contains no events".to_owned(),
    };
    let source = match check.service {
        Service::Ses => "the SNS topics have their subscriptions",
        Service::WorkMail => "the organization logs its mail events",
    };
    vec![
        newest,
        format!(
            "next: check that the consumer runs and that {source}; rates are not reliable until then"
        ),
    ]
}

/// Start and reason of a state in which SES does not allow a part of the account to send.
fn sending_disabled_facts(check: &CheckReport, scope: &ScopeMap) -> Vec<String> {
    let mut statuses = check.sending.disabled();
    let Some(status) = statuses.find(|one| scope_map(&one.scope) == *scope) else {
        return vec!["no current status".to_owned()];
    };
    let mut facts = vec![format!("since {}", utc_minute(&status.since))];
    facts.extend(status.changed_by_text().map(|party| format!("changed by: {party}")));
    facts.extend(status.reason.as_ref().map(|reason| format!("reason: {reason}")));
    facts.push(format!("next: {}", status.remedy()));
    facts
}

/// Start and cause of a pause by the brake, and the command to resume.
fn brake_facts(brake: &BrakeReport) -> Vec<String> {
    let mut facts = vec![brake.text()];
    facts.extend(brake.why.as_ref().filter(|_| brake.failed).map(|why| format!("failed: {why}")));
    if brake.is_paused() {
        facts.push("mail is refused, not queued".to_owned());
        facts.push(format!(
            "next: stop the mail that caused it, then allow sending again: `{}`",
            brake.release_command
        ));
    }
    facts
}

/// Level, duration and peak of a cleared alert.
fn cleared_facts(notification: &Notification) -> Vec<String> {
    let alert = &notification.alert;
    let mut parts = vec![format!(
        "was {} from {} to {}",
        alert.worst.as_upper(),
        time(alert.raised_at),
        time(alert.cleared_at.unwrap_or(alert.since))
    )];
    parts.extend(alert.peak.as_ref().map(peak));
    if notification.change == AlertChange::Missed {
        parts.push("no notification was delivered in that time".to_owned());
    }
    parts
}

fn peak(peak: &Peak) -> String {
    format!(
        "peak {} ({} of {} in {})",
        percent(Some(peak.rate)),
        peak.count,
        peak.attempts,
        peak.window
    )
}

/// Returns the values of account and region, then the other dimensions with their values.
fn scope_text(scope: &ScopeMap) -> String {
    let value =
        |name: &str| scope.get(name).cloned().flatten().unwrap_or_else(|| NO_VALUE.to_owned());
    let account =
        ACCOUNT_COLUMNS.iter().filter(|name| scope.contains_key(**name)).map(|name| value(name));
    let others = scope.keys().filter(|name| !ACCOUNT_COLUMNS.contains(&name.as_str()));
    account
        .chain(others.map(|name| format!("{name}={}", value(name))))
        .collect::<Vec<_>>()
        .join(" ")
}
