//! Rates over time: a line with its interval, thresholds, and marks; attempts below it on the same time axis.

use bouncewatch_schemas::time::{DAY_MS, format_ms};

use super::drawing::{AXIS, BAND, CRITICAL, Color, Drawing, LINE, Svg, TEXT, WARNING};
use crate::format;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 200.0;
/// Height of the chart of attempts.
const BARS_HEIGHT: f64 = 60.0;
/// Space for the axes and the names of thresholds.
const LEFT: f64 = 52.0;
const RIGHT: f64 = 84.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 22.0;
/// Most ticks of the time axis.
const TICKS_MAX: i64 = 10;

/// A rate at one time.
#[derive(Debug, Clone)]
pub(crate) struct SeriesPoint {
    /// Epoch milliseconds.
    pub(crate) at: i64,
    pub(crate) count: u64,
    pub(crate) attempts: Option<u64>,
    pub(crate) rate: Option<f64>,
    pub(crate) interval: Option<[f64; 2]>,
}

/// A mark on the time axis.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) at: i64,
    pub(crate) text: String,
}

/// Data of the charts of one metric.
#[derive(Debug)]
pub(crate) struct SeriesChart<'a> {
    /// Unique in the page.
    pub(crate) id: &'a str,
    pub(crate) title: &'a str,
    pub(crate) points: &'a [SeriesPoint],
    /// First and last time of the axis.
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) warning: f64,
    pub(crate) critical: f64,
    /// Current rates of other windows.
    pub(crate) latest: &'a [(String, f64)],
    pub(crate) marks: &'a [Mark],
    /// Start of the time of which results are incomplete or events are missing, with its name.
    pub(crate) incomplete: Option<(i64, String)>,
}

/// Positions on the axes.
struct Axes {
    from: i64,
    to: i64,
    height: f64,
    top_value: f64,
}

impl Axes {
    #[expect(clippy::cast_precision_loss, reason = "spans of time stay below 2^52 ms")]
    fn x(&self, at: i64) -> f64 {
        let share = (at - self.from) as f64 / (self.to - self.from).max(1) as f64;
        LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value / self.top_value).clamp(0.0, 1.0);
        self.height - BOTTOM - share * (self.height - BOTTOM - TOP)
    }
}

impl SeriesChart<'_> {
    fn axes(&self, height: f64, top_value: f64) -> Axes {
        Axes { from: self.from, to: self.to, height, top_value }
    }

    /// Returns first, last and highest rate, and how often the rate is at or above a threshold.
    fn description(&self) -> String {
        let rates: Vec<(i64, f64)> =
            self.points.iter().filter_map(|point| Some((point.at, point.rate?))).collect();
        let (Some(first), Some(last)) = (rates.first(), rates.last()) else {
            return "No rate is known in this period.".to_owned();
        };
        let highest = rates.iter().fold(first, |high, one| if one.1 > high.1 { one } else { high });
        let reached = rates.iter().filter(|(_, rate)| *rate >= self.warning).count();
        let at =
            |point: &(i64, f64)| format!("{} at {}", format::percent(Some(point.1)), time(point.0));
        format!(
            "First {}; last {}; highest {}. {reached} of {} points are at or above {}.",
            at(first),
            at(last),
            at(highest),
            rates.len(),
            format::threshold(self.warning)
        )
    }

    /// Draws the time axis with a tick per day, at most [`TICKS_MAX`].
    fn time_axis(&self, drawing: &mut Drawing, axes: &Axes) {
        let base = axes.height - BOTTOM;
        drawing.line((LEFT, base), (WIDTH - RIGHT, base), AXIS, "");
        let first = self.from.div_euclid(DAY_MS) + i64::from(self.from.rem_euclid(DAY_MS) > 0);
        let last = self.to.div_euclid(DAY_MS);
        let step = ((last - first + 1).max(1) + TICKS_MAX - 1) / TICKS_MAX;
        let mut day = first;
        while day <= last {
            let x = axes.x(day * DAY_MS);
            drawing.line((x, base), (x, base + 4.0), AXIS, "");
            let date: String = time(day * DAY_MS).chars().skip(5).take(5).collect();
            drawing.text((x, base + 17.0), "middle", &date, TEXT);
            day += step;
        }
    }

    /// Draws the stretch with incomplete results, and stretches without a rate.
    fn stretches(&self, drawing: &mut Drawing, axes: &Axes) {
        let mut all: Vec<(i64, i64, String)> = Vec::new();
        for pair in self.points.windows(2) {
            let [before, point] = pair else { continue };
            if point.rate.is_some() {
                continue;
            }
            let name =
                if point.attempts == Some(0) { "no mail sent" } else { "send count unknown" };
            match all.last_mut() {
                Some((_, end, known)) if *end == before.at && known == name => *end = point.at,
                _ => all.push((before.at, point.at, name.to_owned())),
            }
        }
        if let Some((start, name)) = &self.incomplete {
            all.push((*start, self.to, name.clone()));
        }
        for (start, end, name) in all {
            let (left, right) = (axes.x(start), axes.x(end));
            let (top, base) = (TOP, axes.height - BOTTOM);
            let mut x = left;
            while x < right {
                drawing.line(
                    (x, base),
                    ((x + 8.0).min(right), top),
                    AXIS,
                    " stroke-width=\"0.5\" stroke-dasharray=\"2 3\"",
                );
                x += 8.0;
            }
            let anchor = if left > WIDTH / 2.0 { "end" } else { "start" };
            let at = if left > WIDTH / 2.0 { right - 2.0 } else { left + 2.0 };
            drawing.text((at, TOP + 10.0), anchor, &name, TEXT);
        }
    }

    fn marks(&self, drawing: &mut Drawing, axes: &Axes) {
        for (at, mark) in self.marks.iter().enumerate() {
            let x = axes.x(mark.at);
            drawing.line((x, TOP), (x, axes.height - BOTTOM), AXIS, " stroke-dasharray=\"1 3\"");
            // neighbours at different heights
            let y = TOP + 22.0 + if at % 2 == 0 { 0.0 } else { 13.0 };
            let is_right = x > WIDTH / 2.0;
            let (anchor, x) = if is_right { ("end", x - 3.0) } else { ("start", x + 3.0) };
            drawing.text((x, y), anchor, &mark.text, TEXT);
        }
    }
}

