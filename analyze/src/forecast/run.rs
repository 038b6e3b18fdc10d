//! Runs `forecast`: replays the mail of the store, forecasts each address of the list, and builds
//! the summary.

use bouncewatch_classify::Classifier;
use bouncewatch_schemas::time::format_ms;

use crate::causes::cached_classifier::CachedClassifier;
use crate::check::level::AlertLevel;
use crate::check::verdict::MATURE_AFTER_MS;
use crate::error::AnalyzeError;
use crate::forecast::address_state::AddressClass;
use crate::forecast::after_send::{PlannedSend, WindowForecast, windows_after};
use crate::forecast::evaluation::{
    AddressForecast, Evaluator, Evidence, domain_ids, store_hashes, suppressed_addresses,
};
use crate::forecast::model::{Forecast, ListCounts, RemainingList, SplitSummary, StoreKnowledge};
use crate::forecast::parts::{PartContext, parts};
use crate::forecast::recipient_list::RecipientList;
use crate::forecast::replay::{NoObserver, Replay, ReplayObserver};
use crate::forecast::request::ForecastRequest;
use crate::forecast::split::{RatedAddress, addresses_to_send, totals};
use crate::forecast::totals::CampaignSpread;
use crate::scan::{MailTexts, StoreScan, domain_providers};
use crate::suppress::suppress_scan;
use crate::timeline::Dimension;

/// A forecast, with the result for each address.
#[derive(Debug)]
pub struct ListForecast {
    /// The result.
    pub summary: Forecast,
    /// Forecast of each address, in the order of the list.
    pub(crate) addresses: Vec<AddressForecast>,
    /// Positions of the addresses to send to, lowest risk first. Without `keep_below`, the bound is
    /// the warning threshold.
    pub(crate) send: Vec<usize>,
    /// Complaint probability of each address.
    pub(crate) complaint_rates: Vec<f64>,
}

/// Forecasts a list.
///
/// # Errors
/// If there is no store, or it cannot be read.
pub fn forecast(
    request: &ForecastRequest,
    list: &RecipientList,
    classifier: &Classifier,
) -> Result<ListForecast, AnalyzeError> {
    let check = &request.check;
    StoreScan::run(&check.store, check.service, &check.own_domains, |scan| {
        // rates exclude own domains, but invalid addresses there are invalid too
        let all_mail = scan.with_own_domains();
        let suppressions = suppress_scan(
            &request.suppress,
            None,
            &mut CachedClassifier::new(classifier),
            &all_mail,
        )?;
        let suppressed = suppressed_addresses(&suppressions);
        drop(suppressions);
        all_mail.drop_failures();
        let mut texts = MailTexts::default();
        let always_tracked =
            list.addresses().flat_map(|address| store_hashes(request, address)).collect();
        let mut replay =
            replay(scan, check.at, &request.campaign, always_tracked, &mut texts, &mut NoObserver)?;
        let domains = domain_ids(list, &mut texts);
        replay.finish(&texts);
        let evaluator =
            Evaluator { request, replay: &replay, suppressed: &suppressed, domains: &domains };
        let addresses = evaluator.evaluate(list)?;
        let known_addresses = replay.remove_states() as u64;
        let summary = Summary { request, list, replay: &replay, known_addresses, addresses };
        summary.build(scan, &texts)
    })
}

/// Replays the mail of the store up to `at`. `always_tracked`: recipients that always have a state.
pub(super) fn replay(
    scan: &StoreScan,
    at: i64,
    campaign: &Dimension,
    always_tracked: Vec<u64>,
    texts: &mut MailTexts,
    observer: &mut impl ReplayObserver,
) -> Result<Replay, AnalyzeError> {
    let known = domain_providers(scan, at)?;
    let mut replay = Replay::new(known, always_tracked, at.saturating_sub(MATURE_AFTER_MS));
    scan.mail_by_day(campaign, at, texts, |texts, day, events| {
        replay.add(texts, day, events, observer);
    })?;
    Ok(replay)
}

/// Whether a step removes an address, given its position and forecast.
type RemovedAddress<'s> = dyn Fn(usize, &AddressForecast) -> bool + 's;

/// Builds the summary of a list.
struct Summary<'a> {
    request: &'a ForecastRequest,
    list: &'a RecipientList,
    replay: &'a Replay,
    /// Number of addresses of the store.
    known_addresses: u64,
    addresses: Vec<AddressForecast>,
}

