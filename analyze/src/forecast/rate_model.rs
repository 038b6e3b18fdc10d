//! Estimated rates at one time: the model of `docs/src/forecast.md`. No I/O.

use crate::forecast::address_state::AddressClass;
use crate::forecast::shrinkage::{BetaRate, estimate_prior_weight};
use crate::forecast::tallies::{
    Attempt, MISTYPED, ProviderTable, RateRatio, Tallies, WeightedCounts,
};

/// Prior of the bounce rate of first attempts: 5 %, 90 % interval from nearly 0 to 18 %.
const NEW_PRIOR: BetaRate = BetaRate { mean: 0.05, weight: 10.0 };
/// Prior of the bounce rate at domains that are probably mistyped.
const MISTYPED_PRIOR: BetaRate = BetaRate { mean: 0.5, weight: 2.0 };
/// Bounce rate at domains that accept no mail.
pub(crate) const NO_MAIL_PRIOR: BetaRate = BetaRate { mean: 0.98, weight: 50.0 };
/// Prior of the complaint rate: 0.05 %.
const COMPLAINT_PRIOR: BetaRate = BetaRate { mean: 0.000_5, weight: 1_000.0 };
/// Prior weights in attempts, if there are too few groups to estimate them: of the provider for its
/// domains, of the account for its providers, and of the account for complaint rates of providers.
const DOMAIN_WEIGHT: f64 = 30.0;
const PROVIDER_WEIGHT: f64 = 50.0;
const COMPLAINT_WEIGHT: f64 = 2_000.0;

/// Returns the prior of a class. The means assume that 1 % of addresses stop working per month, and
/// use the middle of each age range.
const fn prior(class: AddressClass) -> BetaRate {
    let (mean, weight) = match class {
        AddressClass::New => return NEW_PRIOR,
        AddressClass::Delivered7d => (0.001, 20.0),
        AddressClass::Delivered30d => (0.006, 20.0),
        AddressClass::Delivered90d => (0.02, 20.0),
        AddressClass::Delivered180d => (0.044, 20.0),
        AddressClass::Delivered365d => (0.09, 20.0),
        AddressClass::DeliveredEarlier => (0.17, 20.0),
        AddressClass::NotDelivered => (0.1, 10.0),
        AddressClass::Bounced => (0.8, 5.0),
        AddressClass::BouncedAgain => (0.95, 5.0),
        AddressClass::OnSesList => (0.02, 5.0),
        AddressClass::Complained => (0.01, 20.0),
    };
    BetaRate { mean, weight }
}

/// Estimated rates at one time.
#[derive(Debug)]
pub(crate) struct RateModel {
    pub(crate) classes: [BetaRate; AddressClass::ALL.len()],
    /// Rates of first attempts, by provider. The weight includes that of the prior.
    pub(crate) providers: Vec<BetaRate>,
    /// Rates of first attempts, by domain. The weight includes that of the prior.
    pub(crate) domains: Vec<BetaRate>,
    /// Prior weight of a provider for its domains, by provider.
    pub(crate) domain_weights: Vec<f64>,
    /// Prior weight of the account for its providers.
    pub(crate) provider_weight: f64,
    /// Observed / expected bounces in recent mail, by provider and [`Attempt::ratio_kind`].
    recent_ratios: Vec<[RateRatio; 2]>,
    role_ratio: f64,
    pub(crate) complaints: Vec<BetaRate>,
}

