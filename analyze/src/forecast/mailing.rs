//! Past mailings, and how much their results vary around the expected number. No I/O.

use crate::forecast::totals::CampaignSpread;

/// Minimum number of attempts of a mailing for the estimate.
const ATTEMPTS_MIN: f64 = 50.0;
/// Prior of the relative variance between campaigns: a standard deviation of 25 %.
const PRIOR_SPREAD: f64 = 0.25 * 0.25;
/// Number of mailings from which [`PRIOR_SPREAD`] has no weight.
const MAILINGS_MIN: f64 = 20.0;
/// Share of mailings that the trimmed mean omits: those with the largest deviation.
const TRIMMED_SHARE: f64 = 0.1;
/// Mean of the squares of a standard normal variable without its largest 10 %.
const TRIMMED_MEAN_SQUARE: f64 = 0.622_974;
/// Maximum of the relative variance, and number of bisection steps to find it.
const SPREAD_MAX: f64 = 4.0;
const BISECTION_STEPS: usize = 30;

/// The mail of one campaign on one day (UTC).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mailing {
    pub(crate) day: i64,
    /// ID of the campaign.
    pub(crate) campaign: u32,
    /// Whether the rates of its day were based on enough attempts to evaluate the mailing.
    pub(crate) is_evaluated: bool,
    pub(crate) attempts: f64,
    /// Expected hard bounces, and their variance if all rates were known exactly.
    pub(crate) expected: f64,
    pub(crate) binomial_variance: f64,
    pub(crate) bounces: f64,
    pub(crate) expected_complaints: f64,
    pub(crate) complaints: f64,
}

/// Estimates the variance between campaigns that chance does not explain.
pub(crate) fn campaign_spread<'m>(mailings: impl Iterator<Item = &'m Mailing>) -> CampaignSpread {
    let (mut bounces, mut complaints) = (Vec::new(), Vec::new());
    for one in mailings.filter(|one| one.is_evaluated && one.attempts >= ATTEMPTS_MIN) {
        bounces.push(Deviation::new(one.bounces, one.expected, one.binomial_variance));
        let expected = one.expected_complaints;
        complaints.push(Deviation::new(one.complaints, expected, expected));
    }
    CampaignSpread {
        bounces: relative_variance(&bounces),
        complaints: relative_variance(&complaints),
    }
}

/// Deviation of a mailing from the expected number.
#[derive(Debug, Clone, Copy)]
struct Deviation {
    squared_error: f64,
    /// Variance of the number by chance alone.
    chance_variance: f64,
    expected: f64,
}

impl Deviation {
    fn new(observed: f64, expected: f64, chance_variance: f64) -> Self {
        Self { squared_error: (observed - expected).powi(2), chance_variance, expected }
    }
}

/// Returns the relative variance between mailings.
///
/// With this variance, the trimmed mean of the squared standardised deviations equals that of a
/// normal distribution. The mean is trimmed so that single incidents do not change the result. With
/// fewer than [`MAILINGS_MIN`] mailings, the result is shrunk toward [`PRIOR_SPREAD`].
fn relative_variance(mailings: &[Deviation]) -> f64 {
    // skip the earlier half: its rates were based on less mail
    let mailings = mailings.split_at(mailings.len() / 2).1;
    let (kept, count) = kept_count(mailings.len());
    let trimmed_mean = |spread: f64| {
        let standardised = |one: &Deviation| {
            one.squared_error
                / (one.chance_variance + spread * one.expected * one.expected)
                    .max(f64::MIN_POSITIVE)
        };
        let mut squares: Vec<f64> = mailings.iter().map(standardised).collect();
        squares.sort_unstable_by(f64::total_cmp);
        squares.truncate(kept);
        squares.iter().sum::<f64>() / count
    };
    if mailings.is_empty() {
        return PRIOR_SPREAD;
    }
    let (mut low, mut high) = (0.0, SPREAD_MAX);
    if trimmed_mean(0.0) > TRIMMED_MEAN_SQUARE {
        for _ in 0..BISECTION_STEPS {
            let middle = f64::midpoint(low, high);
            if trimmed_mean(middle) > TRIMMED_MEAN_SQUARE {
                low = middle;
            } else {
                high = middle;
            }
        }
    }
    let missing = (1.0 - count / (1.0 - TRIMMED_SHARE) / MAILINGS_MIN).max(0.0);
    low * (1.0 - missing) + PRIOR_SPREAD * missing
}

/// Returns the number of mailings that remain after trimming, at least one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a part of a count"
)]
fn kept_count(count: usize) -> (usize, f64) {
    let kept = (count as f64 * (1.0 - TRIMMED_SHARE)).round().max(1.0);
    (kept as usize, kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread_of(bounces: &[f64]) -> f64 {
        let mailing = |bounces: &f64| Mailing {
            is_evaluated: true,
            attempts: 10_000.0,
            expected: 200.0,
            binomial_variance: 200.0,
            bounces: *bounces,
            ..Mailing::default()
        };
        let mailings: Vec<Mailing> = bounces.iter().map(mailing).collect();
        campaign_spread(mailings.iter()).bounces
    }

    #[test]
    fn spread_is_what_chance_does_not_explain() {
        assert!((spread_of(&[]) - PRIOR_SPREAD).abs() < 1e-12);
        assert!((spread_of(&[200.0; 20]) - PRIOR_SPREAD / 2.0).abs() < 1e-12);
        assert!(spread_of(&[200.0; 40]).abs() < 1e-12);
        // 90 % of the mailings differ by less than 1.64 standard deviations, here by 40 of 200
        let found = spread_of(&[[160.0; 30], [240.0; 30]].concat());
        assert!((0.05..0.07).contains(&found), "{found}");
        // one incident does not change the result
        assert!(spread_of(&[&[200.0; 39][..], &[5_000.0]].concat()).abs() < 1e-12);
    }
}
