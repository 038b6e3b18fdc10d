//! Counts of attempts and results to estimate rates. Older events have less weight. No I/O.

use std::collections::BTreeMap;

use bouncewatch_classify::likely_domain;
use bouncewatch_schemas::provider;

use crate::forecast::address_state::AddressClass;
use crate::scan::StringInterner;

/// Half-life of the weight of an event in rates, in days: lists and domains change within months.
const HALF_LIFE_DAYS: f64 = 30.0;
/// Half-life in the ratios of providers, in days: a provider blocks mail for days.
const RECENT_HALF_LIFE_DAYS: f64 = 2.0;
/// Provider name for domains that look like a mistyped domain of a large provider.
pub(crate) const MISTYPED: &str = "mistyped";

/// Weighted number of attempts, and of their bounces or complaints.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct WeightedCounts {
    pub(crate) attempts: f64,
    pub(crate) count: f64,
}

impl WeightedCounts {
    /// Returns count and attempts; `scale` is the weight of an event now. The count is limited to
    /// the attempts, because a result can lack its attempt.
    pub(crate) fn scaled(&self, scale: f64) -> (f64, f64) {
        (self.count.min(self.attempts) / scale, self.attempts / scale)
    }
}

/// Expected and observed weighted numbers of bounces.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ExpectedCounts {
    pub(crate) expected: f64,
    /// Variance of the observed number if all rates were known exactly.
    pub(crate) binomial_variance: f64,
    pub(crate) observed: f64,
}

impl ExpectedCounts {
    /// Weight of the prior, in expected bounces. The prior is a ratio of 1.
    const PRIOR: f64 = 10.0;

    /// Adds an attempt.
    fn add(&mut self, expected: f64, weight: f64) {
        self.expected += weight * expected;
        self.binomial_variance += weight * expected * (1.0 - expected);
    }

    /// Returns observed / expected, shrunk toward 1. `scale` is the weight of an event now.
    ///
    /// The posterior of a factor on a Poisson number with a gamma prior. The variance is reduced to
    /// the binomial variance, which is lower at high rates.
    pub(crate) fn ratio(self, scale: f64) -> RateRatio {
        let weight = self.expected / scale + Self::PRIOR;
        let mean = (self.observed / scale + Self::PRIOR) / weight;
        let binomial = self.binomial_variance / scale + Self::PRIOR;
        RateRatio { mean, variance: mean * binomial / (weight * weight) }
    }
}

/// A factor on rates.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RateRatio {
    pub(crate) mean: f64,
    pub(crate) variance: f64,
}

impl RateRatio {
    /// No change.
    pub(crate) const ONE: Self = Self { mean: 1.0, variance: 0.0 };
}

/// Provider of each domain, by domain ID.
#[derive(Debug, Default)]
pub(crate) struct ProviderTable {
    names: Vec<String>,
    /// Provider by domain name, from the events of the store.
    known: BTreeMap<String, String>,
    /// Position in `names`, by domain ID.
    of_domain: Vec<u32>,
}

impl ProviderTable {
    pub(crate) fn new(known: BTreeMap<String, String>) -> Self {
        Self { known, ..Self::default() }
    }

    /// Adds new domains.
    pub(crate) fn extend(&mut self, domains: &StringInterner) {
        for id in self.of_domain.len()..=domains.len() {
            let domain = u32::try_from(id).ok().and_then(|id| domains.get(id)).unwrap_or_default();
            let static_name = provider::provider_of(domain, std::iter::empty());
            let name = match self.known.get(domain) {
                Some(known) => known,
                None if static_name == provider::OTHER && likely_domain(domain).is_some() => {
                    MISTYPED
                }
                None => static_name,
            };
            let number = self.names.iter().position(|known| known == name);
            let number = number.unwrap_or_else(|| {
                self.names.push(name.to_owned());
                self.names.len() - 1
            });
            self.of_domain.push(u32::try_from(number).unwrap_or_default());
        }
    }

    /// Returns the number of the provider of a domain.
    pub(crate) fn number(&self, domain: u32) -> usize {
        self.of_domain.get(domain as usize).copied().unwrap_or_default() as usize
    }

