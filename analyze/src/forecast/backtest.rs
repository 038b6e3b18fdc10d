//! `forecast --backtest`: forecasts past mailings from the mail before them, and compares each
//! forecast with the actual results. No I/O besides the scan.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;

use bouncewatch_schemas::time::{DAY_MS, day_of, format_day, format_ms};

use crate::check::verdict::MATURE_AFTER_MS;
use crate::error::AnalyzeError;
use crate::forecast::model::{
    BacktestReport, BrierScores, MailingBacktest, ReliabilityBin, SplitBacktest,
};
use crate::forecast::replay::{PredictedAttempt, Replay, ReplayObserver};
use crate::forecast::request::BacktestRequest;
use crate::forecast::run::replay;
use crate::forecast::split::{RatedAddress, addresses_to_send, totals};
use crate::forecast::tallies::WeightedCounts;
use crate::forecast::totals::ExpectedCount;
use crate::scan::{IdentityHasher, MailEvent, MailTexts, StoreScan};
use crate::timeline::Outcome;

/// Lower bounds of the bins of the reliability table.
const BINS: [f64; 10] = [0.0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8];

/// Forecasts past mailings, and compares the forecasts with the actual results.
///
/// # Errors
/// If there is no store, or it cannot be read.
pub fn backtest(request: &BacktestRequest) -> Result<BacktestReport, AnalyzeError> {
    let check = &request.check;
    StoreScan::run(&check.store, check.service, &check.own_domains, |scan| {
        let mut texts = MailTexts::default();
        let mut observer = BacktestObserver::new(request);
        let campaign = &request.campaign;
        let replay = replay(scan, check.at, campaign, Vec::new(), &mut texts, &mut observer)?;
        observer.end_day(&replay);
        Ok(observer.report(&replay, &texts))
    })
}

/// An attempt in the backtest period.
#[derive(Debug, Clone, Copy)]
struct BacktestAttempt {
    rated: RatedAddress,
    mailing: u32,
    account_rate: f64,
    domain_rate: f64,
    is_kept: bool,
    has_bounced: bool,
    has_complained: bool,
}

/// The forecast of a mailing.
#[derive(Debug)]
struct MailingForecast {
    mailing: u32,
    /// Positions of its attempts in [`BacktestObserver::attempts`].
    positions: Vec<usize>,
    bounces: ExpectedCount,
    complaints: ExpectedCount,
}

/// Forecasts the mailings of each day during a replay, before their results are used.
struct BacktestObserver<'a> {
    request: &'a BacktestRequest,
    first_day: i64,
    last_day: i64,
    day: i64,
    attempts: Vec<BacktestAttempt>,
    /// Number of attempts before the current day.
    earlier_attempts: usize,
    /// Positions in `attempts`, by message and recipient.
    positions: HashMap<u64, u32, BuildHasherDefault<IdentityHasher>>,
    forecasts: Vec<MailingForecast>,
    /// Attempts and bounces before the current day, by domain: the baseline of the Brier score.
    domains: Vec<WeightedCounts>,
    /// Attempts and bounces of the account before the current day: another baseline.
    account: WeightedCounts,
    /// Attempts (`false`) and bounces (`true`) of the current day, with their domains.
    today: Vec<(u32, bool)>,
}

impl ReplayObserver for BacktestObserver<'_> {
    fn start_day(&mut self, day: i64) {
        self.day = day;
    }

    fn attempt(&mut self, event: &MailEvent, predicted: &PredictedAttempt) {
        self.today.push((event.domain, false));
        if !(self.first_day..=self.last_day).contains(&self.day) {
            return;
        }
        let rate = |one: &WeightedCounts| (one.attempts > 0.0).then(|| one.count / one.attempts);
        let account_rate = rate(&self.account).unwrap_or_default();
        let domain_rate =
            self.domains.get(event.domain as usize).and_then(rate).unwrap_or(account_rate);
        let PredictedAttempt { attempt, mailing, probability, .. } = *predicted;
        let is_always_held = attempt.class.is_always_held();
        let rated = RatedAddress { attempt, probability, accepts_no_mail: false, is_always_held };
        let position = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX);
        self.positions.insert(attempt_key(event), position);
        self.attempts.push(BacktestAttempt {
            rated,
            mailing,
            account_rate,
            domain_rate,
            is_kept: false,
            has_bounced: false,
            has_complained: false,
        });
    }

    fn result(&mut self, event: &MailEvent) {
        let is_complaint = event.outcome == Outcome::Complaint;
        if !is_complaint {
            self.today.push((event.domain, true));
        }
        let position = self.positions.get(&attempt_key(event));
        if let Some(attempt) = position.and_then(|at| self.attempts.get_mut(*at as usize)) {
            attempt.has_bounced |= !is_complaint;
            attempt.has_complained |= is_complaint;
        }
    }

    fn end_day(&mut self, replay: &Replay) {
        self.forecast_day(replay);
        for (domain, is_bounce) in self.today.drain(..) {
            let at = domain as usize;
            if self.domains.len() <= at {
                self.domains.resize(at + 1, WeightedCounts::default());
            }
            for sums in [&mut self.domains[at], &mut self.account] {
                if is_bounce {
                    sums.count += 1.0;
                } else {
                    sums.attempts += 1.0;
                }
            }
        }
    }
}

