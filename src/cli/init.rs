//! Arguments of `init`.

use std::path::PathBuf;

use clap::Args;

use super::heading;
use super::shared_args::AwsArgs;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bouncewatch init
  bouncewatch init --configuration-set marketing --store ./store
  bouncewatch init --template > bouncewatch.yaml")]
pub(crate) struct InitArgs {
    /// Configuration set to connect
    ///
    /// Default: the default set of most identities, else the first set, else a new one.
    #[arg(long, value_name = "NAME", help_heading = heading::SOURCE)]
    pub(crate) configuration_set: Option<String>,
    /// Use a snapshot of `doctor --save`, without AWS
    ///
    /// `-` reads it from stdin.
    #[arg(long, value_name = "FILE", help_heading = heading::SOURCE)]
    pub(crate) from: Option<PathBuf>,
    /// Store [default: /var/lib/bouncewatch]
    ///
    /// A folder, or s3://BUCKET/PREFIX.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/bouncewatch", hide_default_value = true, help_heading = heading::STORE)]
    pub(crate) store: String,
    /// Settings file to write [default: bouncewatch.toml]
    ///
    /// An existing file is not changed.
    #[arg(long, value_name = "FILE", default_value = "bouncewatch.toml", hide_default_value = true, help_heading = heading::OUTPUT)]
    pub(crate) settings: PathBuf,
    /// Print the CloudFormation template, and nothing else
    #[arg(long, conflicts_with_all = ["configuration_set", "from"], help_heading = heading::OUTPUT)]
    pub(crate) template: bool,
    #[command(flatten)]
    pub(crate) aws: AwsArgs,
}
