//! Arguments of `page`.

use std::path::PathBuf;

use clap::Args;

use super::heading;
use super::shared_args::{
    AsOfArgs, AwsArgs, BasisArgs, CacheArgs, CountedFromArgs, OutputArgs, OwnDomainArgs,
    ServiceArgs, StoreArgs, WindowArgs,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bouncewatch page --store ./store -o page.html
  bouncewatch page --store ./store --each tenant -o pages
  bouncewatch page --store ./store --mail ops@example.com | sendmail -t")]
pub(crate) struct PageArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) window: WindowArgs,
    /// Group by columns or tag:NAME
    ///
    /// One table per grouping; columns as in `report --by`. Repeat the flag for more groupings. Default: identity,
    /// configuration_set, provider, recipient_domain, tag:campaign.
    #[arg(long, value_name = "COLUMNS", help_heading = heading::WINDOWS)]
    pub(crate) by: Vec<String>,
    /// Show at most N groups per table
    ///
    /// Groups that need attention first: by level, then by the lower bound of the interval.
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u16).range(1..=400), help_heading = heading::WINDOWS)]
    pub(crate) top: u16,
    /// Start of the charts (RFC 3339 or a date)
    ///
    /// Default: 30 days before the end.
    #[arg(long, value_name = "TIME", help_heading = heading::WINDOWS)]
    pub(crate) from: Option<String>,
    /// Interval between points of the charts
    ///
    /// Default: the smallest of 1h, 2h, 4h, 6h, 12h and 1d that gives at most 180 points.
    #[arg(long, value_name = "DURATION", help_heading = heading::WINDOWS)]
    pub(crate) every: Option<String>,
    #[command(flatten)]
    pub(crate) as_of: AsOfArgs,
    #[command(flatten)]
    pub(crate) basis: BasisArgs,
    #[command(flatten)]
    pub(crate) counted_from: CountedFromArgs,
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
    #[command(flatten)]
    pub(crate) own_domains: OwnDomainArgs,
    /// Write one page per group into the folder of -o
    ///
    /// For example tenant. The folder gets index.html and a page for each value of the column or tag. More than 500 groups are an error.
    #[arg(long, value_name = "COLUMN", requires = "output", conflicts_with_all = ["mail", "data", "from_json"], help_heading = heading::OUTPUT)]
    pub(crate) each: Option<String>,
    /// Print an email to ADDRESS, for `sendmail -t`
    ///
    /// The message has text, HTML and the page as an attachment.
    #[arg(long, value_name = "ADDRESS", help_heading = heading::OUTPUT)]
    pub(crate) mail: Option<String>,
    /// Title in the browser tab, instead of the account
    #[arg(long, value_name = "TEXT", help_heading = heading::OUTPUT)]
    pub(crate) title: Option<String>,
    /// Show local parts of sender addresses
    ///
    /// Identities that are addresses are shown as ...@DOMAIN by default.
    #[arg(long, help_heading = heading::OUTPUT)]
    pub(crate) show_senders: bool,
    /// Write the JSON of the page to FILE
    #[arg(long, value_name = "FILE", help_heading = heading::OUTPUT)]
    pub(crate) data: Option<PathBuf>,
    /// Render the JSON of another page
    ///
    /// FILE is a page or the file of --data. No store is read, and other options than --mail and -o have no effect.
    #[arg(long, value_name = "FILE", help_heading = heading::OUTPUT)]
    pub(crate) from_json: Option<PathBuf>,
    /// Add the findings of a snapshot of doctor
    ///
    /// FILE is written by `doctor --save`. If --aws-rate is not given, the CloudWatch bounce rate in FILE is used.
    #[cfg(feature = "doctor")]
    #[arg(long, value_name = "FILE", help_heading = heading::OUTPUT)]
    pub(crate) doctor: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Rate that AWS shows, e.g. 6.2% or 0.062
    ///
    /// The page shows the difference, and the step after which our rate is nearest to it.
    #[arg(long, value_name = "RATE", help_heading = heading::AWS)]
    pub(crate) aws_rate: Option<String>,
    #[command(flatten)]
    pub(crate) aws: AwsArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}
