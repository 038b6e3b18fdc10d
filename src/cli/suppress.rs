//! Arguments of `suppress`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::heading;
use super::shared_args::{AsOfArgs, AwsArgs, CacheArgs, OutputArgs, StoreArgs};

#[derive(Debug, Args)]
#[command(
    after_help = "\
Examples:
  bouncewatch suppress --store ./store -o suppress.csv
  bouncewatch suppress --store ./store --format txt --diff current-list.txt
  bouncewatch suppress --store ./store --format ses -o ses.csv
  bouncewatch suppress --store ./store --push --dry-run",
    after_long_help = "\
Examples:
  bouncewatch suppress --store ./store -o suppress.csv
  bouncewatch suppress --store ./store --format txt --diff current-list.txt
  bouncewatch suppress --store ./store --format ses -o ses.csv
  bouncewatch suppress --store ./store --push --dry-run
  bouncewatch suppress --store ./store --release --diff ses-list.json -o delete.csv

Import the list into SES (at most 100,000 addresses per job):
  aws s3 cp ses.csv s3://BUCKET/ses.csv
  aws sesv2 create-import-job \\
      --import-destination \\
      SuppressionListDestination={SuppressionListImportAction=PUT} \\
      --import-data-source S3Url=s3://BUCKET/ses.csv,DataFormat=CSV

Remove working addresses from SES's list (at most 10,000 addresses per job):
  aws sesv2 list-suppressed-destinations > ses-list.json
  bouncewatch suppress --store ./store --release --diff ses-list.json -o delete.csv
  aws s3 cp delete.csv s3://BUCKET/delete.csv
  aws sesv2 create-import-job \\
      --import-destination \\
      SuppressionListDestination={SuppressionListImportAction=DELETE} \\
      --import-data-source S3Url=s3://BUCKET/delete.csv,DataFormat=CSV"
)]
pub(crate) struct SuppressArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) as_of: AsOfArgs,
    /// List an address after N soft bounces
    ///
    /// A delivery resets the count. A full mailbox counts once per message, expired mail once per day.
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u16).range(1..=1_000), help_heading = heading::THRESHOLDS)]
    pub(crate) soft: u16,
    /// Count soft bounces of the last DAYS days
    ///
    /// After this period, an address that has only soft bounces is removed from the list.
    #[arg(long, value_name = "DAYS", default_value = "30", value_parser = clap::value_parser!(i64).range(1..=3_660), help_heading = heading::THRESHOLDS)]
    pub(crate) soft_days: i64,
    /// Minimum number of addresses in a provider incident
    ///
    /// A provider incident: within hours, at least N addresses bounce at one provider with the same text although they
    /// received mail earlier, and these bounces are at least 20 % of the bounces and deliveries of the provider. The
    /// addresses are on hold until 3 days after the incident, and are listed if they bounce again later. 0: no incidents. [default:
    /// `mass_guard` of the settings]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000_000), help_heading = heading::THRESHOLDS)]
    pub(crate) mass_guard: Option<u32>,
    /// Print addresses to remove from SES's suppression list
    ///
    /// An address is released if it received mail later, if it bounced only in a provider incident, or if its hold
    /// ended without a bounce; never after a complaint. With --pull or --diff: only addresses on that list. Without:
    /// addresses that SES has put on the account-level list, according to the events.
    #[arg(long, help_heading = heading::OUTPUT)]
    pub(crate) release: bool,
    /// Compare with an existing list
    ///
    /// Prints the addresses that FILE lacks, and those in FILE without evidence. FILE is text, CSV with the address in
    /// the first column, or the JSON output of `aws sesv2 list-suppressed-destinations`.
    #[arg(long, value_name = "FILE", help_heading = heading::OUTPUT)]
    pub(crate) diff: Option<PathBuf>,
    /// Format: csv, json, txt or ses
    ///
    /// csv: with reason and evidence, safe for spreadsheets. txt: one address per line; with a list to
    /// compare with, "+ " before addresses to add, "- " before those without evidence. ses: for `aws sesv2 create-import-job` with DataFormat=CSV. Addresses on hold are only in csv and json.
    /// [default: csv; ses with --release]
    #[arg(long, value_enum, hide_possible_values = true, help_heading = heading::OUTPUT)]
    pub(crate) format: Option<SuppressFormat>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[cfg(feature = "doctor")]
    #[command(flatten)]
    pub(crate) ses_list: SesListArgs,
    #[command(flatten)]
    pub(crate) aws: AwsArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

/// The account-level suppression list of SES, by API.
#[cfg(feature = "doctor")]
#[derive(Debug, Args)]
pub(crate) struct SesListArgs {
    /// Compare with the list of SES
    ///
    /// Like --diff, with the account-level suppression list of the region instead of a file.
    #[arg(long, conflicts_with = "diff", help_heading = heading::SES_LIST)]
    pub(crate) pull: bool,
    /// Add the missing addresses to the list of SES
    ///
    /// Reads the list, prints the addresses that it lacks, and adds them, one per second. With --release, removes the
    /// addresses that can leave the list. Addresses on hold are never added. `deploy/policies/suppression.json` has the
    /// permissions.
    #[arg(long, conflicts_with = "diff", help_heading = heading::SES_LIST)]
    pub(crate) push: bool,
    /// Print what --push changes, change nothing
    #[arg(long, requires = "push", help_heading = heading::SES_LIST)]
    pub(crate) dry_run: bool,
    /// Change at most N addresses
    ///
    /// If there are more, nothing is changed and the exit code is 1. Find the reason for the high number first.
    #[arg(long, value_name = "N", default_value = "1000", requires = "push", help_heading = heading::SES_LIST)]
    pub(crate) push_max: usize,
    /// Bucket for imports of many addresses
    ///
    /// If there are more than 300 addresses, --push writes a file to this URL (s3://BUCKET/PREFIX), lets SES import it,
    /// and removes it. The policy of the bucket must let ses.amazonaws.com read it. SES imports no file while the account
    /// is in the sandbox.
    #[arg(long, value_name = "URL", requires = "push", help_heading = heading::SES_LIST)]
    pub(crate) import_bucket: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SuppressFormat {
    Csv,
    Json,
    Txt,
    Ses,
}
