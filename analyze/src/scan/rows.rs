//! Rows, held tightly, and the copies among them merged: the earliest time, of each word the greatest that is known, so that
//! order makes no difference. Copies become one event here and nowhere else (invariant I-5). No polars.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use xxhash_rust::xxh3::xxh3_64;

use crate::scan::keys::{Bits, KeyHasher};

/// The number of no text.
pub(super) const NOTHING: u32 = 0;

/// Texts, equal ones once, each with a number.
#[derive(Debug, Default)]
pub(super) struct Texts {
    arena: String,
    /// Where the text begins that has the place's number less one, and its length.
    places: Vec<(usize, u32)>,
    known: HashMap<u64, u32, BuildHasherDefault<KeyHasher>>,
}

impl Texts {
    /// The number of a text.
    pub(super) fn number(&mut self, text: Option<&str>) -> u32 {
        let Some(text) = text else { return NOTHING };
        let hash = xxh3_64(text.as_bytes());
        if let Some(number) = self.known.get(&hash)
            && self.get(*number) == Some(text)
        {
            return *number;
        }
        let (Ok(length), Ok(number)) =
            (u32::try_from(text.len()), u32::try_from(self.places.len() + 1))
        else {
            return NOTHING;
        };
        self.places.push((self.arena.len(), length));
        self.arena.push_str(text);
        self.known.insert(hash, number);
        number
    }

    /// The text of a number.
    pub(super) fn get(&self, number: u32) -> Option<&str> {
        let (start, length) = *self.places.get((number as usize).checked_sub(1)?)?;
        self.arena.get(start..start + length as usize)
    }

    /// The greater one of two texts.
    pub(super) fn greater(&self, one: u32, other: u32) -> u32 {
        if one == other || self.get(one) >= self.get(other) { one } else { other }
    }
}

/// What a row has beside its texts.
pub(super) trait Fixed: Copy {
    /// By which copies are known: message and event.
    fn keys(&self) -> (u64, u64);

    /// Takes what a copy knows.
    fn merge(&mut self, copy: Self);
}

/// Rows, each with so many texts.
#[derive(Debug)]
pub(super) struct Rows<F> {
    width: usize,
    fixed: Vec<F>,
    numbers: Vec<u32>,
    texts: Texts,
}

impl<F: Fixed> Rows<F> {
    pub(super) fn new(width: usize) -> Self {
        Self::with_capacity(width, 0)
    }

    /// With room for some rows.
    pub(super) fn with_capacity(width: usize, rows: usize) -> Self {
        let (fixed, numbers) = (Vec::with_capacity(rows), Vec::with_capacity(rows * width));
        Self { width, fixed, numbers, texts: Texts::default() }
    }

