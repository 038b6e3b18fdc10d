//! Thresholds, and rules that override them for single scopes. No I/O.

use std::collections::BTreeMap;

use bouncewatch_schemas::send_counts::SCOPE_COLUMNS;

use crate::error::AnalyzeError;
use crate::timeline::{ACCOUNT_COLUMNS, Dimension, Grouping, Scope};

/// Metrics that have thresholds.
pub const METRICS: [&str; 2] = ["bounce_rate", "complaint_rate"];

/// Key in `[[threshold]]` that is short for `tag:campaign`.
const CAMPAIGN: &str = "campaign";

/// Thresholds of a rate. A rate at or above a threshold reaches it, as with AWS (Amazon SES FAQs: review at 5 % bounces
/// or 0.1 % complaints "or greater", possible pause at 10 % or 0.5 %).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Rate at which SES reviews an account.
    pub warning: f64,
    /// Rate at which SES may pause sending.
    pub critical: f64,
    /// Smallest count that reaches a level in a group with fewer attempts than the minimum volume.
    pub minimum_count: u64,
}

/// Thresholds and minimum volume of a rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Thresholds.
    pub thresholds: Thresholds,
    /// Minimum attempts for the rate alone to set the level; below it, the interval must also be above the threshold.
    pub minimum_volume: u64,
}

/// Limits of one metric for all scopes that have certain values: one `[[threshold]]` of the settings.
#[derive(Debug, Clone, PartialEq)]
pub struct ThresholdRule {
    metric: String,
    /// Dimensions and values, sorted by dimension.
    scope: Vec<(Dimension, String)>,
    limits: Limits,
}

impl ThresholdRule {
    /// Returns a rule for a metric and at least one (dimension, value) pair. `None` stands for a
    /// value that is not a string.
    ///
    /// # Errors
    /// If the metric or a dimension is unknown, a value is not a string, or `scope` is empty.
    pub fn new<'a>(
        metric: &str,
        scope: impl Iterator<Item = (&'a str, Option<&'a str>)>,
        limits: Limits,
    ) -> Result<Self, AnalyzeError> {
        if !METRICS.contains(&metric) {
            return Err(AnalyzeError::Threshold(format!(
                "unknown metric `{metric}`\n  hint: metric = \"{}\"",
                METRICS.join("\" or \"")
            )));
        }
        let text = |name: &str, value: Option<&str>| {
            value.map(str::to_owned).ok_or_else(|| {
                AnalyzeError::Threshold(format!(
                    "the value of `{name}` is not a string\n  hint: write it in quotes: {name} = \"...\""
                ))
            })
        };
        let mut scope = scope
            .map(|(name, value)| Ok((Self::dimension(name)?, text(name, value)?)))
            .collect::<Result<Vec<_>, AnalyzeError>>()?;
        if scope.is_empty() {
            return Err(AnalyzeError::Threshold(
                "no scope given\n  hint: add identity = \"example.com\", campaign = \"spring\" or another dimension of --by; [bounce] and [complaint] apply to all other scopes"
                    .to_owned(),
            ));
        }
        scope.sort();
        Ok(Self { metric: metric.to_owned(), scope, limits })
    }

    fn dimension(name: &str) -> Result<Dimension, AnalyzeError> {
        if name == CAMPAIGN {
            return Ok(Dimension::Tag(CAMPAIGN.to_owned()));
        }
        name.parse().map_err(|_| {
            AnalyzeError::Threshold(format!(
                "unknown dimension `{name}`\n  \
                 hint: use one of {}, {}, {CAMPAIGN}, or \"tag:NAME\" in quotes; \
                 other keys are metric, warning, critical, minimum_volume and minimum_count",
                ACCOUNT_COLUMNS.join(", "),
                SCOPE_COLUMNS.join(", ")
            ))
        })
    }

    /// Text for messages: `bounce_rate of identity=example.com`.
    fn describe(&self) -> String {
        let pairs = self.scope.iter().map(|(name, value)| format!("{}={value}", name.name()));
        format!("{} of {}", self.metric, pairs.collect::<Vec<_>>().join(" "))
    }
}

/// Metric of a rule, and its values in the order of its dimensions.
type RuleKey = (String, Vec<String>);

/// All threshold rules. There can be one for each of tens of thousands of scopes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ThresholdRules {
    /// In the order of the settings.
    rules: Vec<ThresholdRule>,
    /// Positions of the rules by list of dimensions; few different lists occur.
    by_dimensions: BTreeMap<Vec<Dimension>, BTreeMap<RuleKey, usize>>,
}

impl ThresholdRules {
    /// Returns the rules.
    ///
    /// # Errors
    /// If two rules have the same metric and scope.
    pub fn new(rules: Vec<ThresholdRule>) -> Result<Self, AnalyzeError> {
        let mut by_dimensions: BTreeMap<_, BTreeMap<RuleKey, usize>> = BTreeMap::new();
        for (position, rule) in rules.iter().enumerate() {
            let (dimensions, values): (Vec<_>, Vec<_>) = rule.scope.iter().cloned().unzip();
            let same = by_dimensions.entry(dimensions).or_default();
            if same.insert((rule.metric.clone(), values), position).is_some() {
                return Err(AnalyzeError::Threshold(format!("two rules for {}", rule.describe())));
            }
        }
        Ok(Self { rules, by_dimensions })
    }

