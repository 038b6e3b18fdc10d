//! Check as metrics in the Prometheus text format 0.0.4, for the textfile collector of `node_exporter`.
//!
//! Names follow the Prometheus naming conventions: rates are ratios, times are seconds since 1970. Unknown values are
//! absent, never 0. Label values are escaped. The label `by` lists the dimensions of the grouping: it distinguishes a
//! scope without a value from the account.

use std::collections::BTreeSet;
use std::fmt::Write;

use bouncewatch_schemas::printable::printable;
use bouncewatch_schemas::time::parse_ms;

use crate::check::level::AlertLevel;
use crate::check::sending::{SendingState, SendingStatus};
use crate::check::{CheckReport, Verdict};
use crate::timeline::{ACCOUNT_COLUMNS, Scope};

/// A gauge of verdicts: name, help and value.
type Gauge = (&'static str, &'static str, fn(&Verdict) -> Option<f64>);

/// Gauges of each rate; `{}` is replaced with `bounce` or `complaint`.
const RATE_GAUGES: [Gauge; 8] = [
    ("{}_ratio", "Share of attempts in the window with a {}.", |verdict| verdict.rate),
    (
        "{}_lower_bound_ratio",
        "Lower bound of the 95 % confidence interval of the {} rate.",
        |verdict| Some(verdict.interval?[0]),
    ),
    (
        "{}_upper_bound_ratio",
        "Upper bound of the 95 % confidence interval of the {} rate.",
        |verdict| Some(verdict.interval?[1]),
    ),
    ("{}s", "Number of {}s in the window.", |verdict| Some(float(verdict.count))),
    ("{}_warning_ratio", "Warning threshold of the {} rate.", |verdict| Some(verdict.warning)),
    ("{}_critical_ratio", "Critical threshold of the {} rate.", |verdict| Some(verdict.critical)),
    (
        "{}s_until_critical",
        "Number of further {}s that reach the critical threshold at the same attempts.",
        |verdict| verdict.headroom.map(|more| float(more.critical)),
    ),
    (
        "{}_level",
        "Alert level of the {} rate: 0 OK, 1 warning, 2 critical, 3 unknown.",
        |verdict| Some(level(verdict.level)),
    ),
];

/// Returns a check as metrics. `at` is the time of the check, epoch milliseconds.
pub fn check(check: &CheckReport, at: i64) -> String {
    let mut out = String::new();
    let service = [("service".to_owned(), check.service.as_str().to_owned())];
    let one = |value: f64| vec![(labels(&service), value)];
    family(&mut out, "check_timestamp_seconds", "Time of the evaluation.", &one(seconds(at)));
    family(
        &mut out,
        "check_status",
        "Worst alert level: 0 OK, 1 warning, 2 critical, 3 unknown.",
        &one(level(check.status)),
    );
    family(
        &mut out,
        "feed_stale",
        "1 if no event is newer than the stale_after setting.",
        &one(f64::from(u8::from(check.feed.stale))),
    );
    let newest = check.feed.newest_event_at.as_deref().and_then(parse_ms);
    let newest = newest.map(|newest| one(seconds(newest))).unwrap_or_default();
    family(
        &mut out,
        "feed_newest_event_timestamp_seconds",
        "Time of the newest event in the store.",
        &newest,
    );
    let status = |one: &SendingStatus| {
        let all: Vec<_> = service.iter().cloned().chain(scope_labels(&one.scope)).collect();
        (labels(&all), f64::from(u8::from(one.status == SendingState::Disabled)))
    };
    family(
        &mut out,
        "sending_disabled",
        "1 if SES does not allow this part of the account to send, as events of EventBridge reported.",
        &check.sending.statuses.iter().map(status).collect::<Vec<_>>(),
    );
    if let Some(brake) = &check.brake {
        let all: Vec<_> = service.iter().cloned().chain(scope_labels(&brake.scope)).collect();
        let one = |is_set: bool| [(labels(&all), f64::from(u8::from(is_set)))];
        let paused = "1 if the brake paused sending of this part of the account, or may have.";
        family(&mut out, "brake_paused", paused, &one(brake.is_paused()));
        family(&mut out, "brake_failed", "1 if a call of the brake failed.", &one(brake.failed));
    }
    for (metric, word) in [("bounce_rate", "bounce"), ("complaint_rate", "complaint")] {
        let verdicts = || check.verdicts.iter().filter(|verdict| verdict.metric == metric);
        for (name, help, value) in RATE_GAUGES {
            let samples = samples(check, verdicts(), value);
            let named = |text: &str| text.replace("{}", word);
            family(&mut out, &named(name), &named(help), &samples);
        }
    }
    let attempts = |verdict: &Verdict| verdict.attempts.map(float);
    let attempts = samples(check, check.verdicts.iter(), attempts);
    family(
        &mut out,
        "attempts",
        "Number of attempts in the window, the denominator of the rates.",
        &attempts,
    );
    out
}

/// Appends a metric with its samples; nothing if there are none.
fn family(out: &mut String, name: &str, help: &str, samples: &[(String, f64)]) {
    if samples.is_empty() {
        return;
    }
    // writing to a String cannot fail
    _ = writeln!(out, "# HELP bouncewatch_{name} {help}\n# TYPE bouncewatch_{name} gauge");
    for (labels, value) in samples {
        _ = writeln!(out, "bouncewatch_{name}{labels} {value}");
    }
}

/// Returns one sample per label set: several verdicts of a scope share the attempts.
fn samples<'v>(
    check: &CheckReport,
    verdicts: impl Iterator<Item = &'v Verdict>,
    value: impl Fn(&Verdict) -> Option<f64>,
) -> Vec<(String, f64)> {
    let mut known = BTreeSet::new();
    verdicts
        .filter_map(|verdict| {
            let mut all = vec![
                ("service".to_owned(), check.service.as_str().to_owned()),
                ("window".to_owned(), verdict.window.clone()),
            ];
            all.extend(scope_labels(&verdict.scope));
            Some((labels(&all), value(verdict)?))
        })
        .filter(|(labels, _)| known.insert(labels.clone()))
        .collect()
}

/// Returns the labels of a scope. Label names contain only letters, digits and underscores, and are unique.
fn scope_labels(scope: &Scope) -> Vec<(String, String)> {
    let names = scope.0.iter().map(|(name, _)| name.as_str());
    let by = names.filter(|name| !ACCOUNT_COLUMNS.contains(name)).collect::<Vec<_>>().join(",");
    let mut all = vec![("by".to_owned(), by)];
    for (dimension, value) in &scope.0 {
        let Some(value) = value else { continue };
        let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let mut name: String = dimension.chars().map(letter).collect();
        while all.iter().any(|(taken, _)| *taken == name) {
            name.push('_');
        }
        all.push((name, value.clone()));
    }
    all
}

fn labels(all: &[(String, String)]) -> String {
    let one = |(name, value): &(String, String)| {
        let value =
            printable(value).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("{name}=\"{value}\"")
    };
    format!("{{{}}}", all.iter().map(one).collect::<Vec<_>>().join(","))
}

fn level(level: AlertLevel) -> f64 {
    f64::from(level.exit_code())
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn float(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "times in milliseconds stay below 2^52")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}
