//! `suppress`: lists addresses that must not be mailed again, each with its reason and evidence.
//!
//! The evidence is all bounces and complaints in the store, classified by the current rules. A
//! later delivery of another message removes an address from the list. Opens and clicks do not:
//! they have no recipient, and can be automated. An established address is put on hold first.

pub(crate) mod address_deliveries;
pub(crate) mod address_evidence;
pub(crate) mod address_list;
pub(crate) mod affected_slots;
mod counts;
mod decision;
pub(crate) mod evidence_collector;
pub mod formats;
#[cfg(test)]
mod incident_tests;
pub mod model;
mod release;
pub mod release_formats;
mod report_builder;
mod request;
mod run;
#[cfg(test)]
mod store_tests;

pub use address_list::AddressList;
pub use counts::{SuppressionCount, SuppressionCounts};
pub use decision::SoftLimit;
pub use model::{Releases, Suppressions};
pub use request::SuppressRequest;
pub(crate) use run::{count_suppressions, load_failures, suppress_scan};
pub use run::{release, suppress, suppress_and_release};
