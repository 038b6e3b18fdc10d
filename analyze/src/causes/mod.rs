//! `causes`: why mail fails, whose fault that is, and what to do. Causes are those of the rules of now, whatever ingest
//! stored.

pub mod csv;
mod delays;
pub(crate) mod judge;
pub mod table;
mod tally;
mod unknown;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use bouncewatch_schemas::cause::{Action, Cause, Classifier, Fault, Rollup, advice, likely_domain};
use bouncewatch_schemas::event::{Kind, Service};
use bouncewatch_schemas::provider;
use bouncewatch_schemas::table as columns;
use bouncewatch_schemas::time::{day_of, format_ms};
use serde::Serialize;

use crate::confidence::rate;
use crate::error::AnalyzeError;
use crate::model::{Scope, ScopeValues, ScopeWord};
use crate::scan::{Asked, Scan};
use judge::Judge;
use tally::{Cell, Counts, Facts, Tally};

/// Values that are told of what most of a cause has in common.
const MOSTLY_MAX: usize = 3;
/// Mistyped domains that are told of a cause.
const SUGGESTIONS_MAX: usize = 5;

/// One word of a cut of failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CauseWord {
    /// Why.
    Cause,
    /// Whose fault.
    Fault,
    /// List quality, sender health, or none of our doing.
    Rollup,
    /// A column of the table, or a tag.
    Scope(ScopeWord),
}

impl CauseWord {
    /// The word as it is typed, and as it is a key in the JSON.
    pub fn name(&self) -> String {
        match self {
            Self::Cause => "cause".to_owned(),
            Self::Fault => "fault".to_owned(),
            Self::Rollup => "rollup".to_owned(),
            Self::Scope(word) => word.name(),
        }
    }
}

impl FromStr for CauseWord {
    type Err = AnalyzeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "cause" => Ok(Self::Cause),
            "fault" => Ok(Self::Fault),
            "rollup" => Ok(Self::Rollup),
            // as people say it
            "domain" => Ok(Self::Scope(ScopeWord::Column(columns::RECIPIENT_DOMAIN))),
            "campaign" => Ok(Self::Scope(ScopeWord::Tag("campaign".to_owned()))),
            other => match other.parse() {
                Ok(word) => Ok(Self::Scope(word)),
                Err(_) => Err(AnalyzeError::CauseScope(other.to_owned())),
            },
        }
    }
}

/// By what failures are grouped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CauseCut(pub Vec<CauseWord>);

impl FromStr for CauseCut {
    type Err = AnalyzeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = Vec::new();
        for word in text.split(',') {
            let word = word.parse()?;
            if !words.contains(&word) {
                words.push(word);
            }
        }
        Ok(Self(words))
    }
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// The store.
    pub store: PathBuf,
    /// Begin of the span, epoch milliseconds: it does not belong to it.
    pub from: i64,
    /// End of the span, which does.
    pub to: i64,
    /// Groups; without any, by cause.
    pub cuts: Vec<CauseCut>,
    /// Of each cut only so many groups, those with most bounces; `None` for all.
    pub top: Option<usize>,
    /// Domains whose mail SES does not count.
    pub own_domains: Vec<String>,
}

/// The answer; its JSON is a contract. Bounces are all but automatic replies; shares are fractions of them. What is not
/// known is null: nothing is known of the span before where the store begins later.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the JSON, which the README describes")]
pub struct Causes {
    pub version: u32,
    pub as_of: String,
    pub from: String,
    pub to: String,
    pub bounces: u64,
    /// Those that enter SES's bounce rate.
    pub counted: u64,
    pub bounces_before: Option<u64>,
    /// Not among the bounces: the mail arrived.
    pub auto_replies: u64,
    pub rollups: Vec<RollupCount>,
    /// Groups that there are, and that are shown.
    pub groups_total: usize,
    pub groups: Vec<Group>,
    /// One for each cause, most bounces first.
    pub advice: Vec<Counsel>,
    pub delays: Vec<Delay>,
    /// Bounces of which SES's type and the server's text say different things.
    pub disagreements: Vec<Disagreement>,
    /// Texts that no rule knows.
    pub unknown: Vec<Unknown>,
}

/// One of the three questions that people ask first.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the JSON, which the README describes")]
pub struct RollupCount {
    pub rollup: &'static str,
    pub count: u64,
    pub share: Option<f64>,
    pub counted: u64,
    pub count_before: Option<u64>,
    pub share_before: Option<f64>,
}

