//! Texts that differ in one word: a host name, or an ID that is not masked. No I/O.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use xxhash_rust::xxh3::xxh3_64;

use crate::incidents::detection::HardBounce;
use crate::scan::StringInterner;

/// Shorter texts have too little in common with others.
const WORDS_MIN: usize = 3;
/// An odd number with bits in all places: positions have different factors.
const POSITION_FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Gives bounces of a group with similar texts the same text: the one with the most bounces.
pub(crate) fn join_similar(bounces: &mut [HardBounce], texts: &StringInterner) {
    let mut counts: BTreeMap<(u32, u32), usize> = BTreeMap::new();
    for bounce in bounces.iter() {
        *counts.entry((bounce.group, bounce.text)).or_default() += 1;
    }
    let mut families = Families((0..counts.len()).collect());
    let mut known: HashMap<(u32, u64), usize> = HashMap::new();
    for (at, (group, text)) in counts.keys().enumerate() {
        for pattern in texts.get(*text).into_iter().flat_map(patterns) {
            match known.entry((*group, pattern)) {
                Entry::Vacant(new) => _ = new.insert(at),
                Entry::Occupied(other) => families.join(at, *other.get()),
            }
        }
    }
    // number of bounces and text of the most frequent member, by family
    let mut main: HashMap<usize, (usize, u32)> = HashMap::new();
    for (at, ((_, text), count)) in counts.iter().enumerate() {
        let main = main.entry(families.of(at)).or_insert((0, *text));
        let is_first = || texts.get(*text) < texts.get(main.1);
        if *count > main.0 || (*count == main.0 && is_first()) {
            *main = (*count, *text);
        }
    }
    let texts: HashMap<(u32, u32), u32> =
        counts.keys().enumerate().map(|(at, key)| (*key, main[&families.of(at)].1)).collect();
    for bounce in bounces {
        bounce.text = texts[&(bounce.group, bounce.text)];
    }
}

/// Returns for each word of a text the hash of all others and their positions.
fn patterns(text: &str) -> Vec<u64> {
    let mut factor = 1_u64;
    let hashes: Vec<u64> = text
        .split(' ')
        .map(|word| {
            factor = factor.wrapping_mul(POSITION_FACTOR);
            xxh3_64(word.as_bytes()).wrapping_mul(factor)
        })
        .collect();
    if hashes.len() < WORDS_MIN {
        return Vec::new();
    }
    let all = hashes.iter().fold(0_u64, |sum, hash| sum.wrapping_add(*hash));
    let number = hashes.len() as u64;
    let without = |(position, hash): (u64, &u64)| {
        let others = all.wrapping_sub(*hash).wrapping_add(number.wrapping_mul(factor));
        others ^ position.wrapping_mul(POSITION_FACTOR)
    };
    (0..).zip(&hashes).map(without).collect()
}

/// Disjoint sets: for each member another one of its set, or itself.
struct Families(Vec<usize>);

impl Families {
    /// Returns the member that stands for the set of a member.
    fn of(&mut self, mut member: usize) -> usize {
        while self.0[member] != member {
            self.0[member] = self.0[self.0[member]];
            member = self.0[member];
        }
        member
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.of(one), self.of(other));
        self.0[one.max(other)] = one.min(other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_a_group_that_differ_in_one_word_are_joined() {
        for (all, expected) in [
            (&["user k7 unknown", "user unknown k7", "user x9 unknown"][..], &[0, 1, 0][..]),
            // the most frequent text, then the first in alphabetical order
            (&["mx1 says no", "mx2 says no", "mx2 says no"], &[1, 1, 1]),
            (&["mx2 says no", "mx1 says no"], &[1, 1]),
            // the second one is similar to both
            (&["a b c d", "a x c d", "a x y d"], &[0, 0, 0]),
            (&["a b c d", "a x y d"], &[0, 1]),
            (&["a b c", "a b c d"], &[0, 1]),
            // too short
            (&["no k7", "no x9"], &[0, 1]),
        ] {
            let mut texts = StringInterner::default();
            let ids: Vec<u32> = all.iter().map(|text| texts.intern(Some(text))).collect();
            let bounce =
                |text: &u32| HardBounce { at: 0, address: 0, bounce: 0, group: 7, text: *text };
            let mut bounces: Vec<HardBounce> = ids.iter().map(bounce).collect();
            let other_group = HardBounce { group: 8, text: ids[0], ..bounces[0] };
            bounces.push(other_group);
            join_similar(&mut bounces, &texts);
            assert_eq!(bounces.pop(), Some(other_group));
            let found: Vec<Option<&str>> = bounces.iter().map(|one| texts.get(one.text)).collect();
            let expected: Vec<Option<&str>> = expected.iter().map(|at| Some(all[*at])).collect();
            assert_eq!(found, expected);
        }
    }
}
