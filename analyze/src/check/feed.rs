//! Feed health: time since the newest event, and event types that are missing.

use std::collections::BTreeMap;

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::format_ms;
use serde::Serialize;

use crate::check::request::CheckRequest;
use crate::error::AnalyzeError;
use crate::scan::{StoreScan, Timelines};
use crate::timeline::Outcome;

/// Sends from which zero bounces suggest that bounces are not published.
const SENDS_WITHOUT_BOUNCE: u64 = 1_000;

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
}

/// Returns the health of the feed. `accounts` are the timelines of accounts and regions.
pub(super) fn feed_health(
    request: &CheckRequest,
    scan: &StoreScan,
    accounts: Option<&Timelines>,
) -> Result<FeedHealth, AnalyzeError> {
    let newest = scan.newest_event(scan.service(), request.at)?;
    let silent_ms = newest.map(|newest| request.at - newest);
    Ok(FeedHealth {
        newest_event_at: newest.map(format_ms),
        silent_seconds: silent_ms.map(|ms| ms / 1_000),
        stale: silent_ms.is_none_or(|ms| ms > request.stale_after),
        missing: missing_event_types(scan.service(), accounts),
    })
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
    use crate::timeline::Timeline;

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
}
