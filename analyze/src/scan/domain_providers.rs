//! The mailbox provider of each recipient domain: a bounce names the provider of a domain, a send does not.

use std::collections::BTreeMap;

use bouncewatch_schemas::{provider, table};
use polars::prelude::*;

use crate::error::AnalyzeError;
use crate::scan::daily::{AggregateFolder, Measure, TimelineDelta};
use crate::scan::day_aggregates::of_days;
use crate::scan::expressions;
use crate::scan::frames::fold_batches;
use crate::scan::store_scan::StoreScan;
use crate::scan::string_interner::{NO_TEXT, StringInterner};
use crate::timeline::Basis;

/// Provider by recipient domain.
pub(crate) type DomainProviders = BTreeMap<String, String>;

/// Returns the provider of each domain for which a row of the complete history names one.
pub(crate) fn domain_providers(scan: &StoreScan, to: i64) -> Result<DomainProviders, AnalyzeError> {
    let of = (Basis::Event, scan.service);
    let folder = AggregateFolder::new(&scan.store, Measure::DomainProviders, of, &[], &[]);
    let mut all = DomainProviders::new();
    let days = scan.days(i64::MIN, i64::MAX);
    for aggregate in of_days(scan, &folder, days, to, |day| providers_of_day(scan, day))? {
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

/// Greatest provider of each domain, by text ID of the domain.
#[derive(Default)]
struct ProviderCollector {
    texts: StringInterner,
    /// Text ID of the provider, by text ID of the domain.
    providers: Vec<u32>,
}

impl ProviderCollector {
    fn add(&mut self, frame: &DataFrame) -> PolarsResult<()> {
        let domains = frame.column(table::RECIPIENT_DOMAIN)?.str()?.iter();
        let providers = frame.column(table::PROVIDER)?.str()?.iter();
        for (domain, provider) in domains.zip(providers) {
            let (Some(domain), Some(provider)) = (domain, provider) else { continue };
            if provider == provider::OTHER {
                continue;
            }
            let domain = self.texts.intern(Some(domain)) as usize;
            if self.providers.len() <= domain {
                self.providers.resize(domain + 1, NO_TEXT);
            }
            let known = self.texts.get(self.providers[domain]);
            if known < Some(provider) {
                self.providers[domain] = self.texts.intern(Some(provider));
            }
        }
        Ok(())
    }
}

/// Returns the pairs of domain and provider in the rows of a day, as scopes.
fn providers_of_day(scan: &StoreScan, day: i64) -> Result<TimelineDelta, AnalyzeError> {
    let is_wanted = expressions::is_of(scan.service);
    let columns = [col(table::RECIPIENT_DOMAIN), col(table::PROVIDER)];
    let uses = columns.iter().chain([&is_wanted]);
    let rows = scan.rows(day, day, uses)?.filter(is_wanted).select(columns);
    let found = fold_batches(rows, ProviderCollector::default(), |batch, found| found.add(batch))?;
    let mut delta = TimelineDelta::default();
    for (domain, provider) in (0..).zip(&found.providers) {
        if *provider != NO_TEXT {
            let values = [domain, *provider].map(|id| found.texts.get(id).map(str::to_owned));
            delta.scopes.entry(values.to_vec()).or_default();
        }
    }
    Ok(delta)
}
