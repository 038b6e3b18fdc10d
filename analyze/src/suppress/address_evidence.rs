//! Collects the bounces and complaints of all addresses as evidence.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bouncewatch_schemas::address;
use bouncewatch_schemas::cause::Cause;
use bouncewatch_schemas::event::EventKind;
use bouncewatch_schemas::provider;
use bouncewatch_schemas::table;
use bouncewatch_store::addresses::is_dropped;
use foldhash::fast::RandomState;

use crate::causes::anonymise::anonymise;
use crate::causes::cached_classifier::CachedClassifier;
use crate::error::AnalyzeError;
use crate::incidents::detection::{
    HardBounce, Incident, IncidentIndex, is_affected, is_recently_delivered, slot_of,
};
use crate::scan::{Failure, FailureQuery, OutcomeCounts, StoreScan, StringInterner};
use crate::suppress::address_deliveries::AddressDeliveries;
use crate::suppress::decision::{BounceEvidence, ESTABLISHED_MS, Weight, weight};
use crate::timeline::{Dimension, Outcome};

/// Bounce subtype of mail to an address on the account-level suppression list of SES.
const ON_ACCOUNT_LIST: &str = "OnAccountSuppressionList";

/// A complaint about mail to an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ComplaintEvidence {
    pub(super) at: i64,
    pub(super) message: u64,
    pub(super) complaint_type: Option<Box<str>>,
}

/// Failures of one address.
#[derive(Debug, Default)]
pub(super) struct AddressEvidence {
    /// ID of the provider, or of the domain if the provider is unknown.
    group: u32,
    /// Sorted, like the other lists of this struct.
    pub(super) bounces: Vec<BounceEvidence>,
    pub(super) complaints: Vec<ComplaintEvidence>,
    /// Messages that bounced for any reason. An earlier delivery of such a message does not show
    /// that the address is valid.
    bounced_messages: Vec<u64>,
    pub(super) is_on_list: bool,
    pub(super) is_on_global_list: bool,
    /// Time of the last message that SES did not send because of the account-level list.
    pub(super) on_account_list_at: Option<i64>,
    /// Time of the last complaint that rates exclude, such as one with subtype
    /// `OnAccountSuppressionList`.
    pub(super) other_complaint_at: Option<i64>,
    pub(super) has_unknown_text: bool,
}

impl AddressEvidence {
    /// Returns the times of the hard bounces, sorted.
    fn hard(&self) -> Vec<i64> {
        self.bounces.iter().filter(|bounce| bounce.is_hard()).map(|bounce| bounce.at).collect()
    }
}

/// Hard bounces, and their masked texts.
#[derive(Debug, Default)]
pub(crate) struct HardBounces {
    pub(crate) all: Vec<HardBounce>,
    pub(crate) texts: StringInterner,
}

/// Returns the query for the bounces and complaints after `after` (`None` for all), up to `to`. If `recipients` is set,
/// other recipients are omitted.
pub(super) fn query(
    recipients: Option<&BTreeSet<String>>,
    after: Option<i64>,
    to: i64,
) -> FailureQuery<'_> {
    let kinds = &[EventKind::Bounce, EventKind::Complaint];
    FailureQuery { kinds, recipients, dimensions: &[Dimension::Column(table::PROVIDER)], after, to }
}

/// Evidence by address, while failures are added.
type EvidenceByAddress = HashMap<String, AddressEvidence, RandomState>;

/// Updates the evidence of an address; adds the address if it is new.
fn update(
    addresses: &mut EvidenceByAddress,
    recipient: &str,
    update: impl FnOnce(&mut AddressEvidence),
) {
    if let Some(evidence) = addresses.get_mut(recipient) {
        update(evidence);
    } else {
        let mut evidence = AddressEvidence::default();
        update(&mut evidence);
        addresses.insert(recipient.to_owned(), evidence);
    }
}

/// Evidence of all addresses.
#[derive(Debug, Default)]
pub(crate) struct EvidenceCollector {
    pub(super) addresses: BTreeMap<String, AddressEvidence>,
    /// Number of recipients that a complaint report lists, by message and time.
    pub(super) candidates: HashMap<(u64, i64), u64>,
    /// Providers, and domains of unknown providers.
    pub(crate) groups: StringInterner,
    /// Number of failures of dropped addresses.
    pub(super) dropped: u64,
    /// Recipients that are not addresses.
    pub(super) not_addresses: BTreeSet<String>,
}

