//! Charts in rows of tables: a rate on its scale, and a trend. Their numbers are in the row.

use super::drawing::{AXIS, CRITICAL, Color, Drawing, LINE, Svg, TEXT, UNFILLED, WARNING};

/// The scale of the bullets of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BulletScale {
    pub(crate) warning: f64,
    pub(crate) critical: f64,
    /// Rate at the right end.
    pub(crate) end: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// A rate with its interval.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bullet {
    pub(crate) rate: f64,
    pub(crate) interval: [f64; 2],
    /// Rate of the previous period.
    pub(crate) before: Option<f64>,
}

impl BulletScale {
    fn x(&self, rate: f64) -> f64 {
        2.0 + (rate / self.end).clamp(0.0, 1.0) * (self.width - 4.0)
    }

    /// Draws the axis and the thresholds as ticks.
    fn draw(&self, drawing: &mut Drawing) {
        let Self { width, height, .. } = *self;
        drawing.line((0.0, height - 1.0), (width, height - 1.0), AXIS, "");
        let (warning, critical) = (self.x(self.warning), self.x(self.critical));
        drawing.line((warning, 0.0), (warning, height), WARNING, "");
        drawing.line((critical, 0.0), (critical, height), CRITICAL, " stroke-dasharray=\"3 2\"");
    }

    /// Draws the dot of a rate.
    fn draw_dot(&self, drawing: &mut Drawing, x: f64, color: Color) {
        drawing.dot((x, self.height / 2.0), self.height / 5.0, color, true);
    }
}

/// Draws what the bullets of a table have in common, once; [`bullet`] refers to it by its ID, which is unique in the page.
pub(crate) fn bullet_scale(scale: &BulletScale, id: &str) -> Svg {
    let mut drawing = Drawing::definitions();
    drawing.define(id, |drawing| scale.draw(drawing));
    drawing.define(&dot_id(id), |drawing| scale.draw_dot(drawing, 0.0, LINE));
    drawing.finish()
}

fn dot_id(scale_id: &str) -> String {
    format!("{scale_id}d")
}

/// Draws a rate as a dot, its interval as a line, and the previous period as a triangle. `id` is that of the scale;
/// `None` draws the scale too.
pub(crate) fn bullet(bullet: &Bullet, scale: &BulletScale, id: Option<&str>) -> Svg {
    let BulletScale { width, height, .. } = *scale;
    let mut drawing = Drawing::hidden(width, height);
    match id {
        Some(id) => drawing.reference(id, (0.0, 0.0)),
        None => scale.draw(&mut drawing),
    }
    let middle = height / 2.0;
    let [low, high] = bullet.interval.map(|rate| scale.x(rate));
    drawing.line((low, middle), (high.max(low + 1.0), middle), LINE, " stroke-width=\"3\"");
    if let Some(before) = bullet.before {
        let (at, size) = (scale.x(before), height / 5.0);
        let (base, top) = (height - 2.0, height - 2.0 - 1.6 * size);
        drawing.path(
            &[(at - size, base), (at + size, base), (at, top), (at - size, base)],
            TEXT,
            UNFILLED,
        );
    }
    let rate = scale.x(bullet.rate);
    match (bullet.interval[0], id) {
        (low, _) if low > scale.critical => scale.draw_dot(&mut drawing, rate, CRITICAL),
        (low, _) if low > scale.warning => scale.draw_dot(&mut drawing, rate, WARNING),
        (_, Some(id)) => drawing.reference(&dot_id(id), (rate, 0.0)),
        (_, None) => scale.draw_dot(&mut drawing, rate, LINE),
    }
    drawing.finish()
}

/// Draws rates over time on a scale from 0 to `scale`; unknown rates are gaps. `None` without two rates.
pub(crate) fn sparkline(rates: &[Option<f64>], scale: f64, width: f64, height: f64) -> Option<Svg> {
    if rates.iter().flatten().count() < 2 {
        return None;
    }
    let mut drawing = Drawing::hidden(width, height);
    #[expect(clippy::cast_precision_loss, reason = "a trend has few rates")]
    let x = |at: usize| 1.0 + at as f64 / (rates.len() - 1) as f64 * (width - 2.0);
    let y = |rate: f64| height - 1.0 - (rate / scale).clamp(0.0, 1.0) * (height - 2.0);
    let mut points = Vec::new();
    for (at, rate) in rates.iter().enumerate() {
        match rate {
            Some(rate) => points.push((x(at), y(*rate))),
            None => flush(&mut drawing, &mut points),
        }
    }
    flush(&mut drawing, &mut points);
    Some(drawing.finish())
}

fn flush(drawing: &mut Drawing, points: &mut Vec<(f64, f64)>) {
    match points.as_slice() {
        [] => {}
        [only] => drawing.dot(*only, 1.0, LINE, true),
        several => drawing.path(several, LINE, UNFILLED),
    }
    points.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparkline_has_a_gap_where_the_rate_is_unknown() {
        let rates = [Some(0.01), Some(0.02), None, Some(0.03), Some(0.04)];
        let svg = sparkline(&rates, 0.1, 60.0, 14.0).unwrap().to_string();
        assert_eq!(svg.matches("<path").count(), 2, "{svg}");
        assert!(sparkline(&[None, Some(0.1)], 0.1, 60.0, 14.0).is_none());
    }
}
