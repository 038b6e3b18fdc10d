//! A check -> what it says about each alarm that there could be. Pure.

use std::collections::BTreeMap;

use super::state::{DENOMINATOR, FEED, Key, Peak, ScopeMap, Time};
use super::{Asked, Policy};
use crate::check::{Check, Verdict};
use crate::levels::{Level, reaches};
use crate::model::Scope;

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
    Run { at, service, asked: asked.clone(), live: !check.feed.stale, seen }
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
