//! The mailbox provider of each recipient domain: a bounce names the provider of a domain, a send does not.

use std::collections::BTreeMap;

use bouncewatch_schemas::table;
use polars::prelude::*;

use crate::error::AnalyzeError;
use crate::scan::daily::{AggregateFolder, Measure, TimelineDelta};
use crate::scan::day_aggregates::of_days;
use crate::scan::expressions;
use crate::scan::frames::collect_streaming;
use crate::scan::store_scan::StoreScan;
use crate::timeline::{Basis, Dimension};

/// Provider by recipient domain.
pub(super) type DomainProviders = BTreeMap<String, String>;

/// Returns the provider of each domain for which a row of the complete history names one.
pub(super) fn domain_providers(scan: &StoreScan, to: i64) -> Result<DomainProviders, AnalyzeError> {
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

/// Returns the pairs of domain and provider in the rows of a day, as scopes.
fn providers_of_day(scan: &StoreScan, day: i64) -> Result<TimelineDelta, AnalyzeError> {
    let provider = expressions::dimension_value(&Dimension::Column(table::PROVIDER));
    let pairs = scan
        .rows(day, day)?
        .filter(expressions::is_of(scan.service))
        .select([col(table::RECIPIENT_DOMAIN), provider])
        .filter(col(table::PROVIDER).is_not_null().and(col(table::RECIPIENT_DOMAIN).is_not_null()))
        .group_by([col(table::RECIPIENT_DOMAIN)])
        .agg([col(table::PROVIDER).max()]);
    let pairs = collect_streaming(pairs)?;
    let (domains, providers) =
        (pairs.column(table::RECIPIENT_DOMAIN)?.str()?, pairs.column(table::PROVIDER)?.str()?);
    let mut delta = TimelineDelta::default();
    for pair in domains.iter().zip(providers.iter()) {
        let values = [pair.0, pair.1].map(|text| text.map(str::to_owned)).to_vec();
        delta.scopes.entry(values).or_default();
    }
    Ok(delta)
}
