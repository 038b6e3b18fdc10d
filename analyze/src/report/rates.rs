//! Rates over time and by scope.

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::format_ms;
use bouncewatch_store::StoreFiles;
use serde::{Serialize, Serializer};

use crate::check::confidence::{rate, wilson};
use crate::check::service::{is_ses, serialize_service};
use crate::error::AnalyzeError;
use crate::scan::{HistoryQuery, LoadRequest, StoreScan, Timelines, load_history};
use crate::timeline::{
    Basis, Denominator, Grouping, Scope, ScopeValues, Timeline, Window, measure_span,
    measure_window,
};

/// Maximum number of rows of a report; more rows take hours.
const ROWS_MAX: usize = 5_000_000;

/// Parameters of a report.
#[derive(Debug, Clone)]
pub struct ReportRequest {
    /// Files of the store.
    pub store: StoreFiles,
    /// Service to evaluate.
    pub service: Service,
    /// Start of the span, epoch milliseconds.
    pub from: i64,
    /// End of the span, epoch milliseconds; no window ends later.
    pub to: i64,
    /// Time between the ends of two windows, milliseconds.
    pub every: i64,
    /// Windows to report.
    pub windows: Vec<Window>,
    /// Time that assigns events to windows: event time or send time.
    pub basis: Basis,
    /// Events before this time are ignored, epoch milliseconds.
    pub counted_from: Option<i64>,
    /// Groupings below account and region; empty for account and region only.
    pub groupings: Vec<Grouping>,
    /// Maximum number of scopes per grouping (those with the most bounces); `None` for all.
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
    /// Time between the ends of two windows, seconds.
    pub every_seconds: f64,
    /// Number of scopes in the store.
    pub scopes: usize,
    /// Number of scopes in `rows`.
    pub scopes_shown: usize,
    /// One row per scope, window and end of a window.
    pub rows: RateRows,
}

impl RateReport {
    /// Returns the report of the scopes for which `is_shown` is true.
    pub(crate) fn of_scopes(&self, is_shown: impl Fn(&Scope) -> bool) -> Self {
        let of_rows = self.rows.scopes.iter().filter(|(scope, _)| is_shown(scope));
        let scopes: Vec<_> = of_rows.cloned().collect();
        Self {
            version: self.version,
            as_of: self.as_of.clone(),
            service: self.service,
            from: self.from.clone(),
            every_seconds: self.every_seconds,
            scopes: self.scopes,
            scopes_shown: scopes.len(),
            rows: RateRows {
                scopes,
                windows: self.rows.windows.clone(),
                ends: self.rows.ends.clone(),
            },
        }
    }
}

/// The rows of a report. Each row is computed on access, because all rows may not fit in memory.
#[derive(Debug)]
pub struct RateRows {
    scopes: Vec<(Scope, Timeline)>,
    windows: Vec<Window>,
    /// Ends of the windows, ascending.
    ends: Vec<i64>,
}

impl RateRows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.scopes.len() * self.rows_per_scope()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn rows_per_scope(&self) -> usize {
        self.windows.len() * self.ends.len()
    }

    /// Computes a row; `None` if there are fewer rows.
    pub fn get(&self, at: usize) -> Option<RateRow> {
        let (scope, timeline) = self.scopes.get(at.checked_div(self.rows_per_scope())?)?;
        let of_scope = at % self.rows_per_scope();
        let window = self.windows.get(of_scope / self.ends.len())?;
        Some(row(timeline, window, scope, *self.ends.get(of_scope % self.ends.len())?))
    }

    /// Computes a row and the preceding rows of the same scope and window, at most `count` rows, in
    /// order.
    pub(super) fn until(&self, at: usize, count: usize) -> impl Iterator<Item = RateRow> {
        let start = at - at.checked_rem(self.ends.len()).unwrap_or_default();
        (start.max((at + 1).saturating_sub(count))..=at).filter_map(|at| self.get(at))
    }

    /// Computes the rows one by one.
    pub fn iter(&self) -> impl Iterator<Item = RateRow> {
        (0..self.len()).filter_map(|at| self.get(at))
    }

    /// Names of the dimensions of all scopes, each once.
    pub(super) fn dimensions(&self) -> Vec<&str> {
        let mut dimensions: Vec<&str> = Vec::new();
        for (scope, _) in &self.scopes {
            for (name, _) in &scope.0 {
                if !dimensions.contains(&name.as_str()) {
                    dimensions.push(name);
                }
            }
        }
        dimensions
    }
}