    /// Returns the limits of the matching rule with the most dimensions (the last one if several tie), or `default`.
    pub fn limits(&self, metric: &str, scope: &Scope, default: Limits) -> Limits {
        let value = |dimension: &Dimension| {
            let name = dimension.name();
            scope.0.iter().find(|(known, _)| *known == name).and_then(|(_, value)| value.clone())
        };
        let matching = self.by_dimensions.iter().filter_map(|(dimensions, rules)| {
            let values = dimensions.iter().map(value).collect::<Option<Vec<_>>>()?;
            let position = *rules.get(&(metric.to_owned(), values))?;
            Some((dimensions.len(), position))
        });
        let best = matching.max().and_then(|(_, position)| self.rules.get(position));
        best.map_or(default, |rule| rule.limits)
    }

    /// Returns the rules that apply to no scope of these groupings, as text for messages.
    pub fn unused(&self, groupings: &[Grouping]) -> Vec<String> {
        let account = Grouping::account();
        let is_used = |rule: &ThresholdRule| {
            let mut all = groupings.iter().chain([&account]);
            all.any(|grouping| {
                rule.scope.iter().all(|(dimension, _)| grouping.0.contains(dimension))
            })
        };
        self.rules.iter().filter(|rule| !is_used(rule)).map(ThresholdRule::describe).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(warning: f64) -> Limits {
        let thresholds = Thresholds { warning, critical: 0.5, minimum_count: 5 };
        Limits { thresholds, minimum_volume: 1_000 }
    }

    fn rule(pairs: &[(&str, &str)], warning: f64) -> ThresholdRule {
        let scope = pairs.iter().map(|(name, value)| (*name, Some(*value)));
        ThresholdRule::new("bounce_rate", scope, limits(warning)).unwrap()
    }

    fn scope(pairs: &[(&str, &str)]) -> Scope {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), Some((*value).to_owned()));
        Scope([("account", "1"), ("region", "r")].iter().chain(pairs).map(owned).collect())
    }

    #[test]
    fn rule_with_most_dimensions_wins() {
        let rules = ThresholdRules::new(vec![
            rule(&[("identity", "a"), ("campaign", "x")], 0.01),
            rule(&[("identity", "a")], 0.02),
            rule(&[("campaign", "x")], 0.03),
            rule(&[("account", "2")], 0.04),
        ])
        .unwrap();
        let (identity, tag) = (("identity", "a"), ("tag:campaign", "x"));
        for (pairs, expected) in [
            (&[][..], 0.09),
            (&[identity], 0.02),
            (&[tag], 0.03),
            (&[identity, tag], 0.01),
            // only the rule with one dimension applies: the value of the other dimension differs
            (&[("identity", "a"), ("tag:campaign", "y")], 0.02),
            (&[("identity", "b"), ("tag:campaign", "x")], 0.03),
        ] {
            let got = rules.limits("bounce_rate", &scope(pairs), limits(0.09));
            assert_eq!(got, limits(expected), "{pairs:?}");
        }
        let other = rules.limits("complaint_rate", &scope(&[identity]), limits(0.09));
        assert_eq!(other, limits(0.09));
    }

    #[test]
    fn last_of_equally_specific_rules_wins() {
        let (one, two) = (rule(&[("identity", "a")], 0.01), rule(&[("tenant", "t")], 0.02));
        let both = scope(&[("identity", "a"), ("tenant", "t")]);
        let warning = |rules| {
            ThresholdRules::new(rules)
                .unwrap()
                .limits("bounce_rate", &both, limits(0.09))
                .thresholds
                .warning
        };
        assert!((warning(vec![one.clone(), two.clone()]) - 0.02).abs() < 1e-12);
        assert!((warning(vec![two, one]) - 0.01).abs() < 1e-12);
    }

    #[test]
    fn invalid_rule_is_rejected_with_reason() {
        let error = |pairs: &[(&'static str, &'static str)], metric| {
            let text = |value: &'static str| (value != "12").then_some(value);
            let scope = pairs.iter().map(|(name, value)| (*name, text(value)));
            let rule = ThresholdRule::new(metric, scope, limits(0.1));
            rule.err().map(|error| error.to_string()).unwrap_or_default()
        };
        let unknown = error(&[("colour", "red")], "bounce_rate");
        for part in ["`colour`", "account, region, identity", "campaign", "\"tag:NAME\""] {
            assert!(unknown.contains(part), "{part}: {unknown}");
        }
        assert!(error(&[("account", "12")], "bounce_rate").contains("account = \"...\""));
        assert!(error(&[("identity", "a")], "open_rate").contains("`open_rate`"));
        assert!(error(&[], "bounce_rate").contains("no scope"));
        let twice = ThresholdRules::new(vec![
            rule(&[("identity", "a"), ("campaign", "x")], 0.1),
            rule(&[("tag:campaign", "x"), ("identity", "a")], 0.2),
        ]);
        assert!(twice.unwrap_err().to_string().contains("identity=a tag:campaign=x"));
    }

    /// Takes minutes if each scope is compared with each rule.
    #[test]
    fn limits_of_50_000_scopes_with_a_rule_each() {
        let names: Vec<String> = (0..50_000).map(|number| format!("i{number}")).collect();
        let rules = names.iter().map(|name| rule(&[("identity", name)], 0.01)).collect();
        let rules = ThresholdRules::new(rules).unwrap();
        let start = std::time::Instant::now();
        for name in &names {
            let scope = scope(&[("identity", name)]);
            assert_eq!(rules.limits("bounce_rate", &scope, limits(0.09)), limits(0.01));
        }
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }

    #[test]
    fn unused_lists_rules_outside_the_groupings() {
        let rules = ThresholdRules::new(vec![
            rule(&[("identity", "a")], 0.1),
            rule(&[("account", "1")], 0.1),
        ])
        .unwrap();
        assert_eq!(rules.unused(&[]), ["bounce_rate of identity=a"]);
        assert!(rules.unused(&[Grouping::parse("identity,tenant").unwrap()]).is_empty());
    }
}
