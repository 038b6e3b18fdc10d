//! Arguments of `doctor`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Args;

use super::heading;
use super::shared_args::{AwsArgs, FormatArgs, dns_server};
#[cfg(feature = "analyze")]
use super::shared_args::{CacheArgs, StoreArgs};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bouncewatch doctor --queue arn:aws:sqs:us-east-1:123456789012:ses
  bouncewatch doctor --to jane@example.com --store ./store
  bouncewatch doctor --save account.json
  bouncewatch doctor --from account.json --format json")]
pub(crate) struct DoctorArgs {
    /// Queue that `ingest` reads (repeatable)
    ///
    /// URL or ARN. Events are followed from SES to this queue.
    #[arg(long, value_name = "QUEUE", help_heading = heading::SOURCE)]
    pub(crate) queue: Vec<String>,
    /// Configuration set of your mail (repeatable)
    ///
    /// The set that your software names in the header X-SES-CONFIGURATION-SET or in the call. Default sets of identities
    /// are found without it.
    #[arg(long = "configuration-set", alias = "set", value_name = "NAME", help_heading = heading::SOURCE)]
    pub(crate) set: Vec<String>,
    /// Identity to read in detail (repeatable)
    ///
    /// Default: all identities, at most 50. SES allows one call per second.
    #[arg(long, value_name = "NAME", help_heading = heading::SOURCE)]
    pub(crate) identity: Vec<String>,
    /// Recipient that does not get mail
    ///
    /// Checks its domain, the suppression list of SES, the limit of the sandbox (verified recipients only) and, with
    /// --store, its last events. `-` reads the address from stdin.
    #[arg(long, value_name = "ADDRESS", help_heading = heading::SOURCE)]
    pub(crate) to: Option<String>,
    /// Host that sends outside SES (repeatable)
    ///
    /// Checks that its name (PTR record) resolves back to it, and with --sender-domain that SPF allows it.
    #[arg(long, value_name = "IP", help_heading = heading::SOURCE)]
    pub(crate) ip: Vec<IpAddr>,
    /// Domain of the mail of --ip (repeatable)
    #[arg(long = "sender-domain", alias = "sender", value_name = "DOMAIN", requires = "ip", help_heading = heading::SOURCE)]
    pub(crate) sender: Vec<String>,
    /// Judge a saved snapshot, without AWS and DNS
    ///
    /// `-` reads it from stdin.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["queue", "set", "identity", "to", "ip", "sender", "dns", "no_dns", "endpoint_url"], help_heading = heading::SOURCE)]
    pub(crate) from: Option<PathBuf>,
    /// DNS server [default: system] (repeatable)
    #[arg(long, value_name = "IP[:PORT]", value_parser = dns_server, conflicts_with = "no_dns", help_heading = heading::SOURCE)]
    pub(crate) dns: Vec<SocketAddr>,
    /// Do not ask DNS servers
    #[arg(long, help_heading = heading::SOURCE)]
    pub(crate) no_dns: bool,
    #[cfg(feature = "analyze")]
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[cfg(feature = "analyze")]
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    #[command(flatten)]
    pub(crate) aws: AwsArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    /// Save what was read to FILE (JSON), for `--from`
    ///
    /// Local parts of email addresses are replaced by numbers.
    #[arg(long, value_name = "FILE", conflicts_with = "from", help_heading = heading::OUTPUT)]
    pub(crate) save: Option<PathBuf>,
    /// Keep email addresses in the file of --save
    #[arg(long, requires = "save", help_heading = heading::OUTPUT)]
    pub(crate) keep_addresses: bool,
    /// Leave out the findings of a check (repeatable)
    #[arg(long, value_name = "ID", help_heading = heading::OUTPUT)]
    pub(crate) skip: Vec<String>,
}
