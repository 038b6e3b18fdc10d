//! One run of the brake: phase + check + state of sending at SES -> next phase. `now` is the only
//! clock.

use crate::alert::timestamp::Timestamp;
use crate::brake::rule::BrakeRule;
use crate::brake::state::{BrakeCause, BrakePhase, PauseDemand, PausedBy};

/// Maximum time between two checks that confirm each other: enough for one check per day.
const CONSECUTIVE_MAX_MS: i64 = 25 * 3_600_000;
/// Maximum difference between the clock of SES and the local clock, to decide which of two changes
/// is later.
const CLOCK_DIFFERENCE_MAX_MS: i64 = 10 * 60_000;

/// Reads and changes whether SES allows sending.
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
    /// Time of the last change.
    pub changed: LastChange,
}

/// Time of the last change between allowed and paused, epoch milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastChange {
    /// SES does not report it.
    Unknown,
    /// It never changed.
    Never,
    /// Time of the last resume. SES does not report the time of pauses.
    Allowed(i64),
    /// Time of the last pause or resume.
    Either(i64),
}

impl LastChange {
    /// If sending is allowed: whether it was paused and resumed after `at`. `None` if unknown.
    fn is_allowed_after(self, at: Timestamp) -> Option<bool> {
        match self {
            Self::Unknown => None,
            Self::Never => Some(false),
            Self::Allowed(changed) | Self::Either(changed) => {
                Some(changed >= at.0 - CLOCK_DIFFERENCE_MAX_MS)
            }
        }
    }

    /// If sending is paused: whether this pause is later than the pause at `at`. `stated` is the
    /// time of the last change that SES reported after that pause. `None` if unknown.
    fn is_later_pause(self, at: Timestamp, stated: Option<Timestamp>) -> Option<bool> {
        match (self.time(), stated) {
            // both times are from the clock of SES
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
    /// Saves a phase; the phase is durable when this returns.
    pub save: &'a mut dyn FnMut(&BrakePhase) -> Result<(), String>,
    /// Time of the run, epoch milliseconds.
    pub now: i64,
}

/// Phase after a run, and the error if one occurred.
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
                self.after_interrupted_resume(at, paused_at, cause)
            }
            // a time in the future: the clock was ahead in an earlier run
            BrakePhase::Released { at } if at.0 > self.now => (self.released(), None),
            BrakePhase::Released { at } if self.now - at.0 < self.rule.cool_down_ms => {
                (BrakePhase::Released { at }, None)
            }
            BrakePhase::Released { .. } => self.watch(None),
        }
    }

    /// Whether the cool-down after the last resume has not ended.
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

    /// Pauses if this check and an earlier one demand it.
    fn watch(&mut self, demanded: Option<PauseDemand>) -> BrakeOutcome {
        let now = Timestamp(self.now);
        let Some(cause) = self.demand else {
            return (BrakePhase::Watching { demanded: None }, None);
        };
        let age = |demanded: &PauseDemand| self.now - demanded.last.0;
        let known = demanded.filter(|known| (0..=CONSECUTIVE_MAX_MS).contains(&age(known)));
        let demanded = PauseDemand { first: known.map_or(now, |known| known.first), last: now };
        let watching = BrakePhase::Watching { demanded: Some(demanded) };
        let is_confirmed =
            known.is_some_and(|known| self.now - known.first.0 >= self.rule.confirm_after_ms);
        if is_confirmed { self.pause(cause.clone(), watching) } else { (watching, None) }
    }

    /// Pauses sending, then reads the state to confirm it. `before` is the phase if nothing
    /// changed.
    fn pause(&mut self, cause: BrakeCause, before: BrakePhase) -> BrakeOutcome {
        let at = Timestamp(self.now);
        match self.switch.read() {
            Err(error) => return (before, Some(error)),
            Ok(state) if !state.is_allowed => {
                return (pause_for_manual_release(at, PausedBy::Other, cause), None);
            }
            // covers a lost state file: SES reports a recent resume
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
            Ok(_) => (before, Some(no_effect_error(called))),
            Err(error) => (pausing, Some(called.err().unwrap_or(error))),
        }
    }

    /// Continues after a run that was killed between the call to pause and its confirmation.
    fn after_interrupted_pause(&mut self, at: Timestamp, cause: BrakeCause) -> BrakeOutcome {
        let state = match self.switch.read() {
            Err(error) => return (BrakePhase::Pausing { at, cause }, Some(error)),
            Ok(state) => state,
        };
        if !state.is_allowed {
            return (pause_for_manual_release(at, PausedBy::Unknown, cause), None);
        }
        match state.changed.is_allowed_after(at) {
            // the call was not made
            Some(false) => self.watch(Some(PauseDemand { first: at, last: at })),
            // the call was made and sending was resumed, or this is unknown
            Some(true) | None => (self.released(), None),
        }
    }

    /// Detects that sending is allowed again; ends the brake's own pause after the configured time.
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
            // another party resumed and paused again
            Ok(state) if state.changed.is_later_pause(at, stated) == Some(true) => {
                return (pause_for_manual_release(at, PausedBy::Other, cause), None);
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
            Ok(_) => (paused, Some(no_effect_error(called))),
            Err(error) => (resuming, Some(called.err().unwrap_or(error))),
        }
    }

    /// Continues after a run that was killed between the call to resume and its confirmation.
    fn after_interrupted_resume(
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
            // the call was made, and another party paused again
            Some(true) => PausedBy::Other,
            None => PausedBy::Unknown,
        };
        (pause_for_manual_release(at, by, cause), None)
    }
}

/// Returns a pause that the brake does not end: only an operator can.
fn pause_for_manual_release(at: Timestamp, by: PausedBy, cause: BrakeCause) -> BrakePhase {
    BrakePhase::Paused { at, by, cause, stated: None }
}

/// Returns the error of a call after which SES still reports the previous state.
fn no_effect_error(called: Result<(), String>) -> String {
    called.err().unwrap_or_else(|| {
        "the call had no effect: SES still reports the previous state".to_owned()
    })
}
