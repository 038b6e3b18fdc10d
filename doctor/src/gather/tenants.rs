//! Tenants with their reputation.

use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::types::{ReputationEntity, ReputationEntityType, StatusRecord as SdkRecord};

use crate::gather::action::Action;
use crate::gather::call::{Caller, text, time};
use crate::gather::request::GatherRequest;
use crate::snapshot::part::Part;
use crate::snapshot::tenants::{Reputation, StatusRecord, Tenant};

pub(super) async fn tenants(
    client: &Client,
    request: &GatherRequest,
    caller: &mut Caller<'_>,
) -> Part<Vec<Tenant>> {
    let page = |token| client.list_tenants().page_size(100).set_next_token(token).send();
    let listed = caller
        .list(Action::SesListTenants, "", page, |response| {
            (response.tenants.unwrap_or_default(), response.next_token)
        })
        .await;
    let listed = match listed {
        Part::Value(listed) => listed,
        other => return other.map(|_| Vec::new()),
    };
    let mut tenants = Vec::new();
    for (at, entry) in listed.iter().enumerate() {
        let (name, arn) = (text(entry.tenant_name()), text(entry.tenant_arn()));
        let reputation = if at < request.details_max {
            let call = client
                .get_reputation_entity()
                .reputation_entity_type(ReputationEntityType::Resource)
                .reputation_entity_reference(&arn)
                .send();
            let response = caller.call(Action::SesGetReputationEntity, &name, call).await;
            response.map(|response| {
                response.reputation_entity().map_or_else(Reputation::default, reputation)
            })
        } else {
            Part::Skipped(format!("details are read for {} tenants", request.details_max))
        };
        tenants.push(Tenant { name, reputation });
    }
    Part::Value(tenants)
}

fn reputation(entity: &ReputationEntity) -> Reputation {
    Reputation {
        customer: entity.customer_managed_status().map(record),
        aws: entity.aws_ses_managed_status().map(record),
        aggregate: entity.sending_status_aggregate().map(|status| status.as_str().to_owned()),
        impact: entity.reputation_impact().map(|impact| impact.as_str().to_owned()),
        policy: entity.reputation_management_policy().map(str::to_owned),
    }
}

fn record(record: &SdkRecord) -> StatusRecord {
    StatusRecord {
        status: text(record.status()),
        cause: record.cause().map(str::to_owned),
        updated: record.last_updated_timestamp().and_then(time),
    }
}
