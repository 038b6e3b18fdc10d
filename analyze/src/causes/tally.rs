//! Counts failures by the words of cuts. No number depends on the order in which events come.

use std::collections::{BTreeMap, HashMap};

use bouncewatch_classify::template;
use bouncewatch_schemas::cause::Cause;
use bouncewatch_schemas::event::Kind;

use crate::causes::judge::{Judge, Judged};
use crate::causes::unknown::anonymous;
use crate::causes::{CauseCut, CauseWord};
use crate::scan::Failure;
use crate::scan::measures::TAG_SEPARATOR;
use crate::timeline::model::{Outcome, ScopeValues, ScopeWord};

/// Counts of a span, and of the one before it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    /// Bounces of the span.
    pub(super) count: u64,
    /// Those of them that enter SES's bounce rate.
    pub(super) counted: u64,
    /// Bounces of the span before.
    pub(super) before: u64,
}

impl Counts {
    fn add(&mut self, event: Event) {
        if event.is_before {
            self.before += 1;
        } else {
            self.count += 1;
            self.counted += u64::from(event.counts);
        }
    }
}

/// Texts of one template.
#[derive(Debug, Default)]
struct Texts {
    count: u64,
    /// The earliest of them, as it came.
    example: Option<(i64, Box<str>)>,
}

impl Texts {
    fn add(&mut self, at: i64, text: &str) {
        self.count += 1;
        let is_earlier =
            |(earliest, known): &(i64, Box<str>)| (at, text) < (*earliest, known.as_ref());
        if self.example.as_ref().is_none_or(is_earlier) {
            self.example = Some((at, Box::from(text)));
        }
    }
}

/// What is counted of one group.
#[derive(Debug, Default)]
pub(super) struct Cell {
    pub(super) counts: Counts,
    texts: BTreeMap<u32, Texts>,
}

/// What is known of a cause beside its numbers.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) counts: Counts,
    /// By word of the scan: how many have which value.
    pub(super) values: Vec<BTreeMap<String, u64>>,
    pub(super) block_lists: BTreeMap<String, u64>,
}

/// Delays of one type at one provider: in the span and before it.
pub(super) type Delays = BTreeMap<(Option<String>, String), (u64, u64)>;

/// SES's type and subtype, and the cause that the text tells.
pub(super) type Contradiction = (Option<String>, Option<String>, Cause);

/// What groups a text that no rule knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UnknownKey {
    pub(super) template: Option<String>,
    pub(super) bounce_type: Option<String>,
    pub(super) bounce_subtype: Option<String>,
    pub(super) smtp_code: Option<u16>,
    pub(super) enhanced_status: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Event {
    is_before: bool,
    counts: bool,
}

/// Everything that is counted.
pub(super) struct Tally<'a> {
    cuts: &'a [CauseCut],
    words: &'a [ScopeWord],
    /// The span begins behind this moment; what is not later belongs to the span before.
    from: i64,
    judge: Judge<'a>,
    templates: Templates,
    pub(super) all: Counts,
    pub(super) auto_replies: u64,
    /// By cut.
    pub(super) cells: Vec<BTreeMap<ScopeValues, Cell>>,
    pub(super) causes: BTreeMap<Cause, Facts>,
    pub(super) delays: Delays,
    pub(super) contradictions: BTreeMap<Contradiction, Cell>,
    pub(super) unknown: BTreeMap<UnknownKey, u64>,
}

/// Texts without what is special to a message, each with a number.
#[derive(Debug, Default)]
struct Templates {
    numbers: HashMap<String, u32>,
    texts: Vec<String>,
}

impl Templates {
    fn number(&mut self, text: &str) -> u32 {
        let text = template(text);
        if let Some(number) = self.numbers.get(&text) {
            return *number;
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.texts.push(text.clone());
        self.numbers.insert(text, number);
        number
    }
}

impl<'a> Tally<'a> {
    pub(super) fn new(
        cuts: &'a [CauseCut],
        words: &'a [ScopeWord],
        from: i64,
        judge: Judge<'a>,
    ) -> Self {
        Self {
            cuts,
            words,
            from,
            judge,
            templates: Templates::default(),
            all: Counts::default(),
            auto_replies: 0,
            cells: cuts.iter().map(|_| BTreeMap::new()).collect(),
            causes: BTreeMap::new(),
            delays: BTreeMap::new(),
            contradictions: BTreeMap::new(),
            unknown: BTreeMap::new(),
        }
    }

