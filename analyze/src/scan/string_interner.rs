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
        let hash = xxh3_64(text.as_bytes());
        if let Some(id) = self.ids.get(&hash)
            && self.get(*id) == Some(text)
        {
            return *id;
        }
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
        let id = self.ids.get(&xxh3_64(text.as_bytes())).copied().unwrap_or(NO_TEXT);
        if self.get(id) == Some(text) { id } else { NO_TEXT }
    }

    /// Returns the text with an ID.
    pub(crate) fn get(&self, id: u32) -> Option<&str> {
        let (start, length) = *self.positions.get((id as usize).checked_sub(1)?)?;
        self.arena.get(start..start + length as usize)
    }

    /// Returns the ID of the greater of two texts; a missing text is the smallest.
    pub(super) fn max(&self, one: u32, other: u32) -> u32 {
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
}