fn attempt_key(event: &MailEvent) -> u64 {
    event.message ^ event.recipient.rotate_left(1)
}

impl<'a> BacktestObserver<'a> {
    fn new(request: &'a BacktestRequest) -> Self {
        // a day is complete if bounces of its last mail have had time to arrive
        let last = request.check.at.saturating_sub(MATURE_AFTER_MS);
        Self {
            request,
            first_day: day_of(request.from),
            last_day: day_of(last.saturating_sub(DAY_MS - 1)),
            day: 0,
            attempts: Vec::new(),
            earlier_attempts: 0,
            positions: HashMap::default(),
            forecasts: Vec::new(),
            domains: Vec::new(),
            account: WeightedCounts::default(),
            today: Vec::new(),
        }
    }

    /// Forecasts the mailings of a day with the rates at its start.
    fn forecast_day(&mut self, replay: &Replay) {
        let first = self.earlier_attempts;
        self.earlier_attempts = self.attempts.len();
        let mut by_mailing: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (at, one) in self.attempts.iter().enumerate().skip(first) {
            by_mailing.entry(one.mailing).or_default().push(at);
        }
        let spread = replay.spread(self.day);
        for (mailing, positions) in by_mailing {
            if (positions.len() as u64) < self.request.attempts_min {
                continue;
            }
            let rated: Vec<RatedAddress> =
                positions.iter().map(|at| self.attempts[*at].rated).collect();
            let sums = totals(&replay.model, &replay.providers, rated.iter().copied());
            let (model, table) = (&replay.model, &replay.providers);
            let keep_below = self.request.keep_below;
            for kept in addresses_to_send(model, table, spread, rated.iter().copied(), keep_below) {
                self.attempts[positions[kept]].is_kept = true;
            }
            self.forecasts.push(MailingForecast {
                mailing,
                positions,
                bounces: sums.expected_bounces(spread),
                complaints: sums.expected_complaints(spread),
            });
        }
    }

    fn report(&self, replay: &Replay, texts: &MailTexts) -> BacktestReport {
        let mailings: Vec<MailingBacktest> =
            self.forecasts.iter().map(|one| self.compare(one, replay, texts)).collect();
        let evaluated = || {
            let positions = self.forecasts.iter().flat_map(|one| &one.positions);
            positions.map(|at| &self.attempts[*at])
        };
        let number = mailings.len();
        let share = |count: usize| (number > 0).then(|| ratio(count, number));
        let has_complaints =
            |one: &&MailingBacktest| is_in(one.complaints, one.complaints_observed);
        BacktestReport {
            version: 1,
            as_of: format_ms(self.request.check.at),
            from: format_ms(self.request.from),
            attempts: evaluated().count() as u64,
            coverage: share(mailings.iter().filter(|one| one.is_covered).count()),
            complaint_coverage: share(mailings.iter().filter(has_complaints).count()),
            brier: brier(evaluated()),
            reliability: reliability(evaluated()),
            split: split(&mailings, self.request.keep_below),
            mailings,
        }
    }

