//! EventBridge instead of SNS: whether the queue admits rules of the default bus. The rules themselves are not read.

use crate::finding::Check;
use crate::finding::FindingLevel::{Critical, Note};
use crate::judge::report::{Problem, Report};
use crate::judge::wiring::arn;
use crate::judge::wiring::key::{KeyUse, judge_key};
use crate::judge::wiring::publishers::{Paths, Publisher};
use crate::policy::{Answer, Known, Request, evaluate};
use crate::snapshot::Snapshot;
use crate::snapshot::event_feed::{Queue, Target};

const SOURCE: &str = "EventBridge user guide, resource policies of SQS targets";
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
    if paths.queues.is_empty() {
        let what = "events go to EventBridge, and no queue is known: nothing behind EventBridge was checked";
        report.add(
            Problem::new(Check::EventBusPolicy, Note, what, SOURCE)
                .fix("name the queue that the consumer reads"),
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
            resource: arn,
            level: Critical,
            what: "EventBridge cannot send to the encrypted queue: events are lost",
        };
        judge_key(snapshot, queue.key.as_deref(), &key_use, report);
    }
}

fn policy(snapshot: &Snapshot, queue: &Queue, arn: &str) -> Option<Problem> {
    let account = snapshot.account_id.value().map_or_else(|| arn::account(arn), String::as_str);
    let rules = format!("arn:{}:events:{}:{account}:rule/", arn::partition(arn), snapshot.region);
    let request = Request::new(EVENTS, "sqs:SendMessage", Known::Text(arn.to_owned()))
        .with("aws:sourcearn", Known::Start(rules.clone()))
        .with("aws:sourceaccount", Known::Text(account.to_owned()));
    let evaluation = evaluate(queue.policy.as_deref(), &request);
    let (level, what) = match evaluation.answer {
        Answer::Allowed => return None,
        Answer::Denied => {
            (Critical, "the policy of the queue does not let EventBridge send: events are lost")
        }
        Answer::Undecided => (
            Note,
            "the policy of the queue admits some rules of EventBridge; rules are not read, so compare them with the policy",
        ),
    };
    let mut problem = Problem::new(Check::EventBusPolicy, level, what, SOURCE);
    problem.evidence = evaluation.reasons;
    if level == Critical {
        problem = problem.fix(format!(
            "add a statement that allows {EVENTS} sqs:SendMessage with aws:SourceArn = {rules}NAME"
        ));
    }
    Some(problem)
}
