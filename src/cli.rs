//! What is typed on the command line. What it means is settled in `run`, together with the configuration file.
#![allow(clippy::doc_markdown, reason = "these docs are printed as help")]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

#[cfg(feature = "analyze")]
use crate::failure_args::{CausesArgs, SuppressArgs};

/// Exit code of a command that is done, but something needs a look.
pub(crate) const EXIT_LOOK: u8 = 1;
/// Exit code of a command that failed or was misused.
pub(crate) const EXIT_FAILED: u8 = 2;
/// Exit code of `check` where nobody can say.
pub(crate) const EXIT_UNKNOWN: u8 = 3;

/// Keeps an Amazon SES account out of review: takes bounce, complaint and delivery events from SQS, S3 and files, keeps
/// them in one table of Parquet files, and tells rolling bounce and complaint rates before SES acts on them.
#[derive(Debug, Parser)]
#[command(
    name = "bouncewatch",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    help_expected = true
)]
pub(crate) struct Cli {
    /// Settings in TOML; `bouncewatch config init` prints one with all defaults
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Say less: no progress, no summary
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) quiet: u8,
    /// Say more; repeat for still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Form of the log on stderr
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Take events into the store: drain until empty, then exit
    ///
    /// Exit codes: 0 done, 1 done but something was set aside or left (see the summary), 2 failed.
    Ingest(IngestArgs),
    /// Tell the levels now; the exit code is the answer
    ///
    /// Exit codes, as of Nagios plugins: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (no denominator, a silent feed, a failure).
    #[cfg(feature = "analyze")]
    Check(CheckArgs),
    /// Tell rates over time and by scope
    #[cfg(feature = "analyze")]
    Report(ReportArgs),
    /// Tell step by step what of all bounces is in the rate, beside the figure that AWS shows
    ///
    /// From all bounces, what SES leaves out is taken away one after the other: mail to the simulator and to your own
    /// domains, automatic replies, soft bounces, what your suppression lists held back. Exit codes: 0 done, 2 failed.
    #[cfg(feature = "analyze")]
    Reconcile(ReconcileArgs),
    /// Tell why a mail failed, by what the server said: one text, lines on stdin, or an event of SES
    ///
    /// Exit codes: 0 every text is known, 1 at least one is not, 2 misused.
    Explain(ExplainArgs),
    /// Tell why mail failed: causes, whose fault, what to do; delays as an early warning
    ///
    /// Causes are told by the rules of now, whatever was stored when the events came. Exit codes: 0 done, 2 failed.
    #[cfg(feature = "analyze")]
    Causes(CausesArgs),
    /// List the addresses that are not to be mailed again, with reason and evidence
    ///
    /// Listed are addresses that do not work, that complained, or that failed softly again and again; never one for the
    /// fault of the sender, the content, a policy or a rate. An address comes off the list when other mail was delivered
    /// to it later (by more than an hour, after a hard bounce); a complaint stays. SES takes `--format ses` in
    /// `aws sesv2 create-import-job --import-destination SuppressionListDestination={SuppressionListImportAction=PUT}
    /// --import-data-source S3Url=s3://BUCKET/KEY,DataFormat=CSV`, 100,000 addresses at a time. Exit codes: 0 done, 2 failed.
    #[cfg(feature = "analyze")]
    Suppress(SuppressArgs),
    /// Look after the store
    #[command(subcommand)]
    Store(StoreCommand),
    /// Show the settings in force, or print a file with all defaults
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the columns of the event table and of the table of volumes, and what they mean
    Schema,
    /// Print the completions of a shell, to be put where it looks for them
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// The store, which most commands need.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreArg {
    /// Folder of the store, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "DIR")]
    pub(crate) store: Option<String>,
    /// Where AWS is, for emulators and private endpoints; `AWS_ENDPOINT_URL` works as well
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint_url: Option<String>,
}

/// Where a store in S3 is kept for answers about it.
#[cfg(feature = "analyze")]
#[derive(Debug, Clone, Args)]
pub(crate) struct CacheArg {
    /// Folder that keeps the segments of a store in S3, so that each is fetched once [default: bouncewatch in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
}

