//! Topics: existence, region, kind, policy and key.

use crate::finding::FindingLevel::{self, Warning};
use crate::finding::{Check, Finding};
use crate::judge::report::{Report, policy_problem};
use crate::judge::wiring::arn;
use crate::judge::wiring::key::{KeyUse, judge_key};
use crate::judge::wiring::publishers::{Paths, Publisher};
use crate::policy::{Request, RequestValue, evaluate};
use crate::snapshot::Snapshot;
use crate::snapshot::part::Part;

const TOPIC: &str = "SNS API, GetTopicAttributes";
const DESTINATION: &str = "SES developer guide, event destinations of SNS";
const POLICY: &str = "SES developer guide, permissions of SNS topics for event publishing";

/// Principal of SES.
const SES: &str = "ses.amazonaws.com";

pub(super) fn judge_topics(snapshot: &Snapshot, paths: &Paths<'_>, report: &mut Report) {
    for (arn, publishers) in &paths.topics {
        let level = paths.level_of_topic(arn);
        let (region, fifo) = (wrong_region(arn, &snapshot.region, level), fifo(arn, level));
        report.check(Check::TopicRegion, arn, DESTINATION, region);
        report.check(Check::TopicFifo, arn, DESTINATION, fifo);
        let attributes = snapshot.topics.get(*arn).map(|topic| &topic.attributes);
        if matches!(attributes, Some(Part::Absent(_))) && !arn::is_foreign(snapshot, arn) {
            let what = "the topic does not exist: SES drops the events";
            report.add(
                Check::TopicMissing.found(level, what, TOPIC)
                    .about(arn)
                    .with(format!("published to by {}", names(publishers.iter().copied())))
                    .fix("Create the topic with its policy and subscription, or point the event destination to another one"),
            );
            continue;
        }
        let Some(attributes) = report.read(Check::TopicPolicy, arn, attributes, TOPIC) else {
            continue;
        };
        report.pass(Check::TopicMissing, arn, TOPIC);
        for publisher in publishers {
            let problem = policy(snapshot, arn, attributes.policy.as_deref(), *publisher, level);
            report.check(Check::TopicPolicy, arn, POLICY, problem);
        }
        let key_use = KeyUse {
            check: Check::TopicKey,
            service: SES,
            source_account: snapshot.account_id.value().map_or("", String::as_str),
            resource: arn,
            level,
            what: "SES cannot publish to the encrypted topic",
        };
        judge_key(snapshot, attributes.key.as_deref(), &key_use, report);
    }
}

fn names<'a>(publishers: impl Iterator<Item = Publisher<'a>>) -> String {
    publishers.map(Publisher::resource).collect::<Vec<_>>().join(", ")
}

fn wrong_region(topic: &str, region: &str, level: FindingLevel) -> Option<Finding> {
    (arn::region(topic) != region).then(|| {
        let what = format!("the topic is in {}, SES publishes in {region} only", arn::region(topic));
        Check::TopicRegion.found(level, what, DESTINATION)
            .fix("Create a topic in the region of the configuration set; a queue of another region can subscribe to it")
    })
}

fn fifo(topic: &str, level: FindingLevel) -> Option<Finding> {
    topic.strip_suffix(".fifo").map(|_| {
        let what = "the topic is a FIFO topic, SES publishes to standard topics only";
        Check::TopicFifo.found(level, what, DESTINATION).fix("Use a standard topic")
    })
}

fn policy(
    snapshot: &Snapshot,
    topic: &str,
    policy: Option<&str>,
    publisher: Publisher<'_>,
    worst: FindingLevel,
) -> Option<Finding> {
    let account = snapshot.account_id.value();
    let mut request = Request::new(SES, "sns:Publish", RequestValue::Exact(topic.to_owned()));
    let mut source = None;
    if let Some(account) = account {
        let arn = format!(
            "arn:{}:ses:{}:{account}:{}",
            arn::partition(topic),
            snapshot.region,
            publisher.resource()
        );
        request = request
            .with("aws:sourceaccount", RequestValue::Exact(account.clone()))
            .with("aws:sourcearn", RequestValue::Exact(arn.clone()));
        source = Some(arn);
    }
    let problem = |level, what| {
        Check::TopicPolicy
            .found(level, what, POLICY)
            .with(format!("publisher: {}", publisher.resource()))
            .fix(format!("Add the statement {}", statement(topic, account, source.as_deref())))
    };
    let denied = problem(worst, "the policy of the topic does not let SES publish");
    let undecided = problem(Warning, "the policy of the topic may not let SES publish").assuming(
        "AWS does not document whether SES meets all conditions of the policy, such as AWS:SourceOwner",
    );
    policy_problem(evaluate(policy, &request), denied, undecided)
}

/// The statement that lets SES publish.
fn statement(topic: &str, account: Option<&String>, source: Option<&str>) -> String {
    // never without a condition: it would let every account of SES publish
    let account = account.map_or("ACCOUNT", String::as_str);
    let condition = match source {
        Some(source) => serde_json::json!({
            "StringEquals": {"AWS:SourceAccount": account, "AWS:SourceArn": source}
        }),
        None => serde_json::json!({"StringEquals": {"AWS:SourceAccount": account}}),
    };
    serde_json::json!({
        "Effect": "Allow", "Principal": {"Service": SES}, "Action": "sns:Publish",
        "Resource": topic, "Condition": condition,
    })
    .to_string()
}
