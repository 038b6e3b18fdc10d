//! All phrases, sorted, so that those that begin at a place of a text are found without looking at the others.
//!
//! They lie in one piece of memory of some 130 KB, which stays in the caches of a core; automata of the same phrases take
//! ten to a hundred times as much, and were slower for it. What a text says next cannot be foretold, so that what costs
//! are branches: places at which no phrase begins are left out without any.

/// Bytes that a phrase may have.
pub(super) const PHRASE_BYTES_MAX: usize = 200;
/// Bytes by which most phrases are looked up.
const KEY_BYTES: usize = 8;
/// Bytes by which shorter ones are looked up; those that are shorter still are few, and tried one by one.
const HALF_KEY_BYTES: usize = 4;
/// Bits of the map of keys; some thirty for each key, so that few texts that begin no phrase seem to.
const KEY_BITS: usize = 1 << 16;
/// Zeros that a text must have behind it, so that there is a key at each of its bytes. No phrase has one.
pub(super) const PADDING: [u8; KEY_BYTES] = [0; KEY_BYTES];

/// Of a byte: that it is an ASCII letter or digit.
const WORD: u8 = 1;
/// That a phrase begins with it.
const BEGINS: u8 = 2;

/// Of a place: that a phrase may begin there that has a key.
const HAS_KEY: u16 = 1 << 15;
/// Of a place: that a phrase may begin there that has half a key, or less.
const HAS_LESS: u16 = 1 << 14;

/// The phrases of an index.
#[derive(Debug)]
pub(super) struct Phrases {
    /// Those that have a key.
    long: Sorted,
    /// Those that have half a key.
    middle: Sorted,
    /// Those that are shorter.
    short: Vec<Short>,
    /// Which of them begin with a byte.
    short_from: [(u16, u16); 256],
    /// A bit for each two bytes with which one of them may begin.
    pairs: Vec<u64>,
    /// What a byte is: [`WORD`] and [`BEGINS`].
    bytes: [u8; 256],
}

/// Sorted phrases that have a key of so many bytes.
#[derive(Debug)]
struct Sorted {
    key_bytes: usize,
    /// Ones where the bytes of a key are.
    mask: u64,
    /// The phrases, one after the other.
    bytes: Vec<u8>,
    /// What is known of each, in the same order.
    entries: Vec<Entry>,
    /// Phrases by their keys: open addressing.
    slots: Vec<Slot>,
    /// A bit for each key.
    keys: Vec<u64>,
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

/// A phrase that is shorter than half a key.
#[derive(Debug, Clone, Copy)]
struct Short {
    /// It, and zeros.
    key: u64,
    /// Ones where its bytes are.
    mask: u64,
    length: usize,
    id: u32,
}

/// Which of the sorted phrases begin with a key; none in a slot that is empty.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    key: u64,
    from: u16,
    to: u16,
}

/// A number for a key.
fn mixed(key: u64) -> usize {
    // the upper bits of a product are mixed best
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize
}

/// The bit of a key in a map.
fn key_bit(key: u64) -> usize {
    mixed(key) % KEY_BITS
}

/// The bit of the first two bytes of a key.
fn pair_bit(key: u64) -> usize {
    (key & 0xffff) as usize
}

fn set(bits: &mut [u64], bit: usize) {
    bits[bit / 64] |= 1 << (bit % 64);
}

/// One if a bit is set, or zero.
fn bit_of(bits: &[u64], bit: usize) -> u16 {
    u16::from(bits[bit / 64] >> (bit % 64) & 1 != 0)
}

/// The key at a place of a padded text.
fn key_at(padded: &[u8], at: usize) -> u64 {
    let key = padded.get(at..).and_then(<[u8]>::first_chunk);
    u64::from_le_bytes(*key.expect("a text is padded"))
}

/// The same of a phrase, and zeros behind it.
fn key_of(phrase: &[u8]) -> u64 {
    key_at(&[phrase, &PADDING].concat(), 0)
}