    /// Adds rows with the columns of their texts.
    pub(super) fn extend<'t>(
        &mut self,
        fixed: impl Iterator<Item = F>,
        columns: impl Iterator<Item = impl Iterator<Item = Option<&'t str>>>,
    ) {
        let (rows, begin) = (self.fixed.len(), self.numbers.len());
        self.fixed.extend(fixed);
        self.numbers.resize(begin + (self.fixed.len() - rows) * self.width, NOTHING);
        for (at, column) in columns.enumerate() {
            let mut last = (None, NOTHING);
            let own = self.numbers[begin..].iter_mut().skip(at).step_by(self.width);
            for (number, text) in own.zip(column) {
                if last.0 != text {
                    last = (text, self.texts.number(text));
                }
                *number = last.1;
            }
        }
    }

    /// Adds those rows of others that are wanted.
    pub(super) fn extend_from(&mut self, others: &Self, is_wanted: impl Fn(&F) -> bool) {
        // our numbers of their texts, as far as they were asked for
        let mut known = vec![NOTHING; others.texts.places.len() + 1];
        for (fixed, numbers) in others.rows().filter(|(fixed, _)| is_wanted(fixed)) {
            self.fixed.push(*fixed);
            for number in numbers {
                let own = &mut known[*number as usize];
                if *own == NOTHING {
                    *own = self.texts.number(others.text(*number));
                }
                self.numbers.push(*own);
            }
        }
    }

    /// The text of a number.
    pub(super) fn text(&self, number: u32) -> Option<&str> {
        self.texts.get(number)
    }

    /// The texts.
    pub(super) fn texts(&self) -> &Texts {
        &self.texts
    }

    /// All rows, copies too, each with the numbers of its texts.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&F, &[u32])> {
        (0..self.fixed.len()).map(|row| self.row(row))
    }

    fn row(&self, row: usize) -> (&F, &[u32]) {
        (&self.fixed[row], &self.numbers[row * self.width..][..self.width])
    }

    /// Hands on each event, its copies merged, with the numbers of its texts, in no order that means anything.
    pub(super) fn events(&self, mut each: impl FnMut(F, &[u32])) {
        let bits = Bits::of(self.fixed.iter().map(F::keys));
        // asked of all rows at once, because memory answers many questions as fast as one
        let may_be_twice: Vec<bool> =
            self.fixed.iter().map(|fixed| bits.may_be_twice(fixed.keys())).collect();
        drop(bits);
        let mut order = Vec::new();
        for (row, may_be_twice) in may_be_twice.into_iter().enumerate() {
            let (fixed, numbers) = self.row(row);
            if may_be_twice {
                order.push((fixed.keys(), row));
            } else {
                each(*fixed, numbers);
            }
        }
        order.sort_unstable();
        let mut numbers = Vec::new();
        for copies in order.chunk_by(|(one, _), (other, _)| one == other) {
            let mut copies = copies.iter().map(|(_, row)| self.row(*row));
            let Some((first, of_first)) = copies.next() else { continue };
            let mut fixed = *first;
            numbers.clear();
            numbers.extend_from_slice(of_first);
            for (copy, others) in copies {
                fixed.merge(*copy);
                for (number, other) in numbers.iter_mut().zip(others) {
                    *number = self.texts.greater(*number, *other);
                }
            }
            each(fixed, &numbers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Message, event, time.
    type Three = (u64, u64, i64);

    impl Fixed for Three {
        fn keys(&self) -> (u64, u64) {
            (self.0, self.1)
        }

        fn merge(&mut self, copy: Self) {
            self.2 = self.2.min(copy.2);
        }
    }

    type Row<'t> = (Three, [Option<&'t str>; 2]);

    fn rows(rows: &[Row<'_>]) -> Rows<Three> {
        let mut all = Rows::new(2);
        // in two parts, so that the second one finds texts of the first
        for part in rows.chunks(2) {
            let column = |at: usize| part.iter().map(move |(_, texts)| texts[at]);
            all.extend(part.iter().map(|(fixed, _)| *fixed), [column(0), column(1)].into_iter());
        }
        all
    }

    fn told(rows: &Rows<Three>) -> Vec<(Three, Vec<Option<String>>)> {
        let mut told = Vec::new();
        rows.events(|fixed, numbers| {
            let texts = numbers.iter().map(|number| rows.text(*number).map(str::to_owned));
            told.push((fixed, texts.collect()));
        });
        told.sort_unstable();
        told
    }

    #[test]
    fn copies_are_one_whatever_their_order() {
        let mut all = [
            ((1, 1, 20), [Some("b"), None]),
            ((1, 1, 10), [Some("a"), Some("")]),
            ((1, 2, 15), [None, None]),
            ((1, 1, 30), [None, Some("x")]),
            ((2, 1, 5), [Some("a"), Some("x")]),
            // the other way round it is another event
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
            assert_eq!(told(&rows(&all)), expected);
        }
        assert_eq!(told(&rows(&[])), []);
    }

    #[test]
    fn rows_of_others_keep_their_texts() {
        let others = rows(&[((1, 1, 1), [Some("a"), None]), ((2, 1, 1), [Some("b"), Some("a")])]);
        let mut all = rows(&[((3, 1, 1), [Some("b"), Some("c")])]);
        all.extend_from(&others, |fixed| fixed.0 == 2);
        let texts: Vec<_> = told(&all).into_iter().map(|(_, texts)| texts).collect();
        let own = |texts: [&str; 2]| texts.map(|text| Some(text.to_owned())).to_vec();
        assert_eq!(texts, [own(["b", "a"]), own(["b", "c"])]);
    }
}
