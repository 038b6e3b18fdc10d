//! Finds all phrases that a text contains.
//!
//! A phrase starts where a word starts. The first 8 bytes of a text from there (4, 2 or 1 for shorter phrases) are a
//! key. A bit map of all keys rejects most positions of a text, without a branch. A perfect hash of the keys gives the
//! phrases with the longest key of the text, in sorted order. Of all phrases, the text starts with those that are
//! prefixes of the last one of these that is not greater than the text; if all are greater, with those that are prefixes
//! of the key. Phrases with shorter keys are among these prefixes, so one search per position finds all.
//!
//! Each step handles the whole text before the next step, so that no branch depends on where words and phrases start:
//! it is not predictable, and a wrong prediction costs as much as fifty instructions.
//!
//! An automaton (Aho-Corasick) of the same phrases takes twice as long: it reads each byte of the text, and its states
//! are larger than the caches of a core.

#![expect(clippy::needless_bitwise_bool, reason = "lazy operators would add branches")]

use std::hint::select_unpredictable;

use crate::byte_classes::{LANES, bits};
use crate::perfect_hash::{PerfectHash, mix};
use crate::span::{Chained, Span, Spans, position};

/// Greatest length of a phrase in bytes, after folding.
pub(super) const PHRASE_BYTES_MAX: usize = 200;

/// Lengths of keys in bytes. A phrase has the longest key that is not longer than the phrase.
const KEY_BYTES: [usize; 4] = [1, 2, 4, 8];

/// For each length, the bytes of the key in a word of 8 bytes.
const KEY_MASKS: [u64; 4] = [0xff, 0xffff, 0xffff_ffff, u64::MAX];

/// Greatest length of a list that is searched without a branch.
const SHORT: usize = 4;

/// Bytes after a key that are compared as a number.
const NEXT_BYTES: usize = 16;

/// Follows a text, so that there are a key and [`NEXT_BYTES`] after each position, and a multiple of [`LANES`] bytes.
/// UTF-8 does not have this byte.
const PADDING: [u8; LANES + 8 + NEXT_BYTES] = [0xff; LANES + 8 + NEXT_BYTES];

/// Words of 64 bits of the map of keys; about one of ten bits is set. A larger map would take more of the first cache than
/// it saves.
const MAP_WORDS: usize = 1 << 11;

/// Hashes of two bytes.
const PAIRS: usize = 1 << 12;

/// Phrases by their first bytes. The id of a phrase is its place in the list from which the table is built.
#[derive(Debug)]
pub(super) struct PhraseTable {
    /// For each byte: 1 if it is a key.
    bytes: Box<[u8; 256]>,
    /// For the hash of two bytes a bit for each of [`KEY_BYTES`] but the first: whether there is such a key that starts with
    /// them.
    pairs: Box<[u8; PAIRS]>,
    /// Two bits for the hash of each key of 4 or 8 bytes, in one word.
    map: Box<[u64; MAP_WORDS]>,
    /// The place of each key in `groups`.
    places: PerfectHash,
    groups: Box<[Group]>,
    /// The bytes after the key of each phrase, with zeros if there are fewer, as a big-endian number. The phrases are
    /// sorted by key and text.
    nexts: Vec<u128>,
    /// The bytes of each phrase after those.
    rests: Spans<u8>,
    /// For each group: the phrases with which its key starts and that are shorter. Then for each phrase of the group: the
    /// phrases with which it starts, the last one is its own. The shortest first.
    prefixes: Spans<Prefix>,
}

/// The phrases with one key.
#[derive(Debug, Default, Clone)]
struct Group {
    key: u64,
    entries: Span,
    /// Its first place in `prefixes`.
    prefixes: u32,
}

/// A phrase that others start with.
#[derive(Debug)]
struct Prefix {
    phrase: u32,
    length: u8,
    ends_word: bool,
    is_mark: bool,
}

/// The text of a phrase.
#[derive(Debug)]
pub(super) struct PhraseText {
    /// Folded; 1 to [`PHRASE_BYTES_MAX`] bytes, none of them zero.
    pub(super) text: Vec<u8>,
    /// Whether a word must end at its end, which is then a letter or digit.
    pub(super) ends_word: bool,
    /// Whether it is in [`Found::marks`].
    pub(super) is_mark: bool,
}

/// The phrases that a text contains.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// A bit for each phrase: whether the text contains it.
    pub(super) phrases: Vec<u64>,
    /// The first occurrence of each: leftmost first, the shortest first at one position.
    pub(super) hits: Vec<Hit>,
    /// Those of `hits` that are marks.
    pub(super) marks: Vec<Hit>,
}