/// Where an answer goes.
#[derive(Debug, Clone, Args)]
pub(crate) struct OutputArg {
    /// Write to a file instead of stdout; the file appears when it is whole
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    /// SQS queue URL or ARN, file, folder, glob, s3://BUCKET/PREFIX, cloudwatch-logs:GROUP or its ARN, or - for stdin; volumes of an account without Send events: ses-statistics:REGION, FILE.csv or volumes:FILE
    #[arg(required = true, value_name = "SOURCE")]
    pub(crate) sources: Vec<String>,
    #[command(flatten)]
    pub(crate) store: StoreArg,
    /// Run on and take what comes, until SIGTERM or SIGINT
    #[arg(long)]
    pub(crate) follow: bool,
    /// Of objects in S3 only those modified since, of a log group that was never read only what was logged since (RFC 3339 or a date)
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Whose the volumes are that do not tell (12 digits): of statistics [default: that of the credentials], of lines of a CSV file without an account [default: unknown]
    #[arg(long, value_name = "ID")]
    pub(crate) account: Option<String>,
    /// Write a batch at the latest after so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = clap::value_parser!(u64).range(1..=120))]
    pub(crate) batch_age: u64,
    /// Hide a received message from others for so many seconds; it is hidden again while it is worked on [default: 4 times the batch age, at least 60]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(2..=43_200))]
    pub(crate) visibility: Option<u64>,
    /// What to do with a message that cannot be read: set it aside in the store, or leave it to the queue's dead-letter queue
    #[arg(long, value_enum, default_value = "quarantine")]
    pub(crate) poison: PoisonArg,
    /// What becomes of recipients' addresses: kept; replaced by a keyed hash, the same wherever they come; or replaced by a word that is the same only within a message [default: keep]
    #[arg(long, value_enum, value_name = "POLICY")]
    pub(crate) addresses: Option<AddressPolicy>,
    /// Threads that decode and write [default: one for each core, at most two]; each further one takes some 30 MB
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) workers: Option<u16>,
    /// Tell metrics (/metrics) and health (/healthz) over HTTP: a port, for this machine alone, or IP:PORT; port 0 takes one that is free and logs it
    #[arg(long, value_name = "ADDR")]
    pub(crate) metrics_addr: Option<String>,
    /// Form of the summary
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: SummaryFormat,
}

/// What becomes of recipients' addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AddressPolicy {
    Keep,
    Hash,
    Drop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PoisonArg {
    Quarantine,
    Leave,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SummaryFormat {
    Table,
    Json,
}

/// Whose mail a rate is about.
#[cfg(feature = "analyze")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ServiceWord {
    Ses,
    Workmail,
}

/// What counts in which window.
#[cfg(feature = "analyze")]
#[derive(Debug, Clone, Args)]
pub(crate) struct CountArgs {
    /// By which time an event belongs to a window: when it happened; or when its mail was sent, which follows what was sent in the window (the last 14 hours of it are not known yet)
    #[arg(long, value_enum, default_value = "event")]
    pub(crate) basis: BasisWord,
    /// Nothing before this moment counts, such as when a review ended (RFC 3339 or a date)
    #[arg(long, value_name = "TIME")]
    pub(crate) counted_from: Option<String>,
}

#[cfg(feature = "analyze")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BasisWord {
    Event,
    Send,
}

#[cfg(feature = "analyze")]
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) store: StoreArg,
    /// Whose mail: that of SES, or that of WorkMail, where every bounce counts, out of what was sent or bounced
    #[arg(long, value_enum, default_value = "ses")]
    pub(crate) service: ServiceWord,
    #[command(flatten)]
    pub(crate) cache: CacheArg,
    #[command(flatten)]
    pub(crate) counting: CountArgs,
    /// Windows that end now: durations such as 24h or 7d, or volume:N for the last N attempts [default: 24h,7d,volume:10000]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) window: Vec<String>,
    /// Cut account and region further by columns or tag:NAME; a list is one cut by all of them, repeat for several cuts
    #[arg(long, value_name = "LIST")]
    pub(crate) by: Vec<String>,
    /// Tell it as of this moment (RFC 3339) instead of now
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// Attempts below which a rate must be sure to be over a threshold [default: 1000]
    #[arg(long, value_name = "N")]
    pub(crate) minimum_volume: Option<u64>,
    /// Silence after which the feed is stale, such as 24h [default: 24h]
    #[arg(long, value_name = "DURATION")]
    pub(crate) stale_after: Option<String>,
    /// A domain of your own, verified with SES: mail to it is in no rate; repeat for several
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) own_domain: Vec<String>,
    #[command(flatten)]
    pub(crate) alert: AlertArgs,
    /// Form of the answer
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: CheckFormat,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}

