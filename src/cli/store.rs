//! Arguments of `store`.

use clap::{ArgGroup, Args, Subcommand};

use super::heading;
use super::shared_args::{AwsArgs, FormatArgs, StoreArgs};

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bouncewatch store stats --store ./store
  bouncewatch store compact --store ./store
  bouncewatch store quarantine list --store ./store")]
pub(crate) enum StoreCommand {
    /// Print the size and content of the store
    ///
    /// Segments, rows, first and last day, quarantined documents, and rows by kind of event and by channel. Stored rows
    /// include duplicates, which no rate counts twice.
    ///
    /// Exit codes: 0 done, 2 failed.
    #[command(after_help = "\
Examples:
  bouncewatch store stats --store ./store
  bouncewatch store stats --store s3://BUCKET/PREFIX --format json")]
    Stats(StoreReadArgs),
    /// Read every segment and report damaged ones
    ///
    /// Changes nothing. Restore a damaged segment from a backup, or move it to the folder `damaged` with `store repair`
    /// and ingest its day again from an archive.
    ///
    /// Exit codes: 0 every segment can be read, 1 a segment has a problem, 2 failed.
    #[command(after_help = "\
Examples:
  bouncewatch store verify --store ./store
  bouncewatch store verify --store s3://BUCKET/PREFIX --format json")]
    Verify(StoreReadArgs),
    /// Move damaged segments to the folder `damaged` of the store
    ///
    /// Reads every segment, as `store verify` does. The other segments can be used again. Commands that read the
    /// events print the days that are incomplete, until the files in `damaged` are deleted.
    ///
    /// Exit codes: 0 no segment is damaged, 1 segments were moved or cannot be used, 2 failed.
    #[command(after_help = "\
Examples:
  bouncewatch store repair --store ./store
  bouncewatch store repair --store s3://BUCKET/PREFIX --format json")]
    Repair(StoreReadArgs),
    /// List or replay documents that could not be read
    ///
    /// A document that is not an event, is damaged, or is not on the allow list is kept here with its reason.
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Merge the segments of each day and remove duplicates
    ///
    /// The consumer writes many small segments; fewer make all commands faster. Merges past days, and today if it has many
    /// segments. Numbers do not change. Replaced segments are removed by a later run, after the grace period. Safe to run
    /// at any time, next to consumers and readers.
    ///
    /// Exit codes: 0 done, 1 done, but a day was not merged (see the result), 2 failed.
    Compact(CompactArgs),
    /// Remove old events, quarantined documents or send counts
    ///
    /// Removes data for good; try with --dry-run first. At least one of --days, --quarantine-days and --send-count-days is
    /// required. --kind needs --days. Days are UTC.
    ///
    /// Exit codes: 0 done, 1 done, a segment could not be read and was not changed, 2 failed.
    Retain(RetainArgs),
    /// Remove an email address from the store
    ///
    /// Rows with this recipient or sender, or with the address in a text, are still counted, but without the address.
    /// Quarantined documents that contain it are deleted; content that is encoded inside a document (base64, gzip) is
    /// not searched. Hashed addresses are found with the key of the settings.
    ///
    /// Exit codes: 0 done, 1 rows arrived during the run (run it again) or a segment cannot be read, 2 failed.
    Forget(ForgetArgs),
}

#[derive(Debug, Args)]
pub(crate) struct StoreReadArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) output: FormatArgs,
    #[command(flatten)]
    pub(crate) aws: AwsArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bouncewatch store retain --store ./store --days 400 --dry-run
  bouncewatch store retain --store ./store --days 90 --kind open,click
  bouncewatch store retain --store ./store --quarantine-days 30",
    group = ArgGroup::new("ages")
        .args(["days", "quarantine_days", "send_count_days"])
        .required(true)
        .multiple(true)
)]
pub(crate) struct RetainArgs {
    /// Keep events of today and the N days before
    ///
    /// Older events are removed, by the day on which they happened.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) days: Option<i64>,
    /// Remove only these kinds of events
    ///
    /// Comma-separated, such as open,click. `bouncewatch store stats` lists the kinds that the store has.
    #[arg(long, value_name = "KINDS", value_delimiter = ',', requires = "days")]
    pub(crate) kind: Vec<String>,
    /// Keep quarantined documents of N days
    ///
    /// Those received today and on the N days before.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) quarantine_days: Option<i64>,
    /// Keep imported send counts of N days
    ///
    /// Those of intervals that end today or on the N days before.
    #[arg(long, value_name = "N", alias = "volume-days", value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) send_count_days: Option<i64>,
    /// Report what would be removed, remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) common: StoreReadArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bouncewatch store forget anna@example.org --store ./store
  bouncewatch store forget - --store ./store < address.txt")]
pub(crate) struct ForgetArgs {
    /// Email address, or - to read it from stdin
    ///
    /// With -, the address does not appear in the list of processes.
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: String,
    #[command(flatten)]
    pub(crate) common: StoreReadArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bouncewatch store compact --store ./store
  bouncewatch store compact --store ./store --until 2026-10-31 --dry-run")]
pub(crate) struct CompactArgs {
    /// Last day to compact, YYYY-MM-DD [default: all days]
    #[arg(long, value_name = "DAY")]
    pub(crate) until: Option<String>,
    /// Report what would be merged, change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) common: StoreReadArgs,
    /// Keep replaced segments for DURATION
    ///
    /// Counted from the merge. Readers may still have the segments open. Use 0s only if no other process reads the store.
    #[arg(long, value_name = "DURATION", default_value = "10m", help_heading = heading::ADVANCED)]
    pub(crate) grace: String,
}

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bouncewatch store quarantine list --store ./store
  bouncewatch store quarantine replay --store ./store")]
pub(crate) enum QuarantineCommand {
    /// List quarantined documents, without duplicates
    ///
    /// Prints time, reason, source and detail of each. The guide lists what to do about each reason (Troubleshooting).
    ///
    /// Exit codes: 0 done, 2 failed.
    List(QuarantineListArgs),
    /// Read quarantined documents again
    ///
    /// Run it after an upgrade, or after a change of [allow] or of permissions. Documents that can be read now become
    /// events; the others remain in quarantine.
    ///
    /// Exit codes: 0 the quarantine is empty, 1 documents remain, 2 failed.
    #[command(after_help = "\
Examples:
  bouncewatch store quarantine replay --store ./store
  bouncewatch store quarantine replay --store ./store --config bouncewatch.toml")]
    Replay(StoreReadArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bouncewatch store quarantine list --store ./store
  bouncewatch store quarantine list --store ./store --bodies --format json")]
pub(crate) struct QuarantineListArgs {
    /// Print the content of each document (contains addresses)
    #[arg(long)]
    pub(crate) bodies: bool,
    #[command(flatten)]
    pub(crate) common: StoreReadArgs,
}
