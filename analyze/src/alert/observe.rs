//! A check -> what it says about each alarm that there could be. Pure.

use std::collections::BTreeMap;

use crate::alert::state::{DENOMINATOR, FEED, Key, Peak, ScopeMap, Time};
use crate::alert::{Asked, Policy};
use crate::check::levels::{Level, reaches};
use crate::check::{Check, Verdict};
use crate::timeline::model::{ACCOUNT_COLUMNS, Scope};

/// The window of what has none.
pub const NO_WINDOW: &str = "now";

/// What a run says.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its moment, epoch milliseconds.
    pub at: i64,
    /// Whose mail.
    pub service: String,
    /// What it was asked: alarms about anything else stay as they are.
    pub asked: Asked,
    /// Whether events come. While none do, no alarm ends: windows become empty because nobody reports.
    pub live: bool,
    /// What was seen, by alarm and window.
    pub seen: BTreeMap<Key, BTreeMap<String, Seen>>,
}

/// What was seen of one window.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// Nobody can say.
    Unknown,
    /// A level.
    Level {
        /// The level that is reached.
        reached: Level,
        /// The level that would be reached if the thresholds were lower by the margin: one that the alarm has does not
        /// fall while this holds.
        held: Level,
        /// The rate.
        rate: Option<Peak>,
    },
}

impl Seen {
    /// A level without a margin.
    pub fn level(level: Level) -> Self {
        Self::Level { reached: level, held: level, rate: None }
    }
}

/// What a check says. The order of its verdicts makes no difference.
pub fn observe(check: &Check, at: i64, asked: &Asked, policy: &Policy) -> Run {
    let service = check.service.as_str().to_owned();
    let mut seen: BTreeMap<Key, BTreeMap<String, Seen>> = BTreeMap::new();
    let mut see = |metric: &str, scope: ScopeMap, window: &str, what: Seen| {
        let key = Key { service: service.clone(), metric: metric.to_owned(), scope };
        let windows = seen.entry(key).or_default();
        let worse = windows.get(window).is_none_or(|before| *before == Seen::level(Level::Ok));
        // the metrics of a scope share its denominator: one that cannot tell is enough
        if metric != DENOMINATOR || worse {
            windows.insert(window.to_owned(), what);
        }
    };
    let level = if check.feed.stale { Level::Unknown } else { Level::Ok };
    see(FEED, ScopeMap::new(), NO_WINDOW, Seen::level(level));
    for verdict in &check.verdicts {
        let scope = scope_map(&verdict.scope);
        let unknown = verdict.level == Level::Unknown;
        let level = if unknown { Level::Unknown } else { Level::Ok };
        see(DENOMINATOR, scope.clone(), &verdict.window, Seen::level(level));
        let rate = if unknown { Seen::Unknown } else { seen_of(verdict, at, policy) };
        see(verdict.metric, scope, &verdict.window, rate);
    }
    leave_to_the_account(&mut seen);
    Run { at, service, asked: asked.clone(), live: !check.feed.stale, seen }
}

/// Where nobody knows an account's attempts, nobody knows those of its parts: that is one alarm and not a hundred.
fn leave_to_the_account(seen: &mut BTreeMap<Key, BTreeMap<String, Seen>>) {
    let is_account = |key: &Key| key.scope.len() == ACCOUNT_COLUMNS.len();
    let accounts: Vec<(ScopeMap, String)> = seen
        .iter()
        .filter(|(key, _)| key.metric == DENOMINATOR && is_account(key))
        .flat_map(|(key, windows)| windows.iter().map(|one| (key.scope.clone(), one)))
        .filter(|(_, (_, what))| **what != Seen::level(Level::Ok))
        .map(|(scope, (window, _))| (scope, window.clone()))
        .collect();
    for (key, windows) in seen.iter_mut().filter(|(key, _)| key.metric == DENOMINATOR) {
        let is_of = |account: &ScopeMap| {
            account.iter().all(|(word, value)| key.scope.get(word) == Some(value))
        };
        for (_, window) in accounts.iter().filter(|(account, _)| !is_account(key) && is_of(account))
        {
            windows.insert(window.clone(), Seen::Unknown);
        }
    }
}

