//! Queues that bouncewatch reads: policy and key for SNS, retention, dead letters, backlog, other consumers.

use std::collections::BTreeSet;

use bouncewatch_schemas::text::duration;
use serde_json::Value;

use crate::finding::FindingLevel::{Critical, Note, Unknown, Warning};
use crate::finding::{Check, Finding};
use crate::judge::figures::ConsumerFigures;
use crate::judge::report::{Report, policy_problem};
use crate::judge::wiring::arn;
use crate::judge::wiring::key::{KeyUse, judge_key};
use crate::judge::wiring::publishers::Paths;
use crate::policy::{Request, RequestValue, evaluate};
use crate::snapshot::Snapshot;
use crate::snapshot::event_feed::{Queue, Redrive};
use crate::snapshot::metrics::QueueFlow;
use crate::snapshot::part::Part;

const ATTRIBUTES: &str = "SQS API, GetQueueAttributes";
const POLICY: &str = "SNS developer guide, subscribing a queue to a topic";
const AGE: &str = "CloudWatch, AWS/SQS ApproximateAgeOfOldestMessage";

const DAY_SECS: i64 = 86_400;
const HOUR_SECS: f64 = 3_600.0;
/// A long weekend.
const RETENTION_SECS_MIN: i64 = 4 * DAY_SECS;
/// Fewer receives turn a restart of the consumer into dead letters.
const RECEIVE_COUNT_MIN: i64 = 3;
/// Ratio, and number of messages, from which on more were received than the consumer received.
const RECEIVED_RATIO_MAX: f64 = 1.5;
const RECEIVED_SURPLUS_MIN: f64 = 100.0;

/// Judges the queues that are read.
pub(super) fn judge_queues(
    snapshot: &Snapshot,
    paths: &Paths<'_>,
    consumer: Option<&ConsumerFigures>,
    report: &mut Report,
) {
    for arn in &paths.queues {
        let queue = snapshot.queues.get(*arn);
        if matches!(queue, Some(Part::Absent(_))) && !arn::is_foreign(snapshot, arn) {
            let what = "the queue does not exist in this region and account";
            report.add(Check::QueueMissing.found(Critical, what, ATTRIBUTES).about(arn).fix(
                "Compare name, region and account of the queue with the settings of the consumer",
            ));
            continue;
        }
        let Some(queue) = report.read(Check::QueuePolicy, arn, queue, ATTRIBUTES) else { continue };
        report.pass(Check::QueueMissing, arn, ATTRIBUTES);
        let topics = paths.topics_of_queue(snapshot, arn);
        for topic in &topics {
            report.check(Check::QueuePolicy, arn, POLICY, sns_policy(queue, arn, topic));
        }
        let accounts: BTreeSet<&str> = topics.iter().map(|topic| arn::account(topic)).collect();
        for source_account in accounts {
            let key_use = KeyUse {
                check: Check::QueueKey,
                service: "sns.amazonaws.com",
                source_account,
                resource: arn,
                level: Critical,
                what: "SNS cannot send to the encrypted queue: events are lost",
            };
            judge_key(snapshot, queue.key.as_deref(), &key_use, report);
        }
        storage(arn, queue, snapshot, report);
        reading(arn, queue, snapshot, consumer, report);
    }
}

