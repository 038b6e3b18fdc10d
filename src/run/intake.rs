//! Rules for incoming events, from arguments and settings.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use bouncewatch_ingest::decode::allow_list::AllowList;
use bouncewatch_ingest::pipeline::IntakeRules;
use bouncewatch_store::addresses::{AddressRedactor, RedactionPolicy};
use bouncewatch_store::aws::{is_account_id, is_topic_arn};

use crate::config::{AllowSettings, Config};
use crate::settings::AddressPolicy;

/// Returns which events are stored, and how they are classified and redacted.
///
/// # Errors
/// If a cause rule or an entry of the allow list is invalid, or the policy needs a key that is missing.
pub(super) fn intake_rules(
    config: &Config,
    policy: Option<AddressPolicy>,
) -> anyhow::Result<IntakeRules> {
    Ok(IntakeRules {
        allow_list: Arc::new(allow_list(&config.allow)?),
        addresses: address_redactor(config, policy)?,
        classifier: Some(config.classifier()?),
        verifier: config.allow.verify_sns_signature.then(Arc::default),
    })
}

/// Returns the allow list.
///
/// # Errors
/// If an entry has a form that no event matches.
fn allow_list(settings: &AllowSettings) -> anyhow::Result<AllowList> {
    let check = |key: &str, values: &[String], is_valid: fn(&str) -> bool, form: &str| {
        let invalid = values.iter().find(|value| !is_valid(value));
        invalid.map_or(Ok(()), |value| {
            Err(anyhow!("`{key}` in [allow] of the settings: no event matches `{value}`\n  hint: write {form}"))
        })
    };
    let is_identity = |text: &str| {
        !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || ":/,".contains(c))
    };
    let topic = "the ARN of the topic: arn:aws:sns:REGION:ACCOUNT:NAME";
    let identity = "a domain or an address, not its ARN: example.com, shop@example.com";
    check("accounts", &settings.accounts, is_account_id, "the 12 digits of the account ID")?;
    check("topics", &settings.topics, is_topic_arn, topic)?;
    check("identities", &settings.identities, is_identity, identity)?;
    let AllowSettings { accounts, topics, identities, .. } = settings.clone();
    Ok(AllowList { accounts, topics, identities })
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
        Some(path) => anyhow!(
            "invalid key file `{}`: {error}\n  hint: create one with `openssl rand -hex 32 > {}`",
            path.display(),
            path.display()
        ),
        None => anyhow!(
            "{error}\n  hint: create a key with `openssl rand -hex 32 > FILE` and set `key_file = \"FILE\"` in [addresses] of the settings file"
        ),
    })
}
