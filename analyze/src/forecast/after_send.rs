//! Rates of the account in each window after a list is sent. No I/O besides the scan.

use serde::Serialize;

use crate::check::CheckRequest;
use crate::check::level::{AlertLevel, ScopeKind, assess};
use crate::check::thresholds::Limits;
use crate::check::verdict::{BOUNCES, COMPLAINTS, Metric};
use crate::error::AnalyzeError;
use crate::forecast::totals::ExpectedCount;
use crate::scan::{History, HistoryQuery, LoadRequest, StoreScan, load_history};
use crate::timeline::{
    Grouping, Scope, Timeline, Window, WindowSpan, measure_span, measure_window,
};

/// One rate of the account in a window, now and after the list is sent.
#[derive(Debug, Clone, Serialize)]
pub struct WindowForecast {
    /// `bounce_rate` or `complaint_rate`.
    pub metric: &'static str,
    /// Account and region.
    pub scope: Scope,
    /// The window.
    pub window: String,
    /// Rate now; null without attempts.
    pub rate_now: Option<f64>,
    /// Level now.
    pub level_now: AlertLevel,
    /// Attempts in the window after the list is sent; null if unknown.
    pub attempts: Option<u64>,
    /// Rate after the list is sent.
    pub rate: Option<f64>,
    /// Level at this rate.
    pub level: AlertLevel,
    /// Rates at the ends of the 90 % interval.
    pub rate_interval: Option<[f64; 2]>,
    /// Level at the upper end.
    pub level_upper: AlertLevel,
    /// Warning threshold.
    pub warning: f64,
}

/// The properties of a list that the windows depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlannedSend {
    /// Addresses that SES counts.
    pub(crate) attempts: u64,
    pub(crate) bounces: ExpectedCount,
    pub(crate) complaints: ExpectedCount,
    /// Duration of the send, milliseconds.
    pub(crate) over_ms: i64,
}

/// Returns the windows of each account after a list is sent, and after a part of it is sent. If the
/// store has no account, returns the windows of one account without mail.
///
/// # Errors
/// If the store cannot be read.
pub(crate) fn windows_after(
    request: &CheckRequest,
    scan: &StoreScan,
    all: PlannedSend,
    part: Option<PlannedSend>,
) -> Result<(Vec<WindowForecast>, Vec<WindowForecast>), AnalyzeError> {
    let history = load(request, scan, std::iter::once(all).chain(part))?;
    let after = |send| windows_of(request, &history, send);
    Ok((after(all), part.map(after).unwrap_or_default()))
}

fn windows_of(request: &CheckRequest, history: &History, send: PlannedSend) -> Vec<WindowForecast> {
    let (grouping, none) = (Grouping::account(), Timeline::new(request.service));
    let mut accounts: Vec<(Scope, &Timeline)> = Vec::new();
    for (values, timeline) in history.by_grouping.iter().flatten() {
        accounts.push((Scope::new(&grouping, values), timeline));
    }
    if accounts.is_empty() {
        accounts.push((Scope::new(&grouping, &vec![None, None]), &none));
    }
    let mut windows = Vec::new();
    for (scope, timeline) in &accounts {
        for window in &request.windows {
            for (metric, expected) in [(BOUNCES, send.bounces), (COMPLAINTS, send.complaints)] {
                let account = AccountWindow { request, scope, timeline, window, metric };
                windows.push(account.after(send, expected));
            }
        }
    }
    windows
}

/// Loads the mail of the windows, and of the part of each window that remains after each send.
fn load(
    request: &CheckRequest,
    scan: &StoreScan,
    sends: impl Iterator<Item = PlannedSend>,
) -> Result<History, AnalyzeError> {
    let mut windows = request.windows.clone();
    for send in sends {
        windows.extend(request.windows.iter().filter_map(|one| remaining_window(one, send)));
    }
    let query = HistoryQuery {
        groupings: &[Grouping::account()],
        basis: request.basis,
        counted_from: request.counted_from,
    };
    load_history(
        scan,
        &LoadRequest {
            query,
            evaluated: 1,
            windows: &windows,
            ends: &[request.at],
            boundaries: &|_, _, _| Vec::new(),
            lookback_ms: 0,
        },
    )
}

/// Returns the part of a window that ends now and is still in the window after the send; `None` if there is none.
fn remaining_window(window: &Window, send: PlannedSend) -> Option<Window> {
    let text = match window.span() {
        WindowSpan::Millis(ms) => format!("{}ms", ms - send.over_ms),
        WindowSpan::Attempts(n) => format!("volume:{}", n.checked_sub(send.attempts)?),
    };
    // a window of length 0 is not a window
    text.parse().ok()
}

/// Returns the share of the list that is inside a window at the end of the send.
#[expect(clippy::cast_precision_loss, reason = "counts and durations stay far below 2^52")]
fn share_in_window(window: &Window, send: PlannedSend) -> f64 {
    let (length, sent) = match window.span() {
        WindowSpan::Millis(ms) => (ms as f64, send.over_ms as f64),
        WindowSpan::Attempts(n) => (n as f64, send.attempts as f64),
    };
    if sent > length { length / sent } else { 1.0 }
}

struct AccountWindow<'a> {
    request: &'a CheckRequest,
    scope: &'a Scope,
    timeline: &'a Timeline,
    window: &'a Window,
    metric: Metric,
}

impl AccountWindow<'_> {
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    fn after(&self, send: PlannedSend, expected: ExpectedCount) -> WindowForecast {
        let Self { request, scope, timeline, window, metric } = *self;
        let default = Limits {
            thresholds: (metric.thresholds)(request),
            minimum_volume: request.minimum_volume,
        };
        let limits = request.rules.limits(metric.name, scope, default);
        let level = |count, attempts| assess(count, attempts, limits, ScopeKind::Account);
        let now = measure_window(timeline, window, request.at);
        let assessed_now = level((metric.count)(&now.counts), now.counts.attempts);
        let share = share_in_window(window, send);
        let remaining = match remaining_window(window, send) {
            Some(rest) => measure_window(timeline, &rest, request.at),
            None => measure_span(timeline, request.at, request.at),
        };
        let sent = scaled(send.attempts as f64, share);
        // an account without events has 0 attempts: the list is the only mail in the window
        let is_empty = timeline.times.is_empty();
        let attempts = remaining.counts.attempts.or(is_empty.then_some(0)).map(|n| n + sent);
        let count = |bounces: f64| (metric.count)(&remaining.counts) + scaled(bounces, share);
        let of = |bounces: f64| level(count(bounces), attempts);
        let (after, low, high) =
            (of(expected.expected), of(expected.interval[0]), of(expected.interval[1]));
        WindowForecast {
            metric: metric.name,
            scope: scope.clone(),
            window: window.to_string(),
            rate_now: assessed_now.rate,
            level_now: assessed_now.level,
            attempts,
            rate: after.rate,
            level: after.level,
            rate_interval: low.rate.zip(high.rate).map(|(low, high)| [low, high]),
            level_upper: high.level,
            warning: limits.thresholds.warning,
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
fn scaled(count: f64, share: f64) -> u64 {
    (count * share).round().max(0.0) as u64
}
