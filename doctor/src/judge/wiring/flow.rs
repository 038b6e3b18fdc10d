//! Where events stop, by the counts of CloudWatch along their path.

use crate::finding::Check;
use crate::finding::FindingLevel::Warning;
use crate::judge::report::Report;
use crate::judge::wiring::arn;
use crate::judge::wiring::publishers::Paths;
use crate::snapshot::Snapshot;
use crate::snapshot::event_feed::Target;
use crate::snapshot::metrics::{QueueFlow, TopicFlow};

const SOURCE: &str = "CloudWatch, AWS/SES, AWS/SNS and AWS/SQS, sums of 24 hours";

/// More messages received than deleted by this ratio: they return.
const RECEIVED_RATIO_MAX: f64 = 3.0;

/// A place at which events stop: what, the counts, and the checks that explain it.
struct Stop {
    what: &'static str,
    counts: String,
    checks: &'static str,
    assumption: Option<&'static str>,
}

pub(super) fn judge_flow(snapshot: &Snapshot, paths: &Paths<'_>, report: &mut Report) {
    let Some(metrics) = report.read(Check::Flow, "", &snapshot.metrics, SOURCE) else { return };
    // metrics of other regions and accounts are not read
    let is_here =
        |arn: &&&str| arn::region(arn) == snapshot.region && !arn::is_foreign(snapshot, arn);
    for topic in paths.topics.keys().filter(is_here) {
        let sends = if has_send_events(snapshot, topic) { metrics.sends } else { None };
        let sends = sends.unwrap_or(0.0);
        let flow = metrics.topics.get(arn::name(topic)).copied().unwrap_or_default();
        let may_filter = has_filter(snapshot, paths, topic);
        report_stop(topic, at_topic(sends, flow, may_filter), report);
    }
    for queue in paths.queues.iter().filter(is_here) {
        let delivered: f64 = paths
            .topics_of_queue(snapshot, queue)
            .into_iter()
            .filter(|topic| is_here(&topic))
            .filter_map(|topic| metrics.topics.get(arn::name(topic))?.delivered)
            .sum();
        let flow = metrics.queues.get(arn::name(queue)).copied().unwrap_or_default();
        report_stop(queue, at_queue(delivered, flow), report);
    }
}

/// Whether a set publishes Send events to the topic, so that each sent mail is a message.
fn has_send_events(snapshot: &Snapshot, topic: &str) -> bool {
    let destinations = snapshot.sets.values().filter_map(|set| set.destinations.value());
    destinations.flatten().any(|destination| {
        destination.enabled
            && destination.target == Target::Topic(topic.to_owned())
            && destination.event_types.iter().any(|kind| kind == "SEND")
    })
}

/// Whether a subscription of a queue that is read has a filter policy, or may have one.
fn has_filter(snapshot: &Snapshot, paths: &Paths<'_>, topic: &str) -> bool {
    let subscriptions = snapshot.topics.get(topic).and_then(|topic| topic.subscriptions.value());
    let own = subscriptions.into_iter().flatten();
    let mut own = own.filter(|entry| paths.queues.contains(entry.endpoint.as_str()));
    own.any(|entry| {
        entry.attributes.value().is_none_or(|attributes| attributes.filter_policy.is_some())
    })
}

fn report_stop(subject: &str, stop: Option<Stop>, report: &mut Report) {
    let problem = stop.map(|stop| {
        let mut problem = Check::Flow
            .found(Warning, stop.what, SOURCE)
            .with(stop.counts)
            .fix(format!("See the findings {}", stop.checks));
        problem.assumption = stop.assumption;
        problem
    });
    report.check(Check::Flow, subject, SOURCE, problem);
}

fn is_positive(count: Option<f64>) -> bool {
    count.is_some_and(|count| count > 0.0)
}

/// What a missing value means here.
fn assumed(count: Option<f64>) -> Option<&'static str> {
    let text = "CloudWatch has no value: counted as zero, since a topic or queue in use has one";
    count.is_none().then_some(text)
}

fn at_topic(sends: f64, flow: TopicFlow, may_filter: bool) -> Option<Stop> {
    if sends > 0.0 && !is_positive(flow.published) {
        return Some(Stop {
            what: "SES sends mail, and the topic publishes no message",
            counts: format!("Send {sends}, NumberOfMessagesPublished {}", count(flow.published)),
            checks: "wiring.default_set to wiring.topic_key",
            assumption: assumed(flow.published),
        });
    }
    if is_positive(flow.failed) {
        return Some(Stop {
            what: "SNS cannot deliver messages of the topic to one of its subscriptions",
            counts: format!("NumberOfNotificationsFailed {}", count(flow.failed)),
            checks: "wiring.queue_policy and wiring.queue_key",
            assumption: None,
        });
    }
    if may_filter && is_positive(flow.filtered) {
        return Some(Stop {
            what: "filter policies drop messages of the topic",
            counts: format!("NumberOfNotificationsFilteredOut {}", count(flow.filtered)),
            checks: "wiring.filter_policy",
            assumption: None,
        });
    }
    (is_positive(flow.published) && !is_positive(flow.delivered)).then(|| Stop {
        what: "the topic publishes messages and delivers none",
        counts: format!(
            "NumberOfMessagesPublished {}, NumberOfNotificationsDelivered {}",
            count(flow.published),
            count(flow.delivered)
        ),
        checks: "wiring.subscription_missing to wiring.subscription_endpoint",
        assumption: assumed(flow.delivered),
    })
}

fn at_queue(delivered: f64, flow: QueueFlow) -> Option<Stop> {
    if delivered > 0.0 && !is_positive(flow.sent) {
        return Some(Stop {
            what: "topics deliver messages, and none arrives in this queue",
            counts: format!(
                "NumberOfNotificationsDelivered {delivered}, NumberOfMessagesSent {}",
                count(flow.sent)
            ),
            checks: "wiring.subscription_endpoint",
            assumption: assumed(flow.sent),
        });
    }
    if is_positive(flow.sent) && !is_positive(flow.received) {
        return Some(Stop {
            what: "messages arrive, and no consumer receives them",
            counts: format!(
                "NumberOfMessagesSent {}, NumberOfMessagesReceived {}",
                count(flow.sent),
                count(flow.received)
            ),
            checks: "wiring.backlog; start `bouncewatch ingest --follow`",
            assumption: assumed(flow.received),
        });
    }
    let received = flow.received.unwrap_or(0.0);
    let deleted = flow.deleted.unwrap_or(0.0);
    (received > 0.0 && received > deleted * RECEIVED_RATIO_MAX).then(|| Stop {
        what: "messages are received several times and not deleted",
        counts: format!("NumberOfMessagesReceived {received}, NumberOfMessagesDeleted {deleted}"),
        checks: "wiring.dead_letter_queue and wiring.visibility; read the log of the consumer",
        assumption: None,
    })
}

fn count(count: Option<f64>) -> String {
    count.map_or_else(|| "none".to_owned(), |count| count.to_string())
}
