//! Finds provider incidents. No I/O. The result does not depend on the order of bounces.
//!
//! Time is divided into slots of an hour. A slot is affected if at least 20 % of the attempts to a
//! provider bounce with the same text; only bounces of addresses that received mail before count.
//! Neighbouring affected slots with enough addresses are an incident. The usual loss of addresses
//! is far below 1 % of the mail of an hour.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;

use bouncewatch_schemas::time::DAY_MS;

use crate::scan::OutcomeCounts;

/// Duration of a hold after the incident or the bounce: outages rarely last longer.
pub(crate) const HOLD_MS: i64 = 3 * DAY_MS;
/// Maximum age of a recent delivery: long enough for a monthly newsletter.
pub(crate) const RECENT_MS: i64 = 30 * DAY_MS;
/// Length of the slots in which bounces and deliveries are compared.
pub(crate) const SLOT_MS: i64 = 3_600_000;
/// A slot is affected if at least one in this number of attempts bounces.
const AFFECTED_ONE_IN: u64 = 5;
/// Attempts of a period per address of an incident that changes its rates noticeably.
const ATTEMPTS_PER_ADDRESS: u64 = 500;
/// Maximum distance of affected slots of one incident.
const SLOTS_APART_MAX: i64 = 3;

/// A hard bounce of an address. Address, group and text are IDs that the caller assigns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HardBounce {
    pub(crate) at: i64,
    pub(crate) address: u32,
    /// Index among the bounces of the address.
    pub(crate) bounce: usize,
    /// Provider, or recipient domain if the provider is unknown.
    pub(crate) group: u32,
    /// Masked text of the server.
    pub(crate) text: u32,
}

/// An incident of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Incident {
    pub(crate) group: u32,
    pub(crate) text: u32,
    /// First and last bounce.
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// Number of addresses that received mail before.
    pub(crate) addresses: usize,
}

/// Incidents by group and text. Those of one group and text do not overlap.
#[derive(Debug)]
pub(crate) struct IncidentIndex(HashMap<(u32, u32), Vec<Incident>>);

impl IncidentIndex {
    pub(crate) fn new(incidents: &[Incident]) -> Self {
        let mut index: HashMap<_, Vec<Incident>> = HashMap::new();
        let mut sorted = incidents.to_vec();
        sorted.sort_by_key(|incident| incident.from);
        for incident in sorted {
            index.entry((incident.group, incident.text)).or_default().push(incident);
        }
        Self(index)
    }

    /// Returns the incident of a bounce. The bounce must be part of the input of [`find`].
    pub(crate) fn incident_of(&self, bounce: &HardBounce) -> Option<&Incident> {
        let all = self.0.get(&(bounce.group, bounce.text))?;
        let started = all.partition_point(|incident| incident.from <= bounce.at);
        all.get(started.checked_sub(1)?).filter(|incident| bounce.at <= incident.to)
    }
}

/// Number of deliveries by group and slot.
pub(crate) type DeliveredCounts = HashMap<(u32, i64), u64>;

/// Returns the slot of a time.
pub(crate) fn slot_of(at: i64) -> i64 {
    at.div_euclid(SLOT_MS)
}

/// Whether an address that bounced at `at` received mail recently.
///
/// The last delivery before the bounce is at most [`RECENT_MS`] old, and the first bounce after
/// that delivery is at most [`HOLD_MS`] old: an address that still bounces after its hold is
/// invalid. `bounced` and `delivered` are sorted.
pub(crate) fn is_recently_delivered(at: i64, bounced: &[i64], delivered: &[i64]) -> bool {
    let before = delivered.partition_point(|delivery| *delivery < at);
    let Some(last) = before.checked_sub(1).and_then(|last| delivered.get(last)) else {
        return false;
    };
    let first = bounced.get(bounced.partition_point(|bounce| bounce <= last)).unwrap_or(&at);
    *last >= at.saturating_sub(RECENT_MS) && *first >= at.saturating_sub(HOLD_MS)
}

/// Returns the slots for which deliveries are needed, to decide whether there is an incident.
pub(crate) fn candidate_slots(bounces: &[HardBounce], minimum: usize) -> BTreeSet<i64> {
    let runs = runs(bounces, minimum, |_, _, _| true);
    runs.into_iter().flat_map(|run| run.first_slot..=run.last_slot).collect()
}

