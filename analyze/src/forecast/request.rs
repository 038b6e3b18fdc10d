//! Parameters of `forecast`.

use std::collections::BTreeMap;

use bouncewatch_store::addresses::AddressRedactor;

use crate::check::CheckRequest;
use crate::suppress::{AddressList, SuppressRequest};
use crate::timeline::Dimension;

/// Parameters of `forecast`.
#[derive(Debug)]
pub struct ForecastRequest {
    /// Windows, thresholds, own domains and time; the groupings are not used.
    pub check: CheckRequest,
    /// Which addresses are suppressed.
    pub suppress: SuppressRequest,
    /// Dimension with the campaign of stored mail.
    pub campaign: Dimension,
    /// Duration over which the list is sent, milliseconds; 0: at once.
    pub over_ms: i64,
    /// Hashes addresses in the same way as the store.
    pub hasher: Option<AddressRedactor>,
    /// Addresses on SES's suppression list.
    pub ses_list: Option<AddressList>,
    /// Domains that accept no mail, with the reason.
    pub no_mail_domains: BTreeMap<String, String>,
    /// Columns of the list by which expected bounces are grouped.
    pub columns: Vec<String>,
    /// Upper bound of the bounce rate for a split of the list.
    pub keep_below: Option<f64>,
    /// Maximum number of groups per dimension.
    pub top: usize,
}

/// Parameters of `forecast --backtest`.
#[derive(Debug)]
pub struct BacktestRequest {
    /// Store, own domains, time and minimum volume.
    pub check: CheckRequest,
    /// Dimension with the campaign of stored mail.
    pub campaign: Dimension,
    /// Forecast mailings sent after this time, epoch milliseconds.
    pub from: i64,
    /// Minimum number of attempts of a mailing.
    pub attempts_min: u64,
    /// Upper bound of the bounce rate for the split of each mailing.
    pub keep_below: f64,
}