    /// Compares the forecast of a mailing with its results.
    fn compare(
        &self,
        forecast: &MailingForecast,
        replay: &Replay,
        texts: &MailTexts,
    ) -> MailingBacktest {
        let mailing = &replay.mailings[forecast.mailing as usize];
        let attempts = || forecast.positions.iter().map(|at| &self.attempts[*at]);
        let observed = attempts().filter(|one| one.has_bounced).count();
        let kept = attempts().filter(|one| one.is_kept).count();
        let kept_bounces = attempts().filter(|one| one.is_kept && one.has_bounced).count();
        let complaints_observed = attempts().filter(|one| one.has_complained).count() as u64;
        let count = forecast.positions.len();
        // an oracle holds the addresses that are always held, then addresses that bounce
        let sendable = || attempts().filter(|one| !one.rated.is_always_held);
        let sendable_bounces = sendable().filter(|one| one.has_bounced).count();
        let held_bounces = oracle(sendable_bounces, sendable().count(), self.request.keep_below);
        let always_held = count - sendable().count();
        let is_above = ratio(observed, count) >= self.request.keep_below;
        MailingBacktest {
            campaign: texts.campaigns.get(mailing.campaign).map(str::to_owned),
            day: format_day(mailing.day),
            attempts: count as u64,
            bounces: forecast.bounces,
            observed: observed as u64,
            is_covered: is_in(forecast.bounces, observed as u64),
            complaints: forecast.complaints,
            complaints_observed,
            held: (count - kept) as u64,
            oracle: (held_bounces + always_held) as u64,
            is_above,
            kept_rate: (kept > 0).then(|| ratio(kept_bounces, kept)),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn ratio(count: usize, n: usize) -> f64 {
    count as f64 / n as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn is_in(expected: ExpectedCount, observed: u64) -> bool {
    let [low, high] = expected.interval;
    (low..=high).contains(&(observed as f64))
}

/// Returns the minimum number of addresses to hold, if the addresses that bounce are known.
fn oracle(bounces: usize, attempts: usize, bound: f64) -> usize {
    let is_below =
        |held: &usize| attempts == *held || ratio(bounces - held, attempts - held) < bound;
    (0..=bounces).find(is_below).unwrap_or(bounces)
}

fn brier<'a>(attempts: impl Iterator<Item = &'a BacktestAttempt>) -> BrierScores {
    let (mut sums, mut number) = (BrierScores::default(), 0.0);
    for one in attempts {
        let result = f64::from(u8::from(one.has_bounced));
        sums.forecast += (one.rated.probability - result).powi(2);
        sums.account_rate += (one.account_rate - result).powi(2);
        sums.domain_rate += (one.domain_rate - result).powi(2);
        number += 1.0;
    }
    let mean = |sum: f64| if number > 0.0 { sum / number } else { 0.0 };
    BrierScores {
        forecast: mean(sums.forecast),
        account_rate: mean(sums.account_rate),
        domain_rate: mean(sums.domain_rate),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn reliability<'a>(attempts: impl Iterator<Item = &'a BacktestAttempt>) -> Vec<ReliabilityBin> {
    let empty = |from| ReliabilityBin { from, attempts: 0, forecast: 0.0, observed: 0.0 };
    let mut bins = BINS.map(empty);
    for one in attempts {
        let at = BINS.partition_point(|from| *from <= one.rated.probability).max(1) - 1;
        bins[at].attempts += 1;
        bins[at].forecast += one.rated.probability;
        bins[at].observed += f64::from(u8::from(one.has_bounced));
    }
    let mean = |one: ReliabilityBin| {
        let n = one.attempts as f64;
        ReliabilityBin { forecast: one.forecast / n, observed: one.observed / n, ..one }
    };
    bins.into_iter().filter(|one| one.attempts > 0).map(mean).collect()
}

fn split(mailings: &[MailingBacktest], keep_below: f64) -> SplitBacktest {
    let mut sums = SplitBacktest { keep_below, ..SplitBacktest::default() };
    for one in mailings {
        sums.mailings += 1;
        sums.below += u64::from(one.kept_rate.is_none_or(|rate| rate < keep_below));
        if one.is_above {
            sums.above_without += 1;
            sums.held += one.held;
            sums.oracle += one.oracle;
            sums.within_twice += u64::from(one.held <= 2 * one.oracle);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oracle_holds_the_fewest_bounces() {
        for (bounces, attempts, expected) in [(3, 100, 0), (4, 100, 1), (50, 100, 48), (10, 10, 10)]
        {
            assert_eq!(oracle(bounces, attempts, 0.04), expected, "{bounces} of {attempts}");
        }
    }
}
