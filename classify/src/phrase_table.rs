//! Finds all phrases that a text contains.
//!
//! A phrase starts where a word starts. The first 8 bytes of a text from there (4, 2 or 1 for shorter phrases) are a
//! key. A bit map of all keys rejects most positions of a text, without a branch. A hash table of the keys gives the
//! phrases with this key, in sorted order. Of these, the text starts with those that are prefixes of the last phrase
//! that is not greater than the text.
//!
//! An automaton (Aho-Corasick) of the same phrases takes twice as long: it reads each byte of the text, and its states
//! are larger than the caches of a core.

/// Greatest length of a phrase in bytes, after folding.
pub(super) const PHRASE_BYTES_MAX: usize = 200;

/// Lengths of keys in bytes. A phrase has the longest key that is not longer than the phrase.
const KEY_BYTES: [usize; 4] = [1, 2, 4, 8];

/// For each length, the bytes of the key in a word of 8 bytes.
const KEY_MASKS: [u64; 4] = [0xff, 0xffff, 0xffff_ffff, u64::MAX];

/// Follows a text, so that there are two words after each position. UTF-8 does not have this byte.
const PADDING: [u8; 16] = [0xff; 16];

/// Bits of the map of keys; about one of 40 is set.
const MAP_BITS: usize = 1 << 18;

/// Phrases by their first bytes. The id of a phrase is its place in the list from which the table is built.
#[derive(Debug)]
pub(super) struct PhraseTable {
    /// A bit for the hash of each key.
    map: Box<[u64]>,
    /// The group of each key: a hash table with open addressing.
    groups: Box<[Group]>,
    /// The phrases, sorted by key and text.
    entries: Vec<Entry>,
    /// The bytes of the phrases after [`Entry::next`].
    bytes: Vec<u8>,
    /// For each entry: the phrases of its group that it starts with, the shortest first. The last one is its own.
    prefixes: Vec<Prefix>,
}

/// The entries of the phrases with one key; none if the place is free.
#[derive(Debug, Clone, Copy, Default)]
struct Group {
    key: u64,
    entries: Span,
}

/// A phrase in sorted order.
#[derive(Debug)]
struct Entry {
    /// The 8 bytes after the key, with zeros if there are fewer, as a big-endian number.
    next: u64,
    /// The bytes after these.
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

/// A range of a list.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    from: u32,
    to: u32,
}

impl Span {
    /// Appends to a list.
    fn append<T>(list: &mut Vec<T>, added: impl Iterator<Item = T>) -> Self {
        let from = position(list.len());
        list.extend(added);
        Self { from, to: position(list.len()) }
    }

    fn of<T>(self, list: &[T]) -> &[T] {
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
            groups: vec![Group::default(); (2 * groups().count()).next_power_of_two()].into(),
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
                let entry = Entry {
                    next: first_word(after_key).swap_bytes(),
                    rest: Span::append(&mut table.bytes, rest.iter().copied()),
                    prefixes: Span::append(&mut table.prefixes, prefixes),
                };
                table.entries.push(entry);
            }
            let key = key(group[0].1);
            let place = table.group_place(key);
            let entries = Span { from, to: position(table.entries.len()) };
            table.groups[place] = Group { key, entries };
            let bit = map_bit(key);
            table.map[bit / 64] |= 1 << (bit % 64);
        }
        table
    }

    /// Place of the group of a key, or the free place that it would have.
    fn group_place(&self, key: u64) -> usize {
        let last = self.groups.len() - 1;
        let mut place = hash(key) & last;
        while self.groups[place].entries.to != 0 && self.groups[place].key != key {
            place = (place + 1) & last;
        }
        place
    }

    /// Calls `found` with position, id and length of each phrase that a text contains: leftmost first, the shortest
    /// first at one position. The text keeps its content.
    pub(super) fn search(
        &self,
        text: &mut Vec<u8>,
        buffers: &mut SearchBuffers,
        mut found: impl FnMut(usize, u32, usize),
    ) {
        text.extend(PADDING);
        for lookup in self.find_lookups(text, buffers) {
            self.find_phrases(text, *lookup, &mut found);
        }
        text.truncate(text.len() - PADDING.len());
    }

    /// The positions of a padded text at which phrases can start, with the lengths of their keys. Letters beyond ASCII
    /// always start a word: some languages have no blanks.
    fn find_lookups<'b>(&self, padded: &[u8], buffers: &'b mut SearchBuffers) -> &'b [Lookup] {
        let text = &padded[..padded.len() - PADDING.len()];
        let SearchBuffers { is_start, starts, lookups } = buffers;
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
        &lookups[..kept]
    }

    /// Calls `found` with the phrases of one lookup.
    fn find_phrases(
        &self,
        padded: &[u8],
        lookup: Lookup,
        found: &mut impl FnMut(usize, u32, usize),
    ) {
        let (at, kind) = (usize::from(lookup.at), usize::from(lookup.kind));
        let group = self.groups[self.group_place(word(padded, at) & KEY_MASKS[kind])];
        let key_bytes = KEY_BYTES[kind];
        let next = word(padded, at + key_bytes).swap_bytes();
        let rest = padded.get(at + key_bytes + 8..).unwrap_or_default();
        let is_not_greater = |entry: &Entry| {
            entry.next < next || entry.next == next && entry.rest.of(&self.bytes) <= rest
        };
        let last = match group.entries.of(&self.entries) {
            [entry] => entry,
            entries => match entries.partition_point(is_not_greater).checked_sub(1) {
                Some(last) => &entries[last],
                None => return,
            },
        };
        let equal_bytes = match (last.next ^ next).leading_zeros() as usize / 8 {
            8 => {
                let pairs = last.rest.of(&self.bytes).iter().zip(rest);
                8 + pairs.take_while(|(a, b)| a == b).count()
            }
            fewer => fewer,
        };
        for prefix in last.prefixes.of(&self.prefixes) {
            let length = usize::from(prefix.length);
            if length > key_bytes + equal_bytes {
                break;
            }
            if !(prefix.ends_word && padded[at + length].is_ascii_alphanumeric()) {
                found(at, prefix.phrase, length);
            }
        }
    }
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
            let mut found = Vec::new();
            let mut copy = text.clone();
            table.search(&mut copy, &mut buffers, |at, id, length| found.push((at, id, length)));
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
        let mut found = Vec::new();
        let mut text = b" no user unknown in table ".to_vec();
        table.search(&mut text, &mut SearchBuffers::default(), |at, id, _| found.push((at, id)));
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
