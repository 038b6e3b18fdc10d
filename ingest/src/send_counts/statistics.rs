//! Client for `GetSendStatistics` of SES: counts per 15 minutes of the last two weeks, for one
//! region of an account. Intervals without mail have no point. SES allows one call per second (SES
//! API reference, `GetSendStatistics`).

use std::collections::BTreeMap;

use aws_config::{Region, SdkConfig};
use aws_sdk_ses::error::ProvideErrorMetadata;
use aws_sdk_ses::types::SendDataPoint;
use bouncewatch_schemas::aws_error::is_credential_code;
use bouncewatch_schemas::send_counts::{SendCountRow, SendCountValues};
use bouncewatch_schemas::text::error_chain;

use crate::send_counts::error::SendCountsError;
use crate::send_counts::intervals::POINT_MS;

const GET_SEND_STATISTICS: &str = "ses:GetSendStatistics";
/// Needs no IAM permission.
const GET_CALLER_IDENTITY: &str = "sts:GetCallerIdentity";

/// Fetches the points of a region. Points without a timestamp are skipped.
pub(super) async fn fetch(
    aws: &SdkConfig,
    region: &str,
    account: Option<&str>,
    origin: &str,
    now: i64,
) -> Result<Vec<SendCountRow>, SendCountsError> {
    let aws = aws.to_builder().region(Region::new(region.to_owned())).build();
    let account = match account {
        Some(account) => account.to_owned(),
        None => account_of_credentials(&aws, region).await?,
    };
    let response = aws_sdk_ses::Client::new(&aws).get_send_statistics().send().await;
    let response = response.map_err(|error| call_error(GET_SEND_STATISTICS, region, &error))?;
    let row = |point: &SendDataPoint| {
        let begin = point.timestamp()?.to_millis().ok()?;
        Some(SendCountRow {
            begin,
            end: begin.checked_add(POINT_MS)?,
            account: Some(account.clone()),
            region: Some(region.to_owned()),
            scope: BTreeMap::new(),
            counts: SendCountValues {
                attempts: point.delivery_attempts().max(0),
                bounces: Some(point.bounces().max(0)),
                complaints: Some(point.complaints().max(0)),
                rejects: Some(point.rejects().max(0)),
            },
            received_at: now,
            origin: origin.to_owned(),
        })
    };
    Ok(response.send_data_points().iter().filter_map(row).collect())
}

/// Returns the account ID of the credentials.
async fn account_of_credentials(aws: &SdkConfig, region: &str) -> Result<String, SendCountsError> {
    let response = aws_sdk_sts::Client::new(aws).get_caller_identity().send().await;
    let response = response.map_err(|error| call_error(GET_CALLER_IDENTITY, region, &error))?;
    response.account.ok_or_else(|| SendCountsError::Failed {
        action: GET_CALLER_IDENTITY,
        region: region.to_owned(),
        why: "the response has no account; use --account".to_owned(),
    })
}

fn call_error<E>(action: &'static str, region: &str, error: &E) -> SendCountsError
where
    E: ProvideErrorMetadata + std::error::Error,
{
    let region = region.to_owned();
    match error.code() {
        Some("AccessDenied" | "AccessDeniedException") => {
            SendCountsError::Denied { action, region }
        }
        Some(code) => {
            let why = format!("{code} {}", error.message().unwrap_or_default()).trim().to_owned();
            if is_credential_code(code) {
                SendCountsError::Credentials { action, region, why }
            } else {
                SendCountsError::Failed { action, region, why }
            }
        }
        None => {
            let why = error_chain(error);
            if why.contains("credential") {
                let why = "no credentials found".to_owned();
                SendCountsError::Credentials { action, region, why }
            } else {
                SendCountsError::Unreachable { action, region, why }
            }
        }
    }
}
