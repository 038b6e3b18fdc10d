//! Arguments of `reconcile`.

use clap::Args;

use super::heading;
use super::shared_args::{
    AsOfArgs, AwsArgs, CacheArgs, CountedFromArgs, FormatArgs, GroupingArgs, OutputArgs,
    OwnDomainArgs, StoreArgs, WindowArgs,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bouncewatch reconcile --store ./store
  bouncewatch reconcile --store ./store --window volume:10000 --aws-rate 6.2%
  bouncewatch reconcile --store ./store --aws")]
pub(crate) struct ReconcileArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) window: WindowArgs,
    #[command(flatten)]
    pub(crate) grouping: GroupingArgs,
    #[command(flatten)]
    pub(crate) as_of: AsOfArgs,
    #[command(flatten)]
    pub(crate) counted_from: CountedFromArgs,
    #[command(flatten)]
    pub(crate) own_domains: OwnDomainArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Rate that AWS shows, e.g. 6.2% or 0.062
    ///
    /// The bounce rate in the SES console or in the reputation metrics of CloudWatch. The result shows the
    /// difference, and the step after which our rate is nearest to it.
    #[arg(long, value_name = "RATE", help_heading = heading::AWS)]
    pub(crate) aws_rate: Option<String>,
    /// Read the AWS rate from CloudWatch
    ///
    /// The newest Reputation.BounceRate in the region of the AWS settings. Needs cloudwatch:GetMetricData.
    #[cfg(feature = "doctor")]
    #[arg(long = "aws", conflicts_with = "aws_rate", help_heading = heading::AWS)]
    pub(crate) reads_aws_rate: bool,
    #[command(flatten)]
    pub(crate) aws: AwsArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}
