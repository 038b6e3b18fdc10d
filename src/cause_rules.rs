//! Custom cause rules: from the settings file, and from a file of rules. The classifier tests each on its sample.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use bouncewatch_classify::Classifier;
use bouncewatch_classify::rule::{CUSTOM_RULE_WEIGHT, PatternKind, Rule};
use bouncewatch_schemas::cause::{Action, Cause};
use serde::{Deserialize, Serialize};

/// A file of rules.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    #[serde(default)]
    rule: Vec<CauseRule>,
}

/// One rule: a pattern (exactly one of `phrase`, `provider`, `enhanced`, `code`), its cause, and a text that it
/// matches.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CauseRule {
    id: String,
    cause: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phrase: Option<OneOrMore>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<OneOrMore>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enhanced: Option<OneOrMore>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    sample: OneOrMore,
}

/// One text, or a list of alternatives.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn to_vec(&self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text.clone()],
            Self::More(texts) => texts.clone(),
        }
    }
}

/// Returns the classifier with custom rules: `rules` of the settings file, then those of the file `path`. Without
/// custom rules it is the builtin one.
///
/// # Errors
/// If a rule is invalid or does not match its sample; the message names the rule and its file.
pub(crate) fn classifier(
    rules: &[CauseRule],
    path: Option<&Path>,
) -> anyhow::Result<Arc<Classifier>> {
    let mut custom = parse_all("the settings file", rules)?;
    let mut origin = "[[rule]] in the settings file".to_owned();
    if let Some(path) = path {
        origin = format!("cause rules `{}`", path.display());
        custom.extend(parse_all(&origin, &read(path)?)?);
    }
    if custom.is_empty() {
        return Ok(Arc::clone(Classifier::builtin()));
    }
    Ok(Arc::new(Classifier::new(custom).context(origin)?))
}

fn read(path: &Path) -> anyhow::Result<Vec<CauseRule>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("could not read cause rules `{}`", path.display()))?;
    let file: RuleFile = toml::from_str(&text)
        .with_context(|| format!("could not parse cause rules `{}`", path.display()))?;
    Ok(file.rule)
}

fn parse_all(origin: &str, rules: &[CauseRule]) -> anyhow::Result<Vec<Rule>> {
    rules
        .iter()
        .map(|rule| to_rule(rule).with_context(|| format!("{origin}: rule `{}`", rule.id)))
        .collect()
}

fn to_rule(rule: &CauseRule) -> anyhow::Result<Rule> {
    let Some(cause) = Cause::parse(&rule.cause) else {
        let known: Vec<&str> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
        bail!("unknown cause `{}`\n  hint: use one of {}", rule.cause, known.join(", "));
    };
    let action = match &rule.action {
        None => None,
        Some(name) => Some(Action::parse(name).with_context(|| {
            let known: Vec<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
            format!("unknown action `{name}`\n  hint: use one of {}", known.join(", "))
        })?),
    };
    let code = rule.code.map(|code| vec![code.to_string()]);
    let given: Vec<(PatternKind, Vec<String>)> = [
        (PatternKind::Phrase, rule.phrase.as_ref().map(OneOrMore::to_vec)),
        (PatternKind::Token, rule.provider.as_ref().map(OneOrMore::to_vec)),
        (PatternKind::Status, rule.enhanced.as_ref().map(OneOrMore::to_vec)),
        (PatternKind::Code, code),
    ]
    .into_iter()
    .filter_map(|(kind, patterns)| Some((kind, patterns?)))
    .collect();
    let [(kind, patterns)] = &given[..] else {
        bail!("needs exactly one of `phrase`, `provider`, `enhanced` and `code`");
    };
    let samples = rule.sample.to_vec();
    ensure!(!patterns.is_empty(), "the list of patterns is empty");
    ensure!(!samples.is_empty(), "the list of samples is empty");
    Ok(Rule {
        id: rule.id.clone(),
        cause,
        action,
        weight: CUSTOM_RULE_WEIGHT,
        kind: *kind,
        patterns: patterns.clone(),
        samples,
        source: "custom".to_owned(),
    })
}
