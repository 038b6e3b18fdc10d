//! `suppress`: lists addresses that must not be mailed again, each with its reason and evidence.
//!
//! Evidence is every bounce and complaint of the complete history, classified by the current rules. A later delivery of
//! other mail removes an address from the list. Opens and clicks do not: they name no recipient, and can be automated.

mod address_evidence;
mod address_list;
mod decision;
pub mod formats;
pub mod model;
mod request;
mod run;

pub use address_list::AddressList;
pub use decision::SoftLimit;
pub use model::Suppressions;
pub use request::SuppressRequest;
pub use run::suppress;
pub(crate) use run::suppress_scan;
