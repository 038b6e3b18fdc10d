//! Arguments of `forecast`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::heading;
use super::shared_args::{
    AsOfArgs, AwsArgs, CacheArgs, CountedFromArgs, OutputArgs, OwnDomainArgs, StoreArgs,
    WindowArgs, dns_server,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bouncewatch forecast list.csv --store ./store --over 4h
  bouncewatch forecast list.csv --store ./store --keep-below 4%
  bouncewatch forecast --backtest --store ./store --by tag:campaign")]
pub(crate) struct ForecastArgs {
    /// List of addresses: CSV with the address first, text, or - for stdin
    ///
    /// UTF-8, or UTF-16 with a byte order mark. The first line can be a header; other columns are kept. A line without a
    /// valid address is reported with its number, and skipped.
    #[arg(value_name = "LIST", required_unless_present = "backtest", conflicts_with = "backtest")]
    pub(crate) list: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Duration of the send [default: at once]
    ///
    /// Windows end at the end of the send. Events that are older than a window by then no longer count.
    #[arg(long, value_name = "DURATION", help_heading = heading::WINDOWS)]
    pub(crate) over: Option<String>,
    #[command(flatten)]
    pub(crate) window: WindowArgs,
    /// Column or tag of campaigns
    ///
    /// Stored mail of one campaign on one day (UTC) is one mailing. The more past mailings differed from their forecasts,
    /// the wider is the interval.
    #[arg(long, value_name = "COLUMN", default_value = "tag:campaign", help_heading = heading::WINDOWS)]
    pub(crate) by: String,
    /// Group bounces by a column of LIST (repeatable)
    ///
    /// Name in the header, or number from 1.
    #[arg(long, value_name = "NAME", help_heading = heading::WINDOWS)]
    pub(crate) column: Vec<String>,
    #[command(flatten)]
    pub(crate) as_of: AsOfArgs,
    #[command(flatten)]
    pub(crate) counted_from: CountedFromArgs,
    #[command(flatten)]
    pub(crate) own_domains: OwnDomainArgs,
    /// Hold addresses to keep the bounce rate below RATE
    ///
    /// For example 4%. Writes send.csv (best first, in ten batches) and hold.csv (with a reason each). The
    /// bounce rate of the addresses in send.csv is below RATE with a probability of 99 %. Suppressed addresses are always held.
    #[arg(long, value_name = "RATE", help_heading = heading::THRESHOLDS)]
    pub(crate) keep_below: Option<String>,
    /// Folder for send.csv and hold.csv
    #[arg(long, value_name = "DIR", default_value = ".", help_heading = heading::OUTPUT)]
    pub(crate) split_dir: PathBuf,
    /// SES's suppression list: text, CSV or JSON
    ///
    /// For example the output of `aws sesv2 list-suppressed-destinations`. SES sends nothing to these addresses; they are
    /// held.
    #[arg(long, value_name = "FILE", help_heading = heading::SOURCE)]
    pub(crate) ses_list: Option<PathBuf>,
    /// Ask DNS which domains accept no mail
    ///
    /// No domain (NXDOMAIN), a null MX record, or neither MX record nor address. Domains of large providers are not
    /// asked. A timeout or SERVFAIL changes nothing.
    #[arg(long, help_heading = heading::SOURCE)]
    pub(crate) dns: bool,
    /// DNS server [default: system] (repeatable)
    #[arg(long, value_name = "IP[:PORT]", value_parser = dns_server, requires = "dns", help_heading = heading::SOURCE)]
    pub(crate) dns_server: Vec<SocketAddr>,
    /// Domains to ask per second
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=10_000), requires = "dns", help_heading = heading::SOURCE)]
    pub(crate) dns_pace: u32,
    /// Forecast past mailings and compare with their results
    ///
    /// Each mailing is forecast from the mail of the days before it.
    #[arg(long, help_heading = heading::BACKTEST)]
    pub(crate) backtest: bool,
    /// Start of the mailings [default: 14 days before --at]
    #[arg(long, value_name = "TIME", requires = "backtest", help_heading = heading::BACKTEST)]
    pub(crate) from: Option<String>,
    /// Minimum number of attempts of a mailing
    #[arg(long, value_name = "N", default_value = "200", requires = "backtest", help_heading = heading::BACKTEST)]
    pub(crate) mailing_min: u64,
    /// Groups to list per dimension
    #[arg(long, value_name = "N", default_value = "5", help_heading = heading::OUTPUT)]
    pub(crate) top: usize,
    /// Format: table, json or csv
    ///
    /// csv: one line per address with its probabilities; with --backtest, one line per mailing.
    #[arg(long, value_enum, default_value = "table", hide_possible_values = true, help_heading = heading::OUTPUT)]
    pub(crate) format: ForecastFormat,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) aws: AwsArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ForecastFormat {
    Table,
    Json,
    Csv,
}
