//! What the brake remembers between runs. The serde names are a contract.

use serde::{Deserialize, Serialize};

use crate::alert::timestamp::Timestamp;

/// Phase of the brake. Before each call that changes something, the phase of that call is saved: a run that was killed
/// leaves `Pausing` or `Resuming`, and the next run finds out whether the call was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum BrakePhase {
    /// Sending is not paused. One check does not pause it: the next one must agree.
    Watching {
        /// Consecutive checks that demand a pause.
        demanded: Option<Demanded>,
    },
    /// A pause was about to be called.
    Pausing {
        /// Time of the run.
        at: Timestamp,
        /// The rate.
        cause: BrakeCause,
    },
    /// Sending is paused.
    Paused {
        /// Time from which the brake knows it.
        at: Timestamp,
        /// The party that paused it.
        by: PausedBy,
        /// The rate that demanded it.
        cause: BrakeCause,
        /// Time of the last change that SES stated after the brake paused it, by the clock of SES.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stated: Option<Timestamp>,
    },
    /// The end of the brake's own pause was about to be called.
    Resuming {
        /// Time of the run.
        at: Timestamp,
        /// Time of the pause.
        paused_at: Timestamp,
        /// The rate that demanded the pause.
        cause: BrakeCause,
    },
    /// Sending was allowed again. The brake waits, so that it does not undo that.
    Released {
        /// Time from which the brake knows it.
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
pub struct Demanded {
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
    /// Another party: sending was paused when the brake wanted to pause it.
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
