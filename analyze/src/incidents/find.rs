//! Finds the incidents of a store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bouncewatch_classify::Classifier;
use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::{DAY_MS, format_ms};

use crate::causes::cached_classifier::CachedClassifier;
use crate::error::AnalyzeError;
use crate::incidents::detection::{
    DeliveredCounts, HOLD_MS, Incident, RECENT_MS, SLOT_MS, candidate_slots, find,
    is_recently_delivered, slot_of,
};
use crate::incidents::model::{INCIDENT_REMEDY, ProviderIncident};
use crate::scan::{StoreScan, StringInterner};
use crate::suppress::address_deliveries::AddressDeliveries;
use crate::suppress::address_evidence::EvidenceCollector;

/// Maximum time that an incident in a period starts before the period.
const EARLIER_MS: i64 = DAY_MS;

/// Recipients of the bounces of incidents, by message.
pub(crate) type IncidentBounces = BTreeMap<u64, BTreeSet<String>>;

/// The incidents of a store.
#[derive(Debug, Default)]
pub(crate) struct Incidents {
    /// In the order of their start.
    pub(crate) all: Vec<ProviderIncident>,
    pub(crate) bounces: IncidentBounces,
}

/// Returns the incidents with bounces after `from`, up to `to`, in the order of their start. `mass_guard` is the minimum
/// number of addresses; with 0, incidents are not detected.
///
/// # Errors
/// If there is no store, or it cannot be read.
pub fn incidents(
    store: &Path,
    classifier: &Classifier,
    mass_guard: usize,
    from: i64,
    to: i64,
) -> Result<Vec<ProviderIncident>, AnalyzeError> {
    // own domains are included, as in `suppress`
    let found = StoreScan::run(store, Service::Ses, &[], |scan| {
        incidents_of_period(scan, classifier, mass_guard, from, to)
    });
    Ok(found?.all)
}

/// Returns the incidents with bounces after `from`, up to `to`.
///
/// Most periods have none. So all bounces of the period are compared with the deliveries first, as if each address had
/// received mail before; only if that is an incident, the history of the addresses is read.
pub(crate) fn incidents_of_period(
    scan: &StoreScan,
    classifier: &Classifier,
    mass_guard: usize,
    from: i64,
    to: i64,
) -> Result<Incidents, AnalyzeError> {
    if mass_guard == 0 {
        return Ok(Incidents::default());
    }
    let mut classifier = CachedClassifier::new(classifier);
    // complete slots
    let first_slot = slot_of(from.saturating_sub(EARLIER_MS));
    let after = first_slot.saturating_mul(SLOT_MS).saturating_sub(1);
    let mut period = EvidenceCollector::collect(scan, &mut classifier, None, Some(after), to)?;
    if mark(scan, &mut period, mass_guard, to, |_, _, _| true)?.all.is_empty() {
        return Ok(Incidents::default());
    }
    let earlier = Some(after.saturating_sub(RECENT_MS));
    let mut history = EvidenceCollector::collect(scan, &mut classifier, None, earlier, to)?;
    let deliveries = history.deliveries(scan, to, None)?;
    let mut found = mark_incidents(scan, &mut history, &deliveries, mass_guard, Some(after), to)?;
    let from = format_ms(from);
    found.all.retain(|one| one.to > from);
    Ok(found)
}

/// Finds the incidents in evidence, and marks their bounces; only bounces after `after`.
pub(crate) fn mark_incidents(
    scan: &StoreScan,
    evidence: &mut EvidenceCollector,
    deliveries: &AddressDeliveries,
    mass_guard: usize,
    after: Option<i64>,
    to: i64,
) -> Result<Incidents, AnalyzeError> {
    mark(scan, evidence, mass_guard, to, |address, at, hard| {
        after.is_none_or(|after| at > after)
            && is_recently_delivered(at, hard, deliveries.times(address))
    })
}

/// Finds the incidents in the bounces for which `is_wanted` is true, given address, time, and the times of all hard
/// bounces of the address.
fn mark(
    scan: &StoreScan,
    evidence: &mut EvidenceCollector,
    mass_guard: usize,
    to: i64,
    is_wanted: impl Fn(&str, i64, &[i64]) -> bool,
) -> Result<Incidents, AnalyzeError> {
    if mass_guard == 0 {
        return Ok(Incidents::default());
    }
    let mut texts = StringInterner::default();
    let bounces = evidence.hard_bounces(&mut texts, is_wanted);
    let slots = candidate_slots(&bounces, mass_guard);
    if slots.is_empty() {
        return Ok(Incidents::default());
    }
    let mut delivered = DeliveredCounts::new();
    scan.deliveries_by_slot(&slots, SLOT_MS, to, |group, slot, count| {
        *delivered.entry((evidence.groups.intern(Some(group)), slot)).or_default() += count;
    })?;
    let found = find(&bounces, &delivered, mass_guard);
    let report = |one: &Incident| ProviderIncident {
        from: format_ms(one.from),
        to: format_ms(one.to),
        provider: evidence.groups.get(one.group).unwrap_or_default().to_owned(),
        text: texts.get(one.text).map(str::to_owned),
        addresses: one.addresses as u64,
        hold_until: format_ms(one.to.saturating_add(HOLD_MS)),
        remedy: INCIDENT_REMEDY,
    };
    let mut all: Vec<ProviderIncident> = found.iter().map(report).collect();
    all.sort();
    let mut incidents = Incidents { all, bounces: IncidentBounces::new() };
    evidence.mark(&bounces, &found, |message, recipient| {
        incidents.bounces.entry(message).or_default().insert(recipient.to_owned());
    });
    Ok(incidents)
}
