//! Rate, confidence interval and headroom. No I/O.

/// 97.5 % quantile of the standard normal distribution, for two-sided 95 % intervals.
const Z: f64 = 1.959_963_984_540_054;

/// Returns the 95 % Wilson score interval of `count` out of `n`; `None` if `n` is 0.
///
/// Unlike the normal approximation, it stays within 0 to 1 and holds for small `n` (E. B. Wilson, "Probable Inference,
/// the Law of Succession, and Statistical Inference", 1927).
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub fn wilson(count: u64, n: u64) -> Option<[f64; 2]> {
    if n == 0 {
        return None;
    }
    // late feedback can exceed the attempts of a window; use the interval of 100 %
    let (count, n) = (count.min(n) as f64, n as f64);
    let p = count / n;
    let z2 = Z * Z;
    let centre = p + z2 / (2.0 * n);
    let spread = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z2 / n;
    // exactly 0 for no count and 1 for a full count; floating point would be slightly off
    let low = if count > 0.0 { ((centre - spread) / scale).max(0.0) } else { 0.0 };
    let high = if count < n { ((centre + spread) / scale).min(1.0) } else { 1.0 };
    Some([low, high])
}

/// Returns `count` divided by `n`; `None` if `n` is 0.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub fn rate(count: u64, n: u64) -> Option<f64> {
    (n > 0).then(|| count as f64 / n as f64)
}

/// Returns how many more bounces or complaints reach a threshold at the same attempts; 0 if it is
/// already reached.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts stay far below 2^52, thresholds lie between 0 and 1"
)]
pub fn headroom(count: u64, n: u64, threshold: f64) -> u64 {
    // smallest count with a rate at or above the threshold; rounding may put the estimate off by one
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
    fn wilson_equals_r_binom() {
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
        // late feedback exceeds the attempts
        assert_eq!(wilson(30, 20), wilson(20, 20));
    }

    #[test]
    fn wilson_interval_ends_at_exactly_0_and_1() {
        for n in 1..2_000 {
            assert_eq!(wilson(0, n).unwrap()[0].to_bits(), 0.0_f64.to_bits(), "{n}");
            assert_eq!(wilson(n, n).unwrap()[1].to_bits(), 1.0_f64.to_bits(), "{n}");
        }
    }

    #[test]
    fn headroom_counts_up_to_the_threshold() {
        assert_eq!(headroom(612, 10_000, 0.10), 388);
        assert_eq!(headroom(612, 10_000, 0.05), 0);
        assert_eq!(headroom(0, 1_000, 0.001), 1);
        assert_eq!(headroom(0, 10, 0.05), 1);
        // the product is rounded up: 0.07 * 100 is more than 7
        assert_eq!(headroom(0, 100, 0.07), 7);
        // the product is rounded down
        let threshold = (1.0_f64 / 3.0).next_up();
        assert!(rate(1, 3).unwrap() < threshold);
        assert_eq!(headroom(0, 3, threshold), 2);
    }

    proptest::proptest! {
        #[test]
        fn headroom_is_the_smallest_count_that_reaches_the_threshold(
            n in 1u64..50_000,
            count in 0u64..5_000,
            threshold in 0.0001f64..0.5,
        ) {
            let more = headroom(count, n, threshold);
            let reached = |count: u64| rate(count, n).unwrap() >= threshold;
            proptest::prop_assert!(reached(count + more));
            proptest::prop_assert!(more == 0 || !reached(count + more - 1));
        }

        #[test]
        fn wilson_interval_contains_the_rate(n in 1u64..100_000, share in 0.0f64..1.0) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "small test values"
            )]
            let count = (n as f64 * share) as u64;
            let [low, high] = wilson(count, n).unwrap();
            let rate = rate(count, n).unwrap();
            proptest::prop_assert!(low <= rate + 1e-12 && rate <= high + 1e-12);
            proptest::prop_assert!(low >= 0.0 && high <= 1.0);
        }
    }
}
