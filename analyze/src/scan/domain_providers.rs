//! The mailbox provider of each recipient domain: a bounce names the provider of a domain, a send does not.

use std::collections::{BTreeMap, HashSet};

use bouncewatch_schemas::{provider, table};
use foldhash::fast::RandomState;
use polars::prelude::*;

use crate::error::AnalyzeError;
use crate::scan::columns::text_ids;
use crate::scan::daily::{AggregateFolder, Measure, TimelineDelta};
use crate::scan::day_aggregates::aggregates_of_days;
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
    let of = (Basis::Event, scan.service);
    let folder = AggregateFolder::new(&scan.store, Measure::DomainProviders, of, &[], &[]);
    let mut all = DomainProviders::new();
    let days = scan.days(i64::MIN, i64::MAX);
    let build = |day| providers_of_day(scan, day);
    for aggregate in aggregates_of_days(scan, &folder, days, to, build)? {
        for scope in aggregate.index.scopes {
            if let [Some(domain), Some(provider)] = scope.values.as_slice() {
                let known = all.entry(domain.clone()).or_default();
                if provider > known {
                    known.clone_from(provider);
                }
            }
        }
    }
    Ok(all)
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
    let mut delta = TimelineDelta::default();
    for pair in found.providers() {
        let values = [pair.0, pair.1].map(|text| Some(text.to_owned()));
        delta.scopes.entry(values.to_vec()).or_default();
    }
    Ok(delta)
}
