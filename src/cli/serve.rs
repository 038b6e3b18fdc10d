//! Arguments of `serve`.

use clap::Args;

use super::heading;
use super::shared_args::{AwsArgs, CacheArgs, StoreArgs};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bouncewatch serve --store ./store
  bouncewatch serve --store ./store --listen 0.0.0.0:80 --allowed-host a.example")]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Address to listen on
    ///
    /// A port alone (9465) listens on this machine only.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9465", help_heading = heading::OUTPUT)]
    pub(crate) listen: String,
    /// Accept requests with this Host header (repeatable)
    ///
    /// Requests for localhost and for IP addresses are always accepted. Others are refused, so that a web page in a
    /// browser on this machine cannot read the results (DNS rebinding).
    #[arg(long = "allowed-host", alias = "host", value_name = "NAME", help_heading = heading::OUTPUT)]
    pub(crate) host: Vec<String>,
    /// Keep each result for this time
    #[arg(long, value_name = "DURATION", default_value = "60s", help_heading = heading::OUTPUT)]
    pub(crate) every: String,
    #[command(flatten)]
    pub(crate) aws: AwsArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}
