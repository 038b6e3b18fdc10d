//! Subscriptions of topics: whether events reach the queue that is read, and what a filter policy drops.

use serde_json::{Map, Value};

use crate::finding::Check;
use crate::finding::FindingLevel::{Critical, Note, Warning};
use crate::judge::report::{Problem, Report};
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

fn missing(topic: &str, others: &[&Subscription], paths: &Paths<'_>) -> Problem {
    let fix = match paths.queues.first() {
        Some(queue) => format!(
            "aws sns subscribe --topic-arn {topic} --protocol sqs --notification-endpoint {queue}"
        ),
        None => format!("subscribe the queue to {topic}, with its ARN as endpoint"),
    };
    let level = paths.level_of_topic(topic);
    let problem = if others.is_empty() {
        let what = "no queue subscribes to the topic: events end there";
        Problem::new(Check::SubscriptionMissing, level, what, LIST)
    } else {
        let what = "another queue than the one that is read subscribes to the topic";
        let mut problem = Problem::new(Check::SubscriptionEndpoint, level, what, LIST);
        problem.evidence =
            others.iter().map(|entry| format!("endpoint {}", entry.endpoint)).collect();
        problem
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
        Problem::new(Check::SubscriptionPending, Critical, what, LIST)
            .evidence(format!("endpoint {}", subscription.endpoint))
            .fix(
                "subscribe again with credentials of the account that owns the queue, or receive the message \
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
    let has_classic = { publishers }.any(|publisher| matches!(publisher, Publisher::Identity(_)));
    report.check(Check::FilterPolicy, name, FILTER, filter(attributes, has_classic));
    let raw = attributes.raw_delivery.then(|| {
        let what = "raw delivery is on: bouncewatch reads the events, but without the signature and the ARNs of SNS";
        Problem::new(Check::RawDelivery, Note, what, ATTRIBUTES)
            .evidence("RawMessageDelivery = true")
            .fix("switch it off to let `ingest` verify signatures and accept only listed topics")
    });
    report.check(Check::RawDelivery, name, ATTRIBUTES, raw);
    let dead_letters = (!attributes.has_dead_letter_queue).then(|| {
        let what = "the subscription has no dead-letter queue: events that the queue refuses are lost at once";
        Problem::new(Check::SubscriptionDeadLetters, Warning, what, ATTRIBUTES)
            .evidence("SNS does not retry when the policy or the key of the queue is wrong")
            .fix("set a RedrivePolicy on the subscription")
    });
    report.check(Check::SubscriptionDeadLetters, name, ATTRIBUTES, dead_letters);
}

/// Event types in the body, with the status of losing them.
const FILTERED_TYPES: [&str; 3] = ["Bounce", "Complaint", "Send"];

fn filter(attributes: &SubscriptionAttributes, has_classic: bool) -> Option<Problem> {
    let text = attributes.filter_policy.as_deref().filter(|text| !text.trim().is_empty())?;
    let fix = "remove the filter policy: bouncewatch ignores what it does not need";
    let problem = |level, what: String| {
        let scope = attributes.filter_scope.as_deref().unwrap_or("MessageAttributes");
        let problem = Problem::new(Check::FilterPolicy, level, what, FILTER).fix(fix);
        problem
            .evidence(format!("FilterPolicy = {text}"))
            .evidence(format!("FilterPolicyScope = {scope}"))
    };
    let policy = match serde_json::from_str::<Map<String, Value>>(text) {
        Ok(policy) if policy.is_empty() => return None,
        Ok(policy) => policy,
        Err(_) => return Some(problem(Warning, "the filter policy is not readable".to_owned())),
    };
    if attributes.filter_scope.as_deref() != Some("MessageBody") {
        let what = "the filter policy drops all events: SES sets no message attributes";
        return Some(problem(Critical, what.to_owned()));
    }
    // classic notifications have `notificationType`, and no Send
    let key = if has_classic { "notificationType" } else { "eventType" };
    let types = &FILTERED_TYPES[..if has_classic { 2 } else { 3 }];
    let passes: Vec<Option<bool>> = types.iter().map(|kind| passes(&policy, key, kind)).collect();
    let dropped: Vec<&str> = types
        .iter()
        .zip(&passes)
        .filter(|(_, passes)| **passes == Some(false))
        .map(|(kind, _)| *kind)
        .collect();
    if dropped.iter().any(|kind| *kind != "Send") {
        return Some(problem(Critical, format!("the filter policy drops {}", dropped.join(", "))));
    }
    if !dropped.is_empty() {
        let what = "the filter policy drops Send events: rates have no denominator";
        return Some(problem(Warning, what.to_owned()));
    }
    passes.contains(&None).then(|| problem(Warning, "the filter policy may drop events".to_owned()))
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
