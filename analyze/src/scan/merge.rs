//! Merges daily aggregates into timelines. No polars.

use std::collections::BTreeMap;

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::provider;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::{DAY_MS, day_of};

use crate::error::AnalyzeError;
use crate::scan::daily::{AggregateTimes, DailyAggregate, DayList, PAIRS_CODE};
use crate::scan::domain_providers::DomainProviders;
use crate::scan::timelines::{ExactHours, Timelines};
use crate::timeline::times::{HourSet, Period, TimesBuilder};
use crate::timeline::{ACCOUNT_COLUMNS, Dimension, Grouping, Outcome, ScopeValues, Timeline};

/// The part of history in which events are counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct HistorySpan {
    pub(super) service: Service,
    pub(super) first_day: i64,
    /// Events before this time are ignored.
    pub(super) from: i64,
    pub(super) to: i64,
}

#[derive(Default)]
struct ScopeBuilder {
    first_send: Option<i64>,
    first_delivery: Option<i64>,
    times: BTreeMap<i32, TimesBuilder>,
}

/// Returns the timelines of a grouping. Times before the span are incomplete, so only the first send and the first
/// delivery of a scope are taken from them.
pub(super) fn merge_aggregates<'d>(
    span: HistorySpan,
    grouping: &Grouping,
    aggregates: impl Iterator<Item = &'d DailyAggregate>,
    providers: &DomainProviders,
    exact: &ExactHours,
) -> Result<Timelines, AnalyzeError> {
    let last_day = day_of(span.to);
    let first_day = span.first_day.max(day_of(span.from));
    // the hours of a day with individual times; `None` if its count is enough
    let hours_of = |day: i64| {
        let limits = [span.from, span.to].into_iter().filter(|limit| day_of(*limit) == day);
        let partial = limits.map(HourSet::of).reduce(HourSet::union);
        partial.into_iter().chain(exact.of_day(day)).reduce(HourSet::union)
    };
    let is_in_span = |day: i64| (first_day..=last_day).contains(&day);
    let mut scopes: BTreeMap<ScopeValues, ScopeBuilder> = BTreeMap::new();
    for aggregate in aggregates {
        let lists = aggregate.index.scopes.iter().flat_map(|scope| &scope.lists);
        let lists = lists.filter(|list| is_in_span(list.day));
        let parts = lists.filter_map(|list| Some(list.parts(hours_of(list.day)?))).flatten();
        let times = aggregate.times(parts.collect())?;
        for scope in &aggregate.index.scopes {
            let values = with_provider(grouping, &scope.values, providers);
            let builder = scopes.entry(values).or_default();
            let first = |known: Option<i64>, new: Option<i64>| {
                known.into_iter().chain(new.filter(|new| *new <= span.to)).min()
            };
            builder.first_send = first(builder.first_send, scope.first_send);
            builder.first_delivery = first(builder.first_delivery, scope.first_delivery);
            for list in scope.lists.iter().filter(|list| is_in_span(list.day)) {
                let builder = builder.times.entry(list.outcome_code).or_default();
                match hours_of(list.day) {
                    None => builder.add_counts(list.day, list.plus, list.minus),
                    Some(hours) => add_list(span, list, hours, &times, builder),
                }
            }
        }
    }
    let mut timelines: Timelines = scopes
        .into_iter()
        .map(|(values, builder)| (values, build_timeline(span.service, builder)))
        .collect();
    if span.service == Service::WorkMail {
        share_first_sends(&mut timelines);
    }
    // remove scopes that have only older sends, and no events in the span
    timelines.retain(|_, timeline| !timeline.times.is_empty());
    Ok(timelines)
}

/// Adds the times of a list, without those outside of the span. Of a long list, adds individual times of `hours`, and the
/// counts of other hours.
fn add_list(
    span: HistorySpan,
    list: &DayList,
    hours: HourSet,
    times: &AggregateTimes<'_>,
    builder: &mut TimesBuilder,
) {
    let in_span = |mut times: Vec<u32>| {
        let start = list.day * DAY_MS;
        times.retain(|time| (span.from..=span.to).contains(&(start + i64::from(*time))));
        times
    };
    if hours == HourSet::ALL || list.hours.is_empty() {
        let (plus, minus) = times.of(list);
        builder.add(list.day, &in_span(plus), &in_span(minus));
        return;
    }
    for of_hour in &list.hours {
        let hour = of_hour.hour;
        if hours.contains(hour) {
            let (plus, minus) = times.of_hour(of_hour);
            builder.add_hour(list.day, hour, &in_span(plus), &in_span(minus));
        } else if Period::hour(list.day, hour).overlaps(span.from, span.to) {
            builder.add_hour_counts(list.day, hour, of_hour.plus, of_hour.minus);
        }
    }
}

fn build_timeline(service: Service, builder: ScopeBuilder) -> Timeline {
    let mut timeline = Timeline::new(service);
    timeline.first_send = builder.first_send;
    timeline.first_delivery = builder.first_delivery;
    for (code, times) in builder.times {
        let times = times.finish();
        if code == PAIRS_CODE {
            timeline.delivered_or_bounced = times;
        } else if let Some(outcome) = Outcome::from_code(code).filter(|_| !times.is_empty()) {
            timeline.times.insert(outcome, times);
        }
    }
    timeline
}

/// Returns the values of a scope with the provider filled in. In aggregates of a grouping by
/// provider, the last value is the recipient domain of mail with an unknown provider: later rows
/// may name the provider of the domain.
pub(super) fn with_provider(
    grouping: &Grouping,
    values: &ScopeValues,
    providers: &DomainProviders,
) -> ScopeValues {
    let mut result: ScopeValues = values.iter().take(grouping.0.len()).cloned().collect();
    let dimension = Dimension::Column(table::PROVIDER);
    let at = grouping.0.iter().position(|one| *one == dimension);
    if let Some(value) = at.and_then(|at| result.get_mut(at))
        && value.is_none()
    {
        let domain = values.get(grouping.0.len()).and_then(Option::as_deref);
        let known = domain.and_then(|domain| providers.get(domain));
        *value = Some(known.map_or(provider::OTHER, String::as_str).to_owned());
    }
    result
}

/// Gives each scope the first send of its account and region. It shows that sends are logged, even
/// for a scope with bounces only.
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