    /// Counts an event.
    pub(super) fn add(&mut self, failure: &Failure<'_>, provider: usize) {
        let is_before = failure.at <= self.from;
        if failure.kind == Kind::DeliveryDelay {
            let delay_type = failure.delay_type.map(str::to_owned);
            let host = failure.words.get(provider).copied().flatten().unwrap_or_default();
            let (count, before) = self.delays.entry((delay_type, host.to_owned())).or_default();
            *if is_before { before } else { count } += 1;
            return;
        }
        let judged = self.judge.judge(failure);
        if judged.cause == Cause::AutoReply {
            self.auto_replies += u64::from(!is_before);
            return;
        }
        let counts = matches!(failure.outcome, Outcome::Hard | Outcome::SuppressedCounted);
        let event = Event { is_before, counts };
        let text = failure
            .diagnostic
            .filter(|_| !is_before)
            .map(|text| (self.templates.number(text), text));
        self.all.add(event);
        for (cut, cells) in self.cuts.iter().zip(&mut self.cells) {
            for values in values(cut, self.words, failure, &judged) {
                add(cells.entry(values).or_default(), event, failure.at, text);
            }
        }
        self.add_facts(failure, &judged, event);
        if judged.agrees_with_ses == Some(false) {
            let owned = |word: Option<&str>| word.map(str::to_owned);
            let key = (owned(failure.bounce_type), owned(failure.bounce_subtype), judged.cause);
            add(self.contradictions.entry(key).or_default(), event, failure.at, text);
        }
        if !judged.is_known && !is_before {
            *self.unknown.entry(unknown_key(failure)).or_default() += 1;
        }
    }

    fn add_facts(&mut self, failure: &Failure<'_>, judged: &Judged, event: Event) {
        let facts = self.causes.entry(judged.cause).or_default();
        facts.counts.add(event);
        if event.is_before {
            return;
        }
        facts.values.resize_with(self.words.len(), BTreeMap::new);
        for (values, value) in facts.values.iter_mut().zip(&failure.words) {
            for value in value.iter().flat_map(|value| value.split(TAG_SEPARATOR)) {
                *values.entry(value.to_owned()).or_default() += 1;
            }
        }
        if let Some(list) = &judged.block_list {
            *facts.block_lists.entry(list.to_string()).or_default() += 1;
        }
    }

    /// A text of the template that most texts of a cell have; of equal ones the first by its words.
    pub(super) fn example<'c>(&self, cell: &'c Cell) -> Option<&'c str> {
        let template = |number: u32| self.templates.texts.get(number as usize);
        let most = cell.texts.iter().max_by(|(a, first), (b, second)| {
            first.count.cmp(&second.count).then_with(|| template(**b).cmp(&template(**a)))
        });
        most.and_then(|(_, texts)| texts.example.as_ref()).map(|(_, text)| text.as_ref())
    }
}

fn add(cell: &mut Cell, event: Event, at: i64, text: Option<(u32, &str)>) {
    cell.counts.add(event);
    if let Some((template, text)) = text {
        cell.texts.entry(template).or_default().add(at, text);
    }
}

/// The scopes of an event in a cut: several, where it has several values of a tag.
fn values(
    cut: &CauseCut,
    words: &[ScopeWord],
    failure: &Failure<'_>,
    judged: &Judged,
) -> Vec<ScopeValues> {
    let mut all: Vec<ScopeValues> = vec![Vec::with_capacity(cut.0.len())];
    for word in &cut.0 {
        let own = match word {
            CauseWord::Cause => vec![Some(judged.cause.as_str())],
            CauseWord::Fault => vec![Some(judged.cause.fault().as_str())],
            CauseWord::Rollup => vec![Some(judged.cause.rollup().as_str())],
            CauseWord::Scope(word) => {
                let at = words.iter().position(|known| known == word);
                match at.and_then(|at| failure.words.get(at).copied().flatten()) {
                    Some(value) if matches!(word, ScopeWord::Tag(_)) => {
                        value.split(TAG_SEPARATOR).map(Some).collect()
                    }
                    value => vec![value],
                }
            }
        };
        all = all
            .into_iter()
            .flat_map(|values| {
                own.iter().map(move |value| {
                    let mut values = values.clone();
                    values.push(value.map(str::to_owned));
                    values
                })
            })
            .collect();
    }
    all
}

fn unknown_key(failure: &Failure<'_>) -> UnknownKey {
    let owned = |word: Option<&str>| word.map(str::to_owned);
    UnknownKey {
        template: failure.diagnostic.map(|text| anonymous(text, failure.recipient)),
        bounce_type: owned(failure.bounce_type),
        bounce_subtype: owned(failure.bounce_subtype),
        smtp_code: failure.smtp_code,
        enhanced_status: owned(failure.enhanced_status),
    }
}
