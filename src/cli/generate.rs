//! Arguments of the hidden command `generate`, which packagers and `make` use.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    #[command(subcommand)]
    pub(crate) command: GenerateCommand,
    /// Folder for the generated files; it is created
    #[arg(long, value_name = "DIR", global = true, default_value = ".")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub(crate) enum GenerateCommand {
    /// Write one man page per command
    Man,
    /// Write completion scripts for bash, zsh and fish
    Completions,
    /// Write the pages of the user guide on the command line and the settings file
    Reference,
}
