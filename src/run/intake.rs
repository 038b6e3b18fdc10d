//! Rules for incoming events, from arguments and settings.

use std::sync::Arc;

use anyhow::Context;
use bouncewatch_ingest::decode::allow_list::AllowList;
use bouncewatch_ingest::pipeline::IntakeRules;
use bouncewatch_store::addresses::{AddressRedactor, RedactionPolicy};

use crate::config::Config;
use crate::settings::AddressPolicy;

/// Returns which events are stored, and how they are classified and redacted.
///
/// # Errors
/// If a cause rule is invalid, or the policy needs a key that is missing.
pub(super) fn intake_rules(
    config: &Config,
    policy: Option<AddressPolicy>,
) -> anyhow::Result<IntakeRules> {
    let allow = config.allow.clone();
    Ok(IntakeRules {
        allow_list: Arc::new(AllowList {
            accounts: allow.accounts,
            topics: allow.topics,
            identities: allow.identities,
        }),
        addresses: address_redactor(config, policy)?,
        classifier: config.classifier()?,
    })
}

/// Returns the redactor of recipient addresses; `policy` overrides the settings.
///
/// # Errors
/// If the key file cannot be read, or the policy needs a key that is missing or too short.
pub(super) fn address_redactor(
    config: &Config,
    policy: Option<AddressPolicy>,
) -> anyhow::Result<AddressRedactor> {
    let settings = &config.addresses;
    let policy = match policy.unwrap_or(settings.policy) {
        AddressPolicy::Keep => RedactionPolicy::Keep,
        AddressPolicy::Hash => RedactionPolicy::Hash,
        AddressPolicy::Drop => RedactionPolicy::Drop,
    };
    let key = match &settings.key_file {
        None => None,
        Some(path) => Some(
            std::fs::read(path)
                .with_context(|| format!("could not read the key file `{}`", path.display()))?,
        ),
    };
    // editors append a newline; it is not part of the key
    let key = key.as_deref().map(<[u8]>::trim_ascii);
    AddressRedactor::new(policy, key).map_err(|error| match &settings.key_file {
        Some(path) => anyhow::anyhow!(
            "invalid key file `{}`: {error}\n  hint: create one with `openssl rand -hex 32 > {}`",
            path.display(),
            path.display()
        ),
        None => anyhow::anyhow!(
            "{error}\n  hint: create a key with `openssl rand -hex 32 > FILE` and set `key_file = \"FILE\"` in [addresses] of the settings file"
        ),
    })
}
