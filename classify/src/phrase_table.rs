//! Finds all phrases that a text contains.
//!
//! A phrase starts where a word starts. The first 8 bytes of a text from there (4, 2 or 1 for shorter phrases) are a
//! key. A bit map of all keys rejects most positions of a text, without a branch. A hash table of the keys gives the
//! phrases with this key, in sorted order. Of these, the text starts with those that are prefixes of the last phrase
//! that is not greater than the text.
//!
//! An automaton (Aho-Corasick) of the same phrases takes twice as long: it reads each byte of the text, and its states
//! are larger than the caches of a core.

#![expect(clippy::needless_bitwise_bool, reason = "lazy operators would add branches")]

use std::hint::select_unpredictable;

/// Greatest length of a phrase in bytes, after folding.
pub(super) const PHRASE_BYTES_MAX: usize = 200;

/// Lengths of keys in bytes. A phrase has the longest key that is not longer than the phrase.
const KEY_BYTES: [usize; 4] = [1, 2, 4, 8];

/// For each length, the bytes of the key in a word of 8 bytes.
const KEY_MASKS: [u64; 4] = [0xff, 0xffff, 0xffff_ffff, u64::MAX];

/// Greatest length of a list that is searched without a branch.
const SHORT: usize = 4;

/// Follows a text, so that there are two words after each position. UTF-8 does not have this byte.
const PADDING: [u8; 16] = [0xff; 16];

/// Bits of the map of keys; about one of 20 is set. A larger map would take more of the first cache than it saves.
const MAP_BITS: usize = 1 << 17;

/// Phrases by their first bytes. The id of a phrase is its place in the list from which the table is built.
#[derive(Debug)]
pub(super) struct PhraseTable {
    /// A bit for the hash of each key.
    map: Box<[u64]>,
    /// For the hash of each key its place in `groups` plus one, or 0: a hash table with open addressing.
    slots: Box<[u32]>,
    groups: Vec<Group>,
    /// The 8 bytes after the key of each phrase, with zeros if there are fewer, as a big-endian number. The phrases are
    /// sorted by key and text.
    nexts: Vec<u64>,
    /// The rest of each phrase.
    entries: Vec<Entry>,
    /// The bytes of [`Entry::rest`].
    bytes: Vec<u8>,
    /// For each entry: the phrases of its group that it starts with, the shortest first. The last one is its own.
    prefixes: Vec<Prefix>,
}

/// The phrases with one key.
#[derive(Debug)]
struct Group {
    key: u64,
    entries: Span,
}

/// A phrase in sorted order.
#[derive(Debug)]
struct Entry {
    /// The bytes after the key and the 8 bytes after it.
    rest: Span,
    prefixes: Span,
}

/// A phrase that others start with.
#[derive(Debug)]
struct Prefix {
    phrase: u32,
    length: u8,
    ends_word: bool,
}

/// A phrase in a text.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hit {
    start: u16,
    length: u8,
    pub(super) phrase: u32,
}

impl Hit {
    /// Position of the phrase in the text.
    pub(super) fn start(self) -> usize {
        usize::from(self.start)
    }

    /// Position after the phrase.
    pub(super) fn end(self) -> usize {
        self.start() + usize::from(self.length)
    }
}

/// A range of a list.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) from: u32,
    pub(super) to: u32,
}

impl Span {
    /// Appends to a list.
    pub(super) fn append<T>(list: &mut Vec<T>, added: impl Iterator<Item = T>) -> Self {
        let from = position(list.len());
        list.extend(added);
        Self { from, to: position(list.len()) }
    }

    pub(super) fn len(self) -> usize {
        (self.to - self.from) as usize
    }

    pub(super) fn of<T>(self, list: &[T]) -> &[T] {
        &list[self.from as usize..self.to as usize]
    }
}

