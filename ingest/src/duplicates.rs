//! Detects repeated rows for a metric. Repeated rows are stored too; the scan counts them once
//! (invariant I-5).

/// Number of slots. A key replaces the key with the same low bits.
const SLOTS: usize = 64 * 1024;

/// The event keys of the last rows of one worker, in a table of fixed size (512 KiB once there is a row).
#[derive(Debug, Default)]
pub(crate) struct RecentKeys {
    slots: Vec<u64>,
}

impl RecentKeys {
    /// Stores the event key of a row. Returns whether the key was already stored. A repeated row is
    /// missed if another key has replaced its key. A new row is reported as repeated only if two
    /// 64-bit hashes collide.
    pub(crate) fn insert(&mut self, event_key: u64) -> bool {
        if self.slots.is_empty() {
            self.slots = vec![0; SLOTS];
        }
        // 0 marks an empty slot
        let key = event_key.max(1);
        let slot = usize::try_from(key % SLOTS as u64).unwrap_or_default();
        std::mem::replace(&mut self.slots[slot], key) == key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_a_duplicate_until_another_key_takes_its_slot() {
        let mut recent = RecentKeys::default();
        let same_slot = 7 + SLOTS as u64;
        let is_duplicate = [7, 8, 7, same_slot, 7, 0, 0].map(|key| recent.insert(key));
        assert_eq!(is_duplicate, [false, false, true, false, false, false, true]);
        assert_eq!(recent.slots.len(), SLOTS);
    }
}
