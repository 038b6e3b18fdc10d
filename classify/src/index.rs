//! The rules in the form in which they are matched: one table of all phrases, tables of codes and SES types.

use bouncewatch_schemas::cause::Cause;

use crate::phrase_table::{PhraseTable, SearchBuffers};
use crate::rule::PatternKind;

/// Buffers that are reused from text to text. Each thread needs its own.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) folded: Vec<u8>,
    buffers: SearchBuffers,
    /// A bit for each phrase: whether the text contains it.
    pub(super) found: Vec<u64>,
    /// The first occurrence of each phrase that the text contains: leftmost first, the shortest first at one position.
    pub(super) hits: Vec<Hit>,
    /// Those of `hits` that are marks or have guards.
    marks: Vec<Hit>,
}

/// The first occurrence of a phrase in a text. The order of the fields is the order of hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hit {
    start: usize,
    length: usize,
    pub(super) phrase: u32,
}

impl Hit {
    /// Position after the phrase in the folded text.
    pub(super) fn end(&self) -> usize {
        self.start + self.length
    }
}

/// Position of the weight in a rank.
pub(super) const WEIGHT_SHIFT: u32 = 33;

/// Reason about the recipient: mail can arrive later.
pub(super) const FULL_MAILBOX: u8 = 1;
/// Reason about the recipient: mail can never arrive.
pub(super) const INVALID_RECIPIENT: u8 = 2;

/// The reason about the recipient of a cause; 0 if it is not about the recipient.
pub(super) fn recipient_reason(cause: Cause) -> u8 {
    match cause {
        Cause::MailboxFull => FULL_MAILBOX,
        cause if cause.is_recipient_failure() => INVALID_RECIPIENT,
        _ => 0,
    }
}

/// One alternative of a rule.
#[derive(Debug)]
pub(super) struct Clause {
    /// Index of the rule.
    pub(super) rule: u32,
    /// Index of the alternative in the rule.
    pub(super) pattern: u32,
    pub(super) cause: Cause,
    /// See [`recipient_reason`].
    pub(super) recipient_reason: u8,
    /// The matching clause with the greatest rank wins.
    pub(super) rank: u64,
    /// Whether the rule is a custom rule of the operator.
    pub(super) is_custom: bool,
    /// Whether the rule is about texts of one provider.
    pub(super) is_token: bool,
    /// Whether it is a word that gives the cause only if nothing else does.
    pub(super) is_word: bool,
    /// The phrase at the start of the alternative.
    pub(super) first: u32,
    /// Further phrases that the text must contain, besides the phrase that has the clause.
    pub(super) required: Box<[u32]>,
    /// Phrases that the text must not contain.
    pub(super) forbidden: Box<[u32]>,
}

impl Clause {
    /// The weight of the rule.
    pub(super) fn weight(&self) -> u64 {
        self.rank >> WEIGHT_SHIFT
    }

    /// Whether a text that names several causes still has this one: the rule is made for the text, is one of the
    /// operator, or is a suppression by SES.
    pub(super) fn is_certain(&self) -> bool {
        self.is_token || self.is_custom || self.cause == Cause::Suppressed
    }

    /// Whether a text that contains the phrases `found` matches.
    pub(super) fn matches(&self, found: &[u64]) -> bool {
        let has = |phrase: &u32| found[*phrase as usize / 64] >> (phrase % 64) & 1 == 1;
        self.required.iter().all(has) && !self.forbidden.iter().any(has)
    }
}

/// A phrase of the rules.
#[derive(Debug, Default)]
pub(super) struct Phrase {
    /// Clauses to check if the text contains it.
    pub(super) clauses: Vec<u32>,
    /// Guard clauses to check if the text contains it. A guard marks a text as not about the recipient.
    pub(super) guards: Vec<u32>,
    /// The kind of the phrase if it gives no cause, and its rule.
    pub(super) mark: Option<(PatternKind, u32)>,
}

/// All patterns of the rules.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) clauses: Vec<Clause>,
    pub(super) phrases: Vec<Phrase>,
    /// Finds the phrases. Their ids are indexes of `phrases`.
    pub(super) table: PhraseTable,
    /// Clauses by class (0 for any), subject and detail of an enhanced status code; sorted.
    pub(super) statuses: Vec<((u8, u16, u16), u32)>,
    /// Clauses by reply code; sorted.
    pub(super) codes: Vec<(u16, u32)>,
    /// SES bounce type, subtype, clause.
    pub(super) ses: Vec<(String, String, u32)>,
    /// SES delay type, clause.
    pub(super) delays: Vec<(String, u32)>,
}

