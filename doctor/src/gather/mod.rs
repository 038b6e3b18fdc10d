//! Calls AWS and returns a snapshot. Reads only; `deploy/policies/doctor.json` allows exactly the actions in [`Action`].
//!
//! A denied or failed call becomes a part of the snapshot and ends nothing. SES allows one call per second, so an account
//! with 40 identities takes almost a minute; `progress` is called before each call.

mod account;
mod action;
mod call;
mod identities;
mod keys;
mod metrics;
mod queues;
mod regions;
mod request;
mod ses_pace;
mod sets;
mod tenants;
mod topics;
mod workmail;

pub use action::Action;
pub use call::Progress;
pub use metrics::bounce_rate;
pub use request::{GatherError, GatherRequest, GatherScope};
pub use ses_pace::{SES_PACE, SesPace};

use aws_config::SdkConfig;
use bouncewatch_schemas::aws_error::is_credential_code;
use bouncewatch_schemas::printable::printable;

use crate::snapshot::Snapshot;
use crate::snapshot::part::{CallFailure, Part};
use call::Caller;
use regions::AwsResource;

/// Gathers a snapshot in the region of the settings.
///
/// # Errors
/// If the settings have no region, a queue is no queue, or AWS does not accept the credentials.
pub async fn gather(
    config: &SdkConfig,
    request: &GatherRequest,
    progress: &mut (dyn FnMut(&Progress<'_>) + Send),
) -> Result<Snapshot, GatherError> {
    let region = config.region().ok_or(GatherError::NoRegion)?.to_string();
    let mut snapshot = Snapshot::new(request.now, &region);
    for queue in &request.queues {
        let resource = AwsResource::of_queue(queue, &region);
        let resource = resource.ok_or_else(|| GatherError::Queue(printable(queue).into_owned()))?;
        snapshot.own_queues.push(resource.arn);
    }
    let caller = &mut Caller::new(request.pace, progress);
    snapshot.account_id = account_id(config, caller).await?;
    snapshot.own_sets.clone_from(&request.sets);

    let ses = aws_sdk_sesv2::Client::new(config);
    snapshot.account = account::account(&ses, caller).await;
    if request.scope == GatherScope::All {
        snapshot.send_statistics = account::send_statistics(config, caller).await;
    }
    snapshot.identities = identities::identities(config, &ses, request, caller).await;
    snapshot.set_names = sets::names(&ses, caller).await;
    snapshot.sets = sets::sets(&ses, &snapshot, request, caller).await;
    snapshot.topics = topics::topics(config, &snapshot, caller).await;
    snapshot.queues = queues::queues(config, &snapshot, caller).await;
    if request.scope == GatherScope::EventPath {
        return Ok(snapshot);
    }
    snapshot.keys = keys::keys(config, &snapshot, caller).await;
    snapshot.metrics = metrics::metrics(config, &snapshot, caller).await;
    snapshot.tenants = tenants::tenants(&ses, request, caller).await;
    snapshot.recommendations = account::recommendations(&ses, caller).await;
    snapshot.dedicated_ips = account::dedicated_ips(&ses, caller).await;
    snapshot.block_lists = account::block_lists(&ses, &snapshot.dedicated_ips, caller).await;
    snapshot.workmail = workmail::organizations(config, &region, caller).await;
    snapshot.receipt_rules = workmail::receipt_rules(config, &snapshot.workmail, caller).await;
    snapshot.recipient = match &request.recipient {
        Some(address) => account::recipient(&ses, address, caller).await,
        None => Part::Skipped("no recipient given (--to)".to_owned()),
    };
    Ok(snapshot)
}

/// The first call: it needs no permission, so it fails only without valid credentials or without a network.
async fn account_id(
    config: &SdkConfig,
    caller: &mut Caller<'_>,
) -> Result<Part<String>, GatherError> {
    let call = aws_sdk_sts::Client::new(config).get_caller_identity().send();
    let response = caller.call(Action::StsGetCallerIdentity, "", call).await;
    if let Part::Error(failure) = &response
        && is_about_credentials(&failure.message)
    {
        return Err(GatherError::Credentials(failure.message.clone()));
    }
    Ok(match response.map(|response| response.account) {
        Part::Value(None) => {
            let action = Action::StsGetCallerIdentity.as_str().to_owned();
            let message = "the response has no account".to_owned();
            Part::Error(CallFailure { action, message })
        }
        other => other.map(Option::unwrap_or_default),
    })
}

/// Whether the message of a failed call is about credentials: it has the code of such an error, or there are none.
fn is_about_credentials(message: &str) -> bool {
    message.split(' ').any(is_credential_code) || message.contains("credentials")
}
