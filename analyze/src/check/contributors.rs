//! What drives the rates that are over a threshold: the domains, providers, campaigns and so on that have most of the
//! count, with the rate without each.

use bouncewatch_schemas::{provider, table};

use crate::check::Request;
use crate::check::contribution::{Contributor, by_weight, contributors};
use crate::check::levels::Level;
use crate::check::verdict::{Metric, Verdict, metrics};
use crate::error::AnalyzeError;
use crate::scan::{Exact, Look, Part, Scan, Timelines};
use crate::timeline::model::{Cut, Denominator, ScopeWord};
use crate::timeline::windows::count_out;

/// Adds to each verdict over a threshold what drives it.
pub(crate) fn add(
    request: &Request,
    scan: &Scan,
    cuts: &[Cut],
    verdicts: &mut [Verdict],
) -> Result<(), AnalyzeError> {
    for cut in cuts {
        let words: Vec<String> = cut.0.iter().map(ScopeWord::name).collect();
        let is_here = |verdict: &Verdict| {
            verdict.level >= Level::Warning
                && verdict.scope.0.iter().map(|(word, _)| word).eq(words.iter())
        };
        let here = || verdicts.iter().filter(|verdict| is_here(verdict));
        let Some(earliest) = here().map(|verdict| verdict.after).min() else { continue };
        let further: Vec<&ScopeWord> =
            request.contributors.iter().filter(|word| !cut.0.contains(word)).collect();
        let finer: Vec<Cut> = further
            .iter()
            .map(|word| Cut(cut.0.iter().chain([*word]).cloned().collect()))
            .collect();
        let look = Look { cuts: &finer, basis: request.basis, counted_from: request.counted_from };
        let exact = Exact::of(here().map(|verdict| verdict.after).chain([request.at]));
        let mut part = Part::new(scan, look, earliest, request.at)?;
        if here().any(|verdict| verdict.denominator.is_some_and(Denominator::is_of_pairs)) {
            part.load_pairs()?;
        }
        let history = part.history(&exact)?;
        for verdict in verdicts.iter_mut().filter(|verdict| is_here(verdict)) {
            let Some(metric) =
                metrics(request.service).iter().find(|metric| metric.name == verdict.metric)
            else {
                continue;
            };
            for (word, timelines) in further.iter().zip(&history.cuts) {
                let more = of_scope(verdict, metric, timelines, &word.name(), request.at);
                verdict.contributors.extend(more);
            }
            // the order of the words, and of the counts of each, stays where this one says nothing
            verdict.contributors.sort_by(by_weight);
        }
    }
    Ok(())
}

fn of_scope(
    verdict: &Verdict,
    metric: &Metric,
    timelines: &Timelines,
    by: &str,
    to: i64,
) -> Vec<Contributor> {
    let (Some(attempts), Some(out_of)) = (verdict.attempts, verdict.denominator) else {
        return Vec::new();
    };
    let values: Vec<&Option<String>> = verdict.scope.0.iter().map(|(_, value)| value).collect();
    let parts = timelines
        .iter()
        .filter(|(finer, _)| finer.iter().take(values.len()).eq(values.iter().copied()))
        .filter(|(finer, _)| {
            let value = finer.last().and_then(Option::as_deref);
            // who is in no table of providers is no provider; a complaint has no cause, and neither has mail that arrived
            !matches!((by, value), (table::PROVIDER, Some(provider::OTHER)) | (table::CAUSE, None))
        })
        .map(|(finer, timeline)| {
            // out of what the whole is counted
            let counts = count_out(timeline, out_of, verdict.after, to).counts;
            // mail has a cause only because it bounced; without that it would have been tried all the same
            let tried = counts.attempts.filter(|_| by != table::CAUSE);
            (finer.last().cloned().flatten(), (metric.of)(&counts), tried)
        });
    contributors(by, verdict.count, attempts, parts)
}