/// Ones for so many bytes of a key.
fn mask_of(bytes: usize) -> u64 {
    key_of(&vec![u8::MAX; bytes])
}

impl Phrases {
    /// Of phrases, whose numbers are their places in the list.
    pub(super) fn new(phrases: &[Vec<u8>]) -> Self {
        let mut sorted: Vec<(&[u8], u32)> = phrases.iter().map(Vec::as_slice).zip(0..).collect();
        sorted.sort_unstable();
        let of_length = |lengths: std::ops::Range<usize>| {
            let is_one = |(phrase, _): &(&[u8], u32)| lengths.contains(&phrase.len());
            sorted.iter().copied().filter(is_one).collect::<Vec<_>>()
        };
        let mut all = Self {
            long: Sorted::new(KEY_BYTES, &of_length(KEY_BYTES..usize::MAX)),
            middle: Sorted::new(HALF_KEY_BYTES, &of_length(HALF_KEY_BYTES..KEY_BYTES)),
            short: Vec::new(),
            short_from: [(0, 0); 256],
            pairs: vec![0; (1 << 16) / 64],
            bytes: [0; 256],
        };
        for byte in (0..=u8::MAX).filter(u8::is_ascii_alphanumeric) {
            all.bytes[usize::from(byte)] = WORD;
        }
        for phrase in phrases {
            all.bytes[usize::from(phrase[0])] |= BEGINS;
        }
        for (at, (phrase, id)) in (0_u16..).zip(of_length(1..HALF_KEY_BYTES)) {
            let key = key_of(phrase);
            all.short.push(Short { key, mask: mask_of(phrase.len()), length: phrase.len(), id });
            let range = &mut all.short_from[usize::from(phrase[0])];
            *range = (if range.1 == 0 { at } else { range.0 }, at + 1);
            let seconds = match phrase {
                [_, second, ..] => *second..=*second,
                _ => 0..=u8::MAX,
            };
            for second in seconds {
                set(&mut all.pairs, pair_bit(key_of(&[phrase[0], second])));
            }
        }
        all
    }

    /// Of a text that is padded: the places at which a phrase may begin, and those alone at which one does.
    ///
    /// A phrase begins where a word does, or anywhere else but inside of a word.
    pub(super) fn places(&self, padded: &[u8], places: &mut Vec<u16>) {
        let text = &padded[..padded.len() - PADDING.len()];
        if places.len() < text.len() {
            places.resize(text.len(), 0);
        }
        let mut number = 0;
        let mut before = 0;
        for (at, byte) in (0_u16..).zip(text) {
            // a letter beyond ASCII may begin a phrase wherever it stands: some languages have no blanks
            let this = self.bytes[usize::from(*byte)];
            places[number] = at;
            number += usize::from((this / BEGINS) & !(this & before) & WORD);
            before = this;
        }
        let mut kept = 0;
        for place in 0..number {
            let at = places[place];
            let key = key_at(padded, usize::from(at));
            let has_less = self.middle.may_have(key) | bit_of(&self.pairs, pair_bit(key));
            let kinds = (self.long.may_have(key) * HAS_KEY) | (has_less * HAS_LESS);
            places[kept] = at | kinds;
            kept += usize::from(kinds != 0);
        }
        places.truncate(kept);
    }

    /// Tells place, number and length of each phrase that begins at a place of a padded text.
    pub(super) fn at(&self, padded: &[u8], place: u16, mut tell: impl FnMut(usize, u32, usize)) {
        let at = usize::from(place & !(HAS_KEY | HAS_LESS));
        let key = key_at(padded, at);
        let mut tell = |id, length| tell(at, id, length);
        if place & HAS_KEY != 0 {
            self.long.at(&padded[at..], key, &mut tell);
        }
        if place & HAS_LESS != 0 {
            self.middle.at(&padded[at..], key, &mut tell);
            let (from, to) = self.short_from[usize::from(padded[at])];
            for short in &self.short[usize::from(from)..usize::from(to)] {
                if key & short.mask == short.key {
                    tell(short.id, short.length);
                }
            }
        }
    }
}

