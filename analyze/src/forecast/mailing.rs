//! Past mailings, and how much their results vary around the expected number. No I/O.

use crate::forecast::totals::CampaignSpread;

/// Minimum number of attempts of a mailing for the estimate.
const ATTEMPTS_MIN: f64 = 50.0;
/// Prior of the relative variance between campaigns: a standard deviation of 25 %.
const PRIOR_SPREAD: f64 = 0.25 * 0.25;
/// Number of mailings from which [`PRIOR_SPREAD`] has no weight.
const MAILINGS_MIN: u8 = 20;
/// Days after which a mailing has half of its weight.
const HALF_LIFE_DAYS: f64 = 4.0;
/// Share of the weight that the trimmed mean omits: mailings with the largest deviation.
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

/// Estimates the variance between campaigns that chance does not explain, from mailings up to
/// `day`, in order. Recent mailings have more weight, so that an incident has no effect some weeks
/// later. The half-life is longer if there are few mailings.
pub(crate) fn campaign_spread<'m>(
    mailings: impl Iterator<Item = &'m Mailing>,
    day: i64,
) -> CampaignSpread {
    let is_used = |one: &&Mailing| one.is_evaluated && one.attempts >= ATTEMPTS_MIN;
    let mailings: Vec<&Mailing> = mailings.filter(is_used).collect();
    #[expect(clippy::cast_precision_loss, reason = "days")]
    let age = |one: &Mailing| (day - one.day) as f64;
    let last = mailings.iter().rev().nth(usize::from(MAILINGS_MIN) - 1).or(mailings.first());
    let half_life = last.map_or(0.0, |one| age(one)).max(HALF_LIFE_DAYS);
    let (mut bounces, mut complaints) = (Vec::new(), Vec::new());
    for one in mailings {
        let weight = (-age(one) / half_life).exp2();
        let of = |observed: f64, expected: f64, chance_variance| Deviation {
            weight,
            squared_error: (observed - expected).powi(2),
            chance_variance,
            expected,
        };
        bounces.push(of(one.bounces, one.expected, one.binomial_variance));
        complaints.push(of(one.complaints, one.expected_complaints, one.expected_complaints));
    }
    CampaignSpread {
        bounces: relative_variance(&bounces),
        complaints: relative_variance(&complaints),
    }
}

/// Deviation of a mailing from the expected number.
#[derive(Debug, Clone, Copy)]
struct Deviation {
    weight: f64,
    squared_error: f64,
    /// Variance of the number by chance alone.
    chance_variance: f64,
    expected: f64,
}

impl Deviation {
    /// The squared error in units of its variance, with this relative variance between mailings.
    fn standardised(&self, spread: f64) -> f64 {
        let variance = self.chance_variance + spread * self.expected * self.expected;
        self.squared_error / variance.max(f64::MIN_POSITIVE)
    }
}

/// Returns the relative variance between mailings.
///
/// With this variance, the trimmed mean of the squared standardised deviations equals that of a
/// normal distribution. The mean is trimmed so that single incidents do not change the result. With
/// fewer than [`MAILINGS_MIN`] mailings, the result is shrunk toward [`PRIOR_SPREAD`]; weights count
/// as Kish's effective number.
fn relative_variance(mailings: &[Deviation]) -> f64 {
    let weight: f64 = mailings.iter().map(|one| one.weight).sum();
    let squares: f64 = mailings.iter().map(|one| one.weight * one.weight).sum();
    if weight <= 0.0 {
        return PRIOR_SPREAD;
    }
    let kept = (1.0 - TRIMMED_SHARE) * weight;
    let trimmed_mean = |spread: f64| {
        let mut errors: Vec<(f64, f64)> =
            mailings.iter().map(|one| (one.standardised(spread), one.weight)).collect();
        errors.sort_unstable_by(|(one, _), (other, _)| one.total_cmp(other));
        let mut left = kept;
        let sum: f64 = errors
            .iter()
            .map(|(error, weight)| {
                let used = weight.min(left);
                left -= used;
                error * used
            })
            .sum();
        sum / kept
    };
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
    let missing = (1.0 - weight * weight / squares / f64::from(MAILINGS_MIN)).max(0.0);
    low * (1.0 - missing) + PRIOR_SPREAD * missing
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The spread on day 100, of mailings with 200 expected bounces.
    fn spread_of(days: impl IntoIterator<Item = i64>, bounces: &[f64]) -> f64 {
        let mailing = |(day, bounces): (i64, &f64)| Mailing {
            day,
            is_evaluated: true,
            attempts: 10_000.0,
            expected: 200.0,
            binomial_variance: 200.0,
            bounces: *bounces,
            ..Mailing::default()
        };
        let mailings: Vec<Mailing> = days.into_iter().zip(bounces).map(mailing).collect();
        campaign_spread(mailings.iter(), 100).bounces
    }

    #[test]
    fn spread_is_what_chance_does_not_explain() {
        let spread_of = |bounces: &[f64]| spread_of(std::iter::repeat(100), bounces);
        assert!((spread_of(&[]) - PRIOR_SPREAD).abs() < 1e-12);
        assert!((spread_of(&[200.0; 10]) - PRIOR_SPREAD / 2.0).abs() < 1e-12);
        assert!(spread_of(&[200.0; 20]).abs() < 1e-12);
        // 90 % of the mailings differ by less than 1.64 standard deviations, here by 40 of 200
        let found = spread_of(&[[160.0; 30], [240.0; 30]].concat());
        assert!((0.05..0.07).contains(&found), "{found}");
        // one incident does not change the result
        assert!(spread_of(&[&[200.0; 39][..], &[5_000.0]].concat()).abs() < 1e-12);
    }

    #[test]
    fn days_with_an_incident_have_no_effect_some_weeks_later() {
        let bounces = [&[2_000.0; 50][..], &[200.0; 250]].concat();
        // ten mailings a day: five days with an incident, then 25 days
        let days = (0..300).map(|number| 70 + number / 10);
        assert!(spread_of(days.clone(), &bounces).abs() < 1e-12);
        let recent: Vec<f64> = bounces.into_iter().rev().collect();
        assert!(spread_of(days, &recent) > 1.0);
    }

    #[test]
    fn one_mailing_a_week_is_enough_for_an_estimate() {
        let days = (0..40).map(|week| 100 - 7 * (40 - week));
        assert!(spread_of(days, &[200.0; 40]).abs() < 1e-12);
    }
}
