//! Collects the evidence of all addresses.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bouncewatch_classify::likely_domain;
use bouncewatch_schemas::address;
use bouncewatch_schemas::cause::Cause;
use bouncewatch_schemas::event::EventKind;
use bouncewatch_schemas::time::format_ms;
use bouncewatch_store::addresses::is_dropped;

use crate::causes::cached_classifier::CachedClassifier;
use crate::error::AnalyzeError;
use crate::scan::{Failure, StoreScan};
use crate::suppress::decision::{BounceEvidence, Weight, decide, weight};
use crate::suppress::model::{
    AddressWithoutEvidence, OmittedCounts, SuppressReason, SuppressedAddress, Suppressions,
};
use crate::suppress::request::SuppressRequest;
use crate::timeline::Outcome;

/// A complaint about mail to an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct ComplaintEvidence {
    at: i64,
    message: u64,
    complaint_type: Option<Box<str>>,
}

/// Failures of one address.
#[derive(Debug, Default)]
struct AddressEvidence {
    bounces: Vec<BounceEvidence>,
    complaints: Vec<ComplaintEvidence>,
    /// Messages that bounced for any reason: an earlier delivery of the same message is no sign of a valid address.
    bounced_messages: Vec<u64>,
    is_on_list: bool,
    is_on_global_list: bool,
    has_unknown_text: bool,
}

/// Collects the evidence of all addresses.
#[derive(Debug, Default)]
pub(super) struct EvidenceCollector {
    addresses: BTreeMap<String, AddressEvidence>,
    /// Number of recipients of each complaint report, by message and time.
    candidates: HashMap<(u64, i64), u64>,
    dropped: u64,
}

