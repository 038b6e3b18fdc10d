//! Hours in which the hard bounces of a provider can belong to an incident.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::incidents::detection::{is_affected, slot_of};
use crate::scan::{OutcomeCounts, StringInterner};

/// Slots of groups in which bounces can belong to an incident.
#[derive(Debug, Default)]
pub(crate) struct AffectedSlots(HashMap<String, HashSet<i64>>);

impl AffectedSlots {
    /// Returns the slots with enough hard bounces for an incident, as if all had the same text, and the slots next to them.
    pub(super) fn of_counts(
        bounced: BTreeMap<(u32, i64), u64>,
        groups: &StringInterner,
        outcomes: &OutcomeCounts,
    ) -> Self {
        let mut affected = Self::default();
        for ((group, slot), bounced) in bounced {
            let group = groups.get(group).unwrap_or_default();
            let delivered =
                outcomes.get(&(group.to_owned(), slot)).map_or(0, |counts| counts.delivered);
            if is_affected(bounced, delivered) {
                affected.0.entry(group.to_owned()).or_default().extend(slot - 1..=slot + 1);
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