/// A phrase in a text.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hit {
    start: u16,
    length: u8,
    is_mark: bool,
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

/// Buffers of a search.
#[derive(Debug, Default)]
pub(super) struct SearchBuffers {
    /// A bit for each byte of the text and the one after it: whether it is a letter or digit after a letter or digit.
    inside: Vec<u64>,
    lookups: Vec<Lookup>,
    found: Vec<FoundGroup>,
    longest: Vec<LongestMatch>,
    spans: Vec<Span>,
}

/// A position of a text, and the lengths of the keys that phrases probably have: a bit for each of [`KEY_BYTES`].
#[derive(Debug, Clone, Copy, Default)]
struct Lookup {
    at: u16,
    kinds: u8,
}

/// The group with the longest key at a position of a text.
#[derive(Debug, Clone, Copy, Default)]
struct FoundGroup {
    at: u16,
    key_bytes: u16,
    entries: Span,
    prefixes: u32,
}

/// How many bytes of a text from a position are those of a phrase.
#[derive(Debug, Clone, Copy, Default)]
struct LongestMatch {
    at: u16,
    bytes: u16,
}

impl PhraseTable {
    /// A table of phrases with 1 to [`PHRASE_BYTES_MAX`] bytes, none of them zero, each with whether a word must end at
    /// its end.
    pub(super) fn new(phrases: &[PhraseText]) -> Self {
        let with_kinds = phrases
            .iter()
            .zip(0_u32..)
            .map(|(phrase, id)| (key_kind(&phrase.text), phrase.text.as_slice(), id));
        let mut sorted: Vec<(usize, &[u8], u32)> = with_kinds.collect();
        sorted.sort_unstable_by_key(|(_, text, id)| (*text, *id));
        let parents = parents(&sorted);
        sorted.sort_by_key(|(kind, _, _)| *kind);
        let groups = || sorted.chunk_by(|(_, a, _), (_, b, _)| key(a) == key(b));
        let keys: Vec<u64> = groups().map(|group| key(group[0].1)).collect();
        let places = PerfectHash::new(&keys);
        let mut table = Self {
            bytes: Box::new([0; 256]),
            pairs: Box::new([0; PAIRS]),
            map: Box::new([0; MAP_WORDS]),
            groups: vec![Group::default(); places.places()].into(),
            places,
            nexts: Vec::new(),
            rests: Spans::default(),
            prefixes: Spans::default(),
        };
        let prefixes = |id: u32| {
            let prefix = |id: u32| {
                let PhraseText { text, ends_word, is_mark } = &phrases[id as usize];
                let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
                Prefix { phrase: id, length, ends_word: *ends_word, is_mark: *is_mark }
            };
            let longest_first = std::iter::successors(Some(id), |id| parents[*id as usize]);
            let mut prefixes: Vec<Prefix> = longest_first.map(prefix).collect();
            prefixes.reverse();
            prefixes.into_iter()
        };
        for (group, key) in groups().zip(keys) {
            let (kind, _, first) = group[0];
            let key_bytes = KEY_BYTES[kind];
            let from = position(table.nexts.len());
            let first_prefixes = position(table.prefixes.len());
            table
                .prefixes
                .push(prefixes(first).filter(|prefix| usize::from(prefix.length) < key_bytes));
            for (_, text, id) in group {
                let after_key = &text[key_bytes..];
                let rest = after_key.get(NEXT_BYTES..).unwrap_or_default();
                table.nexts.push(u128::from_be_bytes(first_bytes(after_key)));
                table.rests.push(rest.iter().copied());
                table.prefixes.push(prefixes(*id));
            }
            let entries = Span { from, to: position(table.nexts.len()) };
            table.groups[table.places.of(key)] = Group { key, entries, prefixes: first_prefixes };
            table.mark_key(kind, key);
        }
        table.nexts.extend([u128::MAX; SHORT]);
        table
    }

    /// Records that there is a key.
    fn mark_key(&mut self, kind: usize, key: u64) {
        if kind == 0 {
            self.bytes[first_byte(key)] = 1;
            return;
        }
        self.pairs[pair_hash(key)] |= 1 << kind;
        let (word, bits) = map_bits(key);
        self.map[word] |= bits;
    }

    /// Adds the phrases that a text contains to `found`. The text keeps its content.
    pub(super) fn search(
        &self,
        text: &mut Vec<u8>,
        buffers: &mut SearchBuffers,
        found: &mut Found,
    ) {
        text.extend(PADDING);
        let count = self.find_lookups(text, buffers);
        let count = self.find_groups(text, count, buffers);
        let count = self.find_longest(text, count, buffers);
        self.find_prefixes(count, buffers, found);
        text.truncate(text.len() - PADDING.len());
    }

