//! The settings file. `config.toml` next to this file has all defaults; `config init` prints it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, ensure};
use bouncewatch_classify::Classifier;
use serde::{Deserialize, Serialize};

use crate::cause_rules::{self, CauseRule};
use crate::settings::AddressPolicy;

/// The settings file with all defaults.
pub(crate) const DEFAULTS: &str = include_str!("config.toml");

/// Settings. Keys that the file omits have the values of [`DEFAULTS`]; the serde defaults only let a part of the keys be
/// parsed, to find wrong ones.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The settings file, if one is given.
    #[serde(skip)]
    pub(crate) file: Option<PathBuf>,
    pub(crate) store: Option<String>,
    pub(crate) cache: Option<PathBuf>,
    pub(crate) own_domains: Vec<String>,
    pub(crate) windows: Vec<String>,
    pub(crate) by: Vec<String>,
    pub(crate) counted_from: Option<String>,
    pub(crate) contributors: Vec<String>,
    pub(crate) minimum_volume: u64,
    pub(crate) stale_after: String,
    pub(crate) bounce: RateThresholds,
    pub(crate) complaint: RateThresholds,
    pub(crate) threshold: Vec<ScopeThreshold>,
    pub(crate) suppress: SuppressSettings,
    pub(crate) alert: AlertSettings,
    pub(crate) brake: BrakeSettings,
    pub(crate) page: PageSettings,
    pub(crate) allow: AllowSettings,
    pub(crate) addresses: AddressSettings,
    pub(crate) cause_rules: Option<PathBuf>,
    pub(crate) rule: Vec<CauseRule>,
}

/// Events that are accepted; an empty list accepts all.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AllowSettings {
    pub(crate) accounts: Vec<String>,
    pub(crate) topics: Vec<String>,
    pub(crate) identities: Vec<String>,
    pub(crate) verify_sns_signature: bool,
}

/// How addresses of recipients are stored.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AddressSettings {
    pub(crate) policy: AddressPolicy,
    pub(crate) key_file: Option<PathBuf>,
}

/// Thresholds of one rate for all scopes, as fractions.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RateThresholds {
    pub(crate) warning: f64,
    pub(crate) critical: f64,
    pub(crate) minimum_count: u64,
}

/// Thresholds of one rate for the scopes that have all values in `scope`, as fractions.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct ScopeThreshold {
    pub(crate) metric: String,
    pub(crate) warning: f64,
    pub(crate) critical: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) minimum_volume: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) minimum_count: Option<u64>,
    /// All other keys: dimensions and values. They are checked when the rules are built.
    #[serde(flatten)]
    pub(crate) scope: BTreeMap<String, toml::Value>,
}

impl ScopeThreshold {
    /// Returns metric and scope, for errors.
    fn describe(&self) -> String {
        let text =
            |value: &toml::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let pairs: Vec<String> =
            self.scope.iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
        format!("[[threshold]] of {} {}", self.metric, pairs.join(" "))
    }
}

/// What puts addresses on hold instead of the suppression list.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SuppressSettings {
    pub(crate) mass_guard: u32,
}

/// What `check --brake` pauses, and when.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BrakeSettings {
    pub(crate) target: Option<String>,
    pub(crate) window: String,
    pub(crate) minimum_attempts: u64,
    pub(crate) minimum_bounces: u64,
    pub(crate) minimum_complaints: u64,
    pub(crate) confirm_after: String,
    pub(crate) cool_down: String,
    pub(crate) release_after: String,
}

/// Where the page of `page` is published.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PageSettings {
    pub(crate) url: Option<String>,
}

/// Channels of alerts, and when alerts repeat and clear.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AlertSettings {
    pub(crate) sns: Option<String>,
    pub(crate) exec: Option<String>,
    pub(crate) exec_timeout: String,
    pub(crate) webhook: Vec<WebhookSettings>,
    pub(crate) state: Option<PathBuf>,
    pub(crate) renotify_after: String,
    pub(crate) clear_after: String,
    pub(crate) clear_below: f64,
}

/// A webhook that receives alerts. Its URL and its secret are in files or in the environment.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookSettings {
    pub(crate) name: String,
    pub(crate) format: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url_env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret_env: Option<String>,
}