/// Rules are files: no list has more than `u32::MAX` items.
fn position(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Buffers of a search.
#[derive(Debug, Default)]
pub(super) struct SearchBuffers {
    /// For each byte of the text: 1 if a word starts there.
    is_start: Vec<u8>,
    /// Positions at which words start.
    starts: Vec<u16>,
    lookups: Vec<Lookup>,
    hits: Vec<Hit>,
}

/// A position of a text, and a length of the key that phrases probably have: an index of [`KEY_BYTES`].
#[derive(Debug, Clone, Copy, Default)]
struct Lookup {
    at: u16,
    kind: u16,
}

impl PhraseTable {
    /// A table of phrases with 1 to [`PHRASE_BYTES_MAX`] bytes, none of them zero, each with whether a word must end at
    /// its end.
    pub(super) fn new(phrases: &[(Vec<u8>, bool)]) -> Self {
        let with_kinds = phrases
            .iter()
            .zip(0_u32..)
            .map(|((text, _), id)| (key_kind(text), text.as_slice(), id));
        let mut sorted: Vec<(usize, &[u8], u32)> = with_kinds.collect();
        sorted.sort_unstable();
        let groups = || sorted.chunk_by(|(_, a, _), (_, b, _)| key(a) == key(b));
        let mut table = Self {
            map: vec![0; MAP_BITS / 64].into(),
            slots: vec![0; (2 * groups().count()).next_power_of_two()].into(),
            groups: Vec::new(),
            nexts: Vec::new(),
            entries: Vec::new(),
            bytes: Vec::new(),
            prefixes: Vec::new(),
        };
        for group in groups() {
            let from = position(table.entries.len());
            for (at, (kind, text, _)) in group.iter().enumerate() {
                let prefixes =
                    group[..=at].iter().filter(|(_, prefix, _)| text.starts_with(prefix));
                let prefixes = prefixes.map(|(_, prefix, phrase)| Prefix {
                    phrase: *phrase,
                    length: u8::try_from(prefix.len()).unwrap_or(u8::MAX),
                    ends_word: phrases[*phrase as usize].1,
                });
                let after_key = &text[KEY_BYTES[*kind]..];
                let rest = after_key.get(8..).unwrap_or_default();
                table.nexts.push(first_word(after_key).swap_bytes());
                let entry = Entry {
                    rest: Span::append(&mut table.bytes, rest.iter().copied()),
                    prefixes: Span::append(&mut table.prefixes, prefixes),
                };
                table.entries.push(entry);
            }
            let key = key(group[0].1);
            let slot = table.slot(key);
            let entries = Span { from, to: position(table.entries.len()) };
            table.groups.push(Group { key, entries });
            table.slots[slot] = position(table.groups.len());
            let bit = map_bit(key);
            table.map[bit / 64] |= 1 << (bit % 64);
        }
        table.nexts.extend([u64::MAX; SHORT]);
        table
    }

    /// The slot of a key, or the free slot that it would have.
    fn slot(&self, key: u64) -> usize {
        let last = self.slots.len() - 1;
        let mut slot = hash(key) & last;
        while self.group(slot).is_some_and(|group| group.key != key) {
            slot = (slot + 1) & last;
        }
        slot
    }

    fn group(&self, slot: usize) -> Option<&Group> {
        self.groups.get((self.slots[slot] as usize).wrapping_sub(1))
    }

    /// The phrases that a text contains: leftmost first, the shortest first at one position. The text keeps its content.
    pub(super) fn search<'b>(
        &self,
        text: &mut Vec<u8>,
        buffers: &'b mut SearchBuffers,
    ) -> &'b [Hit] {
        text.extend(PADDING);
        let lookups = self.find_lookups(text, buffers);
        let SearchBuffers { lookups: found, hits, .. } = buffers;
        let mut count = 0;
        for lookup in &found[..lookups] {
            count = self.find_phrases(text, *lookup, hits, count);
        }
        text.truncate(text.len() - PADDING.len());
        &hits[..count]
    }

    /// Finds the positions of a padded text at which phrases can start, with the lengths of their keys. Returns their
    /// number. Letters beyond ASCII always start a word: some languages have no blanks.
    fn find_lookups(&self, padded: &[u8], buffers: &mut SearchBuffers) -> usize {
        let text = &padded[..padded.len() - PADDING.len()];
        let SearchBuffers { is_start, starts, lookups, .. } = buffers;
        if is_start.len() < text.len() {
            is_start.resize(text.len(), 1);
            starts.resize(text.len(), 0);
            lookups.resize(text.len() * KEY_MASKS.len(), Lookup::default());
        }
        // no branches in these loops: where words and phrases start is not predictable
        let pairs = text.get(1..).unwrap_or_default().iter().zip(text);
        for (is_start, (byte, before)) in
            is_start.get_mut(1..).unwrap_or_default().iter_mut().zip(pairs)
        {
            let is_inside = byte.is_ascii_alphanumeric() & before.is_ascii_alphanumeric();
            *is_start = u8::from(*byte != b' ') & u8::from(!is_inside);
        }
        let mut count = 0;
        for (at, is_start) in (0..).zip(&is_start[..text.len()]) {
            starts[count] = at;
            count += usize::from(*is_start);
        }
        let mut kept = 0;
        for at in &starts[..count] {
            let first = word(padded, usize::from(*at));
            for (kind, mask) in (0..).zip(KEY_MASKS) {
                let bit = map_bit(first & mask);
                lookups[kept] = Lookup { at: *at, kind };
                kept += usize::from(self.map[bit / 64] >> (bit % 64) & 1 != 0);
            }
        }
        kept
    }

    /// Writes the phrases of one lookup to `hits`, after the first `count`. Returns how many there are then.
    fn find_phrases(
        &self,
        padded: &[u8],
        lookup: Lookup,
        hits: &mut Vec<Hit>,
        mut count: usize,
    ) -> usize {
        let (at, kind) = (usize::from(lookup.at), usize::from(lookup.kind));
        let key = word(padded, at) & KEY_MASKS[kind];
        let Some(group) = self.group(self.slot(key)) else { return count };
        let key_bytes = KEY_BYTES[kind];
        let next = word(padded, at + key_bytes).swap_bytes();
        let rest = padded.get(at + key_bytes + 8..).unwrap_or_default();
        let first = group.entries.from as usize;
        let mut at_last = last_not_greater(&self.nexts, group.entries, next);
        let is_greater =
            |at: usize| self.nexts[at] == next && self.entries[at].rest.of(&self.bytes) > rest;
        while at_last > first && is_greater(at_last) {
            at_last -= 1;
        }
        let last = &self.entries[at_last];
        let equal_bytes = match (self.nexts[at_last] ^ next).leading_zeros() as usize / 8 {
            8 => {
                let pairs = last.rest.of(&self.bytes).iter().zip(rest);
                8 + pairs.take_while(|(a, b)| a == b).count()
            }
            fewer => fewer,
        };
        let prefixes = last.prefixes.of(&self.prefixes);
        if hits.len() < count + prefixes.len() {
            hits.resize(2 * (count + prefixes.len()), Hit::default());
        }
        for prefix in prefixes {
            let end = at + usize::from(prefix.length);
            let is_cut =
                prefix.ends_word & padded[end.min(padded.len() - 1)].is_ascii_alphanumeric();
            let is_equal = usize::from(prefix.length) <= key_bytes + equal_bytes;
            hits[count] = Hit { start: lookup.at, length: prefix.length, phrase: prefix.phrase };
            count += usize::from(is_equal & !is_cut);
        }
        count
    }
}