    /// Finds the positions of a padded text at which phrases can start, with the lengths of their keys. Returns their
    /// number. Letters beyond ASCII always start a word: some languages have no blanks.
    fn find_lookups(&self, padded: &[u8], buffers: &mut SearchBuffers) -> usize {
        let length = padded.len() - PADDING.len();
        let words = length / LANES + 1;
        let SearchBuffers { inside, lookups, found, longest, spans, .. } = buffers;
        // a phrase that starts at the end of the text ends in the words after it
        let inside_words = words + PHRASE_BYTES_MAX.div_ceil(LANES);
        if inside.len() < inside_words {
            let lookups_max = words * LANES;
            inside.resize(inside_words, 0);
            lookups.resize(lookups_max, Lookup::default());
            found.resize(lookups_max, FoundGroup::default());
            longest.resize(lookups_max, LongestMatch::default());
            spans.resize(lookups_max, Span::default());
        }
        let (chunks, _) = padded.as_chunks::<LANES>();
        let (mut kept, mut before) = (0, 0);
        for (at, (chunk, inside)) in chunks.iter().zip(inside).take(words).enumerate() {
            let alphanumeric = bits(&chunk.map(|byte| u8::from(byte.is_ascii_alphanumeric())));
            let blank = bits(&chunk.map(|byte| u8::from(byte == b' ')));
            *inside = alphanumeric & (alphanumeric << 1 | before);
            before = alphanumeric >> (LANES - 1);
            let mut starts = !(*inside | blank);
            if at + 1 == words {
                starts &= (1 << (length % LANES)) - 1;
            }
            while starts != 0 {
                let start = at * LANES + starts.trailing_zeros() as usize;
                starts &= starts - 1;
                let kinds = self.find_keys(word(padded, start));
                lookups[kept] = Lookup { at: u16::try_from(start).unwrap_or(u16::MAX), kinds };
                kept += usize::from(kinds != 0);
            }
        }
        kept
    }

    /// The lengths of the keys that phrases can have that start with a word of 8 bytes, see [`Lookup`].
    fn find_keys(&self, word: u64) -> u8 {
        let [_, _, four, eight] = KEY_MASKS;
        let has = |key: u64| {
            let (word, bits) = map_bits(key);
            u8::from(self.map[word] & bits == bits)
        };
        let longer =
            self.pairs[pair_hash(word)] & (2 | has(word & four) << 2 | has(word & eight) << 3);
        self.bytes[first_byte(word)] | longer
    }

    /// Finds the groups of the first `count` lookups. Returns their number.
    fn find_groups(&self, padded: &[u8], count: usize, buffers: &mut SearchBuffers) -> usize {
        let SearchBuffers { lookups, found, .. } = buffers;
        let mut found_count = 0;
        for Lookup { at, kinds } in &lookups[..count] {
            let word = word(padded, usize::from(*at));
            let mut kinds = *kinds;
            // the map is right about most of the longest keys
            while let Some(kind) = kinds.checked_ilog2() {
                let key = word & KEY_MASKS[kind as usize & 3];
                let Group { key: other, entries, prefixes } = self.groups[self.places.of(key)];
                if other == key {
                    found[found_count] =
                        FoundGroup { at: *at, key_bytes: 1 << kind, entries, prefixes };
                    found_count += 1;
                    break;
                }
                kinds &= !(1 << kind);
            }
        }
        found_count
    }

