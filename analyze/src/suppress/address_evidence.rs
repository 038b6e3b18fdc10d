//! Bounces and complaints of addresses, as evidence. An address with one bounce takes about 200 bytes: a store can have
//! millions of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use crate::causes::anonymise::anonymise;
use crate::error::AnalyzeError;
use crate::incidents::detection::{
    HardBounce, Incident, IncidentIndex, is_recently_delivered, slot_of,
};
use crate::incidents::similar_texts::join_similar;
use crate::scan::{OutcomeCounts, StoreScan, StringInterner};
use crate::suppress::address_deliveries::AddressDeliveries;
use crate::suppress::affected_slots::AffectedSlots;
use crate::suppress::decision::{BounceEvidence, ESTABLISHED_MS};

/// How the replies of servers are kept.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replies {
    /// Each reply, to show it.
    #[default]
    Full,
    /// Masked replies of hard bounces only: enough to find incidents. Most are equal, so they take little memory.
    Masked,
}

/// A complaint about mail to an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ComplaintEvidence {
    pub(super) at: i64,
    pub(super) message: u64,
    pub(super) complaint_type: Option<Box<str>>,
}

/// Facts about an address, without its single failures.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct AddressFacts {
    /// ID of the provider, or of the domain if the provider is unknown.
    pub(super) group: u32,
    pub(super) is_on_list: bool,
    pub(super) is_on_global_list: bool,
    pub(super) has_unknown_text: bool,
    /// Time of the last message that SES did not send because of the account-level list.
    pub(super) on_account_list_at: Option<i64>,
    /// Time of the last complaint that rates exclude, such as one with subtype
    /// `OnAccountSuppressionList`.
    pub(super) other_complaint_at: Option<i64>,
}

/// Failures of one address.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct AddressEvidence<'e> {
    pub(super) facts: AddressFacts,
    /// Sorted, like the other lists of this struct.
    pub(super) bounces: &'e [BounceEvidence],
    pub(super) complaints: &'e [ComplaintEvidence],
    /// Messages that bounced for any reason. An earlier delivery of such a message does not show
    /// that the address is valid.
    bounced_messages: &'e [u64],
}

impl AddressEvidence<'_> {
    /// Returns the times of the hard bounces, sorted.
    fn hard(&self) -> Vec<i64> {
        self.bounces.iter().filter(|bounce| bounce.is_hard()).map(|bounce| bounce.at).collect()
    }
}

/// Sorted values of each address, by the ID of the address.
#[derive(Debug)]
pub(super) struct ByAddress<T> {
    values: Vec<T>,
    /// Index after the last value of the address with ID `index + 1`.
    ends: Vec<usize>,
}

impl<T> Default for ByAddress<T> {
    fn default() -> Self {
        Self { values: Vec::new(), ends: Vec::new() }
    }
}

impl<T> ByAddress<T> {
    /// Groups the values of addresses with the IDs 1 to `addresses`. `sorted` is sorted by address.
    pub(super) fn new(sorted: Vec<(u32, T)>, addresses: usize) -> Self {
        let mut ends = vec![0; addresses];
        for (index, (address, _)) in sorted.iter().enumerate() {
            ends[*address as usize - 1] = index + 1;
        }
        // in the memory of `sorted`
        let mut values: Vec<T> = sorted.into_iter().map(|(_, value)| value).collect();
        values.shrink_to_fit();
        // an address without values ends where the one before it ends
        let mut last = 0;
        for end in &mut ends {
            last = last.max(*end);
            *end = last;
        }
        Self { values, ends }
    }

    fn range(&self, address: u32) -> Range<usize> {
        let end = |address: Option<u32>| address.and_then(|at| self.ends.get(at as usize)).copied();
        let start = end(address.checked_sub(2)).unwrap_or_default();
        start..end(address.checked_sub(1)).unwrap_or(start)
    }

    fn of(&self, address: u32) -> &[T] {
        self.values.get(self.range(address)).unwrap_or_default()
    }

    fn get_mut(&mut self, address: u32, index: usize) -> Option<&mut T> {
        let range = self.range(address);
        self.values.get_mut(range)?.get_mut(index)
    }
}

/// Hard bounces, and their masked texts. Similar texts of a group are one.
#[derive(Debug, Default)]
pub(crate) struct HardBounces {
    pub(crate) all: Vec<HardBounce>,
    pub(crate) texts: StringInterner,
}

