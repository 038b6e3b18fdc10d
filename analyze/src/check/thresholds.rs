//! Thresholds by scope: which rule of the settings judges a rate. Pure.

use crate::check::levels::Thresholds;
use crate::error::AnalyzeError;
use crate::timeline::model::{Cut, Scope, ScopeWord};

/// Metrics that have thresholds.
pub const METRICS: [&str; 2] = ["bounce_rate", "complaint_rate"];

/// The word for the tag by which senders tell campaigns apart.
const CAMPAIGN: &str = "campaign";

/// By what a rate is judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Its thresholds.
    pub thresholds: Thresholds,
    /// Attempts below which it must be sure.
    pub minimum_volume: u64,
}

/// A rule: for scopes that have all of its values, these limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    metric: String,
    /// Words and values, in order of the words.
    scope: Vec<(ScopeWord, String)>,
    limits: Limits,
}

impl Rule {
    /// A rule for a metric and some words of a scope with their values.
    ///
    /// # Errors
    /// If a word or the metric is none, or no word is given.
    pub fn new<'a>(
        metric: &str,
        scope: impl Iterator<Item = (&'a str, &'a str)>,
        limits: Limits,
    ) -> Result<Self, AnalyzeError> {
        if !METRICS.contains(&metric) {
            return Err(AnalyzeError::Threshold(format!(
                "no metric is called `{metric}`\n  hint: metric = \"{}\"",
                METRICS.join("\" or \"")
            )));
        }
        let word = |text: &str| match text {
            CAMPAIGN => Ok(ScopeWord::Tag(CAMPAIGN.to_owned())),
            other => other.parse(),
        };
        let mut scope = scope
            .map(|(text, value)| Ok((word(text)?, value.to_owned())))
            .collect::<Result<Vec<_>, AnalyzeError>>()?;
        if scope.is_empty() {
            return Err(AnalyzeError::Threshold(
                "it names no scope\n  hint: identity = \"example.com\", campaign = \"spring\" or another word of --by; [bounce] and [complaint] hold for all others"
                    .to_owned(),
            ));
        }
        scope.sort();
        Ok(Self { metric: metric.to_owned(), scope, limits })
    }

    fn holds_for(&self, metric: &str, scope: &Scope) -> bool {
        let has = |(word, value): &(ScopeWord, String)| {
            let name = word.name();
            scope.0.iter().any(|(word, own)| *word == name && own.as_ref() == Some(value))
        };
        self.metric == metric && self.scope.iter().all(has)
    }

    /// What it is for, in words.
    fn shown(&self) -> String {
        let words = self.scope.iter().map(|(word, value)| format!("{}={value}", word.name()));
        format!("{} of {}", self.metric, words.collect::<Vec<_>>().join(" "))
    }
}