/// Place of the last number in a sorted part of a list that is not greater than `limit`; the first place if there is
/// none. The list continues for [`SHORT`] numbers after the part. Has no branch that depends on the numbers, and none on
/// the length of a short part: most are short.
fn last_not_greater(list: &[u64], part: Span, limit: u64) -> usize {
    let (mut from, mut length) = (part.from as usize, part.len());
    while length > SHORT {
        let half = length / 2;
        from += select_unpredictable(list[from + half] <= limit, half, 0);
        length -= half;
    }
    let mut count = 0;
    for (at, number) in list[from..from + SHORT].iter().enumerate() {
        count += usize::from((at < length) & (*number <= limit));
    }
    from + count.saturating_sub(1)
}

/// The index in [`KEY_BYTES`] of the length of the key of a phrase.
fn key_kind(phrase: &[u8]) -> usize {
    KEY_BYTES.iter().rposition(|bytes| *bytes <= phrase.len()).unwrap_or(0)
}

fn key(phrase: &[u8]) -> u64 {
    first_word(phrase) & KEY_MASKS[key_kind(phrase)]
}

/// The first 8 bytes of a text, with zeros if there are fewer.
fn first_word(text: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes.iter_mut().zip(text).for_each(|(to, byte)| *to = *byte);
    u64::from_le_bytes(bytes)
}

