//! Finds the incidents of a store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bouncewatch_classify::Classifier;
use bouncewatch_schemas::time::{DAY_MS, format_ms};

use crate::causes::cached_classifier::CachedClassifier;
use crate::error::AnalyzeError;
use crate::incidents::detection::{
    DeliveredCounts, HOLD_MS, Incident, RECENT_MS, SLOT_MS, can_contain_incident, candidate_slots,
    find, is_recently_delivered, minimum_for_rates, slot_of,
};
use crate::incidents::model::{INCIDENT_REMEDY, ProviderIncident};
use crate::scan::{OutcomeCounts, StoreScan};
use crate::suppress::address_deliveries::AddressDeliveries;
use crate::suppress::address_evidence::{FailureEvidence, HardBounces, Replies};
use crate::suppress::evidence_collector::{EvidenceCollector, affected_slots};

/// Maximum time before a period at which an incident of the period can start.
const EARLIER_MS: i64 = DAY_MS;

/// Recipients of the bounces of incidents, by message.
pub(crate) type IncidentBounces = BTreeMap<u64, BTreeSet<String>>;

/// Parameters of a search for incidents.
#[derive(Debug, Clone)]
pub struct IncidentSearch {
    /// Rules of the causes.
    pub classifier: Arc<Classifier>,
    /// Minimum number of addresses; with 0, incidents are not detected.
    pub mass_guard: usize,
}

/// The incidents of a store.
#[derive(Debug, Default)]
pub(crate) struct Incidents {
    /// Sorted by start.
    pub(crate) all: Vec<ProviderIncident>,
    pub(crate) bounces: IncidentBounces,
}

/// Returns the incidents with bounces after `from`, up to `to`, that change the rates noticeably,
/// in the order of their start.
///
/// If 0.2 % of the attempts of the period is more than `mass_guard`, this is the minimum: fewer
/// addresses do not change a rate noticeably.
pub(crate) fn noticeable_incidents(
    scan: &StoreScan,
    search: &IncidentSearch,
    from: i64,
    to: i64,
) -> Result<Vec<ProviderIncident>, AnalyzeError> {
    if search.mass_guard == 0 {
        return Ok(Vec::new());
    }
    let outcomes = outcomes_of_period(scan, from, to)?;
    let minimum = search.mass_guard.max(minimum_for_rates(&outcomes, slot_of(from)));
    let mut classifier = CachedClassifier::new(&search.classifier);
    Ok(find_in_period(scan, &mut classifier, &outcomes, minimum, from, to)?.all)
}

/// Returns the incidents with bounces after `from`, up to `to`.
pub(crate) fn incidents_of_period(
    scan: &StoreScan,
    classifier: &mut CachedClassifier<'_>,
    mass_guard: usize,
    from: i64,
    to: i64,
) -> Result<Incidents, AnalyzeError> {
    if mass_guard == 0 {
        return Ok(Incidents::default());
    }
    let outcomes = outcomes_of_period(scan, from, to)?;
    find_in_period(scan, classifier, &outcomes, mass_guard, from, to)
}

/// First slot in which an incident of a period after `from` can start.
fn first_slot(from: i64) -> i64 {
    slot_of(from.saturating_sub(EARLIER_MS))
}

/// The time after which events can belong to an incident of a period after `from`: the end of a slot.
pub(crate) fn search_start(from: i64) -> i64 {
    first_slot(from).saturating_mul(SLOT_MS).saturating_sub(1)
}

/// Returns the outcomes of a period, and of the time before it in which its incidents can start.
fn outcomes_of_period(scan: &StoreScan, from: i64, to: i64) -> Result<OutcomeCounts, AnalyzeError> {
    let Some(first_day) = scan.first_day() else { return Ok(OutcomeCounts::new()) };
    let first_slot = first_slot(from).max(slot_of(first_day.saturating_mul(DAY_MS)));
    let slots = (first_slot..=slot_of(to)).collect();
    scan.outcomes_by_slot(&slots, SLOT_MS, to)
}