    /// For each of the first `count` groups, finds the last phrase that is not greater than the text, and how much of
    /// it the text has. Returns the number of positions at which phrases can start.
    fn find_longest(&self, padded: &[u8], count: usize, buffers: &mut SearchBuffers) -> usize {
        let SearchBuffers { found, longest, spans, .. } = buffers;
        let mut kept = 0;
        for group in &found[..count] {
            let FoundGroup { at, key_bytes, entries, prefixes } = *group;
            let after_key = &padded[usize::from(at) + usize::from(key_bytes)..];
            let next = after_key.first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes));
            let from = entries.from as usize;
            let mut not_greater = count_not_greater(&self.nexts, entries, next);
            let last = |not_greater: usize| from + not_greater.saturating_sub(1);
            let mut equal = equal_bytes(self.nexts[last(not_greater)], next);
            if usize::from(equal) == NEXT_BYTES {
                let rest = &after_key[NEXT_BYTES..];
                let is_greater = |at: usize| self.nexts[at] == next && self.rests.of(at) > rest;
                while not_greater > 0 && is_greater(last(not_greater)) {
                    not_greater -= 1;
                }
                equal = equal_bytes(self.nexts[last(not_greater)], next);
                let pairs = self.rests.of(last(not_greater)).iter().zip(rest);
                equal += pairs.take_while(|(a, b)| a == b).fold(0, |count, _| count + 1);
            }
            longest[kept] = LongestMatch { at, bytes: key_bytes + equal };
            spans[kept] = self.prefixes.span(prefixes as usize + not_greater);
            kept += usize::from(spans[kept].len() > 0);
        }
        kept
    }

    /// Finds the phrases that are prefixes of the text after the first `count` positions.
    fn find_prefixes(&self, count: usize, buffers: &SearchBuffers, found: &mut Found) {
        let SearchBuffers { inside, longest, spans, .. } = buffers;
        let Found { phrases, hits, marks } = found;
        let (spans, longest) = (&spans[..count], &longest[..count]);
        let prefixes = Chained::new(spans);
        hits.resize(prefixes.left() + 1, Hit::default());
        let mut hit_count = 0;
        for (place, prefix) in prefixes {
            let Prefix { phrase, length, ends_word, is_mark } =
                self.prefixes.items[prefix as usize];
            let LongestMatch { at, bytes } = longest[place];
            let end = usize::from(at) + usize::from(length);
            let is_equal = u16::from(length) <= bytes;
            let is_cut = ends_word & (inside[end / 64] >> (end % 64) & 1 != 0);
            let is_found = is_equal & !is_cut;
            let word = &mut phrases[phrase as usize / 64];
            let is_first = is_found & (*word >> (phrase % 64) & 1 == 0);
            *word |= u64::from(is_found) << (phrase % 64);
            hits[hit_count] = Hit { start: at, length, is_mark, phrase };
            hit_count += usize::from(is_first);
        }
        hits.truncate(hit_count);
        marks.resize(hit_count + 1, Hit::default());
        let mut mark_count = 0;
        for hit in &*hits {
            marks[mark_count] = *hit;
            mark_count += usize::from(hit.is_mark);
        }
        marks.truncate(mark_count);
    }
}

/// For each phrase the longest other one with which it starts. `sorted` is sorted by text; of equal texts, each starts with
/// the one before it.
fn parents(sorted: &[(usize, &[u8], u32)]) -> Vec<Option<u32>> {
    let mut parents = vec![None; sorted.len()];
    let mut open: Vec<(&[u8], u32)> = Vec::new();
    for (_, text, id) in sorted {
        while open.pop_if(|(prefix, _)| !text.starts_with(prefix)).is_some() {}
        parents[*id as usize] = open.last().map(|(_, prefix)| *prefix);
        open.push((text, *id));
    }
    parents
}

/// The number of equal bytes at the start of two big-endian numbers.
fn equal_bytes(a: u128, b: u128) -> u16 {
    u16::try_from((a ^ b).leading_zeros() / 8).unwrap_or(0)
}

/// The number of numbers in a sorted part of a list that are not greater than `limit`. The list continues for [`SHORT`]
/// numbers after the part. Has no branch that depends on the numbers, and none on the length of a short part: most are
/// short.
fn count_not_greater(list: &[u128], part: Span, limit: u128) -> usize {
    let (mut from, mut length) = (part.from as usize, part.len());
    while length > SHORT {
        let half = length / 2;
        from += select_unpredictable(list[from + half] <= limit, half, 0);
        length -= half;
    }
    let mut count = from - part.from as usize;
    for (at, number) in list[from..from + SHORT].iter().enumerate() {
        count += usize::from((at < length) & (*number <= limit));
    }
    count
}

/// The index in [`KEY_BYTES`] of the length of the key of a phrase.
fn key_kind(phrase: &[u8]) -> usize {
    KEY_BYTES.iter().rposition(|bytes| *bytes <= phrase.len()).unwrap_or(0)
}

fn key(phrase: &[u8]) -> u64 {
    u64::from_le_bytes(first_bytes(phrase)) & KEY_MASKS[key_kind(phrase)]
}

/// The first bytes of a text, with zeros if there are fewer.
fn first_bytes<const N: usize>(text: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.iter_mut().zip(text).for_each(|(to, byte)| *to = *byte);
    bytes
}

