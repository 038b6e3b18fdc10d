//! Result of `forecast`; its JSON is a contract (`docs/src/forecast.md`).

use serde::Serialize;

use crate::check::level::AlertLevel;
use crate::forecast::after_send::WindowForecast;
use crate::forecast::recipient_list::LineError;
use crate::forecast::totals::ExpectedCount;

/// Result of `forecast`.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the JSON, see docs/src/forecast.md")]
pub struct Forecast {
    pub version: u32,
    pub as_of: String,
    /// Worst level of `windows`; unknown instead of OK if the store has a low volume.
    pub status: AlertLevel,
    pub exit_code: u8,
    pub list: ListCounts,
    pub bounces: ExpectedCount,
    pub complaints: ExpectedCount,
    pub knowledge: StoreKnowledge,
    /// Windows after the list is sent.
    pub windows: Vec<WindowForecast>,
    /// Groups of the list with most expected bounces, by dimension.
    pub parts: Vec<ListPart>,
    /// The list after each step of removing addresses.
    pub remaining: Vec<RemainingList>,
    /// The split of `--keep-below`; null without it.
    pub split: Option<SplitSummary>,
    pub errors: Vec<LineError>,
}

/// Lines of the list.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ListCounts {
    /// Addresses that SES counts, each once.
    pub addresses: u64,
    /// Lines with an address that occurred before.
    pub duplicates: u64,
    /// Lines that cannot be used.
    pub invalid: u64,
    /// Addresses of the mailbox simulator and of own domains.
    pub not_counted: u64,
    /// Addresses that are always held.
    pub held: u64,
}

/// Amount of mail in the store on which the forecast is based.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct StoreKnowledge {
    /// Attempts from which rates are estimated.
    pub attempts: u64,
    /// Addresses with a history.
    pub addresses: u64,
    /// Addresses of the list with a history.
    pub known: u64,
    /// Whether `attempts` is below the minimum volume.
    pub is_low: bool,
    /// Rate of first attempts of this account.
    pub first_rate: f64,
    /// Relative standard deviation of bounces between campaigns.
    pub campaign_spread: f64,
}

/// A group of addresses of the list.
#[derive(Debug, Clone, Serialize)]
pub struct ListPart {
    /// `evidence`, `provider`, `recipient_domain` or a column of the list.
    pub by: String,
    /// Value of the dimension.
    pub value: String,
    /// Addresses.
    pub addresses: u64,
    /// Expected bounces.
    pub bounces: f64,
    /// Expected bounce rate.
    pub rate: f64,
    /// Expected bounce rate of the list without the group; null if nothing remains.
    pub rate_without: Option<f64>,
}

/// The list after a step of removing addresses.
#[derive(Debug, Clone, Serialize)]
pub struct RemainingList {
    /// Addresses that this step removes, as text.
    pub removed: &'static str,
    /// Number of addresses that this step removes.
    pub count: u64,
    /// Number of addresses that remain.
    pub addresses: u64,
    /// Expected bounces of the remaining addresses.
    pub bounces: ExpectedCount,
}

/// The split of a list.
#[derive(Debug, Clone, Serialize)]
pub struct SplitSummary {
    /// Bound of the bounce rate.
    pub keep_below: f64,
    /// Addresses to send to.
    pub send: u64,
    /// Addresses to hold.
    pub hold: u64,
    /// Expected bounces of the addresses to send to.
    pub bounces: ExpectedCount,
    /// Windows after the mail to these addresses is sent.
    pub windows: Vec<WindowForecast>,
}

/// Result of a backtest.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the JSON, see docs/src/forecast.md")]
pub struct BacktestReport {
    pub version: u32,
    pub as_of: String,
    pub from: String,
    pub attempts: u64,
    /// Share of the mailings with bounces in the 90 % interval; null without mailings.
    pub coverage: Option<f64>,
    pub complaint_coverage: Option<f64>,
    pub brier: BrierScores,
    pub reliability: Vec<ReliabilityBin>,
    pub split: SplitBacktest,
    pub mailings: Vec<MailingBacktest>,
}

/// Mean squared difference between probability and result of attempts; smaller is better.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct BrierScores {
    /// Of the forecast.
    pub forecast: f64,
    /// Of the bounce rate of the account.
    pub account_rate: f64,
    /// Of the bounce rate of the domain.
    pub domain_rate: f64,
}

/// Attempts with similar probabilities.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ReliabilityBin {
    /// Lower bound of the probabilities; the upper bound is that of the next bin.
    pub from: f64,
    /// Attempts.
    pub attempts: u64,
    /// Mean probability.
    pub forecast: f64,
    /// Share of hard bounces.
    pub observed: f64,
}

/// Results of splitting each past mailing.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct SplitBacktest {
    /// Bound of the bounce rate.
    pub keep_below: f64,
    /// Mailings in which the actual rate of the kept addresses is below the bound.
    pub below: u64,
    /// All mailings.
    pub mailings: u64,
    /// Mailings in which the actual rate without a split is at or above the bound.
    pub above_without: u64,
    /// Addresses that the split holds in `above_without` mailings.
    pub held: u64,
    /// Addresses that an oracle holds in these mailings.
    pub oracle: u64,
    /// `above_without` mailings in which the split holds at most twice as many as the oracle.
    pub within_twice: u64,
}

/// Forecast and actual results of one past mailing.
#[derive(Debug, Clone, Serialize)]
pub struct MailingBacktest {
    /// Value of the dimension; null for mail without one.
    pub campaign: Option<String>,
    /// Day of the mail (UTC).
    pub day: String,
    /// Attempts.
    pub attempts: u64,
    /// Forecast of hard bounces.
    pub bounces: ExpectedCount,
    /// Actual number of hard bounces.
    pub observed: u64,
    /// Whether `observed` is in the interval.
    pub is_covered: bool,
    /// Forecast of complaints.
    pub complaints: ExpectedCount,
    /// Actual number of complaints.
    pub complaints_observed: u64,
    /// Addresses that the split holds.
    pub held: u64,
    /// Addresses that an oracle holds: addresses that are always held, and as few others as
    /// possible.
    pub oracle: u64,
    /// Whether the actual rate without a split is at or above the bound.
    pub is_above: bool,
    /// Actual rate of the addresses that the split keeps; null if it keeps none.
    pub kept_rate: Option<f64>,
}
