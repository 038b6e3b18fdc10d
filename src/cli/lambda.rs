//! Arguments of `lambda`.

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  _HANDLER=check bouncewatch lambda
  bouncewatch lambda ingest")]
pub(crate) struct LambdaArgs {
    /// Job of the function: ingest, check or compact
    ///
    /// Default: the handler of the function (environment variable _HANDLER).
    #[arg(value_enum, hide_possible_values = true)]
    pub(crate) job: Option<LambdaJob>,
}

/// What a function does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LambdaJob {
    Ingest,
    Check,
    Compact,
}
