//! Feed health: time since the newest event, and event types that are missing.

use std::collections::BTreeMap;

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::format_ms;
use bouncewatch_store::StoreFiles;
use serde::Serialize;

use crate::check::confidence::rate;
use crate::check::request::CheckRequest;
use crate::check::trend;
use crate::error::AnalyzeError;
use crate::scan::{StoreScan, Timelines};
use crate::timeline::{Grouping, Outcome, Scope, Timeline, Window};

/// Minimum number of sends for which zero bounces suggest that bounces are not published.
const SENDS_WITHOUT_BOUNCE: u64 = 1_000;
/// Minimum number of sends without an outcome for which a jump is reported.
const WITHOUT_OUTCOME_MIN: u64 = 200;
/// Minimum increase of the share of sends without an outcome that is a jump. Most deliveries arrive
/// within seconds of the send.
const SHARE_JUMP_MIN: f64 = 0.2;

/// Health of the event feed.
#[derive(Debug, Clone, Serialize)]
pub struct FeedHealth {
    /// Time of the newest event, RFC 3339.
    pub newest_event_at: Option<String>,
    /// Seconds from the newest event to the time of the check.
    pub silent_seconds: Option<i64>,
    /// True if no event is newer than `stale_after`.
    pub stale: bool,
    /// Event types that are expected but absent: `send`, `delivery`, `bounce`.
    pub missing: Vec<&'static str>,
    /// Windows with many more sends without an outcome than before; omitted if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sends_without_outcome: Vec<SendsWithoutOutcome>,
}

/// A window with many sends that have neither a delivery nor another outcome: deliveries are missing, or Send events are
/// forged. Such sends lower the rates.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SendsWithoutOutcome {
    /// Account and region.
    pub scope: Scope,
    /// The window.
    pub window: String,
    /// Sends in the window.
    pub sends: u64,
    /// Sends among them without an outcome.
    pub without_outcome: u64,
    /// The share of these sends.
    pub share: f64,
    /// The share in the previous period.
    pub share_before: f64,
}

/// Returns the time of the newest event of a service at or before `at`, epoch milliseconds.
///
/// # Errors
/// If the store does not exist or cannot be read.
pub fn newest_event(
    store: &StoreFiles,
    service: Service,
    at: i64,
) -> Result<Option<i64>, AnalyzeError> {
    StoreScan::run(store, service, &[], |scan| scan.newest_event(service, at))
}

/// Returns the health of the feed. `accounts` are the timelines of accounts and regions.
pub(super) fn feed_health(
    request: &CheckRequest,
    scan: &StoreScan,
    accounts: Option<&Timelines>,
) -> Result<FeedHealth, AnalyzeError> {
    let newest = scan.newest_event(scan.service(), request.at)?;
    Ok(FeedHealth {
        missing: missing_event_types(scan.service(), accounts),
        sends_without_outcome: sends_without_outcome(&request.windows, request.at, accounts),
        ..FeedHealth::of_newest(newest, request)
    })
}

impl FeedHealth {
    /// Returns the health of a feed by its newest event only, without missing event types.
    pub(crate) fn of_newest(newest: Option<i64>, request: &CheckRequest) -> Self {
        let silent_ms = newest.map(|newest| request.at - newest);
        Self {
            newest_event_at: newest.map(format_ms),
            silent_seconds: silent_ms.map(|ms| ms / 1_000),
            stale: silent_ms.is_none_or(|ms| ms > request.stale_after),
            missing: Vec::new(),
            sends_without_outcome: Vec::new(),
        }
    }
}

/// Returns the windows of accounts in which the share of sends without an outcome jumped. Only accounts with deliveries
/// in both periods are compared: others do not publish Delivery events.
fn sends_without_outcome(
    windows: &[Window],
    to: i64,
    accounts: Option<&Timelines>,
) -> Vec<SendsWithoutOutcome> {
    let mut found = Vec::new();
    for (values, timeline) in accounts.into_iter().flatten() {
        for window in windows {
            let Some((after, before)) = trend::with_previous_start(window, to) else {
                continue;
            };
            let (sends, without_outcome) = without_outcome(timeline, after, to);
            let (Some(share), Some(share_before)) = (
                share_without_outcome(timeline, after, to),
                share_without_outcome(timeline, before, after),
            ) else {
                continue;
            };
            if without_outcome >= WITHOUT_OUTCOME_MIN && share - share_before >= SHARE_JUMP_MIN {
                let scope = Scope::new(&Grouping::account(), values);
                let window = window.to_string();
                found.push(SendsWithoutOutcome {
                    scope,
                    window,
                    sends,
                    without_outcome,
                    share,
                    share_before,
                });
            }
        }
    }
    found
}

/// Returns the number of sends in `(after, to]`, and the number of those without a delivery, delay,
/// rejection, rendering failure or final bounce.
fn without_outcome(timeline: &Timeline, after: i64, to: i64) -> (u64, u64) {
    let count = |outcome: &Outcome| timeline.of(*outcome).between(after, to);
    let others = [Outcome::Delivery, Outcome::Delay, Outcome::Reject, Outcome::RenderingFailure];
    let outcomes: u64 = others.iter().chain(&Outcome::FINAL_BOUNCES).map(count).sum();
    let sends = count(&Outcome::Send);
    (sends, sends.saturating_sub(outcomes))
}

