//! Arguments of the command line, one file per command. `run` combines them with the settings file.
//!
//! Doc comments of arguments are the help: the first paragraph is the line of `-h`, the others follow in `--help`.
#![allow(clippy::doc_markdown, reason = "these docs are printed as help")]
#![allow(rustdoc::broken_intra_doc_links, reason = "brackets in help are tables of the settings")]

#[cfg(feature = "analyze")]
mod causes;
#[cfg(feature = "analyze")]
mod check;
mod config;
mod dashboards;
#[cfg(feature = "doctor")]
mod doctor;
mod explain;
#[cfg(feature = "analyze")]
mod forecast;
mod generate;
mod heading;
#[cfg(feature = "analyze")]
mod history;
mod ingest;
#[cfg(feature = "doctor")]
mod init;
#[cfg(feature = "lambda")]
mod lambda;
#[cfg(feature = "analyze")]
mod page;
#[cfg(feature = "analyze")]
mod reconcile;
#[cfg(feature = "analyze")]
mod report;
mod root_help;
#[cfg(feature = "analyze")]
mod serve;
mod shared_args;
mod store;
#[cfg(feature = "analyze")]
mod suppress;
#[cfg(test)]
mod tests;
#[cfg(feature = "analyze")]
mod views;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

#[cfg(feature = "lambda")]
use crate::config::environment_variable;
use crate::exit_code;

#[cfg(feature = "analyze")]
pub(crate) use causes::{CausesArgs, CausesFormat};
#[cfg(feature = "analyze")]
pub(crate) use check::{AlertArgs, CheckArgs, CheckFormat};
pub(crate) use config::ConfigCommand;
pub(crate) use dashboards::{DashboardName, DashboardsArgs};
#[cfg(feature = "doctor")]
pub(crate) use doctor::DoctorArgs;
pub(crate) use explain::ExplainArgs;
#[cfg(feature = "analyze")]
pub(crate) use forecast::{ForecastArgs, ForecastFormat};
pub(crate) use generate::{GenerateArgs, GenerateCommand};
#[cfg(feature = "analyze")]
pub(crate) use history::HistoryArgs;
pub(crate) use ingest::{IngestArgs, PoisonArg};
#[cfg(feature = "doctor")]
pub(crate) use init::InitArgs;
#[cfg(feature = "lambda")]
pub(crate) use lambda::{LambdaArgs, LambdaJob};
#[cfg(feature = "analyze")]
pub(crate) use page::PageArgs;
#[cfg(feature = "analyze")]
pub(crate) use reconcile::ReconcileArgs;
#[cfg(feature = "analyze")]
pub(crate) use report::{ReportArgs, ReportFormat};
#[cfg(feature = "analyze")]
pub(crate) use serve::ServeArgs;
pub(crate) use shared_args::{AwsArgs, BasicFormat, StoreArgs};
#[cfg(feature = "analyze")]
pub(crate) use shared_args::{BasisArg, CacheArgs, ServiceArg};
pub(crate) use store::{
    CompactArgs, QuarantineCommand, QuarantineListArgs, RetainArgs, StoreCommand, StoreReadArgs,
};
#[cfg(feature = "analyze")]
pub(crate) use suppress::{SuppressArgs, SuppressFormat};
#[cfg(feature = "analyze")]
pub(crate) use views::{SqlDialect, ViewsArgs};

/// Name of the command.
pub(crate) const NAME: &str = "bouncewatch";

/// Watch bounce and complaint rates of Amazon SES and alert before AWS acts
///
/// bouncewatch ingests bounce, complaint and delivery events from SQS, S3, CloudWatch Logs and files into a table of
/// Parquet files. From this table it computes rolling bounce and complaint rates, compares them with the thresholds at
/// which SES reviews an account, and lists the domains, campaigns and causes that contribute most.
#[derive(Debug, Parser)]
#[command(
    name = NAME,
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    help_expected = true,
    disable_help_flag = true,
    disable_version_flag = true,
    after_help = "\
Examples:
  bouncewatch ingest arn:aws:sqs:us-east-1:123456789012:ses --store ./store
  bouncewatch check --store ./store
  bouncewatch report --by tag:campaign --top 5 --store ./store