/// The 8 bytes of a padded text from a position.
fn word(padded: &[u8], at: usize) -> u64 {
    padded.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The upper bits of a product are mixed best.
fn hash(key: u64) -> usize {
    usize::try_from(key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40).unwrap_or(0)
}

fn map_bit(key: u64) -> usize {
    hash(key) % MAP_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Position, phrase and length, in order.
    type Found = Vec<(usize, u32, usize)>;

    fn search(phrases: &[(Vec<u8>, bool)], texts: &[Vec<u8>]) -> Vec<Found> {
        let table = PhraseTable::new(phrases);
        let mut buffers = SearchBuffers::default();
        let search = |text: &Vec<u8>| {
            let mut copy = text.clone();
            let hits = table.search(&mut copy, &mut buffers).iter();
            let mut found: Found =
                hits.map(|hit| (hit.start(), hit.phrase, hit.end() - hit.start())).collect();
            assert_eq!(copy, *text);
            found.sort_unstable();
            found
        };
        texts.iter().map(search).collect()
    }

    /// The same, each phrase at each position.
    fn search_slowly(phrases: &[(Vec<u8>, bool)], text: &[u8]) -> Found {
        let is_alphanumeric = |at: usize| text.get(at).is_some_and(u8::is_ascii_alphanumeric);
        let mut found = Vec::new();
        for at in 0..text.len() {
            let is_inside = at > 0 && is_alphanumeric(at) && is_alphanumeric(at - 1);
            for (id, (phrase, ends_word)) in (0..).zip(phrases) {
                let is_cut = *ends_word && is_alphanumeric(at + phrase.len());
                if !is_inside && !is_cut && text[at..].starts_with(phrase) {
                    found.push((at, id, phrase.len()));
                }
            }
        }
        found.sort_unstable();
        found
    }

    #[test]
    fn the_shortest_phrase_at_a_position_is_first() {
        let table = PhraseTable::new(
            &["user unknown in", "user", "user unknown", "us"].map(|text| (text.into(), false)),
        );
        let mut text = b" no user unknown in table ".to_vec();
        let mut buffers = SearchBuffers::default();
        let hits = table.search(&mut text, &mut buffers).iter();
        let found: Vec<_> = hits.map(|hit| (hit.start(), hit.phrase)).collect();
        assert_eq!(found, [(4, 3), (4, 1), (4, 2), (4, 0)]);
    }

    proptest::proptest! {
        #[test]
        fn search_finds_what_a_slow_search_finds(
            phrases in proptest::collection::vec(("[ab(é][ab (é]{0,11}", proptest::bool::ANY), 1..60),
            texts in proptest::collection::vec("[ab (é]{0,60}", 1..20),
        ) {
            let phrases: Vec<_> = phrases.into_iter().map(|(text, ends)| (text.into_bytes(), ends)).collect();
            let texts: Vec<_> = texts.into_iter().map(String::into_bytes).collect();
            for (text, found) in texts.iter().zip(search(&phrases, &texts)) {
                proptest::prop_assert_eq!(found, search_slowly(&phrases, text));
            }
        }
    }
}
