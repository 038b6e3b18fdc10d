//! Rates over time as a line of bars, for terminals.

use std::collections::HashMap;

use bouncewatch_schemas::time::DAY_MS;

use crate::check::{CheckRequest, Verdict};
use crate::error::AnalyzeError;
use crate::report::rates::{RateRow, ReportRequest, report};
use crate::timeline::Grouping;

/// Number of bars in a line.
pub(crate) const BARS: usize = 14;
/// Number of days of a trend with one rate per day.
pub(crate) const TREND_DAYS: i64 = 14;
/// Bars by height.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Returns one bar per rate, on a scale from 0 to the critical threshold; `·` for an unknown rate.
pub(crate) fn bars(rates: impl Iterator<Item = Option<f64>>, critical: f64) -> String {
    let bar = |rate: Option<f64>| {
        let Some(rate) = rate else { return '·' };
        let height = HEIGHTS
            .iter()
            .zip(1_u8..)
            .take_while(|(_, eighths)| rate / critical * 8.0 >= f64::from(*eighths));
        height.last().map_or(HEIGHTS[0], |(bar, _)| *bar)
    };
    rates.map(bar).collect()
}

/// Returns the parameters of a report of the rates of a check at the end of each of the last
/// [`TREND_DAYS`] days.
pub(crate) fn daily_report(check: &CheckRequest, groupings: Vec<Grouping>) -> ReportRequest {
    ReportRequest {
        store: check.store.clone(),
        service: check.service,
        from: check.at.saturating_sub(TREND_DAYS * DAY_MS),
        to: check.at,
        every: DAY_MS,
        windows: check.windows.clone(),
        basis: check.basis,
        counted_from: check.counted_from,
        groupings,
        top: None,
        own_domains: check.own_domains.clone(),
    }
}

/// Bounce and complaint rates of a scope and window at the end of each day.
type DailyRates = Vec<(Option<f64>, Option<f64>)>;

/// Rates of the scopes and windows of a check at the end of each of the last 14 days.
#[derive(Debug, Default)]
pub struct Trends(HashMap<(String, String), DailyRates>);

impl Trends {
    /// Computes the rates of the days before a check.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn load(check: &CheckRequest) -> Result<Self, AnalyzeError> {
        let groupings = [&[Grouping::account()], check.groupings.as_slice()].concat();
        let request = daily_report(check, groupings);
        let mut trends: HashMap<(String, String), DailyRates> = HashMap::new();
        for RateRow { scope, window, bounce_rate, complaint_rate, .. } in
            report(&request)?.rows.iter()
        {
            trends
                .entry((scope.to_string(), window))
                .or_default()
                .push((bounce_rate, complaint_rate));
        }
        Ok(Self(trends))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the bars of the rate of a verdict; empty if there are none.
    pub(crate) fn bars(&self, verdict: &Verdict) -> String {
        let key = (verdict.scope.to_string(), verdict.window.clone());
        let Some(days) = self.0.get(&key) else { return String::new() };
        let is_bounce = verdict.metric == "bounce_rate";
        let rates =
            days.iter().map(|(bounce, complaint)| if is_bounce { *bounce } else { *complaint });
        bars(rates, verdict.critical)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_eight_heights_up_to_the_critical_threshold() {
        let rates = [
            None,
            Some(0.0),
            Some(0.0124),
            Some(0.025),
            Some(0.05),
            Some(0.0999),
            Some(0.1),
            Some(1.0),
        ];
        assert_eq!(bars(rates.into_iter(), 0.1), "·▁▁▂▄▇██");
    }
}