`bouncewatch help COMMAND` prints the options and examples of a command."
)]
pub(crate) struct Cli {
    /// Settings file (TOML) [default: none]
    ///
    /// `bouncewatch config init` prints a file with all settings and their defaults.
    #[arg(long, global = true, value_name = "FILE", help_heading = heading::GLOBAL)]
    pub(crate) config: Option<PathBuf>,
    /// Print only results and errors
    ///
    /// Suppresses progress, the summary of `ingest`, notes and warnings. Documents that `ingest` quarantines are reported
    /// as errors.
    #[arg(short, long, global = true, overrides_with = "quiet", help_heading = heading::GLOBAL)]
    pub(crate) quiet: bool,
    /// Use color: auto, always or never
    ///
    /// auto: if stdout is a terminal. The environment variables NO_COLOR and CLICOLOR_FORCE apply.
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true,
        help_heading = heading::GLOBAL
    )]
    pub(crate) color: ColorChoice,
    /// Increase log verbosity (repeatable)
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = heading::GLOBAL)]
    pub(crate) verbose: u8,
    /// Log format on stderr: text or json
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value = "text",
        hide_possible_values = true,
        help_heading = heading::GLOBAL
    )]
    pub(crate) log_format: LogFormat,
    /// Print help (`--help` prints details)
    #[arg(short, long, global = true, action = ArgAction::Help, help_heading = heading::GLOBAL)]
    help: Option<bool>,
    /// Print version
    #[arg(short = 'V', long, action = ArgAction::Version, help_heading = heading::GLOBAL)]
    version: Option<bool>,
    /// Command to run
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Amount of messages on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// Errors only.
    Quiet,
    /// Progress, notes and errors.
    Normal,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ingest events into the store; exit when the source is drained
    ///
    /// A queue is read until it has no visible message, or returns only messages that were sent after the start of the
    /// run; a file or archive is read to its end. With --follow, the command keeps running. Messages in flight at another
    /// consumer are read with --wait-in-flight. A message is deleted from a queue only after its events are stored
    /// durably. Documents that cannot be read go to the quarantine of the store.
    ///
    /// Exit codes: 0 done; 1 done, attention needed (see the summary); 2 failed.
    Ingest(IngestArgs),
    /// Check rates against thresholds (exit code = status)
    ///
    /// Computes bounce and complaint rates for each window and grouping, compares them with the thresholds, and sends
    /// alerts if a channel is set.
    ///
    /// Exit codes (Nagios plugin convention): 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (no denominator, stale feed,
    /// failure). The worst status counts, in the order CRITICAL, WARNING, UNKNOWN, OK.
    #[cfg(feature = "analyze")]
    Check(CheckArgs),
    /// Report rates over time, by identity, campaign, domain, ...
    ///
    /// Exit codes: 0 done, 2 failed.
    #[cfg(feature = "analyze")]
    Report(ReportArgs),
    /// Write rates, causes and recommended actions as one HTML page
    ///
    /// The page contains the results of `check`, `report`, `causes`, `reconcile` and the counts of `suppress` at one
    /// time. It is one file without external resources, complete without JavaScript and style sheets, and contains no
    /// recipient address.
    ///
    /// Exit codes: those of `check`.
    #[cfg(feature = "analyze")]
    Page(PageArgs),
    /// Serve the page, check, report and metrics over HTTP
    ///
    /// Answers GET requests only: / (page), /check.json, /report.json, /report.csv, /metrics, /healthz. Query parameters
    /// have the meaning of the options with the same names: window, by, at, from, to, every, basis, service,
    /// counted-from, own-domain, top; for example /check.json?window=24h&by=identity. There is no login: every client that can connect can read the results.
    ///
    /// Exit codes: 0 stopped by a signal, 2 failed.
    #[cfg(feature = "analyze")]
    Serve(ServeArgs),
    /// Reconcile the bounce rate with the one AWS shows, step by step
    ///
    /// Starts with all bounces and subtracts what SES does not count: mail to the simulator and to your own domains,
    /// automatic replies, soft, undetermined and unclassified bounces, and mail stopped by the suppression list of your
    /// account or tenant.
    ///
    /// Exit codes: 0 done, 2 failed.
    #[cfg(feature = "analyze")]
    Reconcile(ReconcileArgs),
    /// Report why mail failed: causes, faults, recommended actions
    ///
    /// Failures are classified with the current rules, not with the cause stored at ingest. Delays are listed as an
    /// early warning.
    ///
    /// Exit codes: 0 done, 2 failed.
    #[cfg(feature = "analyze")]
    Causes(CausesArgs),
    /// Forecast the bounce rate of a list before it is sent
    ///
    /// Estimates for each address the probabilities of a hard bounce and of a complaint: from its own history or, for a new
    /// address, from the rates of first attempts at its domain, at its provider and in the account. Prints the expected bounces with a 90 %
    /// interval, and what the windows of the account become if the list is sent.
    ///
    /// Exit codes are the level that the account would reach: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (fewer attempts in
    /// the store than `minimum_volume`, or failure). With --backtest: 0 done.
    #[cfg(feature = "analyze")]
    Forecast(ForecastArgs),
    /// Print the events of one address or message, in order of time
    ///
    /// Lists sends, delays, bounces, deliveries, complaints, opens and clicks of SES and WorkMail, each once, and
    /// whether `suppress` lists the address, why and until when.
    ///
    /// Exit codes: 0 done, 1 nothing found, 2 failed.
    #[cfg(feature = "analyze")]
    History(HistoryArgs),
    /// Classify a bounce message: cause, fault, recommended action
    ///
    /// Exit codes: 0 every text is known, 1 at least one text is unknown, 2 failed.
    Explain(ExplainArgs),
    /// List addresses to suppress, with reason and evidence
    ///
    /// Lists recipients that do not exist, complained, or had several soft bounces. An address with deliveries on at least
    /// 3 of the 60 days before its first hard bounce is on hold for 3 days: do not mail it during the hold; it is listed
    /// if it bounces again later. An address is never listed because of a sender, content, policy or rate failure. A later
    /// delivery removes an address from the list (after a hard bounce: a delivery more than one hour later); a complaint
    /// stays.
    ///
    /// Exit codes: 0 done, 1 --push did not change all addresses, 2 failed.
    #[cfg(feature = "analyze")]
    Suppress(SuppressArgs),
    /// Find out why mail or events do not arrive (AWS and DNS)
    ///
    /// Reads the SES account, its identities, the path of events from SES to the queue, WorkMail, and the DNS records of
    /// the domains, and prints findings: the worst first, each with its evidence and what to do. With --store, also compares
    /// the stored events with the counts of SES; with --store and --to, also prints the last events of the address. Nothing is changed.
    /// `deploy/policies/doctor.json` has the permissions; a denied call is a finding.
    ///
    /// Exit codes: 0 no problem, 1 warning, 2 critical, 3 unknown or failed.
    #[cfg(feature = "doctor")]
    Doctor(DoctorArgs),
    /// Print the steps that connect an SES account
    ///
    /// Reads the account, its identities, configuration sets, topics and queues, and prints the commands for this account:
    /// the template with its parameters, default configuration sets, the first run, the cron line. Writes a settings file.
    /// Nothing is changed in AWS. `deploy/policies/doctor.json` has the permissions.
    ///
    /// Exit codes: 0 done, 1 something could not be read or needs a decision, 2 failed.
    #[cfg(feature = "doctor")]
    Init(InitArgs),
    /// Run a job as a function of AWS Lambda
    ///
    /// Answers invocations through the runtime API of AWS Lambda. The environment variables BOUNCEWATCH_STORE,
    /// BOUNCEWATCH_CONFIG, BOUNCEWATCH_ARGUMENTS and BOUNCEWATCH_RETAIN_ARGUMENTS are the settings of the function.
    #[cfg(feature = "lambda")]
    #[command(hide = true)]
    Lambda(LambdaArgs),
    /// Inspect and maintain the store
    ///
    /// The store is the folder or S3 prefix that `ingest` writes. A segment is one of its Parquet files. The quarantine
    /// holds documents that could not be read as events. Nothing is removed by itself: run `compact` and `retain` daily.
    #[command(subcommand)]
    Store(StoreCommand),
    /// Show or check the settings, or print all defaults
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the columns of the tables in the store
    ///
    /// Lists the event table, then the table of imported send counts: name, type, null, meaning.
    #[command(after_help = "\