/// Returns the incidents in bounces of recently delivered addresses, in no particular order.
pub(crate) fn find(
    bounces: &[HardBounce],
    delivered: &DeliveredCounts,
    minimum: usize,
) -> Vec<Incident> {
    let is_slot_affected = |group: u32, slot: i64, bounced: usize| {
        let delivered = delivered.get(&(group, slot)).copied().unwrap_or_default();
        is_affected(bounced as u64, delivered)
    };
    runs(bounces, minimum, is_slot_affected).into_iter().map(|run| run.incident).collect()
}

/// Returns the minimum number of addresses with which an incident changes the rates of the period
/// after `first_slot` noticeably: one per [`ATTEMPTS_PER_ADDRESS`] attempts.
pub(crate) fn minimum_for_rates(outcomes: &OutcomeCounts, first_slot: i64) -> usize {
    let of_period = outcomes.iter().filter(|((_, slot), _)| *slot >= first_slot);
    let attempts: u64 = of_period.map(|(_, counts)| counts.delivered + counts.bounced).sum();
    usize::try_from(attempts / ATTEMPTS_PER_ADDRESS).unwrap_or(usize::MAX)
}

/// Whether there can be an incident, by the counts alone. Assumes that each bounce is a hard bounce
/// of a different address, and that all have the same text.
pub(crate) fn can_contain_incident(outcomes: &OutcomeCounts, minimum: usize) -> bool {
    let slots: Vec<_> =
        outcomes.iter().map(|((group, slot), counts)| (group.as_str(), *slot, *counts)).collect();
    slots.chunk_by(|(group, ..), (next, ..)| group == next).any(|slots| {
        let affected: Vec<i64> = slots
            .iter()
            .filter(|(_, _, counts)| is_affected(counts.bounced, counts.delivered))
            .map(|(_, slot, _)| *slot)
            .collect();
        neighbouring(&affected).any(|run| {
            let of_run = slots.iter().filter(|(_, slot, _)| run.contains(slot));
            of_run.map(|(_, _, counts)| counts.bounced).sum::<u64>() >= minimum as u64
        })
    })
}

/// Whether enough of the attempts of a slot bounced.
pub(crate) fn is_affected(bounced: u64, delivered: u64) -> bool {
    bounced.saturating_mul(AFFECTED_ONE_IN) >= bounced.saturating_add(delivered)
}

/// Returns the first and the last slot of each run of neighbouring slots. `slots` are sorted.
pub(crate) fn neighbouring(slots: &[i64]) -> impl Iterator<Item = RangeInclusive<i64>> {
    let runs = slots.chunk_by(|slot, next| next - slot <= SLOTS_APART_MAX);
    runs.filter_map(|run| Some(*run.first()?..=*run.last()?))
}

/// Neighbouring affected slots with enough addresses.
#[derive(Debug)]
struct Run {
    first_slot: i64,
    last_slot: i64,
    incident: Incident,
}

/// Returns the runs of slots for which `is_affected` is true, given group, slot and number of addresses.
fn runs(
    bounces: &[HardBounce],
    minimum: usize,
    is_affected: impl Fn(u32, i64, usize) -> bool,
) -> Vec<Run> {
    let mut by_slot: BTreeMap<(u32, u32), BTreeMap<i64, Vec<HardBounce>>> = BTreeMap::new();
    for bounce in bounces {
        let slots = by_slot.entry((bounce.group, bounce.text)).or_default();
        slots.entry(slot_of(bounce.at)).or_default().push(*bounce);
    }
    let mut runs = Vec::new();
    for ((group, text), slots) in by_slot {
        let affected: Vec<i64> = slots
            .iter()
            .filter(|(slot, bounces)| is_affected(group, **slot, addresses(bounces.iter())))
            .map(|(slot, _)| *slot)
            .collect();
        for run in neighbouring(&affected) {
            let (first, last) = (*run.start(), *run.end());
            // add the adjacent slots: an incident can start or end in a slot that is not affected
            let members = || slots.range(first - 1..=last + 1).flat_map(|(_, bounces)| bounces);
            let times = || members().map(|bounce| bounce.at);
            let (Some(from), Some(to)) = (times().min(), times().max()) else { continue };
            let of_run = slots.range(run).flat_map(|(_, bounces)| bounces);
            if addresses(of_run) >= minimum {
                let addresses = addresses(members());
                let incident = Incident { group, text, from, to, addresses };
                runs.push(Run { first_slot: first, last_slot: last, incident });
            }
        }
    }
    runs
}

