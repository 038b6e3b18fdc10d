//! Builds the [`Index`] from the rules.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

use crate::byte_classes::ByteClasses;
use crate::fold::fold_pattern;
use crate::index::{
    Checks, Clause, Index, NO_PHRASE, Phrase, WEIGHT_SHIFT, recipient_reason, status_numbers,
};
use crate::phrase_table::{PHRASE_BYTES_MAX, PhraseTable, PhraseText};
use crate::rule::{CUSTOM_RULE_WEIGHT, PatternKind, Rule, RuleError, WORD_WEIGHT};
use crate::words::Words;

/// Why a phrase is refused.
const BAD_PHRASE: &str = "the phrase is empty or longer than 200 bytes";

/// Builds the index. Of custom rules the first has the greatest rank.
///
/// # Errors
/// The first pattern that is invalid.
pub(super) fn build(rules: &[Rule]) -> Result<Index, RuleError> {
    let mut builder = IndexBuilder::default();
    for (at, rule) in rules.iter().enumerate() {
        for (pattern, text) in rule.patterns.iter().enumerate() {
            builder.add(Alternative { rule, rule_index: at, pattern_index: pattern, text })?;
        }
    }
    builder.anchor_clauses();
    builder.find_recipients(rules);
    let IndexBuilder {
        clauses,
        phrases,
        clauses_of_phrases,
        texts,
        statuses,
        codes,
        ses,
        delays,
        words,
        ..
    } = builder;
    let texts: Vec<PhraseText> = texts
        .into_iter()
        .zip(&phrases)
        .map(|((text, ends_word), phrase)| {
            let is_mark = phrase.mark.is_some() || !phrase.guards.is_empty();
            PhraseText { text, ends_word, is_mark }
        })
        .collect();
    Ok(Index {
        checks: Checks::new(&clauses_of_phrases, &clauses),
        table: PhraseTable::new(&texts),
        clauses,
        phrases,
        statuses: sorted(statuses),
        codes: sorted(codes),
        ses,
        delays,
        words,
    })
}

/// One alternative of a rule, as it is written.
#[derive(Clone, Copy)]
struct Alternative<'r> {
    rule: &'r Rule,
    rule_index: usize,
    pattern_index: usize,
    text: &'r str,
}

impl Alternative<'_> {
    fn error(&self, reason: &'static str) -> RuleError {
        let (id, pattern) = (self.rule.id.clone(), self.text.to_owned());
        RuleError::InvalidPattern { id, pattern, reason }
    }

    fn clause(&self) -> Result<Clause, RuleError> {
        let index = |at| u32::try_from(at).map_err(|_| self.error("too many rules"));
        Ok(Clause {
            rule: index(self.rule_index)?,
            pattern: index(self.pattern_index)?,
            cause: self.rule.cause,
            recipient_reason: recipient_reason(self.rule.cause),
            rank: self.rank(self.text.len()),
            is_custom: self.rule.weight >= CUSTOM_RULE_WEIGHT,
            is_word: self.is_word(),
            is_token: self.rule.kind == PatternKind::Token,
            names_recipient: false,
            first: NO_PHRASE,
            last: NO_PHRASE,
            required: Box::default(),
            forbidden: Box::default(),
        })
    }

    fn is_word(&self) -> bool {
        self.rule.weight == WORD_WEIGHT && self.rule.kind == PatternKind::Phrase
    }

    /// Weight, then causes that are not about the recipient, then length, then order of the rules. Length does not
    /// matter for custom rules. Words rank below everything else.
    fn rank(&self, length: usize) -> u64 {
        let field = |value: usize, bits: u32| (value as u64).min((1 << bits) - 1);
        let (is_safe, length) = if self.rule.weight >= CUSTOM_RULE_WEIGHT {
            (0, 0)
        } else {
            (u64::from(!self.rule.cause.is_recipient_failure()), field(length, 12))
        };
        let order = field(usize::MAX, 20) - field(self.rule_index, 20);
        let weight = if self.is_word() { 0 } else { self.rule.weight };
        u64::from(weight) << WEIGHT_SHIFT | is_safe << 32 | length << 20 | order
    }
}

