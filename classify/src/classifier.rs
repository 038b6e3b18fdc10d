//! Matches all rules in one pass over the text; the matching clause with the greatest rank gives the cause.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;

use bouncewatch_schemas::cause::Cause;

use crate::classification::{Classification, RunnerUp};
use crate::failure_facts::FailureFacts;
use crate::fold::{FoldFacts, fold, unwrap};
use crate::index::{Clause, Index, Scratch};
use crate::index_builder;
use crate::outcome::{action, agrees, confidence, unknown};
use crate::reply_details;
use crate::rule::{self, Rule, RuleError};

/// The tables of the builtin rules.
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

/// A compiled set of rules. Build it once and share it between threads.
#[derive(Debug)]
pub struct Classifier {
    rules: Vec<Rule>,
    index: Index,
}

impl Classifier {
    /// The builtin rules.
    #[expect(clippy::expect_used, reason = "the tables are part of the program, and tested")]
    pub fn builtin() -> &'static Self {
        static BUILTIN: LazyLock<Classifier> =
            LazyLock::new(|| Classifier::new(Vec::new()).expect("the builtin rules are valid"));
        &BUILTIN
    }

    /// The builtin rules and custom rules, which take precedence.
    ///
    /// # Errors
    /// The first custom rule that is invalid, or does not win one of its own samples.
    pub fn new(custom: Vec<Rule>) -> Result<Self, RuleError> {
        let custom_count = custom.len();
        let mut rules = custom;
        for (table, text) in TABLES {
            rules.extend(rule::parse(table, text)?);
        }
        let classifier = Self::from_rules(rules)?;
        for (at, rule) in classifier.rules.iter().enumerate().take(custom_count) {
            for sample in &rule.samples {
                classifier.check_sample(at, sample)?;
            }
        }
        Ok(classifier)
    }

    /// All rules, custom rules first.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    fn from_rules(rules: Vec<Rule>) -> Result<Self, RuleError> {
        let mut ids = HashSet::new();
        if let Some(rule) = rules.iter().find(|rule| !ids.insert(rule.id.as_str())) {
            return Err(RuleError::DuplicateId(rule.id.clone()));
        }
        let index = index_builder::build(&rules)?;
        Ok(Self { rules, index })
    }

    /// Returns the cause of a failure.
    pub fn classify<'a>(
        &'a self,
        facts: &FailureFacts<'a>,
        scratch: &mut Scratch,
    ) -> Classification<'a> {
        let (text, expired) = facts.text.map_or(("", false), unwrap);
        let folded = fold(text, facts.remote_mta, &mut scratch.folded);
        let best = self.best_match(facts, (text, expired), folded, scratch);
        let Some(clause) = best.first else {
            return unknown(expired);
        };
        let rule = &self.rules[clause.rule as usize];
        let confidence = confidence(rule);
        Classification {
            cause: rule.cause,
            fault: rule.cause.fault(),
            action: action(rule, facts, confidence),
            confidence,
            rule: Some(&rule.id),
            matched: rule.patterns.get(clause.pattern as usize).map(String::as_str),
            runner_up: best.second.map(|clause| {
                let rule = &self.rules[clause.rule as usize];
                RunnerUp { cause: rule.cause, rule: &rule.id }
            }),
            retry_after: reply_details::retry_after(rule.cause, &scratch.folded),
            block_list: self.block_list(rule.cause, text, scratch),
            expired,
            agrees_with_ses: agrees(rule.cause, facts),
        }
    }

    /// The block list that a text names.
    fn block_list<'a>(&'a self, cause: Cause, text: &'a str, scratch: &Scratch) -> Option<&'a str> {
        if !matches!(cause, Cause::IpBlocklisted | Cause::DomainBlocklisted) {
            return None;
        }
        let named = self.index.found_phrases(scratch).find_map(|phrase| phrase.block_list);
        match named {
            Some(rule) => Some(&self.rules[rule as usize].id),
            None => reply_details::block_list_host(text),
        }
    }

    /// Ranks all clauses that match. `text` is the innermost reply, with whether the message expired.
    fn best_match<'c>(
        &'c self,
        facts: &FailureFacts<'_>,
        (text, expired): (&str, bool),
        folded: FoldFacts,
        scratch: &mut Scratch,
    ) -> BestMatch<'c> {
        self.index.search(scratch);
        let (clauses, guard) = self.index.matching_clauses(scratch);
        let not_recipient = folded.has_sender_ip || guard.is_some();
        let mut best = BestMatch { not_recipient, ..BestMatch::default() };
        clauses.for_each(|clause| best.offer(clause));
        let inner_status = expired
            .then(|| bouncewatch_schemas::diagnostic::leading_status(text.get(4..)?))
            .flatten();
        if let Some(status) = inner_status.or(facts.enhanced_status) {
            self.index.clauses_of_status(status).for_each(|clause| best.offer(clause));
        }
        if let Some(clause) = facts.smtp_code.and_then(|code| self.index.clause_of_code(code)) {
            best.offer(clause);
        }
        self.offer_ses_clauses(facts, &mut best);
        // the text states that an address does not exist, and the guard shows that it is not the recipient's
        if let (None, true, Some(guard)) = (best.first, best.has_barred, guard)
            && guard.cause != Cause::Unknown
        {
            best.offer(guard);
        }
        best
    }

    /// Offers the clauses of the SES bounce type, subtype and delay type.
    fn offer_ses_clauses<'c>(&'c self, facts: &FailureFacts<'_>, best: &mut BestMatch<'c>) {
        let is = |pattern: &str, value: Option<&str>| {
            pattern == "*" || value.is_some_and(|value| value.eq_ignore_ascii_case(pattern))
        };
        if facts.bounce_type.is_some() {
            for (bounce_type, subtype, clause) in &self.index.ses {
                // an automatic reply has no delivery report
                let is_auto_reply = subtype == "General" && bounce_type == "Transient";
                let has_report = facts.text.is_some()
                    || facts.enhanced_status.is_some()
                    || facts.smtp_code.is_some();
                if is(bounce_type, facts.bounce_type)
                    && is(subtype, facts.bounce_subtype)
                    && !(is_auto_reply && has_report)
                {
                    best.offer(&self.index.clauses[*clause as usize]);
                }
            }
        }
        if facts.delay_type.is_some() {
            for (delay, clause) in &self.index.delays {
                if is(delay, facts.delay_type) {
                    best.offer(&self.index.clauses[*clause as usize]);
                }
            }
        }
    }

    /// Checks that a rule wins one of its samples.
    ///
    /// # Errors
    /// [`RuleError::LosesSample`] with the rule that wins instead.
    pub(super) fn check_sample(&self, rule: usize, sample: &str) -> Result<(), RuleError> {
        let id = &self.rules[rule].id;
        let (ses, text) = rule::sample(sample);
        let diagnostic = bouncewatch_schemas::diagnostic::parse(Some(Cow::Borrowed(text)), None);
        let mut scratch = Scratch::default();
        let found = self.classify(&ses.with_diagnostic(&diagnostic), &mut scratch);
        if found.rule == Some(id) {
            return Ok(());
        }
        let winner = found.rule.map_or_else(
            || "no rule matches it".to_owned(),
            |winner| format!("rule `{winner}` wins it, with cause {}", found.cause.as_str()),
        );
        Err(RuleError::LosesSample { id: id.clone(), sample: sample.to_owned(), winner })
    }

    /// Alternatives that do not match even a text that consists of their phrases.
    #[cfg(test)]
    pub(super) fn unmatchable_alternatives(&self) -> Vec<String> {
        use crate::rule::PatternKind;

        let mut scratch = Scratch::default();
        let mut unmatchable = Vec::new();
        for rule in &self.rules {
            if !matches!(
                rule.kind,
                PatternKind::Phrase | PatternKind::Token | PatternKind::Guard | PatternKind::List
            ) {
                continue;
            }
            for pattern in &rule.patterns {
                let parts = pattern.split(" & ").filter(|part| !part.starts_with('!'));
                let text: Vec<&str> = parts.map(|part| part.trim_end_matches('*')).collect();
                let text = text.join(" ").replace("{ip}", "192.0.2.1");
                fold(&text.replace("{address}", "a@example.org"), None, &mut scratch.folded);
                self.index.search(&mut scratch);
                let is_found = self.index.found_phrases(&scratch).any(|phrase| {
                    let clauses = phrase.clauses.iter().chain(&phrase.guards);
                    let mut clauses = clauses.map(|id| &self.index.clauses[*id as usize]);
                    clauses.any(|clause| {
                        self.rules[clause.rule as usize].id == rule.id
                            && rule.patterns[clause.pattern as usize] == *pattern
                            && clause.matches(&scratch.found)
                    })
                });
                let is_list =
                    self.index.found_phrases(&scratch).any(|phrase| phrase.block_list.is_some());
                if !(is_found || rule.kind == PatternKind::List && is_list) {
                    unmatchable.push(format!("{}: {pattern}", rule.id));
                }
            }
        }
        unmatchable
    }
}

/// The clause with the greatest rank so far, and the best clause of another cause.
#[derive(Debug, Default)]
struct BestMatch<'c> {
    first: Option<&'c Clause>,
    second: Option<&'c Clause>,
    /// Whether the text is not about the recipient. Builtin clauses with a recipient failure are then barred.
    not_recipient: bool,
    /// Whether a clause was barred.
    has_barred: bool,
}

impl<'c> BestMatch<'c> {
    fn offer(&mut self, clause: &'c Clause) {
        if self.not_recipient && clause.cause.is_recipient_failure() && !clause.is_custom {
            self.has_barred = true;
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
