//! Topics and their subscriptions.

use std::collections::{BTreeMap, BTreeSet};

use aws_config::SdkConfig;
use aws_sdk_sns::Client;

use crate::gather::action::Action;
use crate::gather::call::{Caller, text};
use crate::gather::regions::{AwsResource, config_in, no_arn};
use crate::snapshot::Snapshot;
use crate::snapshot::event_feed::{
    Subscription, SubscriptionAttributes, Target, Topic, TopicAttributes,
};
use crate::snapshot::identity::Notifications;
use crate::snapshot::part::Part;

/// What SNS lists as ARN of a subscription that was deleted; it stays in the list for days.
const DELETED: &str = "Deleted";

/// Reads all topics that configuration sets and identities publish to.
pub(super) async fn topics(
    config: &SdkConfig,
    snapshot: &Snapshot,
    caller: &mut Caller<'_>,
) -> BTreeMap<String, Topic> {
    let mut topics = BTreeMap::new();
    for arn in arns(snapshot) {
        let Some(resource) = AwsResource::of_arn(arn) else {
            let (attributes, subscriptions) = (
                no_arn(Action::SnsGetTopicAttributes),
                no_arn(Action::SnsListSubscriptionsByTopic),
            );
            topics.insert(arn.to_owned(), Topic { attributes, subscriptions });
            continue;
        };
        let client = Client::new(&config_in(config, &resource.region));
        let call = client.get_topic_attributes().topic_arn(arn).send();
        let response = caller.call(Action::SnsGetTopicAttributes, arn, call).await;
        let attributes = response.map(|response| {
            let mut attributes = response.attributes.unwrap_or_default();
            TopicAttributes {
                policy: attributes.remove("Policy"),
                key: attributes.remove("KmsMasterKeyId").filter(|key| !key.is_empty()),
            }
        });
        let subscriptions = match &attributes {
            Part::Absent(action) => Part::Absent(action.clone()),
            _ => subscriptions(&client, arn, caller).await,
        };
        topics.insert(arn.to_owned(), Topic { attributes, subscriptions });
    }
    topics
}

fn arns(snapshot: &Snapshot) -> BTreeSet<&str> {
    let destinations = snapshot.sets.values().filter_map(|set| set.destinations.value()).flatten();
    let mut arns: BTreeSet<&str> = destinations
        .filter_map(|destination| match &destination.target {
            Target::Topic(arn) => Some(arn.as_str()),
            _ => None,
        })
        .collect();
    let identities = snapshot.identities.value().into_iter().flatten();
    let notifications = identities.filter_map(|identity| identity.notifications.value());
    arns.extend(notifications.flat_map(Notifications::topics).map(|(_, topic)| topic));
    arns
}

async fn subscriptions(
    client: &Client,
    topic: &str,
    caller: &mut Caller<'_>,
) -> Part<Vec<Subscription>> {
    let page =
        |token| client.list_subscriptions_by_topic().topic_arn(topic).set_next_token(token).send();
    let listed = caller
        .list(Action::SnsListSubscriptionsByTopic, topic, page, |response| {
            (response.subscriptions.unwrap_or_default(), response.next_token)
        })
        .await;
    let listed = match listed {
        Part::Value(listed) => listed,
        other => return other.map(|_| Vec::new()),
    };
    let mut subscriptions = Vec::new();
    for entry in listed {
        if entry.subscription_arn() == Some(DELETED) {
            continue;
        }
        // `PendingConfirmation` is no ARN
        let arn = entry.subscription_arn().filter(|arn| arn.starts_with("arn:"));
        let protocol = text(entry.protocol());
        let attributes = match arn {
            Some(arn) if protocol == "sqs" => attributes(client, arn, caller).await,
            _ => Part::Skipped("only confirmed subscriptions of queues are read".to_owned()),
        };
        // other endpoints are addresses, numbers and URLs of people
        let endpoint = if protocol == "sqs" { text(entry.endpoint()) } else { String::new() };
        subscriptions.push(Subscription {
            arn: arn.map(str::to_owned),
            protocol,
            endpoint,
            attributes,
        });
    }
    Part::Value(subscriptions)
}

async fn attributes(
    client: &Client,
    arn: &str,
    caller: &mut Caller<'_>,
) -> Part<SubscriptionAttributes> {
    let call = client.get_subscription_attributes().subscription_arn(arn).send();
    let response = caller.call(Action::SnsGetSubscriptionAttributes, arn, call).await;
    response.map(|response| {
        let mut attributes = response.attributes.unwrap_or_default();
        let mut take = |name: &str| attributes.remove(name).filter(|value| !value.is_empty());
        SubscriptionAttributes {
            pending: take("PendingConfirmation").as_deref() == Some("true"),
            raw_delivery: take("RawMessageDelivery").as_deref() == Some("true"),
            filter_policy: take("FilterPolicy"),
            filter_scope: take("FilterPolicyScope"),
            has_dead_letter_queue: take("RedrivePolicy").is_some(),
        }
    })
}
