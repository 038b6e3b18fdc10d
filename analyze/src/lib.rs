//! From a store to rates, verdicts, reports and alerts: the polars job.
//!
//! `scan` reads the store (polars is used there and in one report file), `timeline` holds sorted times by scope,
//! `check` computes verdicts, `report` prints them, `alert` notifies. `causes` and `suppress` look at single failures.

pub mod alert;
pub mod causes;
pub mod check;
pub mod error;
pub mod report;
mod scan;
pub mod suppress;
pub mod timeline;