fn sns_policy(queue: &Queue, arn: &str, topic: &str) -> Option<Finding> {
    let resource = RequestValue::Exact(arn.to_owned());
    let request = Request::new("sns.amazonaws.com", "sqs:SendMessage", resource)
        .with("aws:sourcearn", RequestValue::Exact(topic.to_owned()))
        .with("aws:sourceaccount", RequestValue::Exact(arn::account(topic).to_owned()));
    let statement = serde_json::json!({
        "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage",
        "Resource": arn, "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    });
    let problem = |level, what| {
        let problem = Check::QueuePolicy.found(level, what, POLICY);
        problem.with(format!("topic {topic}")).fix(format!("Add the statement {statement}"))
    };
    let denied = "the policy of the queue does not let the topic send: events are lost";
    let undecided = "the policy of the queue may not let the topic send";
    let evaluation = evaluate(queue.policy.as_deref(), &request);
    policy_problem(evaluation, problem(Critical, denied), problem(Warning, undecided))
}

/// Retention and dead letters.
fn storage(arn: &str, queue: &Queue, snapshot: &Snapshot, report: &mut Report) {
    if let Some(retention) = queue.retention_secs {
        let problem = (retention < RETENTION_SECS_MIN).then(|| {
            let what = format!(
                "messages expire after {}: a consumer that stops for longer loses events",
                duration(retention)
            );
            Check::Retention
                .found(Warning, what, ATTRIBUTES)
                .fix("Set MessageRetentionPeriod to 1209600 (14 days)")
        });
        report.check(Check::Retention, arn, ATTRIBUTES, problem);
    }
    let Some(redrive) = &queue.redrive else {
        let what = "the queue has no dead-letter queue: a message that cannot be processed returns until it expires";
        report.add(
            Check::DeadLetterQueue
                .found(Warning, what, ATTRIBUTES)
                .about(arn)
                .fix("Set a RedrivePolicy with maxReceiveCount 10"),
        );
        return;
    };
    report.pass(Check::DeadLetterQueue, arn, ATTRIBUTES);
    let problem = (redrive.receive_count_max < RECEIVE_COUNT_MIN).then(|| {
        let what =
            format!("a message becomes a dead letter after {} receives", redrive.receive_count_max);
        Check::ReceiveCount.found(Warning, what, ATTRIBUTES).fix("Set maxReceiveCount to 10")
    });
    report.check(Check::ReceiveCount, arn, ATTRIBUTES, problem);
    dead_letters(arn, queue, redrive, snapshot, report);
}

fn dead_letters(
    arn: &str,
    queue: &Queue,
    redrive: &Redrive,
    snapshot: &Snapshot,
    report: &mut Report,
) {
    let target = redrive.target.as_str();
    let part = snapshot.queues.get(target);
    if matches!(part, Some(Part::Absent(_))) && !arn::is_foreign(snapshot, target) {
        let what = "the dead-letter queue does not exist";
        let problem = Check::DeadLetterAllowed.found(Warning, what, ATTRIBUTES).about(arn);
        report.add(problem.with(target).fix("Create it, or change the RedrivePolicy"));
        return;
    }
    let Some(dead) = report.read(Check::DeadLetters, target, part, ATTRIBUTES) else { return };
    let forbidden =
        dead.redrive_allow.as_deref().filter(|allow| !allows(allow, arn)).map(|allow| {
            let what = "the dead-letter queue does not accept messages of the queue";
            Check::DeadLetterAllowed
                .found(Warning, what, ATTRIBUTES)
                .with(format!("RedriveAllowPolicy of {target} = {allow}"))
                .fix("Add the queue to sourceQueueArns of the RedriveAllowPolicy")
        });
    report.check(Check::DeadLetterAllowed, arn, ATTRIBUTES, forbidden);
    if let (Some(retention), Some(kept)) = (queue.retention_secs, dead.retention_secs) {
        let problem = (kept <= retention).then(|| {
            let what = format!("dead letters are kept for {}, messages for {}", duration(kept), duration(retention));
            Check::DeadLetterRetention.found(Warning, what, ATTRIBUTES)
                .with("a message keeps its timestamp in the dead-letter queue, so its age includes the time in the first queue")
                .fix("Set MessageRetentionPeriod of the dead-letter queue to 1209600, and that of the queue below it")
        });
        // both can only have the maximum
        let problem = problem.filter(|_| kept < 14 * DAY_SECS);
        report.check(Check::DeadLetterRetention, target, ATTRIBUTES, problem);
    }
    let problem = (dead.visible > 0).then(|| {
        let what = format!("messages are in the dead-letter queue: {}", dead.visible);
        Check::DeadLetters.found(Warning, what, ATTRIBUTES)
            .fix("Read the log of the consumer for the reason, then move the messages back (start-message-move-task)")
    });
    report.check(Check::DeadLetters, target, ATTRIBUTES, problem);
}

/// Whether a `RedriveAllowPolicy` allows a queue.
fn allows(policy: &str, queue: &str) -> bool {
    let policy: Value = serde_json::from_str(policy).unwrap_or_default();
    match policy.get("redrivePermission").and_then(Value::as_str) {
        Some("denyAll") => false,
        Some("byQueue") => policy
            .get("sourceQueueArns")
            .and_then(Value::as_array)
            .is_some_and(|arns| arns.iter().any(|arn| arn.as_str() == Some(queue))),
        _ => true,
    }
}

/// Backlog, visibility timeout, decryption, other consumers.
fn reading(
    arn: &str,
    queue: &Queue,
    snapshot: &Snapshot,
    consumer: Option<&ConsumerFigures>,
    report: &mut Report,
) {
    let flow = snapshot
        .metrics
        .value()
        .map(|metrics| metrics.queues.get(arn::name(arn)).copied().unwrap_or_default());
    let has_age = flow.is_some_and(|flow| flow.oldest_secs.is_some());
    // an empty queue needs no age; without an age, messages in flight are those that a consumer processes
    if queue.visible.max(queue.delayed) <= 0 && (queue.in_flight <= 0 || !has_age) {
        report.pass(Check::Backlog, arn, AGE);
    } else if report.read(Check::Backlog, arn, &snapshot.metrics, AGE).is_some() {
        report.check(Check::Backlog, arn, AGE, backlog(queue, flow));
    }
    let Some(consumer) = consumer else { return };
    if let (Some(needed), Some(visibility)) =
        (consumer.visibility_needed_secs, queue.visibility_secs)
    {
        let problem = (visibility < needed).then(|| {
            let what = format!(
                "a received message is invisible for {visibility} s, the consumer needs {needed} s"
            );
            Check::Visibility
                .found(Warning, what, ATTRIBUTES)
                .fix("Raise VisibilityTimeout of the queue, or let the consumer set it")
        });
        report.check(Check::Visibility, arn, ATTRIBUTES, problem);
    }
    if queue.key.is_some() {
        let denied = consumer.last_error.as_deref().filter(|error| error.contains("KMS")).map(|error| {
            let what = "the consumer may not decrypt messages of the queue";
            Check::ConsumerKey.found(Critical, what, ATTRIBUTES)
                .with(format!("last error of the consumer: {error}"))
                .fix("Allow kms:Decrypt on the key for the role of the consumer, in its policy and in the key policy")
        });
        report.check(Check::ConsumerKey, arn, ATTRIBUTES, denied);
    }
    let received = flow.and_then(|flow| flow.received);
    if let (Some(received), Some(own)) = (received, consumer.received_24_hours) {
        report.check(Check::OtherConsumer, arn, ATTRIBUTES, other_consumer(received, own));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of messages of a day")]
fn other_consumer(received: f64, own: u64) -> Option<Finding> {
    let own = own as f64;
    (received > own * RECEIVED_RATIO_MAX && received - own > RECEIVED_SURPLUS_MIN).then(|| {
        let what = "more messages were received from the queue than this consumer received";
        Check::OtherConsumer
            .found(Note, what, "CloudWatch, AWS/SQS NumberOfMessagesReceived")
            .with(format!("received in 24 hours: {received}, by this consumer: {own}"))
            .fix("Give each consumer a queue of its own: another consumer takes events away")
    })
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a retention of at most 14 days; a float that is too large saturates"
)]
fn backlog(queue: &Queue, flow: Option<QueueFlow>) -> Option<Finding> {
    let waiting = queue.visible.saturating_add(queue.delayed);
    let retention = queue.retention_secs.unwrap_or(RETENTION_SECS_MIN) as f64;
    let count = format!("waiting messages: {waiting}, in flight: {}", queue.in_flight);
    let Some(age) = flow.and_then(|flow| flow.oldest_secs) else {
        let what =
            "messages wait, and their age is not known: CloudWatch has no value of the last hour";
        return Some(Check::Backlog.found(Unknown, what, AGE).with(count));
    };
    let level = if age > retention / 2.0 {
        Critical
    } else if age > HOUR_SECS {
        Warning
    } else {
        return None;
    };
    let what = format!("the oldest message has waited for {}", duration(age as i64));
    Some(
        Check::Backlog
            .found(level, what, AGE)
            .with(count)
            .with(format!("messages expire after {}", duration(retention as i64)))
            .fix("Start the consumer, or more workers (`ingest --follow --workers`)"),
    )
}
