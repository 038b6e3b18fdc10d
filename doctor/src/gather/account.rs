//! The account of SES in the region: settings, counts, dedicated addresses, findings of VDM, a recipient.

use aws_config::SdkConfig;
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::operation::get_account::GetAccountOutput;
use aws_sdk_sesv2::types::{AccountDetails, FeatureStatus, VdmAttributes};

use crate::gather::action::Action;
use crate::gather::call::{Caller, text, time};
use crate::snapshot::account::{
    AccessRequest, Account, BlockListing, DedicatedIp, Recipient, Recommendation, SendPoint,
    SendQuota,
};
use crate::snapshot::part::Part;

pub(super) async fn account(client: &Client, caller: &mut Caller<'_>) -> Part<Account> {
    let response = caller.call(Action::SesGetAccount, "", client.get_account().send()).await;
    response.map(|response| converted(&response))
}

fn converted(response: &GetAccountOutput) -> Account {
    let details = response.details();
    let review = details.and_then(AccountDetails::review_details);
    let vdm = response.vdm_attributes();
    let is_on = |status: Option<&FeatureStatus>| status == Some(&FeatureStatus::Enabled);
    Account {
        production_access: response.production_access_enabled(),
        sending_enabled: response.sending_enabled(),
        enforcement_status: response.enforcement_status().map(str::to_owned),
        quota: response.send_quota().map(|quota| SendQuota {
            max_24_hours: quota.max24_hour_send(),
            max_per_second: quota.max_send_rate(),
            sent_24_hours: quota.sent_last24_hours(),
        }),
        suppressed_reasons: response.suppression_attributes().and_then(|attributes| {
            let reasons = attributes.suppressed_reasons.as_ref()?;
            Some(reasons.iter().map(|reason| reason.as_str().to_owned()).collect())
        }),
        access_request: review.map(|review| AccessRequest {
            status: text(review.status()),
            case_id: review.case_id().map(str::to_owned),
        }),
        additional_contacts: details
            .map(|details| details.additional_contact_email_addresses().len()),
        vdm_enabled: is_on(vdm.map(VdmAttributes::vdm_enabled)),
        engagement_metrics: is_on(
            vdm.and_then(|vdm| vdm.dashboard_attributes()?.engagement_metrics()),
        ),
        optimized_delivery: is_on(
            vdm.and_then(|vdm| vdm.guardian_attributes()?.optimized_shared_delivery()),
        ),
    }
}

pub(super) async fn send_statistics(
    config: &SdkConfig,
    caller: &mut Caller<'_>,
) -> Part<Vec<SendPoint>> {
    let call = aws_sdk_ses::Client::new(config).get_send_statistics().send();
    let response = caller.call(Action::SesGetSendStatistics, "", call).await;
    response.map(|response| {
        let points = response.send_data_points().iter();
        let mut points: Vec<SendPoint> = points
            .filter_map(|point| {
                Some(SendPoint {
                    at: time(point.timestamp()?)?,
                    attempts: point.delivery_attempts(),
                })
            })
            .collect();
        points.sort_by_key(|point| point.at);
        points
    })
}

pub(super) async fn recommendations(
    client: &Client,
    caller: &mut Caller<'_>,
) -> Part<Vec<Recommendation>> {
    let page = |token| client.list_recommendations().page_size(100).set_next_token(token).send();
    let found = caller
        .list(Action::SesListRecommendations, "", page, |response| {
            (response.recommendations.unwrap_or_default(), response.next_token)
        })
        .await;
    found.map(|found| {
        let found = found.iter().map(|entry| Recommendation {
            resource: text(entry.resource_arn()),
            kind: text(entry.r#type()),
            description: text(entry.description()),
            status: text(entry.status()),
            impact: text(entry.impact()),
            updated: entry.last_updated_timestamp().and_then(time),
        });
        found.collect()
    })
}

pub(super) async fn dedicated_ips(
    client: &Client,
    caller: &mut Caller<'_>,
) -> Part<Vec<DedicatedIp>> {
    let page = |token| client.get_dedicated_ips().page_size(1_000).set_next_token(token).send();
    let found = caller
        .list(Action::SesGetDedicatedIps, "", page, |response| {
            (response.dedicated_ips.unwrap_or_default(), response.next_token)
        })
        .await;
    found.map(|found| {
        let found = found.iter().map(|entry| DedicatedIp {
            ip: entry.ip().to_owned(),
            warmup_status: entry.warmup_status().as_str().to_owned(),
            warmup_percent: entry.warmup_percentage(),
        });
        found.collect()
    })
}

/// Entries of dedicated addresses in block lists. Asks only with a subscription of the dashboard.
pub(super) async fn block_lists(
    client: &Client,
    ips: &Part<Vec<DedicatedIp>>,
    caller: &mut Caller<'_>,
) -> Part<Vec<BlockListing>> {
    let ips: Vec<String> =
        ips.value().into_iter().flatten().map(|entry| entry.ip.clone()).collect();
    if ips.is_empty() {
        return Part::Skipped("no dedicated addresses".to_owned());
    }
    let call = client.get_deliverability_dashboard_options().send();
    match caller.call(Action::SesGetDeliverabilityDashboardOptions, "", call).await {
        Part::Value(options) if options.dashboard_enabled() => {}
        Part::Value(_) => {
            return Part::Skipped("no subscription of the deliverability dashboard".to_owned());
        }
        other => return other.map(|_| Vec::new()),
    }
    let call = client.get_blacklist_reports().set_blacklist_item_names(Some(ips)).send();
    let response = caller.call(Action::SesGetBlacklistReports, "", call).await;
    response.map(|response| {
        let mut listings: Vec<BlockListing> = response
            .blacklist_report()
            .iter()
            .flat_map(|(ip, entries)| entries.iter().map(move |entry| (ip, entry)))
            .map(|(ip, entry)| BlockListing {
                ip: ip.clone(),
                list: text(entry.rbl_name()),
                since: entry.listing_time().and_then(time),
            })
            .collect();
        listings.sort_by(|a, b| (&a.ip, &a.list).cmp(&(&b.ip, &b.list)));
        listings
    })
}

/// Looks up a recipient in the suppression list, as given and in lower case: the list is case-sensitive, sending is not.
pub(super) async fn recipient(
    client: &Client,
    address: &str,
    caller: &mut Caller<'_>,
) -> Part<Recipient> {
    let mut spellings = vec![address.to_owned(), address.to_lowercase()];
    spellings.dedup();
    let mut suppressed = Part::Value(None);
    for spelling in spellings {
        let call = client.get_suppressed_destination().email_address(spelling).send();
        let response = caller.call(Action::SesGetSuppressedDestination, address, call).await;
        suppressed = match response {
            Part::Absent(_) => Part::Value(None),
            other => other.map(|response| {
                response.suppressed_destination().map(|entry| entry.reason().as_str().to_owned())
            }),
        };
        if suppressed != Part::Value(None) {
            break;
        }
    }
    Part::Value(Recipient { address: address.to_owned(), suppressed })
}
