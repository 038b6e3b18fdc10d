//! The path of events: identity -> configuration set -> event destination -> topic -> subscription -> queue -> consumer.

mod arn;
mod default_set;
mod event_bus;
mod flow;
mod key;
mod publishers;
mod queue;
mod set;
mod subscription;
mod topic;

use std::collections::BTreeSet;

use crate::finding::Check;
use crate::finding::FindingLevel::Note;
use crate::judge::figures::Figures;
use crate::judge::report::Report;
use crate::snapshot::Snapshot;
use publishers::{Paths, Publisher};

const FEEDBACK: &str = "SES API, GetIdentityNotificationAttributes";

pub(super) fn judge(snapshot: &Snapshot, figures: &Figures, report: &mut Report) {
    let paths = Paths::new(snapshot);
    set::judge_sets(snapshot, &paths, report);
    default_set::judge_defaults(snapshot, figures.store.as_ref(), report);
    topic::judge_topics(snapshot, &paths, report);
    subscription::judge_subscriptions(snapshot, &paths, report);
    queue::judge_queues(snapshot, &paths, figures.consumer.as_ref(), report);
    event_bus::judge_event_bus(snapshot, &paths, report);
    duplicates(snapshot, &paths, report);
    flow::judge_flow(snapshot, &paths, report);
}

/// Identities with feedback topics that lead to the same queues as their configuration sets.
fn duplicates(snapshot: &Snapshot, paths: &Paths<'_>, report: &mut Report) {
    let queues_of = |publisher: Publisher<'_>| -> BTreeSet<&str> {
        let topics = paths.topics.iter().filter(|(_, all)| all.contains(&publisher));
        let subscriptions =
            topics.filter_map(|(topic, _)| snapshot.topics.get(*topic)?.subscriptions.value());
        let endpoints = subscriptions.flatten().map(|entry| entry.endpoint.as_str());
        endpoints.filter(|endpoint| paths.queues.contains(endpoint)).collect()
    };
    for identity in snapshot.identities.value().into_iter().flatten() {
        let default = identity.details.value().and_then(|one| one.configuration_set.as_ref());
        let sets = default.into_iter().chain(&snapshot.own_sets);
        let by_sets: BTreeSet<&str> = sets.flat_map(|set| queues_of(Publisher::Set(set))).collect();
        if by_sets.is_empty() {
            continue;
        }
        let by_feedback = queues_of(Publisher::Identity(&identity.name));
        let both = by_sets.intersection(&by_feedback).next();
        let problem = both.map(|queue| {
            let what = "events arrive twice: from the configuration set and as identity feedback";
            Check::DuplicateFeed
                .found(Note, what, FEEDBACK)
                .with(format!("both lead to {queue}"))
                .with("bouncewatch counts copies of an event once")
                .fix("Remove the topics of the identity to save messages")
        });
        report.check(Check::DuplicateFeed, &identity.name, FEEDBACK, problem);
    }
}
