//! Values of polars columns, row by row.

use polars::prelude::*;

use crate::scan::string_interner::{NO_TEXT, StringInterner};

/// Number of texts of an array that are found without reading them again.
const RECENT_TEXTS: usize = 256;
/// A view that no text has: its first bytes are not UTF-8.
const NO_VIEW: u128 = u128::MAX;

/// Calls `each` with the ID of the text of each row. Most texts are found by their view, which is their bytes or their
/// position: polars decodes each text of a Parquet dictionary once.
pub(super) fn intern_texts(
    column: &StringChunked,
    texts: &mut StringInterner,
    mut each: impl FnMut(u32),
) {
    for (array, validity) in column.downcast_iter().zip(column.iter_validities()) {
        let mut recent = [(NO_VIEW, NO_TEXT); RECENT_TEXTS];
        for (row, view) in array.views().iter().enumerate() {
            if validity.is_some_and(|validity| !validity.get_bit(row)) {
                each(NO_TEXT);
                continue;
            }
            let view = view.as_u128();
            let known = &mut recent[slot_of(view)];
            if known.0 != view {
                *known = (view, texts.intern(Some(array.value(row))));
            }
            each(known.1);
        }
    }
}

/// Returns the slot of a view.
#[expect(clippy::cast_possible_truncation, reason = "all bits contribute")]
fn slot_of(view: u128) -> usize {
    let folded = view as u64 ^ (view >> 64) as u64;
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % RECENT_TEXTS
}

/// Returns the numbers of a column; `missing` if there is none.
pub(super) fn numbers(column: &Int64Chunked, missing: i64) -> Vec<i64> {
    let mut numbers = Vec::with_capacity(column.len());
    for array in column.downcast_iter() {
        match array.validity() {
            None => numbers.extend_from_slice(array.values()),
            Some(validity) => {
                let of_array = array.values().iter().zip(validity);
                numbers.extend(
                    of_array.map(|(value, is_valid)| if is_valid { *value } else { missing }),
                );
            }
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_each_length_and_chunk_have_the_ids_of_the_interner() {
        let long = "a text of more than twelve bytes";
        // more texts than slots, so that some share one
        let many: Vec<String> =
            (0..5 * RECENT_TEXTS).map(|number| format!("{long} {number}")).collect();
        let mut values = vec![Some(""), None, Some("a"), Some(long), Some(""), Some("a"), None];
        values.extend(many.iter().chain(many.iter().rev()).map(|text| Some(text.as_str())));
        let mut column = StringChunked::new("text".into(), values.as_slice());
        column.append(&StringChunked::new("text".into(), values.as_slice())).unwrap();
        let expected: Vec<Option<&str>> = values.iter().chain(&values).copied().collect();
        for start in [0, 3] {
            let column = column.slice(i64::try_from(start).unwrap(), column.len() - start);
            let (mut texts, mut ids) = (StringInterner::default(), Vec::new());
            intern_texts(&column, &mut texts, |id| ids.push(id));
            let found: Vec<Option<&str>> = ids.iter().map(|id| texts.get(*id)).collect();
            assert_eq!(found, expected[start..]);
        }
    }

    #[test]
    fn missing_numbers_have_the_given_value() {
        let column = Int64Chunked::new("number".into(), [Some(1), None, Some(3)].as_slice());
        assert_eq!(numbers(&column, -1), [1, -1, 3]);
        assert_eq!(numbers(&column.slice(2, 1), -1), [3]);
    }
}