Examples:
  bouncewatch schema
  bouncewatch schema | grep bounce")]
    Schema,
    /// Print SQL views that compute the events and rates of check
    ///
    /// DuckDB and Spark read the store themselves; these views select the events that `check` counts: they merge copies,
    /// fill in columns from other events of the same message, and exclude mail that SES does not count. The text depends on the columns of this
    /// version, the location of the store and the own domains.
    ///
    /// Exit codes: 0 done, 2 failed.
    #[cfg(feature = "analyze")]
    Views(ViewsArgs),
    /// Print Grafana dashboards and alert rules (Prometheus, Grafana)
    ///
    /// The files show the metrics of `check --format prometheus` and of `ingest --metrics-addr`. The page
    /// `Grafana and Prometheus` of the user guide has the steps.
    ///
    /// Exit codes: 0 done, 2 failed.
    Dashboards(DashboardsArgs),
    /// Print a completion script for a shell
    #[command(after_help = "\
Examples:
  bouncewatch completions bash > /etc/bash_completion.d/bouncewatch
  bouncewatch completions zsh > ~/.zfunc/_bouncewatch
  bouncewatch completions fish > ~/.config/fish/completions/bouncewatch.fish")]
    Completions {
        /// Shell
        shell: Shell,
    },
    /// Generate man pages, completions and reference pages
    #[command(hide = true)]
    Generate(GenerateArgs),
}

