//! Builds a check report from counts, with the code of `check`. No I/O.

use crate::check::feed::FeedHealth;
use crate::check::sending::SendingReport;
use crate::check::verdict::{RateScope, WithFeedback, metrics, rate_verdict};
use crate::check::{CheckReport, CheckRequest, Verdict, confidence};
use crate::counts::table::Counts;

/// Evaluates counts against the thresholds. Uses the windows and groupings of the counts, and does
/// not read the store of the request. Fields that counts cannot provide stay empty: see
/// `docs/src/counts.md`.
pub fn check_counts(request: &CheckRequest, counts: &Counts) -> CheckReport {
    let feed = FeedHealth::of_newest(Some(counts.newest_event_at), request);
    CheckReport::new(request, feed, SendingReport::default(), verdicts(request, counts))
}

fn verdicts(request: &CheckRequest, counts: &Counts) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (grouping, scopes) in &counts.groupings {
        for ((values, _), one) in scopes {
            let (window, to) = (&one.window, counts.to);
            let scope = RateScope { request, grouping, values, window, to };
            for metric in metrics(request.service) {
                let measured = &one.counts.measured;
                let verdict = rate_verdict(&scope, metric, measured);
                let attempts = one.counts.attempts_with_feedback.filter(|_| metric.is_complaints());
                let with_feedback = attempts.map(|attempts| WithFeedback {
                    attempts,
                    rate: confidence::rate(verdict.count, attempts),
                });
                let incoming_bounces = one.counts.incoming_bounces;
                verdicts.push(Verdict { incoming_bounces, with_feedback, ..verdict });
            }
        }
    }
    verdicts
}
