//! Topics: existence, region, kind, policy and key.

use crate::finding::Check;
use crate::finding::FindingLevel::{self, Warning};
use crate::judge::report::{Problem, Report};
use crate::judge::wiring::arn;
use crate::judge::wiring::key::{KeyUse, judge_key};
use crate::judge::wiring::publishers::{Paths, Publisher};
use crate::policy::{Answer, Known, Request, evaluate};
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
        let missing = Part::default();
        let attributes = snapshot.topics.get(*arn).map_or(&missing, |topic| &topic.attributes);
        if matches!(attributes, Part::Absent(_)) {
            let what = "the topic does not exist: SES drops the events";
            report.add(
                Problem::new(Check::TopicMissing, level, what, TOPIC)
                    .about(arn)
                    .evidence(format!("published to by {}", names(publishers.iter().copied())))
                    .fix("create the topic with its policy and subscription, or point the event destination to another one"),
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

fn wrong_region(topic: &str, region: &str, level: FindingLevel) -> Option<Problem> {
    (arn::region(topic) != region).then(|| {
        let what = format!("the topic is in {}, SES publishes in {region} only", arn::region(topic));
        Problem::new(Check::TopicRegion, level, what, DESTINATION)
            .fix("create a topic in the region of the configuration set; a queue of another region can subscribe to it")
    })
}

fn fifo(topic: &str, level: FindingLevel) -> Option<Problem> {
    topic.strip_suffix(".fifo").map(|_| {
        let what = "the topic is a FIFO topic, SES publishes to standard topics only";
        Problem::new(Check::TopicFifo, level, what, DESTINATION).fix("use a standard topic")
    })
}

fn policy(
    snapshot: &Snapshot,
    topic: &str,
    policy: Option<&str>,
    publisher: Publisher<'_>,
    worst: FindingLevel,
) -> Option<Problem> {
    let account = snapshot.account_id.value();
    let mut request = Request::new(SES, "sns:Publish", Known::Text(topic.to_owned()));
    let mut source = None;
    if let Some(account) = account {
        let arn = format!(
            "arn:{}:ses:{}:{account}:{}",
            arn::partition(topic),
            snapshot.region,
            publisher.resource()
        );
        request = request
            .with("aws:sourceaccount", Known::Text(account.clone()))
            .with("aws:sourcearn", Known::Text(arn.clone()));
        source = Some(arn);
    }
    let evaluation = evaluate(policy, &request);
    let (level, what, assumption) = match evaluation.answer {
        Answer::Allowed => return None,
        Answer::Denied => (worst, "the policy of the topic does not let SES publish", None),
        Answer::Undecided => (
            Warning,
            "the policy of the topic may not let SES publish",
            Some(
                "AWS does not document whether SES meets all conditions of the policy, such as AWS:SourceOwner",
            ),
        ),
    };
    let mut problem = Problem::new(Check::TopicPolicy, level, what, POLICY)
        .evidence(format!("publisher: {}", publisher.resource()))
        .fix(format!("add the statement {}", statement(topic, account, source.as_deref())));
    problem.evidence.extend(evaluation.reasons);
    problem.assumption = assumption;
    Some(problem)
}

/// The statement that lets SES publish.
fn statement(topic: &str, account: Option<&String>, source: Option<&str>) -> String {
    let condition = match (account, source) {
        (Some(account), Some(source)) => serde_json::json!({
            "StringEquals": {"AWS:SourceAccount": account, "AWS:SourceArn": source}
        }),
        _ => serde_json::json!({}),
    };
    serde_json::json!({
        "Effect": "Allow", "Principal": {"Service": SES}, "Action": "sns:Publish",
        "Resource": topic, "Condition": condition,
    })
    .to_string()
}
