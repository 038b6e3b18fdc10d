//! All phrases, sorted, so that those that begin at a place of a text are found without looking at the others.
//!
//! They lie in one piece of memory of some 50 KB, which stays in the caches of a core; automata of the same phrases take
//! ten to a hundred times as much, and were slower for it.

/// Bytes that a phrase may have.
pub(super) const PHRASE_BYTES_MAX: usize = 200;
/// Bytes by which phrases are looked up; shorter ones are few, and tried one by one.
const KEY_BYTES: usize = 4;
/// Slots of the table of keys; some four for each key.
const SLOTS: usize = 8_192;

/// The phrases of an index.
#[derive(Debug)]
pub(super) struct Phrases {
    /// Sorted phrases, one after the other.
    bytes: Vec<u8>,
    /// Where each begins in `bytes`, and where the last ends.
    starts: Vec<usize>,
    /// How many bytes each has in common with the one before it.
    shared: Vec<u8>,
    /// Their numbers.
    ids: Vec<u32>,
    /// Phrases by their first bytes: open addressing.
    slots: Vec<Slot>,
    /// Phrases that are shorter than a key.
    short: Vec<([u8; KEY_BYTES], usize, u32)>,
    /// Which of them begin with a byte.
    short_from: [(u16, u16); 256],
}

/// Which of the sorted phrases begin with a key; none in a slot that is empty.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    key: [u8; KEY_BYTES],
    from: u32,
    to: u32,
}

fn slot_of(key: [u8; KEY_BYTES]) -> usize {
    // the upper bits of a product are mixed best
    let mixed = u32::from_le_bytes(key).wrapping_mul(0x9e37_79b1);
    (mixed >> 16) as usize % SLOTS
}

impl Phrases {
    /// Of phrases, whose numbers are their places in the list.
    pub(super) fn new(phrases: &[Vec<u8>]) -> Self {
        let mut sorted: Vec<(&[u8], u32)> = phrases.iter().map(Vec::as_slice).zip(0..).collect();
        sorted.sort_unstable();
        let (short, long): (Vec<_>, Vec<_>) =
            sorted.into_iter().partition(|(phrase, _)| phrase.len() < KEY_BYTES);
        let mut all = Self {
            bytes: Vec::new(),
            starts: vec![0],
            shared: Vec::new(),
            ids: Vec::new(),
            slots: vec![Slot::default(); SLOTS],
            short: Vec::new(),
            short_from: [(0, 0); 256],
        };
        for (at, (phrase, id)) in (0_u16..).zip(&short) {
            let mut padded = [0; KEY_BYTES];
            padded[..phrase.len()].copy_from_slice(phrase);
            all.short.push((padded, phrase.len(), *id));
            let range = &mut all.short_from[usize::from(phrase[0])];
            *range = (if range.1 == 0 { at } else { range.0 }, at + 1);
        }
        let mut before: &[u8] = &[];
        for (at, (phrase, id)) in (0_u32..).zip(&long) {
            let shared = common(before, phrase);
            all.shared.push(u8::try_from(shared).unwrap_or(u8::MAX));
            all.bytes.extend_from_slice(phrase);
            all.starts.push(all.bytes.len());
            all.ids.push(*id);
            all.take_slot(phrase, at);
            before = phrase;
        }
        all
    }

    fn take_slot(&mut self, phrase: &[u8], at: u32) {
        let &[a, b, c, d, ..] = phrase else { return };
        let key = [a, b, c, d];
        let mut slot = slot_of(key);
        while self.slots[slot].to != 0 && self.slots[slot].key != key {
            slot = (slot + 1) % SLOTS;
        }
        let slot = &mut self.slots[slot];
        let from = if slot.to == 0 { at } else { slot.from };
        *slot = Slot { key, from, to: at + 1 };
    }

    /// Tells the number and the length of each phrase that a text begins with.
    pub(super) fn at_begin_of(&self, text: &[u8], mut tell: impl FnMut(u32, usize)) {
        let Some(first) = text.first() else { return };
        let (from, to) = self.short_from[usize::from(*first)];
        for (phrase, length, id) in &self.short[usize::from(from)..usize::from(to)] {
            if common(phrase, text) >= *length {
                tell(*id, *length);
            }
        }
        let &[a, b, c, d, ..] = text else { return };
        let key = [a, b, c, d];
        let mut slot = slot_of(key);
        while self.slots[slot].key != key {
            if self.slots[slot].to == 0 {
                return;
            }
            slot = (slot + 1) % SLOTS;
        }
        let Slot { from, to, .. } = self.slots[slot];
        let mut matched = KEY_BYTES;
        for at in from as usize..to as usize {
            let shared = if at == from as usize { KEY_BYTES } else { usize::from(self.shared[at]) };
            // it differs from the text where the one before it does
            if shared > matched {
                continue;
            }
            // the text goes on as the one before it, and so does none that follows
            if shared < matched {
                break;
            }
            let phrase = &self.bytes[self.starts[at]..self.starts[at + 1]];
            matched = shared + common(&phrase[shared..], &text[shared..]);
            if matched == phrase.len() {
                tell(self.ids[at], matched);
            }
        }
    }
}

/// How many bytes two texts have in common at their begin.
fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(phrases: &[&str], text: &str) {
        let all: Vec<Vec<u8>> = phrases.iter().map(|phrase| phrase.as_bytes().to_vec()).collect();
        let mut found = Vec::new();
        Phrases::new(&all).at_begin_of(text.as_bytes(), |id, length| {
            assert_eq!(length, phrases[id as usize].len());
            found.push(phrases[id as usize]);
        });
        found.sort_unstable();
        let mut expected: Vec<&str> =
            phrases.iter().copied().filter(|phrase| text.starts_with(phrase)).collect();
        expected.sort_unstable();
        assert_eq!(found, expected, "{phrases:?} in {text:?}");
    }

    #[test]
    fn phrases_at_the_begin_are_found() {
        let phrases =
            ["user", "user unknown", "user unknowns", "userid", "use", "u", "unknown", "user x"];
        for text in
            ["user unknown here", "userid", "us", "", "user x", "user z", "unknown user", "用户"]
        {
            check(&phrases, text);
        }
        check(&[], "user");
    }

    proptest::proptest! {
        #[test]
        fn the_same_as_one_by_one(
            phrases in proptest::collection::btree_set("[ab ]{1,7}", 0..30),
            text in "[ab ]{0,12}",
        ) {
            let phrases: Vec<&str> = phrases.iter().map(String::as_str).collect();
            check(&phrases, &text);
        }
    }
}
