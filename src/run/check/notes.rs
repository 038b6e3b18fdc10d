//! Notes of a check: why a status is unknown, and how to fix it.

use std::collections::{BTreeMap, BTreeSet};

use bouncewatch_analyze::check::level::AlertLevel;
use bouncewatch_analyze::check::{CheckReport, Verdict};
use bouncewatch_analyze::report::text::utc_second;
use bouncewatch_schemas::event::Service;

use crate::run::arguments::not_counted_hint;

/// Returns the notes of a check. Events before `counted_from` do not count.
pub(super) fn notes(check: &CheckReport, counted_from: Option<i64>) -> Vec<String> {
    let mut notes = Vec::new();
    let of_accounts = || check.verdicts.iter().filter(|verdict| verdict.scope.is_account());
    if of_accounts().any(|verdict| verdict.denominator.is_none()) {
        notes.push(no_denominator(check.service).to_owned());
    }
    let is_late = |verdict: &Verdict| {
        verdict.denominator.is_some() && verdict.rate.is_none() && verdict.count > 0
    };
    if of_accounts().any(is_late) {
        notes.push(
            "note: bounces or complaints but no sends in a window (late feedback); use a longer window"
                .to_owned(),
        );
    }
    let has_no_sends = |verdict: &&Verdict| {
        !verdict.scope.is_account() && verdict.rate.is_none() && verdict.count > 0
    };
    let groups: BTreeSet<String> = check
        .verdicts
        .iter()
        .filter(has_no_sends)
        .map(|verdict| verdict.scope.to_string())
        .collect();
    if !groups.is_empty() {
        notes.push(format!(
            "note: {} groups have bounces or complaints but no sends, so their rates are unknown; they do not \
             change the status",
            groups.len()
        ));
    }
    if let Some(status) = check.sending.disabled().next() {
        let (scope, remedy) = (&status.scope, status.remedy());
        notes.push(format!("critical: SES does not allow sending, {scope}\n  hint: {remedy}"));
    }
    match &check.feed.newest_event_at {
        None => notes.push(no_events(check)),
        Some(newest) if check.feed.stale => notes.push(stale_feed(check.service, newest)),
        Some(newest) if check.verdicts.is_empty() => {
            notes.push(no_counted_events(newest, counted_from));
        }
        Some(_) => {}
    }
    if check.feed.missing.contains(&"bounce") {
        notes.push(
            "note: many sends and no bounce\n  hint: check that bounce events are published to this queue"
                .to_owned(),
        );
    }
    if !check.feed.sends_without_outcome.is_empty() {
        notes.push(
            "note: many more sends without delivery or bounce than before; they lower the rates\n  \
             hint: check that Delivery and Bounce events arrive, and that only SES can send to the topic and the queue"
                .to_owned(),
        );
    }
    notes.extend(incoming_bounces(check));
    notes
}

/// Returns notes that explain the table.
pub(super) fn table_notes(check: &CheckReport) -> Vec<String> {
    low_volume(check).into_iter().chain(short_volume_windows(check)).collect()
}

/// Returns a note if rates are at or above a threshold, but not significant.
fn low_volume(check: &CheckReport) -> Option<String> {
    let is_low_volume = |verdict: &&Verdict| {
        verdict.level == AlertLevel::Ok && verdict.rate.is_some_and(|rate| rate >= verdict.warning)
    };
    match check.verdicts.iter().filter(is_low_volume).count() {
        0 => None,
        1 => Some(
            "note: low volume: a rate is at or above the threshold, but not significant".into(),
        ),
        rates => Some(format!(
            "note: low volume: {rates} rates are at or above the threshold, but not significant"
        )),
    }
}

