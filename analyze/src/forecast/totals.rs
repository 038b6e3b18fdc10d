//! Expected bounces and complaints of a list, with their uncertainty. No I/O.

use serde::Serialize;

use crate::forecast::address_state::AddressClass;
use crate::forecast::interval::{count_bound, count_interval};
use crate::forecast::rate_model::{NO_MAIL_PRIOR, RateModel};
use crate::forecast::tallies::{Attempt, ProviderTable};

/// An expected number with its 90 % interval, as counts and as rates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ExpectedCount {
    /// Expected number.
    pub expected: f64,
    /// 90 % interval.
    pub interval: [f64; 2],
    /// Expected rate; null without addresses.
    pub rate: Option<f64>,
    /// 90 % interval of the rate; null without addresses.
    pub rate_interval: Option<[f64; 2]>,
}

impl ExpectedCount {
    fn new(expected: f64, variance: f64, n: f64) -> Self {
        let interval = count_interval(expected, variance, n);
        let is_known = n > 0.0;
        Self {
            expected,
            interval,
            rate: is_known.then(|| expected / n),
            rate_interval: is_known.then(|| interval.map(|one| one / n)),
        }
    }
}

/// Relative variance between campaigns that chance does not explain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CampaignSpread {
    pub(crate) bounces: f64,
    pub(crate) complaints: f64,
}

/// Sums over the addresses of a list.
#[derive(Debug, Clone)]
pub(crate) struct ListTotals<'m> {
    model: &'m RateModel,
    table: &'m ProviderTable,
    pub(crate) addresses: f64,
    pub(crate) bounces: f64,
    /// Variance of the number of bounces if all rates were known exactly.
    binomial_variance: f64,
    /// Sum of the factors on the rate of the class, by class.
    classes: [f64; AddressClass::ALL.len()],
    /// Sum of the factors on the rate of the domain for first attempts, by domain.
    domains: Vec<f64>,
    /// Number of addresses at domains that accept no mail.
    no_mail: f64,
    /// Number of addresses by provider, for complaints.
    providers: Vec<f64>,
    /// By provider and [`Attempt::ratio_kind`]: sum of the rates, and variance of the ratio.
    recent: Vec<[(f64, f64); 2]>,
}

impl<'m> ListTotals<'m> {
    pub(crate) fn new(model: &'m RateModel, table: &'m ProviderTable) -> Self {
        Self {
            model,
            table,
            addresses: 0.0,
            bounces: 0.0,
            binomial_variance: 0.0,
            classes: Default::default(),
            domains: vec![0.0; table.domains()],
            no_mail: 0.0,
            providers: vec![0.0; table.len()],
            recent: vec![Default::default(); table.len()],
        }
    }

    /// Adds an address with its bounce probability.
    pub(crate) fn add(&mut self, attempt: Attempt, probability: f64, accepts_no_mail: bool) {
        let provider = self.table.number(attempt.domain);
        self.addresses += 1.0;
        self.bounces += probability;
        self.binomial_variance += probability * (1.0 - probability);
        if let Some(of_provider) = self.providers.get_mut(provider) {
            *of_provider += 1.0;
        }
        if accepts_no_mail {
            self.no_mail += 1.0;
            return;
        }
        if let Some(kind) = attempt.ratio_kind()
            && let Some(kinds) = self.recent.get_mut(provider)
        {
            kinds[kind].0 += self.model.base_rate(attempt, provider);
            kinds[kind].1 = self.model.recent_ratio(attempt, provider).variance;
        }
        let ratio = self.model.ratio(attempt, provider);
        match self.domains.get_mut(attempt.domain as usize) {
            Some(of_domain) if attempt.class == AddressClass::New => *of_domain += ratio,
            _ => self.classes[attempt.class as usize] += ratio,
        }
    }

    /// Returns the expected number of hard bounces.
    pub(crate) fn expected_bounces(&self, spread: CampaignSpread) -> ExpectedCount {
        ExpectedCount::new(self.bounces, self.variance(spread), self.addresses)
    }

    /// Returns the 99 % quantile of the bounce rate.
    pub(crate) fn bounce_rate_bound(&self, spread: CampaignSpread) -> f64 {
        count_bound(self.bounces, self.variance(spread)) / self.addresses.max(1.0)
    }

    fn variance(&self, spread: CampaignSpread) -> f64 {
        // not the sum: deviations of past campaigns include the errors of estimated rates
        let campaign = spread.bounces * self.bounces * self.bounces;
        self.binomial_variance + self.rate_variance().max(campaign)
    }

    /// Returns the variance of the number of bounces that results from errors of the estimated
    /// rates.
    ///
    /// An error of a rate affects all addresses with that rate in the same way. Only pairs of
    /// addresses count: `binomial_variance` includes the variance of each single address.
    fn rate_variance(&self) -> f64 {
        let model = self.model;
        let pairs = |sum: f64| sum * (sum - 1.0).max(0.0);
        let mut variance = pairs(self.no_mail) * NO_MAIL_PRIOR.variance();
        for (sum, of_ratio) in self.recent.iter().flatten() {
            variance += sum * sum * of_ratio;
        }
        for (sum, rate) in self.classes.iter().zip(&model.classes) {
            variance += pairs(*sum) * rate.variance();
        }
        // the rate of a domain depends on that of its provider, and this on that of the account
        let mut of_providers = vec![0.0; self.table.len()];
        for (domain, sum) in (0_u32..).zip(&self.domains).filter(|(_, sum)| **sum > 0.0) {
            let provider = self.table.number(domain);
            let rate = model.domain_rate(domain, provider);
            variance += pairs(*sum) * rate.variance();
            let weight = model.domain_weights.get(provider).copied().unwrap_or(rate.weight);
            of_providers[provider] += sum * weight / rate.weight;
        }
        let mut of_account = 0.0;
        for (provider, sum) in of_providers.iter().enumerate().filter(|(_, sum)| **sum > 0.0) {
            let Some(rate) = model.providers.get(provider) else {
                of_account += sum;
                continue;
            };
            variance += sum * sum * rate.variance();
            of_account += sum * (model.provider_weight / rate.weight).min(1.0);
        }
        variance + of_account * of_account * model.account_rate().variance()
    }

    /// Returns the expected number of complaints.
    pub(crate) fn expected_complaints(&self, spread: CampaignSpread) -> ExpectedCount {
        let (mut expected, mut of_rates) = (0.0, 0.0);
        for (provider, addresses) in self.providers.iter().enumerate() {
            let rate = self.model.complaint_rate(provider);
            expected += addresses * rate.mean;
            of_rates += addresses * addresses * rate.variance();
        }
        let variance = expected + of_rates.max(spread.complaints * expected * expected);
        ExpectedCount::new(expected, variance, self.addresses)
    }
}
