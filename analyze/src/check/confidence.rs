//! How sure a rate is, and how far it is from a threshold. Pure statistics.

/// The 97.5 % point of the normal distribution: intervals are two-sided at 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// Wilson score interval of `count` out of `n` at 95 % (Wilson 1927): unlike the normal approximation it stays inside
/// 0 to 1 and says something sensible for small n. `None` where there is no n.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub fn wilson(count: u64, n: u64) -> Option<[f64; 2]> {
    if n == 0 {
        return None;
    }
    // more feedback than attempts can be seen in a window; the interval is that of 100 %
    let (count, n) = (count.min(n) as f64, n as f64);
    let p = count / n;
    let z2 = Z * Z;
    let centre = p + z2 / (2.0 * n);
    let spread = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z2 / n;
    // the bounds at none and at all are exactly 0 and 1; floating point would miss them by a little
    let low = if count > 0.0 { ((centre - spread) / scale).max(0.0) } else { 0.0 };
    let high = if count < n { ((centre + spread) / scale).min(1.0) } else { 1.0 };
    Some([low, high])
}

/// `count` out of `n`; `None` where there is no n.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub fn rate(count: u64, n: u64) -> Option<f64> {
    (n > 0).then(|| count as f64 / n as f64)
}

/// How many more, at the same attempts, reach a threshold; 0 where it is reached.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts stay far below 2^52, thresholds lie between 0 and 1"
)]
pub fn headroom(count: u64, n: u64, threshold: f64) -> u64 {
    // the smallest count whose rate is at or over the threshold; the estimate may be off by one either way
    let mut reaching = (threshold * n as f64).ceil() as u64;
    while reaching > 0 && (reaching - 1) as f64 / n as f64 >= threshold {
        reaching -= 1;
    }
    while (reaching as f64 / n as f64) < threshold {
        reaching += 1;
    }
    reaching.saturating_sub(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_as_in_the_tables() {
        // R: binom.confint(x, n, methods = "wilson")
        for (count, n, lower, upper) in [
            (612, 10_000, 0.0566, 0.0661),
            (0, 10, 0.0, 0.2775),
            (15, 20, 0.5313, 0.8881),
            (3, 20, 0.0524, 0.3604),
        ] {
            let [low, high] = wilson(count, n).unwrap();
            assert!(
                (low - lower).abs() < 1e-4 && (high - upper).abs() < 1e-4,
                "{count}/{n}: {low} {high}"
            );
        }
        assert_eq!(wilson(1, 0), None);
    }

    #[test]
    fn headroom_at_the_same_attempts() {
        assert_eq!(headroom(612, 10_000, 0.10), 388);
        assert_eq!(headroom(612, 10_000, 0.05), 0);
        assert_eq!(headroom(0, 1_000, 0.001), 1);
        assert_eq!(headroom(0, 10, 0.05), 1);
    }

    proptest::proptest! {
        #[test]
        fn headroom_is_the_smallest_number_that_reaches(n in 1u64..50_000, count in 0u64..5_000, threshold in 0.0001f64..0.5) {
            let more = headroom(count, n, threshold);
            let reached = |count: u64| rate(count, n).unwrap() >= threshold;
            proptest::prop_assert!(reached(count + more));
            proptest::prop_assert!(more == 0 || !reached(count + more - 1));
        }

        #[test]
        fn the_interval_holds_the_rate(n in 1u64..100_000, share in 0.0f64..1.0) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a test")]
            let count = (n as f64 * share) as u64;
            let [low, high] = wilson(count, n).unwrap();
            let rate = rate(count, n).unwrap();
            proptest::prop_assert!(low <= rate + 1e-12 && rate <= high + 1e-12 && low >= 0.0 && high <= 1.0);
        }
    }
}