impl Summary<'_> {
    fn build(self, scan: &StoreScan, texts: &MailTexts) -> Result<ListForecast, AnalyzeError> {
        let Self { request, list, replay, .. } = self;
        let check = &request.check;
        let counted: Vec<&AddressForecast> =
            self.addresses.iter().filter(|one| one.is_counted).collect();
        let all = self.planned(counted.iter().map(|one| one.rated));
        let send = self.send();
        let kept = request.keep_below.map(|_| {
            let addresses = send.iter().map(|at| &self.addresses[*at]);
            self.planned(addresses.filter(|one| one.is_counted).map(|one| one.rated))
        });
        let (windows, windows_of_kept) = windows_after(check, scan, all, kept)?;
        let split = kept.zip(request.keep_below).map(|(kept, keep_below)| SplitSummary {
            keep_below,
            send: send.len() as u64,
            hold: (self.addresses.len() - send.len()) as u64,
            bounces: kept.bounces,
            windows: windows_of_kept,
        });
        let knowledge = self.knowledge();
        let status = status(&windows, knowledge.is_low);
        let context = PartContext { request, list, replay, texts };
        let held = self.addresses.iter().filter(|one| one.hold.is_some()).count() as u64;
        let summary = Forecast {
            version: 1,
            as_of: format_ms(check.at),
            status,
            exit_code: status.exit_code(),
            list: ListCounts {
                addresses: counted.len() as u64,
                duplicates: list.duplicates,
                invalid: list.invalid,
                not_counted: (self.addresses.len() - counted.len()) as u64,
                held,
            },
            bounces: all.bounces,
            complaints: all.complaints,
            knowledge,
            windows,
            parts: parts(&context, &self.addresses, all.bounces.expected),
            remaining: self.remaining(&send),
            split,
            errors: list.errors.clone(),
        };
        let complaint_rate = |one: &AddressForecast| {
            let provider = replay.providers.number(one.rated.attempt.domain);
            replay.model.complaint_rate(provider).mean
        };
        let complaint_rates = self.addresses.iter().map(complaint_rate).collect();
        Ok(ListForecast { summary, addresses: self.addresses, send, complaint_rates })
    }

    fn spread(&self) -> CampaignSpread {
        self.replay.spread(bouncewatch_schemas::time::day_of(self.request.check.at))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of addresses"
    )]
    fn planned(&self, addresses: impl Iterator<Item = RatedAddress>) -> PlannedSend {
        let totals = totals(&self.replay.model, &self.replay.providers, addresses);
        PlannedSend {
            attempts: totals.addresses as u64,
            bounces: totals.expected_bounces(self.spread()),
            complaints: totals.expected_complaints(self.spread()),
            over_ms: self.request.over_ms,
        }
    }

    /// Returns the positions of the addresses to send to, lowest risk first.
    fn send(&self) -> Vec<usize> {
        let rated = self.addresses.iter().map(|one| one.rated);
        let bound = self.request.keep_below.unwrap_or(self.request.check.bounce.warning);
        let Replay { model, providers, .. } = self.replay;
        addresses_to_send(model, providers, self.spread(), rated, bound)
    }

    fn knowledge(&self) -> StoreKnowledge {
        let tallies = &self.replay.tallies;
        let is_known = |one: &&AddressForecast| one.rated.attempt.class != AddressClass::New;
        StoreKnowledge {
            attempts: tallies.attempts,
            addresses: self.known_addresses,
            known: self.addresses.iter().filter(is_known).count() as u64,
            is_low: tallies.attempts < self.request.check.minimum_volume,
            first_rate: self.replay.model.account_rate().mean,
            campaign_spread: self.spread().bounces.sqrt(),
        }
    }

    /// Returns the list after each step of removing addresses.
    fn remaining(&self, send: &[usize]) -> Vec<RemainingList> {
        let mut is_kept = vec![false; self.addresses.len()];
        for at in send {
            is_kept[*at] = true;
        }
        let steps: [(&str, &RemovedAddress); 4] = [
            ("suppressed addresses", &|_, one| one.hold.is_some() && !one.rated.accepts_no_mail),
            ("domains that accept no mail", &|_, one| one.rated.accepts_no_mail),
            ("mistyped domains", &|_, one| one.evidence == Evidence::MistypedDomain),
            ("riskiest addresses", &|at, _| !is_kept[at]),
        ];
        let mut left: Vec<(usize, &AddressForecast)> =
            self.addresses.iter().enumerate().filter(|(_, one)| one.is_counted).collect();
        let mut remaining = Vec::new();
        for (removed, is_removed) in steps {
            let before = left.len();
            left.retain(|(at, one)| !is_removed(*at, one));
            if left.len() < before {
                let planned = self.planned(left.iter().map(|(_, one)| one.rated));
                remaining.push(RemainingList {
                    removed,
                    count: (before - left.len()) as u64,
                    addresses: left.len() as u64,
                    bounces: planned.bounces,
                });
            }
        }
        remaining
    }
}

/// Returns the worst level of the windows; unknown instead of OK if the store has a low volume.
fn status(windows: &[WindowForecast], is_low: bool) -> AlertLevel {
    let minimum = if is_low { AlertLevel::Unknown } else { AlertLevel::Ok };
    windows.iter().map(|one| one.level).fold(minimum, AlertLevel::max)
}
