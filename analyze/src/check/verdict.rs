//! One rate, judged: its level, how sure it is, and where it is going.

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::format_ms;
use serde::Serialize;

use crate::check::Request;
use crate::check::confidence::{self, rate};
use crate::check::contribution::Contributor;
use crate::check::levels::{Judged, Level, Thresholds, judge};
use crate::check::thresholds::Limits;
use crate::check::trend::{Before, Pace, before, crossing, pace};
use crate::timeline::model::{Basis, Cut, Denominator, Scope, ScopeValues, Timeline};
use crate::timeline::windows::{Counts, Measured, Window, measure};

/// After this time SES has given up on a mail or delivered it, as a rule: it tries for 840 minutes (facts 2.4).
pub(crate) const MATURE_AFTER_MS: i64 = 14 * 3_600_000;

/// One rate, judged.
#[derive(Debug, Clone, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are those of the JSON, which design 5 and the README describe"
)]
pub struct Verdict {
    pub metric: &'static str,
    pub level: Level,
    pub scope: Scope,
    pub window: String,
    pub basis: Basis,
    pub from: Option<String>,
    pub to: String,
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
    pub sure: bool,
    pub headroom: Option<Headroom>,
    /// WorkMail alone: bounces of others' mail, which are in no rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incoming_bounces: Option<u64>,
    /// Of a cohort: the part of its mail that was sent so long ago that its fate is known, as a rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mature: Option<f64>,
    /// Complaints alone: the rate out of mail to providers that tell SES of complaints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with_feedback: Option<WithFeedback>,
    pub before: Option<Before>,
    pub pace: Option<Pace>,
    pub crosses_warning_at: Option<String>,
    pub crosses_critical_at: Option<String>,
    pub contributors: Vec<Contributor>,
}

/// How many more reach a threshold, at the same attempts.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Headroom {
    /// Until the warning.
    pub warning: u64,
    /// Until the critical level.
    pub critical: u64,
}

/// A complaint rate as SES counts it: out of mail to domains that send complaints back (facts 5.2).
#[derive(Debug, Clone, Copy, Serialize)]
pub struct WithFeedback {
    /// Attempts to these.
    pub attempts: u64,
    /// The rate out of them.
    pub rate: Option<f64>,
}

/// What a rate counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metric {
    /// Its name in the JSON.
    pub(crate) name: &'static str,
    /// What it counts.
    pub(crate) of: fn(&Counts) -> u64,
    /// Its thresholds, where no rule has others.
    pub(crate) thresholds: fn(&Request) -> Thresholds,
}

/// Bounces.
pub(crate) const BOUNCES: Metric = Metric {
    name: "bounce_rate",
    of: |counts| counts.bounces,
    thresholds: |request| request.bounce,
};
/// Complaints.
pub(crate) const COMPLAINTS: Metric = Metric {
    name: "complaint_rate",
    of: |counts| counts.complaints,
    thresholds: |request| request.complaint,
};

/// The metrics of a service. WorkMail hears of no complaints: none were counted, which is not that there are none.
pub(crate) fn metrics(service: Service) -> &'static [Metric] {
    match service {
        Service::Ses => &[BOUNCES, COMPLAINTS],
        Service::WorkMail => &[BOUNCES],
    }
}

/// Where verdicts are made: a scope and a window.
pub(crate) struct Place<'a> {
    pub(crate) request: &'a Request,
    pub(crate) cut: &'a Cut,
    pub(crate) values: &'a ScopeValues,
    pub(crate) timeline: &'a Timeline,
    /// The timeline of the scope's mail to providers without feedback, where it is known.
    pub(crate) without_feedback: Option<&'a Timeline>,
    pub(crate) window: &'a Window,
}

impl Place<'_> {
    /// The verdicts of all metrics.
    pub(crate) fn verdicts(&self) -> impl Iterator<Item = Verdict> {
        let measured = measure(self.timeline, self.window, self.request.at);
        metrics(self.request.service).iter().map(move |metric| self.verdict(metric, &measured))
    }

    fn verdict(&self, metric: &Metric, measured: &Measured) -> Verdict {
        let Self { request, timeline, window, .. } = *self;
        let (to, count) = (request.at, (metric.of)(&measured.counts));
        let tried = measured.counts.attempts;
        let scope = Scope::new(self.cut, self.values);
        let others = Limits {
            thresholds: (metric.thresholds)(request),
            minimum_volume: request.minimum_volume,
        };
        let Limits { thresholds, minimum_volume } =
            request.rules.limits(metric.name, &scope, others);
        let Judged { level, rate, interval, sure } =
            judge(count, tried, thresholds, minimum_volume, self.cut.is_account());
        let headroom = tried.filter(|tried| *tried > 0).map(|tried| Headroom {
            warning: confidence::headroom(count, tried, thresholds.warning),
            critical: confidence::headroom(count, tried, thresholds.critical),
        });
        // what was sent last has not bounced yet: neither pace nor past can be compared with it
        let is_of_now = request.basis == Basis::Event;
        let pace =
            pace(timeline, measured, to, metric.of, thresholds.critical).filter(|_| is_of_now);
        let crosses = |threshold: f64| {
            let length = to.saturating_sub(measured.from?);
            let at = crossing(count, tried?, length, to, &pace.as_ref()?.long, threshold);
            at.map(format_ms)
        };
        let (crosses_warning_at, crosses_critical_at) =
            (crosses(thresholds.warning), crosses(thresholds.critical));
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
            attempts: tried,
            denominator: measured.denominator,
            rate,
            interval,
            warning: thresholds.warning,
            critical: thresholds.critical,
            minimum_volume,
            minimum_count: thresholds.minimum_count,
            sure,
            headroom,
            incoming_bounces: (request.service == Service::WorkMail)
                .then_some(measured.counts.incoming_bounces),
            mature: self.mature(measured),
            with_feedback: (metric.name == COMPLAINTS.name)
                .then(|| self.with_feedback(measured, count))
                .flatten(),
            before: before(timeline, window, measured, to, metric.of).filter(|_| is_of_now),
            pace,
            crosses_warning_at,
            crosses_critical_at,
            contributors: Vec::new(),
        }
    }

    /// The part of a cohort whose fate is known, as a rule.
    fn mature(&self, measured: &Measured) -> Option<f64> {
        if self.request.basis != Basis::Send {
            return None;
        }
        let until = self.request.at.saturating_sub(MATURE_AFTER_MS).max(measured.after);
        let out_of = measured.denominator?;
        let mature =
            crate::timeline::windows::count_out(self.timeline, out_of, measured.after, until);
        rate(mature.counts.attempts?, measured.counts.attempts?)
    }

    fn with_feedback(&self, measured: &Measured, count: u64) -> Option<WithFeedback> {
        let (attempts, out_of) = (measured.counts.attempts?, measured.denominator?);
        let without = self.without_feedback.and_then(|timeline| {
            crate::timeline::windows::count_out(timeline, out_of, measured.after, self.request.at)
                .counts
                .attempts
        });
        let attempts = attempts.saturating_sub(without.unwrap_or_default());
        Some(WithFeedback { attempts, rate: rate(count, attempts) })
    }
}
