//! Arguments of `check`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::heading;
use super::shared_args::{
    AsOfArgs, AwsArgs, BasisArgs, CacheArgs, CountedFromArgs, GroupingArgs, OutputArgs,
    OwnDomainArgs, ServiceArgs, StoreArgs, WindowArgs,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bouncewatch check --store ./store
  bouncewatch check --store ./store --window 1h,24h --by identity,tag:campaign
  duckdb rates.db -csv -c 'FROM bw_counts' | bouncewatch check --counts -
  bouncewatch check --store ./store --alert-exec /usr/local/bin/send-alert")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Check counts of another engine; - for stdin
    ///
    /// CSV with a header, NDJSON or Parquet, one row per scope and window, as the view bw_counts of `bouncewatch views` has
    /// them. Windows and groupings are those of the rows. No store is read.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["window", "by", "own_domain", "deadline", "cache"],
        help_heading = heading::STORE
    )]
    pub(crate) counts: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) window: WindowArgs,
    #[command(flatten)]
    pub(crate) grouping: GroupingArgs,
    #[command(flatten)]
    pub(crate) as_of: AsOfArgs,
    #[command(flatten)]
    pub(crate) basis: BasisArgs,
    #[command(flatten)]
    pub(crate) counted_from: CountedFromArgs,
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
    #[command(flatten)]
    pub(crate) own_domains: OwnDomainArgs,
    /// Attempts below which a rate is low volume
    ///
    /// A rate on low volume reaches a level only if the lower bound of its 95 % interval is above the threshold; a
    /// group of --by also needs `minimum_count` bounces or complaints. Default: `minimum_volume` in the settings file,
    /// which is 1000.
    #[arg(long, value_name = "N", help_heading = heading::THRESHOLDS)]
    pub(crate) minimum_volume: Option<u64>,
    /// Maximum age of the newest event
    ///
    /// If no event is newer than DURATION, the feed is stale and the status is at least UNKNOWN (a WARNING or CRITICAL
    /// rate outranks it). Default: `stale_after` in the settings file, which is 24h.
    #[arg(long, value_name = "DURATION", help_heading = heading::THRESHOLDS)]
    pub(crate) stale_after: Option<String>,
    /// Time limit for the groups of --by
    ///
    /// If the rates of all groups of --by are not computed within DURATION, the run evaluates the account alone, sends
    /// its alerts, and reports that groups are missing; the status is at least UNKNOWN.
    #[arg(long, value_name = "DURATION", default_value = "2m", help_heading = heading::THRESHOLDS)]
    pub(crate) deadline: String,
    #[command(flatten)]
    pub(crate) alert: AlertArgs,
    #[cfg(feature = "doctor")]
    #[command(flatten)]
    pub(crate) brake: BrakeArgs,
    /// table, json, nagios or prometheus
    ///
    /// nagios: one line with performance data, as Nagios plugins print it. prometheus: metrics for the textfile
    /// collector of node_exporter.
    #[arg(long, value_enum, default_value = "table", hide_possible_values = true, help_heading = heading::OUTPUT)]
    pub(crate) format: CheckFormat,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) aws: AwsArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

/// Channels of alerts.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct AlertArgs {
    /// Publish new alerts to an SNS topic
    ///
    /// Sends an alert when it is raised, gets worse or is cleared, and reminders while it is active. If the topic failed in
    /// between, an alert that was raised and cleared meanwhile is sent too.
    #[arg(long, value_name = "ARN", help_heading = heading::ALERTS)]
    pub(crate) alert_sns: Option<String>,
    /// Run COMMAND with new alerts on stdin
    ///
    /// The alerts are JSON.
    #[arg(long, value_name = "COMMAND", alias = "exec", help_heading = heading::ALERTS)]
    pub(crate) alert_exec: Option<String>,
    /// Print only new alerts (for cron)
    ///
    /// Prints new alerts and the rates that they concern, or nothing if there are none. Printed alerts count as delivered.
    /// If another channel is set too, notes are printed only if the run sends an alert.
    #[arg(long, conflicts_with = "format", help_heading = heading::ALERTS)]
    pub(crate) alert_stdout: bool,
    /// Do not send alerts
    ///
    /// Takes precedence over the channels in the settings file.
    #[arg(long, conflicts_with_all = ["alert_sns", "alert_exec", "alert_stdout", "dry_run"], help_heading = heading::ALERTS)]
    pub(crate) no_alert: bool,
    /// Print alerts, send nothing
    ///
    /// Prints the alerts that would be sent, and the rates that they concern. Does not change the alert state.
    #[arg(long, conflicts_with = "format", help_heading = heading::ALERTS)]
    pub(crate) dry_run: bool,
    /// Send a test message to each channel
    ///
    /// Sends a message that reports no alert to the channels of arguments and settings, and prints which of them accepted it.
    /// Reads no store, and does not change the alert state. Exits 3 if a channel fails.
    #[arg(long, conflicts_with_all = ["format", "no_alert", "dry_run"], help_heading = heading::ALERTS)]
    pub(crate) test_alert: bool,
    /// File or s3:// object with the alert state
    ///
    /// It records which alerts each channel received. Default: alerts.json in the store.
    #[arg(long, value_name = "FILE", help_heading = heading::ALERTS)]
    pub(crate) alert_state: Option<PathBuf>,
}

/// Whether sending is paused while a rate is critical.
#[cfg(feature = "doctor")]
#[derive(Debug, Args)]
pub(crate) struct BrakeArgs {
    /// Pause sending while a rate is critical
    ///
    /// Pauses the configuration set or tenant in [brake] of the settings, if its rate is critical and significant in two
    /// consecutive checks, and the feed is not stale. --dry-run prints the call. `deploy/policies/brake.json` has the
    /// permissions.
    #[arg(long, conflicts_with = "counts", help_heading = heading::BRAKE)]
    pub(crate) brake: bool,
    /// Permit the brake to pause the whole account
    ///
    /// Needed if the target in [brake] of the settings is the account.
    #[arg(long, requires = "brake", help_heading = heading::BRAKE)]
    pub(crate) brake_account: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    Table,
    Json,
    Nagios,
    Prometheus,
}