/// Whom to tell what is new.
#[cfg(feature = "analyze")]
#[derive(Debug, Args)]
pub(crate) struct AlertArgs {
    /// Publish to this SNS topic what is new since the last run: raised, worsened, over
    #[arg(long, value_name = "ARN")]
    pub(crate) alert_sns: Option<String>,
    /// Run this command with what is new as JSON on its stdin
    #[arg(long, value_name = "COMMAND", visible_alias = "exec")]
    pub(crate) alert_exec: Option<String>,
    /// Print what is new instead of the answer, and nothing where nothing is: for cron, which mails it
    #[arg(long, conflicts_with = "format")]
    pub(crate) alert_stdout: bool,
    /// File that remembers what was told [default: alerts.json in the folder of the store]
    #[arg(long, value_name = "FILE")]
    pub(crate) alert_state: Option<PathBuf>,
    /// Tell nobody, whatever the settings say
    #[arg(long, conflicts_with_all = ["alert_sns", "alert_exec", "alert_stdout", "dry_run"])]
    pub(crate) no_alert: bool,
    /// Print what would be told instead of the answer, and tell and remember nothing
    #[arg(long, conflicts_with = "format")]
    pub(crate) dry_run: bool,
}

#[cfg(feature = "analyze")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    Table,
    Json,
    /// One line with performance data, as Nagios plugins print it
    Nagios,
    /// Metrics for the textfile collector of node_exporter
    Prometheus,
}

#[cfg(feature = "analyze")]
#[derive(Debug, Args)]
pub(crate) struct ReconcileArgs {
    #[command(flatten)]
    pub(crate) store: StoreArg,
    #[command(flatten)]
    pub(crate) cache: CacheArg,
    /// Windows that end now: durations such as 24h or 7d, or volume:N [default: 24h,7d,volume:10000]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) window: Vec<String>,
    /// Cut account and region further by columns or tag:NAME; a list is one cut by all of them, repeat for several cuts
    #[arg(long, value_name = "LIST")]
    pub(crate) by: Vec<String>,
    /// Tell it as of this moment (RFC 3339) instead of now
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// Nothing before this moment counts, such as when a review ended (RFC 3339 or a date)
    #[arg(long, value_name = "TIME")]
    pub(crate) counted_from: Option<String>,
    /// The bounce rate that AWS shows (console, reputation metrics), such as 6.2% or 0.062
    #[arg(long, value_name = "RATE")]
    pub(crate) aws_rate: Option<String>,
    /// A domain of your own, verified with SES: mail to it is in no rate; repeat for several
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) own_domain: Vec<String>,
    /// Form of the answer
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: SummaryFormat,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}

#[cfg(feature = "analyze")]
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    pub(crate) store: StoreArg,
    /// Whose mail: that of SES, or that of WorkMail, where every bounce counts, out of what was sent or bounced
    #[arg(long, value_enum, default_value = "ses")]
    pub(crate) service: ServiceWord,
    #[command(flatten)]
    pub(crate) cache: CacheArg,
    #[command(flatten)]
    pub(crate) counting: CountArgs,
    /// Begin of the span (RFC 3339 or a date) [default: 7 days before its end]
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// End of the span (RFC 3339 or a date) [default: now]
    #[arg(long, value_name = "TIME", visible_alias = "at")]
    pub(crate) to: Option<String>,
    /// A window ends every so often
    #[arg(long, value_name = "DURATION", default_value = "1d")]
    pub(crate) every: String,
    /// Windows: durations such as 24h or 7d, or volume:N
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "24h")]
    pub(crate) window: Vec<String>,
    /// Cut account and region further by columns or tag:NAME; a list is one cut by all of them, repeat for several cuts
    #[arg(long, value_name = "LIST")]
    pub(crate) by: Vec<String>,
    /// Of each cut only the N scopes with most bounces
    #[arg(long, value_name = "N")]
    pub(crate) top: Option<usize>,
    /// A domain of your own, verified with SES: mail to it is in no rate; repeat for several
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) own_domain: Vec<String>,
    /// Form of the answer
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: ReportFormat,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}

