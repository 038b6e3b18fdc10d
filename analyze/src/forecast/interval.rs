//! The 90 % interval of a predicted count. No I/O.

/// 95 % quantile of the standard normal distribution, for a two-sided 90 % interval.
const Z: f64 = 1.644_853_626_951_472_6;

/// 99 % quantile, for a one-sided bound.
const Z_BOUND: f64 = 2.326_347_874_040_840_7;

/// Returns the 90 % interval of a count with the given mean and variance; the maximum is `n`.
///
/// Approximates the count by a gamma distribution with these moments, rounded to integers. If the
/// variance equals the mean, this is close to a Poisson distribution; if it is greater, to a
/// negative binomial distribution. Quantiles: E. B. Wilson and M. M. Hilferty, "The distribution of
/// chi-square", 1931.
pub(crate) fn count_interval(mean: f64, variance: f64, n: f64) -> [f64; 2] {
    if mean <= 0.0 || variance <= 0.0 {
        return [mean.max(0.0).min(n); 2];
    }
    let [low, high] = [-Z, Z].map(|z| gamma_quantile(mean, variance, z));
    [(low + 0.5).floor().min(n), high.floor().min(n)]
}

/// Returns the 99 % quantile of a count with the given mean and variance.
pub(crate) fn count_bound(mean: f64, variance: f64) -> f64 {
    if mean > 0.0 && variance > 0.0 { gamma_quantile(mean, variance, Z_BOUND) } else { mean }
}

fn gamma_quantile(mean: f64, variance: f64, z: f64) -> f64 {
    let shape = mean * mean / variance;
    let root = 1.0 - 1.0 / (9.0 * shape) + z / (3.0 * shape.sqrt());
    mean * root.max(0.0).powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quantiles of the Poisson distribution (R: `qpois`), and limits.
    #[test]
    fn interval_of_a_poisson_count_equals_its_quantiles() {
        for (mean, expected) in [
            (0.05, [0.0, 0.0]),
            (0.5, [0.0, 1.0]),
            (1.0, [0.0, 2.0]),
            (10.0, [5.0, 15.0]),
            (100.0, [84.0, 117.0]),
        ] {
            let found = count_interval(mean, mean, 1e6);
            let is_close =
                found.iter().zip(expected).all(|(one, other)| (one - other).abs() <= 1.0);
            assert!(is_close, "{mean}: {found:?}");
        }
        let fixed = count_interval(5.0, 0.0, 10.0);
        assert!(fixed.iter().all(|one| (one - 5.0).abs() < 1e-12), "{fixed:?}");
        assert!(count_interval(9.0, 400.0, 10.0)[1] <= 10.0);
    }
}