/// Share of sends without an outcome; `None` without deliveries.
fn share_without_outcome(timeline: &Timeline, after: i64, to: i64) -> Option<f64> {
    if timeline.of(Outcome::Delivery).between(after, to) == 0 {
        return None;
    }
    let (sends, without_outcome) = without_outcome(timeline, after, to);
    rate(without_outcome, sends)
}

fn missing_event_types(service: Service, accounts: Option<&Timelines>) -> Vec<&'static str> {
    let count = |outcomes: &[Outcome]| -> u64 {
        let timelines = accounts.into_iter().flat_map(BTreeMap::values);
        timelines
            .flat_map(|timeline| outcomes.iter().map(|outcome| timeline.of(*outcome).number()))
            .sum()
    };
    let bounces = count(&Outcome::FINAL_BOUNCES);
    let (sends, deliveries) = (count(&[Outcome::Send]), count(&[Outcome::Delivery]));
    let mut missing = Vec::new();
    if sends == 0 && bounces + deliveries > 0 {
        missing.push("send");
    }
    // WorkMail logs no deliveries, and logs sends and bounces in the same log group
    if service == Service::Ses {
        if deliveries == 0 && bounces + sends > 0 {
            missing.push("delivery");
        }
        if bounces == 0 && sends >= SENDS_WITHOUT_BOUNCE {
            missing.push("bounce");
        }
    }
    missing
}

/// Returns `service` if the store contains any event of it up to `at`.
pub(super) fn service_with_events(
    scan: &StoreScan,
    service: Service,
    at: i64,
) -> Result<Option<Service>, AnalyzeError> {
    Ok(scan.newest_event(service, at)?.map(|_| service))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Service, numbers of events, and missing types.
    type Case<'c> = (Service, &'c [(Outcome, i64)], &'c [&'c str]);

    #[test]
    fn expected_event_types_without_events_are_missing() {
        use Outcome::{Delivery, Hard, Send, Soft};

        let (ses, workmail) = (Service::Ses, Service::WorkMail);
        let cases: [Case<'_>; 10] = [
            (ses, &[], &[]),
            (ses, &[(Send, 10), (Delivery, 9)], &[]),
            (ses, &[(Delivery, 9)], &["send"]),
            (ses, &[(Soft, 1)], &["send", "delivery"]),
            (ses, &[(Send, 10), (Soft, 1)], &["delivery"]),
            (ses, &[(Send, 10)], &["delivery"]),
            (ses, &[(Send, 999), (Delivery, 9)], &[]),
            (ses, &[(Send, 1_000), (Delivery, 9)], &["bounce"]),
            (ses, &[(Send, 1_000), (Delivery, 9), (Soft, 1)], &[]),
            (workmail, &[(Send, 1_000), (Hard, 1)], &[]),
        ];
        for (service, counts, expected) in cases {
            let mut timeline = Timeline::new(service);
            for (outcome, count) in counts {
                timeline.times.insert(*outcome, (0..*count).collect());
            }
            let accounts = Timelines::from([(vec![None, None], timeline)]);
            assert_eq!(missing_event_types(service, Some(&accounts)), expected, "{counts:?}");
        }
    }

    const HOUR_MS: i64 = 3_600_000;

    /// An account with sends and deliveries in the previous hour and in the last one.
    fn account(before: [i64; 2], now: [i64; 2]) -> Timelines {
        let mut timeline = Timeline::new(Service::Ses);
        for (at, outcome) in [Outcome::Send, Outcome::Delivery].into_iter().enumerate() {
            let times = (1..=before[at]).chain(HOUR_MS + 1..=HOUR_MS + now[at]);
            timeline.times.insert(outcome, times.collect());
        }
        Timelines::from([(vec![Some("1".to_owned()), Some("r".to_owned())], timeline)])
    }

    #[test]
    fn jump_of_sends_without_outcome_is_reported() {
        let windows = ["1h".parse().unwrap()];
        for (before, now, expected) in [
            // forged sends
            ([1_000, 980], [9_000, 980], Some(8_020)),
            ([1_000, 980], [1_000, 780], Some(220)),
            // exactly at both limits, and below one of them
            ([1_000, 1_000], [1_000, 800], Some(200)),
            ([1_000, 1_000], [1_001, 801], None),
            ([100, 100], [399, 200], None),
            // the same share as before: a configuration set publishes no deliveries
            ([1_000, 500], [9_000, 4_500], None),
            // low volume; deliveries are not published; no previous sends to compare with
            ([100, 100], [200, 10], None),
            ([1_000, 0], [9_000, 0], None),
            ([0, 0], [9_000, 900], None),
        ] {
            let accounts = account(before, now);
            let found = sends_without_outcome(&windows, 2 * HOUR_MS, Some(&accounts));
            let found: Vec<u64> = found.iter().map(|jump| jump.without_outcome).collect();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{before:?} {now:?}");
        }
    }
}
