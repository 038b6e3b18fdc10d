//! All rules at once: one pass over the text finds every phrase, and the strongest rule tells.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::details;
use super::fold::{Seen, fold, fold_pattern, unwrap};
use super::rule::{self, Kind, Rule, RuleError};
use super::taxonomy::{Action, Cause};
use super::{Classification, Confidence, Input, RunnerUp};

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

/// Buffers of one thread, kept from text to text.
#[derive(Debug, Default)]
pub struct Scratch {
    folded: Vec<u8>,
    /// A bit for each phrase: whether the text has it.
    found: Vec<u64>,
    /// The phrases that the text has, in the order of their first place.
    hits: Vec<u32>,
}

/// One alternative of a rule.
#[derive(Debug)]
struct Clause {
    rule: u32,
    /// Which alternative.
    pattern: u32,
    required: Box<[u32]>,
    forbidden: Box<[u32]>,
    rank: u64,
}

/// A phrase as it is searched for.
#[derive(Debug)]
struct Atom {
    length: usize,
    /// Whether a word must begin, and end, where it does.
    begins_word: bool,
    ends_word: bool,
    /// Clauses whose first phrase it is.
    clauses: Vec<u32>,
    /// Clauses whose first phrase it is, and that tell that a text is about the sender.
    guards: Vec<u32>,
    /// The rule whose id is the name of a block list.
    list: Option<u32>,
}

