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
  bouncewatch suppress --release --diff ses-list.json -o delete.csv",
    after_long_help = "\
Examples:
  bouncewatch suppress --store ./store -o suppress.csv
  bouncewatch suppress --store ./store --format txt --diff current-list.txt
  bouncewatch suppress --store ./store --format ses -o ses.csv
  bouncewatch suppress --release --diff ses-list.json -o delete.csv

Import the list into SES (at most 100,000 addresses per job):
  aws s3 cp ses.csv s3://BUCKET/ses.csv
  aws sesv2 create-import-job \\
      --import-destination \\
      SuppressionListDestination={SuppressionListImportAction=PUT} \\
      --import-data-source S3Url=s3://BUCKET/ses.csv,DataFormat=CSV

Remove working addresses from SES's list (at most 10,000 addresses per job):
  aws sesv2 list-suppressed-destinations > ses-list.json
  bouncewatch suppress --release --diff ses-list.json -o delete.csv
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
    /// Soft failures that list an address
    ///
    /// A delivery resets the count. A full mailbox counts once per message, expired mail once per day.
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u16).range(1..=1_000), help_heading = heading::THRESHOLDS)]
    pub(crate) soft: u16,
    /// Days in which soft failures count
    ///
    /// After this period, an address that only failed softly leaves the list.
    #[arg(long, value_name = "DAYS", default_value = "30", value_parser = clap::value_parser!(i64).range(1..=3_660), help_heading = heading::THRESHOLDS)]
    pub(crate) soft_days: i64,
    /// Addresses of a provider incident
    ///
    /// If at least N addresses of one provider that received mail before bounce with the same text, and these are a fifth
    /// of the mail to it, `suppress` puts the addresses on hold until 3 days after the incident. Those that bounce again
    /// later are listed. 0: no incidents. [default: `mass_guard` of the settings]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000_000), help_heading = heading::THRESHOLDS)]
    pub(crate) mass_guard: Option<u32>,
    /// Print addresses to remove from the list of SES
    ///
    /// Those that received mail after they were listed, bounced in a provider incident, or had no further bounce in their
    /// hold; never after a complaint. With --diff, only addresses in FILE, the list of SES; otherwise those that the
    /// events show on it.
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
    /// csv: with reason and evidence, safe for spreadsheets. txt: one address per line. ses: for
    /// `aws sesv2 create-import-job` with DataFormat=CSV. Addresses on hold are only in csv and json.
    /// [default: csv; ses with --release]
    #[arg(long, value_enum, hide_possible_values = true, help_heading = heading::OUTPUT)]
    pub(crate) format: Option<SuppressFormat>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) aws: AwsArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SuppressFormat {
    Csv,
    Json,
    Txt,
    Ses,
}
