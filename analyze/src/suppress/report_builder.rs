//! Builds the report from the evidence.

use bouncewatch_classify::likely_domain;
use bouncewatch_schemas::address;
use bouncewatch_schemas::time::format_ms;

use crate::incidents::model::ProviderIncident;
use crate::suppress::address_deliveries::AddressDeliveries;
use crate::suppress::address_evidence::{
    AddressEvidence, AddressFacts, ComplaintEvidence, FailureEvidence,
};
use crate::suppress::decision::{BounceEvidence, Delivered, decide};
use crate::suppress::model::{
    AddressWithoutEvidence, OmittedCounts, SuppressReason, SuppressedAddress, Suppressions,
};
use crate::suppress::request::SuppressRequest;

/// Builds the report from the evidence.
pub(super) struct SuppressionBuilder<'a> {
    pub(super) request: &'a SuppressRequest,
    pub(super) evidence: FailureEvidence,
    pub(super) deliveries: AddressDeliveries,
    pub(super) incidents: Vec<ProviderIncident>,
}

/// An address to suppress, or one on hold.
pub(super) struct ListedAddress<'e> {
    pub(super) reason: SuppressReason,
    last: LastFailure<'e>,
    pub(super) first_at: i64,
    /// Number of bounces or complaints that are evidence.
    count: u64,
    expires_at: Option<i64>,
}

/// The last failure that is evidence.
enum LastFailure<'e> {
    Bounce(&'e BounceEvidence),
    Complaint(&'e ComplaintEvidence),
}

impl ListedAddress<'_> {
    /// Returns the cause of the last bounce; `None` for a complaint.
    pub(super) fn cause(&self) -> Option<&'static str> {
        match self.last {
            LastFailure::Bounce(bounce) => Some(bounce.cause.as_str()),
            LastFailure::Complaint(_) => None,
        }
    }
}

impl SuppressionBuilder<'_> {
    /// Returns the report.
    pub(super) fn build(&self) -> Suppressions {
        let request = self.request;
        let (mut addresses, mut on_hold) = (Vec::new(), Vec::new());
        let left_out = self.for_each_listed(|address, listed| {
            let of_kind = if listed.reason.is_hold() { &mut on_hold } else { &mut addresses };
            of_kind.push(self.suppressed_address(address, &listed));
        });
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
            as_of: format_ms(request.at),
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

    /// Calls `each` with each address to suppress or on hold, in alphabetical order. Returns the numbers of the others.
    pub(super) fn for_each_listed(
        &self,
        mut each: impl FnMut(&str, ListedAddress<'_>),
    ) -> OmittedCounts {
        let mut left_out = OmittedCounts {
            dropped: self.evidence.dropped,
            not_an_address: self.evidence.not_addresses.len() as u64,
            ..OmittedCounts::default()
        };
        for (address, evidence) in self.evidence.iter() {
            let delivered = self.deliveries.of(address);
            match self.listed(&evidence, delivered) {
                Some(ended)
                    if ended.reason.is_hold() && ended.expires_at <= Some(self.request.at) =>
                {
                    left_out.hold_ended += 1;
                }
                Some(listed) => {
                    each(address, listed);
                    continue;
                }
                None => {}
            }
            let AddressFacts { is_on_list, is_on_global_list, has_unknown_text, .. } =
                evidence.facts;
            left_out.on_ses_list += u64::from(is_on_list);
            left_out.on_global_list += u64::from(is_on_global_list);
            left_out.unknown_text += u64::from(has_unknown_text && delivered.last.is_none());
        }
        left_out
    }

    fn listed<'e>(
        &self,
        evidence: &AddressEvidence<'e>,
        delivered: Delivered<'_>,
    ) -> Option<ListedAddress<'e>> {
        let complaints = evidence.complaints;
        if let (Some(first), Some(last)) = (complaints.first(), complaints.last()) {
            return Some(ListedAddress {
                reason: SuppressReason::Complaint,
                last: LastFailure::Complaint(last),
                first_at: first.at,
                count: complaints.len() as u64,
                expires_at: None,
            });
        }
        let decision = decide(evidence.bounces, delivered, self.request.soft, self.request.at)?;
        Some(ListedAddress {
            reason: decision.reason,
            last: LastFailure::Bounce(decision.last),
            first_at: decision.first_at,
            count: decision.count,
            expires_at: decision.expires_at,
        })
    }

    fn suppressed_address(&self, address: &str, listed: &ListedAddress<'_>) -> SuppressedAddress {
        let (evidence, last_at, suggestion) = match listed.last {
            LastFailure::Bounce(bounce) => {
                let suggestion = address::domain(address).and_then(likely_domain);
                (self.evidence.text(bounce), bounce.at, suggestion)
            }
            LastFailure::Complaint(complaint) => {
                (Some(self.complaint_text(complaint)), complaint.at, None)
            }
        };
        SuppressedAddress {
            address: address.to_owned(),
            reason: listed.reason,
            cause: listed.cause(),
            evidence,
            first_at: format_ms(listed.first_at),
            last_at: format_ms(last_at),
            count: listed.count,
            expires_at: listed.expires_at.map(format_ms),
            suggestion,
        }
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