/// Returns the incidents with bounces after `from`, up to `to`.
///
/// Most periods have no incident, so the function stops at the first step that rules one out. Each
/// step needs more memory or reads more than the step before: the counts of bounces; the number of
/// hard bounces; the hard bounces of affected slots, as if each address had received mail before; the
/// history of the addresses.
fn find_in_period(
    scan: &StoreScan,
    classifier: &mut CachedClassifier<'_>,
    outcomes: &OutcomeCounts,
    minimum: usize,
    from: i64,
    to: i64,
) -> Result<Incidents, AnalyzeError> {
    if !can_contain_incident(outcomes, minimum) {
        return Ok(Incidents::default());
    }
    let after = search_start(from);
    let affected = affected_slots(scan, classifier, outcomes, minimum, (Some(after), to))?;
    if affected.is_empty() {
        return Ok(Incidents::default());
    }
    let mut collect = |recipients, after, affected| {
        let span = (Some(after), to);
        EvidenceCollector::collect(scan, classifier, recipients, span, affected, Replies::Masked)
    };
    let mut period = collect(None, after, Some(&affected))?;
    let bounces = period.hard_bounces(|_, _, _, _| true);
    let possible = mark(outcomes, &mut period, &bounces, minimum);
    drop(period);
    let addresses: BTreeSet<String> = possible.bounces.into_values().flatten().collect();
    if addresses.is_empty() {
        return Ok(Incidents::default());
    }
    let mut history = collect(Some(&addresses), after.saturating_sub(RECENT_MS), None)?;
    let deliveries = history.deliveries(scan, to, None)?;
    let affected = history.affected_slots(outcomes, minimum);
    let bounces = history.hard_bounces(|group, address, at, hard| {
        at > after
            && affected.contains(group, at)
            && is_recently_delivered(at, hard, deliveries.times(address))
    });
    let mut found = mark(outcomes, &mut history, &bounces, minimum);
    let from = format_ms(from);
    found.all.retain(|one| one.to > from);
    Ok(found)
}

/// Finds the incidents in the evidence of all addresses, and marks their bounces in it.
pub(crate) fn mark_incidents(
    scan: &StoreScan,
    evidence: &mut FailureEvidence,
    deliveries: &AddressDeliveries,
    mass_guard: usize,
    to: i64,
) -> Result<Incidents, AnalyzeError> {
    if mass_guard == 0 {
        return Ok(Incidents::default());
    }
    let bounces = evidence.hard_bounces(|_, address, at, hard| {
        is_recently_delivered(at, hard, deliveries.times(address))
    });
    let slots = candidate_slots(&bounces.all, mass_guard);
    let outcomes = scan.outcomes_by_slot(&slots, SLOT_MS, to)?;
    Ok(mark(&outcomes, evidence, &bounces, mass_guard))
}

/// Finds the incidents in hard bounces, and marks these bounces in the evidence.
fn mark(
    outcomes: &OutcomeCounts,
    evidence: &mut FailureEvidence,
    bounces: &HardBounces,
    minimum: usize,
) -> Incidents {
    let delivered: DeliveredCounts = outcomes
        .iter()
        .map(|((group, slot), counts)| {
            ((evidence.groups.intern(Some(group)), *slot), counts.delivered)
        })
        .collect();
    let found = find(&bounces.all, &delivered, minimum);
    let report = |one: &Incident| ProviderIncident {
        from: format_ms(one.from),
        to: format_ms(one.to),
        provider: evidence.groups.get(one.group).unwrap_or_default().to_owned(),
        text: bounces.texts.get(one.text).map(str::to_owned),
        addresses: one.addresses as u64,
        hold_until: format_ms(one.to.saturating_add(HOLD_MS)),
        remedy: INCIDENT_REMEDY,
    };
    let mut all: Vec<ProviderIncident> = found.iter().map(report).collect();
    all.sort();
    let mut incidents = Incidents { all, bounces: IncidentBounces::new() };
    evidence.mark(bounces, &found, |message, recipient| {
        incidents.bounces.entry(message).or_default().insert(recipient.to_owned());
    });
    incidents
}
