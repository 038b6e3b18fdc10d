//! Mailings of the past, and how much they differ from what was expected. No I/O.

use crate::forecast::totals::CampaignSpread;

/// Fewest attempts of a mailing that is judged.
const ATTEMPTS_MIN: f64 = 50.0;
/// Relative variance of campaigns that is assumed without mailings of the past: a standard deviation of 25 %.
const PRIOR_SPREAD: f64 = 0.25 * 0.25;
/// Mailings from which the assumption no longer counts.
const MAILINGS_MIN: f64 = 20.0;
/// Median of the square of a standard normal variable.
const MEDIAN_SQUARE: f64 = 0.454_936_423_119_572_8;
/// Greatest relative variance, and steps that find it.
const SPREAD_MAX: f64 = 4.0;
const STEPS: usize = 30;

/// The mail of one campaign on one day (UTC).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mailing {
    pub(crate) day: i64,
    /// ID of the campaign.
    pub(crate) campaign: u32,
    /// Whether the rates of its day were good enough to judge it.
    pub(crate) is_judged: bool,
    pub(crate) attempts: f64,
    /// Expected hard bounces, and their variance if rates were known.
    pub(crate) expected: f64,
    pub(crate) binomial: f64,
    pub(crate) bounces: f64,
    pub(crate) expected_complaints: f64,
    pub(crate) complaints: f64,
}

/// Estimates how much campaigns differ from what is expected of them, beyond chance.
pub(crate) fn campaign_spread<'m>(mailings: impl Iterator<Item = &'m Mailing>) -> CampaignSpread {
    let (mut bounces, mut complaints) = (Vec::new(), Vec::new());
    for one in mailings.filter(|one| one.is_judged && one.attempts >= ATTEMPTS_MIN) {
        bounces.push(Deviation::new(one.bounces, one.expected, one.binomial));
        let expected = one.expected_complaints;
        complaints.push(Deviation::new(one.complaints, expected, expected));
    }
    CampaignSpread { bounces: spread(&bounces), complaints: spread(&complaints) }
}

/// Difference of a mailing from what was expected.
#[derive(Debug, Clone, Copy)]
struct Deviation {
    square: f64,
    /// Variance by chance.
    chance: f64,
    expected: f64,
}

impl Deviation {
    fn new(observed: f64, expected: f64, chance: f64) -> Self {
        Self { square: (observed - expected).powi(2), chance, expected }
    }
}

/// Returns the relative variance of a factor on the expected number of each mailing, for which the median of the squared
/// standardised differences is that of a normal distribution. A median, because single incidents are no measure of usual
/// campaigns. Mailings that are missing count with [`PRIOR_SPREAD`].
fn spread(mailings: &[Deviation]) -> f64 {
    let median_at = |spread: f64| {
        let standardised = |one: &Deviation| {
            one.square / (one.chance + spread * one.expected * one.expected).max(f64::MIN_POSITIVE)
        };
        let mut squares: Vec<f64> = mailings.iter().map(standardised).collect();
        let middle = squares.len() / 2;
        *squares.select_nth_unstable_by(middle, f64::total_cmp).1
    };
    if mailings.is_empty() {
        return PRIOR_SPREAD;
    }
    let (mut low, mut high) = (0.0, SPREAD_MAX);
    if median_at(0.0) > MEDIAN_SQUARE {
        for _ in 0..STEPS {
            let middle = f64::midpoint(low, high);
            if median_at(middle) > MEDIAN_SQUARE {
                low = middle;
            } else {
                high = middle;
            }
        }
    }
    let count = f64::from(u32::try_from(mailings.len()).unwrap_or(u32::MAX));
    let missing = (1.0 - count / MAILINGS_MIN).max(0.0);
    low * (1.0 - missing) + PRIOR_SPREAD * missing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread_of(bounces: &[f64]) -> f64 {
        let mailing = |bounces: &f64| Mailing {
            is_judged: true,
            attempts: 10_000.0,
            expected: 200.0,
            binomial: 200.0,
            bounces: *bounces,
            ..Mailing::default()
        };
        let mailings: Vec<Mailing> = bounces.iter().map(mailing).collect();
        campaign_spread(mailings.iter()).bounces
    }

    #[test]
    fn spread_is_what_chance_does_not_explain() {
        assert!((spread_of(&[]) - PRIOR_SPREAD).abs() < 1e-12);
        assert!((spread_of(&[200.0; 10]) - PRIOR_SPREAD / 2.0).abs() < 1e-12);
        assert!(spread_of(&[200.0; 20]).abs() < 1e-12);
        // half of the mailings differ by less than 0.67 standard deviations: 34 of 200
        let found = spread_of(&[[166.0; 10], [234.0; 10]].concat());
        assert!((0.055..0.065).contains(&found), "{found}");
        // an incident changes nothing
        assert!(spread_of(&[&[200.0; 19][..], &[5_000.0]].concat()).abs() < 1e-12);
    }
}
