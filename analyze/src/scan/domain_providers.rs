//! The mailbox provider of each recipient domain: a bounce names the provider of a domain, a send does not.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bouncewatch_schemas::{provider, table};
use foldhash::fast::RandomState;
use polars::prelude::*;

use crate::error::AnalyzeError;
use crate::scan::columns::text_ids;
use crate::scan::daily::{AggregateFolder, DailyAggregate, Measure, TimelineDelta};
use crate::scan::day_aggregates::{aggregates_of_days, is_closed};
use crate::scan::expressions;
use crate::scan::frames::fold_batches;
use crate::scan::read_rows::IS_WANTED;
use crate::scan::store_scan::StoreScan;
use crate::scan::string_interner::StringInterner;
use crate::timeline::Basis;

/// Provider by recipient domain.
pub(crate) type DomainProviders = BTreeMap<String, String>;

/// Returns the provider of each domain for which a row of the complete history names one.
pub(crate) fn domain_providers(scan: &StoreScan, to: i64) -> Result<DomainProviders, AnalyzeError> {
    let (closed, open): (BTreeSet<i64>, BTreeSet<i64>) =
        scan.days(i64::MIN, i64::MAX).into_iter().partition(|day| is_closed(*day, to));
    let mut all = DomainProviders::new();
    if let Some(last) = closed.last() {
        add(&mut all, providers_until(scan, closed.clone(), *last, to)?);
    }
    for of_day in providers_of_days(scan, open, to)? {
        add(&mut all, of_day);
    }
    Ok(all)
}

/// Returns the providers of all closed days, of which `last` is the last, as scopes. They are stored together, so that a
/// long history is not read from one file per day.
fn providers_until(
    scan: &StoreScan,
    closed: BTreeSet<i64>,
    last: i64,
    to: i64,
) -> Result<DailyAggregate, AnalyzeError> {
    let folder = folder(scan, Measure::AllDomainProviders);
    let fingerprint = scan.fingerprint(i64::MIN, last);
    if let Some(aggregate) = folder.read(last, |_| fingerprint) {
        return Ok(aggregate);
    }
    let mut all = DomainProviders::new();
    for of_day in providers_of_days(scan, closed, to)? {
        add(&mut all, of_day);
    }
    let pairs = all.iter().map(|(domain, provider)| (domain.as_str(), provider.as_str()));
    let mut aggregate =
        DailyAggregate::new(as_scopes(pairs), fingerprint, i64::MIN, scan.limits.long_list);
    folder.save(last, &mut aggregate);
    folder.finish(&BTreeSet::from([last]));
    Ok(aggregate)
}

/// Returns the providers of each day as scopes.
fn providers_of_days(
    scan: &StoreScan,
    days: BTreeSet<i64>,
    to: i64,
) -> Result<Vec<DailyAggregate>, AnalyzeError> {
    let folder = folder(scan, Measure::DomainProviders);
    aggregates_of_days(scan, &folder, days, to, |day| providers_of_day(scan, day))
}

fn folder(scan: &StoreScan, measure: Measure) -> AggregateFolder {
    AggregateFolder::new(&scan.store, measure, (Basis::Event, scan.service), &[], &[])
}

/// Adds the providers of some days. Of two providers of a domain, the greatest is known.
fn add(all: &mut DomainProviders, of_days: DailyAggregate) {
    for scope in of_days.index.scopes {
        if let [Some(domain), Some(provider)] = scope.values.as_slice() {
            let known = all.entry(domain.clone()).or_default();
            if provider > known {
                known.clone_from(provider);
            }
        }
    }
}

/// Pairs of domain and provider as scopes.
fn as_scopes<'p>(pairs: impl Iterator<Item = (&'p str, &'p str)>) -> TimelineDelta {
    let mut delta = TimelineDelta::default();
    for (domain, provider) in pairs {
        let values = [domain, provider].map(|text| Some(text.to_owned()));
        delta.scopes.entry(values.to_vec()).or_default();
    }
    delta
}

/// Pairs of domain and provider.
#[derive(Default)]
struct ProviderCollector {
    texts: StringInterner,
    /// Text IDs.
    pairs: HashSet<(u32, u32), RandomState>,
}

impl ProviderCollector {
    fn add(&mut self, frame: &DataFrame) -> PolarsResult<()> {
        let domains = text_ids(frame.column(table::RECIPIENT_DOMAIN)?.str()?, &mut self.texts);
        let providers = text_ids(frame.column(table::PROVIDER)?.str()?, &mut self.texts);
        let is_wanted = frame.column(IS_WANTED)?.bool()?.iter();
        let pairs = domains.into_iter().zip(providers).zip(is_wanted);
        self.pairs
            .extend(pairs.filter(|(_, is_wanted)| *is_wanted == Some(true)).map(|(pair, _)| pair));
        Ok(())
    }

    /// Returns the greatest known provider of each domain.
    fn providers(&self) -> BTreeMap<&str, &str> {
        let texts = |pair: &(u32, u32)| Some((self.texts.get(pair.0)?, self.texts.get(pair.1)?));
        let mut pairs: Vec<_> = self.pairs.iter().filter_map(texts).collect();
        pairs.retain(|(_, provider)| *provider != provider::OTHER);
        // sorted, so that the greatest provider of a domain is inserted last and wins
        pairs.sort_unstable();
        pairs.into_iter().collect()
    }
}

/// Returns the pairs of domain and provider in the rows of a day, as scopes.
fn providers_of_day(scan: &StoreScan, day: i64) -> Result<TimelineDelta, AnalyzeError> {
    let columns = vec![
        col(table::RECIPIENT_DOMAIN),
        col(table::PROVIDER),
        expressions::is_of_service(scan.service).alias(IS_WANTED),
    ];
    let rows = scan.select(day, day, columns)?;
    let found = fold_batches(rows, ProviderCollector::default(), |batch, found| found.add(batch))?;
    Ok(as_scopes(found.providers().into_iter()))
}
