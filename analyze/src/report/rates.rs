//! Rates over time and by scope.

use std::path::PathBuf;

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::format_ms;
use serde::Serialize;

use crate::check::confidence::{rate, wilson};
use crate::check::service::{is_ses, serialize_service};
use crate::error::AnalyzeError;
use crate::scan::{HistoryQuery, LoadRequest, StoreScan, Timelines, load_history};
use crate::timeline::{
    Basis, Denominator, Grouping, Scope, ScopeValues, Timeline, Window, measure_span,
    measure_window,
};

/// Most rows of a report; more may not fit into memory.
const ROWS_MAX: usize = 5_000_000;

/// Parameters of a report.
#[derive(Debug, Clone)]
pub struct ReportRequest {
    /// Folder of the store.
    pub store: PathBuf,
    /// Service to evaluate.
    pub service: Service,
    /// Start of the span, epoch milliseconds.
    pub from: i64,
    /// End of the span, epoch milliseconds; no window ends later.
    pub to: i64,
    /// Distance between the ends of windows, milliseconds.
    pub every: i64,
    /// Windows to report.
    pub windows: Vec<Window>,
    /// Time that assigns events to windows: event time or send time.
    pub basis: Basis,
    /// Events before this time are ignored, epoch milliseconds.
    pub counted_from: Option<i64>,
    /// Groupings below account and region; empty for account and region only.
    pub groupings: Vec<Grouping>,
    /// Number of scopes per grouping, those with the most bounces; `None` for all.
    pub top: Option<usize>,
    /// Verified domains; SES does not count mail to them.
    pub own_domains: Vec<String>,
}

/// Rates over time and by scope. Its JSON is a contract.
#[derive(Debug, Serialize)]
pub struct RateReport {
    /// Version of the JSON.
    pub version: u32,
    /// End of the span, RFC 3339.
    pub as_of: String,
    /// Service that was evaluated; omitted for SES.
    #[serde(serialize_with = "serialize_service", skip_serializing_if = "is_ses")]
    pub service: Service,
    /// Start of the span, RFC 3339.
    pub from: String,
    /// Distance between the ends of windows, seconds.
    pub every_seconds: f64,
    /// Number of scopes in the store.
    pub scopes: usize,
    /// Number of scopes in `rows`.
    pub scopes_shown: usize,
    /// One for each scope, window and end of a window.
    pub rows: Vec<RateRow>,
}

/// Counts and rates of one window of one scope. Rates and intervals are fractions of the attempts; unknown is null.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the JSON, see docs/src/numbers.md")]
pub struct RateRow {
    pub from: Option<String>,
    pub to: String,
    pub window: String,
    pub scope: Scope,
    pub attempts: Option<u64>,
    pub denominator: Option<Denominator>,
    pub sends: u64,
    pub deliveries: u64,
    pub bounces: u64,
    pub hard: u64,
    pub soft: u64,
    pub undetermined: u64,
    pub suppressed: u64,
    pub auto_replies: u64,
    pub complaints: u64,
    pub delays: u64,
    pub rejects: u64,
    pub rendering_failures: u64,
    /// WorkMail only: bounces of incoming mail, which are in no rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incoming_bounces: Option<u64>,
    pub bounce_rate: Option<f64>,
    pub bounce_interval: Option<[f64; 2]>,
    pub complaint_rate: Option<f64>,
    pub complaint_interval: Option<[f64; 2]>,
    pub total_bounce_rate: Option<f64>,
    pub delay_rate: Option<f64>,
    pub delivery_rate: Option<f64>,
}

/// Computes rates over time and by scope.
///
/// # Errors
/// If the store does not exist or cannot be read, the span is empty, or the report has too many rows.
pub fn report(request: &ReportRequest) -> Result<RateReport, AnalyzeError> {
    let ends = window_ends(request)?;
    if ends.is_empty() {
        return Err(AnalyzeError::Span(
            "no window ends between --from and --to\n  hint: use an --every that is shorter than the span"
                .to_owned(),
        ));
    }
    StoreScan::run(&request.store, request.service, &request.own_domains, |scan| {
        report_scan(request, &ends, scan)
    })
}

