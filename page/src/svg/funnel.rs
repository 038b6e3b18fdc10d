//! Rate against attempts, with the rates from which a group of that size is significantly above a threshold
//! (Spiegelhalter, "Funnel plots for comparing institutional performance", 2005).

use super::drawing::{AXIS, CRITICAL, Drawing, LINE, Svg, TEXT, WARNING};

/// Square of the 97.5 % quantile of the standard normal distribution.
const Z2: f64 = 1.959_963_984_540_054 * 1.959_963_984_540_054;
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 240.0;
/// Space for the axes.
const LEFT: f64 = 48.0;
const RIGHT: f64 = 110.0;
const BOTTOM: f64 = 30.0;
const TOP: f64 = 10.0;
const DOT_RADIUS: f64 = 3.0;
/// Maximum number of dots with a label.
const LABELS_MAX: usize = 8;
/// Assumed width of a label, so that labels do not overlap.
const LABEL_WIDTH: f64 = 150.0;
/// Number of points of a limit curve.
const LIMIT_POINTS: u32 = 40;

/// A group in the plot.
#[derive(Debug)]
pub(crate) struct FunnelDot {
    pub(crate) name: String,
    pub(crate) attempts: f64,
    pub(crate) rate: f64,
    /// Whether the rate is significantly at or above the warning threshold.
    pub(crate) is_above: bool,
}

/// Returns the smallest rate of `n` attempts with a Wilson interval above a threshold.
fn limit(threshold: f64, n: f64) -> f64 {
    // the lower bound of Wilson's interval of p is t if (p - t)^2 = z^2 t (1 - t) / n
    threshold + (Z2 * threshold * (1.0 - threshold) / n).sqrt()
}

/// Draws groups by attempts and rate. `id` is unique in the page.
pub(crate) fn funnel(
    id: &str,
    title: &str,
    text: &str,
    dots: &[FunnelDot],
    thresholds: [f64; 2],
) -> Svg {
    let [warning, critical] = thresholds;
    let most = dots.iter().map(|dot| dot.attempts).fold(10.0, f64::max);
    let (first, last) = (1.0_f64, most.log10().ceil().max(1.0));
    let scale = 2.0 * critical;
    let x = |attempts: f64| {
        let position = (attempts.max(1.0).log10() / (last - first + 1.0)).clamp(0.0, 1.0);
        LEFT + position * (WIDTH - LEFT - RIGHT)
    };
    let y = |rate: f64| HEIGHT - BOTTOM - (rate / scale).clamp(0.0, 1.0) * (HEIGHT - BOTTOM - TOP);
    let mut drawing = Drawing::described(WIDTH, HEIGHT, id, title, text);
    let (left, right, base) = (LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM);
    drawing.line((left, base), (right, base), AXIS, "");
    drawing.line((left, TOP), (left, base), AXIS, "");
    let mut power = 1.0;
    while power <= most * 1.001 {
        drawing.text((x(power), base + 14.0), "middle", &format!("{power}"), TEXT);
        power *= 10.0;
    }
    drawing.text((f64::midpoint(left, right), HEIGHT - 2.0), "middle", "attempts", TEXT);
    for rate in [0.0, warning, critical, scale] {
        drawing.text((left - 4.0, y(rate) + 4.0), "end", &crate::format::threshold(rate), TEXT);
    }
    for (threshold, color, name) in
        [(warning, WARNING, "above warning"), (critical, CRITICAL, "above critical")]
    {
        let points: Vec<(f64, f64)> = (0..=LIMIT_POINTS)
            .map(|at| 10_f64.powf(f64::from(at) / f64::from(LIMIT_POINTS) * last))
            .filter(|attempts| limit(threshold, *attempts) <= scale)
            .map(|attempts| (x(attempts), y(limit(threshold, attempts))))
            .collect();
        drawing.path(&points, color, " stroke-dasharray=\"4 2\"");
        let end = points.last().map_or(base, |(_, y)| *y);
        drawing.text((right + 4.0, end + 4.0), "start", name, color);
    }
    let dot_id = format!("{id}d");
    drawing.define(&dot_id, |drawing| drawing.dot((0.0, 0.0), DOT_RADIUS, LINE, false));
    let mut labels: Vec<(f64, f64)> = Vec::new();
    for dot in dots {
        let at = (x(dot.attempts), y(dot.rate));
        if dot.is_above {
            drawing.dot(at, DOT_RADIUS, CRITICAL, true);
        } else {
            drawing.reference(&dot_id, at);
        }
        if dot.is_above && labels.len() < LABELS_MAX {
            let mut label = (at.0 + 6.0, at.1 + 4.0);
            let overlaps = |label: (f64, f64)| {
                labels.iter().any(|other| {
                    (other.0 - label.0).abs() < LABEL_WIDTH && (other.1 - label.1).abs() < 12.0
                })
            };
            while overlaps(label) && label.1 < base {
                label.1 += 12.0;
            }
            labels.push(label);
            drawing.text(label, "start", &dot.name, TEXT);
        }
    }
    drawing.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_is_the_rate_with_its_wilson_lower_bound_at_the_threshold() {
        for (threshold, n) in [(0.05, 957.0), (0.1, 50.0), (0.001, 10_000.0)] {
            let p = limit(threshold, n);
            let centre = p + Z2 / (2.0 * n);
            let spread = (Z2 * (p * (1.0 - p) / n + Z2 / (4.0 * n * n))).sqrt();
            let low = (centre - spread) / (1.0 + Z2 / n);
            assert!((low - threshold).abs() < 1e-9, "{threshold} {n}: {low}");
        }
    }
}
