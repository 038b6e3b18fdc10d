//! The settings file. All defaults stand in `config.toml` beside this file, which `config init` prints.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use bouncewatch_ingest::allow::Allowed;
use serde::{Deserialize, Serialize};

use crate::cause_rules::CauseRule;
use crate::cli::AddressPolicy;

/// The settings file with all defaults.
pub(crate) const DEFAULTS: &str = include_str!("config.toml");

/// Settings; every key may be left out.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) store: Option<String>,
    pub(crate) cache: Option<PathBuf>,
    pub(crate) own_domains: Vec<String>,
    pub(crate) windows: Vec<String>,
    pub(crate) minimum_volume: u64,
    pub(crate) stale_after: String,
    pub(crate) bounce: Levels,
    pub(crate) complaint: Levels,
    pub(crate) allow: Allow,
    pub(crate) addresses: AddressSettings,
    pub(crate) cause_rules: Option<PathBuf>,
    #[serde(default)]
    pub(crate) rule: Vec<CauseRule>,
}

/// Whose events are taken; an empty list takes all.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Allow {
    pub(crate) accounts: Vec<String>,
    pub(crate) topics: Vec<String>,
    pub(crate) identities: Vec<String>,
}

impl Allow {
    pub(crate) fn allowed(&self) -> Arc<Allowed> {
        Arc::new(Allowed {
            accounts: self.accounts.clone(),
            topics: self.topics.clone(),
            identities: self.identities.clone(),
        })
    }
}

/// What becomes of recipients' addresses before they are stored.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddressSettings {
    pub(crate) policy: AddressPolicy,
    pub(crate) key_file: Option<PathBuf>,
}

/// Thresholds of one rate, as fractions.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Levels {
    pub(crate) warning: f64,
    pub(crate) critical: f64,
}

impl Config {
    /// The defaults, and over them the keys of a file.
    pub(crate) fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        let mut table: toml::Table = toml::from_str(DEFAULTS).context("the built-in defaults")?;
        if let Some(path) = path {
            let text = std::fs::read_to_string(path).with_context(|| {
                format!("could not read the settings file `{}`", path.display())
            })?;
            let over: toml::Table = toml::from_str(&text)
                .with_context(|| format!("the settings file `{}` is not TOML", path.display()))?;
            merge(&mut table, over);
        }
        let named = || {
            path.map_or_else(String::new, |path| format!("the settings file `{}`", path.display()))
        };
        let config: Self = table.try_into().with_context(named)?;
        for (name, levels) in [("bounce", config.bounce), ("complaint", config.complaint)] {
            ensure!(
                levels.warning > 0.0 && levels.warning <= levels.critical && levels.critical <= 1.0,
                "{}: [{name}] needs 0 < warning <= critical <= 1, as fractions: 0.05 is 5 %",
                named()
            );
        }
        Ok(config)
    }
}

/// The user's folder for what can be fetched again.
#[cfg(feature = "analyze")]
#[expect(clippy::disallowed_methods, reason = "the environment is read here")]
pub(crate) fn user_cache() -> Option<PathBuf> {
    let is_set = |path: &PathBuf| path.is_absolute();
    let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(is_set);
    named.or_else(|| Some(std::env::home_dir().filter(is_set)?.join(".cache")))
}

/// Keys of `over` replace those of `table`, tables key by key.
fn merge(table: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (table.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(over)) => merge(below, over),
            (_, value) => _ = table.insert(key, value),
        }
    }
}
