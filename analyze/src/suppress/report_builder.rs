//! Builds the report from the evidence.

use bouncewatch_classify::likely_domain;
use bouncewatch_schemas::address;
use bouncewatch_schemas::time::format_ms;

use crate::incidents::model::ProviderIncident;
use crate::suppress::address_deliveries::AddressDeliveries;
use crate::suppress::address_evidence::{AddressEvidence, ComplaintEvidence, EvidenceCollector};
use crate::suppress::decision::{Delivered, decide};
use crate::suppress::model::{
    AddressWithoutEvidence, OmittedCounts, SuppressReason, SuppressedAddress, Suppressions,
};
use crate::suppress::request::SuppressRequest;

/// Builds the report from the evidence.
pub(super) struct SuppressionBuilder<'a> {
    pub(super) request: &'a SuppressRequest,
    pub(super) evidence: EvidenceCollector,
    pub(super) deliveries: AddressDeliveries,
    pub(super) incidents: Vec<ProviderIncident>,
}

impl SuppressionBuilder<'_> {
    /// Returns the report.
    pub(super) fn build(&self) -> Suppressions {
        let (request, evidence) = (self.request, &self.evidence);
        let mut left_out = OmittedCounts {
            dropped: evidence.dropped,
            not_an_address: evidence.not_addresses.len() as u64,
            ..OmittedCounts::default()
        };
        let as_of = format_ms(request.at);
        let (mut addresses, mut on_hold) = (Vec::new(), Vec::new());
        for (address, evidence) in &evidence.addresses {
            let delivered = self.deliveries.of(address);
            match self.listed(address, evidence, delivered) {
                Some(listed) if !listed.reason.is_hold() => {
                    addresses.push(listed);
                    continue;
                }
                Some(held) if held.expires_at.as_ref() > Some(&as_of) => {
                    on_hold.push(held);
                    continue;
                }
                Some(_) => left_out.hold_ended += 1,
                None => {}
            }
            let delivered_at = delivered.last;
            left_out.on_ses_list += u64::from(evidence.is_on_list);
            left_out.on_global_list += u64::from(evidence.is_on_global_list);
            left_out.unknown_text += u64::from(evidence.has_unknown_text && delivered_at.is_none());
        }
        let without_evidence = request.known.as_ref().map(|list| {
            // an address on hold may stay on the list until its hold ends
            let is_suppressed = |address: &String| {
                [&addresses, &on_hold].into_iter().any(|all: &Vec<SuppressedAddress>| {
                    all.binary_search_by(|one| one.address.as_str().cmp(address)).is_ok()
                })
            };
            let without_evidence = |address: &String| AddressWithoutEvidence {
                address: address.clone(),
                delivered_at: self.deliveries.of(address).last.map(format_ms),
            };
            let unsupported = list.addresses.iter().filter(|address| !is_suppressed(address));
            unsupported.map(without_evidence).collect()
        });
        if let Some(list) = &request.known {
            addresses.retain(|one| !list.addresses.contains(&one.address));
        }
        Suppressions {
            version: 1,
            as_of,
            soft_count: request.soft.count,
            soft_days: request.soft.days,
            addresses,
            without_evidence,
            left_out,
            mass_guard: request.mass_guard,
            on_hold,
            incidents: self.incidents.clone(),
        }
    }

    fn listed(
        &self,
        address: &str,
        evidence: &AddressEvidence,
        delivered: Delivered<'_>,
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
        let decision = decide(&evidence.bounces, delivered, self.request.soft, self.request.at)?;
        Some(SuppressedAddress {
            address: address.to_owned(),
            reason: decision.reason,
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
        match self.evidence.candidates.get(&(complaint.message, complaint.at)) {
            Some(candidates) if *candidates > 1 => {
                format!("{text}, of one of {candidates} recipients")
            }
            _ => text,
        }
    }
}