/// Evidence of all addresses.
#[derive(Debug, Default)]
pub(crate) struct FailureEvidence {
    /// An address is identified by its ID here.
    addresses: StringInterner,
    /// IDs of the addresses in alphabetical order.
    order: Vec<u32>,
    /// By ID - 1.
    pub(super) facts: Vec<AddressFacts>,
    pub(super) bounces: ByAddress<BounceEvidence>,
    pub(super) complaints: ByAddress<ComplaintEvidence>,
    pub(super) bounced_messages: ByAddress<u64>,
    /// Replies of the servers.
    pub(super) texts: StringInterner,
    pub(super) replies: Replies,
    /// Number of recipients that a complaint report lists, by message and time.
    pub(super) candidates: HashMap<(u64, i64), u64>,
    /// Providers, and domains of unknown providers.
    pub(crate) groups: StringInterner,
    /// Number of failures of dropped addresses.
    pub(super) dropped: u64,
    /// Recipients that are not addresses.
    pub(super) not_addresses: BTreeSet<String>,
}

impl FailureEvidence {
    /// No evidence.
    pub(super) fn new(replies: Replies) -> Self {
        Self { replies, ..Self::default() }
    }

    /// Returns the ID of an address and its facts; adds the address if it is new.
    pub(super) fn facts_of(&mut self, address: &str) -> (u32, &mut AddressFacts) {
        let id = self.addresses.intern(Some(address));
        let index = (id as usize).saturating_sub(1);
        if index >= self.facts.len() {
            self.facts.push(AddressFacts::default());
        }
        (id, &mut self.facts[index])
    }

    /// Adds the group of a failure of an address. The greatest is kept, because failures are added in arbitrary order.
    pub(super) fn add_group(&mut self, address: u32, group: Option<&str>) {
        let group = self.groups.intern(group);
        let known = (address as usize).checked_sub(1).and_then(|index| self.facts.get_mut(index));
        if let Some(known) = known {
            known.group = self.groups.max(known.group, group);
        }
    }

    /// Sorts the addresses, after the last one was added.
    pub(super) fn sort_addresses(&mut self) {
        self.order = (1..).take(self.facts.len()).collect();
        self.order.sort_unstable_by_key(|id| self.addresses.get(*id));
    }