#[derive(Default)]
struct IndexBuilder {
    clauses: Vec<Clause>,
    phrases: Vec<Phrase>,
    /// The clauses to check for each phrase.
    clauses_of_phrases: Vec<Vec<u32>>,
    /// The folded text of each phrase, and whether a word must end at its end.
    texts: Vec<(Vec<u8>, bool)>,
    /// Clauses that require phrases, and whether they are guards.
    unanchored: Vec<(u32, bool)>,
    /// Phrases by folded text and whether a word must end at their end.
    known: HashMap<(Vec<u8>, bool), u32>,
    statuses: HashMap<(u8, u16, u16), u32>,
    codes: HashMap<u16, u32>,
    ses: Vec<(String, String, u32)>,
    delays: Vec<(String, u32)>,
    words: Words,
    /// Buffers of the texts that are folded.
    classes: ByteClasses,
}

impl IndexBuilder {
    fn add(&mut self, alternative: Alternative<'_>) -> Result<(), RuleError> {
        let Alternative { rule, text, .. } = alternative;
        let error = |reason| alternative.error(reason);
        let id = u32::try_from(self.clauses.len()).map_err(|_| error("too many rules"))?;
        let mut clause = alternative.clause()?;
        match rule.kind {
            PatternKind::List
            | PatternKind::Hedge
            | PatternKind::Temporary
            | PatternKind::Advice
            | PatternKind::Retry
            | PatternKind::Condition
            | PatternKind::Alternative
            | PatternKind::Recipient => {
                return self.add_mark(alternative, clause.rule).ok_or_else(|| error(BAD_PHRASE));
            }
            PatternKind::Phrase | PatternKind::Token | PatternKind::Guard => {
                self.add_phrases(alternative, id, &mut clause)?;
            }
            PatternKind::Status => {
                let key = status_key(text)
                    .ok_or(error("not an enhanced status code such as 5.1.1 or x.1.1"))?;
                if !insert(&mut self.statuses, key, id, &self.clauses) {
                    return Err(error("another rule has this status code"));
                }
            }
            PatternKind::Code => {
                let code = text.parse().map_err(|_| error("not a reply code such as 550"))?;
                if !insert(&mut self.codes, code, id, &self.clauses) {
                    return Err(error("another rule has this reply code"));
                }
            }
            PatternKind::Ses => {
                let (bounce_type, subtype) =
                    text.split_once('/').ok_or(error("not of the form Type/Subtype"))?;
                self.ses.push((bounce_type.to_owned(), subtype.to_owned(), id));
            }
            PatternKind::Delay => self.delays.push((text.to_owned(), id)),
        }
        self.clauses.push(clause);
        Ok(())
    }

    /// Adds a phrase that marks a text. `None` if it is empty or too long.
    fn add_mark(&mut self, alternative: Alternative<'_>, rule: u32) -> Option<()> {
        let Alternative { rule: Rule { kind, .. }, text, .. } = alternative;
        let words = match kind {
            PatternKind::Condition => Some(&mut self.words.conditions),
            PatternKind::Alternative => Some(&mut self.words.alternatives),
            PatternKind::Recipient => Some(&mut self.words.recipients),
            _ => None,
        };
        if let Some(words) = words {
            let (text, ends_word) = fold_phrase(text, &mut self.classes)?;
            words.add(text, ends_word);
        }
        // most texts have a word for a recipient: it is searched only if it matters
        if *kind != PatternKind::Recipient {
            let phrase = self.phrase(text)?;
            self.phrases[phrase as usize].mark = Some((*kind, rule));
        }
        Some(())
    }

    /// Adds the phrases of an alternative, `a & b & !c`, and completes its clause.
    fn add_phrases(
        &mut self,
        alternative: Alternative<'_>,
        id: u32,
        clause: &mut Clause,
    ) -> Result<(), RuleError> {
        let mut required = Vec::new();
        let mut forbidden = Vec::new();
        for part in alternative.text.split(" & ") {
            let (list, part) = match part.strip_prefix('!') {
                Some(part) => (&mut forbidden, part),
                None => (&mut required, part),
            };
            list.push(self.phrase(part).ok_or_else(|| alternative.error(BAD_PHRASE))?);
        }
        let Some(first) = required.first() else {
            return Err(alternative.error("a pattern needs a phrase without `!`"));
        };
        self.unanchored.push((id, alternative.rule.kind == PatternKind::Guard));
        (clause.first, clause.last) = (*first, *required.last().unwrap_or(first));
        let length = required.iter().map(|phrase| self.texts[*phrase as usize].0.len()).sum();
        clause.rank = alternative.rank(length);
        clause.required = required.into_iter().collect();
        clause.forbidden = forbidden.into_iter().collect();
        Ok(())
    }

