//! The command: parses arguments, runs a command, prints the result. Only this file prints and reads the clock.

mod cause_rules;
mod cli;
mod config;
mod exit_code;
mod run;
mod settings;
#[cfg(any(feature = "analyze", feature = "doctor"))]
mod terminal;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use bouncewatch_schemas::printable::printable;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry;

use cli::{Cli, LogFormat, Verbosity};
use run::CommandResult;

/// The consumer allocates many small objects on several threads; with the system allocator a drain takes 10 % longer.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(error) => return print_usage_error(&error),
    };
    log_to_stderr(&cli);
    std::panic::set_hook(Box::new(report_panic));
    let failure_code = cli.command.failure_code();
    let verbosity = cli.verbosity();
    let output = cli.command.output().cloned();
    match run::run(cli, now_ms(), &mut std::io::stdout().lock()) {
        Ok(result) => print(result, output.as_deref(), verbosity, failure_code),
        Err(error) => {
            print_message(&format!("error: {}", with_causes(&error)));
            ExitCode::from(failure_code)
        }
    }
}

/// Prints requested help to stdout (exit code 0), or a usage error to stderr.
fn print_usage_error(error: &clap::Error) -> ExitCode {
    let is_printed = error.print().is_ok();
    if is_printed && error.use_stderr() {
        ExitCode::from(cli::usage_error_code())
    } else {
        ExitCode::SUCCESS
    }
}

/// Writes the data to stdout or to a file, and the notes to stderr.
fn print(
    result: CommandResult,
    output: Option<&Path>,
    verbosity: Verbosity,
    failure_code: u8,
) -> ExitCode {
    let written = match output {
        Some(path) => run::write_file(path, |out| result.write(out)),
        None => result.write(&mut std::io::stdout()),
    };
    // errors are printed with --quiet too
    let is_shown = |note: &&String| verbosity == Verbosity::Normal || note.starts_with("error");
    result.notes.iter().filter(is_shown).for_each(|note| print_message(note));
    match written {
        Ok(()) => {
            if let Err(error) = result.after.run() {
                print_message(&format!("error: {}", with_causes(&error)));
            }
            ExitCode::from(result.exit_code)
        }
        // the reader closed the pipe; not an error
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::from(result.exit_code)
        }
        Err(error) => {
            let target =
                output.map_or_else(|| "stdout".to_owned(), |path| format!("`{}`", path.display()));
            print_message(&format!("error: could not write to {target}: {error}"));
            ExitCode::from(failure_code)
        }
    }
}

/// Returns an error followed by its causes. A cause that the message contains already is not repeated.
fn with_causes(error: &anyhow::Error) -> String {
    let append = |message: String, cause: String| {
        if message.contains(&cause) { message } else { format!("{message}: {cause}") }
    };
    error.chain().map(ToString::to_string).reduce(append).unwrap_or_default()
}

/// Prints a message to stderr. A closed stderr is not an error.
fn print_message(message: &str) {
    for line in message.lines() {
        _ = writeln!(std::io::stderr(), "{}", printable(line));
    }
}

/// Prints where the program failed. The text of a panic can contain an address (invariant I-8).
fn report_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map_or_else(String::new, |location| format!(" at {location}"));
    print_message(&format!("error: panicked{place}; this is a bug, please report it"));
}

#[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

fn log_to_stderr(cli: &Cli) {
    let steps = i16::from(cli.verbose) - i16::from(cli.quiet);
    let level = match steps + i16::from(cli.command.is_server()) {
        ..=-1 => tracing::Level::ERROR,
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        2 => tracing::Level::DEBUG,
        3.. => tracing::Level::TRACE,
    };
    // dependencies log complete responses at debug, with messages and email addresses (invariant I-8)
    let dependencies = level.min(tracing::Level::WARN);
    // a target is a prefix of module paths: cli::NAME selects all crates of this repository. The AWS crates log
    // responses in warnings too; their errors reach the user as errors of the command
    let filter = Targets::new()
        .with_default(dependencies)
        .with_target("aws_", tracing::Level::ERROR)
        .with_target(cli::NAME, level);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal());
    match cli.log_format {
        LogFormat::Text => registry().with(lines.with_filter(filter)).init(),
        LogFormat::Json => registry().with(lines.json().with_filter(filter)).init(),
    }
}
