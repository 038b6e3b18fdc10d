//! What the brake pauses, and when a check demands it.

use std::fmt;
use std::str::FromStr;

use bouncewatch_schemas::event::Service;

use crate::brake::state::BrakeCause;
use crate::check::level::AlertLevel;
use crate::check::{CheckReport, Verdict};
use crate::timeline::Scope;

/// What the brake pauses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrakeTarget {
    /// Mail that names this configuration set.
    ConfigurationSet(String),
    /// Mail of this tenant.
    Tenant(String),
    /// All mail of the account in the region.
    Account,
}

impl BrakeTarget {
    /// Dimension and value of the rate that can demand a pause; `None` for the account.
    pub fn dimension(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::ConfigurationSet(name) => Some(("configuration_set", name)),
            Self::Tenant(name) => Some(("tenant", name)),
            Self::Account => None,
        }
    }
}

impl FromStr for BrakeTarget {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("configuration_set", name)) if !name.is_empty() => {
                Ok(Self::ConfigurationSet(name.to_owned()))
            }
            Some(("tenant", name)) if !name.is_empty() => Ok(Self::Tenant(name.to_owned())),
            None if text == "account" => Ok(Self::Account),
            _ => Err("write configuration_set:NAME, tenant:NAME or account"),
        }
    }
}

impl fmt::Display for BrakeTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConfigurationSet(name) => write!(f, "the configuration set {name}"),
            Self::Tenant(name) => write!(f, "the tenant {name}"),
            Self::Account => f.write_str("the account"),
        }
    }
}

/// When the brake pauses sending, and when it resumes.
#[derive(Debug, Clone)]
pub struct BrakeRule {
    /// What it pauses.
    pub target: BrakeTarget,
    /// Account of the credentials.
    pub account: String,
    /// Region of the calls.
    pub region: String,
    /// Window of the rates.
    pub window: String,
    /// Minimum number of attempts in the window.
    pub minimum_attempts: u64,
    /// Minimum number of bounces, if the bounce rate is critical.
    pub minimum_bounces: u64,
    /// Minimum number of complaints, if the complaint rate is critical.
    pub minimum_complaints: u64,
    /// Minimum time between the first check that demands a pause and the one that pauses.
    pub confirm_after_ms: i64,
    /// Time after a resume in which the brake does not pause again.
    pub cool_down_ms: i64,
    /// Time after which the brake ends its own pause; `None` for never.
    pub release_after_ms: Option<i64>,
}

impl BrakeRule {
    /// The scope of the rates, and of alerts about the brake.
    pub fn scope(&self) -> Scope {
        let own = [("account", self.account.as_str()), ("region", self.region.as_str())];
        let all = own.into_iter().chain(self.target.dimension());
        Scope(all.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).collect())
    }

    /// Returns the rate for which a check demands a pause.
    ///
    /// # Errors
    /// The reason, if the check demands no pause.
    pub fn demand(&self, check: &CheckReport) -> Result<BrakeCause, &'static str> {
        if check.service != Service::Ses {
            return Err("the check is not about SES");
        }
        if check.feed.stale {
            return Err("the feed is stale");
        }
        if !check.incomplete_days.is_empty() {
            return Err("the store has incomplete days");
        }
        let scope = self.scope();
        let mut critical = check.verdicts.iter().filter(|verdict| {
            let is_wanted = verdict.scope == scope && verdict.window == self.window;
            is_wanted && verdict.level == AlertLevel::Critical && verdict.significant
        });
        let mut why = "no rate is critical and significant";
        critical
            .find_map(|verdict| {
                let cause = self.cause(verdict);
                if cause.is_none() {
                    why = "a critical rate is below the minimum numbers";
                }
                cause
            })
            .ok_or(why)
    }

    /// Returns the cause if a critical rate has the minimum numbers.
    fn cause(&self, verdict: &Verdict) -> Option<BrakeCause> {
        let minimum = match verdict.metric {
            "bounce_rate" => self.minimum_bounces,
            _ => self.minimum_complaints,
        };
        let attempts = verdict.attempts.filter(|attempts| *attempts >= self.minimum_attempts)?;
        (verdict.count >= minimum).then_some(BrakeCause {
            metric: verdict.metric.to_owned(),
            window: verdict.window.clone(),
            rate: verdict.rate?,
            count: verdict.count,
            attempts,
        })
    }
}
