//! `causes`: groups failures by cause, fault and remedy. Causes are classified by the current rules; the causes in
//! the store are not used, so improved and user-defined rules apply to old events too.

pub(crate) mod anonymise;
pub(crate) mod cached_classifier;
pub mod csv;
mod delays;
mod failure_tally;
pub mod grouping;
pub mod model;
mod report_builder;
mod reported_cause;
mod request;
mod run;
pub mod table;

pub use grouping::{CauseDimension, CauseGrouping};
pub use model::CausesReport;
pub use request::CausesRequest;
pub use run::causes;
pub(crate) use run::causes_scan;
