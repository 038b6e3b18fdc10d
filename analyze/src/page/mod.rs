//! `page`: the results of all analyses at one time, from one listing of the store.
//!
//! - `request`: parameters
//! - `run`: loads the history once, then runs the analyses
//! - `each`: the results of each group, for a page per group
//! - `groups`: rates of the groups of each grouping, those that need attention first
//! - `suppression`: counts of addresses to suppress, without addresses

mod each;
mod groups;
mod reports;
mod request;
mod run;
mod suppression;

pub use groups::{GroupOutcomes, GroupRow, GroupTable, OtherGroups};
pub use reports::PageReports;
pub use request::PageRequest;
pub use run::page;
pub use suppression::{SuppressionCount, SuppressionCounts};
