//! Arguments of `views`.

use clap::{Args, ValueEnum};

use super::heading;
use super::shared_args::{
    AsOfArgs, CountedFromArgs, GroupingArgs, OutputArgs, OwnDomainArgs, StoreArgs, WindowArgs,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bouncewatch views --store ./store | duckdb rates.db
  bouncewatch views --store s3://bucket/prefix --dialect spark > views.sql")]
pub(crate) struct ViewsArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// SQL dialect, e.g. duckdb or spark
    ///
    /// duckdb, spark and datafusion are tested. athena, trino and bigquery are not.
    #[arg(long, value_enum, default_value = "duckdb", hide_possible_values = true, help_heading = heading::OUTPUT)]
    pub(crate) dialect: SqlDialect,
    /// Start of the names of the views
    #[arg(long, value_name = "TEXT", default_value = "bw_", value_parser = prefix, help_heading = heading::OUTPUT)]
    pub(crate) prefix: String,
    #[command(flatten)]
    pub(crate) window: WindowArgs,
    #[command(flatten)]
    pub(crate) grouping: GroupingArgs,
    #[command(flatten)]
    pub(crate) as_of: AsOfArgs,
    #[command(flatten)]
    pub(crate) counted_from: CountedFromArgs,
    #[command(flatten)]
    pub(crate) own_domains: OwnDomainArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// An engine that runs the views.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SqlDialect {
    Duckdb,
    Spark,
    Datafusion,
    Athena,
    Trino,
    Bigquery,
}

/// Accepts names that need no quotes.
fn prefix(text: &str) -> Result<String, &'static str> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let starts_with_letter = text.is_empty() || text.starts_with(|c: char| c.is_ascii_lowercase());
    if starts_with_letter && text.chars().all(is_name) && text.len() <= 40 {
        Ok(text.to_owned())
    } else {
        Err("use lower-case letters, digits and _, starting with a letter")
    }
}
