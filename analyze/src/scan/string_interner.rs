//! Interned strings. No polars.
//!
//! Does not use a crate: `lasso` and `string-interner` store no hashes, so they hash every string
//! again when their table grows. With 1,000,000 distinct recipients they take 3 to 5 times as long
//! as this one.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use xxhash_rust::xxh3::xxh3_64;

use crate::scan::message_keys::IdentityHasher;

/// ID of a missing text.
pub(super) const NO_TEXT: u32 = 0;

/// Stores each distinct text once, and gives it an ID.
#[derive(Debug, Default)]
pub(crate) struct StringInterner {
    /// All texts, concatenated.
    arena: String,
    /// Start and length of the text with ID `index + 1`.
    positions: Vec<(usize, u32)>,
    /// IDs by hash.
    ids: HashMap<u64, u32, BuildHasherDefault<IdentityHasher>>,
}

impl StringInterner {
    /// Returns the ID of a text; adds the text if it is new.
    pub(crate) fn intern(&mut self, text: Option<&str>) -> u32 {
        let Some(text) = text else { return NO_TEXT };
        let hash = match self.slot(text) {
            (_, Some(id)) => return id,
            (hash, None) => hash,
        };
        let (Ok(length), Ok(id)) =
            (u32::try_from(text.len()), u32::try_from(self.positions.len() + 1))
        else {
            return NO_TEXT;
        };
        self.positions.push((self.arena.len(), length));
        self.arena.push_str(text);
        self.ids.insert(hash, id);
        id
    }

    /// Returns the ID of a text; [`NO_TEXT`] if it is not known.
    pub(crate) fn find(&self, text: &str) -> u32 {
        self.slot(text).1.unwrap_or(NO_TEXT)
    }

    /// Returns the key of a text in `ids`, and its ID if it is known. The key is its hash, or the next one that no other
    /// text has.
    fn slot(&self, text: &str) -> (u64, Option<u32>) {
        let mut hash = xxh3_64(text.as_bytes());
        loop {
            match self.ids.get(&hash) {
                Some(id) if self.get(*id) == Some(text) => return (hash, Some(*id)),
                Some(_) => hash = hash.wrapping_add(1),
                None => return (hash, None),
            }
        }
    }

    /// Returns the text with an ID.
    pub(crate) fn get(&self, id: u32) -> Option<&str> {
        let (start, length) = *self.positions.get((id as usize).checked_sub(1)?)?;
        self.arena.get(start..start + length as usize)
    }

    /// Returns the ID of the greater of two texts; a missing text is the smallest.
    pub(crate) fn max(&self, one: u32, other: u32) -> u32 {
        if one == other || self.get(one) >= self.get(other) { one } else { other }
    }

    /// Number of texts.
    pub(crate) fn len(&self) -> usize {
        self.positions.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_the_same_id() {
        let mut interner = StringInterner::default();
        let ids = [Some("b"), None, Some("a"), Some("b"), Some("")].map(|one| interner.intern(one));
        assert_eq!(ids, [1, NO_TEXT, 2, 1, 3]);
        assert_eq!(
            ids.map(|id| interner.get(id)),
            [Some("b"), None, Some("a"), Some("b"), Some("")]
        );
        assert_eq!((interner.max(1, 2), interner.max(2, 1), interner.max(NO_TEXT, 3)), (1, 1, 3));
        assert_eq!(interner.len(), 3);
        assert_eq!(["a", "c", ""].map(|text| interner.find(text)), [2, NO_TEXT, 3]);
    }

    #[test]
    fn texts_with_the_same_hash_have_different_ids() {
        let mut interner = StringInterner::default();
        let (first, other) = (interner.intern(Some("a")), interner.intern(Some("b")));
        // as if "c" had the hash of "a", and the one after it were that of "b"
        let hash = xxh3_64(b"c");
        interner.ids.extend([(hash, first), (hash.wrapping_add(1), other)]);
        let id = interner.intern(Some("c"));
        assert_eq!([id, interner.intern(Some("c")), interner.find("c")], [3, 3, 3]);
        assert_eq!(["a", "b"].map(|text| interner.find(text)), [first, other]);
    }
}