/// Where a secret is read from.
#[cfg(feature = "analyze")]
#[derive(Debug, Clone, Copy)]
pub(crate) enum SecretSource<'s> {
    File(&'s Path),
    Variable(&'s str),
}

#[cfg(feature = "analyze")]
impl<'s> SecretSource<'s> {
    /// Returns the file or the environment variable that is set; `None` if neither is.
    ///
    /// # Errors
    /// If both are set.
    pub(crate) fn new(
        file: Option<&'s Path>,
        variable: Option<&'s str>,
    ) -> anyhow::Result<Option<Self>> {
        match (file, variable) {
            (Some(_), Some(_)) => Err(anyhow!("set the file or the variable, not both")),
            (Some(file), None) => Ok(Some(Self::File(file))),
            (None, variable) => Ok(variable.map(Self::Variable)),
        }
    }

    /// Reads the secret.
    ///
    /// # Errors
    /// If the file cannot be read, or the variable is not set.
    #[expect(clippy::disallowed_methods, reason = "the environment is read here")]
    pub(crate) fn read(self) -> anyhow::Result<String> {
        match self {
            Self::File(path) => std::fs::read_to_string(path)
                .with_context(|| format!("could not read `{}`", path.display())),
            Self::Variable(name) => {
                std::env::var(name).with_context(|| format!("environment variable `{name}`"))
            }
        }
    }
}

impl Config {
    /// Reads the settings file; keys that it omits, and all keys without a file, have their defaults.
    ///
    /// # Errors
    /// If the file cannot be read or parsed, has an unknown key, or a value is out of range.
    pub(crate) fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        let mut table: toml::Table = toml::from_str(DEFAULTS).context("the built-in defaults")?;
        if let Some(path) = path {
            let name = path.display();
            let text = std::fs::read_to_string(path).map_err(|error| {
                anyhow!("could not read the settings file `{name}`: {error}\n  hint: `bouncewatch config init > {name}` writes a file with all defaults")
            })?;
            // the merged table has no positions
            toml::from_str::<Self>(&text).map_err(|error| {
                let before = text.bytes().take(error.span().unwrap_or_default().start);
                let line = before.filter(|byte| *byte == b'\n').count() + 1;
                let why = error.message();
                anyhow!("settings file `{name}`, line {line}: {why}\n  hint: `bouncewatch config init` prints all settings")
            })?;
            merge(&mut table, toml::from_str(&text)?);
        }
        let file =
            || path.map_or_else(String::new, |path| format!("settings file `{}`", path.display()));
        let config: Self = table.try_into().with_context(file)?;
        config.check_ranges().with_context(file)?;
        Ok(Self { file: path.map(Path::to_path_buf), ..config })
    }

    fn check_ranges(&self) -> anyhow::Result<()> {
        let of_rates = [("[bounce]", self.bounce), ("[complaint]", self.complaint)]
            .map(|(name, rate)| (name.to_owned(), rate.warning, rate.critical));
        let of_scopes =
            self.threshold.iter().map(|rule| (rule.describe(), rule.warning, rule.critical));
        for (name, warning, critical) in of_rates.into_iter().chain(of_scopes) {
            ensure!(
                warning > 0.0 && warning <= critical && critical <= 1.0,
                "{name}: thresholds must satisfy 0 < warning <= critical <= 1\n  hint: thresholds are fractions: 0.05 is 5 %"
            );
        }
        ensure!(
            !self.allow.verify_sns_signature || !self.allow.topics.is_empty(),
            "[allow]: verify_sns_signature needs topics\n  hint: list your topics in `topics`; SNS also signs the messages of topics of other accounts"
        );
        ensure!(
            self.alert.clear_below > 0.0 && self.alert.clear_below <= 1.0,
            "[alert]: clear_below must satisfy 0 < clear_below <= 1\n  hint: it is a fraction of the threshold: 0.9 is 90 % of it"
        );
        let is_url = |url: &String| {
            let is_http = url.starts_with("https://") || url.starts_with("http://");
            is_http && !url.contains(|c: char| c.is_whitespace() || c.is_control())
        };
        ensure!(
            self.page.url.as_ref().is_none_or(is_url),
            "[page]: url must be an address\n  hint: write https://status.example.com/page.html"
        );
        Ok(())
    }

    /// Returns the classifier with the custom cause rules, or the builtin one if there are none.
    ///
    /// # Errors
    /// If a rule is invalid, or the file of rules cannot be read.
    pub(crate) fn classifier(&self) -> anyhow::Result<Arc<Classifier>> {
        cause_rules::classifier(&self.rule, self.cause_rules.as_deref())
    }
}

