//! Values of polars columns.

use polars::prelude::*;

use crate::scan::string_interner::{NO_TEXT, StringInterner};

/// Number of slots in the cache of recently interned texts.
const CACHE_SLOTS: usize = 256;
/// A view that no text has: its bytes are not UTF-8.
const NO_VIEW: u128 = u128::MAX;

/// Returns the ID of the text of each row.
///
/// Caches IDs by view, which is the bytes of a short text or the position of a long one. Polars
/// decodes each text of a Parquet dictionary once, so equal texts usually have equal views.
pub(super) fn text_ids(column: &StringChunked, texts: &mut StringInterner) -> Vec<u32> {
    let mut ids = Vec::with_capacity(column.len());
    for (array, validity) in column.downcast_iter().zip(column.iter_validities()) {
        let mut cache = [(NO_VIEW, NO_TEXT); CACHE_SLOTS];
        ids.extend(array.views().iter().enumerate().map(|(row, view)| {
            if validity.is_some_and(|validity| !validity.get_bit(row)) {
                return NO_TEXT;
            }
            let view = view.as_u128();
            let known = &mut cache[slot_of(view)];
            if known.0 != view {
                *known = (view, texts.intern(Some(array.value(row))));
            }
            known.1
        }));
    }
    ids
}

/// Returns the cache slot of a view.
#[expect(clippy::cast_possible_truncation, reason = "all bits contribute")]
fn slot_of(view: u128) -> usize {
    let folded = view as u64 ^ (view >> 64) as u64;
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % CACHE_SLOTS
}

/// Returns the integer in each row; `missing` for null.
pub(super) fn integers(column: &Int64Chunked, missing: i64) -> PolarsResult<Vec<i64>> {
    Ok(column.fill_null_with_values(missing)?.into_no_null_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_each_length_and_chunk_have_the_ids_of_the_interner() {
        let long = "a text of more than twelve bytes";
        // more texts than slots, so that some share one
        let many: Vec<String> =
            (0..5 * CACHE_SLOTS).map(|number| format!("{long} {number}")).collect();
        let mut values = vec![Some(""), None, Some("a"), Some(long), Some(""), Some("a"), None];
        values.extend(many.iter().chain(many.iter().rev()).map(|text| Some(text.as_str())));
        let mut column = StringChunked::new("text".into(), values.as_slice());
        column.append(&StringChunked::new("text".into(), values.as_slice())).unwrap();
        let expected: Vec<Option<&str>> = values.iter().chain(&values).copied().collect();
        for start in [0, 3] {
            let column = column.slice(i64::try_from(start).unwrap(), column.len() - start);
            let mut texts = StringInterner::default();
            let ids = text_ids(&column, &mut texts);
            let found: Vec<Option<&str>> = ids.iter().map(|id| texts.get(*id)).collect();
            assert_eq!(found, expected[start..]);
        }
    }

    #[test]
    fn missing_numbers_have_the_given_value() {
        let column = Int64Chunked::new("number".into(), [Some(1), None, Some(3)].as_slice());
        assert_eq!(integers(&column, -1).unwrap(), [1, -1, 3]);
        assert_eq!(integers(&column.slice(2, 1), -1).unwrap(), [3]);
    }
}
