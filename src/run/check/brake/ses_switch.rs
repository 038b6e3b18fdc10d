//! Reads and changes whether SES allows to send: of a configuration set, of a tenant, or of the account.

use anyhow::Context;
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::types::{ReputationEntityType, SendingOptions, SendingStatus};
use bouncewatch_analyze::brake::rule::BrakeTarget;
use bouncewatch_analyze::brake::run::{LastChange, SendingSwitch, SwitchState};
use bouncewatch_schemas::shell::shell_word;
use bouncewatch_store::aws;
use tokio::runtime::Runtime;

use crate::run::ses_error::ses_error;
use crate::run::store_access::runtime;

/// Files with the permissions: for a configuration set or a tenant, and for the whole account.
const POLICY: &str = "brake.json";
const ACCOUNT_POLICY: &str = "brake-account.json";
/// Actions that change whether sending is allowed.
const SET_ACTION: &str = "ses:PutConfigurationSetSendingOptions";
const TENANT_ACTION: &str = "ses:UpdateReputationEntityCustomerManagedStatus";
const ACCOUNT_ACTION: &str = "ses:PutAccountSendingAttributes";

/// Sending in the region of the settings.
#[derive(Debug)]
pub(super) struct SesSwitch {
    runtime: Runtime,
    client: Client,
    target: BrakeTarget,
    /// ARN of a tenant, known after the first call.
    tenant_arn: Option<String>,
}

impl SesSwitch {
    /// Loads the settings of AWS, and returns also the account of the credentials, and the region of the calls.
    ///
    /// # Errors
    /// If there are no valid credentials, or no region.
    pub(super) fn new(
        target: BrakeTarget,
        endpoint_url: Option<&str>,
    ) -> anyhow::Result<(Self, String, String)> {
        let runtime = runtime()?;
        let (account, region, client) = runtime.block_on(async {
            let config = aws::load(None, endpoint_url).await;
            let region = config.region().context("no region\n  hint: set AWS_REGION")?.to_string();
            let call = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await;
            let identity =
                call.map_err(|error| ses_error("sts:GetCallerIdentity", POLICY, &error))?;
            let account = identity.account.context("sts:GetCallerIdentity returned no account")?;
            anyhow::Ok((account, region, Client::new(&config)))
        })?;
        Ok((Self { runtime, client, target, tenant_arn: None }, account, region))
    }

    /// The call that pauses the target, as text.
    pub(super) fn pause_call(&self) -> String {
        match &self.target {
            BrakeTarget::ConfigurationSet(name) => {
                format!("{SET_ACTION} ConfigurationSetName={name} SendingEnabled=false")
            }
            BrakeTarget::Tenant(name) => {
                format!("{TENANT_ACTION} of the tenant {name} SendingStatus=DISABLED")
            }
            BrakeTarget::Account => format!("{ACCOUNT_ACTION} SendingEnabled=false"),
        }
    }

    /// Command that allows sending again.
    pub(super) fn release_command(&self, region: &str) -> String {
        match &self.target {
            BrakeTarget::ConfigurationSet(name) => format!(
                "aws sesv2 put-configuration-set-sending-options --region {region} --configuration-set-name {} --sending-enabled",
                shell_word(name)
            ),
            BrakeTarget::Tenant(name) => format!(
                "aws sesv2 update-reputation-entity-customer-managed-status --region {region} --reputation-entity-type RESOURCE --reputation-entity-reference {} --sending-status ENABLED",
                shell_word(self.tenant_arn.as_deref().unwrap_or(name))
            ),
            BrakeTarget::Account => format!(
                "aws sesv2 put-account-sending-attributes --region {region} --sending-enabled"
            ),
        }
    }

    fn tenant_arn(&mut self, name: &str) -> anyhow::Result<String> {
        if let Some(arn) = &self.tenant_arn {
            return Ok(arn.clone());
        }
        let call = self.client.get_tenant().tenant_name(name).send();
        let response = self.runtime.block_on(call);
        let response = response.map_err(|error| ses_error("ses:GetTenant", POLICY, &error))?;
        let tenant = response.tenant().and_then(|tenant| tenant.tenant_arn());
        let arn = tenant.context("ses:GetTenant returned no ARN")?.to_owned();
        self.tenant_arn = Some(arn.clone());
        Ok(arn)
    }

