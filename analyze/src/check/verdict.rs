//! One rate with its level, significance, headroom and projection.

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::format_ms;
use serde::Serialize;

use crate::check::confidence::{self, rate};
use crate::check::contribution::Contributor;
use crate::check::level::{AlertLevel, Assessment, ScopeKind, assess};
use crate::check::request::CheckRequest;
use crate::check::thresholds::{Limits, Thresholds};
use crate::check::trend::{
    Pace, PreviousPeriod, WindowTotals, pace, previous_period, projected_crossing,
};
use crate::timeline::{
    Basis, Denominator, Grouping, MeasuredWindow, Scope, ScopeValues, Timeline, Window,
    WindowCounts, measure_window, measure_with_denominator,
};

/// Age after which the outcome of a message is known: SES stops retrying after 840 minutes
/// (delivery reports state "unable to deliver in 840 minutes").
pub(crate) const MATURE_AFTER_MS: i64 = 14 * 3_600_000;

/// One rate of a scope in a window, assessed.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the JSON, see docs/src/numbers.md")]
pub struct Verdict {
    pub metric: &'static str,
    pub level: AlertLevel,
    pub scope: Scope,
    pub window: String,
    pub basis: Basis,
    pub from: Option<String>,
    pub to: String,
    /// Events after this time count, epoch milliseconds.
    #[serde(skip)]
    pub after: i64,
    pub count: u64,
    pub attempts: Option<u64>,
    pub denominator: Option<Denominator>,
    pub rate: Option<f64>,
    pub interval: Option<[f64; 2]>,
    pub warning: f64,
    pub critical: f64,
    pub minimum_volume: u64,
    pub minimum_count: u64,
    /// True if the level is significant.
    #[serde(rename = "sure")]
    pub significant: bool,
    pub headroom: Option<Headroom>,
    /// WorkMail only: bounces of incoming mail, which are in no rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incoming_bounces: Option<u64>,
    /// Basis `send` only: share of the attempts that are old enough for their outcome to be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mature: Option<f64>,
    /// Complaints only: the rate of mail to providers that send complaint feedback to SES.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with_feedback: Option<WithFeedback>,
    pub before: Option<PreviousPeriod>,
    pub pace: Option<Pace>,
    pub crosses_warning_at: Option<String>,
    pub crosses_critical_at: Option<String>,
    pub contributors: Vec<Contributor>,
}

/// How many more bounces or complaints reach a threshold at the same attempts.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Headroom {
    /// Up to the warning threshold.
    pub warning: u64,
    /// Up to the critical threshold.
    pub critical: u64,
}

/// Complaint rate as SES computes it: out of mail to domains that send complaint feedback to SES (Amazon SES FAQs).
#[derive(Debug, Clone, Copy, Serialize)]
pub struct WithFeedback {
    /// Attempts to these domains.
    pub attempts: u64,
    /// Complaints divided by these attempts.
    pub rate: Option<f64>,
}

/// A rate: what it counts, and its default thresholds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metric {
    /// Name in the JSON.
    pub(crate) name: &'static str,
    /// Selects what it counts.
    pub(crate) count: fn(&WindowCounts) -> u64,
    /// Thresholds if no rule applies.
    pub(crate) thresholds: fn(&CheckRequest) -> Thresholds,
}

impl Metric {
    /// Whether it is the complaint rate.
    pub(crate) fn is_complaints(&self) -> bool {
        self.name == COMPLAINTS.name
    }
}

/// Bounce rate.
pub(crate) const BOUNCES: Metric = Metric {
    name: "bounce_rate",
    count: |counts| counts.bounces,
    thresholds: |request| request.bounce,
};
/// Complaint rate.
pub(crate) const COMPLAINTS: Metric = Metric {
    name: "complaint_rate",
    count: |counts| counts.complaints,
    thresholds: |request| request.complaint,
};

/// Returns the metrics of a service. WorkMail logs no complaints, so it has no complaint rate.
pub(crate) fn metrics(service: Service) -> &'static [Metric] {
    match service {
        Service::Ses => &[BOUNCES, COMPLAINTS],
        Service::WorkMail => &[BOUNCES],
    }
}

/// A scope and a window that ends at `to`.
pub(crate) struct RateScope<'a> {
    pub(crate) request: &'a CheckRequest,
    pub(crate) grouping: &'a Grouping,
    pub(crate) values: &'a ScopeValues,
    pub(crate) window: &'a Window,
    pub(crate) to: i64,
}

