//! Check -> condition of each possible alert. No I/O.

use std::collections::BTreeMap;

use crate::alert::policy::{AlertPolicy, AlertScope};
use crate::alert::state::{AlertKey, BRAKE, DENOMINATOR, FEED, Peak, SENDING, ScopeMap};
use crate::alert::timestamp::Timestamp;
use crate::check::level::{AlertLevel, is_reached};
use crate::check::sending::SendingState;
use crate::check::{CheckReport, Verdict};
use crate::timeline::Scope;

/// Window name of the feed, the sending status and the brake, which have no window.
pub const NO_WINDOW: &str = "now";

/// Conditions of all alerts in one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Time of the run, epoch milliseconds.
    pub at: i64,
    /// Service: `ses` or `workmail`.
    pub service: String,
    /// Windows and groupings that the run evaluates; other alerts do not change.
    pub scope: AlertScope,
    /// State of the feed. While it is stale, no level of a rate alert falls: windows become empty
    /// because events are missing.
    pub feed: FeedState,
    /// Condition by alert and window.
    pub conditions: Conditions,
}

/// Condition by alert and window.
pub type Conditions = BTreeMap<AlertKey, BTreeMap<String, Condition>>;

/// State of the event feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedState {
    /// Events arrive.
    Live,
    /// No event is newer than `stale_after`.
    Stale,
}

/// Condition of one window of an alert.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// The level is unknown.
    Unknown,
    /// The level is known.
    Level {
        /// Level that is reached.
        reached: AlertLevel,
        /// Level that is reached with thresholds lowered to `clear_below`. An alert keeps its level while this is not
        /// lower (hysteresis).
        sustained: AlertLevel,
        /// The rate: a candidate for the peak of the alert.
        rate: Option<Peak>,
    },
}

impl Condition {
    /// Returns the condition of a level without a rate and without hysteresis.
    pub fn level(level: AlertLevel) -> Self {
        Self::Level { reached: level, sustained: level, rate: None }
    }
}

/// Returns the conditions of a check. The order of its verdicts makes no difference.
pub fn evaluate(
    check: &CheckReport,
    at: i64,
    scope: &AlertScope,
    policy: &AlertPolicy,
) -> Evaluation {
    let service = check.service.as_str().to_owned();
    let mut conditions = Conditions::new();
    let mut add = |metric: &str, scope: ScopeMap, window: &str, condition: Condition| {
        let key = AlertKey { service: service.clone(), metric: metric.to_owned(), scope };
        let windows = conditions.entry(key).or_default();
        let has_no_fault =
            windows.get(window).is_none_or(|known| *known == Condition::level(AlertLevel::Ok));
        // each metric of a scope adds its denominator: the first unknown one stays
        if metric != DENOMINATOR || has_no_fault {
            windows.insert(window.to_owned(), condition);
        }
    };
    let feed_level = if check.feed.stale { AlertLevel::Unknown } else { AlertLevel::Ok };
    add(FEED, ScopeMap::new(), NO_WINDOW, Condition::level(feed_level));
    for one in &check.sending.statuses {
        let level = match one.status {
            SendingState::Disabled => AlertLevel::Critical,
            SendingState::Enabled => AlertLevel::Ok,
        };
        add(SENDING, scope_map(&one.scope), NO_WINDOW, Condition::level(level));
    }
    if let Some(brake) = &check.brake {
        let is_raised = brake.is_paused() || brake.failed;
        let level = if is_raised { AlertLevel::Critical } else { AlertLevel::Ok };
        add(BRAKE, scope_map(&brake.scope), NO_WINDOW, Condition::level(level));
    }
    for verdict in &check.verdicts {
        let scope = scope_map(&verdict.scope);
        let is_unknown = verdict.level == AlertLevel::Unknown;
        // an unknown denominator of a group is normal; `Ok` clears an alert that an earlier version raised
        let is_fault = is_unknown && verdict.scope.is_account();
        let level = if is_fault { AlertLevel::Unknown } else { AlertLevel::Ok };
        add(DENOMINATOR, scope.clone(), &verdict.window, Condition::level(level));
        let rate =
            if is_unknown { Condition::Unknown } else { rate_condition(verdict, at, policy) };
        add(verdict.metric, scope, &verdict.window, rate);
    }
    let feed = if check.feed.stale { FeedState::Stale } else { FeedState::Live };
    Evaluation { at, service, scope: scope.clone(), feed, conditions }
}