fn time(ms: i64) -> String {
    format::minute(&format_ms(ms))
}

/// Runs of points with a rate; the line is not joined where a rate is unknown.
fn runs(points: &[SeriesPoint]) -> Vec<Vec<(&SeriesPoint, f64)>> {
    let mut runs: Vec<Vec<(&SeriesPoint, f64)>> = Vec::new();
    let mut is_open = false;
    for point in points {
        let Some(rate) = point.rate else {
            is_open = false;
            continue;
        };
        match runs.last_mut().filter(|_| is_open) {
            Some(run) => run.push((point, rate)),
            None => runs.push(vec![(point, rate)]),
        }
        is_open = true;
    }
    runs
}

/// Draws a rate over time.
pub(crate) fn series_chart(chart: &SeriesChart<'_>) -> Svg {
    let highest = chart.points.iter().filter_map(|point| point.rate).fold(0.0, f64::max);
    let upper =
        chart.points.iter().filter_map(|point| Some(point.interval?[1])).fold(0.0, f64::max);
    // a wide interval of few attempts does not flatten the line
    let top_value =
        (1.25 * chart.critical).max(1.05 * highest).max(upper.min(2.0 * chart.critical));
    let axes = chart.axes(HEIGHT, top_value);
    let mut drawing =
        Drawing::described(WIDTH, HEIGHT, chart.id, chart.title, &chart.description());
    let runs = runs(chart.points);
    for run in &runs {
        let bound = |at: usize, (point, rate): &(&SeriesPoint, f64)| {
            let value = point.interval.map_or(*rate, |interval| interval[at]);
            (axes.x(point.at), axes.y(value))
        };
        let lower = run.iter().map(|one| bound(0, one));
        let points: Vec<(f64, f64)> =
            lower.chain(run.iter().rev().map(|one| bound(1, one))).collect();
        drawing.area(&points, BAND);
    }
    chart.stretches(&mut drawing, &axes);
    chart.time_axis(&mut drawing, &axes);
    let right = WIDTH - RIGHT;
    let labels = [(chart.warning, WARNING, "warning"), (chart.critical, CRITICAL, "critical")];
    for (threshold, color, name) in labels {
        let y = axes.y(threshold);
        let dash = if name == "critical" { " stroke-dasharray=\"6 3\"" } else { "" };
        drawing.line((LEFT, y), (right, y), color, dash);
        drawing.text(
            (right + 4.0, y + 4.0),
            "start",
            &format!("{name} {}", format::threshold(threshold)),
            color,
        );
    }
    for value in [0.0, chart.warning, chart.critical, top_value] {
        drawing.text((LEFT - 4.0, axes.y(value) + 4.0), "end", &format::trimmed(value, 2), TEXT);
    }
    for run in &runs {
        let points: Vec<(f64, f64)> =
            run.iter().map(|(point, rate)| (axes.x(point.at), axes.y(*rate))).collect();
        match points.as_slice() {
            [only] => drawing.dot(*only, 2.0, LINE, true),
            several => drawing.path(several, LINE, " stroke-width=\"2\""),
        }
    }
    latest(&mut drawing, &axes, chart);
    chart.marks(&mut drawing, &axes);
    drawing.finish()
}