/// Bounces that have the same words.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the JSON, which the README describes")]
pub struct Group {
    pub scope: Scope,
    pub fault: Option<&'static str>,
    pub count: u64,
    pub share: Option<f64>,
    pub counted: u64,
    pub count_before: Option<u64>,
    pub share_before: Option<f64>,
    /// A text of the kind that most of them have.
    pub example: Option<String>,
}

/// What to do about a cause.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the JSON, which the README describes")]
pub struct Counsel {
    pub cause: &'static str,
    pub fault: &'static str,
    pub action: &'static str,
    pub count: u64,
    pub share: Option<f64>,
    /// Values that most of them have in common.
    pub mostly: Vec<Common>,
    /// Block lists that texts name.
    pub block_lists: Vec<Named>,
    /// Domains that are most likely mistyped.
    pub suggestions: Vec<Suggestion>,
    pub meaning: &'static str,
    pub remedy: &'static str,
    pub ses: Option<&'static str>,
}

/// A value that many have.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the JSON, which the README describes")]
pub struct Common {
    pub by: String,
    pub value: String,
    pub count: u64,
}

/// A name, and how often it comes.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the JSON, which the README describes")]
pub struct Named {
    pub name: String,
    pub count: u64,
}

/// A domain that was most likely mistyped.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the JSON, which the README describes")]
pub struct Suggestion {
    pub domain: String,
    pub likely: &'static str,
    pub count: u64,
}

/// Delays of one type at one provider.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the JSON, which the README describes")]
pub struct Delay {
    /// SES's word; null where a bounce report says that the mail is still being tried.
    pub delay_type: Option<String>,
    pub provider: String,
    pub count: u64,
    pub count_before: Option<u64>,
    /// Whether bounces that count come next if nothing is done.
    pub about_sender: bool,
    /// Null for a word of SES that is new.
    pub meaning: Option<&'static str>,
}

/// What SES says, and what we say.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the JSON, which the README describes")]
pub struct Disagreement {
    pub bounce_type: Option<String>,
    pub bounce_subtype: Option<String>,
    pub cause: &'static str,
    pub count: u64,
    pub counted: u64,
    pub example: Option<String>,
}

/// A kind of text that no rule knows. It names nobody.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the JSON, which the README describes")]
pub struct Unknown {
    pub count: u64,
    /// Null where there was no text.
    pub template: Option<String>,
    pub smtp_code: Option<u16>,
    pub enhanced_status: Option<String>,
    pub bounce_type: Option<String>,
    pub bounce_subtype: Option<String>,
}

/// Texts that no rule knows, and nothing else: to be given to others.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the JSON, which the README describes")]
pub struct UnknownReport<'a> {
    pub version: u32,
    pub as_of: &'a str,
    pub from: &'a str,
    pub to: &'a str,
    pub bounces: u64,
    pub unknown_bounces: u64,
    pub unknown: &'a [Unknown],
}

impl Causes {
    /// The part that names nobody.
    pub fn unknown_report(&self) -> UnknownReport<'_> {
        UnknownReport {
            version: self.version,
            as_of: &self.as_of,
            from: &self.from,
            to: &self.to,
            bounces: self.bounces,
            unknown_bounces: self.unknown.iter().map(|one| one.count).sum(),
            unknown: &self.unknown,
        }
    }
}

/// Tells why mail failed.
///
/// # Errors
/// If there is no store, it cannot be read, or the span makes no sense.
pub fn causes(request: &Request, classifier: &Classifier) -> Result<Causes, AnalyzeError> {
    if request.from >= request.to {
        return Err(AnalyzeError::Span("--from must lie before --to".to_owned()));
    }
    Scan::over(&request.store, Service::Ses, &request.own_domains, |scan| {
        answer(request, classifier, scan)
    })
}

fn answer(request: &Request, classifier: &Classifier, scan: &Scan) -> Result<Causes, AnalyzeError> {
    let by_cause = [CauseCut(vec![CauseWord::Cause])];
    let cuts: &[CauseCut] = if request.cuts.is_empty() { &by_cause } else { &request.cuts };
    let mut words = [columns::PROVIDER, columns::RECIPIENT_DOMAIN].map(ScopeWord::Column).to_vec();
    for word in cuts.iter().flat_map(|cut| &cut.0) {
        match word {
            CauseWord::Scope(word) if !words.contains(word) => words.push(word.clone()),
            _ => {}
        }
    }
    let before = request.from.saturating_sub(request.to - request.from);
    let asked = Asked {
        kinds: &[Kind::Bounce, Kind::DeliveryDelay],
        words: &words,
        after: Some(before),
        to: request.to,
    };
    let mut tally = Tally::new(cuts, &words, request.from, Judge::new(classifier));
    scan.failures(&asked, |failure| tally.add(failure, 0))?;
    // of a span that lies before the store nobody knows anything
    let knows_before = scan.first_day().is_some_and(|first| first <= day_of(before));
    Ok(Answer { request, tally: &tally, knows_before }.whole(cuts, &words))
}