/// A scope without an order of its words.
pub(super) fn scope_map(scope: &Scope) -> ScopeMap {
    scope.0.iter().cloned().collect()
}

fn seen_of(verdict: &Verdict, at: i64, policy: &Policy) -> Seen {
    let holds = |threshold: f64| {
        reaches(
            threshold * policy.clear_below,
            verdict.count,
            verdict.attempts.unwrap_or_default(),
            verdict.minimum_volume,
            verdict.minimum_count,
        )
    };
    let held = if holds(verdict.critical) {
        Level::Critical
    } else if holds(verdict.warning) {
        Level::Warning
    } else {
        Level::Ok
    };
    let rate = verdict.rate.zip(verdict.attempts).map(|(rate, attempts)| Peak {
        rate,
        count: verdict.count,
        attempts,
        window: verdict.window.clone(),
        at: Time(at),
    });
    Seen::Level { reached: verdict.level, held: held.max(verdict.level), rate }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::samples::{AT, asked, check_of, verdict};

    const POLICY: Policy = Policy { clear_after_ms: 0, clear_below: 0.9, renotify_after_ms: None };

    fn seen(count: u64, attempts: u64) -> (Level, Level) {
        let verdict = verdict("bounce_rate", &[], "24h", count, Some(attempts));
        match seen_of(&verdict, AT, &POLICY) {
            Seen::Level { reached, held, .. } => (reached, held),
            Seen::Unknown => panic!("a rate is known"),
        }
    }

    #[test]
    fn a_level_is_held_within_its_margin() {
        assert_eq!(seen(100, 1_000), (Level::Critical, Level::Critical));
        assert_eq!(seen(99, 1_000), (Level::Warning, Level::Critical));
        assert_eq!(seen(91, 1_000), (Level::Warning, Level::Critical));
        assert_eq!(seen(89, 1_000), (Level::Warning, Level::Warning));
        assert_eq!(seen(46, 1_000), (Level::Ok, Level::Warning));
        assert_eq!(seen(44, 1_000), (Level::Ok, Level::Ok));
        // what is left of a small scope holds nothing
        assert_eq!(seen(1, 5), (Level::Ok, Level::Ok));
        assert_eq!(seen(0, 0), (Level::Ok, Level::Ok));
    }

    #[test]
    fn the_order_of_verdicts_makes_no_difference() {
        let mut verdicts = vec![
            verdict("bounce_rate", &[], "24h", 62, Some(1_000)),
            verdict("complaint_rate", &[], "24h", 0, Some(1_000)),
            verdict("bounce_rate", &[], "7d", 3, Some(0)),
            verdict("complaint_rate", &[], "7d", 0, Some(0)),
            verdict("bounce_rate", &[("identity", "a")], "24h", 5, None),
        ];
        let first = observe(&check_of(verdicts.clone()), AT, &asked(), &POLICY);
        let denominators = first.seen.iter().filter(|(key, _)| key.metric == DENOMINATOR);
        assert_eq!(denominators.count(), 2);
        for _ in 0..verdicts.len() {
            verdicts.rotate_left(1);
            for at in 1..verdicts.len() {
                verdicts.swap(0, at);
                assert_eq!(observe(&check_of(verdicts.clone()), AT, &asked(), &POLICY), first);
            }
        }
    }

    #[test]
    fn the_parts_of_an_account_without_attempts_are_no_alarms_of_their_own() {
        let parts = (0..100).map(|number| {
            verdict("bounce_rate", &[("identity", &format!("i{number}"))], "24h", 5, None)
        });
        let account = verdict("bounce_rate", &[], "24h", 500, None);
        let run = observe(&check_of(parts.chain([account]).collect()), AT, &asked(), &POLICY);
        let raised = run.seen.iter().filter(|(key, windows)| {
            key.metric == DENOMINATOR && windows["24h"] == Seen::level(Level::Unknown)
        });
        assert_eq!(raised.map(|(key, _)| key.scope.len()).collect::<Vec<_>>(), [2]);
    }
}