impl Sorted {
    /// Of sorted phrases, each with its number.
    fn new(key_bytes: usize, phrases: &[(&[u8], u32)]) -> Self {
        let mut all = Self {
            key_bytes,
            mask: mask_of(key_bytes),
            bytes: Vec::new(),
            entries: Vec::new(),
            slots: Vec::new(),
            keys: vec![0; KEY_BITS / 64],
        };
        let key = |phrase: &[u8]| key_of(phrase) & all.mask;
        let keys = phrases.chunk_by(|(one, _), (other, _)| key(one) == key(other)).count();
        // some two for each key, so that one is free
        all.slots = vec![Slot::default(); (2 * keys).next_power_of_two()];
        let mut before: &[u8] = &[];
        for (at, (phrase, id)) in (0_u16..).zip(phrases) {
            // both are below `PHRASE_BYTES_MAX`
            let byte = |length: usize| u8::try_from(length).unwrap_or(u8::MAX);
            let start = u32::try_from(all.bytes.len()).unwrap_or(u32::MAX);
            let shared = byte(common(before, phrase));
            let next = phrase.get(usize::from(shared)).copied().unwrap_or_default();
            let length = byte(phrase.len());
            all.entries.push(Entry { start, skip: 0, id: *id, length, shared, next });
            all.bytes.extend_from_slice(phrase);
            all.take_slot(key_of(phrase) & all.mask, at);
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

    fn take_slot(&mut self, key: u64, at: u16) {
        set(&mut self.keys, key_bit(key));
        let last = self.slots.len() - 1;
        let mut slot = mixed(key) & last;
        while self.slots[slot].to != 0 && self.slots[slot].key != key {
            slot = (slot + 1) & last;
        }
        let slot = &mut self.slots[slot];
        let from = if slot.to == 0 { at } else { slot.from };
        *slot = Slot { key, from, to: at + 1 };
    }

    /// One if a phrase may begin with a key, or zero.
    fn may_have(&self, key: u64) -> u16 {
        bit_of(&self.keys, key_bit(key & self.mask))
    }

    /// Tells the number and the length of each phrase that a text with this key begins with.
    fn at(&self, text: &[u8], key: u64, tell: &mut impl FnMut(u32, usize)) {
        let key = key & self.mask;
        let last = self.slots.len() - 1;
        let mut slot = mixed(key) & last;
        while self.slots[slot].key != key {
            if self.slots[slot].to == 0 {
                return;
            }
            slot = (slot + 1) & last;
        }
        let Slot { from, to, .. } = self.slots[slot];
        let mut matched = self.key_bytes;
        let (from, to) = (usize::from(from), usize::from(to));
        let mut at = from;
        while at < to {
            let entry = self.entries[at];
            let shared = if at == from { self.key_bytes } else { usize::from(entry.shared) };
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
        let all = Phrases::new(&all);
        let padded = [text.as_bytes(), &PADDING].concat();
        let mut places = Vec::new();
        all.places(&padded, &mut places);
        for place in places {
            all.at(&padded, place, |at, id, length| {
                assert_eq!(length, phrases[id as usize].len());
                if at == 0 {
                    found.push(phrases[id as usize]);
                }
            });
        }
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
        for text in [
            "user unknown here",
            "user unknowns",
            "userid",
            "us",
            "",
            "user x",
            "user z",
            "unknown user",
            "用户",
        ] {
            check(&phrases, text);
        }
        check(&["user", "user unknown", "user", "use", "use", "user unknown"], "user unknown");
        check(&[], "user");
    }

    proptest::proptest! {
        #[test]
        fn the_same_as_one_by_one(
            phrases in proptest::collection::vec("[ab]{1,12}", 0..60),
            text in "[ab ]{0,16}",
        ) {
            let phrases: Vec<&str> = phrases.iter().map(String::as_str).collect();
            check(&phrases, &text);
        }
    }
}
