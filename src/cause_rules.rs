//! Rules of the user's for why mail fails: read from the settings and from a file of their own, and handed to the
//! classifier, which tries each on its own sample.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use bouncewatch_classify::Classifier;
use bouncewatch_classify::rule::{Kind, OWN_WEIGHT, Rule};
use bouncewatch_schemas::cause::{Action, Cause};
use serde::{Deserialize, Serialize};

use crate::config::Config;

/// A file of rules.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    #[serde(default)]
    rule: Vec<CauseRule>,
}

/// One rule: what it looks for (exactly one of `phrase`, `provider`, `enhanced`, `code`), what that means, and a text
/// that it knows.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CauseRule {
    id: String,
    cause: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phrase: Option<Words>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<Words>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enhanced: Option<Words>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    sample: Words,
}

/// One, or several of which one is enough.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Several(Vec<String>),
}

impl Words {
    fn all(&self) -> Vec<String> {
        match self {
            Self::One(word) => vec![word.clone()],
            Self::Several(words) => words.clone(),
        }
    }
}

/// The classifier with the user's rules; `None`, where there are none.
///
/// # Errors
/// The first rule that cannot be used, by its name and its file.
pub(crate) fn classifier(config: &Config) -> anyhow::Result<Option<Arc<Classifier>>> {
    let mut rules = all("the settings file", &config.rule)?;
    let mut place = "[[rule]] of the settings file".to_owned();
    if let Some(path) = &config.cause_rules {
        place = format!("the file of cause rules `{}`", path.display());
        rules.extend(all(&place, &read(path)?)?);
    }
    if rules.is_empty() {
        return Ok(None);
    }
    Ok(Some(Arc::new(Classifier::new(rules).context(place)?)))
}

fn read(path: &Path) -> anyhow::Result<Vec<CauseRule>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("could not read the file of cause rules `{}`", path.display()))?;
    let file: RuleFile = toml::from_str(&text)
        .with_context(|| format!("the file of cause rules `{}`", path.display()))?;
    Ok(file.rule)
}

fn all(place: &str, rules: &[CauseRule]) -> anyhow::Result<Vec<Rule>> {
    rules
        .iter()
        .map(|rule| to_rule(rule).with_context(|| format!("{place}: rule `{}`", rule.id)))
        .collect()
}

fn to_rule(rule: &CauseRule) -> anyhow::Result<Rule> {
    let words = |all: &[&'static str]| all.join(", ");
    let Some(cause) = Cause::from_word(&rule.cause) else {
        let known: Vec<&str> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
        bail!("no such cause: `{}`; there are {}", rule.cause, words(&known));
    };
    let action = match &rule.action {
        None => None,
        Some(word) => Some(Action::from_word(word).with_context(|| {
            let known: Vec<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
            format!("no such action: `{word}`; there are {}", words(&known))
        })?),
    };
    let code = rule.code.map(|code| vec![code.to_string()]);
    let given: Vec<(Kind, Vec<String>)> = [
        (Kind::Phrase, rule.phrase.as_ref().map(Words::all)),
        (Kind::Token, rule.provider.as_ref().map(Words::all)),
        (Kind::Status, rule.enhanced.as_ref().map(Words::all)),
        (Kind::Code, code),
    ]
    .into_iter()
    .filter_map(|(kind, patterns)| Some((kind, patterns?)))
    .collect();
    let [(kind, patterns)] = &given[..] else {
        bail!("needs exactly one of `phrase`, `provider`, `enhanced` and `code`");
    };
    let samples = rule.sample.all();
    ensure!(!patterns.is_empty() && !samples.is_empty(), "an empty list says nothing");
    Ok(Rule {
        id: rule.id.clone(),
        cause,
        action,
        weight: OWN_WEIGHT,
        kind: *kind,
        patterns: patterns.clone(),
        samples,
        source: "the user's".to_owned(),
    })
}
