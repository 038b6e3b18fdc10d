//! Headings of options in the help. A command lists them in the order of its arguments; `GLOBAL` is always last.

/// Where events come from.
pub(super) const SOURCE: &str = "Source";
/// Where events are stored, and in which form.
pub(super) const STORE: &str = "Store";
/// Which events count, and how they are grouped.
#[cfg(feature = "analyze")]
pub(super) const WINDOWS: &str = "Windows and grouping";
/// When a rate reaches a level.
#[cfg(feature = "analyze")]
pub(super) const THRESHOLDS: &str = "Thresholds";
/// Forecasts of the past.
#[cfg(feature = "analyze")]
pub(super) const BACKTEST: &str = "Backtest";
/// Where alerts are sent.
#[cfg(feature = "analyze")]
pub(super) const ALERTS: &str = "Alerts";
/// The brake.
#[cfg(all(feature = "analyze", feature = "doctor"))]
pub(super) const BRAKE: &str = "Brake";
/// Format and destination of the result.
pub(super) const OUTPUT: &str = "Output";
/// The account-level suppression list of SES.
#[cfg(all(feature = "analyze", feature = "doctor"))]
pub(super) const SES_LIST: &str = "Suppression list of SES";
/// Endpoints of AWS.
pub(super) const AWS: &str = "AWS";
/// Options that most users do not need.
pub(super) const ADVANCED: &str = "Advanced";
/// Options of all commands.
pub(super) const GLOBAL: &str = "Global options";