/// The rules, ready to be asked. Made once, shared by threads.
#[derive(Debug)]
pub struct Classifier {
    rules: Vec<Rule>,
    clauses: Vec<Clause>,
    atoms: Vec<Atom>,
    search: AhoCorasick,
    /// By class (0 for any), subject and detail.
    statuses: HashMap<(u8, u16, u16), u32>,
    codes: HashMap<u16, u32>,
    /// Type, subtype, clause.
    ses: Vec<(String, String, u32)>,
    delays: Vec<(String, u32)>,
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
        let mut building = Building::default();
        for (at, rule) in rules.iter().enumerate() {
            if rules[..at].iter().any(|other| other.id == rule.id) {
                return Err(RuleError::Twice(rule.id.clone()));
            }
            for (pattern, text) in rule.patterns.iter().enumerate() {
                building.pattern(at, rule, pattern, text)?;
            }
        }
        let Building { clauses, atoms, phrases, statuses, codes, ses, delays, .. } = building;
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .build(&phrases)
            .map_err(|error| RuleError::Search(error.to_string()))?;
        Ok(Self { rules, clauses, atoms, search, statuses, codes, ses, delays })
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
        let named = scratch.hits.iter().find_map(|hit| self.atoms[*hit as usize].list);
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
        self.search(scratch);
        let has = |atom: &u32| scratch.found[*atom as usize / 64] >> (atom % 64) & 1 == 1;
        let holds =
            |clause: &&Clause| clause.required.iter().all(has) && !clause.forbidden.iter().any(has);
        let atoms = || scratch.hits.iter().map(|hit| &self.atoms[*hit as usize]);
        let clauses =
            |ids: &'c [u32]| ids.iter().map(|id| &self.clauses[*id as usize]).filter(holds);
        let about_sender = seen.ip || atoms().any(|atom| clauses(&atom.guards).next().is_some());
        let mut best = Best { about_sender, ..Best::default() };
        for clause in atoms().flat_map(|atom| clauses(&atom.clauses)) {
            best.offer(clause, self);
        }
        let inner = expired.then(|| crate::diagnostic::leading_status(text.get(4..)?)).flatten();
        if let Some(status) = inner.or(input.enhanced_status).and_then(numbers) {
            let (class, subject, detail) = status;
            for key in [(class, subject, detail), (0, subject, detail)] {
                if let Some(clause) = self.statuses.get(&key) {
                    best.offer(&self.clauses[*clause as usize], self);
                }
            }
        }
        if let Some(clause) = input.smtp_code.and_then(|code| self.codes.get(&code)) {
            best.offer(&self.clauses[*clause as usize], self);
        }
        self.words_of_ses(input, &mut best);
        best
    }

    /// Finds every phrase of the folded text.
    fn search(&self, scratch: &mut Scratch) {
        let Scratch { folded, found, hits } = scratch;
        hits.clear();
        found.clear();
        found.resize(self.atoms.len().div_ceil(64), 0);
        for hit in self.search.find_overlapping_iter(folded.as_slice()) {
            let id = hit.pattern().as_u32();
            let atom = &self.atoms[id as usize];
            let (word, bit) = (id as usize / 64, 1 << (id % 64));
            if found[word] & bit != 0 {
                continue;
            }
            let end = hit.end();
            let is_word = |at: Option<usize>| {
                at.and_then(|at| folded.get(at)).is_some_and(u8::is_ascii_alphanumeric)
            };
            let torn = atom.begins_word && is_word((end - atom.length).checked_sub(1))
                || atom.ends_word && is_word(Some(end));
            if !torn {
                found[word] |= bit;
                hits.push(id);
            }
        }
    }

    fn words_of_ses<'c>(&'c self, input: &Input<'_>, best: &mut Best<'c>) {
        let is = |pattern: &str, word: Option<&str>| {
            pattern == "*" || word.is_some_and(|word| word.eq_ignore_ascii_case(pattern))
        };
        if input.bounce_type.is_some() {
            for (bounce_type, subtype, clause) in &self.ses {
                // an automatic reply has no report
                let replied = subtype == "General" && bounce_type == "Transient";
                let reported = input.text.is_some()
                    || input.enhanced_status.is_some()
                    || input.smtp_code.is_some();
                if is(bounce_type, input.bounce_type)
                    && is(subtype, input.bounce_subtype)
                    && !(replied && reported)
                {
                    best.offer(&self.clauses[*clause as usize], self);
                }
            }
        }
        if input.delay_type.is_some() {
            for (delay, clause) in &self.delays {
                if is(delay, input.delay_type) {
                    best.offer(&self.clauses[*clause as usize], self);
                }
            }
        }
    }

    /// Whether a rule wins a sample of its own.
    pub(super) fn check_sample(&self, rule: usize, sample: &str) -> Result<(), RuleError> {
        let id = &self.rules[rule].id;
        let (words, text) = rule::sample(sample);
        let said = crate::diagnostic::read(Some(Cow::Borrowed(text)), None);
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
        let phrases = |rule: &&Rule| {
            matches!(rule.kind, Kind::Phrase | Kind::Token | Kind::Guard | Kind::List)
        };
        let mut scratch = Scratch::default();
        let mut dead = Vec::new();
        for rule in self.rules.iter().filter(phrases) {
            for pattern in &rule.patterns {
                let parts = pattern.split(" & ").filter(|part| !part.starts_with('!'));
                let text = parts.map(|part| part.trim_matches('*')).collect::<Vec<_>>().join(" ");
                let text = text.replace("{ip}", "192.0.2.1").replace("{address}", "a@example.org");
                fold(&text, None, &mut scratch.folded);
                self.search(&mut scratch);
                let has = |atom: &u32| scratch.found[*atom as usize / 64] >> (atom % 64) & 1 == 1;
                let clauses = scratch.hits.iter().flat_map(|hit| {
                    let atom = &self.atoms[*hit as usize];
                    atom.clauses.iter().chain(&atom.guards).chain(&atom.list)
                });
                let is_found = match rule.kind {
                    Kind::List => clauses.count() > 0,
                    _ => clauses.map(|id| &self.clauses[*id as usize]).any(|clause| {
                        self.rules[clause.rule as usize].id == rule.id
                            && rule.patterns[clause.pattern as usize] == *pattern
                            && clause.required.iter().all(has)
                            && !clause.forbidden.iter().any(has)
                    }),
                };
                if !is_found {
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
    about_sender: bool,
}

impl<'c> Best<'c> {
    fn offer(&mut self, clause: &'c Clause, classifier: &Classifier) {
        let cause = |clause: &Clause| classifier.rules[clause.rule as usize].cause;
        if self.about_sender && cause(clause).is_dead_address() {
            return;
        }
        let Some(first) = self.first else {
            self.first = Some(clause);
            return;
        };
        let (winner, loser) =
            if clause.rank > first.rank { (clause, first) } else { (first, clause) };
        self.first = Some(winner);
        if cause(loser) != cause(winner)
            && self
                .second
                .is_none_or(|second| loser.rank > second.rank || cause(second) == cause(winner))
        {
            self.second = Some(loser);
        } else if self.second.is_some_and(|second| cause(second) == cause(winner)) {
            self.second = None;
        }
    }
}

/// What is gathered from the rules.
#[derive(Default)]
struct Building {
    clauses: Vec<Clause>,
    atoms: Vec<Atom>,
    phrases: Vec<Vec<u8>>,
    known: HashMap<(Vec<u8>, bool, bool), u32>,
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
            required: Box::default(),
            forbidden: Box::default(),
            rank: rank(rule, text.len(), at),
        };
        match rule.kind {
            Kind::List => {
                let atom = self.atom(text).ok_or(wrong("nothing to look for"))?;
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
                    list.push(self.atom(part).ok_or(wrong("nothing to look for"))?);
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
                if self.statuses.insert(key, id).is_some() {
                    return Err(wrong("another rule has this status"));
                }
            }
            Kind::Code => {
                let code = text.parse().map_err(|_| wrong("no reply code such as 550"))?;
                if self.codes.insert(code, id).is_some() {
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
        let bare = text.trim().trim_matches('*');
        let phrase = fold_pattern(bare);
        let is_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let begins_word = !text.starts_with('*') && is_word(phrase.first());
        let ends_word = !text.ends_with('*') && is_word(phrase.last());
        if phrase.is_empty() {
            return None;
        }
        let next = u32::try_from(self.atoms.len()).ok()?;
        let known = self.known.entry((phrase.clone(), begins_word, ends_word)).or_insert(next);
        if *known == next {
            let length = phrase.len();
            self.phrases.push(phrase);
            self.atoms.push(Atom {
                length,
                begins_word,
                ends_word,
                clauses: Vec::new(),
                guards: Vec::new(),
                list: None,
            });
        }
        Some(*known)
    }
}

/// Weight, then causes that are not about the address, then length, then the order of the table.
fn rank(rule: &Rule, length: usize, at: usize) -> u64 {
    let field = |value: usize, bits: u32| (value as u64).min((1 << bits) - 1);
    let safe = u64::from(!rule.cause.is_dead_address());
    u64::from(rule.weight) << 33
        | safe << 32
        | field(length, 12) << 20
        | (field(usize::MAX, 20) - field(at, 20))
}

fn confidence(rule: &Rule) -> Confidence {
    match (rule.kind, rule.weight) {
        (Kind::Token, _) | (_, 7..) => Confidence::High,
        (Kind::Phrase | Kind::Status, 5..) => Confidence::Medium,
        _ => Confidence::Low,
    }
}

/// What the cause says, softer where the failure may pass or the cause is a guess.
fn action(rule: &Rule, input: &Input<'_>, confidence: Confidence) -> Action {
    let action = rule.action.unwrap_or_else(|| rule.cause.action());
    let class = input.enhanced_status.and_then(|status| status.bytes().next());
    let passes = match (input.smtp_code, class) {
        (Some(code), _) => code < 500,
        (None, Some(class)) => class == b'4',
        (None, None) => is(input.bounce_type, "Transient") || input.delay_type.is_some(),
    };
    if action == Action::Suppress && (passes || confidence <= Confidence::Low) {
        return Action::SuppressIfRepeated;
    }
    action
}

fn is(word: Option<&str>, other: &str) -> bool {
    word.is_some_and(|word| word.eq_ignore_ascii_case(other))
}

/// Whether SES's type fits the cause.
fn agrees(cause: Cause, input: &Input<'_>) -> Option<bool> {
    let bounce_type = input.bounce_type?;
    let is_type = |word| is(Some(bounce_type), word);
    if cause == Cause::Unknown || is_type("Undetermined") {
        return None;
    }
    if is(input.bounce_subtype, "MailboxFull") {
        return Some(cause == Cause::MailboxFull);
    }
    Some(match cause {
        Cause::MailboxUnknown
        | Cause::MailboxDisabled
        | Cause::DomainInvalid
        | Cause::AddressSyntax
        | Cause::Suppressed => is_type("Permanent"),
        Cause::AutoReply
        | Cause::MailboxFull
        | Cause::RateLimited
        | Cause::Greylisted
        | Cause::ServerError
        | Cause::NetworkTimeout => is_type("Transient"),
        // SES calls these either, as the server's code is
        _ => true,
    })
}

fn unknown(expired: bool) -> Classification<'static> {
    Classification {
        cause: Cause::Unknown,
        fault: Cause::Unknown.fault(),
        action: Cause::Unknown.action(),
        confidence: Confidence::None,
        rule: None,
        matched: None,
        runner_up: None,
        retry_after: None,
        block_list: None,
        expired,
        agrees_with_ses: None,
    }
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
