//! Rows in compact form, and the merging of copies. An event has the earliest time and the greatest
//! known value of each text of its copies, so their order does not matter. Copies are merged only
//! here (invariant I-5). No polars.

use crate::scan::duplicate_filter::DuplicateFilter;
use crate::scan::string_interner::{NO_TEXT, StringInterner};

/// Fixed-size fields of a row.
pub(super) trait RowFields: Copy {
    /// Returns message key and event key, which are equal for copies of an event.
    fn keys(&self) -> (u64, u64);

    /// Merges the fields of a copy.
    fn merge(&mut self, copy: Self);
}

/// Rows with fixed-size fields and a constant number of interned texts per row.
#[derive(Debug)]
pub(super) struct EventRows<F> {
    /// Texts per row.
    width: usize,
    fields: Vec<F>,
    /// IDs of the texts, row by row.
    ids: Vec<u32>,
    texts: StringInterner,
}

impl<F: RowFields> EventRows<F> {
    /// Returns an empty collection of rows with `width` texts each.
    pub(super) fn new(width: usize) -> Self {
        Self::with_capacity(width, 0)
    }

    /// Returns an empty collection with memory for `rows` rows.
    pub(super) fn with_capacity(width: usize, rows: usize) -> Self {
        let (fields, ids) = (Vec::with_capacity(rows), Vec::with_capacity(rows * width));
        Self { width, fields, ids, texts: StringInterner::default() }
    }

    /// Adds rows. Calls `ids` with the index of each text column and the interner of the rows;
    /// `ids` returns the ID of each row's text.
    pub(super) fn extend(
        &mut self,
        fields: impl Iterator<Item = F>,
        mut ids: impl FnMut(usize, &mut StringInterner) -> Vec<u32>,
    ) {
        let (rows, start) = (self.fields.len(), self.ids.len());
        self.fields.extend(fields);
        self.ids.resize(start + (self.fields.len() - rows) * self.width, NO_TEXT);
        for column in 0..self.width {
            let of_column = ids(column, &mut self.texts);
            for (row, id) in self.ids[start..].chunks_exact_mut(self.width).zip(of_column) {
                row[column] = id;
            }
        }
    }

    /// Adds the rows of `other` for which `is_wanted` is true.
    pub(super) fn append(&mut self, other: &Self, mut is_wanted: impl FnMut(&F) -> bool) {
        self.append_rows(other, |fields, _| is_wanted(fields));
    }

    /// Adds the rows of `other` for which `is_wanted` is true, given their fields and the IDs of their texts.
    pub(super) fn append_rows(
        &mut self,
        other: &Self,
        mut is_wanted: impl FnMut(&F, &[u32]) -> bool,
    ) {
        // own IDs by ID in `other`
        let mut own_ids = vec![NO_TEXT; other.texts.len() + 1];
        for (fields, ids) in other.rows().filter(|(fields, ids)| is_wanted(fields, ids)) {
            self.fields.push(*fields);
            for id in ids {
                let own = &mut own_ids[*id as usize];
                if *own == NO_TEXT {
                    *own = self.texts.intern(other.text(*id));
                }
                self.ids.push(*own);
            }
        }
    }

    /// Returns the number of rows.
    pub(super) fn len(&self) -> u64 {
        self.fields.len() as u64
    }

    /// Returns the text with an ID.
    pub(super) fn text(&self, id: u32) -> Option<&str> {
        self.texts.get(id)
    }

    /// Returns the texts.
    pub(super) fn texts(&self) -> &StringInterner {
        &self.texts
    }

