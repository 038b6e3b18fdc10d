//! WorkMail, and the receipt rules of SES.

use aws_config::SdkConfig;
use aws_sdk_ses::types::ReceiptAction;
use aws_sdk_workmail::Client;
use aws_sdk_workmail::operation::get_mail_domain::GetMailDomainOutput;

use crate::gather::action::Action;
use crate::gather::call::{Caller, text};
use crate::snapshot::part::Part;
use crate::snapshot::workmail::{
    MailDomain, MailDomainDetails, Organization, ReceiptRule, RequiredRecord,
};

/// Regions with WorkMail.
const REGIONS: [&str; 3] = ["us-east-1", "us-west-2", "eu-west-1"];
/// State of an organization that was deleted.
const DELETED: &str = "Deleted";

pub(super) async fn organizations(
    config: &SdkConfig,
    region: &str,
    caller: &mut Caller<'_>,
) -> Part<Vec<Organization>> {
    if !REGIONS.contains(&region) {
        return Part::Skipped(format!("WorkMail is not offered in {region}"));
    }
    let client = Client::new(config);
    let page = |token| client.list_organizations().set_next_token(token).send();
    let listed = caller
        .list(Action::WorkMailListOrganizations, "", page, |response| {
            (response.organization_summaries.unwrap_or_default(), response.next_token)
        })
        .await;
    let listed = match listed {
        Part::Value(listed) => listed,
        other => return other.map(|_| Vec::new()),
    };
    let mut organizations = Vec::new();
    for entry in listed.iter().filter(|entry| entry.state() != Some(DELETED)) {
        let id = text(entry.organization_id());
        let call = client.describe_inbound_dmarc_settings().organization_id(&id).send();
        let dmarc = caller.call(Action::WorkMailDescribeInboundDmarcSettings, &id, call).await;
        organizations.push(Organization {
            domains: domains(&client, &id, caller).await,
            tracing: tracing(&client, &id, caller).await,
            dmarc_enforced: dmarc.map(|response| response.enforced()),
            alias: entry.alias().map(str::to_owned),
            id,
        });
    }
    Part::Value(organizations)
}

/// Log group of message tracing; an organization without tracing has no configuration.
async fn tracing(client: &Client, id: &str, caller: &mut Caller<'_>) -> Part<Option<String>> {
    let call = client.describe_email_monitoring_configuration().organization_id(id).send();
    match caller.call(Action::WorkMailDescribeEmailMonitoringConfiguration, id, call).await {
        Part::Absent(_) => Part::Value(None),
        other => other.map(|response| response.log_group_arn),
    }
}

async fn domains(client: &Client, id: &str, caller: &mut Caller<'_>) -> Part<Vec<MailDomain>> {
    let page = |token| client.list_mail_domains().organization_id(id).set_next_token(token).send();
    let listed = caller
        .list(Action::WorkMailListMailDomains, id, page, |response| {
            (response.mail_domains.unwrap_or_default(), response.next_token)
        })
        .await;
    let listed = match listed {
        Part::Value(listed) => listed,
        other => return other.map(|_| Vec::new()),
    };
    let mut domains = Vec::new();
    for entry in listed {
        let name = text(entry.domain_name());
        let call = client.get_mail_domain().organization_id(id).domain_name(&name).send();
        let response = caller.call(Action::WorkMailGetMailDomain, &name, call).await;
        domains.push(MailDomain { name, details: response.map(|response| details(&response)) });
    }
    Part::Value(domains)
}

fn details(response: &GetMailDomainOutput) -> MailDomainDetails {
    let records = response.records().iter().map(|record| RequiredRecord {
        kind: text(record.r#type()),
        hostname: text(record.hostname()),
        value: text(record.value()),
    });
    MailDomainDetails {
        is_test_domain: response.is_test_domain(),
        ownership: text(response.ownership_verification_status()),
        dkim: text(response.dkim_verification_status()),
        records: records.collect(),
    }
}

/// Rules of the active receipt rule set; asked only if an organization exists.
pub(super) async fn receipt_rules(
    config: &SdkConfig,
    organizations: &Part<Vec<Organization>>,
    caller: &mut Caller<'_>,
) -> Part<Option<Vec<ReceiptRule>>> {
    if organizations.value().is_none_or(Vec::is_empty) {
        return Part::Skipped("no organization of WorkMail is known".to_owned());
    }
    let call = aws_sdk_ses::Client::new(config).describe_active_receipt_rule_set().send();
    let response = caller.call(Action::SesDescribeActiveReceiptRuleSet, "", call).await;
    response.map(|response| {
        // without an active rule set the response is empty
        response.metadata()?;
        let rules = response.rules().iter().map(|rule| ReceiptRule {
            name: rule.name().to_owned(),
            enabled: rule.enabled(),
            recipients: rule.recipients().to_vec(),
            actions: rule.actions().iter().map(|action| kind(action).to_owned()).collect(),
        });
        Some(rules.collect())
    })
}

fn kind(action: &ReceiptAction) -> &'static str {
    let kinds = [
        ("workmail", action.workmail_action().is_some()),
        ("s3", action.s3_action().is_some()),
        ("sns", action.sns_action().is_some()),
        ("lambda", action.lambda_action().is_some()),
        ("bounce", action.bounce_action().is_some()),
        ("stop", action.stop_action().is_some()),
        ("add_header", action.add_header_action().is_some()),
        ("connect", action.connect_action().is_some()),
    ];
    kinds.into_iter().find(|(_, is_set)| *is_set).map_or("unknown", |(name, _)| name)
}
