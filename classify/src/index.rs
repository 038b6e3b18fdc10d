//! The rules in the form in which they are matched: one automaton for all phrases, tables for codes and SES types.

use aho_corasick::AhoCorasick;
use bouncewatch_schemas::cause::Cause;

use crate::rule::PatternKind;

/// Buffers that are reused from text to text. Each thread needs its own.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) folded: Vec<u8>,
    /// A bit for each phrase: whether the text contains it.
    pub(super) found: Vec<u64>,
    /// The first occurrence of each phrase that the text contains: leftmost first, the shortest first at one position.
    pub(super) hits: Vec<Hit>,
    /// Those of `hits` that are marks.
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

/// One alternative of a rule.
#[derive(Debug)]
pub(super) struct Clause {
    /// Index of the rule.
    pub(super) rule: u32,
    /// Index of the alternative in the rule.
    pub(super) pattern: u32,
    pub(super) cause: Cause,
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

/// A phrase of the automaton.
#[derive(Debug)]
pub(super) struct Phrase {
    pub(super) length: usize,
    /// Whether a word must end at the end of the phrase.
    pub(super) ends_word: bool,
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
    /// Finds the phrases; pattern ids are indexes of `phrases`.
    pub(super) automaton: AhoCorasick,
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
        let Scratch { folded, found, hits, marks } = scratch;
        hits.clear();
        marks.clear();
        found.clear();
        found.resize(self.phrases.len().div_ceil(64), 0);
        for occurrence in self.automaton.find_overlapping_iter(folded.as_slice()) {
            let id = occurrence.pattern();
            let (word, bit) = (id.as_usize() / 64, 1 << (id.as_usize() % 64));
            let is_new = found[word] & bit == 0;
            if is_new
                && starts_word(folded, occurrence.start())
                && (!self.phrases[id].ends_word || ends_word(folded, occurrence.end()))
            {
                found[word] |= bit;
                let (start, length) = (occurrence.start(), occurrence.len());
                let hit = Hit { start, length, phrase: id.as_u32() };
                hits.push(hit);
                if self.phrases[id].mark.is_some() {
                    marks.push(hit);
                }
            }
        }
        // the automaton reports matches in order of their ends
        hits.sort_unstable();
        marks.sort_unstable();
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

    /// The matching clauses, each with whether it is part of advice, and the matching guard, of the last search. Those
    /// of the advice come last.
    pub(super) fn matching_clauses<'c: 's, 's>(
        &'c self,
        scratch: &'s Scratch,
    ) -> (impl Iterator<Item = (bool, &'c Clause)> + 's, Option<&'c Clause>) {
        let matching = |id: &'c u32| {
            let clause = &self.clauses[*id as usize];
            clause.matches(&scratch.found).then_some(clause)
        };
        let phrases = || scratch.hits.iter().map(|hit| &self.phrases[hit.phrase as usize]);
        let mut guards = phrases().flat_map(|phrase| &phrase.guards).filter_map(matching);
        let first = guards.next();
        // a guard with a cause takes precedence over one without
        let guard = match first {
            Some(guard) if guard.cause == Cause::Unknown => {
                guards.find(|guard| guard.cause != Cause::Unknown).or(first)
            }
            _ => first,
        };
        let advice = self
            .marks(PatternKind::Advice, scratch)
            .next()
            .map_or(usize::MAX, |(hit, _)| hit.start);
        let start = |phrase: u32| {
            scratch.hits.iter().find(|hit| hit.phrase == phrase).map_or(0, |hit| hit.start)
        };
        let is_advice = move |clause: &Clause| advice != usize::MAX && start(clause.first) > advice;
        let passes = [false, true].into_iter().filter(move |pass| !pass || advice != usize::MAX);
        let clauses = passes.flat_map(move |pass| {
            let phrases = scratch.hits.iter().map(|hit| &self.phrases[hit.phrase as usize]);
            let found = phrases.flat_map(|phrase| &phrase.clauses).filter_map(matching);
            found.filter(move |clause| is_advice(clause) == pass).map(move |clause| (pass, clause))
        });
        (clauses, guard)
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

/// False if `at` is inside a word of ASCII letters and digits. Letters beyond ASCII always start a word: some languages
/// have no blanks.
fn starts_word(folded: &[u8], at: usize) -> bool {
    let is_alphanumeric = |at: usize| folded.get(at).is_some_and(u8::is_ascii_alphanumeric);
    at == 0 || !is_alphanumeric(at) || !is_alphanumeric(at - 1)
}

fn ends_word(folded: &[u8], end: usize) -> bool {
    !folded.get(end).is_some_and(u8::is_ascii_alphanumeric)
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
