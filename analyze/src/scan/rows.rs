//! Rows of failures, held tightly, and copies among them merged: the earliest time, of each word the greatest that is
//! known. No polars.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64;

/// A text in the arena; nothing where its length is [`NOTHING`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    start: usize,
    length: u32,
}

const NOTHING: u32 = u32::MAX;

/// Texts, equal ones once.
#[derive(Debug, Default)]
struct Texts {
    arena: String,
    known: HashMap<u64, Place>,
}

impl Texts {
    fn add(&mut self, text: Option<&str>) -> Place {
        let nothing = Place { start: 0, length: NOTHING };
        let Some(text) = text else { return nothing };
        let hash = xxh3_64(text.as_bytes());
        if let Some(place) = self.known.get(&hash)
            && self.get(*place) == Some(text)
        {
            return *place;
        }
        let Ok(length) = u32::try_from(text.len()) else { return nothing };
        let place = Place { start: self.arena.len(), length };
        self.arena.push_str(text);
        self.known.insert(hash, place);
        place
    }

    fn get(&self, place: Place) -> Option<&str> {
        let end = place.start.checked_add(place.length as usize)?;
        if place.length == NOTHING { None } else { self.arena.get(place.start..end) }
    }
}

/// What a row has beside its texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fixed {
    pub(super) message: u64,
    pub(super) event: u64,
    pub(super) at: i64,
    /// `i64::MIN` where nobody knows it.
    pub(super) sent_at: i64,
    pub(super) outcome: i32,
    pub(super) code: Option<i32>,
}

impl Fixed {
    fn merge(&mut self, copy: Self) {
        self.at = self.at.min(copy.at);
        self.sent_at = self.sent_at.min(copy.sent_at);
        self.outcome = self.outcome.max(copy.outcome);
        self.code = self.code.max(copy.code);
    }
}

/// Rows, each with so many texts.
#[derive(Debug)]
pub(super) struct Rows {
    width: usize,
    fixed: Vec<Fixed>,
    places: Vec<Place>,
    texts: Texts,
}

impl Rows {
    pub(super) fn new(width: usize) -> Self {
        Self { width, fixed: Vec::new(), places: Vec::new(), texts: Texts::default() }
    }

    /// Adds a row.
    pub(super) fn add<'t>(&mut self, fixed: Fixed, texts: impl Iterator<Item = Option<&'t str>>) {
        self.fixed.push(fixed);
        for text in texts {
            self.places.push(self.texts.add(text));
        }
        debug_assert_eq!(self.places.len(), self.fixed.len() * self.width);
    }

    /// Hands on each event, its copies merged, with its texts, in no order that means anything.
    pub(super) fn events(&self, mut each: impl FnMut(Fixed, &[Option<&str>])) {
        let mut order: Vec<usize> = (0..self.fixed.len()).collect();
        let key = |row: &usize| self.fixed.get(*row).map(|fixed| (fixed.message, fixed.event));
        order.sort_unstable_by_key(key);
        let mut merged: Vec<Option<&str>> = vec![None; self.width];
        for copies in order.chunk_by(|a, b| key(a) == key(b)) {
            let mut rows = copies.iter().filter_map(|row| Some((*row, *self.fixed.get(*row)?)));
            let Some((first, mut fixed)) = rows.next() else { continue };
            for (text, own) in merged.iter_mut().zip(self.row(first)) {
                *text = own;
            }
            for (row, copy) in rows {
                fixed.merge(copy);
                for (text, own) in merged.iter_mut().zip(self.row(row)) {
                    *text = (*text).max(own);
                }
            }
            each(fixed, &merged);
        }
    }

    fn row(&self, row: usize) -> impl Iterator<Item = Option<&str>> {
        let places = self.places.chunks_exact(self.width.max(1)).nth(row).unwrap_or_default();
        places.iter().map(|place| self.texts.get(*place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Told = (u64, i64, i32, Option<i32>, Vec<Option<String>>);

    /// Message, event, time, outcome, code, texts.
    type Row<'t> = (u64, u64, i64, i32, Option<i32>, [Option<&'t str>; 2]);

    fn told(rows: &[Row<'_>]) -> Vec<Told> {
        let mut all = Rows::new(2);
        for (message, event, at, outcome, code, texts) in rows.iter().copied() {
            let fixed = Fixed { message, event, at, sent_at: 0, outcome, code };
            all.add(fixed, texts.into_iter());
        }
        let mut told = Vec::new();
        all.events(|fixed, texts| {
            let texts = texts.iter().map(|text| text.map(str::to_owned)).collect();
            told.push((fixed.message, fixed.at, fixed.outcome, fixed.code, texts));
        });
        told
    }

    #[test]
    fn copies_are_one_whatever_their_order() {
        let rows = [
            (1, 1, 20, 30, None, [Some("b"), None]),
            (1, 1, 10, 37, Some(550), [Some("a"), Some("")]),
            (1, 2, 15, 33, Some(450), [None, None]),
            (1, 1, 30, 33, Some(421), [None, Some("x")]),
            (2, 1, 5, 33, None, [Some("a"), Some("x")]),
        ];
        let owned = |texts: [Option<&str>; 2]| texts.map(|text| text.map(str::to_owned)).to_vec();
        let expected = [
            (1, 10, 37, Some(550), owned([Some("b"), Some("x")])),
            (1, 15, 33, Some(450), owned([None, None])),
            (2, 5, 33, None, owned([Some("a"), Some("x")])),
        ];
        assert_eq!(told(&rows), expected);
        let mut reversed = rows;
        reversed.reverse();
        assert_eq!(told(&reversed), expected);
        assert_eq!(told(&[]), []);
    }
}