/// Assesses the counts of a scope in a window. Leaves fields empty that need further counts, such
/// as the pace and the previous period.
pub(crate) fn rate_verdict(
    rate_scope: &RateScope<'_>,
    metric: &Metric,
    measured: &MeasuredWindow,
) -> Verdict {
    let RateScope { request, grouping, values, window, to } = *rate_scope;
    let (count, attempts) = ((metric.count)(&measured.counts), measured.counts.attempts);
    let scope = Scope::new(grouping, values);
    let default =
        Limits { thresholds: (metric.thresholds)(request), minimum_volume: request.minimum_volume };
    let limits = request.rules.limits(metric.name, &scope, default);
    let Limits { thresholds, minimum_volume } = limits;
    let kind = if grouping.is_account() { ScopeKind::Account } else { ScopeKind::Group };
    let Assessment { level, rate, interval, significant } = assess(count, attempts, limits, kind);
    let headroom = attempts.filter(|attempts| *attempts > 0).map(|attempts| Headroom {
        warning: confidence::headroom(count, attempts, thresholds.warning),
        critical: confidence::headroom(count, attempts, thresholds.critical),
    });
    Verdict {
        metric: metric.name,
        level,
        scope,
        window: window.to_string(),
        basis: request.basis,
        from: measured.from.map(format_ms),
        to: format_ms(to),
        after: measured.after,
        count,
        attempts,
        denominator: measured.denominator,
        rate,
        interval,
        warning: thresholds.warning,
        critical: thresholds.critical,
        minimum_volume,
        minimum_count: thresholds.minimum_count,
        significant,
        headroom,
        incoming_bounces: None,
        mature: None,
        with_feedback: None,
        before: None,
        pace: None,
        crosses_warning_at: None,
        crosses_critical_at: None,
        contributors: Vec::new(),
    }
}

/// A scope and a window to evaluate.
pub(crate) struct ScopeWindow<'a> {
    pub(crate) request: &'a CheckRequest,
    pub(crate) grouping: &'a Grouping,
    pub(crate) values: &'a ScopeValues,
    pub(crate) timeline: &'a Timeline,
    /// Timeline of the scope's mail to providers that send no complaint feedback.
    pub(crate) without_feedback: Option<&'a Timeline>,
    pub(crate) window: &'a Window,
}

impl ScopeWindow<'_> {
    /// Returns the verdicts of all metrics of the service.
    pub(crate) fn verdicts(&self) -> impl Iterator<Item = Verdict> {
        let measured = measure_window(self.timeline, self.window, self.request.at);
        metrics(self.request.service).iter().map(move |metric| self.verdict(metric, &measured))
    }

    fn verdict(&self, metric: &Metric, measured: &MeasuredWindow) -> Verdict {
        let Self { request, grouping, values, timeline, window, .. } = *self;
        let to = request.at;
        let rate =
            rate_verdict(&RateScope { request, grouping, values, window, to }, metric, measured);
        let count = rate.count;
        // by send time, recent mail has not bounced yet: pace and previous period are not
        // comparable
        let is_event_time = request.basis == Basis::Event;
        let pace =
            pace(timeline, measured, to, metric.count, rate.critical).filter(|_| is_event_time);
        let crosses_at = |threshold: f64| {
            let length_ms = to.saturating_sub(measured.from?);
            let totals = WindowTotals { count, attempts: rate.attempts?, length_ms, to };
            projected_crossing(&totals, &pace.as_ref()?.long, threshold).map(format_ms)
        };
        let (crosses_warning_at, crosses_critical_at) =
            (crosses_at(rate.warning), crosses_at(rate.critical));
        Verdict {
            incoming_bounces: (request.service == Service::WorkMail)
                .then_some(measured.counts.incoming_bounces),
            mature: self.mature(measured),
            with_feedback: metric
                .is_complaints()
                .then(|| self.with_feedback(measured, count))
                .flatten(),
            before: previous_period(timeline, window, measured, to, metric.count)
                .filter(|_| is_event_time),
            pace,
            crosses_warning_at,
            crosses_critical_at,
            ..rate
        }
    }

    /// Returns the share of attempts that are at least [`MATURE_AFTER_MS`] old; for basis `send`
    /// only.
    fn mature(&self, measured: &MeasuredWindow) -> Option<f64> {
        if self.request.basis != Basis::Send {
            return None;
        }
        let until = self.request.at.saturating_sub(MATURE_AFTER_MS).max(measured.after);
        let mature =
            measure_with_denominator(self.timeline, measured.denominator?, measured.after, until);
        rate(mature.counts.attempts?, measured.counts.attempts?)
    }

    fn with_feedback(&self, measured: &MeasuredWindow, count: u64) -> Option<WithFeedback> {
        let (attempts, denominator) = (measured.counts.attempts?, measured.denominator?);
        let without = self.without_feedback.and_then(|timeline| {
            measure_with_denominator(timeline, denominator, measured.after, self.request.at)
                .counts
                .attempts
        });
        let attempts = attempts.saturating_sub(without.unwrap_or_default());
        Some(WithFeedback { attempts, rate: rate(count, attempts) })
    }
}
