//! Replays the mail of a store in order of time. Computes the state of each address, counts for
//! rates, and the expected and actual bounces of each mailing. No I/O.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::BuildHasherDefault;

use bouncewatch_schemas::time::{DAY_MS, day_of};

use crate::forecast::address_state::{AddressClass, KnownKinds, NO_MAILING};
use crate::forecast::address_table::AddressTable;
use crate::forecast::mailing::{Mailing, campaign_spread};
use crate::forecast::rate_model::RateModel;
use crate::forecast::tallies::{Attempt, ProviderTable, Tallies};
use crate::forecast::totals::CampaignSpread;
use crate::scan::{IdentityHasher, MailEvent, MailTexts, NO_RECIPIENT};
use crate::timeline::Outcome;

/// Maximum number of addresses with a state. Above it, only addresses of the list and a sample of
/// the others have a state.
const ADDRESSES_MAX: usize = 7_000_000;
/// Minimum number of earlier attempts from which the results of a mailing are evaluated.
const ATTEMPTS_MIN: u64 = 1_000;

/// An attempt, and its bounce probability by the rates at the start of its day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PredictedAttempt {
    pub(crate) attempt: Attempt,
    /// Number of the mailing.
    pub(crate) mailing: u32,
    pub(crate) probability: f64,
}

/// Observes a replay.
pub(crate) trait ReplayObserver {
    /// A day starts.
    fn start_day(&mut self, day: i64);
    /// An attempt was made.
    fn attempt(&mut self, event: &MailEvent, predicted: &PredictedAttempt);
    /// A hard bounce or a complaint was reported.
    fn result(&mut self, event: &MailEvent);
    /// A day ends; `replay` has the rates at its start.
    fn end_day(&mut self, replay: &Replay);
}

/// Observes nothing.
pub(crate) struct NoObserver;

impl ReplayObserver for NoObserver {
    fn start_day(&mut self, _: i64) {}
    fn attempt(&mut self, _: &MailEvent, _: &PredictedAttempt) {}
    fn result(&mut self, _: &MailEvent) {}
    fn end_day(&mut self, _: &Replay) {}
}

/// An event of a recipient with a state, or without a name.
#[derive(Debug, Clone, Copy)]
struct TrackedEvent<'e> {
    event: &'e MailEvent,
    /// Position of the state of the recipient; `None` for [`NO_RECIPIENT`].
    position: Option<u32>,
    /// Class of an attempt if only the days before are known.
    class_before_day: AddressClass,
}

/// State of a replay after some days.
#[derive(Debug)]
pub(crate) struct Replay {
    states: AddressTable,
    /// Recipients that always have a state, sorted.
    always_tracked: Vec<u64>,
    /// One in `2^sample_bits` of the other recipients has a state.
    sample_bits: u32,
    pub(crate) kinds: KnownKinds,
    pub(crate) tallies: Tallies,
    pub(crate) providers: ProviderTable,
    /// Rates at the start of the current day.
    pub(crate) model: RateModel,
    pub(crate) mailings: Vec<Mailing>,
    /// Mailings of the current day by campaign.
    today: HashMap<u32, u32>,
    day: Option<i64>,
    /// Messages with a complaint. A complaint report can list several candidates, but counts once.
    complained: HashSet<u64, BuildHasherDefault<IdentityHasher>>,
    /// Attempts after this time do not count: results can still be missing.
    mature_until: i64,
}

impl Replay {
    /// Returns the state before the first day. Attempts after `mature_until` do not count in rates.
    pub(crate) fn new(
        known_providers: BTreeMap<String, String>,
        mut always_tracked: Vec<u64>,
        mature_until: i64,
    ) -> Self {
        always_tracked.sort_unstable();
        let (tallies, providers) = (Tallies::default(), ProviderTable::new(known_providers));
        Self {
            model: RateModel::new(&tallies, &providers),
            states: AddressTable::default(),
            always_tracked,
            sample_bits: 0,
            kinds: KnownKinds::default(),
            tallies,
            providers,
            mailings: Vec::new(),
            today: HashMap::new(),
            day: None,
            complained: HashSet::default(),
            mature_until,
        }
    }

    /// Adds events of a day, sorted by time. A day can be added in parts, but all its events of one
    /// recipient must be in the same part.
    pub(crate) fn add(
        &mut self,
        texts: &MailTexts,
        day: i64,
        events: &[MailEvent],
        observer: &mut impl ReplayObserver,
    ) {
        if self.day != Some(day) {
            if self.day.is_some() {
                observer.end_day(self);
            }
            self.start_day(texts, day);
            observer.start_day(day);
        }
        self.providers.extend(&texts.domains);
        self.tallies.start_day(day, &self.providers);
        let has = |outcome| events.iter().any(|one| one.outcome == outcome);
        self.kinds.has_sends |= has(Outcome::Send);
        self.kinds.has_deliveries |= has(Outcome::Delivery);
        // predictions use only the state before the day
        let start = day.saturating_mul(DAY_MS);
        let mut tracked = Vec::with_capacity(events.len());
        for event in events {
            if !is_tracked(event.recipient, self.sample_bits, &self.always_tracked) {
                continue;
            }
            let position =
                (event.recipient != NO_RECIPIENT).then(|| self.states.find_or_add(event.recipient));
            let may_be_attempt = !self.kinds.has_sends || event.outcome == Outcome::Send;
            let class_before_day = match position.filter(|_| may_be_attempt) {
                Some(at) => self.states.get(at).class_at(start.max(event.at), self.kinds),
                None => AddressClass::New,
            };
            tracked.push(TrackedEvent { event, position, class_before_day });
        }
        for one in tracked {
            self.add_event(one, observer);
        }
        self.limit_states();
    }