impl Index {
    /// Finds all phrases in `scratch.folded`. A phrase that starts with a letter or digit matches only at the start of
    /// a word.
    pub(super) fn search(&self, scratch: &mut Scratch) {
        let Scratch { folded, buffers, found, hits, marks } = scratch;
        hits.clear();
        marks.clear();
        found.clear();
        found.resize(self.phrases.len().div_ceil(64), 0);
        self.table.search(folded, buffers, |start, id, length| {
            let (word, bit) = (id as usize / 64, 1 << (id % 64));
            if found[word] & bit == 0 {
                found[word] |= bit;
                let hit = Hit { start, length, phrase: id };
                hits.push(hit);
                let phrase = &self.phrases[id as usize];
                if phrase.mark.is_some() || !phrase.guards.is_empty() {
                    marks.push(hit);
                }
            }
        });
    }

    /// The phrases that the last search found, in order of the text.
    #[cfg(test)]
    pub(super) fn found_phrases<'s>(
        &'s self,
        scratch: &'s Scratch,
    ) -> impl Iterator<Item = &'s Phrase> {
        scratch.hits.iter().map(|hit| &self.phrases[hit.phrase as usize])
    }

    /// The marks of a kind in the last search, each with its rule.
    pub(super) fn marks<'s>(
        &'s self,
        kind: PatternKind,
        scratch: &'s Scratch,
    ) -> impl Iterator<Item = (&'s Hit, u32)> {
        scratch.marks.iter().filter_map(move |hit| match self.phrases[hit.phrase as usize].mark {
            Some((other, rule)) if other == kind => Some((hit, rule)),
            _ => None,
        })
    }

    /// The guard that matches in the last search. One with a cause takes precedence over one without.
    pub(super) fn guard(&self, scratch: &Scratch) -> Option<&Clause> {
        let phrases = scratch.marks.iter().map(|hit| &self.phrases[hit.phrase as usize]);
        let ids = phrases.flat_map(|phrase| &phrase.guards);
        let mut guards = ids
            .map(|id| &self.clauses[*id as usize])
            .filter(|clause| clause.matches(&scratch.found));
        let first = guards.next()?;
        let has_cause = |guard: &&Clause| guard.cause != Cause::Unknown;
        if has_cause(&first) { Some(first) } else { guards.find(has_cause).or(Some(first)) }
    }

    /// Calls `offer` with each matching clause of the last search, and whether it is part of advice. Those of the
    /// advice come last.
    pub(super) fn matching_clauses<'c>(
        &'c self,
        scratch: &Scratch,
        mut offer: impl FnMut(bool, &'c Clause),
    ) {
        let advice = self.marks(PatternKind::Advice, scratch).next().map(|(hit, _)| hit.start);
        let start = |phrase: u32| {
            scratch.hits.iter().find(|hit| hit.phrase == phrase).map_or(0, |hit| hit.start)
        };
        let passes: &[bool] = if advice.is_some() { &[false, true] } else { &[false] };
        for in_advice in passes {
            for hit in &scratch.hits {
                for id in &self.phrases[hit.phrase as usize].clauses {
                    let clause = &self.clauses[*id as usize];
                    let is_in_pass =
                        || advice.is_none_or(|advice| (start(clause.first) > advice) == *in_advice);
                    if clause.matches(&scratch.found) && is_in_pass() {
                        offer(*in_advice, clause);
                    }
                }
            }
        }
    }

    /// The clauses of an enhanced status code: of its class, and of any class.
    pub(super) fn clauses_of_status(&self, status: &str) -> impl Iterator<Item = &Clause> {
        let keys = status_numbers(status)
            .map(|(class, subject, detail)| [(class, subject, detail), (0, subject, detail)]);
        let found = keys.into_iter().flatten().filter_map(|key| get(&self.statuses, &key));
        found.map(|id| &self.clauses[id as usize])
    }

    /// The clause of a reply code.
    pub(super) fn clause_of_code(&self, code: u16) -> Option<&Clause> {
        get(&self.codes, &code).map(|id| &self.clauses[id as usize])
    }
}

fn get<K: Ord>(sorted: &[(K, u32)], key: &K) -> Option<u32> {
    sorted.binary_search_by(|(other, _)| other.cmp(key)).ok().map(|at| sorted[at].1)
}

/// Class, subject and detail of an enhanced status code.
pub(super) fn status_numbers(status: &str) -> Option<(u8, u16, u16)> {
    let mut parts = status.split('.');
    let class = parts.next()?.parse().ok()?;
    let subject = parts.next()?.parse().ok()?;
    let detail = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some((class, subject, detail))
}