/// Returns the definition of the command line, with the grouped list of commands in the help of the root.
pub(crate) fn definition() -> clap::Command {
    root_help::group_commands(Cli::command())
}

/// Parses the arguments of the process.
///
/// # Errors
/// If the arguments are wrong, or if they request help or version.
pub(crate) fn parse() -> Result<Cli, clap::Error> {
    let mut definition = definition();
    let matches = definition.try_get_matches_from_mut(process_arguments())?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut definition))
}

/// Returns the arguments of the process. AWS Lambda starts its file `bootstrap` without arguments.
fn process_arguments() -> Vec<OsString> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    #[cfg(feature = "lambda")]
    if arguments.len() < 2 && environment_variable("AWS_LAMBDA_RUNTIME_API").is_some() {
        return vec![NAME.into(), "lambda".into()];
    }
    arguments
}

/// Returns the exit code for wrong arguments: that of the command they name, as far as they can be parsed.
pub(crate) fn usage_error_code() -> u8 {
    let matches = Cli::command().ignore_errors(true).try_get_matches_from(std::env::args_os());
    match matches.ok().as_ref().and_then(clap::ArgMatches::subcommand_name) {
        Some("check" | "page" | "doctor" | "forecast") => exit_code::UNKNOWN,
        _ => exit_code::FAILED,
    }
}

impl Cli {
    /// Parses arguments that do not come from the process; the first one is the name of the program.
    ///
    /// # Errors
    /// The message, if the arguments are wrong.
    #[cfg(any(feature = "analyze", feature = "lambda"))]
    pub(crate) fn parse_from_texts<'t>(
        arguments: impl Iterator<Item = &'t String>,
    ) -> Result<Self, String> {
        Self::try_parse_from(arguments).map_err(|error| error.to_string())
    }

    /// Returns the amount of messages on stderr.
    pub(crate) fn verbosity(&self) -> Verbosity {
        if self.quiet { Verbosity::Quiet } else { Verbosity::Normal }
    }
}

impl Command {
    /// Returns the file of `--output`; `None` if the result goes to stdout.
    pub(crate) fn output(&self) -> Option<&PathBuf> {
        let output: Option<&PathBuf> = match self {
            #[cfg(feature = "analyze")]
            Self::Check(args) => args.output.output.as_ref(),
            #[cfg(feature = "analyze")]
            Self::Report(args) => args.output.output.as_ref(),
            // the output of --each is a folder
            #[cfg(feature = "analyze")]
            Self::Page(args) if args.each.is_none() => args.output.output.as_ref(),
            #[cfg(feature = "analyze")]
            Self::Reconcile(args) => args.output.output.as_ref(),
            #[cfg(feature = "analyze")]
            Self::Causes(args) => args.output.output.as_ref(),
            #[cfg(feature = "analyze")]
            Self::History(args) => args.output.output.as_ref(),
            #[cfg(feature = "analyze")]
            Self::Forecast(args) => args.output.output.as_ref(),
            #[cfg(feature = "analyze")]
            Self::Suppress(args) => args.output.output.as_ref(),
            #[cfg(feature = "analyze")]
            Self::Views(args) => args.output.output.as_ref(),
            _ => None,
        };
        output.filter(|path| path.as_os_str() != "-")
    }

    /// Whether the command has no output but its log.
    pub(crate) fn is_server(&self) -> bool {
        match self {
            #[cfg(feature = "analyze")]
            Self::Serve(_) => true,
            #[cfg(feature = "lambda")]
            Self::Lambda(_) => true,
            _ => false,
        }
    }

    /// Returns the exit code of this command if it fails.
    pub(crate) fn failure_code(&self) -> u8 {
        match self {
            #[cfg(feature = "analyze")]
            Self::Check(_) | Self::Page(_) | Self::Forecast(_) => exit_code::UNKNOWN,
            #[cfg(feature = "doctor")]
            Self::Doctor(_) => exit_code::UNKNOWN,
            _ => exit_code::FAILED,
        }
    }
}
