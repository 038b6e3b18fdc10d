//! `GetSendStatistics` of SES: what was sent in each quarter of an hour of the last two weeks, in one region of an account.
//! A quarter in which nothing was sent has no point (API reference and AWS CLI, `get-send-statistics`). It may be called
//! once a second.

use std::collections::BTreeMap;

use aws_config::{Region, SdkConfig};
use aws_sdk_ses::error::ProvideErrorMetadata;
use bouncewatch_schemas::volume::{Volume, VolumeCounts};

use crate::send_counts::VolumesError;
use crate::send_counts::intervals::POINT_MS;
use bouncewatch_store::aws::{chain, is_credential_code};

/// The call that tells the statistics.
const ASK: &str = "ses:GetSendStatistics";
/// The call that tells whose credentials they are; everybody is allowed it.
const WHOSE: &str = "sts:GetCallerIdentity";

/// The points that SES tells. Those without a time tell nothing, and are left out.
pub(super) async fn ask(
    aws: &SdkConfig,
    region: &str,
    account: Option<&str>,
    origin: &str,
    now: i64,
) -> Result<Vec<Volume>, VolumesError> {
    let aws = aws.to_builder().region(Region::new(region.to_owned())).build();
    let account = match account {
        Some(account) => account.to_owned(),
        None => whose(&aws, region).await?,
    };
    let answer = aws_sdk_ses::Client::new(&aws).get_send_statistics().send().await;
    let answer = answer.map_err(|error| failed(ASK, region, &error))?;
    let point = |point: &aws_sdk_ses::types::SendDataPoint| {
        let begin = point.timestamp()?.to_millis().ok()?;
        Some(Volume {
            begin,
            end: begin.checked_add(POINT_MS)?,
            account: Some(account.clone()),
            region: Some(region.to_owned()),
            scope: BTreeMap::new(),
            counts: VolumeCounts {
                attempts: point.delivery_attempts().max(0),
                bounces: Some(point.bounces().max(0)),
                complaints: Some(point.complaints().max(0)),
                rejects: Some(point.rejects().max(0)),
            },
            received_at: now,
            origin: origin.to_owned(),
        })
    };
    Ok(answer.send_data_points().iter().filter_map(point).collect())
}

/// The account of the credentials.
async fn whose(aws: &SdkConfig, region: &str) -> Result<String, VolumesError> {
    let answer = aws_sdk_sts::Client::new(aws).get_caller_identity().send().await;
    let answer = answer.map_err(|error| failed(WHOSE, region, &error))?;
    answer.account.ok_or_else(|| VolumesError::Failed {
        action: WHOSE,
        region: region.to_owned(),
        why: "it tells no account; give --account".to_owned(),
    })
}

fn failed<E>(action: &'static str, region: &str, error: &E) -> VolumesError
where
    E: ProvideErrorMetadata + std::error::Error,
{
    let region = region.to_owned();
    match error.code() {
        Some("AccessDenied" | "AccessDeniedException") => VolumesError::Denied { action, region },
        Some(code) => {
            let why = format!("{code} {}", error.message().unwrap_or_default()).trim().to_owned();
            if is_credential_code(code) {
                VolumesError::Credentials { action, region, why }
            } else {
                VolumesError::Failed { action, region, why }
            }
        }
        None => {
            let why = chain(error);
            if why.contains("credential") {
                let why = "no credentials were found".to_owned();
                VolumesError::Credentials { action, region, why }
            } else {
                VolumesError::Unreachable { action, region, why }
            }
        }
    }
}