/// The 8 bytes of a padded text from a position.
fn word(padded: &[u8], at: usize) -> u64 {
    padded.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn first_byte(word: u64) -> usize {
    usize::from(word.to_le_bytes()[0])
}

/// The hash of the first two bytes of a word.
fn pair_hash(word: u64) -> usize {
    usize::try_from(((word & 0xffff) * 0x9e37) >> 8).unwrap_or(0) % PAIRS
}

/// The word of a key in the map, and its bits.
fn map_bits(key: u64) -> (usize, u64) {
    let hash = mix(key);
    let word = usize::try_from(hash >> 52).unwrap_or(0) % MAP_WORDS;
    (word, 1 << (hash >> 46 & 63) | 1 << (hash >> 40 & 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Position, phrase and length of the first occurrences, in order.
    type Hits = Vec<(usize, u32, usize)>;

    fn phrases(texts: &[(Vec<u8>, bool)]) -> Vec<PhraseText> {
        let phrase = |(text, ends_word): &(Vec<u8>, bool)| PhraseText {
            text: text.clone(),
            ends_word: *ends_word && text.last().is_some_and(u8::is_ascii_alphanumeric),
            is_mark: text.len() % 2 == 0,
        };
        texts.iter().map(phrase).collect()
    }

    fn search(table: &PhraseTable, text: &[u8], buffers: &mut SearchBuffers) -> Found {
        let mut found = Found { phrases: vec![0; 8], ..Found::default() };
        let mut copy = text.to_vec();
        table.search(&mut copy, buffers, &mut found);
        assert_eq!(copy, *text);
        found
    }

    fn listed(hits: &[Hit]) -> Hits {
        hits.iter().map(|hit| (hit.start(), hit.phrase, hit.end() - hit.start())).collect()
    }

    /// The same, each phrase at each position.
    fn search_slowly(phrases: &[PhraseText], text: &[u8]) -> Hits {
        let is_alphanumeric = |at: usize| text.get(at).is_some_and(u8::is_ascii_alphanumeric);
        let mut found: Hits = Vec::new();
        for at in 0..text.len() {
            let is_inside = at > 0 && is_alphanumeric(at) && is_alphanumeric(at - 1);
            for (id, phrase) in (0..).zip(phrases) {
                let is_cut = phrase.ends_word && is_alphanumeric(at + phrase.text.len());
                let is_known = found.iter().any(|(_, known, _)| *known == id);
                if !is_inside && !is_cut && !is_known && text[at..].starts_with(&phrase.text) {
                    found.push((at, id, phrase.text.len()));
                }
            }
        }
        found.sort_unstable();
        found
    }

    #[test]
    fn the_shortest_phrase_at_a_position_is_first() {
        let texts = ["user unknown in", "user", "user unknown", "us"];
        let table = PhraseTable::new(&phrases(&texts.map(|text| (text.into(), false))));
        let found = search(&table, b" no user unknown in table ", &mut SearchBuffers::default());
        let hits: Vec<_> = found.hits.iter().map(|hit| (hit.start(), hit.phrase)).collect();
        assert_eq!(hits, [(4, 3), (4, 1), (4, 2), (4, 0)]);
    }

    proptest::proptest! {
        #[test]
        fn search_finds_what_a_slow_search_finds(
            texts in proptest::collection::vec(("[ab(é][ab (é]{0,11}([ab]{20,30})?", proptest::bool::ANY), 1..60),
            searched in proptest::collection::vec("[ab (é]{0,60}([ab]{60})?([ab (é]{60})?", 1..20),
            parts in proptest::collection::vec((0_usize..60, 0_usize..60), 1..20),
        ) {
            let texts: Vec<_> = texts.into_iter().map(|(text, ends)| (text.into_bytes(), ends)).collect();
            let phrases = phrases(&texts);
            let table = PhraseTable::new(&phrases);
            let mut buffers = SearchBuffers::default();
            // texts that contain long phrases, whole and in part
            let mut searched: Vec<Vec<u8>> = searched.into_iter().map(String::into_bytes).collect();
            searched.extend(parts.into_iter().map(|(at, end)| {
                let text = &texts[at % texts.len()].0;
                [&text[..end % (text.len() + 1)], b"a b", text].concat()
            }));
            for text in &searched {
                let found = search(&table, text, &mut buffers);
                let expected = search_slowly(&phrases, text);
                let mut hits = listed(&found.hits);
                hits.sort_unstable();
                proptest::prop_assert_eq!(&hits, &expected);
                let is_mark = |hit: &&Hit| phrases[hit.phrase as usize].is_mark;
                let marks: Vec<Hit> = found.hits.iter().filter(is_mark).copied().collect();
                proptest::prop_assert_eq!(&found.marks, &marks);
                let bits: u32 = found.phrases.iter().map(|word| word.count_ones()).sum();
                proptest::prop_assert_eq!(bits as usize, hits.len());
            }
        }
    }
}
