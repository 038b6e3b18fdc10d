//! Groups of arguments that several commands have.

#[cfg(any(feature = "analyze", feature = "doctor"))]
use std::net::{IpAddr, SocketAddr};
#[cfg(feature = "analyze")]
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::heading;

/// Port of DNS servers.
#[cfg(any(feature = "analyze", feature = "doctor"))]
const DNS_PORT: u16 = 53;

/// Parses the address of a DNS server.
///
/// # Errors
/// If the text is neither an IP address nor one with a port.
#[cfg(any(feature = "analyze", feature = "doctor"))]
pub(super) fn dns_server(text: &str) -> Result<SocketAddr, &'static str> {
    let address = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS_PORT));
    address
        .or_else(|_| text.parse())
        .map_err(|_| "write 192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53")
}

/// The store.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreArgs {
    /// Folder of the store, or s3://BUCKET/PREFIX
    ///
    /// Required, unless the settings file has `store`. Optional for `doctor`, and for options that read no store, such
    /// as `check --counts`.
    #[arg(long, value_name = "DIR", help_heading = heading::STORE)]
    pub(crate) store: Option<String>,
}

/// Access to AWS. Credentials and region come from the default chain of the SDK.
#[derive(Debug, Clone, Args)]
pub(crate) struct AwsArgs {
    /// Endpoint of AWS, for emulators and private endpoints
    ///
    /// The environment variable AWS_ENDPOINT_URL has the same effect. Credentials
    /// and region come from the default chain of the AWS SDK (environment, profile, role).
    #[arg(long, value_name = "URL", help_heading = heading::AWS)]
    pub(crate) endpoint_url: Option<String>,
}

/// Local cache of a store in S3.
#[cfg(feature = "analyze")]
#[derive(Debug, Clone, Args)]
pub(crate) struct CacheArgs {
    /// Local cache of a store in S3
    ///
    /// Keeps the downloaded parts of segments for later runs. Default: bouncewatch in the cache folder of the
    /// user; without one, a temporary folder.
    #[arg(long, value_name = "DIR", help_heading = heading::ADVANCED)]
    pub(crate) cache: Option<PathBuf>,

    /// Keep no local cache of a store in S3
    ///
    /// Downloads go to a temporary folder, which is removed at the end.
    #[arg(long, conflicts_with = "cache", help_heading = heading::ADVANCED)]
    pub(crate) no_cache: bool,
}

/// Destination of the result.
#[cfg(feature = "analyze")]
#[derive(Debug, Clone, Args)]
pub(crate) struct OutputArgs {
    /// Write to FILE instead of stdout
    ///
    /// The file is replaced only after the result is complete.
    #[arg(short, long, value_name = "FILE", help_heading = heading::OUTPUT)]
    pub(crate) output: Option<PathBuf>,
}

/// Format of the result, for commands with two formats.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct FormatArgs {
    /// Format: table or json
    #[arg(long, value_enum, default_value = "table", hide_possible_values = true, help_heading = heading::OUTPUT)]
    pub(crate) format: BasicFormat,
}

/// Text for people, or JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BasicFormat {
    Table,
    Json,
}

/// The service to evaluate.
#[cfg(feature = "analyze")]
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ServiceArgs {
    /// Service to evaluate: ses or workmail
    ///
    /// WorkMail: every bounce counts; attempts are recipients with a sent or a bounced message.
    #[arg(long, value_enum, default_value = "ses", hide_possible_values = true, help_heading = heading::WINDOWS)]
    pub(crate) service: ServiceArg,
}

#[cfg(feature = "analyze")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ServiceArg {
    Ses,
    Workmail,
}

/// The time by which an event belongs to a window.
#[cfg(feature = "analyze")]
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct BasisArgs {
    /// Count by time of event or send
    ///
    /// event: when the event happened. send: when its message was sent; the window then holds the messages that were
    /// sent in it, with their later bounces (a cohort). With send, the last 14 hours are incomplete, because bounces
    /// arrive late.
    #[arg(long, value_enum, default_value = "event", hide_possible_values = true, help_heading = heading::WINDOWS)]
    pub(crate) basis: BasisArg,
}

#[cfg(feature = "analyze")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BasisArg {
    Event,
    Send,
}

/// Start of the events that count.
#[cfg(feature = "analyze")]
#[derive(Debug, Clone, Args)]
pub(crate) struct CountedFromArgs {
    /// Ignore events before TIME
    ///
    /// For example the end of a review (RFC 3339 or a date). Default: `counted_from` in the settings file.
    #[arg(long, value_name = "TIME", help_heading = heading::WINDOWS)]
    pub(crate) counted_from: Option<String>,
}

/// Domains of the sender.
#[cfg(feature = "analyze")]
#[derive(Debug, Clone, Args)]
pub(crate) struct OwnDomainArgs {
    /// Exclude mail to your verified domain
    ///
    /// SES excludes mail to your own verified domains from its rates. Repeat the flag for several domains.
    #[arg(long, value_name = "DOMAIN", help_heading = heading::WINDOWS)]
    pub(crate) own_domain: Vec<String>,
}

/// The time of evaluation.
#[cfg(feature = "analyze")]
#[derive(Debug, Clone, Args)]
pub(crate) struct AsOfArgs {
    /// Evaluate as of TIME (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME", help_heading = heading::WINDOWS)]
    pub(crate) at: Option<String>,
}

/// Windows that end at the time of evaluation.
#[cfg(feature = "analyze")]
#[derive(Debug, Clone, Args)]
pub(crate) struct WindowArgs {
    /// Windows, e.g. 24h,7d,volume:10000
    ///
    /// Comma-separated: durations such as 24h or 7d, or volume:N for the last N attempts. Default: `windows` in the
    /// settings file, which is 24h,7d,volume:10000.
    #[arg(long, value_name = "WINDOWS", value_delimiter = ',', help_heading = heading::WINDOWS)]
    pub(crate) window: Vec<String>,
}

/// Groupings below account and region.
#[cfg(feature = "analyze")]
#[derive(Debug, Clone, Args)]
pub(crate) struct GroupingArgs {
    /// Group by columns or tag:NAME
    ///
    /// Account and region are always included. Columns: identity, configuration_set, tenant, provider,
    /// recipient_domain, source, source_domain, source_ip, outgoing_ip. Comma-separated columns form one grouping;
    /// repeat the flag for more groupings.
    #[arg(long, value_name = "COLUMNS", help_heading = heading::WINDOWS)]
    pub(crate) by: Vec<String>,
}
