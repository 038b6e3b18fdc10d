//! Configuration sets with their event destinations.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::operation::get_configuration_set::GetConfigurationSetOutput;
use aws_sdk_sesv2::types::{DeliveryOptions, EventDestination, SendingOptions, TlsPolicy};

use crate::gather::action::Action;
use crate::gather::call::Caller;
use crate::gather::request::GatherRequest;
use crate::snapshot::Snapshot;
use crate::snapshot::event_feed::{ConfigurationSet, Destination, SetOptions, Target};
use crate::snapshot::part::Part;

pub(super) async fn names(client: &Client, caller: &mut Caller<'_>) -> Part<Vec<String>> {
    let page =
        |token| client.list_configuration_sets().page_size(1_000).set_next_token(token).send();
    caller
        .list(Action::SesListConfigurationSets, "", page, |response| {
            (response.configuration_sets.unwrap_or_default(), response.next_token)
        })
        .await
}

/// Reads default sets and the sets of the request, then others up to the limit.
pub(super) async fn sets(
    client: &Client,
    snapshot: &Snapshot,
    request: &GatherRequest,
    caller: &mut Caller<'_>,
) -> BTreeMap<String, ConfigurationSet> {
    let identities = snapshot.identities.value().into_iter().flatten();
    let defaults =
        identities.filter_map(|identity| identity.details.value()?.configuration_set.as_ref());
    let needed: BTreeSet<&String> = defaults.chain(&request.sets).collect();
    let others = snapshot.set_names.value().into_iter().flatten();
    let others = others.filter(|name| !needed.contains(name)).take(request.details_max);
    let mut found = BTreeMap::new();
    for name in needed.iter().copied().chain(others) {
        let call = client.get_configuration_set().configuration_set_name(name).send();
        let options = caller.call(Action::SesGetConfigurationSet, name, call).await;
        let options = options.map(|response| options_of(&response));
        // a set that does not exist has no destinations
        let destinations = if let Part::Absent(action) = &options {
            Part::Absent(action.clone())
        } else {
            let call = client
                .get_configuration_set_event_destinations()
                .configuration_set_name(name)
                .send();
            let action = Action::SesGetConfigurationSetEventDestinations;
            let response = caller.call(action, name, call).await;
            response.map(|response| response.event_destinations().iter().map(destination).collect())
        };
        found.insert(name.clone(), ConfigurationSet { options, destinations });
    }
    found
}

fn options_of(response: &GetConfigurationSetOutput) -> SetOptions {
    let delivery = response.delivery_options();
    SetOptions {
        // without options a set sends
        sending_enabled: response.sending_options().is_none_or(SendingOptions::sending_enabled),
        tls_required: delivery.and_then(DeliveryOptions::tls_policy) == Some(&TlsPolicy::Require),
        max_delivery_secs: delivery.and_then(DeliveryOptions::max_delivery_seconds),
        suppressed_reasons: response.suppression_options().and_then(|options| {
            let reasons = options.suppressed_reasons.as_ref()?;
            Some(reasons.iter().map(|reason| reason.as_str().to_owned()).collect())
        }),
    }
}

fn destination(entry: &EventDestination) -> Destination {
    let target = if let Some(sns) = entry.sns_destination() {
        Target::Topic(sns.topic_arn().to_owned())
    } else if let Some(bus) = entry.event_bridge_destination() {
        Target::EventBus(bus.event_bus_arn().to_owned())
    } else if let Some(stream) = entry.kinesis_firehose_destination() {
        Target::Firehose(stream.delivery_stream_arn().to_owned())
    } else if entry.cloud_watch_destination().is_some() {
        Target::CloudWatch
    } else {
        Target::Other
    };
    Destination {
        name: entry.name().to_owned(),
        enabled: entry.enabled(),
        event_types: entry
            .matching_event_types()
            .iter()
            .map(|kind| kind.as_str().to_owned())
            .collect(),
        target,
    }
}
