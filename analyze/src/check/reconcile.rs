//! `reconcile`: from all bounces to the bounce rate step by step, compared with the rate that AWS shows.

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::format_ms;
use bouncewatch_store::StoreFiles;
use serde::Serialize;

use crate::check::confidence::rate;
use crate::error::AnalyzeError;
use crate::scan::{
    ExactHours, HistoryPart, HistoryQuery, LoadRequest, StoreScan, Timelines, load_history,
};
use crate::timeline::{
    ACCOUNT_COLUMNS, Basis, Denominator, Dimension, EXCLUSION_REASON, Grouping, MeasuredWindow,
    Outcome, Scope, ScopeValues, Timeline, Window, measure_window, measure_with_denominator,
};

/// Parameters of a reconciliation.
#[derive(Debug, Clone)]
pub struct ReconcileRequest {
    /// Folder of the store.
    pub store: StoreFiles,
    /// Time of the evaluation, epoch milliseconds.
    pub at: i64,
    /// Windows that end at `at`.
    pub windows: Vec<Window>,
    /// Groupings below account and region; empty for account and region only.
    pub groupings: Vec<Grouping>,
    /// Verified domains; SES does not count mail to them.
    pub own_domains: Vec<String>,
    /// Events before this time are ignored, epoch milliseconds.
    pub counted_from: Option<i64>,
    /// Rate that AWS shows, a fraction.
    pub aws_rate: Option<f64>,
    /// Account and region of that rate; `None` for all.
    pub aws_account: Option<[String; 2]>,
}

/// Result of a reconciliation. Its JSON is a contract.
#[derive(Debug, Serialize)]
pub struct Reconciliation {
    /// Version of the JSON.
    pub version: u32,
    /// Time of the evaluation, RFC 3339.
    pub as_of: String,
    /// One for each scope and window.
    pub accounts: Vec<ReconciledScope>,
}

/// The steps that lead to the rate of a scope in a window.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the JSON, see docs/src/numbers.md")]
pub struct ReconciledScope {
    pub scope: Scope,
    pub window: String,
    pub from: Option<String>,
    pub to: String,
    pub denominator: Option<Denominator>,
    /// From all attempts to the denominator.
    pub attempts: Vec<ReconciliationStep>,
    /// From all bounces to those that count.
    pub bounces: Vec<ReconciliationStep>,
    pub rate: Option<f64>,
    pub aws_rate: Option<f64>,
    /// Our rate minus the rate that AWS shows.
    pub difference: Option<f64>,
    /// Step after which our rate is nearest to the rate that AWS shows.
    pub nearest: Option<&'static str>,
}

/// One step: a total, a subtraction, or a part of the result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReconciliationStep {
    /// Name of the step.
    pub step: &'static str,
    /// Bounces or attempts of the step.
    pub count: u64,
    /// Bounces or attempts that remain after the step.
    pub left: u64,
    /// Remaining bounces divided by attempts.
    pub rate: Option<f64>,
}

/// Bounces that SES does not count, in the order in which they are subtracted.
const NOT_COUNTED: [(&str, &[Outcome]); 5] = [
    ("automatic_replies", &[Outcome::AutoReply]),
    ("soft", &[Outcome::Soft]),
    ("undetermined", &[Outcome::Undetermined]),
    ("suppressed_by_your_lists", &[Outcome::Suppressed]),
    ("of_unknown_class", &[Outcome::BounceOther]),
];
/// Bounces that SES counts.
const COUNTED: [(&str, Outcome); 2] =
    [("counted_hard", Outcome::Hard), ("counted_suppressed_by_ses", Outcome::SuppressedCounted)];

/// Reconciles the bounce rate with the rate that AWS shows.
///
/// # Errors
/// If the store does not exist or cannot be read.
pub fn reconcile(request: &ReconcileRequest) -> Result<Reconciliation, AnalyzeError> {
    StoreScan::run(&request.store, Service::Ses, &request.own_domains, |scan| {
        reconcile_scan(request, scan)
    })
}

