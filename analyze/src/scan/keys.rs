//! Keys of messages and events. They are hashes already, so that nothing hashes them again.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use bouncewatch_schemas::table;
use polars::prelude::*;

/// Takes a key as it is.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = self.0.rotate_left(32) ^ key;
    }
}

/// Some messages.
pub(super) type Keys = HashSet<u64, BuildHasherDefault<KeyHasher>>;

/// The rows of some messages. A scan looks at their keys first, and reads the rest of these rows alone; a further filter
/// comes after it, because the scan would read its columns of all rows.
pub(super) fn of_messages(rows: LazyFrame, messages: Arc<Keys>) -> LazyFrame {
    let is_one = move |column: Column| {
        let keys = column.u64()?.iter();
        let is_one = keys.map(|key| key.is_some_and(|key| messages.contains(&key)));
        Ok(BooleanChunked::from_iter_values(column.name().clone(), is_one).into_column())
    };
    let boolean = |_: &Schema, field: &Field| Ok(Field::new(field.name.clone(), DataType::Boolean));
    let through = AllowedOptimizations::PROJECTION_PUSHDOWN | AllowedOptimizations::STREAMING;
    rows.filter(col(table::MESSAGE_KEY).map(is_one, boolean)).map(Ok, through, None, None)
}

/// Bits that keys set, so that those that may be there twice are found without a set of all.
pub(super) struct Bits {
    /// What some key has set, and what some further key has set; side by side, because both are asked together.
    words: Vec<[u64; 2]>,
}

impl Bits {
    /// Few of so many keys share a bit by chance.
    const FOR_A_KEY: usize = 16;

    pub(super) fn of(keys: impl ExactSizeIterator<Item = (u64, u64)>) -> Self {
        let words = (keys.len() * Self::FOR_A_KEY / 64).next_power_of_two();
        let mut bits = Self { words: vec![[0; 2]; words] };
        for key in keys {
            let (word, bit) = bits.place(key);
            let [seen, twice] = &mut bits.words[word];
            *twice |= *seen & bit;
            *seen |= bit;
        }
        bits
    }

    /// Whether a key may be there more than once.
    pub(super) fn may_be_twice(&self, key: (u64, u64)) -> bool {
        let (word, bit) = self.place(key);
        self.words[word][1] & bit != 0
    }

    fn place(&self, (message, event): (u64, u64)) -> (usize, u64) {
        let key = message ^ event.rotate_left(32);
        let word = (key / 64) & (self.words.len() as u64 - 1);
        (usize::try_from(word).expect("it is below a length"), 1 << (key % 64))
    }
}
