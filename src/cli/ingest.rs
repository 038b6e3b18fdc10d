//! Arguments of `ingest`.

use clap::{Args, ValueEnum};

use super::heading;
use super::shared_args::{AwsArgs, FormatArgs, StoreArgs};
use crate::settings::AddressPolicy;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bouncewatch ingest arn:aws:sqs:us-east-1:123456789012:ses --store ./store
  bouncewatch ingest arn:aws:sqs:us-east-1:123456789012:ses --store ./store \\
      --follow --metrics-addr 9464
  bouncewatch ingest s3://archive/ses/ --since 2026-11-01 --store ./store")]
pub(crate) struct IngestArgs {
    /// Queue, file, folder, glob, S3 prefix or log group
    ///
    /// Events:
    ///   SQS queue URL or ARN
    ///   file, folder or glob
    ///   s3://BUCKET/PREFIX
    ///   cloudwatch-logs:GROUP, or the ARN of a log group
    ///   stdin: -
    ///
    /// Send counts, for accounts without Send events:
    ///   ses-statistics:REGION
    ///   FILE.csv, or send-counts:FILE for any other file name
    #[arg(required = true, value_name = "SOURCE", verbatim_doc_comment)]
    pub(crate) sources: Vec<String>,
    /// Keep running; stop at SIGTERM or SIGINT
    #[arg(long, help_heading = heading::SOURCE)]
    pub(crate) follow: bool,
    /// Wait until no message is in flight elsewhere
    ///
    /// Without this flag, the run does not wait for messages in flight at another consumer, also at one that was killed:
    /// the summary has their number, and the exit code is 1.
    #[arg(long, conflicts_with = "follow", help_heading = heading::SOURCE)]
    pub(crate) wait_in_flight: bool,
    /// Skip older objects and log events
    ///
    /// RFC 3339 or a date. S3: read only objects modified at TIME or later. Log group: start at TIME on the first read;
    /// later runs continue where the last one stopped.
    #[arg(long, value_name = "TIME", help_heading = heading::SOURCE)]
    pub(crate) since: Option<String>,
    /// AWS account ID of imported send counts
    ///
    /// 12 digits, for imported send counts that do not name an account. Default for ses-statistics: the account of the
    /// credentials; for lines of a CSV file: unknown.
    #[arg(long, value_name = "ID", help_heading = heading::SOURCE)]
    pub(crate) account: Option<String>,
    /// Where unreadable messages go
    ///
    /// quarantine: store the message in the quarantine of the store and delete it from the queue. leave: leave it in
    /// the queue, which moves it to its dead-letter queue.
    #[arg(long, value_enum, default_value = "quarantine", hide_possible_values = true, help_heading = heading::SOURCE)]
    pub(crate) poison: PoisonArg,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Store addresses: keep, hash or drop
    ///
    /// keep: unchanged. hash: replaced by a hash with the key of the settings; the same address has the same hash in
    /// all events. drop: replaced by a hash that is the same only within one message. Default: `policy` in [addresses]
    /// of the settings file, which is keep.
    #[arg(long, value_enum, value_name = "POLICY", hide_possible_values = true, help_heading = heading::STORE)]
    pub(crate) addresses: Option<AddressPolicy>,
    #[command(flatten)]
    pub(crate) output: FormatArgs,
    /// Serve metrics and health over HTTP
    ///
    /// Paths: /metrics and /healthz. PORT listens on 127.0.0.1, IP:PORT on that address; port 0 selects a free port,
    /// which is logged.
    #[arg(long, value_name = "ADDR", help_heading = heading::OUTPUT)]
    pub(crate) metrics_addr: Option<String>,
    #[command(flatten)]
    pub(crate) aws: AwsArgs,
    /// Store events after at most SECONDS
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = clap::value_parser!(u64).range(1..=120), help_heading = heading::ADVANCED)]
    pub(crate) batch_age: u64,
    /// Visibility timeout of received messages
    ///
    /// In seconds. It is extended while messages are processed. It must be at least twice --batch-age. Default: 4 times
    /// --batch-age, at least 60.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(2..=43_200), help_heading = heading::ADVANCED)]
    pub(crate) visibility: Option<u64>,
    /// Threads that decode and write
    ///
    /// Each thread uses about 30 MB of memory. Default: the number of cores, at most 2.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64), help_heading = heading::ADVANCED)]
    pub(crate) workers: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PoisonArg {
    Quarantine,
    Leave,
}
