//! The rules as they are searched for: all phrases at once, codes and words of SES in tables.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

use crate::fold::fold_pattern;
use crate::phrases::{PADDING, PHRASE_BYTES_MAX, Phrases};
use crate::rule::{Kind, OWN_WEIGHT, Rule, RuleError};
use bouncewatch_schemas::cause::Cause;

/// Buffers of one thread, kept from text to text.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) folded: Vec<u8>,
    /// Where in the text a phrase may begin.
    places: Vec<u16>,
    /// A bit for each phrase: whether the text has it.
    pub(super) found: Vec<u64>,
    /// The phrases that the text has, in the order of their first place.
    pub(super) hits: Vec<u32>,
}

/// One alternative of a rule.
#[derive(Debug)]
pub(super) struct Clause {
    pub(super) rule: u32,
    /// Which alternative.
    pub(super) pattern: u32,
    pub(super) cause: Cause,
    pub(super) rank: u64,
    required: Box<[u32]>,
    forbidden: Box<[u32]>,
}

/// A phrase as it is searched for.
#[derive(Debug)]
pub(super) struct Atom {
    length: usize,
    /// Whether a word must end where it does.
    ends_word: bool,
    /// Clauses whose first phrase it is.
    pub(super) clauses: Vec<u32>,
    /// Clauses whose first phrase it is, and that tell that a text is about the sender.
    pub(super) guards: Vec<u32>,
    /// The rule whose id is the name of a block list.
    pub(super) list: Option<u32>,
}

impl Atom {
    /// Whether a word ends where this phrase does, at `end`.
    fn is_whole(&self, folded: &[u8], end: usize) -> bool {
        !(self.ends_word && folded.get(end).is_some_and(u8::is_ascii_alphanumeric))
    }
}

/// Everything that the rules look for.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) clauses: Vec<Clause>,
    pub(super) atoms: Vec<Atom>,
    phrases: Phrases,
    /// By class (0 for any), subject and detail; sorted.
    statuses: Vec<((u8, u16, u16), u32)>,
    /// Sorted.
    codes: Vec<(u16, u32)>,
    /// Type, subtype, clause.
    pub(super) ses: Vec<(String, String, u32)>,
    pub(super) delays: Vec<(String, u32)>,
}

impl Index {
    pub(super) fn new(rules: &[Rule]) -> Result<Self, RuleError> {
        let mut building = Building::default();
        for (at, rule) in rules.iter().enumerate() {
            for (pattern, text) in rule.patterns.iter().enumerate() {
                building.pattern(at, rule, pattern, text)?;
            }
        }
        let Building { clauses, atoms, phrases, statuses, codes, ses, delays, .. } = building;
        let phrases = Phrases::new(&phrases);
        let (statuses, codes) = (sorted(statuses), sorted(codes));
        Ok(Self { clauses, atoms, phrases, statuses, codes, ses, delays })
    }

    /// Finds every phrase of the folded text.
    pub(super) fn search(&self, scratch: &mut Scratch) {
        let Scratch { folded, places, found, hits } = scratch;
        hits.clear();
        found.clear();
        found.resize(self.atoms.len().div_ceil(64), 0);
        folded.extend_from_slice(&PADDING);
        self.phrases.places(folded, places);
        for place in places.iter() {
            self.phrases.at(folded, *place, |at, id, length| {
                let (word, bit) = (id as usize / 64, 1 << (id % 64));
                let is_new = found[word] & bit == 0;
                if is_new && self.atoms[id as usize].is_whole(folded, at + length) {
                    found[word] |= bit;
                    hits.push(id);
                }
            });
        }
        folded.truncate(folded.len() - PADDING.len());
    }

