//! One run of the brake: phase + check + state of sending at SES -> next phase. The time of the run is the only clock.

use crate::alert::timestamp::Timestamp;
use crate::brake::rule::BrakeRule;
use crate::brake::state::{BrakeCause, BrakePhase, Demanded, PausedBy};

/// Two checks further apart do not count as consecutive: a daily check is the rarest that pauses.
const CONSECUTIVE_MAX_MS: i64 = 25 * 3_600_000;
/// Largest difference between the clock of SES and ours that is taken for the order of two changes.
const CLOCK_DIFFERENCE_MAX_MS: i64 = 10 * 60_000;

/// Whether SES allows to send, and allows or pauses it.
pub trait SendingSwitch {
    /// Reads whether sending is allowed.
    ///
    /// # Errors
    /// What failed.
    fn read(&mut self) -> Result<SwitchState, String>;

    /// Allows or pauses sending.
    ///
    /// # Errors
    /// What failed. The call may have had an effect.
    fn set(&mut self, is_allowed: bool) -> Result<(), String>;
}

/// State of sending at SES.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwitchState {
    /// Whether sending is allowed.
    pub is_allowed: bool,
    /// When that changed last.
    pub changed: LastChange,
}

/// When it changed last whether sending is allowed, epoch milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastChange {
    /// SES does not state it.
    Unknown,
    /// It never changed.
    Never,
    /// Sending was last allowed again at this time; pauses do not change it.
    Allowed(i64),
    /// Sending was last allowed or paused at this time.
    Either(i64),
}

impl LastChange {
    /// For sending that is allowed: whether it was paused and allowed again after `at`. `None` if that is unknown.
    fn is_allowed_after(self, at: Timestamp) -> Option<bool> {
        match self {
            Self::Unknown => None,
            Self::Never => Some(false),
            Self::Allowed(changed) | Self::Either(changed) => {
                Some(changed >= at.0 - CLOCK_DIFFERENCE_MAX_MS)
            }
        }
    }

    /// For sending that is paused: whether the pause is a later one than that of `at`, after which SES stated `stated`.
    /// `None` if that is unknown.
    fn is_later_pause(self, at: Timestamp, stated: Option<Timestamp>) -> Option<bool> {
        match (self.time(), stated) {
            // both by the clock of SES
            (Some(changed), Some(stated)) => Some(changed > stated),
            _ => match self {
                Self::Either(changed) => Some(changed > at.0 + CLOCK_DIFFERENCE_MAX_MS),
                other => other.is_allowed_after(at),
            },
        }
    }

    fn time(self) -> Option<Timestamp> {
        match self {
            Self::Unknown | Self::Never => None,
            Self::Allowed(at) | Self::Either(at) => Some(Timestamp(at)),
        }
    }
}

/// A run of the brake.
#[expect(missing_debug_implementations, reason = "it contains a closure")]
pub struct BrakeRun<'a, S> {
    /// The rule.
    pub rule: &'a BrakeRule,
    /// The rate for which the check demands a pause.
    pub demand: Option<&'a BrakeCause>,
    /// Calls SES.
    pub switch: &'a mut S,
    /// Saves a phase durably.
    pub save: &'a mut dyn FnMut(&BrakePhase) -> Result<(), String>,
    /// Time of the run, epoch milliseconds.
    pub now: i64,
}

/// Phase after a run, and what failed.
pub type BrakeOutcome = (BrakePhase, Option<String>);