impl RateModel {
    /// Estimates the rates from the counts so far.
    pub(crate) fn new(tallies: &Tallies, table: &ProviderTable) -> Self {
        let scale = tallies.scale;
        let posterior = |class: AddressClass| {
            let (count, attempts) = tallies.classes[class as usize].scaled(scale);
            prior(class).after(count, attempts)
        };
        let classes = AddressClass::ALL.map(posterior);
        let account = classes[AddressClass::New as usize];
        let mut by_provider = vec![Vec::new(); table.len()];
        for (domain, one) in (0..).zip(&tallies.new_by_domain) {
            if one.attempts > 0.0 {
                by_provider[table.number(domain)].push(one.scaled(scale));
            }
        }
        let sum = |all: &Vec<(f64, f64)>| {
            all.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
        };
        let sums: Vec<(f64, f64)> = by_provider.iter().map(sum).collect();
        let provider_weight = estimate_prior_weight(sums.iter().copied(), PROVIDER_WEIGHT);
        let of_provider = |(number, (count, attempts)): (usize, &(f64, f64))| {
            let is_mistyped = table.name(number) == MISTYPED;
            let parent = BetaRate { mean: account.mean, weight: provider_weight };
            let parent = if is_mistyped { MISTYPED_PRIOR } else { parent };
            parent.after(*count, *attempts)
        };
        let providers: Vec<BetaRate> = sums.iter().enumerate().map(of_provider).collect();
        let weight =
            |all: &Vec<(f64, f64)>| estimate_prior_weight(all.iter().copied(), DOMAIN_WEIGHT);
        let domain_weights: Vec<f64> = by_provider.iter().map(weight).collect();
        let of_domain = |(domain, one): (u32, &WeightedCounts)| {
            let (number, (count, attempts)) = (table.number(domain), one.scaled(scale));
            let parent = BetaRate { mean: providers[number].mean, weight: domain_weights[number] };
            parent.after(count, attempts)
        };
        let domains = (0..).zip(&tallies.new_by_domain).map(of_domain).collect();
        Self {
            classes,
            domains,
            providers,
            domain_weights,
            provider_weight,
            recent_ratios: tallies
                .recent
                .iter()
                .map(|kinds| kinds.map(|one| one.ratio(tallies.recent_scale)))
                .collect(),
            role_ratio: tallies.roles.ratio(scale).mean,
            complaints: complaint_rates(tallies),
        }
    }

    /// Returns the rate of first attempts of the account.
    pub(crate) fn account_rate(&self) -> BetaRate {
        self.classes[AddressClass::New as usize]
    }

    /// Returns the rate of first attempts at a domain.
    pub(crate) fn domain_rate(&self, domain: u32, provider: usize) -> BetaRate {
        let unknown = || {
            let weight = self.domain_weights.get(provider).copied().unwrap_or(DOMAIN_WEIGHT);
            let mean =
                self.providers.get(provider).map_or(self.account_rate().mean, |one| one.mean);
            BetaRate { mean, weight }
        };
        self.domains.get(domain as usize).copied().unwrap_or_else(unknown)
    }

    /// Returns the recent observed / expected bounces of the provider of an attempt.
    pub(crate) fn recent_ratio(&self, attempt: Attempt, provider: usize) -> RateRatio {
        let of_provider = self.recent_ratios.get(provider);
        let ratio = of_provider.zip(attempt.ratio_kind()).map(|(kinds, kind)| kinds[kind]);
        ratio.unwrap_or(RateRatio::ONE)
    }

    /// Returns the factor on the rate of the class or domain: recent bounces of the provider, and
    /// role addresses.
    pub(crate) fn ratio(&self, attempt: Attempt, provider: usize) -> f64 {
        let is_new_role = attempt.class == AddressClass::New && attempt.is_role;
        let role = if is_new_role { self.role_ratio } else { 1.0 };
        self.recent_ratio(attempt, provider).mean * role
    }

    /// Returns the probability that an attempt is a hard bounce.
    pub(crate) fn bounce_probability(&self, attempt: Attempt, provider: usize) -> f64 {
        (self.base_rate(attempt, provider) * self.ratio(attempt, provider)).min(1.0)
    }

    /// Returns the rate of the class of an attempt, or that of its domain for a first attempt.
    pub(crate) fn base_rate(&self, attempt: Attempt, provider: usize) -> f64 {
        match attempt.class {
            AddressClass::New => self.domain_rate(attempt.domain, provider).mean,
            class => self.classes[class as usize].mean,
        }
    }

    /// Returns the complaint rate of a provider.
    pub(crate) fn complaint_rate(&self, provider: usize) -> BetaRate {
        self.complaints.get(provider).copied().unwrap_or(COMPLAINT_PRIOR)
    }
}

/// Returns the complaint rate of each provider, shrunk toward that of the account.
fn complaint_rates(tallies: &Tallies) -> Vec<BetaRate> {
    let counts = || tallies.complaints.iter().map(|one| one.scaled(tallies.scale));
    let (count, attempts) = counts().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let account = COMPLAINT_PRIOR.after(count, attempts);
    let weight = estimate_prior_weight(counts(), COMPLAINT_WEIGHT);
    let parent = BetaRate { mean: account.mean, weight };
    counts().map(|(count, attempts)| parent.after(count, attempts)).collect()
}
