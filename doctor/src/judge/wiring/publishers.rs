//! Which configuration sets and identities publish to which topic, and which topics and queues are judged.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::FindingLevel;
use crate::snapshot::Snapshot;
use crate::snapshot::event_feed::Target;

/// A source of events of SES.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Publisher<'a> {
    /// Event publishing of a configuration set.
    Set(&'a str),
    /// Identity feedback: notifications of an identity.
    Identity(&'a str),
}

impl Publisher<'_> {
    /// Resource part of the ARN in `aws:SourceArn`.
    pub(super) fn resource(self) -> String {
        match self {
            Self::Set(name) => format!("configuration-set/{name}"),
            Self::Identity(name) => format!("identity/{name}"),
        }
    }
}

/// Publishers by ARN of a topic, of all topics.
type Topics<'a> = BTreeMap<&'a str, BTreeSet<Publisher<'a>>>;

/// The path of events through an account.
#[derive(Debug)]
pub(super) struct Paths<'a> {
    /// Topics that are judged, each with its publishers.
    pub(super) topics: Topics<'a>,
    /// Queues that bouncewatch reads, or queues of subscriptions if those are not known.
    pub(super) queues: BTreeSet<&'a str>,
    /// Configuration sets that senders use.
    pub(super) used_sets: BTreeSet<&'a str>,
}

/// The level of a problem of a configuration set: at most a warning if no sender is known to use it.
pub(super) const fn level_of(is_used: bool) -> FindingLevel {
    if is_used { FindingLevel::Critical } else { FindingLevel::Warning }
}

impl<'a> Paths<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let queues = if snapshot.own_queues.is_empty() {
            subscribed_queues(snapshot)
        } else {
            snapshot.own_queues.iter().map(String::as_str).collect()
        };
        Self { topics: judged_topics(snapshot, &queues), used_sets: used_sets(snapshot), queues }
    }

    /// The level of a problem of a topic.
    pub(super) fn level_of_topic(&self, topic: &str) -> FindingLevel {
        let mut publishers = self.topics.get(topic).into_iter().flatten();
        level_of(publishers.any(|publisher| match publisher {
            Publisher::Set(name) => self.used_sets.contains(name),
            Publisher::Identity(_) => true,
        }))
    }

    /// Judged topics with a subscription of the queue.
    pub(super) fn topics_of_queue(&self, snapshot: &Snapshot, queue: &str) -> Vec<&'a str> {
        let subscribes = |topic: &&str| {
            let topic = snapshot.topics.get(*topic);
            topic.and_then(|topic| topic.subscriptions.value()).is_some_and(|subscriptions| {
                subscriptions.iter().any(|entry| entry.endpoint == queue)
            })
        };
        self.topics.keys().copied().filter(subscribes).collect()
    }
}

fn used_sets(snapshot: &Snapshot) -> BTreeSet<&str> {
    let defaults = snapshot.identities.value().into_iter().flatten();
    let defaults =
        defaults.filter_map(|identity| identity.details.value()?.configuration_set.as_deref());
    let mut used: BTreeSet<&str> = defaults.collect();
    used.extend(snapshot.own_sets.iter().map(String::as_str));
    if let (1, Some((only, _))) = (snapshot.sets.len(), snapshot.sets.first_key_value()) {
        used.insert(only);
    }
    used
}

/// Endpoints of the `sqs` subscriptions of all topics.
fn subscribed_queues(snapshot: &Snapshot) -> BTreeSet<&str> {
    let subscriptions = snapshot.topics.values().filter_map(|topic| topic.subscriptions.value());
    subscriptions
        .flatten()
        .filter(|subscription| subscription.protocol == "sqs")
        .map(|subscription| subscription.endpoint.as_str())
        .collect()
}

/// Whether a topic has a subscription of one of the queues, or may have one.
fn leads_to(snapshot: &Snapshot, topic: &str, queues: &BTreeSet<&str>) -> bool {
    let subscriptions = snapshot.topics.get(topic).map(|topic| &topic.subscriptions);
    subscriptions.and_then(|part| part.value()).is_none_or(|subscriptions| {
        subscriptions.iter().any(|entry| queues.contains(entry.endpoint.as_str()))
    })
}

/// All topics that lead to a queue that is read. Of a set or identity that has none: all its topics, since one of them
/// must be repaired.
fn judged_topics<'a>(snapshot: &'a Snapshot, queues: &BTreeSet<&str>) -> Topics<'a> {
    let mut judged = Topics::new();
    let mut add = |publisher: Publisher<'a>, topics: Vec<&'a str>, is_needed: bool| {
        let leading: Vec<&str> =
            topics.iter().copied().filter(|topic| leads_to(snapshot, topic, queues)).collect();
        let topics = if leading.is_empty() && is_needed { topics } else { leading };
        for topic in topics {
            judged.entry(topic).or_default().insert(publisher);
        }
    };
    for (name, set) in &snapshot.sets {
        let destinations = set.destinations.value().into_iter().flatten();
        let mut has_other_feed = false;
        let topics =
            destinations.filter(|destination| destination.enabled).filter_map(|destination| {
                match &destination.target {
                    Target::Topic(arn) => Some(arn.as_str()),
                    target => {
                        has_other_feed |= target.is_feed();
                        None
                    }
                }
            });
        let topics = topics.collect();
        add(Publisher::Set(name), topics, !has_other_feed);
    }
    for identity in snapshot.identities.value().into_iter().flatten() {
        let Some(notifications) = identity.notifications.value() else { continue };
        let has_set =
            identity.details.value().is_some_and(|details| details.configuration_set.is_some());
        let topics: BTreeSet<&str> = notifications.topics().map(|(_, topic)| topic).collect();
        add(Publisher::Identity(&identity.name), topics.into_iter().collect(), !has_set);
    }
    judged
}
