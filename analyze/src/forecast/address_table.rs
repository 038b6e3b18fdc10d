//! The state of each address, by the hash of the address. No I/O.

use hashbrown::HashTable;

use crate::forecast::address_state::AddressState;

/// States of addresses. The hash table contains positions only: with the states in it, it would
/// need twice the memory, and more while it grows.
#[derive(Debug, Default)]
pub(crate) struct AddressTable {
    /// Positions in `states`, by hash.
    positions: HashTable<u32>,
    states: Vec<(u64, AddressState)>,
}

impl AddressTable {
    /// Number of addresses.
    pub(crate) fn len(&self) -> usize {
        self.states.len()
    }

    /// Returns the position of an address.
    pub(crate) fn find(&self, hash: u64) -> Option<u32> {
        self.positions.find(hash, |at| self.states[*at as usize].0 == hash).copied()
    }

    /// Returns the position of an address; adds the address if it is new.
    pub(crate) fn find_or_add(&mut self, hash: u64) -> u32 {
        self.find(hash).unwrap_or_else(|| self.add(hash, AddressState::default()))
    }

    /// Returns the state at a position.
    pub(crate) fn get(&self, at: u32) -> AddressState {
        self.states[at as usize].1
    }

    /// Replaces the state at a position.
    pub(crate) fn set(&mut self, at: u32, state: AddressState) {
        self.states[at as usize].1 = state;
    }

    /// Removes the addresses with a hash for which `is_kept` is false.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(u64) -> bool) {
        let states = std::mem::take(&mut self.states);
        self.positions = HashTable::new();
        for (hash, state) in states {
            if is_kept(hash) {
                self.add(hash, state);
            }
        }
    }

    fn add(&mut self, hash: u64, state: AddressState) -> u32 {
        let at = u32::try_from(self.states.len()).expect("addresses are limited");
        self.states.push((hash, state));
        self.positions.insert_unique(hash, at, |at| self.states[*at as usize].0);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_their_state() {
        let mut table = AddressTable::default();
        for hash in 0..1_000_u64 {
            let at = table.find_or_add(hash << 50);
            let mut state = AddressState::default();
            state.mailing = u32::try_from(hash).unwrap();
            table.set(at, state);
        }
        assert_eq!(table.find_or_add(7 << 50), table.find(7 << 50).unwrap());
        table.retain(|hash| hash % (2 << 50) == 0);
        assert_eq!(table.len(), 500);
        for hash in 0..1_000_u64 {
            let found = table.find(hash << 50).map(|at| u64::from(table.get(at).mailing));
            assert_eq!(found, hash.is_multiple_of(2).then_some(hash));
        }
    }
}
