//! All phrases, sorted, so that those that begin at a place of a text are found without looking at the others.
//!
//! They lie in one piece of memory of some 130 KB, which stays in the caches of a core; automata of the same phrases take
//! ten to a hundred times as much, and were slower for it.

/// Bytes that a phrase may have.
pub(super) const PHRASE_BYTES_MAX: usize = 200;
/// Bytes by which phrases are looked up; shorter ones are few, and tried one by one.
const KEY_BYTES: usize = 4;
/// Slots of the table of keys; some four for each key.
const SLOTS: usize = 4_096;

/// The phrases of an index.
#[derive(Debug)]
pub(super) struct Phrases {
    /// Sorted phrases, one after the other.
    bytes: Vec<u8>,
    /// What is known of each, in the same order.
    entries: Vec<Entry>,
    /// Phrases by their first bytes: open addressing.
    slots: Vec<Slot>,
    /// Phrases that are shorter than a key.
    short: Vec<Short>,
    /// Which of them begin with a byte.
    short_from: [(u16, u16); 256],
    /// Whether any phrase begins with a byte.
    begins: [bool; 256],
}

/// A phrase in the sorted list.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Where it begins in the bytes.
    start: u32,
    /// The first one after it that has less in common with the one before itself.
    skip: u32,
    /// Its number.
    id: u32,
    length: u8,
    /// How many bytes it has in common with the one before it.
    shared: u8,
    /// The first byte that it has not in common with that; 0 if it is the same once more.
    next: u8,
}

/// A phrase that is shorter than a key.
#[derive(Debug, Clone, Copy)]
struct Short {
    /// It, and zeros.
    key: u32,
    /// Ones where its bytes are.
    mask: u32,
    length: usize,
    id: u32,
}

/// Which of the sorted phrases begin with a key; none in a slot that is empty.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    key: [u8; KEY_BYTES],
    from: u16,
    to: u16,
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
            entries: Vec::new(),
            slots: vec![Slot::default(); SLOTS],
            short: Vec::new(),
            short_from: [(0, 0); 256],
            begins: [false; 256],
        };
        for phrase in phrases {
            all.begins[usize::from(phrase[0])] = true;
        }
        for (at, (phrase, id)) in (0_u16..).zip(&short) {
            let (mut key, mut mask) = ([0; KEY_BYTES], [0; KEY_BYTES]);
            key[..phrase.len()].copy_from_slice(phrase);
            mask[..phrase.len()].fill(u8::MAX);
            let (key, mask) = (u32::from_le_bytes(key), u32::from_le_bytes(mask));
            all.short.push(Short { key, mask, length: phrase.len(), id: *id });
            let range = &mut all.short_from[usize::from(phrase[0])];
            *range = (if range.1 == 0 { at } else { range.0 }, at + 1);
        }
        let mut before: &[u8] = &[];
        for (at, (phrase, id)) in (0_u16..).zip(&long) {
            // both are below `PHRASE_BYTES_MAX`
            let byte = |length: usize| u8::try_from(length).unwrap_or(u8::MAX);
            let start = u32::try_from(all.bytes.len()).unwrap_or(u32::MAX);
            let shared = byte(common(before, phrase));
            let next = phrase.get(usize::from(shared)).copied().unwrap_or_default();
            let length = byte(phrase.len());
            all.entries.push(Entry { start, skip: 0, id: *id, length, shared, next });
            all.bytes.extend_from_slice(phrase);
            all.take_slot(phrase, at);
            before = phrase;
        }
        all.find_skips();
        all
    }

    /// Fills in where to go on after a phrase that has more in common with the one before it than that has with the text.
    fn find_skips(&mut self) {
        let mut waiting: Vec<usize> = Vec::new();
        for at in 0..self.entries.len() {
            while let Some(&last) = waiting.last()
                && self.entries[last].shared > self.entries[at].shared
            {
                self.entries[last].skip = u32::try_from(at).unwrap_or(u32::MAX);
                waiting.pop();
            }
            waiting.push(at);
        }
        for last in waiting {
            self.entries[last].skip = u32::MAX;
        }
    }

    fn take_slot(&mut self, phrase: &[u8], at: u16) {
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

    /// Whether any phrase begins with a byte.
    pub(super) fn may_begin(&self, first: u8) -> bool {
        self.begins[usize::from(first)]
    }

    /// Tells the number and the length of each phrase that a text begins with.
    pub(super) fn at_begin_of(&self, text: &[u8], mut tell: impl FnMut(u32, usize)) {
        let Some(first) = text.first() else { return };
        let (from, to) = self.short_from[usize::from(*first)];
        let key = match *text {
            [a, b, c, d, ..] => [a, b, c, d],
            [a, b, c] => [a, b, c, 0],
            [a, b] => [a, b, 0, 0],
            _ => [*first, 0, 0, 0],
        };
        let head = u32::from_le_bytes(key);
        for short in &self.short[usize::from(from)..usize::from(to)] {
            if head & short.mask == short.key {
                tell(short.id, short.length);
            }
        }
        if text.len() < KEY_BYTES {
            return;
        }
        let mut slot = slot_of(key);
        while self.slots[slot].key != key {
            if self.slots[slot].to == 0 {
                return;
            }
            slot = (slot + 1) % SLOTS;
        }
        let Slot { from, to, .. } = self.slots[slot];
        let mut matched = KEY_BYTES;
        let (from, to) = (usize::from(from), usize::from(to));
        let mut at = from;
        while at < to {
            let entry = self.entries[at];
            let shared = if at == from { KEY_BYTES } else { usize::from(entry.shared) };
            // it differs from the text where the one before it does, and so do those that have as much in common
            if shared > matched {
                at = entry.skip as usize;
                continue;
            }
            // the text goes on as the one before it, and so does none that follows
            if shared < matched {
                break;
            }
            if at != from {
                if usize::from(entry.length) == shared {
                    // the same phrase under another number
                    tell(entry.id, shared);
                    at += 1;
                    continue;
                }
                match text.get(matched) {
                    Some(byte) if entry.next < *byte => {
                        at += 1;
                        continue;
                    }
                    Some(byte) if entry.next == *byte => {}
                    // those that follow are greater
                    _ => break,
                }
            }
            let start = entry.start as usize;
            let phrase = &self.bytes[start..start + usize::from(entry.length)];
            matched = shared + common(&phrase[shared..], &text[shared..]);
            match phrase.get(matched) {
                None => tell(entry.id, matched),
                // those that follow are greater
                Some(byte) if text.get(matched).is_some_and(|other| byte > other) => break,
                Some(_) => {}
            }
            at += 1;
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
        check(&["user", "user unknown", "user", "use", "use", "user unknown"], "user unknown");
        check(&[], "user");
    }

    proptest::proptest! {
        #[test]
        fn the_same_as_one_by_one(
            phrases in proptest::collection::vec("[ab ]{1,7}", 0..30),
            text in "[ab ]{0,12}",
        ) {
            let phrases: Vec<&str> = phrases.iter().map(String::as_str).collect();
            check(&phrases, &text);
        }
    }
}
