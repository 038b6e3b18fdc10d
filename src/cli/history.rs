//! Arguments of `history`.

use clap::Args;

use super::heading;
use super::shared_args::{AwsArgs, CacheArgs, FormatArgs, OutputArgs, StoreArgs};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bouncewatch history anna@example.org --store ./store
  bouncewatch history - --store ./store --window 30d < address.txt
  bouncewatch history MESSAGE-ID --store ./store --format json")]
pub(crate) struct HistoryArgs {
    /// Email address or message ID, or - to read it from stdin
    ///
    /// A text with @ is an address. Any other text is a message ID of SES (the Message-ID header without < and @...) or a
    /// trace ID of WorkMail. - keeps the text out of the list of processes. Hashed addresses are found with the key of
    /// the settings.
    #[arg(value_name = "ADDRESS-OR-ID")]
    pub(crate) subject: String,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Length of the period, e.g. 30d [default: all events]
    #[arg(long, value_name = "DURATION", help_heading = heading::WINDOWS)]
    pub(crate) window: Option<String>,
    /// Start of the period, instead of --window
    ///
    /// RFC 3339 or a date.
    #[arg(long, value_name = "TIME", conflicts_with = "window", help_heading = heading::WINDOWS)]
    pub(crate) from: Option<String>,
    /// End of the period [default: now]
    ///
    /// RFC 3339 or a date. Suppression is evaluated as of this time.
    #[arg(long, value_name = "TIME", visible_alias = "at", help_heading = heading::WINDOWS)]
    pub(crate) to: Option<String>,
    /// Show only the N newest events
    ///
    /// The table shows at most 400 events; JSON has no limit.
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(1..), help_heading = heading::WINDOWS)]
    pub(crate) top: u32,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) aws: AwsArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}
