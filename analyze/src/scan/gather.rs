//! Changes, day by day -> timelines. No polars.

use std::collections::{BTreeMap, BTreeSet};

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::provider;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::{DAY_MS, day_of};

use crate::error::AnalyzeError;
use crate::scan::Timelines;
use crate::scan::changes::PAIRS;
use crate::scan::daily::Daily;
use crate::timeline::model::{ACCOUNT_COLUMNS, Cut, Outcome, ScopeValues, ScopeWord, Timeline};
use crate::timeline::times::Gathering;

/// Of which days the times must be known one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exact {
    /// Of all.
    All,
    /// Of these, in which windows begin or end.
    Days(BTreeSet<i64>),
}

impl Exact {
    /// The days of these moments.
    pub(crate) fn of(moments: impl IntoIterator<Item = i64>) -> Self {
        Self::Days(moments.into_iter().map(day_of).collect())
    }

    fn has(&self, day: i64) -> bool {
        match self {
            Self::All => true,
            Self::Days(days) => days.contains(&day),
        }
    }

    /// Adds days; whether one of them was not there.
    pub(crate) fn add(&mut self, more: impl IntoIterator<Item = i64>) -> bool {
        match self {
            Self::All => false,
            Self::Days(days) => {
                let before = days.len();
                days.extend(more);
                days.len() > before
            }
        }
    }
}

/// What of history is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) service: Service,
    pub(super) first_day: i64,
    /// Nothing before this moment counts.
    pub(super) from: i64,
    pub(super) to: i64,
}

/// The provider of each domain that is known.
pub(super) type Hosts = BTreeMap<String, String>;

#[derive(Default)]
struct Gathered {
    first_send: Option<i64>,
    first_delivery: Option<i64>,
    lists: BTreeMap<i32, Gathering>,
}

/// The timelines of one cut. What lies before the span is not complete, so of that only the first send and the first
/// delivery of a scope are taken.
pub(super) fn gather<'d>(
    span: Span,
    cut: &Cut,
    dailies: impl Iterator<Item = &'d Daily>,
    hosts: &Hosts,
    exact: &Exact,
) -> Result<Timelines, AnalyzeError> {
    let last_day = day_of(span.to);
    let first_day = span.first_day.max(day_of(span.from));
    let is_cut = |day| day == last_day || day == day_of(span.from);
    let mut scopes: BTreeMap<ScopeValues, Gathered> = BTreeMap::new();
    for daily in dailies {
        let mut times = None;
        for scope in &daily.index.scopes {
            let values = resolved(cut, &scope.values, hosts);
            let gathered = scopes.entry(values).or_default();
            let first = |known: Option<i64>, new: Option<i64>| {
                known.into_iter().chain(new.filter(|new| *new <= span.to)).min()
            };
            gathered.first_send = first(gathered.first_send, scope.first_send);
            gathered.first_delivery = first(gathered.first_delivery, scope.first_delivery);
            for list in &scope.lists {
                if list.day < first_day || list.day > last_day {
                    continue;
                }
                let gathering = gathered.lists.entry(list.outcome).or_default();
                if !exact.has(list.day) && !is_cut(list.day) {
                    gathering.add_numbers(list.day, list.plus, list.minus);
                    continue;
                }
                let times = match &mut times {
                    Some(times) => times,
                    none => none.insert(daily.times()?),
                };
                let (mut plus, mut minus) = times.of(list);
                if is_cut(list.day) {
                    let within = |time: &u32| {
                        (span.from..=span.to).contains(&(list.day * DAY_MS + i64::from(*time)))
                    };
                    plus.retain(within);
                    minus.retain(within);
                }
                gathering.add(list.day, &plus, &minus);
            }
        }
    }
    let mut timelines: Timelines = scopes
        .into_iter()
        .map(|(values, gathered)| (values, timeline(span.service, gathered)))
        .collect();
    // a scope of which only older sends are known has no events here
    if span.service == Service::WorkMail {
        share_first_sends(&mut timelines);
    }
    timelines.retain(|_, timeline| !timeline.times.is_empty());
    Ok(timelines)
}

fn timeline(service: Service, gathered: Gathered) -> Timeline {
    let mut timeline = Timeline::new(service);
    timeline.first_send = gathered.first_send;
    timeline.first_delivery = gathered.first_delivery;
    for (outcome, gathering) in gathered.lists {
        let times = gathering.finish();
        if outcome == PAIRS {
            timeline.delivered_or_bounced = times;
        } else if let Some(outcome) = Outcome::of_code(outcome).filter(|_| !times.is_empty()) {
            timeline.times.insert(outcome, times);
        }
    }
    timeline
}

/// The values of a scope. Where a provider is asked for, what is kept says behind them to which domain mail went whose
/// provider the event does not know: the provider of a domain may be learned later.
pub(super) fn resolved(cut: &Cut, values: &ScopeValues, hosts: &Hosts) -> ScopeValues {
    let mut resolved: ScopeValues = values.iter().take(cut.0.len()).cloned().collect();
    let at = cut.0.iter().position(|word| *word == ScopeWord::Column(table::PROVIDER));
    if let Some(provider) = at.and_then(|at| resolved.get_mut(at))
        && provider.is_none()
    {
        let domain = values.get(cut.0.len()).and_then(Option::as_deref);
        let host = domain.and_then(|domain| hosts.get(domain));
        *provider = Some(host.map_or(provider::OTHER, String::as_str).to_owned());
    }
    resolved
}

/// Gives each scope the first send of its account and region: it tells that sends are reported, and a scope whose mail
/// all bounced has none of its own.
fn share_first_sends(timelines: &mut Timelines) {
    let account =
        |values: &ScopeValues| values.iter().take(ACCOUNT_COLUMNS.len()).cloned().collect();
    let mut firsts: BTreeMap<ScopeValues, i64> = BTreeMap::new();
    for (values, timeline) in timelines.iter() {
        if let Some(send) = timeline.first_send {
            let first = firsts.entry(account(values)).or_insert(send);
            *first = send.min(*first);
        }
    }
    for (values, timeline) in timelines {
        timeline.first_send = firsts.get(&account(values)).copied();
    }
}