    /// Assigns each clause to that of its phrases that the fewest clauses require. Words such as `user` occur in most
    /// texts, and in most clauses.
    fn anchor_clauses(&mut self) {
        let mut counts = vec![0_usize; self.phrases.len()];
        for clause in &self.clauses {
            clause.required.iter().for_each(|phrase| counts[*phrase as usize] += 1);
        }
        for (id, is_guard) in std::mem::take(&mut self.unanchored) {
            let clause = &mut self.clauses[id as usize];
            let rarest = clause.required.iter().min_by_key(|phrase| counts[**phrase as usize]);
            let anchor = rarest.copied().unwrap_or(clause.first);
            clause.required =
                clause.required.iter().copied().filter(|phrase| *phrase != anchor).collect();
            let anchor = anchor as usize;
            if is_guard {
                self.phrases[anchor].guards.push(id);
            } else {
                self.clauses_of_phrases[anchor].push(id);
            }
        }
    }

    /// Notes which clauses have a phrase with a word for a recipient.
    fn find_recipients(&mut self, rules: &[Rule]) {
        for clause in &mut self.clauses {
            let pattern = &rules[clause.rule as usize].patterns[clause.pattern as usize];
            let mut required = pattern.split(" & ").filter(|part| !part.starts_with('!'));
            clause.names_recipient = required.any(|part| {
                let text = fold_pattern(part.trim_end_matches('*'), &mut self.classes);
                self.words.names_recipient(&text)
            });
        }
    }

    /// The index of a phrase, which is added if it is new. `None` if it is empty or too long.
    fn phrase(&mut self, text: &str) -> Option<u32> {
        let (folded, ends_word) = fold_phrase(text, &mut self.classes)?;
        let next = u32::try_from(self.phrases.len()).ok()?;
        let known = *self.known.entry((folded.clone(), ends_word)).or_insert(next);
        if known == next {
            self.phrases.push(Phrase::default());
            self.clauses_of_phrases.push(Vec::new());
            self.texts.push((folded, ends_word));
        }
        Some(known)
    }
}

/// A folded phrase, and whether a word must end at its end. `None` if it is empty or too long.
fn fold_phrase(text: &str, classes: &mut ByteClasses) -> Option<(Vec<u8>, bool)> {
    let folded = fold_pattern(text.trim().trim_end_matches('*'), classes);
    let ends_word = !text.ends_with('*') && folded.last().is_some_and(u8::is_ascii_alphanumeric);
    let is_valid = !folded.is_empty() && folded.len() <= PHRASE_BYTES_MAX;
    is_valid.then_some((folded, ends_word))
}

/// Assigns a code to a clause. A code of a custom rule stays with that rule. Returns false if another builtin rule has
/// the code.
fn insert<K: Eq + Hash>(map: &mut HashMap<K, u32>, key: K, id: u32, clauses: &[Clause]) -> bool {
    match map.entry(key) {
        Entry::Vacant(entry) => {
            entry.insert(id);
            true
        }
        Entry::Occupied(entry) => clauses[*entry.get() as usize].is_custom,
    }
}

fn sorted<K: Ord>(map: HashMap<K, u32>) -> Vec<(K, u32)> {
    let mut all: Vec<(K, u32)> = map.into_iter().collect();
    all.sort_unstable();
    all
}

/// The key of a status pattern, with `x` for any class.
fn status_key(pattern: &str) -> Option<(u8, u16, u16)> {
    match pattern.strip_prefix("x.") {
        Some(rest) => status_numbers(&format!("0.{rest}")),
        None => status_numbers(pattern).filter(|(class, _, _)| matches!(class, 4 | 5)),
    }
}
