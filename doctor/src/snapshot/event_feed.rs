//! The path of events: configuration sets of SES, topics and subscriptions of SNS, queues of SQS, keys of KMS.

use std::collections::BTreeMap;

use bouncewatch_schemas::arn::Arn;
use serde::{Deserialize, Serialize};

use crate::snapshot::part::Part;

/// A configuration set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigurationSet {
    /// Response of `GetConfigurationSet`.
    pub options: Part<SetOptions>,
    /// Response of `GetConfigurationSetEventDestinations`.
    pub destinations: Part<Vec<Destination>>,
}

/// Options of a configuration set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SetOptions {
    /// `false` if the set is paused.
    pub sending_enabled: bool,
    /// Mail to servers without TLS bounces (`TlsPolicy` is `REQUIRE`).
    pub tls_required: bool,
    /// Time for which SES tries to deliver, if set.
    pub max_delivery_secs: Option<i64>,
    /// Reasons of suppression that replace those of the account; `None` if they do not.
    pub suppressed_reasons: Option<Vec<String>>,
}

/// An event destination of a configuration set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// Name.
    pub name: String,
    /// Events are published.
    pub enabled: bool,
    /// `SEND`, `BOUNCE`, ...
    pub event_types: Vec<String>,
    /// Where events go.
    pub target: Target,
}

/// Where a destination publishes events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// SNS: ARN of the topic.
    Topic(String),
    /// EventBridge: ARN of the event bus.
    EventBus(String),
    /// Data Firehose: ARN of the stream.
    Firehose(String),
    /// CloudWatch metrics: no events.
    CloudWatch,
    /// Pinpoint, or a newer kind.
    Other,
}

impl Target {
    /// Whether the target receives single events, not counts.
    pub const fn is_feed(&self) -> bool {
        matches!(self, Self::Topic(_) | Self::EventBus(_) | Self::Firehose(_))
    }
}

/// A topic and its subscriptions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Topic {
    /// Response of `GetTopicAttributes`.
    pub attributes: Part<TopicAttributes>,
    /// Response of `ListSubscriptionsByTopic`.
    pub subscriptions: Part<Vec<Subscription>>,
}

/// Attributes of a topic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TopicAttributes {
    /// JSON text of the resource policy.
    pub policy: Option<String>,
    /// KMS key: alias, ID or ARN.
    pub key: Option<String>,
}

/// A subscription of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// ARN; `None` if it waits for confirmation.
    pub arn: Option<String>,
    /// `sqs`, `email`, `https`, ...
    pub protocol: String,
    /// ARN of the queue, for `sqs`.
    pub endpoint: String,
    /// Response of `GetSubscriptionAttributes`.
    #[serde(default)]
    pub attributes: Part<SubscriptionAttributes>,
}

/// Attributes of a subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SubscriptionAttributes {
    /// The subscription waits for confirmation.
    pub pending: bool,
    /// Events are delivered without the SNS envelope.
    pub raw_delivery: bool,
    /// JSON text of the filter policy.
    pub filter_policy: Option<String>,
    /// `MessageAttributes` (the default) or `MessageBody`.
    pub filter_scope: Option<String>,
    /// A dead-letter queue is set.
    pub has_dead_letter_queue: bool,
}

/// A queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Queue {
    /// JSON text of the resource policy.
    pub policy: Option<String>,
    /// KMS key: alias, ID or ARN.
    pub key: Option<String>,
    /// Time for which a message is kept.
    pub retention_secs: Option<i64>,
    /// Time for which a received message is invisible.
    pub visibility_secs: Option<i64>,
    /// Dead-letter queue.
    pub redrive: Option<Redrive>,
    /// JSON text of the attribute `RedriveAllowPolicy`: which queues may use this one as dead-letter queue.
    pub redrive_allow: Option<String>,
    /// Messages that can be received.
    pub visible: i64,
    /// Received messages that are not deleted.
    pub in_flight: i64,
    /// Messages that are delayed.
    pub delayed: i64,
}

/// Redrive policy of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redrive {
    /// ARN of the dead-letter queue.
    pub target: String,
    /// Number of receives after which a message is moved.
    pub receive_count_max: i64,
}

/// A key of KMS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Key {
    /// `AWS` or `CUSTOMER`.
    pub manager: String,
    /// `Enabled`, `Disabled`, `PendingDeletion`, ...
    pub state: String,
    /// JSON text of the key policy.
    pub policy: Part<String>,
}

/// Keys by [`key_arn`].
pub type Keys = BTreeMap<String, Part<Key>>;

/// The ARN of the key of a topic or queue: an alias or ID is one of the region and account of the resource.
pub fn key_arn(name: &str, resource: &str) -> String {
    match Arn::parse(resource) {
        Some(Arn { partition, region, account, .. }) if !name.starts_with("arn:") => {
            let kind = if name.starts_with("alias/") { "" } else { "key/" };
            format!("arn:{partition}:kms:{region}:{account}:{kind}{name}")
        }
        _ => name.to_owned(),
    }
}
