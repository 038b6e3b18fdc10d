//! Queues: those that bouncewatch reads, those of subscriptions, and their dead-letter queues.

use std::collections::{BTreeMap, HashMap};

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::Value;

use crate::gather::action::Action;
use crate::gather::call::Caller;
use crate::gather::regions::{AwsResource, config_in, no_arn};
use crate::snapshot::Snapshot;
use crate::snapshot::event_feed::{Queue, Redrive};
use crate::snapshot::part::Part;

pub(super) async fn queues(
    config: &SdkConfig,
    snapshot: &Snapshot,
    caller: &mut Caller<'_>,
) -> BTreeMap<String, Part<Queue>> {
    let subscriptions = snapshot.topics.values().filter_map(|topic| topic.subscriptions.value());
    let endpoints = subscriptions.flatten().filter(|entry| entry.protocol == "sqs");
    let mut open: Vec<String> = endpoints.map(|entry| entry.endpoint.clone()).collect();
    open.extend(snapshot.own_queues.iter().cloned());
    let mut found = BTreeMap::new();
    while let Some(arn) = open.pop() {
        if found.contains_key(&arn) {
            continue;
        }
        let queue = match AwsResource::of_arn(&arn) {
            Some(resource) => queue(config, &resource, caller).await,
            None => no_arn(Action::SqsGetQueueUrl),
        };
        open.extend(queue.value().and_then(|queue| Some(queue.redrive.as_ref()?.target.clone())));
        found.insert(arn, queue);
    }
    found
}

async fn queue(config: &SdkConfig, resource: &AwsResource, caller: &mut Caller<'_>) -> Part<Queue> {
    let client = Client::new(&config_in(config, &resource.region));
    let call = client
        .get_queue_url()
        .queue_name(&resource.name)
        .queue_owner_aws_account_id(&resource.account)
        .send();
    let url = match caller.call(Action::SqsGetQueueUrl, &resource.arn, call).await {
        Part::Value(response) => response.queue_url.unwrap_or_default(),
        other => return other.map(|_| Queue::default()),
    };
    let call = client
        .get_queue_attributes()
        .queue_url(url)
        .attribute_names(QueueAttributeName::All)
        .send();
    let response = caller.call(Action::SqsGetQueueAttributes, &resource.arn, call).await;
    response.map(|response| converted(response.attributes.unwrap_or_default()))
}

fn converted(mut attributes: HashMap<QueueAttributeName, String>) -> Queue {
    let mut take =
        |name: QueueAttributeName| attributes.remove(&name).filter(|value| !value.is_empty());
    let redrive = take(QueueAttributeName::RedrivePolicy);
    let mut number = |name| take(name).and_then(|value| value.parse::<i64>().ok());
    let retention_secs = number(QueueAttributeName::MessageRetentionPeriod);
    let visibility_secs = number(QueueAttributeName::VisibilityTimeout);
    let visible = number(QueueAttributeName::ApproximateNumberOfMessages);
    let in_flight = number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible);
    let delayed = number(QueueAttributeName::ApproximateNumberOfMessagesDelayed);
    Queue {
        policy: take(QueueAttributeName::Policy),
        key: take(QueueAttributeName::KmsMasterKeyId),
        retention_secs,
        visibility_secs,
        redrive: redrive.and_then(|text| redrive_of(&text)),
        redrive_allow: take(QueueAttributeName::RedriveAllowPolicy),
        visible: visible.unwrap_or_default(),
        in_flight: in_flight.unwrap_or_default(),
        delayed: delayed.unwrap_or_default(),
    }
}

/// Reads a redrive policy; `maxReceiveCount` is a number or a string.
fn redrive_of(text: &str) -> Option<Redrive> {
    let policy: Value = serde_json::from_str(text).ok()?;
    let target = policy.get("deadLetterTargetArn")?.as_str()?.to_owned();
    let count = policy.get("maxReceiveCount")?;
    let receive_count_max = count.as_i64().or_else(|| count.as_str()?.parse().ok())?;
    Some(Redrive { target, receive_count_max })
}