fn report_scan(
    request: &ReportRequest,
    ends: &[i64],
    scan: &StoreScan,
) -> Result<RateReport, AnalyzeError> {
    let groupings = if request.groupings.is_empty() {
        vec![Grouping::account()]
    } else {
        request.groupings.clone()
    };
    let load_request = LoadRequest {
        query: HistoryQuery {
            groupings: &groupings,
            basis: request.basis,
            counted_from: request.counted_from,
        },
        evaluated: groupings.len(),
        windows: &request.windows,
        ends,
        // `--top` ranks scopes by the bounces of the complete span
        boundaries: &|_, _, _| vec![request.from, request.to],
        lookback_ms: 0,
    };
    let history = load_history(scan, &load_request)?;
    let mut report = RateReport {
        version: 1,
        as_of: format_ms(request.to),
        service: request.service,
        from: format_ms(request.from),
        #[expect(
            clippy::cast_precision_loss,
            reason = "a span of time in milliseconds stays below 2^52"
        )]
        every_seconds: request.every as f64 / 1_000.0,
        scopes: history.by_grouping.iter().map(Timelines::len).sum(),
        scopes_shown: 0,
        rows: Vec::new(),
    };
    for (grouping, timelines) in groupings.iter().zip(&history.by_grouping) {
        let shown = top_scopes(timelines, request);
        report.scopes_shown += shown.len();
        let rows = report.rows.len() + shown.len() * ends.len() * request.windows.len();
        if rows > ROWS_MAX {
            return Err(AnalyzeError::Span(format!(
                "the report has {rows} rows, more than the maximum of {ROWS_MAX}\n  hint: report fewer scopes with --top N, or use a longer --every"
            )));
        }
        for (values, timeline) in shown {
            for window in &request.windows {
                let scope = Scope::new(grouping, values);
                report.rows.extend(ends.iter().map(|to| row(timeline, window, &scope, *to)));
            }
        }
    }
    Ok(report)
}

/// Returns the ends of the windows, epoch milliseconds, ascending.
fn window_ends(request: &ReportRequest) -> Result<Vec<i64>, AnalyzeError> {
    if request.from >= request.to {
        return Err(AnalyzeError::Span("--from must be before --to".to_owned()));
    }
    let steps = usize::try_from((request.to - request.from) / request.every).unwrap_or(usize::MAX);
    if steps > ROWS_MAX {
        return Err(AnalyzeError::Span(format!(
            "the report has {steps} steps, more than the maximum of {ROWS_MAX}\n  hint: use a longer --every"
        )));
    }
    Ok((1..).map(|step| request.from + step * request.every).take(steps).collect())
}

/// Returns all scopes, or the `top` ones with the most bounces, then attempts, in the span.
fn top_scopes<'t>(
    timelines: &'t Timelines,
    request: &ReportRequest,
) -> Vec<(&'t ScopeValues, &'t Timeline)> {
    let mut all: Vec<_> = timelines.iter().collect();
    if let Some(n) = request.top {
        let weight = |timeline: &Timeline| {
            let counts = measure_span(timeline, request.from, request.to).counts;
            (counts.bounces, counts.attempts)
        };
        // stable: equal scopes keep the order of their values
        all.sort_by_cached_key(|(_, timeline)| std::cmp::Reverse(weight(timeline)));
        all.truncate(n);
    }
    all
}

fn row(timeline: &Timeline, window: &Window, scope: &Scope, to: i64) -> RateRow {
    let measured = measure_window(timeline, window, to);
    let counts = measured.counts;
    let of = |count: u64| counts.attempts.and_then(|attempts| rate(count, attempts));
    let interval = |count: u64| counts.attempts.and_then(|attempts| wilson(count, attempts));
    // WorkMail logs no complaints, delays or deliveries
    let of_ses = |count: u64| of(count).filter(|_| timeline.service == Service::Ses);
    // bounces of WorkMail include soft ones
    let other_soft = if timeline.service == Service::Ses { counts.soft } else { 0 };
    let total = counts.bounces + other_soft;
    RateRow {
        from: measured.from.map(format_ms),
        to: format_ms(to),
        window: window.to_string(),
        scope: scope.clone(),
        attempts: counts.attempts,
        denominator: measured.denominator,
        sends: counts.sends,
        deliveries: counts.deliveries,
        bounces: counts.bounces,
        hard: counts.hard,
        soft: counts.soft,
        undetermined: counts.undetermined,
        suppressed: counts.suppressed,
        auto_replies: counts.auto_replies,
        complaints: counts.complaints,
        delays: counts.delays,
        rejects: counts.rejects,
        rendering_failures: counts.rendering_failures,
        incoming_bounces: (timeline.service == Service::WorkMail)
            .then_some(counts.incoming_bounces),
        bounce_rate: of(counts.bounces),
        bounce_interval: interval(counts.bounces),
        complaint_rate: of_ses(counts.complaints),
        complaint_interval: interval(counts.complaints)
            .filter(|_| timeline.service == Service::Ses),
        total_bounce_rate: of(total),
        delay_rate: of_ses(counts.delays),
        delivery_rate: of_ses(counts.deliveries),
    }
}
