//! Selects addresses to remove from the account-level suppression list of SES.

use bouncewatch_schemas::time::format_ms;

use crate::suppress::address_evidence::AddressEvidence;
use crate::suppress::address_list::AddressList;
use crate::suppress::decision::{
    BounceEvidence, CLOCK_SLACK_MS, Delivered, SuppressDecision, decide,
};
use crate::suppress::model::{ReleaseReason, ReleasedAddress, Releases, SuppressReason};
use crate::suppress::report_builder::SuppressionBuilder;

impl SuppressionBuilder<'_> {
    /// Returns the addresses to remove. Candidates are the addresses of the list to compare with.
    /// Without a list, they are the addresses that events show on it, and those with a hard bounce:
    /// SES adds these.
    pub(super) fn releases(&self) -> Releases {
        let list = self.request.known.as_ref();
        let by_events = || {
            let is_listed = |one: &AddressEvidence<'_>| {
                let on_list_at = one.facts.on_account_list_at;
                on_list_at.is_some() || one.bounces.iter().any(BounceEvidence::is_hard)
            };
            let listed = self.evidence.iter().filter(|(_, one)| is_listed(one));
            listed.map(|(address, _)| address).collect()
        };
        let candidates: Vec<&str> = match list {
            Some(list) => list.addresses.iter().map(String::as_str).collect(),
            None => by_events(),
        };
        let release: Vec<ReleasedAddress> =
            candidates.iter().filter_map(|address| self.release(address, list)).collect();
        Releases {
            version: 1,
            as_of: format_ms(self.request.at),
            kept: (candidates.len() - release.len()) as u64,
            release,
            mass_guard: self.request.mass_guard,
            incidents: self.incidents.clone(),
        }
    }

    fn release(&self, address: &str, list: Option<&AddressList>) -> Option<ReleasedAddress> {
        let evidence = self.evidence.of(address);
        let has_complained = !evidence.complaints.is_empty()
            || evidence.facts.other_complaint_at.is_some()
            || list.is_some_and(|list| list.complaints.contains(address));
        if has_complained {
            return None;
        }
        let delivered = self.deliveries.of(address);
        let decision = decide(evidence.bounces, delivered, self.request.soft, self.request.at);
        let hard = evidence.bounces.iter().rfind(|bounce| bounce.is_hard());
        let bounced_at = hard.map(|bounce| bounce.at);
        let on_list_at = evidence.facts.on_account_list_at;
        let listed_at = match list {
            Some(list) => list.listed_at.get(address).copied().max(on_list_at).max(bounced_at),
            // without an event of the list, a delivery shows that the address is not on it
            None => on_list_at.map(|at| bounced_at.map_or(at, |bounced| bounced.max(at))),
        };
        Some(ReleasedAddress {
            address: address.to_owned(),
            reason: reason(decision, delivered, listed_at, self.request.at)?,
            delivered_at: delivered.last.map(format_ms),
            bounced_at: bounced_at.map(format_ms),
            evidence: hard.and_then(|bounce| self.evidence.text(bounce)),
        })
    }
}

/// Returns the reason to remove an address without complaints; `None` to keep it. `listed_at` is
/// the last time at which it bounced or was on the list.
fn reason(
    decision: Option<SuppressDecision<'_>>,
    delivered: Delivered<'_>,
    listed_at: Option<i64>,
    now: i64,
) -> Option<ReleaseReason> {
    match decision {
        Some(found) if found.reason == SuppressReason::ProviderIncident => {
            Some(ReleaseReason::ProviderIncident)
        }
        Some(found) if found.reason == SuppressReason::OnHold => {
            found.expires_at.is_some_and(|end| end <= now).then_some(ReleaseReason::HoldEnded)
        }
        Some(_) => None,
        // ignore a delivery that may be earlier: the address can be on the list for another reason
        None => (delivered.last? > listed_at?.saturating_add(CLOCK_SLACK_MS))
            .then_some(ReleaseReason::Delivered),
    }
}

#[cfg(test)]
mod tests {
    use bouncewatch_schemas::cause::{Action, Cause};

    use super::*;
    use crate::suppress::decision::weight;

    #[test]
    fn release_needs_a_later_delivery_an_incident_or_the_end_of_a_hold() {
        let (family, weight) = weight(Cause::MailboxUnknown, Action::Suppress).unwrap();
        let (cause, text, incident_end) = (Cause::MailboxUnknown, 0, None);
        let last = BounceEvidence { at: 0, message: 1, family, weight, cause, text, incident_end };
        let decision = |reason, expires_at| {
            Some(SuppressDecision { reason, last: &last, first_at: 0, count: 1, expires_at })
        };
        let hour = CLOCK_SLACK_MS;
        for (decision, delivered, listed_at, expected) in [
            (None, Some(10 * hour + 1), Some(9 * hour), Some(ReleaseReason::Delivered)),
            (None, Some(10 * hour), Some(9 * hour), None),
            (None, Some(10 * hour), None, None),
            (None, None, Some(0), None),
            (decision(SuppressReason::HardBounce, None), Some(10 * hour), Some(0), None),
            (decision(SuppressReason::RepeatedFailure, Some(0)), Some(10 * hour), Some(0), None),
            (
                decision(SuppressReason::ProviderIncident, Some(900 * hour)),
                None,
                Some(0),
                Some(ReleaseReason::ProviderIncident),
            ),
            (
                decision(SuppressReason::OnHold, Some(100 * hour)),
                None,
                Some(0),
                Some(ReleaseReason::HoldEnded),
            ),
            (decision(SuppressReason::OnHold, Some(100 * hour + 1)), None, Some(0), None),
        ] {
            let delivered = Delivered { last: delivered, times: &[] };
            let found = reason(decision, delivered, listed_at, 100 * hour);
            assert_eq!(found, expected, "{decision:?} {delivered:?} {listed_at:?}");
        }
    }
}
