//! Subscriptions of topics: whether events reach the queue that is read, and what a filter policy drops.

use serde_json::{Map, Value};

use crate::finding::FindingLevel::{Critical, Note, Warning};
use crate::finding::{Check, Finding};
use crate::judge::report::Report;
use crate::judge::wiring::arn;
use crate::judge::wiring::publishers::{Paths, Publisher};
use crate::snapshot::Snapshot;
use crate::snapshot::event_feed::{Subscription, SubscriptionAttributes};
use crate::snapshot::part::Part;

const LIST: &str = "SNS API, ListSubscriptionsByTopic";
const ATTRIBUTES: &str = "SNS API, GetSubscriptionAttributes";
const FILTER: &str = "SNS developer guide, subscription filter policies";

pub(super) fn judge_subscriptions(snapshot: &Snapshot, paths: &Paths<'_>, report: &mut Report) {
    for (arn, publishers) in &paths.topics {
        let Some(topic) = snapshot.topics.get(*arn) else { continue };
        // a topic that does not exist is reported already
        if matches!(topic.attributes, Part::Absent(_)) {
            continue;
        }
        let check = Check::SubscriptionMissing;
        let Some(subscriptions) = report.read(check, arn, &topic.subscriptions, LIST) else {
            continue;
        };
        let of_queues = subscriptions.iter().filter(|entry| entry.protocol == "sqs");
        let (own, others): (Vec<&Subscription>, Vec<&Subscription>) =
            of_queues.partition(|entry| paths.queues.contains(entry.endpoint.as_str()));
        if own.is_empty() {
            report.add(missing(arn, &others, paths));
            continue;
        }
        report.pass(check, arn, LIST);
        report.pass(Check::SubscriptionEndpoint, arn, LIST);
        for subscription in own {
            judge_subscription(arn, subscription, publishers.iter().copied(), report);
        }
    }
}

fn missing(topic: &str, others: &[&Subscription], paths: &Paths<'_>) -> Finding {
    let fix = match paths.queues.first() {
        Some(queue) => format!(
            "Run `aws sns subscribe --topic-arn {} --protocol sqs --notification-endpoint {}`",
            arn::argument(topic, "TOPIC_ARN"),
            arn::argument(queue, "QUEUE_ARN"),
        ),
        None => format!("Subscribe the queue to {topic}, with its ARN as endpoint"),
    };
    let level = paths.level_of_topic(topic);
    let problem = if others.is_empty() {
        let what = "no queue subscribes to the topic: events end there";
        Check::SubscriptionMissing.found(level, what, LIST)
    } else {
        let what = "another queue than the one that is read subscribes to the topic";
        let endpoints = others.iter().map(|entry| format!("endpoint {}", entry.endpoint));
        Check::SubscriptionEndpoint.found(level, what, LIST).with_all(endpoints)
    };
    problem.about(topic).fix(fix)
}

fn judge_subscription<'a>(
    topic: &str,
    subscription: &Subscription,
    publishers: impl Iterator<Item = Publisher<'a>>,
    report: &mut Report,
) {
    let attributes = subscription.attributes.value();
    let is_pending = subscription.arn.is_none() || attributes.is_some_and(|found| found.pending);
    let pending = is_pending.then(|| {
        let what = "the subscription of the queue waits for confirmation: SNS delivers nothing";
        Check::SubscriptionPending.found(Critical, what, LIST)
            .with(format!("endpoint {}", subscription.endpoint))
            .fix(
                "Subscribe again with credentials of the account that owns the queue, or receive the message \
                 SubscriptionConfirmation from the queue and open its SubscribeURL",
            )
    });
    report.check(Check::SubscriptionPending, topic, LIST, pending);
    if is_pending {
        return;
    }
    let name = subscription.arn.as_deref().unwrap_or(topic);
    let Some(attributes) =
        report.read(Check::FilterPolicy, name, &subscription.attributes, ATTRIBUTES)
    else {
        return;
    };
    let mut kinds: Vec<Kind> = publishers
        .map(|publisher| match publisher {
            Publisher::Set(_) => OF_SETS,
            Publisher::Identity(_) => IDENTITY_FEEDBACK,
        })
        .collect();
    kinds.dedup();
    report.check(Check::FilterPolicy, name, FILTER, filter(attributes, &kinds));
    let raw = attributes.raw_delivery.then(|| {
        let what = "raw delivery is on: bouncewatch reads the events, but without the signature and the ARNs of SNS";
        Check::RawDelivery.found(Note, what, ATTRIBUTES)
            .with("RawMessageDelivery = true")
            .fix("Switch it off to let `ingest` verify signatures and accept only listed topics")
    });
    report.check(Check::RawDelivery, name, ATTRIBUTES, raw);
    let dead_letters = (!attributes.has_dead_letter_queue).then(|| {
        let what = "the subscription has no dead-letter queue: events that the queue refuses are lost at once";
        Check::SubscriptionDeadLetters.found(Warning, what, ATTRIBUTES)
            .with("SNS does not retry when the policy or the key of the queue is wrong")
            .fix("Set a RedrivePolicy on the subscription")
    });
    report.check(Check::SubscriptionDeadLetters, name, ATTRIBUTES, dead_letters);
}

