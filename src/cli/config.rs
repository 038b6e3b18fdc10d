//! Arguments of `config`.

use clap::Subcommand;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
#[command(after_help = "\
Examples:
  bouncewatch config init > bouncewatch.toml
  bouncewatch config check --config bouncewatch.toml")]
pub(crate) enum ConfigCommand {
    /// Print the settings in effect
    #[command(after_help = "\
Examples:
  bouncewatch config show
  bouncewatch config show --config bouncewatch.toml")]
    Show,
    /// Check the settings file, and test each cause rule on its sample
    ///
    /// Reports every setting that a command would reject.
    ///
    /// Exit codes: 0 valid, 2 invalid.
    #[command(after_help = "\
Examples:
  bouncewatch config check --config bouncewatch.toml")]
    Check,
    /// Print a settings file with all defaults
    #[command(after_help = "\
Examples:
  bouncewatch config init > bouncewatch.toml")]
    Init,
}