    /// Returns the evidence of an address; that of an unknown address is empty.
    pub(super) fn of(&self, address: &str) -> AddressEvidence<'_> {
        self.of_id(self.addresses.find(address))
    }

    fn of_id(&self, id: u32) -> AddressEvidence<'_> {
        let index = (id as usize).checked_sub(1);
        AddressEvidence {
            facts: index.and_then(|index| self.facts.get(index)).copied().unwrap_or_default(),
            bounces: self.bounces.of(id),
            complaints: self.complaints.of(id),
            bounced_messages: self.bounced_messages.of(id),
        }
    }

    /// Returns the reply of a bounce.
    pub(super) fn text(&self, bounce: &BounceEvidence) -> Option<String> {
        self.texts.get(bounce.text).map(str::to_owned)
    }

    /// Returns all addresses in alphabetical order, each with its ID and evidence.
    fn with_ids(&self) -> impl Iterator<Item = (u32, &str, AddressEvidence<'_>)> {
        let address = |id: &u32| Some((*id, self.addresses.get(*id)?, self.of_id(*id)));
        self.order.iter().filter_map(address)
    }

    /// Returns all addresses in alphabetical order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, AddressEvidence<'_>)> {
        self.with_ids().map(|(_, address, evidence)| (address, evidence))
    }

    /// Returns the deliveries to each address with bounces, and to the addresses of `list`.
    pub(crate) fn deliveries(
        &self,
        scan: &StoreScan,
        to: i64,
        list: Option<&BTreeSet<String>>,
    ) -> Result<AddressDeliveries, AnalyzeError> {
        let first = |evidence: &AddressEvidence<'_>| {
            let first = evidence.bounces.first().map(|bounce| bounce.at);
            let hard = evidence.hard().first().map(|at| at.saturating_sub(ESTABLISHED_MS));
            [first, hard, evidence.facts.on_account_list_at].into_iter().flatten().min()
        };
        let mut from = i64::MAX;
        let mut recipients: Vec<&str> = Vec::new();
        for (address, evidence) in self.iter() {
            if let Some(first) = first(&evidence) {
                from = from.min(first);
                recipients.push(address);
            }
        }
        if let Some(list) = list {
            from = i64::MIN;
            recipients.extend(list.iter().map(String::as_str));
            recipients.sort_unstable();
            recipients.dedup();
        }
        let mut deliveries = AddressDeliveries::default();
        if recipients.is_empty() {
            return Ok(deliveries);
        }
        scan.deliveries(&recipients, from, to, |recipient, message, at| {
            let evidence = self.of(recipient);
            // a server can accept a message and return it later
            if evidence.bounced_messages.binary_search(&message).is_err() {
                let has_hard = evidence.bounces.iter().any(BounceEvidence::is_hard);
                deliveries.add(recipient, at, has_hard);
            }
        })?;
        deliveries.sort();
        Ok(deliveries)
    }

    /// Returns the slots in which hard bounces can belong to an incident of at least `minimum` addresses.
    pub(crate) fn affected_slots(&self, outcomes: &OutcomeCounts, minimum: usize) -> AffectedSlots {
        let mut bounced: BTreeMap<(u32, i64), u64> = BTreeMap::new();
        for (_, evidence) in self.iter() {
            for bounce in evidence.bounces.iter().filter(|bounce| bounce.is_hard()) {
                *bounced.entry((evidence.facts.group, slot_of(bounce.at))).or_default() += 1;
            }
        }
        AffectedSlots::of_counts(&bounced, &self.groups, outcomes, minimum)
    }

    /// Returns the hard bounces for which `is_included` is true. Its arguments: group and address, time of the bounce, times of
    /// all hard bounces of the address.
    pub(crate) fn hard_bounces(
        &self,
        is_included: impl Fn(&str, &str, i64, &[i64]) -> bool,
    ) -> HardBounces {
        let mut found = HardBounces::default();
        for (id, address, evidence) in self.with_ids() {
            let (hard, group) = (evidence.hard(), evidence.facts.group);
            let group_name = self.groups.get(group).unwrap_or_default();
            for (index, bounce) in evidence.bounces.iter().enumerate() {
                if bounce.is_hard() && is_included(group_name, address, bounce.at, &hard) {
                    let text = self.texts.get(bounce.text);
                    let text = match self.replies {
                        Replies::Full => {
                            let masked = text.map(|text| anonymise(text, Some(address)));
                            found.texts.intern(masked.as_deref())
                        }
                        Replies::Masked => found.texts.intern(text),
                    };
                    let at = bounce.at;
                    found.all.push(HardBounce { at, address: id, bounce: index, group, text });
                }
            }
        }
        join_similar(&mut found.all, &found.texts);
        found
    }

    /// Whether a hard bounce could be part of an incident, depending on bounces of other addresses.
    pub(super) fn may_be_in_incident(&self, deliveries: &AddressDeliveries) -> bool {
        self.iter().any(|(address, evidence)| {
            let hard = evidence.hard();
            let times = deliveries.times(address);
            hard.iter().any(|at| is_recently_delivered(*at, &hard, times))
        })
    }

    /// Marks the bounces that belong to incidents, and calls `each` with their message and recipient. `bounces` is the
    /// result of [`Self::hard_bounces`].
    pub(crate) fn mark(
        &mut self,
        bounces: &HardBounces,
        incidents: &[Incident],
        mut each: impl FnMut(u64, &str),
    ) {
        let index = IncidentIndex::new(incidents);
        for one in &bounces.all {
            if let Some(incident) = index.incident_of(one)
                && let Some(bounce) = self.bounces.get_mut(one.address, one.bounce)
            {
                bounce.incident_end = Some(incident.to);
                each(bounce.message, self.addresses.get(one.address).unwrap_or_default());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_their_address() {
        let mut values = ByAddress::new(vec![(2, 'a'), (2, 'b'), (4, 'c')], 5);
        let all: Vec<&[char]> = (0..=6).map(|address| values.of(address)).collect();
        let none: &[char] = &[];
        assert_eq!(all, [none, none, &['a', 'b'], none, &['c'], none, none]);
        for (address, index) in [(2, 1), (4, 0)] {
            *values.get_mut(address, index).unwrap() = 'd';
        }
        assert_eq!((values.of(2), values.of(4)), (&['a', 'd'][..], &['d'][..]));
    }
}