#[cfg(feature = "analyze")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Table,
    Json,
    Csv,
    Parquet,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// What the server said, such as "550 5.1.1 user unknown", or a JSON event of SES, SNS-wrapped or not; - or nothing reads lines, or events, from stdin
    #[arg(value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) text: Option<String>,
    /// Form of the answer; of JSON one object a line
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: SummaryFormat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Count what the store holds
    Stats(StoreFormatArgs),
    /// Read every segment and tell what cannot be trusted; exit code 1 if anything
    Verify(StoreFormatArgs),
    /// What could not be read, and trying again
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Make one segment of the many of a day, with copies of events merged; changes no number
    ///
    /// Days that are over, and today when it has many segments. What was replaced is removed by a later run, when readers
    /// are done with it. Safe at any time, beside consumers and readers. Exit codes: 0 done, 1 done but a day was left
    /// (see the answer), 2 failed.
    Compact(CompactArgs),
    /// Remove what is older than it shall be kept
    ///
    /// Exit codes: 0 done, 1 done but something cannot be read and was not touched, 2 failed.
    Retain(RetainArgs),
    /// Take an address out of the store; its rows stay for the numbers, without it
    ///
    /// Rows whose recipient or sender it is, or whose texts hold it, lose it, and bodies in quarantine that hold it are
    /// removed. What is packed inside a body (base64, gzip) is not looked into. Hashed addresses are found with the key
    /// of the settings. Exit codes: 0 done, 1 some came while this ran (run it again) or cannot be read, 2 failed.
    Forget(ForgetArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RetainArgs {
    #[command(flatten)]
    pub(crate) common: StoreFormatArgs,
    /// Keep the events of today and so many days before
    #[arg(long, value_name = "N", required_unless_present_any = ["quarantine_days", "volume_days"], value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) days: Option<i64>,
    /// Remove only events of these kinds, such as open,click
    #[arg(long, value_name = "LIST", value_delimiter = ',', requires = "days")]
    pub(crate) kind: Vec<String>,
    /// Keep the bodies in quarantine of today and so many days before, by the day on which they came
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) quarantine_days: Option<i64>,
    /// Keep the volumes of today and so many days before, by the day on which their span ends
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) volume_days: Option<i64>,
    /// Tell what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ForgetArgs {
    #[command(flatten)]
    pub(crate) common: StoreFormatArgs,
    /// The address, or - to read it from stdin, where nobody sees it in the list of processes
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: String,
}

#[derive(Debug, Args)]
pub(crate) struct CompactArgs {
    #[command(flatten)]
    pub(crate) common: StoreFormatArgs,
    /// How old what replaces a segment must be before the segment is removed; 0s where nobody else reads the files
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    pub(crate) grace: String,
    /// The last day that is compacted, YYYY-MM-DD
    #[arg(long, value_name = "DAY")]
    pub(crate) until: Option<String>,
    /// Tell what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// List what is in quarantine, each body once
    List(QuarantineListArgs),
    /// Read it again: what can be read now becomes events, the rest stays; exit code 1 if anything stays
    Replay(StoreFormatArgs),
}

#[derive(Debug, Args)]
pub(crate) struct StoreFormatArgs {
    #[command(flatten)]
    pub(crate) store: StoreArg,
    /// Form of the answer
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: SummaryFormat,
}

#[derive(Debug, Args)]
pub(crate) struct QuarantineListArgs {
    #[command(flatten)]
    pub(crate) common: StoreFormatArgs,
    /// Show the bodies too; they hold addresses
    #[arg(long)]
    pub(crate) bodies: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show the settings in force
    Show,
    /// Check the settings, and try each cause rule on its own sample
    Check,
    /// Print a settings file with all defaults
    Init,
}

impl Command {
    /// The file that the answer shall go to.
    pub(crate) fn output(&self) -> Option<&PathBuf> {
        match self {
            #[cfg(feature = "analyze")]
            Self::Check(args) => args.output.output.as_ref(),
            #[cfg(feature = "analyze")]
            Self::Report(args) => args.output.output.as_ref(),
            #[cfg(feature = "analyze")]
            Self::Reconcile(args) => args.output.output.as_ref(),
            #[cfg(feature = "analyze")]
            Self::Causes(args) => args.output.output.as_ref(),
            #[cfg(feature = "analyze")]
            Self::Suppress(args) => args.output.output.as_ref(),
            _ => None,
        }
    }
}
