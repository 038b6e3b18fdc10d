//! The command: parse, call a room, print, exit. The only printer and the only reader of the clock.

mod cause_rules;
mod cli;
mod config;
#[cfg(feature = "analyze")]
mod failure_args;
mod run;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use bouncewatch_schemas::printable::printable;
use clap::Parser;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry;

use cli::{Cli, Command, LogFormat};
use run::Answer;

/// Many threads allocate small things at the same time here: with the system's allocator a drain takes a tenth longer.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return told(&error),
    };
    log_to_stderr(&cli);
    let failed = cli.command.exit_code_of_failure();
    let quiet = cli.quiet > 0;
    let output = cli.command.output().filter(|path| path.as_os_str() != "-").cloned();
    match run::run(cli, now_ms(), &mut std::io::stdout().lock()) {
        Ok(answer) => print(answer, output.as_deref(), quiet, failed),
        Err(error) => {
            say(&format!("error: {}", with_causes(&error)));
            ExitCode::from(failed)
        }
    }
}

/// Help goes to stdout and is no failure; a misuse goes to stderr, with the code that the command has for it.
fn told(error: &clap::Error) -> ExitCode {
    if error.print().is_err() {
        return ExitCode::SUCCESS;
    }
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    let is_check = std::env::args().skip(1).any(|word| word == "check");
    ExitCode::from(if is_check { cli::EXIT_UNKNOWN } else { cli::EXIT_FAILED })
}

/// Data to stdout or to a file, talk to stderr, and the exit code as the answer.
fn print(answer: Answer, output: Option<&std::path::Path>, quiet: bool, failed: u8) -> ExitCode {
    let written = match output {
        Some(path) => run::write_file(path, &answer.data),
        None => std::io::stdout().write_all(&answer.data).and_then(|()| std::io::stdout().flush()),
    };
    // errors are told however quiet it shall be
    answer
        .notes
        .iter()
        .filter(|note| !quiet || note.starts_with("error"))
        .for_each(|note| say(note));
    match written {
        Ok(()) => {
            if let Err(error) = answer.after.run() {
                say(&format!("error: {}", with_causes(&error)));
            }
            ExitCode::from(answer.exit_code)
        }
        // who reads us has read enough
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::from(answer.exit_code)
        }
        Err(error) => {
            let place =
                output.map_or_else(|| "stdout".to_owned(), |path| path.display().to_string());
            say(&format!("error: could not write to {place}: {error}"));
            ExitCode::from(failed)
        }
    }
}

/// An error and what caused it. Many errors tell their cause themselves, and it is not told again.
fn with_causes(error: &anyhow::Error) -> String {
    let add = |told: String, cause: String| {
        if told.contains(&cause) { told } else { format!("{told}: {cause}") }
    };
    error.chain().map(ToString::to_string).reduce(add).unwrap_or_default()
}

/// A line to stderr; a closed stderr is no error.
fn say(line: &str) {
    for line in line.lines() {
        _ = writeln!(std::io::stderr(), "{}", printable(line));
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

fn log_to_stderr(cli: &Cli) {
    let level = match i16::from(cli.verbose) - i16::from(cli.quiet) {
        ..=-1 => tracing::Level::ERROR,
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        2 => tracing::Level::DEBUG,
        3.. => tracing::Level::TRACE,
    };
    // at their lower levels others tell whole answers, and with them messages and mailboxes (invariant I-8)
    let others = level.min(tracing::Level::WARN);
    // this is how the names of all our rooms begin
    let filter = Targets::new().with_default(others).with_target("bouncewatch", level);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal());
    match cli.log_format {
        LogFormat::Text => registry().with(lines.with_filter(filter)).init(),
        LogFormat::Json => registry().with(lines.json().with_filter(filter)).init(),
    }
}

impl Command {
    /// The exit code of this command when it cannot do its work.
    fn exit_code_of_failure(&self) -> u8 {
        match self {
            #[cfg(feature = "analyze")]
            Self::Check(_) => cli::EXIT_UNKNOWN,
            _ => cli::EXIT_FAILED,
        }
    }
}