/// Makes the answer of what was counted.
struct Answer<'a> {
    request: &'a Request,
    tally: &'a Tally<'a>,
    knows_before: bool,
}

impl Answer<'_> {
    fn whole(&self, cuts: &[CauseCut], words: &[ScopeWord]) -> Causes {
        let tally = self.tally;
        let mut groups = Vec::new();
        for (cut, cells) in cuts.iter().zip(&tally.cells) {
            groups.extend(self.groups(cut, cells));
        }
        let (from, to) = (format_ms(self.request.from), format_ms(self.request.to));
        Causes {
            version: 1,
            as_of: to.clone(),
            from,
            to,
            bounces: tally.all.count,
            counted: tally.all.counted,
            bounces_before: self.before(tally.all.before),
            auto_replies: tally.auto_replies,
            rollups: self.rollups(),
            groups_total: tally.cells.iter().map(BTreeMap::len).sum(),
            groups,
            advice: self.advice(words),
            delays: self.delays(),
            disagreements: self.disagreements(),
            unknown: self.unknown(),
        }
    }

    fn before(&self, count: u64) -> Option<u64> {
        self.knows_before.then_some(count)
    }

    fn share(&self, count: u64) -> Option<f64> {
        rate(count, self.tally.all.count)
    }

    fn share_before(&self, counts: Counts) -> Option<f64> {
        self.before(counts.before).and_then(|count| rate(count, self.tally.all.before))
    }

    fn rollups(&self) -> Vec<RollupCount> {
        let of = |rollup: &Rollup| {
            let mut sum = Counts::default();
            for (_, facts) in
                self.tally.causes.iter().filter(|(cause, _)| cause.rollup() == *rollup)
            {
                sum.count += facts.counts.count;
                sum.counted += facts.counts.counted;
                sum.before += facts.counts.before;
            }
            RollupCount {
                rollup: rollup.as_str(),
                count: sum.count,
                share: self.share(sum.count),
                counted: sum.counted,
                count_before: self.before(sum.before),
                share_before: self.share_before(sum),
            }
        };
        Rollup::ALL.iter().map(of).collect()
    }

    fn groups(&self, cut: &CauseCut, cells: &BTreeMap<ScopeValues, Cell>) -> Vec<Group> {
        let mut all: Vec<(&ScopeValues, &Cell)> = cells.iter().collect();
        // the sort is stable, so that equal groups stay in the order of their values
        all.sort_by_key(|(_, cell)| {
            std::cmp::Reverse((cell.counts.count, cell.counts.counted, cell.counts.before))
        });
        all.truncate(self.request.top.unwrap_or(usize::MAX));
        let names: Vec<String> = cut.0.iter().map(CauseWord::name).collect();
        let group = |(values, cell): (&ScopeValues, &Cell)| Group {
            scope: Scope(names.iter().cloned().zip(values.iter().cloned()).collect()),
            fault: fault(cut, values).map(Fault::as_str),
            count: cell.counts.count,
            share: self.share(cell.counts.count),
            counted: cell.counts.counted,
            count_before: self.before(cell.counts.before),
            share_before: self.share_before(cell.counts),
            example: self.tally.example(cell).map(str::to_owned),
        };
        all.into_iter().map(group).collect()
    }

    fn advice(&self, words: &[ScopeWord]) -> Vec<Counsel> {
        let mut all: Vec<(&Cause, &Facts)> = self.tally.causes.iter().collect();
        all.retain(|(_, facts)| facts.counts.count > 0);
        all.sort_by_key(|(_, facts)| std::cmp::Reverse(facts.counts.count));
        let counsel = |(cause, facts): (&Cause, &Facts)| {
            let said = advice(*cause);
            Counsel {
                cause: cause.as_str(),
                fault: cause.fault().as_str(),
                action: Action::as_str(cause.action()),
                count: facts.counts.count,
                share: self.share(facts.counts.count),
                mostly: mostly(words, facts),
                block_lists: most(&facts.block_lists)
                    .map(|(name, count)| Named { name: name.clone(), count })
                    .collect(),
                suggestions: suggestions(words, facts),
                meaning: said.meaning,
                remedy: said.remedy,
                ses: said.ses,
            }
        };
        all.into_iter().map(counsel).collect()
    }

    fn delays(&self) -> Vec<Delay> {
        let delay = |((delay_type, provider), (count, before)): (
            &(Option<String>, String),
            &(u64, u64),
        )| Delay {
            meaning: delays::meaning(delay_type.as_deref()),
            about_sender: delay_type.as_deref().is_some_and(delays::is_about_sender),
            delay_type: delay_type.clone(),
            provider: provider.clone(),
            count: *count,
            count_before: self.before(*before),
        };
        let mut all: Vec<Delay> = self.tally.delays.iter().map(delay).collect();
        all.retain(|delay| delay.count > 0);
        all.sort_by_key(|delay| std::cmp::Reverse((delay.about_sender, delay.count)));
        all
    }

    fn disagreements(&self) -> Vec<Disagreement> {
        let all = self.tally.contradictions.iter().filter(|(_, cell)| cell.counts.count > 0);
        let one = |((bounce_type, bounce_subtype, cause), cell): (&tally::Contradiction, &Cell)| {
            Disagreement {
                bounce_type: bounce_type.clone(),
                bounce_subtype: bounce_subtype.clone(),
                cause: cause.as_str(),
                count: cell.counts.count,
                counted: cell.counts.counted,
                example: self.tally.example(cell).map(str::to_owned),
            }
        };
        let mut all: Vec<Disagreement> = all.map(one).collect();
        all.sort_by_key(|one| std::cmp::Reverse(one.count));
        all
    }

    fn unknown(&self) -> Vec<Unknown> {
        let one = |(key, count): (&tally::UnknownKey, &u64)| {
            let key = key.clone();
            Unknown {
                count: *count,
                template: key.template,
                smtp_code: key.smtp_code,
                enhanced_status: key.enhanced_status,
                bounce_type: key.bounce_type,
                bounce_subtype: key.bounce_subtype,
            }
        };
        let mut all: Vec<Unknown> = self.tally.unknown.iter().map(one).collect();
        all.sort_by_key(|one| std::cmp::Reverse(one.count));
        all
    }
}