impl EvidenceCollector {
    /// Collects the bounces and complaints after `after` (`None` for all), up to `to`. If
    /// `recipients` is set, other recipients are omitted.
    pub(crate) fn collect(
        scan: &StoreScan,
        classifier: &mut CachedClassifier<'_>,
        recipients: Option<&BTreeSet<String>>,
        after: Option<i64>,
        to: i64,
    ) -> Result<Self, AnalyzeError> {
        let mut evidence = Self::default();
        let query = query(recipients, after, to);
        // by hash first: an ordered map compares many addresses per failure
        let mut addresses = HashMap::default();
        scan.failures(&query, |failure| evidence.add(failure, classifier, &mut addresses))?;
        evidence.addresses = addresses.into_iter().collect();
        for evidence in evidence.addresses.values_mut() {
            // failures are added in arbitrary order
            evidence.bounces.sort();
            evidence.complaints.sort();
            evidence.bounced_messages.sort_unstable();
        }
        Ok(evidence)
    }

    fn add(
        &mut self,
        failure: &Failure<'_>,
        classifier: &mut CachedClassifier<'_>,
        addresses: &mut EvidenceByAddress,
    ) {
        let Some(recipient) = failure.recipient else { return };
        if !address::is_address(recipient) {
            self.not_addresses.insert(recipient.to_owned());
            return;
        }
        if failure.kind == EventKind::Complaint {
            self.add_complaint(failure, recipient, addresses);
            return;
        }
        let classified = classifier.classify(failure);
        let evidence = weight(classified.cause, classified.action);
        if is_dropped(recipient) {
            self.dropped += u64::from(matches!(evidence, Some((_, Weight::AtOnce))));
            return;
        }
        if classified.cause == Cause::AutoReply {
            return;
        }
        let provider = failure.values.first().copied().flatten();
        let provider = provider.filter(|name| *name != provider::OTHER);
        let group = self.groups.intern(provider.or(address::domain(recipient)));
        update(addresses, recipient, |known| {
            known.group = group;
            known.bounced_messages.push(failure.message);
            known.is_on_list |= classified.cause == Cause::Suppressed;
            known.is_on_global_list |= failure.outcome == Outcome::SuppressedCounted;
            if failure.bounce_subtype == Some(ON_ACCOUNT_LIST) {
                known.on_account_list_at = known.on_account_list_at.max(Some(failure.at));
            }
            known.has_unknown_text |= !classified.has_rule && failure.outcome == Outcome::Hard;
            if let Some((family, weight)) = evidence {
                known.bounces.push(BounceEvidence {
                    at: failure.at,
                    message: failure.message,
                    family,
                    weight,
                    cause: classified.cause,
                    text: failure.diagnostic.map(Box::from),
                    incident_end: None,
                });
            }
        });
    }

    fn add_complaint(
        &mut self,
        failure: &Failure<'_>,
        recipient: &str,
        addresses: &mut EvidenceByAddress,
    ) {
        if failure.outcome != Outcome::Complaint {
            let is_not_spam =
                failure.complaint_type.is_some_and(|kind| kind.eq_ignore_ascii_case("not-spam"));
            if !is_not_spam && !is_dropped(recipient) {
                update(addresses, recipient, |known| {
                    known.other_complaint_at = known.other_complaint_at.max(Some(failure.at));
                });
            }
            return;
        }
        *self.candidates.entry((failure.message, failure.at)).or_default() += 1;
        if is_dropped(recipient) {
            self.dropped += 1;
            return;
        }
        let complaint_type = failure.complaint_type.map(Box::from);
        let complaint =
            ComplaintEvidence { at: failure.at, message: failure.message, complaint_type };
        update(addresses, recipient, |known| known.complaints.push(complaint));
    }