/// A scope and a window, measured as in a check.
struct MeasuredScope<'a> {
    /// Index of the grouping.
    grouping: usize,
    values: &'a ScopeValues,
    window: &'a Window,
    measured: MeasuredWindow,
}

pub(crate) fn reconcile_scan(
    request: &ReconcileRequest,
    scan: &StoreScan,
) -> Result<Reconciliation, AnalyzeError> {
    let groupings = if request.groupings.is_empty() {
        vec![Grouping::account()]
    } else {
        request.groupings.clone()
    };
    let (counted_from, ends) = (request.counted_from, [request.at]);
    let query = HistoryQuery { groupings: &groupings, basis: Basis::Event, counted_from };
    let load_request = LoadRequest {
        query,
        evaluated: groupings.len(),
        windows: &request.windows,
        ends: &ends,
        boundaries: &|_, _, _| Vec::new(),
        lookback_ms: 0,
    };
    let history = load_history(scan, &load_request)?;
    let mut scopes = Vec::new();
    for (grouping, timelines) in history.by_grouping.iter().enumerate() {
        for (values, timeline) in timelines {
            for window in &request.windows {
                let measured = measure_window(timeline, window, request.at);
                scopes.push(MeasuredScope { grouping, values, window, measured });
            }
        }
    }
    // load the same spans again, with mail that SES does not count
    let finer: Vec<Grouping> = groupings.iter().map(by_exclusion_reason).collect();
    let earliest = scopes.iter().map(|one| one.measured.after).min().unwrap_or(request.at);
    let mut part =
        HistoryPart::new(scan, HistoryQuery { groupings: &finer, ..query }, earliest, request.at)?;
    if scopes.iter().any(|one| one.measured.denominator.is_some_and(Denominator::is_of_pairs)) {
        part.load_pairs()?;
    }
    let boundaries = scopes.iter().map(|one| one.measured.after).chain(ends);
    let history = part.history(&ExactHours::of(boundaries))?;
    let mut accounts = Vec::with_capacity(scopes.len());
    for one in &scopes {
        let Some(timelines) = history.by_grouping.get(one.grouping) else { continue };
        accounts.push(reconcile_scope(request, &groupings[one.grouping], one, timelines));
    }
    Ok(Reconciliation { version: 1, as_of: format_ms(request.at), accounts })
}

/// Returns the grouping with the reason why SES does not count a message.
pub(crate) fn by_exclusion_reason(grouping: &Grouping) -> Grouping {
    grouping.with(Dimension::Column(EXCLUSION_REASON))
}

/// Timelines of a scope: mail that counts, and mail that SES does not count.
struct SplitTimelines<'a> {
    counted: Option<&'a Timeline>,
    simulator: Option<&'a Timeline>,
    own_domains: Option<&'a Timeline>,
    /// Bounds of the window, `(after, to]`.
    after: i64,
    to: i64,
}

impl<'a> SplitTimelines<'a> {
    fn new(values: &ScopeValues, timelines: &'a Timelines, after: i64, to: i64) -> Self {
        let with_reason = |reason: Option<&str>| {
            let mut finer = values.clone();
            finer.push(reason.map(str::to_owned));
            timelines.get(&finer)
        };
        Self {
            counted: with_reason(None),
            simulator: with_reason(Some("simulator")),
            own_domains: with_reason(Some("own_domain")),
            after,
            to,
        }
    }

    fn bounces(&self, timeline: Option<&Timeline>, outcomes: &[Outcome]) -> u64 {
        let count = |outcome: &Outcome| {
            timeline.map(|timeline| timeline.of(*outcome).between(self.after, self.to))
        };
        outcomes.iter().filter_map(count).sum()
    }

    fn attempts(&self, timeline: Option<&Timeline>, denominator: Option<Denominator>) -> u64 {
        let attempts = || {
            measure_with_denominator(timeline?, denominator?, self.after, self.to).counts.attempts
        };
        attempts().unwrap_or_default()
    }