/// Whose fault a group is, where its words tell.
fn fault(cut: &CauseCut, values: &ScopeValues) -> Option<Fault> {
    cut.0.iter().zip(values).find_map(|(word, value)| match word {
        CauseWord::Cause => Cause::from_word(value.as_deref()?).map(Cause::fault),
        CauseWord::Fault => Fault::from_word(value.as_deref()?),
        _ => None,
    })
}

/// Entries with the greatest numbers first; equal ones in the order of their names.
fn most(values: &BTreeMap<String, u64>) -> impl Iterator<Item = (&String, u64)> {
    let mut all: Vec<(&String, u64)> =
        values.iter().map(|(value, count)| (value, *count)).collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    all.into_iter().take(MOSTLY_MAX)
}

/// Values that a good part of a cause has in common: a third of it or more.
fn mostly(words: &[ScopeWord], facts: &Facts) -> Vec<Common> {
    let mut common: Vec<Common> = Vec::new();
    for (word, values) in words.iter().zip(&facts.values) {
        for (value, count) in most(values).filter(|(_, count)| count * 3 >= facts.counts.count) {
            // that nobody knows the provider says nothing, and a provider's only domain says nothing new
            let is_news = value != provider::OTHER
                && common.iter().all(|one| !(one.count == count && is_domain(word)));
            if is_news {
                common.push(Common { by: word.name(), value: value.clone(), count });
            }
        }
    }
    common
}

fn is_domain(word: &ScopeWord) -> bool {
    *word == ScopeWord::Column(columns::RECIPIENT_DOMAIN)
}

/// Mistyped domains among those of a cause that may come of a wrong address.
fn suggestions(words: &[ScopeWord], facts: &Facts) -> Vec<Suggestion> {
    let Some(at) = words.iter().position(is_domain) else { return Vec::new() };
    let likely = |(domain, count): (&String, &u64)| {
        let likely = likely_domain(domain)?;
        Some(Suggestion { domain: domain.clone(), likely, count: *count })
    };
    let mut all: Vec<Suggestion> =
        facts.values.get(at).into_iter().flatten().filter_map(likely).collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.count));
    all.truncate(SUGGESTIONS_MAX);
    all
}