    /// The clauses of phrases that were found, and a guard, which says that the text is about the sender.
    pub(super) fn clauses_of<'c: 's, 's>(
        &'c self,
        scratch: &'s Scratch,
    ) -> (impl Iterator<Item = &'c Clause> + 's, Option<&'c Clause>) {
        let holds = |id: &'c u32| {
            let clause = &self.clauses[*id as usize];
            clause.holds(&scratch.found).then_some(clause)
        };
        let atoms = || scratch.hits.iter().map(|hit| &self.atoms[*hit as usize]);
        let mut guards = atoms().flat_map(|atom| &atom.guards).filter_map(holds);
        let first = guards.next();
        // one that tells a cause goes before one that tells none
        let guard = match first {
            Some(guard) if guard.cause == Cause::Unknown => {
                guards.find(|guard| guard.cause != Cause::Unknown).or(first)
            }
            _ => first,
        };
        (atoms().flat_map(|atom| &atom.clauses).filter_map(holds), guard)
    }

    /// The clauses of an enhanced status code: of its class, and of any.
    pub(super) fn of_status(&self, status: &str) -> impl Iterator<Item = &Clause> {
        let keys = numbers(status)
            .map(|(class, subject, detail)| [(class, subject, detail), (0, subject, detail)]);
        let found = keys.into_iter().flatten().filter_map(|key| get(&self.statuses, &key));
        found.map(|id| &self.clauses[id as usize])
    }

    /// The clause of a reply code.
    pub(super) fn of_code(&self, code: u16) -> Option<&Clause> {
        get(&self.codes, &code).map(|id| &self.clauses[id as usize])
    }
}

impl Clause {
    /// Whether it is of a rule of the user's.
    pub(super) fn is_own(&self) -> bool {
        self.rank >> WEIGHT_SHIFT >= u64::from(OWN_WEIGHT)
    }

    /// Whether a text has what must be there, and not what must not.
    pub(super) fn holds(&self, found: &[u64]) -> bool {
        let has = |atom: &u32| found[*atom as usize / 64] >> (atom % 64) & 1 == 1;
        self.required.iter().all(has) && !self.forbidden.iter().any(has)
    }
}

/// What is gathered from the rules.
#[derive(Default)]
struct Building {
    clauses: Vec<Clause>,
    atoms: Vec<Atom>,
    phrases: Vec<Vec<u8>>,
    known: HashMap<(Vec<u8>, bool), u32>,
    statuses: HashMap<(u8, u16, u16), u32>,
    codes: HashMap<u16, u32>,
    ses: Vec<(String, String, u32)>,
    delays: Vec<(String, u32)>,
}

impl Building {
    fn pattern(
        &mut self,
        at: usize,
        rule: &Rule,
        pattern: usize,
        text: &str,
    ) -> Result<(), RuleError> {
        let wrong =
            |what| RuleError::Pattern { id: rule.id.clone(), pattern: text.to_owned(), what };
        let id = u32::try_from(self.clauses.len()).map_err(|_| wrong("too many rules"))?;
        let mut clause = Clause {
            rule: u32::try_from(at).map_err(|_| wrong("too many rules"))?,
            pattern: u32::try_from(pattern).map_err(|_| wrong("too many alternatives"))?,
            cause: rule.cause,
            required: Box::default(),
            forbidden: Box::default(),
            rank: rank(rule, text.len(), at),
        };
        match rule.kind {
            Kind::List => {
                let atom =
                    self.atom(text).ok_or(wrong("nothing to look for, or more than 200 bytes"))?;
                self.atoms[atom as usize].list = Some(clause.rule);
                return Ok(());
            }
            Kind::Phrase | Kind::Token | Kind::Guard => {
                let mut required = Vec::new();
                let mut forbidden = Vec::new();
                for part in text.split(" & ") {
                    let (list, part) = match part.strip_prefix('!') {
                        Some(part) => (&mut forbidden, part),
                        None => (&mut required, part),
                    };
                    list.push(
                        self.atom(part)
                            .ok_or(wrong("nothing to look for, or more than 200 bytes"))?,
                    );
                }
                let Some(first) = required.first() else {
                    return Err(wrong("a pattern needs something that must be there"));
                };
                let atom = &mut self.atoms[*first as usize];
                match rule.kind {
                    Kind::Guard => atom.guards.push(id),
                    _ => atom.clauses.push(id),
                }
                let length = required.iter().map(|atom| self.atoms[*atom as usize].length).sum();
                clause.rank = rank(rule, length, at);
                clause.required = required.into_iter().skip(1).collect();
                clause.forbidden = forbidden.into_iter().collect();
            }
            Kind::Status => {
                let key = status_key(text)
                    .ok_or(wrong("no enhanced status code such as 5.1.1 or x.1.1"))?;
                if !take(&mut self.statuses, key, id, &self.clauses) {
                    return Err(wrong("another rule has this status"));
                }
            }
            Kind::Code => {
                let code = text.parse().map_err(|_| wrong("no reply code such as 550"))?;
                if !take(&mut self.codes, code, id, &self.clauses) {
                    return Err(wrong("another rule has this code"));
                }
            }
            Kind::Ses => {
                let (bounce_type, subtype) =
                    text.split_once('/').ok_or(wrong("not Type/Subtype"))?;
                self.ses.push((bounce_type.to_owned(), subtype.to_owned(), id));
            }
            Kind::Delay => self.delays.push((text.to_owned(), id)),
        }
        self.clauses.push(clause);
        Ok(())
    }

