//! Mailings of the past, and how much they differ from what was expected. No I/O.

use crate::forecast::totals::CampaignSpread;

/// Fewest attempts of a mailing that is judged.
const ATTEMPTS_MIN: f64 = 50.0;
/// Relative difference of campaigns that is assumed without mailings of the past: a standard deviation of 25 %.
const PRIOR_SPREAD: f64 = 0.25 * 0.25;
/// Sum of the squared expected numbers that weighs as much as this assumption: one mailing with 10 bounces.
const PRIOR_WEIGHT: f64 = 100.0;

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

/// Estimates how much campaigns differ: the method of moments for a factor with mean 1 on the expected number of each
/// mailing; its squared deviation is that of chance plus `spread * expected^2`.
pub(crate) fn campaign_spread<'m>(mailings: impl Iterator<Item = &'m Mailing>) -> CampaignSpread {
    let (mut bounces, mut complaints) = (SpreadSums::default(), SpreadSums::default());
    for one in mailings.filter(|one| one.is_judged && one.attempts >= ATTEMPTS_MIN) {
        bounces.add(one.bounces, one.expected, one.binomial);
        complaints.add(one.complaints, one.expected_complaints, one.expected_complaints);
    }
    CampaignSpread { bounces: bounces.spread(), complaints: complaints.spread() }
}

/// Sums over mailings.
#[derive(Debug, Default)]
struct SpreadSums {
    excess: f64,
    squares: f64,
}

impl SpreadSums {
    fn add(&mut self, observed: f64, expected: f64, variance: f64) {
        self.excess += (observed - expected).powi(2) - variance;
        self.squares += expected * expected;
    }

    fn spread(&self) -> f64 {
        let prior = PRIOR_SPREAD * PRIOR_WEIGHT;
        ((prior + self.excess) / (PRIOR_WEIGHT + self.squares)).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(bounces: &[f64]) -> f64 {
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
        assert!((spread(&[]) - PRIOR_SPREAD).abs() < 1e-12);
        assert!(spread(&[200.0, 205.0, 195.0]).abs() < 1e-12);
        // a standard deviation of a half
        let found = spread(&[100.0, 300.0, 100.0, 300.0]);
        assert!((0.24..0.26).contains(&found), "{found}");
    }
}
