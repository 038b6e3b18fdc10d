//! Hours in which the hard bounces of a provider can belong to an incident.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::incidents::detection::{is_affected, neighbouring, slot_of};
use crate::scan::{OutcomeCounts, StringInterner};

/// Slots of groups in which hard bounces can belong to an incident.
#[derive(Debug, Default)]
pub(crate) struct AffectedSlots(HashMap<String, HashSet<i64>>);

impl AffectedSlots {
    /// Returns the slots that could be an incident of at least `minimum` addresses if all hard bounces had the same text and
    /// different addresses, and the slots next to them. `bounced` are numbers of hard bounces by group and slot.
    pub(super) fn of_counts(
        bounced: &BTreeMap<(u32, i64), u64>,
        groups: &StringInterner,
        outcomes: &OutcomeCounts,
        minimum: usize,
    ) -> Self {
        let mut affected = Self::default();
        let counts: Vec<_> = bounced.iter().collect();
        for slots in counts.chunk_by(|((group, _), _), ((next, _), _)| group == next) {
            let Some(((group, _), _)) = slots.first() else { continue };
            let group = groups.get(*group).unwrap_or_default();
            let is_affected = |slot: i64, bounced: u64| {
                let counts = outcomes.get(&(group.to_owned(), slot));
                is_affected(bounced, counts.map_or(0, |counts| counts.delivered))
            };
            let in_group = slots.iter().map(|((_, slot), bounced)| (*slot, **bounced));
            let of_group = in_group.clone().filter(|(slot, bounced)| is_affected(*slot, *bounced));
            let of_group: Vec<i64> = of_group.map(|(slot, _)| slot).collect();
            for run in neighbouring(&of_group) {
                let of_run = in_group.clone().filter(|(slot, _)| run.contains(slot));
                if of_run.map(|(_, bounced)| bounced).sum::<u64>() >= minimum as u64 {
                    let slots = affected.0.entry(group.to_owned()).or_default();
                    slots.extend(run.start() - 1..=run.end() + 1);
                }
            }
        }
        affected
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a bounce of a group at a time can belong to an incident.
    pub(crate) fn contains(&self, group: &str, at: i64) -> bool {
        self.0.get(group).is_some_and(|slots| slots.contains(&slot_of(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incidents::detection::SLOT_MS;
    use crate::scan::SlotCounts;

    #[test]
    fn slots_with_a_fifth_of_bounces_and_enough_of_them_are_affected_with_their_neighbours() {
        let mut groups = StringInterner::default();
        let (a, b) = (groups.intern(Some("a")), groups.intern(Some("b")));
        // of 10 attempts each; slots that are at most 3 apart are one run
        let bounced =
            BTreeMap::from([((a, 10), 2), ((a, 12), 1), ((a, 13), 2), ((b, 20), 3), ((b, 30), 2)]);
        let attempts = |((group, slot), bounced): (&(u32, i64), &u64)| {
            let counts = SlotCounts { delivered: 10 - bounced, bounced: 0 };
            ((groups.get(*group).unwrap().to_owned(), *slot), counts)
        };
        let outcomes: OutcomeCounts = bounced.iter().map(attempts).collect();
        let found = |minimum| {
            let affected = AffectedSlots::of_counts(&bounced, &groups, &outcomes, minimum);
            let all =
                ["a", "b"].into_iter().flat_map(|group| (0..40).map(move |slot| (group, slot)));
            let contains = |(group, slot): &(&str, i64)| affected.contains(group, slot * SLOT_MS);
            all.filter(contains).collect::<Vec<_>>()
        };
        let of_a: Vec<_> = (9..=14).map(|slot| ("a", slot)).collect();
        let of_b = |first: i64| (first..first + 3).map(|slot| ("b", slot));
        assert_eq!(
            found(2),
            of_a.iter().copied().chain(of_b(19)).chain(of_b(29)).collect::<Vec<_>>()
        );
        assert_eq!(found(3), of_a.iter().copied().chain(of_b(19)).collect::<Vec<_>>());
        assert_eq!(found(5), of_a);
        assert_eq!(found(6), []);
    }
}