    /// Returns the steps from all bounces to those that count. `attempts` is the denominator of the
    /// rates.
    fn bounce_steps(&self, attempts: Option<u64>) -> Vec<ReconciliationStep> {
        let rate = |left: u64| attempts.and_then(|attempts| rate(left, attempts));
        let mut all: Vec<Outcome> =
            NOT_COUNTED.iter().flat_map(|(_, outcomes)| *outcomes).copied().collect();
        all.extend(COUNTED.map(|(_, outcome)| outcome));
        let simulator = self.bounces(self.simulator, &all);
        let own_domains = self.bounces(self.own_domains, &all);
        let mut left = self.bounces(self.counted, &all) + simulator + own_domains;
        let mut steps =
            vec![ReconciliationStep { step: "all_bounces", count: left, left, rate: rate(left) }];
        let not_counted =
            NOT_COUNTED.map(|(step, outcomes)| (step, self.bounces(self.counted, outcomes)));
        for (step, count) in [("mailbox_simulator", simulator), ("own_domains", own_domains)]
            .into_iter()
            .chain(not_counted)
        {
            left -= count;
            steps.push(ReconciliationStep { step, count, left, rate: rate(left) });
        }
        for (step, outcome) in COUNTED {
            let count = self.bounces(self.counted, &[outcome]);
            steps.push(ReconciliationStep { step, count, left, rate: rate(left) });
        }
        steps
    }

    /// Returns the steps from all attempts to the denominator; empty if the denominator is unknown.
    fn attempt_steps(&self, measured: &MeasuredWindow) -> Vec<ReconciliationStep> {
        let Some(attempts) = measured.counts.attempts else { return Vec::new() };
        let simulator = self.attempts(self.simulator, measured.denominator);
        let own_domains = self.attempts(self.own_domains, measured.denominator);
        let mut left = attempts + simulator + own_domains;
        let mut steps =
            vec![ReconciliationStep { step: "all_attempts", count: left, left, rate: None }];
        for (step, count) in [("mailbox_simulator", simulator), ("own_domains", own_domains)] {
            left -= count;
            steps.push(ReconciliationStep { step, count, left, rate: None });
        }
        steps
    }
}

fn scope_value<'s>(scope: &'s Scope, name: &str) -> Option<&'s String> {
    scope.0.iter().find(|(dimension, _)| dimension == name)?.1.as_ref()
}

fn reconcile_scope(
    request: &ReconcileRequest,
    grouping: &Grouping,
    scope: &MeasuredScope<'_>,
    timelines: &Timelines,
) -> ReconciledScope {
    let MeasuredScope { values, window, measured, .. } = scope;
    let split = SplitTimelines::new(values, timelines, measured.after, request.at);
    let bounces = split.bounce_steps(measured.counts.attempts);
    let output_scope = Scope::new(grouping, values);
    let own_rate = bounces.last().and_then(|step| step.rate);
    let is_other = |account: &[String; 2]| {
        let mut columns = ACCOUNT_COLUMNS.iter().zip(account);
        columns.any(|(name, value)| scope_value(&output_scope, name) != Some(value))
    };
    let aws_rate = request.aws_rate.filter(|_| !request.aws_account.as_ref().is_some_and(is_other));
    let distance = |step: &ReconciliationStep| Some((step.rate? - aws_rate?).abs());
    let nearest = bounces
        .iter()
        .filter_map(|step| Some((distance(step)?, step.step)))
        .min_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, step)| step);
    ReconciledScope {
        scope: output_scope,
        window: window.to_string(),
        from: measured.from.map(format_ms),
        to: format_ms(request.at),
        denominator: measured.denominator,
        attempts: split.attempt_steps(measured),
        bounces,
        rate: own_rate,
        aws_rate,
        difference: own_rate.zip(aws_rate).map(|(own, aws)| own - aws),
        nearest,
    }
}
