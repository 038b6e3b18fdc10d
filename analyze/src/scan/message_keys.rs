//! Sets of message keys, and rows filtered by them.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use bouncewatch_schemas::table;
use polars::prelude::*;

use crate::scan::frames::filter_before_decoding;

/// Hasher that returns the key itself: message and event keys are hashes already.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
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

/// Keys of messages.
pub(super) type MessageKeys = HashSet<u64, BuildHasherDefault<IdentityHasher>>;

/// Returns the rows of these messages.
pub(super) fn rows_of_messages(rows: LazyFrame, messages: Arc<MessageKeys>) -> LazyFrame {
    let is_match = move |column: Column| {
        let keys = column.i64()?.iter();
        let is_match =
            keys.map(|key| key.is_some_and(|key| messages.contains(&key.cast_unsigned())));
        Ok(BooleanChunked::from_iter_values(column.name().clone(), is_match).into_column())
    };
    let boolean = |_: &Schema, field: &Field| Ok(Field::new(field.name.clone(), DataType::Boolean));
    filter_before_decoding(rows, col(table::MESSAGE_KEY).map(is_match, boolean))
}