    pub(crate) fn name(&self, number: usize) -> &str {
        self.names.get(number).map_or(provider::OTHER, String::as_str)
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Number of domains.
    pub(crate) fn domains(&self) -> usize {
        self.of_domain.len()
    }
}

/// The properties of an attempt that its rate depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) class: AddressClass,
    pub(crate) domain: u32,
    pub(crate) is_role: bool,
}

impl Attempt {
    /// Returns the kind of provider ratio that applies: 0 for first attempts, 1 for attempts to an
    /// address with a delivery; `None` if none applies.
    pub(crate) fn ratio_kind(self) -> Option<usize> {
        match self.class {
            AddressClass::New => Some(0),
            class => class.is_delivered().then_some(1),
        }
    }
}

/// Weighted counts of all attempts so far.
#[derive(Debug)]
pub(crate) struct Tallies {
    first_day: Option<i64>,
    /// Weight of an event of the current day.
    pub(crate) scale: f64,
    /// Attempts, not weighted.
    pub(crate) attempts: u64,
    pub(crate) classes: [WeightedCounts; AddressClass::ALL.len()],
    /// First attempts to addresses, by domain.
    pub(crate) new_by_domain: Vec<WeightedCounts>,
    /// Recent counts by provider and [`Attempt::ratio_kind`].
    pub(crate) recent: Vec<[ExpectedCounts; 2]>,
    /// Weight of an event of the current day in `recent`.
    pub(crate) recent_scale: f64,
    /// Complaints, by provider.
    pub(crate) complaints: Vec<WeightedCounts>,
    /// First attempts to role addresses.
    pub(crate) roles: ExpectedCounts,
}

impl Default for Tallies {
    fn default() -> Self {
        Self {
            first_day: None,
            scale: 1.0,
            attempts: 0,
            classes: Default::default(),
            new_by_domain: Vec::new(),
            recent: Vec::new(),
            recent_scale: 1.0,
            complaints: Vec::new(),
            roles: ExpectedCounts::default(),
        }
    }
}

impl Tallies {
    /// Starts a day: its events have more weight than earlier events.
    pub(crate) fn start_day(&mut self, day: i64, providers: &ProviderTable) {
        let first = *self.first_day.get_or_insert(day);
        let days = i32::try_from(day.saturating_sub(first)).unwrap_or(i32::MAX);
        self.scale = (f64::from(days) / HALF_LIFE_DAYS).exp2();
        // the limit, 2^1000, is reached after 19 years and fits into a float
        self.recent_scale = (f64::from(days) / RECENT_HALF_LIFE_DAYS).min(1_000.0).exp2();
        self.new_by_domain.resize(providers.domains(), WeightedCounts::default());
        self.recent.resize(providers.len(), Default::default());
        self.complaints.resize(providers.len(), WeightedCounts::default());
    }

    /// Adds an attempt with the bounce probability that was expected without the ratio of the provider.
    pub(crate) fn add_attempt(&mut self, attempt: Attempt, provider: usize, expected: f64) {
        let scale = self.scale;
        self.attempts += 1;
        self.classes[attempt.class as usize].attempts += scale;
        self.complaints[provider].attempts += scale;
        if attempt.class == AddressClass::New {
            self.new_by_domain[attempt.domain as usize].attempts += scale;
            if attempt.is_role {
                self.roles.add(expected, scale);
            }
        }
        if let Some(kind) = attempt.ratio_kind() {
            self.recent[provider][kind].add(expected, self.recent_scale);
        }
    }

    /// Adds the hard bounce of an attempt.
    pub(crate) fn add_bounce(&mut self, attempt: Attempt, provider: usize) {
        let scale = self.scale;
        self.classes[attempt.class as usize].count += scale;
        if attempt.class == AddressClass::New {
            self.new_by_domain[attempt.domain as usize].count += scale;
            if attempt.is_role {
                self.roles.observed += scale;
            }
        }
        if let Some(kind) = attempt.ratio_kind() {
            self.recent[provider][kind].observed += self.recent_scale;
        }
    }

    /// Adds a complaint.
    pub(crate) fn add_complaint(&mut self, provider: usize) {
        self.complaints[provider].count += self.scale;
    }
}
