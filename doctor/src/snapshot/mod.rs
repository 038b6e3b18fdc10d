//! What AWS returned about an account in one region at one time. A snapshot can be saved and judged elsewhere, without
//! credentials.

pub mod account;
pub mod event_feed;
pub mod identity;
pub mod metrics;
pub mod part;
mod privacy;
pub mod tenants;
pub mod time;
pub mod workmail;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::error::Category;

use account::{Account, BlockListing, DedicatedIp, Recipient, Recommendation, SendPoint};
use event_feed::{ConfigurationSet, Keys, Queue, Topic};
use identity::Identity;
use metrics::Metrics;
use part::Part;
use privacy::AddressMask;
use tenants::Tenant;
use time::Time;
use workmail::{Organization, ReceiptRule};

/// Version of the format. A reader accepts all versions up to its own.
pub const FORMAT_VERSION: u32 = 1;

/// A snapshot of an account in one region. Each part is a value, or the reason why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Version of the format.
    pub version: u32,
    /// When the calls were made.
    pub taken_at: Time,
    /// Region.
    pub region: String,
    /// Account ID of the credentials.
    #[serde(default)]
    pub account_id: Part<String>,
    /// ARNs of the queues that bouncewatch reads, in the order of the settings. Empty: not known.
    #[serde(default)]
    pub own_queues: Vec<String>,
    /// Configuration sets that senders are known to name, besides default sets.
    #[serde(default)]
    pub own_sets: Vec<String>,
    /// The account as SES describes it.
    #[serde(default)]
    pub account: Part<Account>,
    /// Counts of two weeks.
    #[serde(default)]
    pub send_statistics: Part<Vec<SendPoint>>,
    /// CloudWatch.
    #[serde(default)]
    pub metrics: Part<Metrics>,
    /// Identities.
    #[serde(default)]
    pub identities: Part<Vec<Identity>>,
    /// Names of all configuration sets.
    #[serde(default)]
    pub set_names: Part<Vec<String>>,
    /// Configuration sets by name: those that were read.
    #[serde(default)]
    pub sets: BTreeMap<String, ConfigurationSet>,
    /// Topics by ARN.
    #[serde(default)]
    pub topics: BTreeMap<String, Topic>,
    /// Queues by ARN: those that bouncewatch reads, those of subscriptions, and their dead-letter queues.
    #[serde(default)]
    pub queues: BTreeMap<String, Part<Queue>>,
    /// Keys by ARN: see [`event_feed::key_arn`].
    #[serde(default)]
    pub keys: Keys,
    /// Rules of the active receipt rule set; `None` inside if no rule set is active.
    #[serde(default)]
    pub receipt_rules: Part<Option<Vec<ReceiptRule>>>,
    /// Organizations of WorkMail.
    #[serde(default)]
    pub workmail: Part<Vec<Organization>>,
    /// Tenants.
    #[serde(default)]
    pub tenants: Part<Vec<Tenant>>,
    /// Findings of Virtual Deliverability Manager.
    #[serde(default)]
    pub recommendations: Part<Vec<Recommendation>>,
    /// Dedicated IP addresses.
    #[serde(default)]
    pub dedicated_ips: Part<Vec<DedicatedIp>>,
    /// Block lists; only with a subscription of the deliverability dashboard.
    #[serde(default)]
    pub block_lists: Part<Vec<BlockListing>>,
    /// The recipient that the operator asks about.
    #[serde(default)]
    pub recipient: Part<Recipient>,
    /// DNS records.
    #[serde(default)]
    pub dns: Part<DnsRecords>,
}

/// What was asked of DNS servers, and their answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsRecords {
    /// What is checked.
    pub request: bouncewatch_dns::Request,
    /// Answers.
    pub answers: bouncewatch_dns::Answers,
}

/// A snapshot that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// No snapshot in JSON.
    #[error("not a snapshot of `doctor`: {0}")]
    Syntax(String),
    /// Written by a newer release.
    #[error("the snapshot has version {0}, this release reads versions up to {FORMAT_VERSION}")]
    Version(u32),
}

/// The error of serde quotes values, which can be addresses: it is neither printed nor kept as source.
impl From<serde_json::Error> for SnapshotError {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        Self::Syntax(format!("{} at line {line} column {column}", reason(&error)))
    }
}

fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match error.classify() {
        Category::Data => {
            match text.strip_prefix("missing field `").and_then(|rest| rest.split_once('`')) {
                Some((field, _)) => format!("no field `{field}`"),
                None => "a value of another type or form than expected".to_owned(),
            }
        }
        Category::Eof => "the JSON ends early".to_owned(),
        Category::Syntax | Category::Io => "no valid JSON".to_owned(),
    }
}

impl Snapshot {
    /// A snapshot without parts.
    pub fn new(taken_at: Time, region: &str) -> Self {
        Self {
            version: FORMAT_VERSION,
            taken_at,
            region: region.to_owned(),
            account_id: Part::default(),
            own_queues: Vec::new(),
            own_sets: Vec::new(),
            account: Part::default(),
            send_statistics: Part::default(),
            metrics: Part::default(),
            identities: Part::default(),
            set_names: Part::default(),
            sets: BTreeMap::new(),
            topics: BTreeMap::new(),
            queues: BTreeMap::new(),
            keys: Keys::new(),
            receipt_rules: Part::default(),
            workmail: Part::default(),
            tenants: Part::default(),
            recommendations: Part::default(),
            dedicated_ips: Part::default(),
            block_lists: Part::default(),
            recipient: Part::default(),
            dns: Part::default(),
        }
    }

    /// Reads a snapshot.
    ///
    /// # Errors
    /// If the text is not a snapshot, or of a newer version.
    pub fn parse(json: &str) -> Result<Self, SnapshotError> {
        let snapshot: Self = serde_json::from_str(json)?;
        if snapshot.version > FORMAT_VERSION {
            return Err(SnapshotError::Version(snapshot.version));
        }
        Ok(snapshot)
    }

    /// Formats the snapshot as JSON. Without `keep_addresses` the local parts of email addresses are replaced by numbers;
    /// the findings stay the same.
    ///
    /// # Errors
    /// If serde cannot serialise it.
    pub fn to_json(&self, keep_addresses: bool) -> Result<String, SnapshotError> {
        let value = serde_json::to_value(self)?;
        let value = if keep_addresses { value } else { AddressMask::default().apply(value) };
        Ok(serde_json::to_string_pretty(&value)?)
    }
}
