//! `report`, and the output formats of checks and reports: one file per format.
//!
//! - `rates`: computes the report
//! - `table`: text tables for people; `text`: formatting of numbers, times and tables
//! - `csv`, `parquet`: reports; both write the columns of `columns`
//! - `nagios`, `prometheus`: checks

mod columns;
pub mod csv;
pub mod nagios;
pub mod parquet;
pub mod prometheus;
mod rates;
pub mod table;
pub mod text;
pub mod text_table;
pub mod trend;

pub use rates::{RateReport, RateRow, ReportRequest, report};
pub(crate) use rates::{report_scan, window_ends};
