//! Runs the commands, one file per command: combines arguments with settings, calls a component, formats the result.

#[cfg(feature = "analyze")]
mod arguments;
#[cfg(all(feature = "analyze", feature = "doctor"))]
mod aws_rate;
#[cfg(feature = "analyze")]
mod causes;
#[cfg(feature = "analyze")]
mod check;
mod command_result;
mod config;
mod dashboards;
#[cfg(feature = "doctor")]
mod doctor;
mod explain;
#[cfg(feature = "analyze")]
mod forecast;
mod generate;
#[cfg(feature = "analyze")]
mod history;
mod ingest;
#[cfg(feature = "doctor")]
mod init;
mod intake;
#[cfg(feature = "lambda")]
mod lambda;
mod output_file;
#[cfg(feature = "analyze")]
mod page;
#[cfg(feature = "doctor")]
mod progress;
#[cfg(feature = "analyze")]
mod reconcile;
mod reference;
#[cfg(feature = "analyze")]
mod report;
mod schema;
#[cfg(feature = "analyze")]
mod serve;
#[cfg(all(feature = "analyze", feature = "doctor"))]
mod ses_error;
mod stdin_argument;
mod store;
mod store_access;
#[cfg(feature = "analyze")]
mod suppress;
mod times;
#[cfg(feature = "analyze")]
mod views;

use std::io::Write;
#[cfg(any(feature = "analyze", feature = "doctor"))]
use std::path::PathBuf;

use crate::cli::{Cli, Command};
use crate::config::Config;
#[cfg(any(feature = "analyze", feature = "doctor"))]
use crate::terminal::text_layout;

pub(crate) use command_result::CommandResult;
pub(crate) use output_file::write_file;

/// Runs a command at the time `now` (milliseconds since 1970) and returns its result. Results that may exceed memory
/// are written to `out` while they are computed.
///
/// # Errors
/// If the settings or arguments are invalid, or the command fails.
pub(crate) fn run(cli: Cli, now: i64, out: &mut dyn Write) -> anyhow::Result<CommandResult> {
    let config = Config::read(cli.config.as_deref())?;
    let verbosity = cli.verbosity();
    #[cfg(any(feature = "analyze", feature = "doctor"))]
    let layout = text_layout(cli.color, cli.command.output().map(PathBuf::as_path));
    match cli.command {
        Command::Ingest(args) => ingest::run(&args, &config, verbosity),
        #[cfg(feature = "analyze")]
        Command::Check(args) => check::run(&args, &config, now, layout),
        #[cfg(feature = "analyze")]
        Command::Report(args) => report::run(&args, &config, now, layout),
        #[cfg(feature = "analyze")]
        Command::Page(args) => page::run(&args, &config, now),
        #[cfg(feature = "analyze")]
        Command::Serve(args) => serve::run(&args, config),
        #[cfg(feature = "analyze")]
        Command::Reconcile(args) => reconcile::run(&args, &config, now, layout),
        #[cfg(feature = "analyze")]
        Command::Causes(args) => causes::run(&args, &config, now, layout),
        #[cfg(feature = "analyze")]
        Command::Forecast(args) => forecast::run(&args, &config, now, layout),
        #[cfg(feature = "analyze")]
        Command::History(args) => history::run(&args, &config, now, layout),
        #[cfg(feature = "analyze")]
        Command::Suppress(args) => suppress::run(&args, &config, now, verbosity),
        Command::Explain(args) => explain::run(&args, &config, out),
        #[cfg(feature = "doctor")]
        Command::Doctor(args) => doctor::run(&args, &config, now, verbosity, layout),
        #[cfg(feature = "analyze")]
        Command::Views(args) => views::run(&args, &config),
        #[cfg(feature = "doctor")]
        Command::Init(args) => init::run(&args, now, verbosity),
        #[cfg(feature = "lambda")]
        Command::Lambda(args) => lambda::run(&args),
        Command::Store(command) => store::run(command, &config, now),
        Command::Config(command) => config::run(command, &config),
        Command::Schema => Ok(schema::run()),
        Command::Dashboards(args) => dashboards::run(&args),
        Command::Completions { shell } => Ok(generate::completions(shell)),
        Command::Generate(args) => generate::run(&args),
    }
}