/// Draws the current rates of other windows at the right end, with names that do not overlap.
fn latest(drawing: &mut Drawing, axes: &Axes, chart: &SeriesChart<'_>) {
    let mut taken: Vec<f64> = [chart.warning, chart.critical].map(|rate| axes.y(rate)).to_vec();
    for (name, rate) in chart.latest {
        let (x, y) = (axes.x(chart.to), axes.y(*rate));
        drawing.dot((x, y), 3.0, LINE, false);
        let mut label = y;
        while taken.iter().any(|other| (other - label).abs() < 12.0) && label > TOP {
            label -= 4.0;
        }
        taken.push(label);
        drawing.text((WIDTH - RIGHT + 6.0, label + 4.0), "start", name, TEXT);
    }
}

/// Draws the attempts of each window as bars.
pub(crate) fn attempts_chart(chart: &SeriesChart<'_>) -> Svg {
    let value = |point: &SeriesPoint| point.attempts;
    bars(chart, value, LINE, "attempts")
}

/// Draws the count of each window as bars, if no rate is known.
pub(crate) fn count_chart(chart: &SeriesChart<'_>, noun: &str) -> Svg {
    bars(chart, |point| Some(point.count), CRITICAL, noun)
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn bars(
    chart: &SeriesChart<'_>,
    value: impl Fn(&SeriesPoint) -> Option<u64>,
    color: Color,
    noun: &str,
) -> Svg {
    let most = chart.points.iter().filter_map(&value).max().unwrap_or_default();
    let axes = chart.axes(BARS_HEIGHT, most.max(1) as f64);
    let description = format!("At most {} {noun} in one window.", format::number(most));
    let mut drawing = Drawing::described(
        WIDTH,
        BARS_HEIGHT,
        &format!("{}-n", chart.id),
        &format!("{}: {noun}", chart.title),
        &description,
    );
    let width = ((WIDTH - LEFT - RIGHT) / chart.points.len().max(1) as f64 - 0.5).clamp(0.5, 24.0);
    let base = BARS_HEIGHT - BOTTOM;
    // one element for all bars
    let mut points = Vec::new();
    for point in chart.points {
        let Some(value) = value(point) else { continue };
        let (x, y) = (axes.x(point.at), axes.y(value as f64));
        points.extend([(x - width, base), (x - width, y), (x, y), (x, base)]);
    }
    if !points.is_empty() {
        drawing.area(&points, color);
    }
    chart.time_axis(&mut drawing, &axes);
    drawing.text((LEFT - 4.0, TOP + 4.0), "end", &format::number(most), TEXT);
    drawing.text((WIDTH - RIGHT + 4.0, base), "start", noun, TEXT);
    drawing.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(hour: i64, rate: Option<f64>) -> SeriesPoint {
        SeriesPoint {
            at: hour * 3_600_000,
            count: 1,
            attempts: rate.map(|_| 100),
            rate,
            interval: rate.map(|rate| [rate / 2.0, rate * 2.0]),
        }
    }

    #[test]
    fn line_is_not_joined_over_unknown_rates() {
        let points = [
            point(1, Some(0.01)),
            point(2, Some(0.02)),
            point(3, None),
            point(4, Some(0.03)),
            point(5, Some(0.02)),
        ];
        let runs = runs(&points);
        assert_eq!(runs.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
        let chart = SeriesChart {
            id: "c",
            title: "bounce rate",
            points: &points,
            from: 0,
            to: 6 * 3_600_000,
            warning: 0.05,
            critical: 0.1,
            latest: &[],
            marks: &[],
            incomplete: None,
        };
        let svg = series_chart(&chart).to_string();
        assert!(svg.contains("send count unknown"), "{svg}");
        assert!(svg.contains("highest 3.00 %"), "{svg}");
        assert_eq!(svg.matches("stroke-width=\"2\"").count(), 2, "{svg}");
    }
}
