//! A hash function without collisions for a known set of keys.
//!
//! The keys are divided into buckets by a first hash. Each bucket has a multiplier of its own, chosen so that none of
//! its keys has the place of another key (F. C. Botelho, R. Pagh, N. Ziviani, Simple and space-efficient minimal
//! perfect hash functions, 2007; "hash, displace").

/// A place for each key.
#[derive(Debug)]
pub(super) struct PerfectHash {
    /// For each bucket the number of its multiplier.
    numbers: Box<[u16]>,
    places: u64,
}

/// Mean number of keys per bucket.
const KEYS_PER_BUCKET: usize = 4;

impl PerfectHash {
    /// A function for keys of which none occurs twice.
    pub(super) fn new(keys: &[u64]) -> Self {
        let buckets = (keys.len() / KEYS_PER_BUCKET).next_power_of_two();
        let mut by_bucket = vec![Vec::new(); buckets];
        for key in keys {
            by_bucket[bucket(*key, buckets)].push(*key);
        }
        let mut order: Vec<usize> = (0..buckets).collect();
        // the largest first, while most places are free
        order.sort_by_key(|bucket| std::cmp::Reverse(by_bucket[*bucket].len()));
        let mut places = keys.len() + keys.len() / 4 + 1;
        loop {
            let mut hash = Self { numbers: vec![0; buckets].into(), places: places as u64 };
            if hash.place(&order, &by_bucket).is_some() {
                return hash;
            }
            places += places / 2;
        }
    }

    /// Chooses the multiplier of each bucket. `None` if there is none for a bucket.
    fn place(&mut self, order: &[usize], by_bucket: &[Vec<u64>]) -> Option<()> {
        let mut is_taken = vec![false; self.places()];
        for at in order {
            let keys = &by_bucket[*at];
            let numbers = (0..=u16::MAX).map(|number| {
                let mut places: Vec<usize> =
                    keys.iter().map(|key| self.place_of(*key, number)).collect();
                places.sort_unstable();
                (number, places)
            });
            let is_free = |places: &[usize]| {
                places.iter().all(|place| !is_taken[*place])
                    && places.windows(2).all(|pair| pair[0] != pair[1])
            };
            let (number, places) = numbers.into_iter().find(|(_, places)| is_free(places))?;
            self.numbers[*at] = number;
            for place in places {
                is_taken[place] = true;
            }
        }
        Some(())
    }

    /// The number of places.
    pub(super) fn places(&self) -> usize {
        usize::try_from(self.places).unwrap_or(usize::MAX)
    }

    /// The place of a key. Another key can have it as well, if it is not one of the set.
    pub(super) fn of(&self, key: u64) -> usize {
        self.place_of(key, self.numbers[bucket(key, self.numbers.len())])
    }

    fn place_of(&self, key: u64, number: u16) -> usize {
        let multiplier = u64::from(number).wrapping_mul(0xd6e8_feb8_6659_fd92) | 1;
        let hash = mix(key).wrapping_mul(multiplier) >> 32;
        usize::try_from((hash * self.places) >> 32).unwrap_or(0)
    }
}

/// The bucket of a key; `buckets` is a power of two.
fn bucket(key: u64, buckets: usize) -> usize {
    usize::try_from(mix(key) >> 32).unwrap_or(0) & (buckets - 1)
}

/// The upper bits of a product are mixed best.
pub(super) fn mix(key: u64) -> u64 {
    key.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn each_key_has_a_place_of_its_own(
            keys in proptest::collection::btree_set(proptest::num::u64::ANY, 0..2_000),
            small in proptest::collection::btree_set(0_u64..300, 0..300),
        ) {
            let keys: std::collections::BTreeSet<u64> = keys.union(&small).copied().collect();
            let keys: Vec<u64> = keys.into_iter().collect();
            let hash = PerfectHash::new(&keys);
            let places: std::collections::BTreeSet<usize> = keys.iter().map(|key| hash.of(*key)).collect();
            proptest::prop_assert_eq!(places.len(), keys.len());
            proptest::prop_assert!(places.iter().all(|place| *place < hash.places()));
        }
    }
}