/// Returns a note per account and volume window that holds fewer attempts than its name states.
fn short_volume_windows(check: &CheckReport) -> Vec<String> {
    let note = |verdict: &Verdict| {
        let wanted: u64 = verdict.window.strip_prefix("volume:")?.parse().ok()?;
        let attempts = verdict.attempts.filter(|attempts| (1..wanted).contains(attempts))?;
        let (window, scope) = (&verdict.window, &verdict.scope);
        Some(format!("note: {window} holds {attempts} attempts, {scope}; the store has no more"))
    };
    let accounts = check.verdicts.iter().filter(|verdict| verdict.scope.is_account());
    let mut notes: Vec<String> = accounts.filter_map(note).collect();
    // bounce and complaint rate have the same attempts
    notes.dedup();
    notes
}

fn no_denominator(service: Service) -> &'static str {
    match service {
        Service::Ses => {
            "unknown: no Send or Delivery events, so the number of attempts is unknown\n  \
             hint: add SEND (or at least DELIVERY) to the event destination of the configuration set, or enable \
             delivery notifications of the identity. For earlier mail, import send counts: `bouncewatch ingest \
             ses-statistics:REGION` or `bouncewatch ingest FILE.csv`"
        }
        Service::WorkMail => {
            "unknown: no OUTGOING_EMAIL_SENT events, so the number of recipients is unknown\n  \
             hint: subscription filters and queries that select only bounces omit them. Ingest the log group \
             (cloudwatch-logs:GROUP) or its complete export"
        }
    }
}

fn no_events(check: &CheckReport) -> String {
    match (check.service, check.other_service) {
        (Service::Ses, None) => "unknown: no SES events up to this time\n  \
             hint: ingest events with `bouncewatch ingest SOURCE`; `bouncewatch store stats` prints the first and last day"
            .to_owned(),
        (Service::Ses, Some(_)) => "unknown: only WorkMail events, no SES events up to this time\n  \
             hint: use --service workmail for the rates of WorkMail"
            .to_owned(),
        (Service::WorkMail, None) => "unknown: no WorkMail events up to this time\n  \
             hint: ingest the log group of the organisation: `bouncewatch ingest cloudwatch-logs:GROUP`"
            .to_owned(),
        (Service::WorkMail, Some(_)) => {
            "unknown: only SES events, no WorkMail events up to this time\n  \
             hint: omit --service workmail for the rates of SES"
                .to_owned()
        }
    }
}

/// Returns why no scope is evaluated although the feed has events.
fn no_counted_events(newest: &str, counted_from: Option<i64>) -> String {
    let hint = not_counted_hint(counted_from)
        .unwrap_or_else(|| "\n  hint: use a longer window with --window".to_owned());
    format!(
        "unknown: no event counts in any window; the newest event is of {}{hint}",
        utc_second(newest)
    )
}

fn stale_feed(service: Service, newest: &str) -> String {
    let checks = match service {
        Service::Ses => {
            "check that the consumer is running and that the SNS topics have their subscriptions \
             (SES removes a topic subscription it cannot publish to)"
        }
        Service::WorkMail => {
            "check that the consumer is running and that the organisation logs its email events"
        }
    };
    format!(
        "feed is stale: newest event {}\n  hint: {checks}; --stale-after sets the limit",
        utc_second(newest)
    )
}

/// Returns a note per account on bounces of incoming mail, which no rate includes: the window with the most.
fn incoming_bounces(check: &CheckReport) -> Vec<String> {
    let mut most: BTreeMap<String, (u64, &str)> = BTreeMap::new();
    for verdict in check.verdicts.iter().filter(|verdict| verdict.scope.is_account()) {
        let count = verdict.incoming_bounces.unwrap_or_default();
        let largest = most.entry(verdict.scope.to_string()).or_default();
        if count > largest.0 {
            *largest = (count, &verdict.window);
        }
    }
    let nonzero = most.iter().filter(|(_, (count, _))| *count > 0);
    nonzero
        .map(|(scope, (count, window))| {
            format!(
                "note: {count} bounces of incoming mail in {window}, {scope} (mail to your organisation, often full mailboxes); not part of any rate"
            )
        })
        .collect()
}
