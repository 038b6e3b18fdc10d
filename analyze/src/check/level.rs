//! Count, attempts and thresholds -> alert level. No I/O.

pub use bouncewatch_schemas::level::AlertLevel;

use crate::check::confidence;
use crate::check::thresholds::Limits;

/// Kind of scope that a rate belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeKind {
    /// Account and region.
    Account,
    /// A group below account and region.
    Group,
}

/// Returns true if a rate is at or above a threshold and significant: `attempts` is at least `minimum_volume`, or the
/// lower bound of the 95 % interval is above the threshold and `count` is at least `minimum_count`.
///
/// The interval alone does not protect against one bounce of one mail: its lower bound is 20.7 %. A Wilson interval
/// holds for one sample; among a thousand small scopes some are extreme by chance.
pub fn is_reached(
    threshold: f64,
    count: u64,
    attempts: u64,
    minimum_volume: u64,
    minimum_count: u64,
) -> bool {
    let (Some(rate), Some([low, _])) =
        (confidence::rate(count, attempts), confidence::wilson(count, attempts))
    else {
        return false;
    };
    rate >= threshold && (attempts >= minimum_volume || (low > threshold && count >= minimum_count))
}

/// A rate with its level and significance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Assessment {
    /// Alert level.
    pub level: AlertLevel,
    /// The rate; `None` without attempts.
    pub rate: Option<f64>,
    /// 95 % Wilson interval of the rate.
    pub interval: Option<[f64; 2]>,
    /// True if the level is significant (JSON key `sure`).
    pub significant: bool,
}

/// Assesses `count` out of `attempts`; see [`is_reached`] for the significance of a level.
///
/// If attempts are unknown, the level is `Unknown`. A count with 0 attempts is `Unknown` for an
/// account, because sends are missing. It is `Ok` for a group, because its mail may be older than
/// the window. For an account `minimum_count` is 1, because an account is a single sample.
pub fn assess(count: u64, attempts: Option<u64>, limits: Limits, scope: ScopeKind) -> Assessment {
    let Limits { thresholds, minimum_volume } = limits;
    let is_account = scope == ScopeKind::Account;
    let without_rate = |is_unknown: bool| Assessment {
        level: if is_unknown { AlertLevel::Unknown } else { AlertLevel::Ok },
        rate: None,
        interval: None,
        significant: false,
    };
    let Some(n) = attempts else {
        // a group without events has no unknown rate
        return without_rate(is_account || count > 0);
    };
    let (Some(rate), Some(interval)) = (confidence::rate(count, n), confidence::wilson(count, n))
    else {
        return without_rate(is_account && count > 0);
    };
    let minimum_count = if is_account { 1 } else { thresholds.minimum_count };
    let reached = |threshold| is_reached(threshold, count, n, minimum_volume, minimum_count);
    let level = if reached(thresholds.critical) {
        AlertLevel::Critical
    } else if reached(thresholds.warning) {
        AlertLevel::Warning
    } else {
        AlertLevel::Ok
    };
    let significant =
        n >= minimum_volume || level > AlertLevel::Ok || interval[1] < thresholds.warning;
    Assessment { level, rate: Some(rate), interval: Some(interval), significant }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::thresholds::Thresholds;

    const BOUNCE: Limits = Limits {
        thresholds: Thresholds { warning: 0.05, critical: 0.10, minimum_count: 5 },
        minimum_volume: 1_000,
    };
    const COMPLAINT: Limits = Limits {
        thresholds: Thresholds { warning: 0.001, critical: 0.005, minimum_count: 3 },
        minimum_volume: 1_000,
    };

    fn account_level(count: u64, attempts: u64) -> AlertLevel {
        assess(count, Some(attempts), BOUNCE, ScopeKind::Account).level
    }

    #[test]
    fn level_is_reached_at_exactly_the_threshold() {
        assert_eq!(account_level(49, 1_000), AlertLevel::Ok);
        assert_eq!(account_level(50, 1_000), AlertLevel::Warning);
        assert_eq!(account_level(99, 1_000), AlertLevel::Warning);
        assert_eq!(account_level(100, 1_000), AlertLevel::Critical);
        assert_eq!(account_level(1_052, 10_476), AlertLevel::Critical);
    }

    #[test]
    fn low_volume_reaches_level_only_if_interval_is_above_threshold() {
        assert_eq!(account_level(2, 20), AlertLevel::Ok);
        assert_eq!(account_level(15, 20), AlertLevel::Critical);
        assert_eq!(account_level(1, 5), AlertLevel::Ok);
        assert_eq!(account_level(60, 999), AlertLevel::Ok);
        assert_eq!(account_level(80, 999), AlertLevel::Warning);
    }

    #[test]
    fn group_below_minimum_count_stays_ok() {
        for (count, attempts, expected) in [
            (1, 1, AlertLevel::Ok),
            (2, 2, AlertLevel::Ok),
            (4, 4, AlertLevel::Ok),
            (5, 5, AlertLevel::Critical),
            (5, 20, AlertLevel::Critical),
        ] {
            let level = assess(count, Some(attempts), BOUNCE, ScopeKind::Group).level;
            assert_eq!(level, expected, "{count} of {attempts}");
        }
        assert_eq!(account_level(4, 4), AlertLevel::Critical);
        let complaints =
            |count, attempts| assess(count, Some(attempts), COMPLAINT, ScopeKind::Group).level;
        assert_eq!(complaints(1, 20), AlertLevel::Ok);
        assert_eq!(complaints(2, 100), AlertLevel::Ok);
        assert_eq!(complaints(3, 100), AlertLevel::Critical);
        // at the minimum volume the rate alone decides
        assert_eq!(complaints(1, 1_000), AlertLevel::Warning);
    }

    #[test]
    fn missing_attempts_are_unknown_for_accounts_and_for_groups_with_bounces() {
        let level = |count, attempts, scope| assess(count, attempts, BOUNCE, scope).level;
        assert_eq!(level(5, None, ScopeKind::Account), AlertLevel::Unknown);
        assert_eq!(level(5, None, ScopeKind::Group), AlertLevel::Unknown);
        assert_eq!(level(0, None, ScopeKind::Group), AlertLevel::Ok);
        assert_eq!(level(0, None, ScopeKind::Account), AlertLevel::Unknown);
        assert_eq!(level(5, Some(0), ScopeKind::Account), AlertLevel::Unknown);
        assert_eq!(level(5, Some(0), ScopeKind::Group), AlertLevel::Ok);
        assert_eq!(level(0, Some(0), ScopeKind::Account), AlertLevel::Ok);
    }

    #[test]
    fn level_is_significant_by_volume_by_interval_or_if_it_is_reached() {
        for (count, attempts, expected) in [
            // at the minimum volume, whatever the interval
            (40, 1_000, true),
            (40, 999, false),
            // reached below the minimum volume
            (15, 20, true),
            // the upper bound is below the threshold
            (5, 999, true),
            (0, 20, false),
        ] {
            let found = assess(count, Some(attempts), BOUNCE, ScopeKind::Account);
            assert_eq!(found.significant, expected, "{count} of {attempts}: {found:?}");
        }
    }
}
