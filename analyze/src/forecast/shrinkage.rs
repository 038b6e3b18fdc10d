//! Empirical Bayes for rates: a Beta prior, and the shrinkage of groups toward their common mean.
//! No I/O.

/// Prior or posterior of a rate: a Beta distribution, given by its mean and its weight in attempts (`a + b`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BetaRate {
    pub(crate) mean: f64,
    pub(crate) weight: f64,
}

impl BetaRate {
    /// Returns the posterior after `count` results in `attempts`; both can be weighted.
    pub(crate) fn after(self, count: f64, attempts: f64) -> Self {
        let weight = self.weight + attempts;
        Self { mean: (self.mean * self.weight + count) / weight, weight }
    }

    /// Returns the variance: `m (1 - m) / (weight + 1)`.
    pub(crate) fn variance(self) -> f64 {
        self.mean * (1.0 - self.mean) / (self.weight + 1.0)
    }
}

/// Range of the prior weight, in attempts: small for different groups, large for similar groups.
const WEIGHT_RANGE: (f64, f64) = (2.0, 2_000.0);
/// Minimum number of groups to estimate the weight.
const GROUPS_MIN: f64 = 5.0;

/// Estimates the prior weight of the common mean of groups, from `(count, attempts)` of each group.
///
/// Method of moments for the beta-binomial distribution (J. C. Kleinman, "Proportions with
/// extraneous variance", 1973). Returns `default` if there are too few groups.
pub(crate) fn estimate_prior_weight(
    groups: impl Iterator<Item = (f64, f64)> + Clone,
    default: f64,
) -> f64 {
    let (mut number, mut count, mut attempts, mut squares) = (0.0, 0.0, 0.0, 0.0);
    let known = groups.filter(|(_, attempts)| *attempts > 0.0);
    for (of_group, n) in known.clone() {
        number += 1.0;
        count += of_group;
        attempts += n;
        squares += n * n;
    }
    if number < GROUPS_MIN || count <= 0.0 || count >= attempts {
        return default;
    }
    let mean = count / attempts;
    let spread: f64 = known.map(|(count, n)| n * (count / n - mean).powi(2)).sum();
    let binomial = mean * (1.0 - mean);
    let excess = spread - binomial * (number - 1.0);
    let scale = binomial * (attempts - squares / attempts - number + 1.0);
    if excess <= 0.0 || scale <= 0.0 {
        return WEIGHT_RANGE.1;
    }
    let correlation = (excess / scale).min(1.0);
    (1.0 / correlation - 1.0).clamp(WEIGHT_RANGE.0, WEIGHT_RANGE.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn posterior_moves_from_the_prior_to_the_data() {
        let prior = BetaRate { mean: 0.05, weight: 10.0 };
        for (count, attempts, mean) in [(0.0, 0.0, 0.05), (0.0, 10.0, 0.025), (40.0, 990.0, 0.0405)]
        {
            let found = prior.after(count, attempts);
            assert!((found.mean - mean).abs() < 1e-9, "{count} of {attempts}: {found:?}");
        }
        assert!((prior.variance() - 0.05 * 0.95 / 11.0).abs() < 1e-12);
    }

    #[test]
    fn weight_is_small_for_different_groups_and_large_for_equal_ones() {
        let weight = |groups: &[(f64, f64)]| estimate_prior_weight(groups.iter().copied(), 30.0);
        let equal = [(5.0, 100.0); 20];
        let different: Vec<_> = (0..20).map(|n| (f64::from(n % 2) * 50.0, 100.0)).collect();
        assert!((weight(&equal) - 2_000.0).abs() < 1e-9);
        assert!(weight(&different) < 4.0);
        for too_few in [&[(1.0, 10.0); 4][..], &[(0.0, 10.0); 9], &[(10.0, 10.0); 9]] {
            assert!((weight(too_few) - 30.0).abs() < 1e-9, "{too_few:?}");
        }
    }
}
