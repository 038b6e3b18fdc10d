//! What to gather.

use std::time::Duration;

use crate::gather::ses_pace::SES_PACE;
use crate::snapshot::time::Time;

/// How much to gather.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatherScope {
    /// Everything.
    All,
    /// Account, identities, configuration sets, topics and queues: what connects an account.
    EventPath,
}

/// What to gather.
#[derive(Debug, Clone)]
pub struct GatherRequest {
    /// How much.
    pub scope: GatherScope,
    /// Time of the snapshot.
    pub now: Time,
    /// Time between two calls of SES; [`SES_PACE`] for AWS.
    pub pace: Duration,
    /// URLs or ARNs of the queues that bouncewatch reads.
    pub queues: Vec<String>,
    /// Configuration sets that senders are known to name.
    pub sets: Vec<String>,
    /// Identities with details; empty: all, up to `identities_max`.
    pub identities: Vec<String>,
    /// Maximum number of identities with details.
    pub identities_max: usize,
    /// Maximum number of configuration sets and of tenants with details, besides default sets and `sets`.
    pub details_max: usize,
    /// Recipient to look up in the suppression list.
    pub recipient: Option<String>,
}

impl GatherRequest {
    /// Gathers everything at the pace of AWS.
    pub const fn new(now: Time) -> Self {
        Self {
            scope: GatherScope::All,
            now,
            pace: SES_PACE,
            queues: Vec::new(),
            sets: Vec::new(),
            identities: Vec::new(),
            identities_max: 50,
            details_max: 20,
            recipient: None,
        }
    }
}

/// Why nothing can be gathered. A single denied or failed call is no error: it is a part of the snapshot.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// The settings have no region.
    #[error("no region: set AWS_REGION or the region of the profile")]
    NoRegion,
    /// A queue of the request is neither a URL nor an ARN.
    #[error("`{0}` is neither the URL nor the ARN of a queue")]
    Queue(String),
    /// No credentials, or AWS does not accept them.
    #[error("AWS does not accept the credentials: {0}")]
    Credentials(String),
}
