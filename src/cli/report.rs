//! Arguments of `report`.

use clap::{Args, ValueEnum};

use super::heading;
use super::shared_args::{
    AwsArgs, BasisArgs, CacheArgs, CountedFromArgs, GroupingArgs, OutputArgs, OwnDomainArgs,
    ServiceArgs, StoreArgs,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bouncewatch report --store ./store --from 2026-11-01 --every 1d --window 7d
  bouncewatch report --store ./store --by tag:campaign --top 5
  bouncewatch report --store ./store --by provider --format csv -o rates.csv")]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Start of the report (RFC 3339 or a date)
    ///
    /// Default: 7 days before the end.
    #[arg(long, value_name = "TIME", help_heading = heading::WINDOWS)]
    pub(crate) from: Option<String>,
    /// End of the report [default: now]
    ///
    /// RFC 3339 or a date.
    #[arg(long, value_name = "TIME", visible_alias = "at", help_heading = heading::WINDOWS)]
    pub(crate) to: Option<String>,
    /// Interval between rows
    ///
    /// Each row has the rate of the window that ends at the time of the row.
    #[arg(long, value_name = "DURATION", default_value = "1d", help_heading = heading::WINDOWS)]
    pub(crate) every: String,
    /// Windows, e.g. 24h,7d,volume:10000
    ///
    /// Comma-separated: durations such as 24h or 7d, or volume:N for the last N attempts.
    #[arg(long, value_name = "WINDOWS", value_delimiter = ',', default_value = "24h", help_heading = heading::WINDOWS)]
    pub(crate) window: Vec<String>,
    #[command(flatten)]
    pub(crate) grouping: GroupingArgs,
    /// Show only the N groups with the most bounces
    #[arg(long, value_name = "N", help_heading = heading::WINDOWS)]
    pub(crate) top: Option<usize>,
    #[command(flatten)]
    pub(crate) basis: BasisArgs,
    #[command(flatten)]
    pub(crate) counted_from: CountedFromArgs,
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
    #[command(flatten)]
    pub(crate) own_domains: OwnDomainArgs,
    /// Format: table, json, csv or parquet
    #[arg(long, value_enum, default_value = "table", hide_possible_values = true, help_heading = heading::OUTPUT)]
    pub(crate) format: ReportFormat,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) aws: AwsArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Table,
    Json,
    Csv,
    Parquet,
}
