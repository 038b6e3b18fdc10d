//! What was counted -> the answer.

use std::collections::BTreeMap;

use bouncewatch_classify::{advice, likely_domain};
use bouncewatch_schemas::cause::{Action, Cause, Fault, Rollup};
use bouncewatch_schemas::provider;
use bouncewatch_schemas::table as columns;
use bouncewatch_schemas::time::format_ms;

use crate::causes::tally::{self, Cell, Counts, Facts, Tally};
use crate::causes::{
    CauseCut, CauseWord, Causes, Common, Counsel, Delay, Disagreement, Group, Named, Request,
    RollupCount, Suggestion, Unknown, delays,
};
use crate::check::confidence::rate;
use crate::timeline::model::{Scope, ScopeValues, ScopeWord};

/// Values that are told of what most of a cause has in common.
const MOSTLY_MAX: usize = 3;
/// Mistyped domains that are told of a cause.
const SUGGESTIONS_MAX: usize = 5;

/// Makes the answer of what was counted.
pub(super) struct Answer<'a> {
    pub(super) request: &'a Request,
    pub(super) tally: &'a Tally<'a>,
    /// Whether the store reaches back to the span before.
    pub(super) knows_before: bool,
}

impl Answer<'_> {
    /// The whole of it.
    pub(super) fn whole(&self, cuts: &[CauseCut], words: &[ScopeWord]) -> Causes {
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