/// All rules, in the order in which they are given.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// All rules.
    ///
    /// # Errors
    /// If two are for the same metric and scope.
    pub fn new(rules: Vec<Rule>) -> Result<Self, AnalyzeError> {
        for (at, rule) in rules.iter().enumerate() {
            let before = rules.iter().take(at);
            if before
                .into_iter()
                .any(|one| (&one.metric, &one.scope) == (&rule.metric, &rule.scope))
            {
                return Err(AnalyzeError::Threshold(format!("two are for {}", rule.shown())));
            }
        }
        Ok(Self(rules))
    }

    /// The limits for a rate: those of the rule with most words that holds for its scope, of several the last; else
    /// `others`.
    pub fn limits(&self, metric: &str, scope: &Scope, others: Limits) -> Limits {
        let rules = self.0.iter().filter(|rule| rule.holds_for(metric, scope));
        // of equals this is the last
        rules.max_by_key(|rule| rule.scope.len()).map_or(others, |rule| rule.limits)
    }

    /// Rules that hold for no scope of these cuts, in words.
    pub fn idle(&self, cuts: &[Cut]) -> Vec<String> {
        let account = Cut::account();
        let cut_by = |rule: &Rule| {
            let mut all = cuts.iter().chain([&account]);
            all.any(|cut| rule.scope.iter().all(|(word, _)| cut.0.contains(word)))
        };
        self.0.iter().filter(|rule| !cut_by(rule)).map(Rule::shown).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(warning: f64) -> Limits {
        let thresholds = Thresholds { warning, critical: 0.5, minimum_count: 5 };
        Limits { thresholds, minimum_volume: 1_000 }
    }

    fn rule(words: &[(&str, &str)], warning: f64) -> Rule {
        Rule::new("bounce_rate", words.iter().copied(), limits(warning)).unwrap()
    }

    fn scope(words: &[(&str, &str)]) -> Scope {
        let own = |(word, value): &(&str, &str)| ((*word).to_owned(), Some((*value).to_owned()));
        Scope([("account", "1"), ("region", "r")].iter().chain(words).map(own).collect())
    }

    #[test]
    fn the_most_specific_rule_wins() {
        let rules = Rules::new(vec![
            rule(&[("identity", "a"), ("campaign", "x")], 0.01),
            rule(&[("identity", "a")], 0.02),
            rule(&[("campaign", "x")], 0.03),
            rule(&[("account", "2")], 0.04),
        ])
        .unwrap();
        let (identity, tag) = (("identity", "a"), ("tag:campaign", "x"));
        for (words, expected) in [
            (&[][..], 0.09),
            (&[identity], 0.02),
            (&[tag], 0.03),
            (&[identity, tag], 0.01),
            // both rules of one word hold: the last one wins
            (&[("identity", "a"), ("tag:campaign", "y")], 0.02),
            (&[("identity", "b"), ("tag:campaign", "x")], 0.03),
        ] {
            let got = rules.limits("bounce_rate", &scope(words), limits(0.09));
            assert_eq!(got, limits(expected), "{words:?}");
        }
        let other = rules.limits("complaint_rate", &scope(&[identity]), limits(0.09));
        assert_eq!(other, limits(0.09));
    }

    #[test]
    fn of_rules_with_as_many_words_the_last_wins() {
        let (one, two) = (rule(&[("identity", "a")], 0.01), rule(&[("tenant", "t")], 0.02));
        let both = scope(&[("identity", "a"), ("tenant", "t")]);
        let warning = |rules| {
            Rules::new(rules).unwrap().limits("bounce_rate", &both, limits(0.09)).thresholds.warning
        };
        assert!((warning(vec![one.clone(), two.clone()]) - 0.02).abs() < 1e-12);
        assert!((warning(vec![two, one]) - 0.01).abs() < 1e-12);
    }

    #[test]
    fn what_makes_no_rule_is_told() {
        let words = |words: &[(&'static str, &'static str)], metric| {
            let rule = Rule::new(metric, words.iter().copied(), limits(0.1));
            rule.err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(words(&[("colour", "red")], "bounce_rate").contains("`colour`"));
        assert!(words(&[("identity", "a")], "open_rate").contains("`open_rate`"));
        assert!(words(&[], "bounce_rate").contains("no scope"));
        let twice = Rules::new(vec![
            rule(&[("identity", "a"), ("campaign", "x")], 0.1),
            rule(&[("tag:campaign", "x"), ("identity", "a")], 0.2),
        ]);
        assert!(twice.unwrap_err().to_string().contains("identity=a tag:campaign=x"));
    }

    #[test]
    fn rules_that_no_cut_reaches_are_told() {
        let rules =
            Rules::new(vec![rule(&[("identity", "a")], 0.1), rule(&[("account", "1")], 0.1)])
                .unwrap();
        assert_eq!(rules.idle(&[]), ["bounce_rate of identity=a"]);
        assert!(rules.idle(&[Cut::parse("identity,tenant").unwrap()]).is_empty());
    }
}
