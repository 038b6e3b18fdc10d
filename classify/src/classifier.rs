//! Matches all rules in one pass over the text; the matching clause with the greatest rank gives the cause.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use bouncewatch_schemas::cause::Cause;

use crate::classification::{Classification, Confidence, RunnerUp};
use crate::failure_facts::FailureFacts;
use crate::fold::fold;
use crate::frames::{InnerReply, unwrap};
use crate::index::{Clause, FULL_MAILBOX, INVALID_RECIPIENT, Index, NO_PHRASE, Scratch};
use crate::index_builder;
use crate::outcome::{action, agrees, confidence, unknown};
use crate::phrase_table::Hit;
use crate::reply_details;
use crate::rule::{self, PatternKind, Rule, RuleError};
use crate::words;

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
    /// Index of a guard clause of texts about the sender's address.
    sender_guard: Option<usize>,
}

impl Classifier {
    /// The builtin rules.
    #[expect(clippy::expect_used, reason = "the tables are part of the program, and tested")]
    pub fn builtin() -> &'static Arc<Self> {
        static BUILTIN: LazyLock<Arc<Classifier>> = LazyLock::new(|| {
            Arc::new(Classifier::new(Vec::new()).expect("the builtin rules are valid"))
        });
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
        let is_sender_guard = |clause: &Clause| {
            let rule = &rules[clause.rule as usize];
            rule.kind == PatternKind::Guard && rule.cause == Cause::SenderDns
        };
        let sender_guard = index.clauses.iter().position(is_sender_guard);
        Ok(Self { rules, index, sender_guard })
    }

    /// Returns the cause of a failure.
    pub fn classify<'a>(
        &'a self,
        facts: &FailureFacts<'a>,
        scratch: &mut Scratch,
    ) -> Classification<'a> {
        let reply = facts.text.map(unwrap).unwrap_or_default();
        let folded = fold(reply.text, facts.remote_mta, &mut scratch.folded, &mut scratch.classes);
        let best = self.best_match(facts, &reply, folded.has_sender_ip, scratch);
        let is_certain = |clause: &&Clause| best.hedge != Hedge::Opposite || clause.is_certain();
        let Some(clause) = best.first.filter(is_certain) else {
            return unknown(reply.expired);
        };
        let rule = &self.rules[clause.rule as usize];
        let confidence = match best.hedge {
            _ if clause.lacks_recipient() && best.names_recipient == Some(false) => Confidence::Low,
            Hedge::None => confidence(rule),
            Hedge::Open => Confidence::Low,
            Hedge::Alike | Hedge::Opposite => confidence(rule).min(Confidence::Medium),
        };
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
            retry_after: self.retry_after(rule.cause, scratch),
            block_list: self.block_list(rule.cause, reply.text, scratch),
            expired: reply.expired,
            agrees_with_ses: agrees(rule.cause, facts),
        }
    }

    /// Seconds after which the server asks for a retry. Only for temporary causes.
    fn retry_after(&self, cause: Cause, scratch: &Scratch) -> Option<u32> {
        let is_temporary = matches!(
            cause,
            Cause::RateLimited
                | Cause::Greylisted
                | Cause::ServerError
                | Cause::ReputationLow
                | Cause::MailboxFull
        );
        let mut marks = self.index.marks(PatternKind::Retry, scratch).filter(|_| is_temporary);
        marks.find_map(|(hit, _)| reply_details::duration(&scratch.folded[hit.end()..]))
    }

    /// The block list that a text names: a known one, else the host of a list, else that there is one.
    fn block_list<'a>(&'a self, cause: Cause, text: &'a str, scratch: &Scratch) -> Option<&'a str> {
        let is_listed = matches!(cause, Cause::IpBlocklisted | Cause::DomainBlocklisted);
        if !is_listed && cause != Cause::ReputationLow {
            return None;
        }
        let rules = || {
            self.index.marks(PatternKind::List, scratch).map(|(_, rule)| &self.rules[rule as usize])
        };
        let known = rules().find(|rule| rule.weight > 1).map(|rule| rule.id.as_str());
        known
            .or_else(|| reply_details::block_list_host(text).filter(|_| is_listed))
            .or_else(|| rules().next().map(|rule| rule.id.as_str()).filter(|_| is_listed))
    }

    /// Ranks all clauses that match.
    fn best_match<'c>(
        &'c self,
        facts: &FailureFacts<'_>,
        reply: &InnerReply<'_>,
        has_sender_ip: bool,
        scratch: &mut Scratch,
    ) -> BestMatch<'c> {
        self.index.search(scratch);
        let guard = self.index.guard(scratch);
        let not_recipient = has_sender_ip || reply.about_sender || guard.is_some();
        let mut best = BestMatch { not_recipient, ..BestMatch::default() };
        // the other codes are those of the text around the reply
        let is_outer = reply.has_frame && !reply.expired;
        let status = facts.enhanced_status.filter(|_| !is_outer);
        let status = reply.status().or(status);
        self.offer_clauses_of_phrases(&mut best, status, scratch);
        best.drop_words();
        if self.index.marks(PatternKind::Hedge, scratch).next().is_some() {
            let is_about_sender = guard.is_some_and(|guard| guard.cause != Cause::Unknown);
            let is_opposite = !is_about_sender && best.has_opposite_causes();
            best.hedge = if is_opposite { Hedge::Opposite } else { Hedge::Alike };
        } else {
            self.find_alternatives(&mut best, scratch);
        }
        if best.hedge != Hedge::Opposite && self.is_doubtful(&best, scratch) {
            best.hedge = Hedge::Open;
        }
        if let Some(status) = status {
            self.index.clauses_of_status(status).for_each(|clause| best.offer(clause));
        }
        let code = reply.code().or(facts.smtp_code.filter(|_| !is_outer));
        if let Some(clause) = code.and_then(|code| self.index.clause_of_code(code)) {
            best.offer(clause);
        }
        self.offer_ses_clauses(facts, &mut best);
        // the text states that an address does not exist, and the guard shows that it is not the recipient's
        let guard = guard.filter(|guard| guard.cause != Cause::Unknown);
        // or the text around the reply shows it: `Sender address rejected: undeliverable address: ...`
        let sender_guard = || self.sender_guard.filter(|_| reply.about_sender);
        let guard = guard.or_else(|| self.index.clauses.get(sender_guard()?));
        if let (None, true, Some(guard)) = (best.first, best.has_barred, guard) {
            best.offer(guard);
        }
        best
    }

    /// Offers the matching clauses of phrases: first those of the text before advice, then those of the advice.
    fn offer_clauses_of_phrases<'c>(
        &'c self,
        best: &mut BestMatch<'c>,
        status: Option<&str>,
        scratch: &mut Scratch,
    ) {
        self.index.match_clauses(scratch);
        let scratch = &*scratch;
        let advice = || self.index.marks(PatternKind::Advice, scratch).map(|(hit, _)| hit.start());
        let first_advice = advice().next();
        let passes: &[bool] = if first_advice.is_some() { &[false, true] } else { &[false] };
        let words = &self.index.words;
        let may_be_hypothetical = first_advice.is_some()
            || self.index.marks(PatternKind::Condition, scratch).next().is_some();
        // the subject of the status code: addresses and mailboxes, or something else
        let subject = status.and_then(|status| status.split('.').nth(1)?.parse::<u16>().ok());
        for in_advice in passes {
            let has_reason = *in_advice && best.has_reason();
            for clause in self.index.matching_clauses(scratch) {
                let is_in_advice = |advice| Index::place(clause.first, scratch).start() > advice;
                if first_advice.is_some_and(|advice| is_in_advice(advice) != *in_advice) {
                    continue;
                }
                // a token of a provider stands in the URL that follows `please visit`
                if !clause.is_token && !clause.is_custom {
                    let is_hypothetical = || {
                        let place = |phrase| Index::place(phrase, scratch);
                        let (first, last) = (place(clause.first), place(clause.last));
                        words.is_hypothetical(&scratch.folded, first, last, advice())
                    };
                    if has_reason
                        || may_be_hypothetical && clause.recipient_reason != 0 && is_hypothetical()
                    {
                        continue;
                    }
                    if clause.lacks_recipient() {
                        let names = || words.names_recipient(&scratch.folded);
                        let names = *best.names_recipient.get_or_insert_with(names);
                        if !names && matches!(subject, Some(3..)) {
                            continue;
                        }
                    }
                }
                best.offer(clause);
            }
        }
    }

    /// Whether the text doubts that the recipient is invalid, in the same sentence, or asks for a retry: `user unknown, try
    /// again later`.
    fn is_doubtful(&self, best: &BestMatch<'_>, scratch: &Scratch) -> bool {
        let is_invalid = |first: &&Clause| {
            first.recipient_reason == INVALID_RECIPIENT
                && first.first != NO_PHRASE
                && !first.is_certain()
        };
        let Some(first) = best.first.filter(is_invalid) else { return false };
        let (start, end) = (Index::place(first.first, scratch), Index::place(first.last, scratch));
        let sentence = words::sentence_around(&scratch.folded, start, end);
        let is_near = |(hedge, _): (Hit, u32)| sentence.contains(&hedge.start());
        scratch.folded[sentence.clone()].ends_with(b"?")
            || self.index.marks(PatternKind::Hedge, scratch).any(is_near)
            || self.index.marks(PatternKind::Temporary, scratch).next().is_some()
    }

    /// Decides between alternatives of the text, `no such user or mailbox full`: a full mailbox if one of them is, so that
    /// the address is tried again; unknown if one is not about the recipient; a low confidence if no rule knows one.
    fn find_alternatives<'c>(&'c self, best: &mut BestMatch<'c>, scratch: &Scratch) {
        let words = &self.index.words;
        let first = best.first.filter(|first| first.is_about_mailbox() && !first.is_certain());
        let Some(first) = first else { return };
        let place = |phrase| Index::place(phrase, scratch);
        let (start, end) = (place(first.first), place(first.last));
        let has_word = self.index.marks(PatternKind::Alternative, scratch).next().is_some();
        if words.has_alternative(&scratch.folded, start, end, has_word) {
            best.hedge = Hedge::Open;
        } else if !has_word || best.reasons == INVALID_RECIPIENT {
            return;
        }
        for clause in self.index.matching_clauses(scratch).filter(|clause| !clause.is_word) {
            if words.are_alternatives(&scratch.folded, start, place(clause.first)) {
                match clause.recipient_reason {
                    0 => best.hedge = Hedge::Opposite,
                    FULL_MAILBOX => (best.first, best.second) = (Some(clause), Some(first)),
                    _ => best.hedge = Hedge::None,
                }
            }
        }
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
        let mut scratch = Scratch::default();
        let mut unmatchable = Vec::new();
        for rule in &self.rules {
            if matches!(
                rule.kind,
                PatternKind::Status
                    | PatternKind::Code
                    | PatternKind::Ses
                    | PatternKind::Delay
                    | PatternKind::Recipient
            ) {
                continue;
            }
            for pattern in &rule.patterns {
                let parts = pattern.split(" & ").filter(|part| !part.starts_with('!'));
                let text: Vec<&str> = parts.map(|part| part.trim_end_matches('*')).collect();
                let text = text.join(" ").replace("{ip}", "192.0.2.1");
                let text = text.replace("{address}", "a@example.org");
                fold(&text, None, &mut scratch.folded, &mut scratch.classes);
                self.index.search(&mut scratch);
                let is_found = self.index.clauses_of_found_phrases(&scratch).any(|clause| {
                    self.rules[clause.rule as usize].id == rule.id
                        && rule.patterns[clause.pattern as usize] == *pattern
                        && clause.matches(&scratch.found.phrases)
                });
                let is_mark = self.index.marks(rule.kind, &scratch).next().is_some();
                if !(is_found || is_mark) {
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
    /// Whether the text names a recipient; only known if it matters, because a clause does not.
    names_recipient: Option<bool>,
    /// Whether the text is not about the recipient. Builtin clauses with a recipient failure are then barred.
    not_recipient: bool,
    /// Whether a clause was barred.
    has_barred: bool,
    /// The reasons that phrases of the text state: bits of [`recipient_reason`](crate::index::recipient_reason), and
    /// [`OTHER_REASON`].
    reasons: u8,
    hedge: Hedge,
}

/// Whether the text names possible causes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Hedge {
    #[default]
    None,
    /// Possible causes that are all about an invalid recipient, or all not about the recipient.
    Alike,
    /// A mailbox that does not exist, or something that no clause describes; or one that possibly does not exist.
    Open,
    /// Possible causes of which one is about the recipient and one is not, or a full mailbox and an invalid recipient.
    Opposite,
}

/// Bit of a reason that is not about the recipient.
const OTHER_REASON: u8 = 1 << 7;
/// Weight of a phrase that states a reason, in contrast to a word.
const REASON_WEIGHT: u64 = 6;

impl<'c> BestMatch<'c> {
    /// Whether a phrase states the reason.
    fn has_reason(&self) -> bool {
        self.first.is_some_and(|first| first.weight() >= REASON_WEIGHT)
    }

    /// Whether phrases of two causes match, of which one is about the recipient and one is not, or one is a full
    /// mailbox and one an invalid recipient.
    fn has_opposite_causes(&self) -> bool {
        let is_recipient =
            |clause: Option<&Clause>| clause.map(|clause| clause.recipient_reason != 0);
        let second = self.second.filter(|second| !second.is_word);
        let (first, second) = (is_recipient(self.first), is_recipient(second));
        self.first.is_some_and(|first| !first.is_certain())
            && (self.has_barred
                || self.reasons & !OTHER_REASON == FULL_MAILBOX | INVALID_RECIPIENT
                || second.is_some_and(|second| first != Some(second)))
    }

    /// Drops a cause that only a word gives, if a phrase was barred: the word is less specific than the phrase.
    fn drop_words(&mut self) {
        if self.has_barred && self.first.is_some_and(|first| first.is_word) {
            (self.first, self.second) = (None, None);
        }
    }

    fn offer(&mut self, clause: &'c Clause) {
        if self.not_recipient && clause.recipient_reason != 0 && !clause.is_custom {
            self.has_barred |= !clause.is_word;
            return;
        }
        if !clause.is_word {
            self.reasons |= match clause.recipient_reason {
                0 => OTHER_REASON,
                reason => reason,
            };
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
