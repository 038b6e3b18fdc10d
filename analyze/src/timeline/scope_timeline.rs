//! The event times of one scope.

use std::collections::BTreeMap;

use bouncewatch_schemas::event::Service;

use crate::timeline::outcome::Outcome;
use crate::timeline::send_counts::SendCounts;
use crate::timeline::times::Times;

/// Event times of one scope, by outcome. A count of a window is the difference of two positions in
/// the times, so windows are exact to the millisecond.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// The service that sent the mail.
    pub service: Service,
    /// Times by outcome; outcomes without times are absent.
    pub times: BTreeMap<Outcome, Times>,
    /// Times of (message, recipient) pairs that were delivered or finally bounced; loaded only if a
    /// window has no sends. For WorkMail: pairs that were sent or bounced, always loaded.
    pub delivered_or_bounced: Times,
    /// Time of the first known send, even before the loaded part of history. It distinguishes a
    /// window without sends from a feed without Send events. For WorkMail: the first send of the
    /// account.
    pub first_send: Option<i64>,
    /// Time of the first known delivery, even before the loaded part of history.
    pub first_delivery: Option<i64>,
    /// Imported send counts.
    pub send_counts: SendCounts,
    /// Events before this time are ignored.
    pub counted_from: Option<i64>,
}

/// No times.
static NO_TIMES: Times = Times::new();

impl Timeline {
    /// Returns a timeline without events.
    pub fn new(service: Service) -> Self {
        Self {
            service,
            times: BTreeMap::new(),
            delivered_or_bounced: Times::new(),
            first_send: None,
            first_delivery: None,
            send_counts: SendCounts::new(),
            counted_from: None,
        }
    }

    /// Returns the times of an outcome.
    pub fn of(&self, outcome: Outcome) -> &Times {
        self.times.get(&outcome).unwrap_or(&NO_TIMES)
    }
}
