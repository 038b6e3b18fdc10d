//! The account in one region, as SES describes it: `GetAccount`, `GetSendStatistics`, `GetDedicatedIps`,
//! `ListRecommendations`, and one recipient.

use serde::{Deserialize, Serialize};

use crate::snapshot::part::Part;
use crate::snapshot::time::Time;

/// Response of `GetAccount`, without personal data.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "flags of the response")]
pub struct Account {
    /// `false` in the sandbox.
    pub production_access: bool,
    /// `false` if sending is paused.
    pub sending_enabled: bool,
    /// `HEALTHY`, `PROBATION`, `SHUTDOWN`, or a newer value.
    pub enforcement_status: Option<String>,
    /// Sending limits; always in a complete response.
    pub quota: Option<SendQuota>,
    /// Reasons for which the account suppresses addresses; `None` if the response has no such attributes.
    pub suppressed_reasons: Option<Vec<String>>,
    /// The request for production access.
    pub access_request: Option<AccessRequest>,
    /// Number of additional contact addresses; `None` if the account has no details.
    pub additional_contacts: Option<usize>,
    /// Virtual Deliverability Manager is enabled.
    pub vdm_enabled: bool,
    /// VDM tracks opens and clicks: links are rewritten.
    pub engagement_metrics: bool,
    /// VDM may delay mail to improve delivery.
    pub optimized_delivery: bool,
}

impl Account {
    /// Whether the response has none of the fields that SES always sends. The two flags then mean nothing.
    pub const fn is_empty_response(&self) -> bool {
        self.quota.is_none() && self.enforcement_status.is_none()
    }
}

/// Sending limits of the account.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SendQuota {
    /// Messages in 24 hours; -1 is unlimited.
    pub max_24_hours: f64,
    /// Messages per second; -1 is unlimited.
    pub max_per_second: f64,
    /// Messages sent in the last 24 hours.
    pub sent_24_hours: f64,
}

/// Request for production access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRequest {
    /// `PENDING`, `FAILED`, `GRANTED`, `DENIED`.
    pub status: String,
    /// Case in the AWS Support Center.
    pub case_id: Option<String>,
}

/// Counts of 15 minutes from `GetSendStatistics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendPoint {
    /// Start of the 15 minutes.
    pub at: Time,
    /// Delivery attempts.
    pub attempts: i64,
}

/// Dedicated IP addresses, and their entries in block lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DedicatedIp {
    /// The IPv4 address.
    pub ip: String,
    /// `IN_PROGRESS`, `DONE`, `NOT_APPLICABLE`.
    pub warmup_status: String,
    /// Percentage of the warm-up; -1 if AWS manages it.
    pub warmup_percent: i32,
}

/// An entry of a block list from `GetBlacklistReports`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockListing {
    /// Listed address.
    pub ip: String,
    /// Name of the list.
    pub list: String,
    /// Since when.
    pub since: Option<Time>,
}

/// A finding of Virtual Deliverability Manager from `ListRecommendations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recommendation {
    /// ARN of the identity or tenant.
    pub resource: String,
    /// `DKIM`, `DMARC`, `SPF`, `BIMI`, `COMPLAINT`, `BOUNCE`, `FEEDBACK_3P`, `IP_LISTING`.
    pub kind: String,
    /// Text of AWS.
    pub description: String,
    /// `OPEN` or `FIXED`.
    pub status: String,
    /// `LOW` or `HIGH`.
    pub impact: String,
    /// Last change.
    pub updated: Option<Time>,
}

/// A recipient that the operator asks about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The address.
    pub address: String,
    /// Reason (`BOUNCE`, `COMPLAINT`) for which the account suppresses the address; `None` inside if it does not.
    pub suppressed: Part<Option<String>>,
}
