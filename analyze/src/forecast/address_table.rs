//! The state of each address, by the hash of the address. No I/O.

use hashbrown::HashTable;

use crate::forecast::address_state::AddressState;

/// Number of states in a chunk.
const CHUNK: usize = 1 << 16;

/// Hash of an address, and its state.
type HashedState = (u64, AddressState);

/// States of addresses. The hash table contains positions only: with the states in it, it would
/// need twice the memory, and more while it grows. The states are in chunks, because a vector is
/// copied when it grows.
#[derive(Debug, Default)]
pub(crate) struct AddressTable {
    /// Positions of the states, by hash.
    positions: HashTable<u32>,
    /// All chunks but the last are full.
    chunks: Vec<Vec<HashedState>>,
}

impl AddressTable {
    /// Number of addresses.
    pub(crate) fn len(&self) -> usize {
        self.positions.len()
    }

    /// Returns the position of an address.
    pub(crate) fn find(&self, hash: u64) -> Option<u32> {
        let is_equal = |at: &u32| state_at(&self.chunks, *at).0 == hash;
        self.positions.find(hash, is_equal).copied()
    }

    /// Returns the position of an address; adds the address if it is new.
    pub(crate) fn find_or_add(&mut self, hash: u64) -> u32 {
        self.find(hash).unwrap_or_else(|| self.add(hash, AddressState::default()))
    }

    /// Returns the state at a position.
    pub(crate) fn get(&self, at: u32) -> AddressState {
        state_at(&self.chunks, at).1
    }

    /// Replaces the state at a position.
    pub(crate) fn set(&mut self, at: u32, state: AddressState) {
        self.chunks[at as usize / CHUNK][at as usize % CHUNK].1 = state;
    }

    /// Removes the addresses with a hash for which `is_kept` is false.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(u64) -> bool) {
        let chunks = std::mem::take(&mut self.chunks);
        self.positions = HashTable::new();
        for (hash, state) in chunks.into_iter().flatten() {
            if is_kept(hash) {
                self.add(hash, state);
            }
        }
    }

    fn add(&mut self, hash: u64, state: AddressState) -> u32 {
        let at = u32::try_from(self.len()).expect("addresses are limited");
        if self.len().is_multiple_of(CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        self.chunks[at as usize / CHUNK].push((hash, state));
        let chunks = &self.chunks;
        self.positions.insert_unique(hash, at, |at| state_at(chunks, *at).0);
        at
    }
}

/// Returns the state at a position.
fn state_at(chunks: &[Vec<HashedState>], at: u32) -> &HashedState {
    &chunks[at as usize / CHUNK][at as usize % CHUNK]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_their_state() {
        // more than one chunk, also after half of them are removed
        let count = 2 * CHUNK as u64 + 1_000;
        // odd, so that a hash is even if its number is; spread over all bits, as the table expects
        let hash = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut table = AddressTable::default();
        for number in 0..count {
            let at = table.find_or_add(hash(number));
            let mut state = AddressState::default();
            state.mailing = u32::try_from(number).unwrap();
            table.set(at, state);
        }
        assert_eq!(table.find_or_add(hash(7)), table.find(hash(7)).unwrap());
        table.retain(|hash| hash.is_multiple_of(2));
        assert_eq!(table.len() as u64, count / 2);
        for number in 0..count {
            let found = table.find(hash(number)).map(|at| u64::from(table.get(at).mailing));
            assert_eq!(found, number.is_multiple_of(2).then_some(number));
        }
    }
}
