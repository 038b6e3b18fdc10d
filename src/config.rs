//! The settings file. All defaults stand in `config.toml` beside this file, which `config init` prints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use bouncewatch_ingest::decode::allow_list::Allowed;
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
    pub(crate) by: Vec<String>,
    pub(crate) counted_from: Option<String>,
    pub(crate) contributors: Vec<String>,
    pub(crate) minimum_volume: u64,
    pub(crate) stale_after: String,
    pub(crate) bounce: Levels,
    pub(crate) complaint: Levels,
    #[serde(default)]
    pub(crate) threshold: Vec<Threshold>,
    pub(crate) alert: Alert,
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
    pub(crate) minimum_count: u64,
}

/// Thresholds of one rate for the scopes that have all of the values in `scope`.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Threshold {
    pub(crate) metric: String,
    pub(crate) warning: f64,
    pub(crate) critical: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) minimum_volume: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) minimum_count: Option<u64>,
    /// All other keys; what is no word of a scope is refused when the rules are made.
    #[serde(flatten)]
    pub(crate) scope: BTreeMap<String, String>,
}

impl Threshold {
    /// Which one it is, in words.
    fn shown(&self) -> String {
        let words: Vec<String> =
            self.scope.iter().map(|(word, value)| format!("{word}={value}")).collect();
        format!("[[threshold]] of {} {}", self.metric, words.join(" "))
    }
}

/// Whom to tell, and how often.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Alert {
    pub(crate) sns: Option<String>,
    pub(crate) exec: Option<String>,
    pub(crate) exec_timeout: String,
    pub(crate) state: Option<PathBuf>,
    pub(crate) renotify_after: String,
    pub(crate) clear_after: String,
    pub(crate) clear_below: f64,
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
        let named_levels = [("[bounce]", config.bounce), ("[complaint]", config.complaint)];
        let levels =
            named_levels.map(|(name, levels)| (name.to_owned(), levels.warning, levels.critical));
        let of_scopes = config.threshold.iter().map(|one| (one.shown(), one.warning, one.critical));
        for (name, warning, critical) in levels.into_iter().chain(of_scopes) {
            ensure!(
                warning > 0.0 && warning <= critical && critical <= 1.0,
                "{}: {name} needs 0 < warning <= critical <= 1, as fractions: 0.05 is 5 %",
                named()
            );
        }
        ensure!(
            config.alert.clear_below > 0.0 && config.alert.clear_below <= 1.0,
            "{}: [alert] needs 0 < clear_below <= 1, a part of each threshold: 0.9 is 90 % of it",
            named()
        );
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
