//! Mailings of the past, and how much they differ from what was expected. No I/O.

use crate::forecast::totals::CampaignSpread;

/// Fewest attempts of a mailing that is judged.
const ATTEMPTS_MIN: f64 = 50.0;
/// Relative variance of campaigns that is assumed without mailings of the past: a standard deviation of 25 %.
const PRIOR_SPREAD: f64 = 0.25 * 0.25;
/// Mailings from which the assumption no longer counts.
const MAILINGS_MIN: f64 = 20.0;
/// Share of the mailings that differ most, and are left out.
const TRIMMED: f64 = 0.1;
/// Mean square of a standard normal variable without the tenth of its values that are greatest.
const TRIMMED_MEAN_SQUARE: f64 = 0.622_974;
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

/// Returns the relative variance of a factor on the expected number of each mailing, for which the trimmed mean of the
/// squared standardised differences is that of a normal distribution. It is trimmed, because single incidents are no
/// measure of usual campaigns. Mailings that are missing count with [`PRIOR_SPREAD`].
fn spread(mailings: &[Deviation]) -> f64 {
    // the rates of the earlier half were less certain
    let mailings = mailings.split_at(mailings.len() / 2).1;
    let (kept, count) = kept(mailings.len());
    let trimmed_mean = |spread: f64| {
        let standardised = |one: &Deviation| {
            one.square / (one.chance + spread * one.expected * one.expected).max(f64::MIN_POSITIVE)
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
        for _ in 0..STEPS {
            let middle = f64::midpoint(low, high);
            if trimmed_mean(middle) > TRIMMED_MEAN_SQUARE {
                low = middle;
            } else {
                high = middle;
            }
        }
    }
    let missing = (1.0 - count / (1.0 - TRIMMED) / MAILINGS_MIN).max(0.0);
    low * (1.0 - missing) + PRIOR_SPREAD * missing
}

/// Returns how many of `count` mailings are not left out, at least one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a part of a count"
)]
fn kept(count: usize) -> (usize, f64) {
    let kept = (count as f64 * (1.0 - TRIMMED)).round().max(1.0);
    (kept as usize, kept)
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
        assert!((spread_of(&[200.0; 20]) - PRIOR_SPREAD / 2.0).abs() < 1e-12);
        assert!(spread_of(&[200.0; 40]).abs() < 1e-12);
        // 90 % of the mailings differ by less than 1.64 standard deviations, here by 40 of 200
        let found = spread_of(&[[160.0; 30], [240.0; 30]].concat());
        assert!((0.05..0.07).contains(&found), "{found}");
        // an incident changes nothing
        assert!(spread_of(&[&[200.0; 39][..], &[5_000.0]].concat()).abs() < 1e-12);
    }
}
