//! The rules in the form in which they are matched: one table of all phrases, tables of codes and SES types.

use bouncewatch_schemas::cause::Cause;

use crate::byte_classes::ByteClasses;
use crate::phrase_table::{Found, Hit, PhraseTable, SearchBuffers};
use crate::rule::PatternKind;
use crate::span::{Chained, Span, Spans};
use crate::words::Words;

/// Buffers that are reused from text to text. Each thread needs its own.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) folded: Vec<u8>,
    pub(super) classes: ByteClasses,
    buffers: SearchBuffers,
    /// The phrases of the text.
    pub(super) found: Found,
    /// Buffer of the clauses to check for each phrase of the text.
    spans: Vec<Span>,
    /// The clauses that match, up to [`Self::matching_count`].
    matching: Vec<u32>,
    matching_count: usize,
}

/// Position of the weight in a rank.
pub(super) const WEIGHT_SHIFT: u32 = 33;

/// The phrase of a clause without phrases.
pub(super) const NO_PHRASE: u32 = u32::MAX;

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
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
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
    /// Whether one of its phrases names a recipient.
    pub(super) names_recipient: bool,
    /// The phrase at the start of the alternative.
    pub(super) first: u32,
    /// Further phrases that the text must contain, besides the phrase that has the clause.
    pub(super) required: Box<[u32]>,
    /// The phrase at the end of the alternative.
    pub(super) last: u32,
    /// Phrases that the text must not contain.
    pub(super) forbidden: Box<[u32]>,
}

impl Clause {
    /// The weight of the rule.
    pub(super) fn weight(&self) -> u64 {
        self.rank >> WEIGHT_SHIFT
    }

    /// Whether the clause states that a mailbox is unknown or disabled.
    pub(super) fn is_about_mailbox(&self) -> bool {
        matches!(self.cause, Cause::MailboxUnknown | Cause::MailboxDisabled)
    }

    /// Whether the clause states that a mailbox is unknown or disabled, without a word for a mailbox: `not found`.
    pub(super) fn lacks_recipient(&self) -> bool {
        self.is_about_mailbox()
            && !(self.first == NO_PHRASE || self.names_recipient || self.is_certain())
    }

    /// Whether a text that names several causes still has this one: the rule is made for the text, is one of the
    /// operator, or is a suppression by SES.
    pub(super) fn is_certain(&self) -> bool {
        self.is_token || self.is_custom || self.cause == Cause::Suppressed
    }

    /// Whether a text that contains the phrases `found` matches.
    pub(super) fn matches(&self, found: &[u64]) -> bool {
        let has = |phrase: &u32| has(found, *phrase);
        self.required.iter().all(has) && !self.forbidden.iter().any(has)
    }
}

/// Whether the bit of a phrase is set.
fn has(found: &[u64], phrase: u32) -> bool {
    found[phrase as usize / 64] >> (phrase % 64) & 1 == 1
}

/// A clause to check if the text contains a phrase. Most of them are decided without reading the clause.
#[derive(Debug)]
pub(super) struct Check {
    /// The clause, and [`HAS_MORE`] if it requires or forbids further phrases.
    clause: u32,
    /// A phrase that the text must contain.
    required: u32,
    /// A phrase that the text must not contain.
    forbidden: u32,
}

/// The bit of [`Check::clause`] for further phrases.
const HAS_MORE: u32 = 1 << 31;

/// The clauses to check for each phrase.
#[derive(Debug)]
pub(super) struct Checks(Spans<Check>);

impl Checks {
    pub(super) fn new(clauses_of_phrases: &[Vec<u32>], clauses: &[Clause]) -> Self {
        // two phrases that do not exist, of which every text has the first
        let always = u32::try_from(clauses_of_phrases.len()).unwrap_or(u32::MAX);
        let never = always.saturating_add(1);
        let check = |id: &u32| {
            let Clause { required, forbidden, .. } = &clauses[*id as usize];
            let has_more = required.len() > 1 || forbidden.len() > 1;
            Check {
                clause: if has_more { id | HAS_MORE } else { *id },
                required: required.first().copied().unwrap_or(always),
                forbidden: forbidden.first().copied().unwrap_or(never),
            }
        };
        let mut checks = Spans::default();
        for ids in clauses_of_phrases {
            checks.push(ids.iter().map(check));
        }
        Self(checks)
    }

    /// No phrases found, but the one that every text has.
    fn clear(&self, found: &mut Vec<u64>) {
        let always = self.0.len();
        found.clear();
        found.resize((always + 2).div_ceil(64), 0);
        found[always / 64] |= 1 << (always % 64);
    }

