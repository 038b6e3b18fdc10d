//! EventBridge instead of SNS: whether the queue allows rules of the default bus. The rules themselves are not read.

use crate::finding::FindingLevel::{Critical, Note};
use crate::finding::{Check, Finding};
use crate::judge::report::{Report, policy_problem};
use crate::judge::wiring::arn;
use crate::judge::wiring::key::{KeyUse, judge_key};
use crate::judge::wiring::publishers::{Paths, Publisher, level_of};
use crate::policy::{Request, RequestValue, evaluate};
use crate::snapshot::Snapshot;
use crate::snapshot::event_feed::{Queue, Target};

const SOURCE: &str = "EventBridge user guide, resource policies of SQS targets";
const DESTINATION: &str = "SES developer guide, event destinations of EventBridge";
/// Resource of the default bus.
const DEFAULT_BUS: &str = ":event-bus/default";
/// Principal of EventBridge.
const EVENTS: &str = "events.amazonaws.com";

/// Judges the queues if a set publishes to EventBridge and to no topic that leads to a queue.
pub(super) fn judge_event_bus(snapshot: &Snapshot, paths: &Paths<'_>, report: &mut Report) {
    let has_topic = |name: &str| {
        paths.topics.values().any(|publishers| publishers.contains(&Publisher::Set(name)))
    };
    let needs_bus = snapshot.sets.iter().any(|(name, set)| {
        let targets = set.destinations.value().into_iter().flatten();
        let mut enabled = targets.filter(|destination| destination.enabled);
        !has_topic(name)
            && enabled.any(|destination| matches!(destination.target, Target::EventBus(_)))
    });
    if !needs_bus {
        return;
    }
    for (name, set) in &snapshot.sets {
        let level = level_of(paths.used_sets.contains(name.as_str()));
        let destinations = set.destinations.value().into_iter().flatten();
        for destination in destinations.filter(|destination| destination.enabled) {
            if let Target::EventBus(bus) = &destination.target
                && !bus.ends_with(DEFAULT_BUS)
            {
                let what = "SES publishes to the default event bus only, and the destination names another one";
                let problem = Check::EventBusPolicy.found(level, what, DESTINATION).about(name);
                report.add(problem.with(bus).fix("Name the default event bus of the account"));
            }
        }
    }
    if paths.queues.is_empty() {
        let what = "events go to EventBridge, and no queue is known: nothing behind EventBridge was checked";
        report.add(
            Check::EventBusPolicy
                .found(Note, what, SOURCE)
                .fix("Name the queue that the consumer reads"),
        );
    }
    for arn in &paths.queues {
        let Some(queue) = snapshot.queues.get(*arn).and_then(|queue| queue.value()) else {
            continue;
        };
        report.check(Check::EventBusPolicy, arn, SOURCE, policy(snapshot, queue, arn));
        let key_use = KeyUse {
            check: Check::EventBusKey,
            service: EVENTS,
            source_account: snapshot.account_id.value().map_or("", String::as_str),
            resource: arn,
            level: Critical,
            what: "EventBridge cannot send to the encrypted queue: events are lost",
        };
        judge_key(snapshot, queue.key.as_deref(), &key_use, report);
    }
}

fn policy(snapshot: &Snapshot, queue: &Queue, arn: &str) -> Option<Finding> {
    let account = snapshot.account_id.value().map_or_else(|| arn::account(arn), String::as_str);
    let rules = format!("arn:{}:events:{}:{account}:rule/", arn::partition(arn), snapshot.region);
    let request = Request::new(EVENTS, "sqs:SendMessage", RequestValue::Exact(arn.to_owned()))
        .with("aws:sourcearn", RequestValue::Prefix(rules.clone()))
        .with("aws:sourceaccount", RequestValue::Exact(account.to_owned()));
    let what = "the policy of the queue does not let EventBridge send: events are lost";
    let denied = Check::EventBusPolicy.found(Critical, what, SOURCE).fix(format!(
        "Add a statement that allows {EVENTS} sqs:SendMessage with aws:SourceArn = {rules}NAME"
    ));
    let what = "the policy of the queue allows some rules of EventBridge; rules are not read, so compare them with the policy";
    let undecided = Check::EventBusPolicy.found(Note, what, SOURCE);
    policy_problem(evaluate(queue.policy.as_deref(), &request), denied, undecided)
}