/// A kind of publisher: its name, the key of the type of an event in the body, and the types that are needed.
type Kind = (&'static str, &'static str, &'static [&'static str]);
const OF_SETS: Kind =
    ("events of configuration sets", "eventType", &["Bounce", "Complaint", "Send"]);
/// Identity feedback has no Send events.
const IDENTITY_FEEDBACK: Kind = ("identity feedback", "notificationType", &["Bounce", "Complaint"]);

fn filter(attributes: &SubscriptionAttributes, kinds: &[Kind]) -> Option<Finding> {
    let text = attributes.filter_policy.as_deref().filter(|text| !text.trim().is_empty())?;
    let problem = |level, what: &str| {
        let scope = attributes.filter_scope.as_deref().unwrap_or("MessageAttributes");
        let problem = Check::FilterPolicy.found(level, what, FILTER);
        let problem = problem
            .with(format!("FilterPolicy = {text}"))
            .with(format!("FilterPolicyScope = {scope}"));
        Some(problem.fix("Remove the filter policy: bouncewatch ignores what it does not need"))
    };
    let policy = match serde_json::from_str::<Map<String, Value>>(text) {
        Ok(policy) if policy.is_empty() => return None,
        Ok(policy) => policy,
        Err(_) => return problem(Warning, "the filter policy is not readable"),
    };
    if attributes.filter_scope.as_deref() != Some("MessageBody") {
        let what = "the filter policy drops all events: SES sets no message attributes";
        return problem(Critical, what);
    }
    let drops = |(_, key, _): &Kind, event| passes(&policy, key, event) == Some(false);
    let lost = kinds.iter().filter_map(|kind| {
        let (name, _, needed) = kind;
        let lost: Vec<&str> = needed.iter().copied().filter(|event| drops(kind, event)).collect();
        (!lost.is_empty()).then(|| format!("{} ({name})", lost.join(", ")))
    });
    let lost: Vec<String> = lost.collect();
    // as long as another publisher reports bounces, some arrive
    let is_lost = |event| kinds.iter().all(|kind| drops(kind, event));
    if !lost.is_empty() {
        let level = if is_lost("Bounce") || is_lost("Complaint") { Critical } else { Warning };
        return problem(level, &format!("the filter policy drops {}", lost.join("; ")));
    }
    let is_unknown = kinds
        .iter()
        .any(|(_, key, needed)| needed.iter().any(|event| passes(&policy, key, event).is_none()));
    if is_unknown { problem(Warning, "the filter policy may drop events") } else { None }
}

/// Whether a filter on the body lets an event of a type pass; `None` if that depends on other fields or on operators.
fn passes(policy: &Map<String, Value>, key: &str, kind: &str) -> Option<bool> {
    let mut result = Some(true);
    for (name, values) in policy {
        if name != key {
            // events of SES have none of the other type key
            if ["eventType", "notificationType"].contains(&name.as_str()) {
                return Some(false);
            }
            result = None;
            continue;
        }
        let Value::Array(values) = values else {
            result = None;
            continue;
        };
        if values.iter().any(|value| value.as_str() == Some(kind)) {
            continue;
        }
        if values.iter().all(Value::is_string) {
            return Some(false);
        }
        result = None;
    }
    result
}
