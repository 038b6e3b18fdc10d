//! All rules at once: one pass over the text finds every phrase, and the strongest rule tells.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;

use crate::classification::{Classification, Input, RunnerUp};
use crate::details;
use crate::fold::{Seen, fold, unwrap};
use crate::index::{Clause, Index, Scratch};
use crate::judge::{action, agrees, confidence, unknown};
use crate::rule::{self, Rule, RuleError};
use bouncewatch_schemas::cause::Cause;

/// The tables of the rules that come with bouncewatch.
const TABLES: &[(&str, &str)] = &[
    ("ses.tsv", include_str!("rules/ses.tsv")),
    ("providers.tsv", include_str!("rules/providers.tsv")),
    ("sender.tsv", include_str!("rules/sender.tsv")),
    ("message.tsv", include_str!("rules/message.tsv")),
    ("recipient.tsv", include_str!("rules/recipient.tsv")),
    ("servers.tsv", include_str!("rules/servers.tsv")),
    ("codes.tsv", include_str!("rules/codes.tsv")),
    ("lists.tsv", include_str!("rules/lists.tsv")),
];

/// The rules, ready to be asked. Made once, shared by threads.
#[derive(Debug)]
pub struct Classifier {
    rules: Vec<Rule>,
    index: Index,
}

impl Classifier {
    /// The rules that come with bouncewatch.
    #[expect(clippy::expect_used, reason = "the tables are part of the program, and tested")]
    pub fn builtin() -> &'static Self {
        static BUILTIN: LazyLock<Classifier> =
            LazyLock::new(|| Classifier::new(Vec::new()).expect("the tables of rules are good"));
        &BUILTIN
    }

    /// The same with rules of the user's, which go first.
    ///
    /// # Errors
    /// The first rule of the user's that cannot be used, or does not win one of its own samples.
    pub fn new(own: Vec<Rule>) -> Result<Self, RuleError> {
        let own_count = own.len();
        let mut rules = own;
        for (table, text) in TABLES {
            rules.extend(rule::parse(table, text)?);
        }
        let classifier = Self::of(rules)?;
        for (at, rule) in classifier.rules.iter().enumerate().take(own_count) {
            for sample in &rule.samples {
                classifier.check_sample(at, sample)?;
            }
        }
        Ok(classifier)
    }

    /// The rules, the user's first.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    fn of(rules: Vec<Rule>) -> Result<Self, RuleError> {
        let mut ids = HashSet::new();
        if let Some(rule) = rules.iter().find(|rule| !ids.insert(rule.id.as_str())) {
            return Err(RuleError::Twice(rule.id.clone()));
        }
        let index = Index::new(&rules)?;
        Ok(Self { rules, index })
    }

    /// Why a message did not arrive.
    pub fn classify<'a>(&'a self, input: &Input<'a>, scratch: &mut Scratch) -> Classification<'a> {
        let (text, expired) = input.text.map_or(("", false), unwrap);
        let seen = fold(text, input.remote_mta, &mut scratch.folded);
        let best = self.best(input, text, expired, seen, scratch);
        let Some(clause) = best.first else {
            return unknown(expired);
        };
        let rule = &self.rules[clause.rule as usize];
        let confidence = confidence(rule);
        Classification {
            cause: rule.cause,
            fault: rule.cause.fault(),
            action: action(rule, input, confidence),
            confidence,
            rule: Some(&rule.id),
            matched: rule.patterns.get(clause.pattern as usize).map(String::as_str),
            runner_up: best.second.map(|clause| {
                let rule = &self.rules[clause.rule as usize];
                RunnerUp { cause: rule.cause, rule: &rule.id }
            }),
            retry_after: details::retry_after(rule.cause, &scratch.folded),
            block_list: self.block_list(rule.cause, text, scratch),
            expired,
            agrees_with_ses: agrees(rule.cause, input),
        }
    }

    /// The block list that a text names, where it was blocked by one.
    fn block_list<'a>(&'a self, cause: Cause, text: &'a str, scratch: &Scratch) -> Option<&'a str> {
        if !matches!(cause, Cause::IpBlocklisted | Cause::DomainBlocklisted) {
            return None;
        }
        let named = scratch.hits.iter().find_map(|hit| self.index.atoms[*hit as usize].list);
        match named {
            Some(rule) => Some(&self.rules[rule as usize].id),
            None => details::host_of_list(text),
        }
    }

    fn best<'c>(
        &'c self,
        input: &Input<'_>,
        text: &str,
        expired: bool,
        seen: Seen,
        scratch: &mut Scratch,
    ) -> Best<'c> {
        self.index.search(scratch);
        let (clauses, guard) = self.index.clauses_of(scratch);
        let mut best = Best { about_sender: seen.ip || guard.is_some(), ..Best::default() };
        clauses.for_each(|clause| best.offer(clause));
        let inner = expired
            .then(|| bouncewatch_schemas::diagnostic::leading_status(text.get(4..)?))
            .flatten();
        if let Some(status) = inner.or(input.enhanced_status) {
            self.index.of_status(status).for_each(|clause| best.offer(clause));
        }
        if let Some(clause) = input.smtp_code.and_then(|code| self.index.of_code(code)) {
            best.offer(clause);
        }
        self.words_of_ses(input, &mut best);
        // an address that is said not to exist, and nothing but whose it is
        if let (None, true, Some(guard)) = (best.first, best.is_barred, guard)
            && guard.cause != Cause::Unknown
        {
            best.offer(guard);
        }
        best
    }

    fn words_of_ses<'c>(&'c self, input: &Input<'_>, best: &mut Best<'c>) {
        let is = |pattern: &str, word: Option<&str>| {
            pattern == "*" || word.is_some_and(|word| word.eq_ignore_ascii_case(pattern))
        };
        if input.bounce_type.is_some() {
            for (bounce_type, subtype, clause) in &self.index.ses {
                // an automatic reply has no report
                let replied = subtype == "General" && bounce_type == "Transient";
                let reported = input.text.is_some()
                    || input.enhanced_status.is_some()
                    || input.smtp_code.is_some();
                if is(bounce_type, input.bounce_type)
                    && is(subtype, input.bounce_subtype)
                    && !(replied && reported)
                {
                    best.offer(&self.index.clauses[*clause as usize]);
                }
            }
        }
        if input.delay_type.is_some() {
            for (delay, clause) in &self.index.delays {
                if is(delay, input.delay_type) {
                    best.offer(&self.index.clauses[*clause as usize]);
                }
            }
        }
    }

    /// Whether a rule wins a sample of its own.
    pub(super) fn check_sample(&self, rule: usize, sample: &str) -> Result<(), RuleError> {
        let id = &self.rules[rule].id;
        let (words, text) = rule::sample(sample);
        let said = bouncewatch_schemas::diagnostic::read(Some(Cow::Borrowed(text)), None);
        let input = words.input(&said);
        let mut scratch = Scratch::default();
        let found = self.classify(&input, &mut scratch);
        if found.rule == Some(id) {
            return Ok(());
        }
        let winner = found.rule.map_or_else(
            || "no rule knows it".to_owned(),
            |winner| format!("`{winner}` does, as {}", found.cause.as_str()),
        );
        Err(RuleError::Loses { id: id.clone(), sample: sample.to_owned(), winner })
    }

    /// Alternatives of phrases that are not found even in a text that is made of them.
    #[cfg(test)]
    pub(super) fn dead_alternatives(&self) -> Vec<String> {
        use crate::classifier::rule::Kind;

        let mut scratch = Scratch::default();
        let mut dead = Vec::new();
        for rule in &self.rules {
            if !matches!(rule.kind, Kind::Phrase | Kind::Token | Kind::Guard | Kind::List) {
                continue;
            }
            for pattern in &rule.patterns {
                let parts = pattern.split(" & ").filter(|part| !part.starts_with('!'));
                let text: Vec<&str> = parts.map(|part| part.trim_end_matches('*')).collect();
                let text = text.join(" ").replace("{ip}", "192.0.2.1");
                fold(&text.replace("{address}", "a@example.org"), None, &mut scratch.folded);
                self.index.search(&mut scratch);
                let atoms = scratch.hits.iter().map(|hit| &self.index.atoms[*hit as usize]);
                let is_found = atoms.clone().any(|atom| {
                    let clauses = atom.clauses.iter().chain(&atom.guards);
                    let mut clauses = clauses.map(|id| &self.index.clauses[*id as usize]);
                    clauses.any(|clause| {
                        self.rules[clause.rule as usize].id == rule.id
                            && rule.patterns[clause.pattern as usize] == *pattern
                            && clause.holds(&scratch.found)
                    })
                });
                let is_list = atoms.into_iter().any(|atom| atom.list.is_some());
                if !(is_found || rule.kind == Kind::List && is_list) {
                    dead.push(format!("{}: {pattern}", rule.id));
                }
            }
        }
        dead
    }
}

/// The strongest clause so far, and the strongest one of another cause.
#[derive(Debug, Default)]
struct Best<'c> {
    first: Option<&'c Clause>,
    second: Option<&'c Clause>,
    /// Whether the text is about the sender, so that no clause about the address counts.
    about_sender: bool,
    /// Whether there was one that does not count.
    is_barred: bool,
}

impl<'c> Best<'c> {
    fn offer(&mut self, clause: &'c Clause) {
        if self.about_sender && clause.cause.is_dead_address() && !clause.is_own() {
            self.is_barred = true;
            return;
        }
        let Some(first) = self.first else {
            self.first = Some(clause);
            return;
        };
        let (winner, loser) =
            if clause.rank > first.rank { (clause, first) } else { (first, clause) };
        self.first = Some(winner);
        if loser.cause != winner.cause
            && self
                .second
                .is_none_or(|second| loser.rank > second.rank || second.cause == winner.cause)
        {
            self.second = Some(loser);
        } else if self.second.is_some_and(|second| second.cause == winner.cause) {
            self.second = None;
        }
    }
}
