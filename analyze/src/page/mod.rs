//! `page`: the results of all analyses at one time, from one listing of the store.
//!
//! - `request`: parameters
//! - `run`: loads the history once, then runs the analyses
//! - `failure_reports`: causes and suppression, which read single failures
//! - `each`: the results of each group, for one page per group
//! - `groups`: rates of the groups of each grouping, the most critical first

mod each;
mod failure_reports;
mod groups;
mod reports;
mod request;
mod run;

pub use groups::{GroupOutcomes, GroupRow, GroupTable, OtherGroups};
pub use reports::PageReports;
pub use request::PageRequest;
pub use run::page;