impl<S: SendingSwitch> BrakeRun<'_, S> {
    /// Returns the phase after this run. The caller saves it.
    pub fn run(mut self, phase: BrakePhase) -> BrakeOutcome {
        match phase {
            BrakePhase::Watching { demanded } => self.watch(demanded),
            BrakePhase::Pausing { at, cause } => self.after_interrupted_pause(at, cause),
            BrakePhase::Paused { at, by, cause, stated } => {
                self.while_paused(at, by, cause, stated)
            }
            BrakePhase::Resuming { at, paused_at, cause } => {
                self.after_interrupted_end(at, paused_at, cause)
            }
            // a time in the future is that of a clock that was ahead
            BrakePhase::Released { at } if at.0 > self.now => (self.released(), None),
            BrakePhase::Released { at } if self.now - at.0 < self.rule.cool_down_ms => {
                (BrakePhase::Released { at }, None)
            }
            BrakePhase::Released { .. } => self.watch(None),
        }
    }

    /// Whether sending was allowed again a shorter time ago than the cool-down.
    fn is_cooling_down(&self, changed: LastChange) -> bool {
        match changed {
            LastChange::Unknown | LastChange::Never => false,
            LastChange::Allowed(at) | LastChange::Either(at) => {
                self.now - at < self.rule.cool_down_ms
            }
        }
    }

    fn released(&self) -> BrakePhase {
        BrakePhase::Released { at: Timestamp(self.now) }
    }

    /// Pauses if the check and one before it demand it.
    fn watch(&mut self, demanded: Option<Demanded>) -> BrakeOutcome {
        let now = Timestamp(self.now);
        let Some(cause) = self.demand else {
            return (BrakePhase::Watching { demanded: None }, None);
        };
        let age = |demanded: &Demanded| self.now - demanded.last.0;
        let known = demanded.filter(|known| (0..=CONSECUTIVE_MAX_MS).contains(&age(known)));
        let demanded = Demanded { first: known.map_or(now, |known| known.first), last: now };
        let watching = BrakePhase::Watching { demanded: Some(demanded) };
        let is_confirmed =
            known.is_some_and(|known| self.now - known.first.0 >= self.rule.confirm_after_ms);
        if is_confirmed { self.pause(cause.clone(), watching) } else { (watching, None) }
    }

    /// Pauses, and reads it back. `before` is the phase if nothing was changed.
    fn pause(&mut self, cause: BrakeCause, before: BrakePhase) -> BrakeOutcome {
        let at = Timestamp(self.now);
        match self.switch.read() {
            Err(error) => return (before, Some(error)),
            Ok(state) if !state.is_allowed => {
                return (pause_to_keep(at, PausedBy::Other, cause), None);
            }
            // also if the state file was lost: sending was allowed again
            Ok(state) if self.is_cooling_down(state.changed) => return (self.released(), None),
            Ok(_) => {}
        }
        let pausing = BrakePhase::Pausing { at, cause: cause.clone() };
        if let Err(error) = (self.save)(&pausing) {
            return (before, Some(error));
        }
        let called = self.switch.set(false);
        match self.switch.read() {
            Ok(state) if !state.is_allowed => {
                let stated = state.changed.time();
                (BrakePhase::Paused { at, by: PausedBy::Brake, cause, stated }, None)
            }
            Ok(_) => (before, Some(without_effect(called))),
            Err(error) => (pausing, Some(called.err().unwrap_or(error))),
        }
    }

    /// A run ended between the call of a pause and its confirmation.
    fn after_interrupted_pause(&mut self, at: Timestamp, cause: BrakeCause) -> BrakeOutcome {
        let state = match self.switch.read() {
            Err(error) => return (BrakePhase::Pausing { at, cause }, Some(error)),
            Ok(state) => state,
        };
        if !state.is_allowed {
            return (pause_to_keep(at, PausedBy::Unknown, cause), None);
        }
        match state.changed.is_allowed_after(at) {
            // the call was not made
            Some(false) => self.watch(Some(Demanded { first: at, last: at })),
            // it was made and undone, or may have been
            Some(true) | None => (self.released(), None),
        }
    }

    /// Notices that sending is allowed again, and ends the brake's own pause after the configured time.
    fn while_paused(
        &mut self,
        at: Timestamp,
        by: PausedBy,
        cause: BrakeCause,
        stated: Option<Timestamp>,
    ) -> BrakeOutcome {
        let paused = BrakePhase::Paused { at, by, cause: cause.clone(), stated };
        match self.switch.read() {
            Err(error) => return (paused, Some(error)),
            Ok(state) if state.is_allowed => return (self.released(), None),
            // sending was allowed, and paused again by another party
            Ok(state) if state.changed.is_later_pause(at, stated) == Some(true) => {
                return (pause_to_keep(at, PausedBy::Other, cause), None);
            }
            Ok(_) => {}
        }
        let is_over = |after: i64| self.now - at.0 >= after;
        if by != PausedBy::Brake || !self.rule.release_after_ms.is_some_and(is_over) {
            return (paused, None);
        }
        let resuming = BrakePhase::Resuming { at: Timestamp(self.now), paused_at: at, cause };
        if let Err(error) = (self.save)(&resuming) {
            return (paused, Some(error));
        }
        let called = self.switch.set(true);
        match self.switch.read() {
            Ok(state) if state.is_allowed => (self.released(), None),
            Ok(_) => (paused, Some(without_effect(called))),
            Err(error) => (resuming, Some(called.err().unwrap_or(error))),
        }
    }

    /// A run ended between the call that ends a pause and its confirmation.
    fn after_interrupted_end(
        &mut self,
        at: Timestamp,
        paused_at: Timestamp,
        cause: BrakeCause,
    ) -> BrakeOutcome {
        let state = match self.switch.read() {
            Err(error) => return (BrakePhase::Resuming { at, paused_at, cause }, Some(error)),
            Ok(state) => state,
        };
        if state.is_allowed {
            return (self.released(), None);
        }
        let by = match state.changed.is_later_pause(paused_at, None) {
            // the call was not made
            Some(false) => return self.while_paused(paused_at, PausedBy::Brake, cause, None),
            // it was made, and another party paused again
            Some(true) => PausedBy::Other,
            None => PausedBy::Unknown,
        };
        (pause_to_keep(at, by, cause), None)
    }
}

/// A pause that the brake does not end.
fn pause_to_keep(at: Timestamp, by: PausedBy, cause: BrakeCause) -> BrakePhase {
    BrakePhase::Paused { at, by, cause, stated: None }
}

fn without_effect(called: Result<(), String>) -> String {
    called
        .err()
        .unwrap_or_else(|| "the call had no effect: SES shows the state as before".to_owned())
}
