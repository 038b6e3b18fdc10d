//! `causes`: why mail fails, whose fault that is, and what to do. Causes are those of the rules of now, whatever ingest
//! stored.

mod answer;
pub mod csv;
mod delays;
pub(crate) mod judge;
pub mod table;
mod tally;
mod unknown;

use std::path::PathBuf;
use std::str::FromStr;

use bouncewatch_classify::Classifier;
use bouncewatch_schemas::event::{Kind, Service};
use bouncewatch_schemas::table as columns;
use bouncewatch_schemas::time::day_of;
use serde::Serialize;

use crate::error::AnalyzeError;
use crate::scan::{Asked, Scan};
use crate::timeline::model::{Scope, ScopeWord};
use answer::Answer;
use judge::Judge;
use tally::Tally;

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
