//! The bounce rate that AWS shows: an argument, or the newest value of CloudWatch.

use anyhow::{Context, bail};
use bouncewatch_doctor::gather::bounce_rate;
use bouncewatch_doctor::snapshot::metrics::MetricPoint;
use bouncewatch_doctor::snapshot::part::Part;
use bouncewatch_doctor::snapshot::time::Time;
use bouncewatch_schemas::text::{duration, percent, utc_minute};
use bouncewatch_schemas::time::format_ms;
use bouncewatch_store::aws;

use super::store_access::block_on;
use crate::cli::AwsArgs;

/// Reads the newest bounce rate of CloudWatch before `at`.
///
/// # Errors
/// If CloudWatch cannot be read, or has no rate.
pub(super) fn of_cloudwatch(args: &AwsArgs, at: i64) -> anyhow::Result<MetricPoint> {
    let read = async {
        let config = aws::load(None, args.endpoint_url.as_deref()).await;
        config.region().context("no region\n  hint: set AWS_REGION")?;
        match bounce_rate(&config, Time(at)).await {
            Part::Value(point) => point.context(
                "CloudWatch has no Reputation.BounceRate of the last 7 days\n  hint: SES publishes it per region, after the first bounce; check AWS_REGION, or use --aws-rate",
            ),
            Part::Denied(action) => bail!("access to {action} is denied\n  hint: allow it, or use --aws-rate"),
            Part::Error(failure) => bail!("{} failed: {}", failure.action, failure.message),
            Part::Absent(_) | Part::Skipped(_) | Part::Missing => bail!("CloudWatch returned nothing"),
        }
    };
    block_on(read).context("--aws")
}

/// States the rate, its age, and why ours differs.
pub(super) fn note(point: MetricPoint, at: i64) -> String {
    format!(
        "note: CloudWatch has {} of {}, {} before the evaluation; AWS counts over a representative volume, not over hours, so the rates differ",
        percent(Some(point.value)),
        utc_minute(&format_ms(point.at.0)),
        duration(point.at.secs_until(Time(at)))
    )
}
