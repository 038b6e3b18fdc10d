//! Counts that another engine computed, for `check --counts`: parses, validates and evaluates them.
//! The contract is in `docs/src/counts.md`.
//!
//! - `parse`: detects the format; `csv`, `ndjson`, `parquet`: read rows in one format
//! - `value`: converts a value of a row to a count, a time or a text
//! - `row`: converts a row to counts of one scope and window
//! - `table`: collects all rows, each scope and window once
//! - `check`: builds a check report from counts, with the code of `check`

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