impl EvidenceCollector {
    /// Adds a failure.
    pub(super) fn add(&mut self, failure: &Failure<'_>, classifier: &mut CachedClassifier<'_>) {
        let Some(recipient) = failure.recipient else { return };
        if failure.kind == EventKind::Complaint {
            self.add_complaint(failure, recipient);
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
        self.update(recipient, |known| {
            known.bounced_messages.push(failure.message);
            known.is_on_list |= classified.cause == Cause::Suppressed;
            known.is_on_global_list |= failure.outcome == Outcome::SuppressedCounted;
            known.has_unknown_text |= !classified.has_rule && failure.outcome == Outcome::Hard;
            if let Some((family, weight)) = evidence {
                known.bounces.push(BounceEvidence {
                    at: failure.at,
                    message: failure.message,
                    family,
                    weight,
                    cause: classified.cause,
                    text: failure.diagnostic.map(Box::from),
                });
            }
        });
    }

    fn add_complaint(&mut self, failure: &Failure<'_>, recipient: &str) {
        if failure.outcome != Outcome::Complaint {
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
        self.update(recipient, |known| known.complaints.push(complaint));
    }

    /// Updates the evidence of an address; adds the address if it is new.
    fn update(&mut self, recipient: &str, update: impl FnOnce(&mut AddressEvidence)) {
        if let Some(evidence) = self.addresses.get_mut(recipient) {
            update(evidence);
        } else {
            let mut evidence = AddressEvidence::default();
            update(&mut evidence);
            self.addresses.insert(recipient.to_owned(), evidence);
        }
    }

    /// Sorts the evidence, because failures are added in arbitrary order.
    pub(super) fn sort(&mut self) {
        for evidence in self.addresses.values_mut() {
            evidence.bounces.sort();
            evidence.complaints.sort();
            evidence.bounced_messages.sort_unstable();
        }
    }

    /// Returns the time of the last delivery to each address with bounces or in the list to compare with.
    pub(super) fn deliveries(
        &self,
        request: &SuppressRequest,
        scan: &StoreScan,
    ) -> Result<HashMap<String, i64>, AnalyzeError> {
        let bounced = self.addresses.iter().filter(|(_, evidence)| !evidence.bounces.is_empty());
        let mut wanted: BTreeSet<&str> = bounced.map(|(address, _)| address.as_str()).collect();
        let mut from = self
            .addresses
            .values()
            .filter_map(|evidence| evidence.bounces.first())
            .map(|bounce| bounce.at)
            .min()
            .unwrap_or(request.at);
        if let Some(list) = &request.known {
            wanted.extend(list.addresses.iter().map(String::as_str));
            from = i64::MIN;
        }
        let mut last: HashMap<String, i64> = HashMap::new();
        if wanted.is_empty() {
            return Ok(last);
        }
        let wanted = wanted.into_iter().collect();
        scan.deliveries(wanted, from, request.at, |recipient, message, at| {
            // a server can accept a message and return it later
            let has_bounced = self
                .addresses
                .get(recipient)
                .is_some_and(|known| known.bounced_messages.binary_search(&message).is_ok());
            if has_bounced {
                return;
            }
            match last.get_mut(recipient) {
                Some(known) => *known = at.max(*known),
                None => _ = last.insert(recipient.to_owned(), at),
            }
        })?;
        Ok(last)
    }

    /// Returns the report; `delivered` is the result of [`Self::deliveries`].
    pub(super) fn report(
        &self,
        request: &SuppressRequest,
        delivered: &HashMap<String, i64>,
    ) -> Suppressions {
        let mut left_out = OmittedCounts { dropped: self.dropped, ..OmittedCounts::default() };
        let mut addresses = Vec::new();
        for (address, evidence) in &self.addresses {
            let delivered_at = delivered.get(address).copied();
            if let Some(suppressed) = self.suppressed(request, address, evidence, delivered_at) {
                addresses.push(suppressed);
                continue;
            }
            left_out.on_ses_list += u64::from(evidence.is_on_list);
            left_out.on_global_list += u64::from(evidence.is_on_global_list);
            left_out.unknown_text += u64::from(evidence.has_unknown_text && delivered_at.is_none());
        }
        let without_evidence = request.known.as_ref().map(|list| {
            let is_suppressed = |address: &String| {
                addresses.binary_search_by(|one| one.address.as_str().cmp(address)).is_ok()
            };
            let without_evidence = |address: &String| AddressWithoutEvidence {
                address: address.clone(),
                delivered_at: delivered.get(address).copied().map(format_ms),
            };
            let unsupported = list.addresses.iter().filter(|address| !is_suppressed(address));
            unsupported.map(without_evidence).collect()
        });
        if let Some(list) = &request.known {
            addresses.retain(|one| !list.addresses.contains(&one.address));
        }
        Suppressions {
            version: 1,
            as_of: format_ms(request.at),
            soft_count: request.soft.count,
            soft_days: request.soft.days,
            addresses,
            without_evidence,
            left_out,
        }
    }

    fn suppressed(
        &self,
        request: &SuppressRequest,
        address: &str,
        evidence: &AddressEvidence,
        delivered_at: Option<i64>,
    ) -> Option<SuppressedAddress> {
        let AddressEvidence { complaints, .. } = evidence;
        if let (Some(first), Some(last)) = (complaints.first(), complaints.last()) {
            return Some(SuppressedAddress {
                address: address.to_owned(),
                reason: SuppressReason::Complaint,
                cause: None,
                evidence: Some(self.complaint_text(last)),
                first_at: format_ms(first.at),
                last_at: format_ms(last.at),
                count: complaints.len() as u64,
                expires_at: None,
                suggestion: None,
            });
        }
        let decision = decide(&evidence.bounces, delivered_at, request.soft, request.at)?;
        let reason = match decision.weight {
            Weight::AtOnce => SuppressReason::HardBounce,
            Weight::IfRepeated => SuppressReason::RepeatedFailure,
        };
        Some(SuppressedAddress {
            address: address.to_owned(),
            reason,
            cause: Some(decision.last.cause.as_str()),
            evidence: decision.last.text.as_deref().map(str::to_owned),
            first_at: format_ms(decision.first_at),
            last_at: format_ms(decision.last.at),
            count: decision.count,
            expires_at: decision.expires_at.map(format_ms),
            suggestion: address::domain(address).and_then(likely_domain),
        })
    }

    /// Returns a complaint as text. SES lists all recipients that may have complained.
    fn complaint_text(&self, complaint: &ComplaintEvidence) -> String {
        let text = match &complaint.complaint_type {
            Some(complaint_type) => format!("complaint ({complaint_type})"),
            None => "complaint".to_owned(),
        };
        match self.candidates.get(&(complaint.message, complaint.at)) {
            Some(candidates) if *candidates > 1 => {
                format!("{text}, of one of {candidates} recipients")
            }
            _ => text,
        }
    }
}
