//! Counts that another engine computed, for `check --counts`: parse, validate, judge. The contract is in
//! `docs/src/counts.md`.
//!
//! - `parse`: bytes in one of three formats to rows; `csv`, `ndjson`, `parquet`: the formats
//! - `value`: one value of a row to a count, a time or a text
//! - `row`: the values of one row to counts of one scope and window
//! - `table`: all rows, each scope and window once
//! - `check`: counts to a check report, with the code of `check`

pub mod check;
mod csv;
pub mod error;
mod ndjson;
mod parquet;
mod parse;
mod row;
pub mod table;
#[cfg(test)]
mod tests;
mod value;

pub use check::check_counts;
pub use error::CountsError;
pub use parse::parse;
pub use row::CountsContext;
pub use table::Counts;