    #[cfg(test)]
    fn of(&self, phrase: u32) -> &[Check] {
        self.0.of(phrase as usize)
    }

    /// Writes the clauses to check for all hits to `spans`; none is empty. Returns their number.
    fn of_hits(&self, hits: &[Hit], spans: &mut Vec<Span>) -> usize {
        if spans.len() < hits.len() {
            spans.resize(hits.len(), Span::default());
        }
        let mut count = 0;
        for hit in hits {
            let span = self.0.span(hit.phrase as usize);
            spans[count] = span;
            count += usize::from(span.len() > 0);
        }
        count
    }
}

/// A phrase of the rules.
#[derive(Debug, Default)]
pub(super) struct Phrase {
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
    pub(super) checks: Checks,
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
    pub(super) words: Words,
}

impl Index {
    /// Finds all phrases in `scratch.folded`. A phrase that starts with a letter or digit matches only at the start of
    /// a word.
    pub(super) fn search(&self, scratch: &mut Scratch) {
        let Scratch { folded, buffers, found, .. } = scratch;
        self.checks.clear(&mut found.phrases);
        self.table.search(folded, buffers, found);
    }

    /// The clauses and guards of the phrases that the last search found.
    #[cfg(test)]
    pub(super) fn clauses_of_found_phrases<'s>(
        &'s self,
        scratch: &'s Scratch,
    ) -> impl Iterator<Item = &'s Clause> {
        let ids = scratch.found.hits.iter().flat_map(|hit| {
            let checked = self.checks.of(hit.phrase).iter().map(|check| check.clause & !HAS_MORE);
            checked.chain(self.phrases[hit.phrase as usize].guards.iter().copied())
        });
        ids.map(|id| &self.clauses[id as usize])
    }

    /// The marks of a kind in the last search, each with its rule.
    pub(super) fn marks<'s>(
        &'s self,
        kind: PatternKind,
        scratch: &'s Scratch,
    ) -> impl Iterator<Item = (Hit, u32)> {
        scratch.found.marks.iter().filter_map(move |hit| {
            match self.phrases[hit.phrase as usize].mark {
                Some((other, rule)) if other == kind => Some((*hit, rule)),
                _ => None,
            }
        })
    }

    /// The guard that matches in the last search. One with a cause takes precedence over one without.
    pub(super) fn guard(&self, scratch: &Scratch) -> Option<&Clause> {
        let phrases = scratch.found.marks.iter().map(|hit| &self.phrases[hit.phrase as usize]);
        let ids = phrases.flat_map(|phrase| &phrase.guards);
        let mut guards = ids
            .map(|id| &self.clauses[*id as usize])
            .filter(|clause| clause.matches(&scratch.found.phrases));
        let first = guards.next()?;
        let has_cause = |guard: &&Clause| guard.cause != Cause::Unknown;
        if has_cause(&first) { Some(first) } else { guards.find(has_cause).or(Some(first)) }
    }

    /// Finds the clauses that match in the last search.
    pub(super) fn match_clauses(&self, scratch: &mut Scratch) {
        let Scratch { found: Found { phrases, hits, .. }, spans, matching, .. } = scratch;
        let spans_count = self.checks.of_hits(hits, spans);
        let checks = Chained::new(&spans[..spans_count]);
        if matching.len() <= checks.left() {
            matching.resize(checks.left() + 1, 0);
        }
        let mut count = 0;
        // no branches: whether the text has the first required and forbidden phrase is not predictable
        for (_, check) in checks {
            let check = &self.checks.0.items[check as usize];
            matching[count] = check.clause;
            count += usize::from(has(phrases, check.required) & !has(phrases, check.forbidden));
        }
        scratch.matching_count = count;
    }

    /// The clauses that [`Self::match_clauses`] found.
    pub(super) fn matching_clauses<'c, 's>(
        &'c self,
        scratch: &'s Scratch,
    ) -> impl Iterator<Item = &'c Clause> + use<'c, 's> {
        scratch.matching[..scratch.matching_count].iter().filter_map(|id| {
            let clause = &self.clauses[(id & !HAS_MORE) as usize];
            let is_match = id & HAS_MORE == 0 || clause.matches(&scratch.found.phrases);
            is_match.then_some(clause)
        })
    }

    /// The first occurrence of a phrase in the last search.
    pub(super) fn place(phrase: u32, scratch: &Scratch) -> Hit {
        let found = scratch.found.hits.iter().find(|hit| hit.phrase == phrase);
        found.copied().unwrap_or_default()
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
