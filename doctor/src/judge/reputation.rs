//! Figures of AWS: reputation metrics of CloudWatch, and the counts of `GetSendStatistics` beside those of the store.

use bouncewatch_schemas::text::{duration, percent};

use crate::finding::FindingLevel::{Critical, Note, Warning};
use crate::finding::{Check, Finding};
use crate::judge::figures::StoreFigures;
use crate::judge::report::Report;
use crate::snapshot::Snapshot;
use crate::snapshot::metrics::MetricPoint;
use crate::snapshot::time::Time;

const METRICS: &str = "SES developer guide, reputation metrics in CloudWatch (namespace AWS/SES)";
const STATISTICS: &str = "SES API, GetSendStatistics";

/// A rate that AWS judges: metric, and the fractions at which AWS reviews and may pause an account.
struct Rate {
    check: Check,
    metric: &'static str,
    name: &'static str,
    review: f64,
    pause: f64,
}

const BOUNCE: Rate = Rate {
    check: Check::ReputationBounceRate,
    metric: "Reputation.BounceRate",
    name: "bounce rate",
    review: 0.05,
    pause: 0.1,
};
const COMPLAINT: Rate = Rate {
    check: Check::ReputationComplaintRate,
    metric: "Reputation.ComplaintRate",
    name: "complaint rate",
    review: 0.001,
    pause: 0.005,
};

/// A point that is older is no statement about today.
const POINT_AGE_SECS_MAX: i64 = 48 * 3_600;

pub(super) fn judge(snapshot: &Snapshot, store: Option<&StoreFigures>, report: &mut Report) {
    if let Some(metrics) = report.read(Check::ReputationBounceRate, "", &snapshot.metrics, METRICS)
    {
        let own = |rate: fn(&StoreFigures) -> Option<f64>| store.and_then(rate);
        let rates = [
            (BOUNCE, metrics.bounce_rate, own(|store| store.bounce_rate)),
            (COMPLAINT, metrics.complaint_rate, own(|store| store.complaint_rate)),
        ];
        for (rate, point, own) in rates {
            let problem = judge_rate(&rate, point, own, snapshot.taken_at);
            report.check(rate.check, "", METRICS, problem);
        }
    }
    let Some(store) = store else { return };
    let check = Check::ReputationEvents;
    if report.read(check, "", &snapshot.send_statistics, STATISTICS).is_some() {
        let attempts = store.attempts_of_ses(snapshot).unwrap_or_default();
        report.check(check, "", STATISTICS, missing_events(attempts, store));
    }
}

fn judge_rate(
    rate: &Rate,
    point: Option<MetricPoint>,
    own: Option<f64>,
    now: Time,
) -> Option<Finding> {
    let Some(point) = point else {
        let what = format!(
            "the {} of AWS is unknown: CloudWatch has no {} of the last 7 days; AWS publishes none before the first bounce or complaint",
            rate.name, rate.metric
        );
        return Some(rate.check.found(Note, what, METRICS));
    };
    let age = point.at.secs_until(now);
    let is_high = point.value >= rate.review;
    let (level, state) = if age > POINT_AGE_SECS_MAX {
        (if is_high { Warning } else { Note }, "the value is old")
    } else if point.value >= rate.pause {
        (Critical, "AWS may pause the account")
    } else if is_high {
        (Warning, "AWS reviews the account")
    } else {
        return None;
    };
    let percent = |rate| percent(Some(rate));
    let what = format!("the {} of AWS is {}: {state}", rate.name, percent(point.value));
    let mut problem = rate
        .check
        .found(level, what, METRICS)
        .with(format!("{} of {}, {} old", rate.metric, point.at.to_minute(), duration(age)))
        .with(format!(
            "AWS reviews at {} and may pause at {}",
            percent(rate.review),
            percent(rate.pause)
        ));
    if let Some(own) = own {
        problem = problem.with(format!(
            "{} in the store, last 24 h: {}; AWS counts over a representative volume, not over hours, so the two differ",
            rate.name,
            percent(own)
        ));
    }
    if is_high {
        problem = problem.fix(
            "Run `bouncewatch check` and `bouncewatch report --by identity` to find the mail that causes it",
        );
    }
    Some(problem)
}

fn missing_events(attempts: i64, store: &StoreFigures) -> Option<Finding> {
    let stored = i64::try_from(store.sends).unwrap_or(i64::MAX);
    if attempts > 0 && stored > 0 && stored.saturating_mul(10) < attempts.saturating_mul(9) {
        let what = format!(
            "SES counted {attempts} delivery attempts in {} hours, and the store has {stored} Send events of them",
            store.hours
        );
        let problem = Check::ReputationEvents.found(Warning, what, STATISTICS);
        return Some(problem.fix(
            "See the findings `wiring.*`: a configuration set or an identity may publish no events",
        ));
    }
    if attempts <= 0 || store.events > 0 {
        return None;
    }
    let what = format!(
        "SES counted {attempts} delivery attempts in {} hours, and the store has no event of this account and region",
        store.hours
    );
    let newest = store.newest.map_or_else(|| "none".to_owned(), Time::to_minute);
    let problem = Check::ReputationEvents.found(Critical, what, STATISTICS)
        .with(format!("newest event in the store, of any account: {newest}"))
        .fix("See the findings `wiring.*`; if there are none, compare queue, region and store path of the consumer");
    Some(problem)
}