    /// Returns the class of an attempt at `at`.
    pub(crate) fn class_at(&self, recipient: u64, at: i64) -> AddressClass {
        let state = self.states.find(recipient).map(|at| self.states.get(at));
        state.unwrap_or_default().class_at(at, self.kinds)
    }

    /// Updates the rates after the last day.
    pub(crate) fn finish(&mut self, texts: &MailTexts) {
        self.start_day(texts, self.day.unwrap_or_default());
    }

    /// Returns the variance between campaigns, from mailings up to two days before `day`.
    pub(crate) fn spread(&self, day: i64) -> CampaignSpread {
        campaign_spread(self.mailings.iter().filter(|one| one.day < day - 1), day)
    }

    /// Removes the states of the addresses, and returns their number. The rates remain.
    pub(crate) fn remove_states(&mut self) -> usize {
        std::mem::take(&mut self.states).len()
    }

    fn start_day(&mut self, texts: &MailTexts, day: i64) {
        self.providers.extend(&texts.domains);
        self.tallies.start_day(day, &self.providers);
        self.model = RateModel::new(&self.tallies, &self.providers);
        self.today.clear();
        self.day = Some(day);
    }

    fn limit_states(&mut self) {
        while self.states.len() > ADDRESSES_MAX {
            self.sample_bits += 1;
            let (bits, always_tracked) = (self.sample_bits, &self.always_tracked);
            self.states.retain(|hash| is_tracked(hash, bits, always_tracked));
        }
    }

    fn add_event(&mut self, tracked: TrackedEvent<'_>, observer: &mut impl ReplayObserver) {
        let TrackedEvent { event, position, class_before_day } = tracked;
        let mut state = position.map(|at| self.states.get(at)).unwrap_or_default();
        let provider = self.providers.number(event.domain);
        let attempt = |class| Attempt { class, domain: event.domain, is_role: event.is_role };
        let is_mature = event.at <= self.mature_until;
        if state.is_attempt(event, self.kinds) {
            let class = state.class_at(event.at, self.kinds);
            let predicted = self.predict(attempt(class_before_day), provider, event);
            observer.attempt(event, &predicted);
            state.start(event, class, predicted.mailing);
            if is_mature {
                let expected = self.model.base_rate(attempt(class), provider);
                self.tallies.add_attempt(attempt(class), provider, expected);
            }
        }
        match event.outcome {
            Outcome::Hard | Outcome::SuppressedCounted => {
                observer.result(event);
                if let Some(mailing) = self.mailings.get_mut(state.mailing as usize) {
                    mailing.bounces += 1.0;
                }
                if is_mature {
                    self.tallies.add_bounce(attempt(state.last_class()), provider);
                }
            }
            Outcome::Complaint if self.complained.insert(event.message) => {
                observer.result(event);
                if let Some(mailing) = self.mailings.get_mut(state.mailing as usize) {
                    mailing.complaints += 1.0;
                }
                self.tallies.add_complaint(provider);
            }
            _ => {}
        }
        state.record(event);
        if let Some(at) = position {
            self.states.set(at, state);
        }
    }

    /// Predicts an attempt, and adds it to its mailing: the mail of a campaign on a day.
    fn predict(
        &mut self,
        attempt: Attempt,
        provider: usize,
        event: &MailEvent,
    ) -> PredictedAttempt {
        let probability = self.model.bounce_probability(attempt, provider);
        let next = u32::try_from(self.mailings.len()).unwrap_or(NO_MAILING);
        let mailing = *self.today.entry(event.campaign).or_insert(next);
        if mailing == next {
            self.mailings.push(Mailing {
                day: day_of(event.at),
                campaign: event.campaign,
                is_evaluated: self.tallies.attempts >= ATTEMPTS_MIN,
                ..Mailing::default()
            });
        }
        if let Some(one) = self.mailings.get_mut(mailing as usize) {
            one.attempts += 1.0;
            one.expected += probability;
            one.binomial_variance += probability * (1.0 - probability);
            one.expected_complaints += self.model.complaint_rate(provider).mean;
        }
        PredictedAttempt { attempt, mailing, probability }
    }
}

/// Whether a recipient has a state. `always_tracked` is sorted.
fn is_tracked(recipient: u64, sample_bits: u32, always_tracked: &[u64]) -> bool {
    recipient.leading_zeros() >= sample_bits || always_tracked.binary_search(&recipient).is_ok()
}
