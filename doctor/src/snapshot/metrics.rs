//! CloudWatch: reputation of SES, and counts of the last 24 hours on the path of events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::snapshot::time::Time;

/// Newest point of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MetricPoint {
    /// Start of the period of the point.
    pub at: Time,
    /// Value; rates are fractions.
    pub value: f64,
}

/// Metrics of CloudWatch. `None`: CloudWatch has no point, which is not zero.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metrics {
    /// `Reputation.BounceRate` of the account: a fraction.
    pub bounce_rate: Option<MetricPoint>,
    /// `Reputation.ComplaintRate` of the account: a fraction.
    pub complaint_rate: Option<MetricPoint>,
    /// Sum of `Send` of SES in 24 hours.
    pub sends: Option<f64>,
    /// By name of a topic.
    pub topics: BTreeMap<String, TopicFlow>,
    /// By name of a queue.
    pub queues: BTreeMap<String, QueueFlow>,
}

/// Sums of 24 hours of a topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TopicFlow {
    /// `NumberOfMessagesPublished`.
    pub published: Option<f64>,
    /// `NumberOfNotificationsDelivered`.
    pub delivered: Option<f64>,
    /// `NumberOfNotificationsFailed`.
    pub failed: Option<f64>,
    /// `NumberOfNotificationsFilteredOut`.
    pub filtered: Option<f64>,
}

/// Sums of 24 hours of a queue, and the age of its oldest message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueFlow {
    /// `NumberOfMessagesSent`.
    pub sent: Option<f64>,
    /// `NumberOfMessagesReceived`.
    pub received: Option<f64>,
    /// `NumberOfMessagesDeleted`.
    pub deleted: Option<f64>,
    /// `ApproximateAgeOfOldestMessage` in seconds; messages received three times or more are not counted.
    pub oldest_secs: Option<f64>,
}
