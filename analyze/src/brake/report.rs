//! The part of a check about the brake.

use bouncewatch_schemas::time::format_ms;
use serde::Serialize;

use crate::alert::timestamp::Timestamp;
use crate::brake::state::{BrakeCause, BrakePhase, PausedBy};
use crate::report::text::{humanize, percent, utc_minute};
use crate::timeline::Scope;

/// The brake after a run. Its JSON is a contract (`docs/src/brake.md`).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BrakeReport {
    /// What it pauses: account, region, and the configuration set or tenant.
    pub scope: Scope,
    /// Phase of the brake.
    #[serde(flatten)]
    pub phase: BrakePhase,
    /// Reason why the check demands no pause, or the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// True if a call or the state file failed.
    pub failed: bool,
    /// Command that allows sending again.
    #[serde(skip)]
    pub release_command: String,
}

impl BrakeReport {
    /// Whether the brake paused sending, or may have.
    pub fn is_paused(&self) -> bool {
        match &self.phase {
            BrakePhase::Watching { .. } | BrakePhase::Released { .. } => false,
            BrakePhase::Paused { by, .. } => *by != PausedBy::Other,
            BrakePhase::Pausing { .. } | BrakePhase::Resuming { .. } => true,
        }
    }

    /// Returns phase, start time and rate as text.
    pub fn text(&self) -> String {
        let since = |at: &Timestamp| utc_minute(&format_ms(at.0));
        match &self.phase {
            BrakePhase::Watching { demanded: None } => "no pause".to_owned(),
            BrakePhase::Watching { demanded: Some(demanded) } => {
                format!(
                    "pause demanded since {}; the next check must confirm it",
                    since(&demanded.first)
                )
            }
            BrakePhase::Pausing { at, cause } => {
                format!("PAUSING since {}, state unknown: {}", since(at), cause_text(cause))
            }
            BrakePhase::Paused { at, by, cause, .. } => {
                let by = match by {
                    PausedBy::Brake => "",
                    PausedBy::Other => " by another party",
                    PausedBy::Unknown => " (a run of the brake was interrupted)",
                };
                format!("PAUSED{by} since {}: {}", since(at), cause_text(cause))
            }
            BrakePhase::Resuming { paused_at, .. } => {
                format!("PAUSED since {}, resuming: result unknown", since(paused_at))
            }
            BrakePhase::Released { at } => {
                format!("released {}, no new pause until the cool-down ends", since(at))
            }
        }
    }
}

/// Returns the rate as text.
pub fn cause_text(cause: &BrakeCause) -> String {
    format!(
        "{} {} ({} of {}) in {}",
        humanize(&cause.metric),
        percent(Some(cause.rate)),
        cause.count,
        cause.attempts,
        cause.window
    )
}
