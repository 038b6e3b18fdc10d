//! `check` and `reconcile`: bounce and complaint rates against thresholds, and feed health.
//!
//! - `run`: the check; `request`: its parameters
//! - `verdict`: one rate with its level, significance, headroom and projection
//! - `level`, `thresholds`, `confidence`, `trend`, `contribution`: pure functions on counts
//! - `contributors`: loads the contributors of each rate at or above a threshold
//! - `feed`: time since the newest event, missing event types
//! - `sending`: state of the account that AWS reported: paused sending, open reputation findings
//! - `reconcile`: our rate step by step, compared with the rate that AWS shows

pub mod confidence;
pub mod contribution;
mod contributors;
pub mod feed;
pub mod level;
pub mod reconcile;
pub mod request;
mod run;
pub mod sending;
pub(crate) mod service;
#[cfg(test)]
mod store_tests;
pub mod thresholds;
pub mod trend;
pub mod verdict;

pub use feed::{FeedHealth, newest_event};
pub use request::CheckRequest;
pub(crate) use run::{CheckDetail, check_scan, without_feedback};
pub use run::{CheckReport, check};
pub use verdict::Verdict;