    /// Returns the deliveries to each address with bounces, and to the addresses of `list`.
    pub(crate) fn deliveries(
        &self,
        scan: &StoreScan,
        to: i64,
        list: Option<&BTreeSet<String>>,
    ) -> Result<AddressDeliveries, AnalyzeError> {
        let first = |evidence: &AddressEvidence| {
            let first = evidence.bounces.first().map(|bounce| bounce.at);
            let hard = evidence.hard().first().map(|at| at.saturating_sub(ESTABLISHED_MS));
            [first, hard, evidence.on_account_list_at].into_iter().flatten().min()
        };
        let mut from = i64::MAX;
        let mut recipients: BTreeSet<&str> = BTreeSet::new();
        for (address, evidence) in &self.addresses {
            if let Some(first) = first(evidence) {
                from = from.min(first);
                recipients.insert(address);
            }
        }
        if let Some(list) = list {
            from = i64::MIN;
            recipients.extend(list.iter().map(String::as_str));
        }
        let mut deliveries = AddressDeliveries::default();
        if recipients.is_empty() {
            return Ok(deliveries);
        }
        let recipients: Vec<&str> = recipients.into_iter().collect();
        scan.deliveries(&recipients, from, to, |recipient, message, at| {
            let evidence = self.addresses.get(recipient);
            // a server can accept a message and return it later
            let has_bounced = evidence
                .is_some_and(|known| known.bounced_messages.binary_search(&message).is_ok());
            if !has_bounced {
                let has_hard =
                    evidence.is_some_and(|known| known.bounces.iter().any(BounceEvidence::is_hard));
                deliveries.add(recipient, at, has_hard);
            }
        })?;
        deliveries.sort();
        Ok(deliveries)
    }

    /// Returns the slots of groups with enough hard bounces for an incident, as if all had the same text, and the slots next
    /// to them.
    pub(crate) fn affected_slots(&self, outcomes: &OutcomeCounts) -> HashSet<(u32, i64)> {
        let mut bounced: HashMap<(u32, i64), u64> = HashMap::new();
        for evidence in self.addresses.values() {
            for bounce in evidence.bounces.iter().filter(|bounce| bounce.is_hard()) {
                *bounced.entry((evidence.group, slot_of(bounce.at))).or_default() += 1;
            }
        }
        let is_affected_slot = |((group, slot), bounced): &((u32, i64), u64)| {
            let name = self.groups.get(*group).unwrap_or_default().to_owned();
            let delivered = outcomes.get(&(name, *slot)).map_or(0, |counts| counts.delivered);
            is_affected(*bounced, delivered)
        };
        let affected = bounced.into_iter().filter(is_affected_slot);
        affected
            .flat_map(|((group, slot), _)| (slot - 1..=slot + 1).map(move |at| (group, at)))
            .collect()
    }

    /// Returns the hard bounces for which `is_included` is true, sorted by address. Its arguments: group and address, time
    /// of the bounce, times of all hard bounces of the address.
    pub(crate) fn hard_bounces(
        &self,
        is_included: impl Fn(u32, &str, i64, &[i64]) -> bool,
    ) -> HardBounces {
        let mut found = HardBounces::default();
        for (number, (address, evidence)) in self.addresses.iter().enumerate() {
            let hard = evidence.hard();
            for (index, bounce) in evidence.bounces.iter().enumerate() {
                if bounce.is_hard() && is_included(evidence.group, address, bounce.at, &hard) {
                    let text = bounce.text.as_deref().map(|text| anonymise(text, Some(address)));
                    let text = found.texts.intern(text.as_deref());
                    let (at, group) = (bounce.at, evidence.group);
                    let address = number;
                    found.all.push(HardBounce { at, address, bounce: index, group, text });
                }
            }
        }
        found
    }

    /// Whether a hard bounce could be part of an incident, depending on bounces of other addresses.
    pub(super) fn may_be_in_incident(&self, deliveries: &AddressDeliveries) -> bool {
        self.addresses.iter().any(|(address, evidence)| {
            let hard = evidence.hard();
            let times = deliveries.times(address);
            hard.iter().any(|at| is_recently_delivered(*at, &hard, times))
        })
    }

    /// Marks the bounces that belong to incidents, and calls `each` with their message and recipient. `bounces` is the
    /// result of [`Self::hard_bounces`].
    pub(crate) fn mark(
        &mut self,
        bounces: &[HardBounce],
        incidents: &[Incident],
        mut each: impl FnMut(u64, &str),
    ) {
        let index = IncidentIndex::new(incidents);
        let mut bounces = bounces.iter().peekable();
        for (number, (address, evidence)) in self.addresses.iter_mut().enumerate() {
            while let Some(one) = bounces.next_if(|one| one.address == number) {
                if let Some(incident) = index.incident_of(one)
                    && let Some(bounce) = evidence.bounces.get_mut(one.bounce)
                {
                    bounce.incident_end = Some(incident.to);
                    each(bounce.message, address);
                }
            }
        }
    }
}
