//! Finds keys that may occur more than once, without a set of all keys. No polars.

/// Bit table of keys. Distinct keys can share a bit, so a key that occurs once may be reported as a
/// duplicate. A duplicate key is always reported.
pub(super) struct DuplicateFilter {
    /// Bits set by one key, and bits set by a second one; adjacent, because both are read together.
    blocks: Vec<[u64; 2]>,
}

impl DuplicateFilter {
    /// With 16 bits per key, about 6 % of the keys share a bit with another key.
    const BITS_PER_KEY: usize = 16;

    /// Returns the filter of these keys.
    pub(super) fn new(keys: impl ExactSizeIterator<Item = (u64, u64)>) -> Self {
        let blocks = (keys.len() * Self::BITS_PER_KEY / 64).next_power_of_two();
        let mut filter = Self { blocks: vec![[0; 2]; blocks] };
        for key in keys {
            let (block, bit) = filter.position(key);
            let [once, twice] = &mut filter.blocks[block];
            *twice |= *once & bit;
            *once |= bit;
        }
        filter
    }

    /// Whether a key may occur more than once.
    pub(super) fn may_be_duplicate(&self, key: (u64, u64)) -> bool {
        let (block, bit) = self.position(key);
        self.blocks[block][1] & bit != 0
    }

    fn position(&self, (message, event): (u64, u64)) -> (usize, u64) {
        let key = message ^ event.rotate_left(32);
        let block = (key / 64) & (self.blocks.len() as u64 - 1);
        (usize::try_from(block).expect("less than a length"), 1 << (key % 64))
    }
}
