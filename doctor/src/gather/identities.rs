//! Identities with their details and feedback notifications.

use std::collections::{BTreeMap, BTreeSet};

use aws_config::SdkConfig;
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::operation::get_email_identity::GetEmailIdentityOutput;
use aws_sdk_sesv2::types::BehaviorOnMxFailure;
use bouncewatch_schemas::address;

use crate::gather::action::Action;
use crate::gather::call::{Caller, text, time};
use crate::gather::request::GatherRequest;
use crate::snapshot::identity::{
    Dkim, Identity, IdentityDetails, MISSING, MailFrom, Notifications,
};
use crate::snapshot::part::Part;

/// Identities per call of `GetIdentityNotificationAttributes`.
const NOTIFICATIONS_BATCH: usize = 100;

pub(super) async fn identities(
    config: &SdkConfig,
    client: &Client,
    request: &GatherRequest,
    caller: &mut Caller<'_>,
) -> Part<Vec<Identity>> {
    let page = |token| client.list_email_identities().page_size(1_000).set_next_token(token).send();
    let listed = caller
        .list(Action::SesListEmailIdentities, "", page, |response| {
            (response.email_identities.unwrap_or_default(), response.next_token)
        })
        .await;
    let listed = match listed {
        Part::Value(listed) => listed,
        other => return other.map(|_| Vec::new()),
    };
    let mut identities: Vec<Identity> = listed
        .iter()
        .map(|entry| Identity {
            name: text(entry.identity_name()),
            kind: text(entry.identity_type()),
            verification: text(entry.verification_status()),
            details: Part::Skipped("not among the identities that were asked for".to_owned()),
            notifications: Part::default(),
        })
        .collect();
    let asked: BTreeSet<String> = request.identities.iter().map(|name| normal(name)).collect();
    let listed: BTreeSet<String> =
        identities.iter().map(|identity| normal(&identity.name)).collect();
    identities.extend(asked.difference(&listed).map(|name| Identity {
        name: name.clone(),
        kind: if name.contains('@') { "EMAIL_ADDRESS" } else { "DOMAIN" }.to_owned(),
        verification: MISSING.to_owned(),
        details: Part::Absent(Action::SesListEmailIdentities.as_str().to_owned()),
        notifications: Part::Absent(Action::SesListEmailIdentities.as_str().to_owned()),
    }));
    identities.sort_by(|a, b| a.name.cmp(&b.name));
    let mut details_left = request.identities_max;
    for identity in &mut identities {
        let is_asked = asked.is_empty() || asked.contains(&normal(&identity.name));
        if !is_asked || identity.verification == MISSING {
            continue;
        }
        if details_left == 0 {
            let why = format!("details are read for {} identities", request.identities_max);
            identity.details = Part::Skipped(why);
            continue;
        }
        details_left -= 1;
        let call = client.get_email_identity().email_identity(&identity.name).send();
        let response = caller.call(Action::SesGetEmailIdentity, &identity.name, call).await;
        identity.details = response.map(|response| details(&response));
    }
    notifications(config, &mut identities, caller).await;
    Part::Value(identities)
}

/// The form by which names are compared.
fn normal(name: &str) -> String {
    let address = if name.contains('@') { address::normalise(name.into()) } else { None };
    address.unwrap_or_else(|| address::normalise_domain(name)).into_owned()
}

fn details(response: &GetEmailIdentityOutput) -> IdentityDetails {
    let verification = response.verification_info();
    let policies = response.policies().into_iter().flatten();
    IdentityDetails {
        configuration_set: response.configuration_set_name().map(str::to_owned),
        feedback_forwarding: response.feedback_forwarding_status(),
        last_success: verification.and_then(|info| time(info.last_success_timestamp()?)),
        verification_error: verification
            .and_then(|info| Some(info.error_type()?.as_str().to_owned())),
        dkim: response.dkim_attributes().map(|dkim| Dkim {
            signing_enabled: dkim.signing_enabled(),
            status: text(dkim.status()),
            tokens: dkim.tokens().to_vec(),
            hosted_zone: dkim.signing_hosted_zone().map(str::to_owned),
            origin: dkim.signing_attributes_origin().map(|origin| origin.as_str().to_owned()),
            key_length: dkim.current_signing_key_length().map(|length| length.as_str().to_owned()),
        }),
        // identities without a MAIL FROM domain have attributes with an empty domain
        mail_from: response
            .mail_from_attributes()
            .filter(|mail_from| !mail_from.mail_from_domain().is_empty())
            .map(|mail_from| MailFrom {
                domain: mail_from.mail_from_domain().to_owned(),
                status: mail_from.mail_from_domain_status().as_str().to_owned(),
                rejects_on_failure: *mail_from.behavior_on_mx_failure()
                    == BehaviorOnMxFailure::RejectMessage,
            }),
        policies: policies.map(|(name, policy)| (name.clone(), policy.clone())).collect(),
    }
}

async fn notifications(config: &SdkConfig, identities: &mut [Identity], caller: &mut Caller<'_>) {
    let client = aws_sdk_ses::Client::new(config);
    let mut existing: Vec<&mut Identity> =
        identities.iter_mut().filter(|identity| identity.verification != MISSING).collect();
    for batch in existing.chunks_mut(NOTIFICATIONS_BATCH) {
        let names = batch.iter().map(|identity| identity.name.clone()).collect();
        let call = client.get_identity_notification_attributes().set_identities(Some(names)).send();
        let response = caller.call(Action::SesGetIdentityNotificationAttributes, "", call).await;
        let response = response.map(|response| {
            let found = response.notification_attributes.into_iter();
            let topic = |topic: String| Some(topic).filter(|topic| !topic.is_empty());
            found
                .map(|(name, attributes)| {
                    let notifications = Notifications {
                        bounce_topic: topic(attributes.bounce_topic),
                        complaint_topic: topic(attributes.complaint_topic),
                        delivery_topic: topic(attributes.delivery_topic),
                        forwarding: attributes.forwarding_enabled,
                    };
                    (name, notifications)
                })
                .collect::<BTreeMap<_, _>>()
        });
        for identity in batch {
            // the response leaves out an identity that was deleted in between
            identity.notifications =
                response.clone().map(|mut found| found.remove(&identity.name).unwrap_or_default());
        }
    }
}