/// Returns an environment variable; `None` if it is not set or not text.
#[cfg(feature = "lambda")]
#[expect(clippy::disallowed_methods, reason = "the environment is read here")]
pub(crate) fn environment_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Returns the cache folder of the user (XDG base directory specification); `None` if there is none.
#[cfg(feature = "analyze")]
#[expect(clippy::disallowed_methods, reason = "the environment is read here")]
pub(crate) fn user_cache() -> Option<PathBuf> {
    let is_absolute = |path: &PathBuf| path.is_absolute();
    let configured = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(is_absolute);
    configured.or_else(|| Some(std::env::home_dir().filter(is_absolute)?.join(".cache")))
}

/// Replaces keys of `table` with those of `over`; tables are merged key by key.
fn merge(table: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (table.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(over)) => merge(below, over),
            (_, value) => _ = table.insert(key, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The settings file with all examples enabled.
    fn all_settings() -> String {
        let line = |line: &str| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with([' ', '#']) => format!("{setting}\n"),
            _ => format!("{line}\n"),
        };
        DEFAULTS.lines().map(line).collect()
    }

    #[test]
    fn defaults_are_valid_and_complete() {
        fn keys(table: &toml::Table) -> Vec<String> {
            let of = |(key, value): (&String, &toml::Value)| match value {
                toml::Value::Table(table) => {
                    keys(table).iter().map(|below| format!("{key}.{below}")).collect()
                }
                _ => vec![key.clone()],
            };
            table.iter().flat_map(of).collect()
        }
        let config = Config::read(None).unwrap();
        let in_file = keys(&toml::from_str(DEFAULTS).unwrap());
        let mut in_effect = keys(&toml::Table::try_from(config).unwrap());
        in_effect.retain(|key| !["threshold", "rule", "alert.webhook"].contains(&key.as_str()));
        assert_eq!(in_effect, in_file);
    }

    #[test]
    fn wrong_key_or_type_is_reported_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bouncewatch.toml");
        for (text, expected) in [
            ("# a\nwindos = [\"1h\"]\n", "line 2: unknown field `windos`"),
            (
                "by = []\n\n[bounce]\nwarning = 0.02\ncritcal = 0.04\n",
                "line 5: unknown field `critcal`",
            ),
            ("[alert]\nclear_after = 30\n", "line 2: invalid type: integer `30`"),
            ("[[rule]]\nid = \"a\"\ncuase = \"b\"\n", "line 3: unknown field `cuase`"),
            ("by = [\n\n[alert]\n", "line 3: "),
        ] {
            crate::run::write_file(&path, |out| out.write_all(text.as_bytes())).unwrap();
            let error = format!("{:#}", Config::read(Some(&path)).unwrap_err());
            assert!(error.contains(expected) && error.contains("hint: "), "{expected}: {error}");
        }
    }

    #[test]
    fn examples_in_the_settings_file_are_valid() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bouncewatch.toml");
        crate::run::write_file(&path, |out| out.write_all(all_settings().as_bytes())).unwrap();
        let mut config = Config::read(Some(&path)).unwrap();
        assert_eq!((config.threshold.len(), config.rule.len()), (1, 1));
        assert!(config.store.is_some() && config.alert.exec.is_some());
        assert_eq!(config.alert.webhook.len(), 1);
        assert!(config.addresses.key_file.is_some());
        config.cause_rules = None;
        assert!(!Arc::ptr_eq(&config.classifier().unwrap(), Classifier::builtin()));
    }

    #[test]
    fn range_errors_name_file_and_setting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bouncewatch.toml");
        for (text, name) in [
            ("[bounce]\nwarning = 5.0", "[bounce]"),
            ("[allow]\nverify_sns_signature = true", "needs topics"),
            ("[alert]\nclear_below = 0.0", "clear_below"),
            ("[page]\nurl = \"x y\"", "[page]"),
        ] {
            crate::run::write_file(&path, |out| out.write_all(text.as_bytes())).unwrap();
            let error = format!("{:#}", Config::read(Some(&path)).unwrap_err());
            assert!(error.contains("bouncewatch.toml") && error.contains(name), "{error}");
        }
    }
}