impl Serialize for RateRows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
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
    /// WorkMail only: bounces of incoming mail, which rates exclude.
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
    StoreScan::run(&request.store, request.service, &request.own_domains, |scan| {
        report_scan(request, &ends, &|_| true, scan)
    })
}

/// Computes the rows of the scopes for which `is_shown` is true, at the [`window_ends`].
pub(crate) fn report_scan(
    request: &ReportRequest,
    ends: &[i64],
    is_shown: &dyn Fn(&Scope) -> bool,
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
        rows: RateRows {
            scopes: Vec::new(),
            windows: request.windows.clone(),
            ends: ends.to_vec(),
        },
    };
    for (grouping, timelines) in groupings.iter().zip(history.by_grouping) {
        let scope = |(values, timeline)| (Scope::new(grouping, &values), timeline);
        let shown = top_scopes(timelines, request).map(scope).filter(|(scope, _)| is_shown(scope));
        report.rows.scopes.extend(shown);
        report.scopes_shown = report.rows.scopes.len();
        let rows = report.rows.len();
        if rows > ROWS_MAX {
            return Err(AnalyzeError::Span(format!(
                "the report has {rows} rows, more than the maximum of {ROWS_MAX}\n  hint: report fewer scopes with --top N, or use a longer --every"
            )));
        }
    }
    Ok(report)
}

/// Returns the ends of the windows, epoch milliseconds, ascending.
pub(crate) fn window_ends(request: &ReportRequest) -> Result<Vec<i64>, AnalyzeError> {
    if request.from >= request.to {
        return Err(AnalyzeError::Span("--from must be before --to".to_owned()));
    }
    let steps = usize::try_from((request.to - request.from) / request.every).unwrap_or(usize::MAX);
    if steps > ROWS_MAX {
        return Err(AnalyzeError::Span(format!(
            "the report has {steps} steps, more than the maximum of {ROWS_MAX}\n  hint: use a longer --every"
        )));
    }
    let ends: Vec<i64> =
        (1..).map(|step| request.from + step * request.every).take(steps).collect();
    if ends.is_empty() {
        return Err(AnalyzeError::Span(
            "no window ends between --from and --to\n  hint: use an --every that is shorter than the span"
                .to_owned(),
        ));
    }
    Ok(ends)
}

/// Returns all scopes, or the `top` ones with the most bounces, then attempts, in the span.
fn top_scopes(
    timelines: Timelines,
    request: &ReportRequest,
) -> impl Iterator<Item = (ScopeValues, Timeline)> {
    let mut all: Vec<_> = timelines.into_iter().collect();
    if let Some(n) = request.top {
        let weight = |timeline: &Timeline| {
            let counts = measure_span(timeline, request.from, request.to).counts;
            (counts.bounces, counts.attempts)
        };
        // stable: equal scopes keep the order of their values
        all.sort_by_cached_key(|(_, timeline)| std::cmp::Reverse(weight(timeline)));
        all.truncate(n);
    }
    all.into_iter()
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

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::report::{csv, table};
    use bouncewatch_schemas::text_layout::TextLayout;

    /// A report with more rows than fit in memory.
    fn long_report() -> RateReport {
        let scope = Scope::new(&Grouping::account(), &vec![Some("1".into()), Some("r".into())]);
        let windows = vec!["1h".parse().unwrap(); 1_000];
        let ends = (0..1_000_000).map(|second| second * 1_000).collect();
        let scopes = vec![(scope, Timeline::new(Service::Ses))];
        let rows = RateRows { scopes, windows, ends };
        RateReport {
            version: 1,
            as_of: format_ms(0),
            service: Service::Ses,
            from: format_ms(0),
            every_seconds: 1.0,
            scopes: 1,
            scopes_shown: 1,
            rows,
        }
    }

    /// Accepts some bytes, then fails.
    struct SmallDisk(usize);

    impl io::Write for SmallDisk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn rows_are_computed_while_they_are_written() {
        let report = long_report();
        assert_eq!(report.rows.len(), 1_000_000_000);
        assert_eq!(report.rows.get(1_000_001).unwrap().to, "1970-01-01T00:00:01.000Z");
        assert!(report.rows.get(1_000_000_000).is_none());
        let error = csv::report(&report, &mut SmallDisk(10_000)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let error = serde_json::to_writer(SmallDisk(10_000), &report).unwrap_err();
        assert_eq!(error.io_error_kind(), Some(io::ErrorKind::StorageFull));
        assert!(
            table::report(&report, 0.1, TextLayout::default())
                .contains("400 of 1000000000 rows shown")
        );
    }
}