    fn read_target(&mut self) -> anyhow::Result<SwitchState> {
        match self.target.clone() {
            BrakeTarget::ConfigurationSet(name) => self.read_set(&name),
            BrakeTarget::Tenant(name) => self.read_tenant(&name),
            BrakeTarget::Account => {
                let response = self.runtime.block_on(self.client.get_account().send());
                let account = response
                    .map_err(|error| ses_error("ses:GetAccount", ACCOUNT_POLICY, &error))?;
                let is_allowed = account.sending_enabled();
                Ok(SwitchState { is_allowed, changed: LastChange::Unknown })
            }
        }
    }

    fn read_set(&self, name: &str) -> anyhow::Result<SwitchState> {
        let call = self.client.get_configuration_set().configuration_set_name(name).send();
        let response = self.runtime.block_on(call);
        let set = response.map_err(|error| ses_error("ses:GetConfigurationSet", POLICY, &error))?;
        let is_allowed = set.sending_options().is_none_or(SendingOptions::sending_enabled);
        // SES starts the reputation metrics of a set afresh when it may send again
        let start = set.reputation_options().and_then(|options| options.last_fresh_start());
        let changed = match start {
            Some(time) => time.to_millis().map_or(LastChange::Unknown, LastChange::Allowed),
            None => LastChange::Never,
        };
        Ok(SwitchState { is_allowed, changed })
    }

    fn read_tenant(&mut self, name: &str) -> anyhow::Result<SwitchState> {
        let arn = self.tenant_arn(name)?;
        let call = self.client.get_reputation_entity();
        let call = call.reputation_entity_type(ReputationEntityType::Resource);
        let response = self.runtime.block_on(call.reputation_entity_reference(arn).send());
        let response =
            response.map_err(|error| ses_error("ses:GetReputationEntity", POLICY, &error))?;
        let entity = response.reputation_entity().context("ses:GetReputationEntity: no entity")?;
        let Some(record) = entity.customer_managed_status() else {
            return Ok(SwitchState { is_allowed: true, changed: LastChange::Never });
        };
        let time = record.last_updated_timestamp().and_then(|time| time.to_millis().ok());
        Ok(SwitchState {
            is_allowed: record.status() != Some(&SendingStatus::Disabled),
            changed: time.map_or(LastChange::Unknown, LastChange::Either),
        })
    }

    fn set_target(&mut self, is_allowed: bool) -> anyhow::Result<()> {
        match self.target.clone() {
            BrakeTarget::ConfigurationSet(name) => {
                let call = self.client.put_configuration_set_sending_options();
                let call = call.configuration_set_name(name).sending_enabled(is_allowed);
                let result = self.runtime.block_on(call.send()).map(drop);
                result.map_err(|error| ses_error(SET_ACTION, POLICY, &error))
            }
            BrakeTarget::Tenant(name) => {
                let arn = self.tenant_arn(&name)?;
                let call = self.client.update_reputation_entity_customer_managed_status();
                let call = call.reputation_entity_type(ReputationEntityType::Resource);
                let call = call.reputation_entity_reference(arn).sending_status(status(is_allowed));
                let result = self.runtime.block_on(call.send()).map(drop);
                result.map_err(|error| ses_error(TENANT_ACTION, POLICY, &error))
            }
            BrakeTarget::Account => {
                let call = self.client.put_account_sending_attributes();
                let result = self.runtime.block_on(call.sending_enabled(is_allowed).send());
                result.map(drop).map_err(|error| ses_error(ACCOUNT_ACTION, ACCOUNT_POLICY, &error))
            }
        }
    }
}

fn status(is_allowed: bool) -> SendingStatus {
    if is_allowed { SendingStatus::Enabled } else { SendingStatus::Disabled }
}

impl SendingSwitch for SesSwitch {
    fn read(&mut self) -> Result<SwitchState, String> {
        self.read_target().map_err(|error| format!("{error:#}"))
    }

    fn set(&mut self, is_allowed: bool) -> Result<(), String> {
        self.set_target(is_allowed).map_err(|error| format!("{error:#}"))
    }
}