    /// The number of a phrase; `None` if there is nothing in it.
    fn atom(&mut self, text: &str) -> Option<u32> {
        let bare = text.trim().trim_end_matches('*');
        let phrase = fold_pattern(bare);
        let is_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let ends_word = !text.ends_with('*') && is_word(phrase.last());
        if phrase.is_empty() || phrase.len() > PHRASE_BYTES_MAX {
            return None;
        }
        let next = u32::try_from(self.atoms.len()).ok()?;
        let known = self.known.entry((phrase.clone(), ends_word)).or_insert(next);
        if *known == next {
            let length = phrase.len();
            self.phrases.push(phrase);
            self.atoms.push(Atom {
                length,
                ends_word,
                clauses: Vec::new(),
                guards: Vec::new(),
                list: None,
            });
        }
        Some(*known)
    }
}

/// Gives a code to a clause, unless a rule of the user's has it. False, if another has it that stands beside this one.
fn take<K: Eq + Hash>(map: &mut HashMap<K, u32>, key: K, id: u32, clauses: &[Clause]) -> bool {
    match map.entry(key) {
        Entry::Vacant(entry) => {
            entry.insert(id);
            true
        }
        Entry::Occupied(entry) => clauses[*entry.get() as usize].is_own(),
    }
}

fn sorted<K: Ord>(map: HashMap<K, u32>) -> Vec<(K, u32)> {
    let mut all: Vec<(K, u32)> = map.into_iter().collect();
    all.sort_unstable();
    all
}

fn get<K: Ord>(all: &[(K, u32)], key: &K) -> Option<u32> {
    all.binary_search_by(|(one, _)| one.cmp(key)).ok().map(|at| all[at].1)
}

/// Where the weight stands in a rank.
const WEIGHT_SHIFT: u32 = 33;

/// Weight, then causes that are not about the address, then length, then the order of the table. Of the user's rules
/// the first wins.
fn rank(rule: &Rule, length: usize, at: usize) -> u64 {
    let field = |value: usize, bits: u32| (value as u64).min((1 << bits) - 1);
    let (safe, length) = match rule.weight {
        OWN_WEIGHT.. => (0, 0),
        _ => (u64::from(!rule.cause.is_dead_address()), field(length, 12)),
    };
    let order = field(usize::MAX, 20) - field(at, 20);
    u64::from(rule.weight) << WEIGHT_SHIFT | safe << 32 | length << 20 | order
}

/// Class, subject and detail of an enhanced status code.
fn numbers(status: &str) -> Option<(u8, u16, u16)> {
    let mut parts = status.split('.');
    let class = parts.next()?.parse().ok()?;
    let subject = parts.next()?.parse().ok()?;
    let detail = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some((class, subject, detail))
}

/// The same of a pattern, where `x` stands for any class.
fn status_key(pattern: &str) -> Option<(u8, u16, u16)> {
    match pattern.strip_prefix("x.") {
        Some(rest) => numbers(&format!("0.{rest}")),
        None => numbers(pattern).filter(|(class, _, _)| matches!(class, 4 | 5)),
    }
}
