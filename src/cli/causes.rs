//! Arguments of `causes`.

use clap::{Args, ValueEnum};

use super::heading;
use super::shared_args::{AwsArgs, CacheArgs, OutputArgs, OwnDomainArgs, StoreArgs};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bouncewatch causes --store ./store --window 24h
  bouncewatch causes --store ./store --by provider,cause --top 10
  bouncewatch causes --store ./store --unknown --format csv -o unknown.csv")]
pub(crate) struct CausesArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Length of the period, e.g. 24h [default: 7d]
    #[arg(long, value_name = "DURATION", help_heading = heading::WINDOWS)]
    pub(crate) window: Option<String>,
    /// Start of the period, instead of --window
    ///
    /// RFC 3339 or a date.
    #[arg(long, value_name = "TIME", conflicts_with = "window", help_heading = heading::WINDOWS)]
    pub(crate) from: Option<String>,
    /// End of the period [default: now]
    ///
    /// RFC 3339 or a date.
    #[arg(long, value_name = "TIME", visible_alias = "at", help_heading = heading::WINDOWS)]
    pub(crate) to: Option<String>,
    /// Group by columns or tag:NAME [default: cause]
    ///
    /// Columns: cause, fault, rollup (list_quality, sender_health, or not_us for all others), account, region, provider,
    /// recipient_domain (short: domain), identity and the other columns of `report --by`; campaign is short for
    /// tag:campaign. Comma-separated columns form one grouping; repeat the flag for more groupings.
    #[arg(long, value_name = "COLUMNS", help_heading = heading::WINDOWS)]
    pub(crate) by: Vec<String>,
    /// Show only the N groups with the most bounces
    #[arg(long, value_name = "N", help_heading = heading::WINDOWS)]
    pub(crate) top: Option<usize>,
    #[command(flatten)]
    pub(crate) own_domains: OwnDomainArgs,
    /// List only texts that no rule matches; not with --by
    ///
    /// Similar texts form one group. Addresses, names, hosts, IDs and times are masked, so that the list can be sent to
    /// the developers.
    #[arg(long, conflicts_with_all = ["by", "top"], help_heading = heading::OUTPUT)]
    pub(crate) unknown: bool,
    /// Format: table, json or csv
    #[arg(long, value_enum, default_value = "table", hide_possible_values = true, help_heading = heading::OUTPUT)]
    pub(crate) format: CausesFormat,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) aws: AwsArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CausesFormat {
    Table,
    Json,
    Csv,
}