/// Returns the number of different addresses.
fn addresses<'b>(bounces: impl Iterator<Item = &'b HardBounce>) -> usize {
    bounces.map(|bounce| bounce.address).collect::<BTreeSet<u32>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::SlotCounts;

    const HOUR: i64 = SLOT_MS;
    const DAY: i64 = DAY_MS;

    /// `count` addresses from `first` on that bounce within an hour.
    fn bounces(first: u32, count: u32, hour: i64) -> Vec<HardBounce> {
        let bounce = |address| HardBounce {
            at: hour * HOUR + 60_000,
            address,
            bounce: 0,
            group: 0,
            text: 0,
        };
        (first..first + count).map(bounce).collect()
    }

    /// Addresses, first and last hour of each incident.
    fn found(bounces: &[HardBounce], delivered: &[(i64, u64)]) -> Vec<(usize, i64, i64)> {
        let delivered = delivered.iter().map(|(hour, count)| ((0, *hour), *count)).collect();
        let found = find(bounces, &delivered, 20).into_iter();
        found.map(|one| (one.addresses, slot_of(one.from), slot_of(one.to))).collect()
    }

    #[test]
    fn incident_needs_addresses_share_and_neighbouring_hours() {
        let outage = [bounces(0, 10, 100), bounces(10, 10, 103)].concat();
        let apart = [bounces(0, 10, 100), bounces(10, 10, 104)].concat();
        let with_edges = [bounces(0, 2, 99), bounces(2, 20, 100), bounces(22, 3, 101)].concat();
        for (bounces, delivered, expected) in [
            (bounces(0, 20, 100), vec![], vec![(20, 100, 100)]),
            (bounces(0, 19, 100), vec![], vec![]),
            // 20 % of the attempts
            (bounces(0, 20, 100), vec![(100, 80)], vec![(20, 100, 100)]),
            (bounces(0, 20, 100), vec![(100, 81)], vec![]),
            (bounces(0, 20, 100), vec![(99, 1_000), (101, 1_000)], vec![(20, 100, 100)]),
            (outage, vec![], vec![(20, 100, 103)]),
            (apart, vec![], vec![]),
            // the incident starts and ends in the middle of an hour
            (with_edges, vec![(99, 50), (101, 50)], vec![(25, 99, 101)]),
            // few of the attempts of the second hour
            ([bounces(0, 18, 100), bounces(18, 2, 101)].concat(), vec![(101, 50)], vec![]),
            // one address
            (vec![bounces(0, 1, 100)[0]; 50], vec![], vec![]),
        ] {
            assert_eq!(found(&bounces, &delivered), expected, "{bounces:?} {delivered:?}");
        }
    }

    #[test]
    fn groups_and_texts_do_not_add_up() {
        let all = bounces(0, 30, 100);
        let split = |change: fn(&mut HardBounce)| {
            let mut all = all.clone();
            all.iter_mut().step_by(2).for_each(change);
            found(&all, &[])
        };
        assert_eq!(split(|bounce| bounce.group = 1), []);
        assert_eq!(split(|bounce| bounce.text = 1), []);
        assert_eq!(candidate_slots(&all, 30), BTreeSet::from([100]));
        assert_eq!(candidate_slots(&all, 31), BTreeSet::new());
    }

    #[test]
    fn bounce_belongs_to_the_incident_of_its_group_text_and_time() {
        let incident = |from, to| Incident { group: 0, text: 0, from, to, addresses: 20 };
        let index = IncidentIndex::new(&[incident(30, 40), incident(10, 20)]);
        for (at, expected) in [
            (9, None),
            (10, Some(20)),
            (20, Some(20)),
            (21, None),
            (30, Some(40)),
            (40, Some(40)),
            (41, None),
        ] {
            let bounce = HardBounce { at, address: 0, bounce: 0, group: 0, text: 0 };
            let end_of = |bounce| index.incident_of(&bounce).map(|one| one.to);
            assert_eq!(end_of(bounce), expected, "{at}");
            assert_eq!(end_of(HardBounce { group: 1, ..bounce }), None);
            assert_eq!(end_of(HardBounce { text: 1, ..bounce }), None);
        }
    }

    #[test]
    fn recently_delivered_ends_with_the_hold_of_the_first_bounce() {
        for (bounced, delivered, expected) in [
            (vec![40 * DAY], vec![39 * DAY], true),
            (vec![40 * DAY], vec![], false),
            (vec![40 * DAY], vec![10 * DAY], true),
            (vec![40 * DAY], vec![10 * DAY - 1], false),
            (vec![40 * DAY], vec![41 * DAY], false),
            (vec![37 * DAY, 40 * DAY], vec![36 * DAY], true),
            (vec![37 * DAY - 1, 40 * DAY], vec![36 * DAY], false),
            // delivered again in between
            (vec![20 * DAY, 40 * DAY], vec![36 * DAY], true),
        ] {
            let found = is_recently_delivered(40 * DAY, &bounced, &delivered);
            assert_eq!(found, expected, "{bounced:?} {delivered:?}");
        }
    }

    #[test]
    fn noticeable_incidents_have_an_address_for_500_attempts_of_the_period() {
        let counts = |delivered, bounced| SlotCounts { delivered, bounced };
        let outcomes = [
            (("a".to_owned(), 9), counts(1_000_000, 0)),
            (("a".to_owned(), 10), counts(9_000, 999)),
            (("b".to_owned(), 11), counts(0, 501)),
        ];
        for (first_slot, expected) in [(9, 2_021), (10, 21), (11, 1), (12, 0)] {
            assert_eq!(
                minimum_for_rates(&OutcomeCounts::from(outcomes.clone()), first_slot),
                expected
            );
        }
    }

    #[test]
    fn possible_incidents_need_bounces_share_and_neighbouring_hours() {
        for (slots, expected) in [
            (vec![(100, 80, 20)], true),
            (vec![(100, 80, 19)], false),
            (vec![(100, 81, 20)], false),
            (vec![(100, 0, 10), (103, 0, 10)], true),
            (vec![(100, 0, 10), (104, 0, 10)], false),
            // bounces in an hour between affected ones are part of the incident
            (vec![(100, 0, 9), (101, 1_000, 2), (102, 0, 9)], true),
            (vec![(100, 0, 9), (101, 1_000, 2), (106, 0, 9)], false),
        ] {
            let outcomes = slots.iter().map(|(slot, delivered, bounced)| {
                let counts = SlotCounts { delivered: *delivered, bounced: *bounced };
                (("a".to_owned(), *slot), counts)
            });
            assert_eq!(can_contain_incident(&outcomes.collect(), 20), expected, "{slots:?}");
        }
        let apart = ["a", "b"]
            .map(|group| ((group.to_owned(), 100), SlotCounts { delivered: 0, bounced: 10 }));
        assert!(!can_contain_incident(&OutcomeCounts::from(apart), 20));
    }

    proptest::proptest! {
        #[test]
        fn every_incident_is_possible(
            all in proptest::collection::vec((0_i64..40, 0_u32..40, 0_u32..2, 0_u32..2), 0..200),
            delivered in proptest::collection::hash_map((0_u32..2, 0_i64..20), 0_u64..40, 0..20),
        ) {
            let bounce = |(half, address, group, text): (i64, u32, u32, u32)| {
                HardBounce { at: half * HOUR / 2, address, bounce: 0, group, text }
            };
            let all: Vec<HardBounce> = all.into_iter().map(bounce).collect();
            let mut outcomes = OutcomeCounts::new();
            let group = |group: u32| group.to_string();
            for bounce in &all {
                outcomes.entry((group(bounce.group), slot_of(bounce.at))).or_default().bounced += 1;
            }
            let by_slot: BTreeMap<(u32, i64), u64> = delivered.clone().into_iter().collect();
            for ((of, slot), count) in &by_slot {
                outcomes.entry((group(*of), *slot)).or_default().delivered += count;
            }
            let is_found = !find(&all, &delivered, 5).is_empty();
            proptest::prop_assert!(!is_found || can_contain_incident(&outcomes, 5));
        }

        #[test]
        fn incidents_do_not_depend_on_order_and_copies(
            all in proptest::collection::vec((0_i64..40, 0_u32..40, 0_u32..2, 0_u32..2), 0..200),
            delivered in proptest::collection::hash_map((0_u32..2, 0_i64..20), 0_u64..40, 0..20),
            seed in 0_i64..1_000,
        ) {
            let bounce = |(half, address, group, text): (i64, u32, u32, u32)| {
                HardBounce { at: half * HOUR / 2, address, bounce: 0, group, text }
            };
            let all: Vec<HardBounce> = all.into_iter().map(bounce).collect();
            let mut shuffled: Vec<HardBounce> = all.iter().chain(&all).copied().collect();
            shuffled.sort_by_key(|bounce| (bounce.at * 7 + i64::from(bounce.address) * 13) % (seed + 1));
            let expected = find(&all, &delivered, 5);
            proptest::prop_assert_eq!(find(&shuffled, &delivered, 5), expected);
        }
    }
}
