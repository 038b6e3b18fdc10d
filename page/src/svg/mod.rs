//! Charts as static SVG. Colors are presentation attributes, so that charts keep them without style sheets; the style
//! sheet replaces them in dark mode.

mod bars;
mod drawing;
mod funnel;
mod series;
mod small;

pub(crate) use bars::{StackPart, share_bar, stacked_bar, step_bar};
pub(crate) use drawing::Svg;
#[cfg(test)]
pub(crate) use drawing::{AXIS, BAND, CRITICAL, LINE, TEXT, WARNING};
pub(crate) use funnel::{FunnelDot, funnel};
pub(crate) use series::{
    Mark, SeriesChart, SeriesPoint, attempts_chart, count_chart, series_chart,
};
pub(crate) use small::{Bullet, BulletScale, bullet, bullet_scale, sparkline};