/// Converts a scope to a map, which does not depend on the order of dimensions.
pub(super) fn scope_map(scope: &Scope) -> ScopeMap {
    scope.0.iter().cloned().collect()
}

fn rate_condition(verdict: &Verdict, at: i64, policy: &AlertPolicy) -> Condition {
    let is_sustained = |threshold: f64| {
        is_reached(
            threshold * policy.clear_below,
            verdict.count,
            verdict.attempts.unwrap_or_default(),
            verdict.minimum_volume,
            verdict.minimum_count,
        )
    };
    let sustained = if is_sustained(verdict.critical) {
        AlertLevel::Critical
    } else if is_sustained(verdict.warning) {
        AlertLevel::Warning
    } else {
        AlertLevel::Ok
    };
    let rate = verdict.rate.zip(verdict.attempts).map(|(rate, attempts)| Peak {
        rate,
        count: verdict.count,
        attempts,
        window: verdict.window.clone(),
        at: Timestamp(at),
    });
    Condition::Level { reached: verdict.level, sustained: sustained.max(verdict.level), rate }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::test_data::{AT, account_scope, check_of, verdict};

    const POLICY: AlertPolicy =
        AlertPolicy { clear_after_ms: 0, clear_below: 0.9, renotify_after_ms: None };

    fn levels(count: u64, attempts: u64) -> (AlertLevel, AlertLevel) {
        let verdict = verdict("bounce_rate", &[], "24h", count, Some(attempts));
        match rate_condition(&verdict, AT, &POLICY) {
            Condition::Level { reached, sustained, .. } => (reached, sustained),
            Condition::Unknown => panic!("the rate is known"),
        }
    }

    #[test]
    fn level_is_sustained_down_to_clear_below() {
        use AlertLevel::{Critical, Ok, Warning};
        assert_eq!(levels(100, 1_000), (Critical, Critical));
        assert_eq!(levels(99, 1_000), (Warning, Critical));
        assert_eq!(levels(91, 1_000), (Warning, Critical));
        assert_eq!(levels(89, 1_000), (Warning, Warning));
        assert_eq!(levels(46, 1_000), (Ok, Warning));
        assert_eq!(levels(44, 1_000), (Ok, Ok));
        // low volume sustains no level
        assert_eq!(levels(1, 5), (Ok, Ok));
        assert_eq!(levels(0, 0), (Ok, Ok));
    }

    #[test]
    fn evaluation_does_not_depend_on_the_order_of_verdicts() {
        let mut verdicts = vec![
            verdict("bounce_rate", &[], "24h", 62, Some(1_000)),
            verdict("complaint_rate", &[], "24h", 0, Some(1_000)),
            verdict("bounce_rate", &[], "7d", 3, Some(0)),
            verdict("complaint_rate", &[], "7d", 0, Some(0)),
            verdict("bounce_rate", &[("identity", "a")], "24h", 5, None),
        ];
        let evaluate = |verdicts: &[Verdict]| {
            evaluate(&check_of(verdicts.to_vec()), AT, &account_scope(), &POLICY)
        };
        let first = evaluate(&verdicts);
        let denominators = first.conditions.iter().filter(|(key, _)| key.metric == DENOMINATOR);
        assert_eq!(denominators.count(), 2);
        for _ in 0..verdicts.len() {
            verdicts.rotate_left(1);
            for at in 1..verdicts.len() {
                verdicts.swap(0, at);
                assert_eq!(evaluate(&verdicts), first);
            }
        }
    }

    #[test]
    fn groups_of_an_account_without_denominator_raise_no_alert() {
        let groups = (0..100).map(|number| {
            verdict("bounce_rate", &[("identity", &format!("i{number}"))], "24h", 5, None)
        });
        let account = verdict("bounce_rate", &[], "24h", 500, None);
        let check = check_of(groups.chain([account]).collect());
        let evaluation = evaluate(&check, AT, &account_scope(), &POLICY);
        let raised = evaluation.conditions.iter().filter(|(key, windows)| {
            key.metric == DENOMINATOR && windows["24h"] == Condition::level(AlertLevel::Unknown)
        });
        assert_eq!(raised.map(|(key, _)| key.scope.len()).collect::<Vec<_>>(), [2]);
    }
}
