//! State of the brake between runs. The serde names are a contract.

use serde::{Deserialize, Serialize};

use crate::alert::timestamp::Timestamp;

/// Phase of the brake.
///
/// `Pausing` or `Resuming` is saved before the call to SES. If the run is killed, the next run
/// finds this phase and checks whether the call was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum BrakePhase {
    /// Sending is not paused. A pause needs two consecutive checks that demand it.
    Watching {
        /// Consecutive checks that demand a pause.
        demanded: Option<PauseDemand>,
    },
    /// The call to pause was about to be made; its result is unknown.
    Pausing {
        /// Time of the run.
        at: Timestamp,
        /// The rate.
        cause: BrakeCause,
    },
    /// Sending is paused.
    Paused {
        /// Time at which the brake detected it.
        at: Timestamp,
        /// The party that paused it.
        by: PausedBy,
        /// The rate that demanded it.
        cause: BrakeCause,
        /// Time of the last change that SES reported after the brake paused, by the clock of SES.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stated: Option<Timestamp>,
    },
    /// The call to resume was about to be made; its result is unknown.
    Resuming {
        /// Time of the run.
        at: Timestamp,
        /// Time of the pause.
        paused_at: Timestamp,
        /// The rate that demanded the pause.
        cause: BrakeCause,
    },
    /// Sending was allowed again. The brake does not pause until the cool-down ends.
    Released {
        /// Time at which the brake detected it.
        at: Timestamp,
    },
}

impl Default for BrakePhase {
    fn default() -> Self {
        Self::Watching { demanded: None }
    }
}

/// Consecutive checks that demand a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseDemand {
    /// Time of the first one.
    pub first: Timestamp,
    /// Time of the last one.
    pub last: Timestamp,
}

/// The party that paused sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PausedBy {
    /// The brake.
    Brake,
    /// Another party: sending was already paused when the brake was about to pause it.
    Other,
    /// Unknown: a run of the brake was interrupted.
    Unknown,
}

/// The rate that demands a pause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BrakeCause {
    /// `bounce_rate` or `complaint_rate`.
    pub metric: String,
    /// Window of the rate.
    pub window: String,
    /// Rate, a fraction.
    pub rate: f64,
    /// Bounces or complaints.
    pub count: u64,
    /// Attempts.
    pub attempts: u64,
}