    /// Returns all rows, copies included, each with the IDs of its texts.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&F, &[u32])> {
        (0..self.fields.len()).map(|row| self.row(row))
    }

    fn row(&self, row: usize) -> (&F, &[u32]) {
        (&self.fields[row], &self.ids[row * self.width..][..self.width])
    }

    /// Calls `each` with every event, its copies merged, and the IDs of its texts, in arbitrary order.
    pub(super) fn for_each_event(&self, mut each: impl FnMut(F, &[u32])) {
        let filter = DuplicateFilter::new(self.fields.iter().map(F::keys));
        // a separate pass, so that its independent memory reads overlap
        let may_be_duplicate: Vec<bool> =
            self.fields.iter().map(|fields| filter.may_be_duplicate(fields.keys())).collect();
        drop(filter);
        let mut candidates = Vec::new();
        for (row, may_be_duplicate) in may_be_duplicate.into_iter().enumerate() {
            let (fields, ids) = self.row(row);
            if may_be_duplicate {
                candidates.push((fields.keys(), row));
            } else {
                each(*fields, ids);
            }
        }
        candidates.sort_unstable();
        let mut merged_ids = Vec::new();
        for copies in candidates.chunk_by(|(one, _), (other, _)| one == other) {
            let mut copies = copies.iter().map(|(_, row)| self.row(*row));
            let Some((first, first_ids)) = copies.next() else { continue };
            let mut fields = *first;
            merged_ids.clear();
            merged_ids.extend_from_slice(first_ids);
            for (copy, ids) in copies {
                fields.merge(*copy);
                for (merged, id) in merged_ids.iter_mut().zip(ids) {
                    *merged = self.texts.max(*merged, *id);
                }
            }
            each(fields, &merged_ids);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Message, event, time.
    type TestFields = (u64, u64, i64);

    impl RowFields for TestFields {
        fn keys(&self) -> (u64, u64) {
            (self.0, self.1)
        }

        fn merge(&mut self, copy: Self) {
            self.2 = self.2.min(copy.2);
        }
    }

    type Row<'t> = (TestFields, [Option<&'t str>; 2]);

    fn rows(rows: &[Row<'_>]) -> EventRows<TestFields> {
        let mut all = EventRows::new(2);
        // in two steps, so that the second one finds texts of the first
        for chunk in rows.chunks(2) {
            let fields = chunk.iter().map(|(fields, _)| *fields);
            all.extend(fields, |column, interner| {
                chunk.iter().map(|(_, texts)| interner.intern(texts[column])).collect()
            });
        }
        all
    }

    fn events(rows: &EventRows<TestFields>) -> Vec<(TestFields, Vec<Option<String>>)> {
        let mut events = Vec::new();
        rows.for_each_event(|fields, ids| {
            let texts = ids.iter().map(|id| rows.text(*id).map(str::to_owned));
            events.push((fields, texts.collect()));
        });
        events.sort_unstable();
        events
    }

    #[test]
    fn copies_are_merged_in_any_order() {
        let mut all = [
            ((1, 1, 20), [Some("b"), None]),
            ((1, 1, 10), [Some("a"), Some("")]),
            ((1, 2, 15), [None, None]),
            ((1, 1, 30), [None, Some("x")]),
            ((2, 1, 5), [Some("a"), Some("x")]),
            // message and event key exchanged: another event
            ((2, 7, 6), [Some("a"), None]),
            ((7, 2, 6), [Some("a"), None]),
        ];
        let owned = |texts: [Option<&str>; 2]| texts.map(|text| text.map(str::to_owned)).to_vec();
        let expected = [
            ((1, 1, 10), owned([Some("b"), Some("x")])),
            ((1, 2, 15), owned([None, None])),
            ((2, 1, 5), owned([Some("a"), Some("x")])),
            ((2, 7, 6), owned([Some("a"), None])),
            ((7, 2, 6), owned([Some("a"), None])),
        ];
        for _ in 0..all.len() {
            all.rotate_left(1);
            assert_eq!(events(&rows(&all)), expected);
        }
        assert_eq!(events(&rows(&[])), []);
    }

    #[test]
    fn appended_rows_keep_their_texts() {
        let others = rows(&[((1, 1, 1), [Some("a"), None]), ((2, 1, 1), [Some("b"), Some("a")])]);
        let mut all = rows(&[((3, 1, 1), [Some("b"), Some("c")])]);
        all.append(&others, |fields| fields.0 == 2);
        let texts: Vec<_> = events(&all).into_iter().map(|(_, texts)| texts).collect();
        let own = |texts: [&str; 2]| texts.map(|text| Some(text.to_owned())).to_vec();
        assert_eq!(texts, [own(["b", "a"]), own(["b", "c"])]);
    }
}
