//! Rates + thresholds -> levels. Pure.

use serde::{Deserialize, Serialize};

use crate::check::confidence;

/// Where a rate stands. The order is that of badness: a run is as bad as its worst verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Below the thresholds, or too little to say.
    Ok,
    /// Nobody can say: no denominator, or the feed is silent.
    Unknown,
    /// At or over the threshold at which SES reviews an account.
    Warning,
    /// At or over the threshold at which SES may pause it.
    Critical,
}

impl Level {
    /// Nagios's exit code.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }

    /// The word in the JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Unknown => "unknown",
        }
    }

    /// The word in capitals, as Nagios prints it.
    pub const fn as_upper(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// Two thresholds; a rate at or over one reaches it, as with AWS (facts 5.2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Where SES reviews an account.
    pub warning: f64,
    /// Where SES may pause it.
    pub critical: f64,
    /// Bounces or complaints without which a small volume reaches no level, however sure its interval is.
    pub minimum_count: u64,
}

/// Whether a rate is at or over a threshold and carried by enough: by the volume, or else by the interval's lower bound
/// and by a count that is more than bad luck.
///
/// The interval alone is no help against one bounce of one mail: its lower bound is 20.7 %, because Wilson's interval
/// holds for one draw of a scope, and somebody who looks at a thousand small scopes draws a thousand times.
pub fn reaches(
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

/// A rate with its level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// The level.
    pub level: Level,
    /// The rate; `None` where there are no attempts.
    pub rate: Option<f64>,
    /// Its 95 % Wilson interval.
    pub interval: Option<[f64; 2]>,
    /// Whether the volume, or the interval, carries the level.
    pub sure: bool,
}

/// Judges `count` out of `attempts`.
///
/// A threshold is reached when the rate is at or over it and either the volume is not small or the interval's lower
/// bound lies over it too, with a count that is more than bad luck: 2 of 20 is quiet, and so is 1 of 1; 15 of 20 is not. Attempts that are not known give `Unknown`. So do no
/// attempts beside a count, where `whole_account`: then sends are missing. Below an account, a bounce whose mail was
/// sent before the window is ordinary.
pub fn judge(
    count: u64,
    attempts: Option<u64>,
    thresholds: Thresholds,
    minimum_volume: u64,
    whole_account: bool,
) -> Judged {
    let Some(n) = attempts else {
        // below an account, nothing that happened is nothing to know
        let level = if whole_account || count > 0 { Level::Unknown } else { Level::Ok };
        return Judged { level, rate: None, interval: None, sure: false };
    };
    let (Some(rate), Some(interval)) = (confidence::rate(count, n), confidence::wilson(count, n))
    else {
        let level = if whole_account && count > 0 { Level::Unknown } else { Level::Ok };
        return Judged { level, rate: None, interval: None, sure: false };
    };
    let large = n >= minimum_volume;
    // an account is one scope, drawn once: there a sure interval is enough
    let minimum_count = if whole_account { 1 } else { thresholds.minimum_count };
    let reached = |threshold| reaches(threshold, count, n, minimum_volume, minimum_count);
    let level = if reached(thresholds.critical) {
        Level::Critical
    } else if reached(thresholds.warning) {
        Level::Warning
    } else {
        Level::Ok
    };
    let sure = large || level > Level::Ok || interval[1] < thresholds.warning;
    Judged { level, rate: Some(rate), interval: Some(interval), sure }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNCE: Thresholds = Thresholds { warning: 0.05, critical: 0.10, minimum_count: 5 };
    const COMPLAINT: Thresholds = Thresholds { warning: 0.001, critical: 0.005, minimum_count: 3 };
    const MINIMUM_VOLUME: u64 = 1_000;

    fn level(count: u64, attempts: u64) -> Level {
        judge(count, Some(attempts), BOUNCE, MINIMUM_VOLUME, true).level
    }

    #[test]
    fn thresholds_are_reached_at_their_value() {
        assert_eq!(level(49, 1_000), Level::Ok);
        assert_eq!(level(50, 1_000), Level::Warning);
        assert_eq!(level(99, 1_000), Level::Warning);
        assert_eq!(level(100, 1_000), Level::Critical);
        assert_eq!(level(1_052, 10_476), Level::Critical);
    }

    #[test]
    fn few_mails_must_be_sure() {
        assert_eq!(level(2, 20), Level::Ok);
        assert_eq!(level(15, 20), Level::Critical);
        assert_eq!(level(1, 5), Level::Ok);
        assert_eq!(level(60, 999), Level::Ok);
        assert_eq!(level(80, 999), Level::Warning);
    }

    #[test]
    fn one_bounce_is_bad_luck() {
        for (count, attempts, expected) in [
            (1, 1, Level::Ok),
            (2, 2, Level::Ok),
            (4, 4, Level::Ok),
            (5, 5, Level::Critical),
            (5, 20, Level::Critical),
        ] {
            let below = judge(count, Some(attempts), BOUNCE, MINIMUM_VOLUME, false).level;
            assert_eq!(below, expected, "{count} of {attempts}");
        }
        assert_eq!(level(4, 4), Level::Critical);
        let complaints =
            |count, attempts| judge(count, Some(attempts), COMPLAINT, MINIMUM_VOLUME, false).level;
        assert_eq!(complaints(1, 20), Level::Ok);
        assert_eq!(complaints(2, 100), Level::Ok);
        assert_eq!(complaints(3, 100), Level::Critical);
        // from the minimum volume on the rate alone tells, as it does with AWS
        assert_eq!(complaints(1, 1_000), Level::Warning);
    }

    #[test]
    fn no_attempts() {
        let judge = |count, attempts, whole| judge(count, attempts, BOUNCE, 1_000, whole).level;
        assert_eq!(judge(5, None, true), Level::Unknown);
        assert_eq!(judge(5, None, false), Level::Unknown);
        assert_eq!(judge(0, None, false), Level::Ok);
        assert_eq!(judge(5, Some(0), true), Level::Unknown);
        assert_eq!(judge(5, Some(0), false), Level::Ok);
        assert_eq!(judge(0, Some(0), true), Level::Ok);
    }

    #[test]
    fn the_worst_verdict_wins() {
        let mut levels = [Level::Warning, Level::Unknown, Level::Ok, Level::Critical];
        levels.sort_unstable();
        assert_eq!(levels, [Level::Ok, Level::Unknown, Level::Warning, Level::Critical]);
        assert_eq!(levels.map(Level::exit_code), [0, 3, 1, 2]);
    }
}
