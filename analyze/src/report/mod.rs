//! `report`: rates over time and by scope; and the forms in which checks and reports are given, one a file.

mod columns;
pub mod csv;
pub mod nagios;
pub mod parquet;
pub mod prometheus;
pub mod table;

use std::path::PathBuf;

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::format_ms;
use serde::Serialize;

use crate::check::confidence::{rate, wilson};
use crate::check::{as_word, is_ses};
use crate::error::AnalyzeError;
use crate::scan::loading::{Wanted, load};
use crate::scan::{Look, Scan, Timelines};
use crate::timeline::model::{Basis, Cut, Denominator, Scope, ScopeValues, Timeline};
use crate::timeline::windows::{Window, count, measure};

/// Rows beyond which a report is refused: nobody reads it, and it may not fit into memory.
const ROWS_MAX: usize = 5_000_000;

/// What a report is asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// The store.
    pub store: PathBuf,
    /// Whose mail.
    pub service: Service,
    /// Begin of the span, epoch milliseconds.
    pub from: i64,
    /// End of the span: the last window ends here at the latest.
    pub to: i64,
    /// A window ends every so many milliseconds.
    pub every: i64,
    /// The windows.
    pub windows: Vec<Window>,
    /// By which time events belong to windows.
    pub basis: Basis,
    /// Nothing before this moment counts, epoch milliseconds.
    pub counted_from: Option<i64>,
    /// Cuts below account and region; without any, account and region.
    pub cuts: Vec<Cut>,
    /// Of each cut only so many scopes, those with most bounces; `None` for all.
    pub top: Option<usize>,
    /// Domains whose mail SES does not count.
    pub own_domains: Vec<String>,
}

/// The answer; its JSON is a contract.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Version of this output.
    pub version: u32,
    /// End of the span.
    pub as_of: String,
    /// Whose mail it is about; left out for SES.
    #[serde(serialize_with = "as_word", skip_serializing_if = "is_ses")]
    pub service: Service,
    /// Begin of the span.
    pub from: String,
    /// Distance of the windows' ends, in seconds.
    pub every_seconds: f64,
    /// Scopes that there are, and that are shown.
    pub scopes: usize,
    /// Scopes that are shown.
    pub scopes_shown: usize,
    /// One for each scope, window and end.
    pub rows: Vec<Row>,
}

/// One window of one scope. Rates and their intervals are fractions of the attempts; unknown is null.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the JSON, which the README describes")]
pub struct Row {
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
    /// WorkMail alone: bounces of others' mail, which are in no rate.
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

/// Computes a report.
///
/// # Errors
/// If there is no store, it cannot be read, or the span makes no sense.
pub fn report(request: &Request) -> Result<Report, AnalyzeError> {
    let ends = ends(request)?;
    if ends.is_empty() {
        return Err(AnalyzeError::Span(
            "no window ends between --from and --to: --every is longer than the span".to_owned(),
        ));
    }
    Scan::over(&request.store, request.service, &request.own_domains, |scan| {
        answer(request, &ends, scan)
    })
}

fn answer(request: &Request, ends: &[i64], scan: &Scan) -> Result<Report, AnalyzeError> {
    let cuts = if request.cuts.is_empty() { vec![Cut::account()] } else { request.cuts.clone() };
    let wanted = Wanted {
        look: Look { cuts: &cuts, basis: request.basis, counted_from: request.counted_from },
        asked: cuts.len(),
        windows: &request.windows,
        ends,
        // the scopes with most bounces are those of the whole span
        moments: &|_, _, _| vec![request.from, request.to],
        back: 0,
    };
    let history = load(scan, &wanted)?;
    let mut report = Report {
        version: 1,
        as_of: format_ms(request.to),
        service: request.service,
        from: format_ms(request.from),
        #[expect(
            clippy::cast_precision_loss,
            reason = "a span of time in milliseconds stays below 2^52"
        )]
        every_seconds: request.every as f64 / 1_000.0,
        scopes: history.cuts.iter().map(Timelines::len).sum(),
        scopes_shown: 0,
        rows: Vec::new(),
    };
    for (cut, timelines) in cuts.iter().zip(&history.cuts) {
        let shown = top(timelines, request);
        report.scopes_shown += shown.len();
        let rows = report.rows.len() + shown.len() * ends.len() * request.windows.len();
        if rows > ROWS_MAX {
            return Err(AnalyzeError::Span(format!(
                "the report would have {rows} rows, more than {ROWS_MAX}\n  hint: fewer scopes with --top N, or a longer --every"
            )));
        }
        for (values, timeline) in shown {
            for window in &request.windows {
                let scope = Scope::new(cut, values);
                report.rows.extend(ends.iter().map(|to| row(timeline, window, &scope, *to)));
            }
        }
    }
    Ok(report)
}

/// When the windows of a report end.
fn ends(request: &Request) -> Result<Vec<i64>, AnalyzeError> {
    if request.from >= request.to {
        return Err(AnalyzeError::Span("--from must lie before --to".to_owned()));
    }
    let steps = usize::try_from((request.to - request.from) / request.every).unwrap_or(usize::MAX);
    if steps > ROWS_MAX {
        return Err(AnalyzeError::Span(format!(
            "{steps} steps are too many: take a longer --every"
        )));
    }
    Ok((1..).map(|step| request.from + step * request.every).take(steps).collect())
}

/// The scopes to show: all, or those with most bounces in the span, then most attempts.
fn top<'t>(timelines: &'t Timelines, request: &Request) -> Vec<(&'t ScopeValues, &'t Timeline)> {
    let mut all: Vec<_> = timelines.iter().collect();
    if let Some(n) = request.top {
        let weight = |timeline: &Timeline| {
            let counts = count(timeline, request.from, request.to).counts;
            (counts.bounces, counts.attempts)
        };
        // the sort is stable, so that equal scopes stay in the order of their values
        all.sort_by_cached_key(|(_, timeline)| std::cmp::Reverse(weight(timeline)));
        all.truncate(n);
    }
    all
}

fn row(timeline: &Timeline, window: &Window, scope: &Scope, to: i64) -> Row {
    let measured = measure(timeline, window, to);
    let counts = measured.counts;
    let of = |count: u64| counts.attempts.and_then(|attempts| rate(count, attempts));
    let interval = |count: u64| counts.attempts.and_then(|attempts| wilson(count, attempts));
    // what only SES reports is not known of WorkMail
    let of_ses = |count: u64| of(count).filter(|_| timeline.service == Service::Ses);
    let soft_beside = if timeline.service == Service::Ses { counts.soft } else { 0 };
    let total = counts.bounces + soft_beside;
    Row {
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
