//! Bars: shares of a whole, and what remains after each step.

use super::drawing::{AXIS, BAND, CRITICAL, Color, Drawing, LINE, Svg, WARNING};
use crate::format::percent;

/// Colors of the parts of a bar, in order.
const PARTS: [Color; 4] = [CRITICAL, WARNING, LINE, AXIS];

/// One part of a stacked bar.
#[derive(Debug)]
pub(crate) struct StackPart {
    pub(crate) name: String,
    pub(crate) share: f64,
}

/// Draws shares of a whole as one bar. `id` is unique in the page.
pub(crate) fn stacked_bar(id: &str, title: &str, parts: &[StackPart]) -> Svg {
    let (width, height) = (720.0, 24.0);
    let texts: Vec<String> =
        parts.iter().map(|part| format!("{}: {}", part.name, percent(Some(part.share)))).collect();
    let mut drawing = Drawing::described(width, height, id, title, &texts.join("; "));
    let mut x = 0.0;
    for (part, color) in parts.iter().zip(PARTS) {
        let length = part.share.clamp(0.0, 1.0) * width;
        // a gap of one pixel separates the parts without color
        drawing.rect((x, 0.0), (length - 1.0, height), color);
        x += length;
    }
    drawing.finish()
}

/// Draws a share of a row.
pub(crate) fn share_bar(share: f64) -> Svg {
    let (width, height) = (80.0, 12.0);
    let mut drawing = Drawing::hidden(width, height);
    drawing.rect((0.0, 0.0), (width, height), BAND);
    drawing.rect((0.0, 0.0), (share.clamp(0.0, 1.0) * width, height), LINE);
    drawing.finish()
}

/// Draws what remains of a total after a step, and what the step removes.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub(crate) fn step_bar(left: u64, removed: u64, total: u64) -> Svg {
    let (width, height) = (160.0, 12.0);
    let mut drawing = Drawing::hidden(width, height);
    let scale = |count: u64| count as f64 / total.max(1) as f64 * width;
    drawing.rect((0.0, 0.0), (scale(left), height), LINE);
    drawing.rect((scale(left), 0.0), (scale(removed), height), BAND);
    drawing.finish()
}
