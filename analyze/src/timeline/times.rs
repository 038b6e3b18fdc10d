//! Times of events in order, of which whole days may be known by their number alone. Pure.
//!
//! A window is exact to the millisecond, but only the days in which it begins and ends have to be known one by one;
//! of the days between them a number is enough. So a question about much history holds little of it.

use std::collections::BTreeMap;

use bouncewatch_schemas::time::{DAY_MS, day_of};

/// Times of events, epoch milliseconds, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times {
    days: Vec<Day>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Day {
    number: i64,
    /// How many times lie before this day.
    before: u64,
    times: OfDay,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum OfDay {
    /// Milliseconds since the day began, in order: four bytes an event.
    Each(Vec<u32>),
    Number(u64),
}

/// Where an attempt lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Located {
    /// At this time.
    At(i64),
    /// Somewhere in this day, of which only the number is known.
    In(i64),
}

impl OfDay {
    fn number(&self) -> u64 {
        match self {
            Self::Each(times) => times.len() as u64,
            Self::Number(number) => *number,
        }
    }
}

impl Times {
    /// No times.
    pub const fn new() -> Self {
        Self { days: Vec::new() }
    }

    /// How many times lie at or before `to`.
    ///
    /// # Panics
    /// If `to` lies within a day of which only the number is known: there is no right answer.
    pub fn upto(&self, to: i64) -> u64 {
        let day = day_of(to);
        let at = self.days.partition_point(|one| one.number < day);
        match self.days.get(at) {
            None => self.number(),
            Some(one) if one.number > day => one.before,
            Some(one) => {
                let within = within_day(to);
                let inside = match &one.times {
                    OfDay::Each(times) => times.partition_point(|time| *time <= within) as u64,
                    OfDay::Number(number) => {
                        assert!(
                            i64::from(within) == DAY_MS - 1,
                            "day {day} is known by its number alone, and {to} lies within it"
                        );
                        *number
                    }
                };
                one.before + inside
            }
        }
    }

    /// How many times lie in `(after, to]`.
    pub fn between(&self, after: i64, to: i64) -> u64 {
        self.upto(to).saturating_sub(self.upto(after))
    }

    /// How many there are.
    pub fn number(&self) -> u64 {
        self.days.last().map_or(0, |last| last.before + last.times.number())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.days.is_empty()
    }

    /// The n-th last time at or before `to`; the first, where there are fewer; none, where there are none.
    pub fn nth_last(&self, n: u64, to: i64) -> Option<Located> {
        let until = self.upto(to);
        if until == 0 {
            return None;
        }
        let wanted = until.saturating_sub(n);
        let at = self.days.partition_point(|one| one.before <= wanted).checked_sub(1)?;
        let one = self.days.get(at)?;
        Some(match &one.times {
            OfDay::Number(_) => Located::In(one.number),
            OfDay::Each(times) => {
                let within = times.get(usize::try_from(wanted - one.before).ok()?)?;
                Located::At(one.number * DAY_MS + i64::from(*within))
            }
        })
    }
}

/// Milliseconds since the day of a time began.
pub(crate) fn within_day(time: i64) -> u32 {
    u32::try_from(time.rem_euclid(DAY_MS)).expect("a day has fewer milliseconds")
}

impl FromIterator<i64> for Times {
    fn from_iter<I: IntoIterator<Item = i64>>(times: I) -> Self {
        let mut gathering = Gathering::default();
        for time in times {
            gathering.add(day_of(time), &[within_day(time)], &[]);
        }
        gathering.finish()
    }
}

/// Times that come day by day, in any order, some of them to be taken away again.
#[derive(Debug, Default)]
pub struct Gathering {
    days: BTreeMap<i64, Parts>,
}

#[derive(Debug, Default)]
struct Parts {
    plus: Vec<u32>,
    minus: Vec<u32>,
    plus_number: u64,
    minus_number: u64,
}

impl Gathering {
    /// Adds times of a day, in milliseconds since it began, and takes others away.
    pub fn add(&mut self, day: i64, plus: &[u32], minus: &[u32]) {
        let parts = self.days.entry(day).or_default();
        parts.plus.extend_from_slice(plus);
        parts.minus.extend_from_slice(minus);
    }

    /// The same of a day of which the numbers are enough; of one day, either this or [`Gathering::add`].
    pub fn add_numbers(&mut self, day: i64, plus: u64, minus: u64) {
        let parts = self.days.entry(day).or_default();
        parts.plus_number += plus;
        parts.minus_number += minus;
    }

    /// The times that are left.
    pub fn finish(self) -> Times {
        let mut days = Vec::with_capacity(self.days.len());
        let mut before = 0;
        for (day, parts) in self.days {
            let number = parts.plus_number.saturating_sub(parts.minus_number);
            let times = if number > 0 {
                OfDay::Number(number)
            } else {
                OfDay::Each(left(parts.plus, parts.minus))
            };
            let count = times.number();
            if count > 0 {
                days.push(Day { number: day, before, times });
                before += count;
            }
        }
        Times { days }
    }
}

/// What is left of some times of a day, in order, when others are taken away, each once.
pub(crate) fn left(mut plus: Vec<u32>, mut minus: Vec<u32>) -> Vec<u32> {
    sort(&mut plus);
    if minus.is_empty() {
        return plus;
    }
    sort(&mut minus);
    let mut taken = minus.into_iter().peekable();
    plus.retain(|one| {
        while taken.next_if(|minus| minus < one).is_some() {}
        taken.next_if_eq(one).is_none()
    });
    plus
}

/// Bits by which numbers are put in order at a time; three times that is more than a number has.
const DIGIT_BITS: u32 = 11;
const DIGITS: usize = 1 << DIGIT_BITS;

/// Sorts numbers: many of them digit by digit, which takes a fraction of the time that comparing them would. What was
/// kept is in order already.
fn sort(numbers: &mut Vec<u32>) {
    if numbers.is_sorted() {
        return;
    }
    if numbers.len() < DIGITS {
        numbers.sort_unstable();
        return;
    }
    let mut sorted = vec![0; numbers.len()];
    for shift in [0, DIGIT_BITS, 2 * DIGIT_BITS] {
        let digit = |number: u32| (number >> shift) as usize % DIGITS;
        let mut places = [0; DIGITS];
        for number in &*numbers {
            places[digit(*number)] += 1;
        }
        let mut next = 0;
        for place in &mut places {
            next += std::mem::replace(place, next);
        }
        for number in &*numbers {
            let place = &mut places[digit(*number)];
            sorted[*place] = *number;
            *place += 1;
        }
        std::mem::swap(numbers, &mut sorted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_away_is_gone_once() {
        let mut gathering = Gathering::default();
        gathering.add(1, &[5, 3, 5], &[]);
        gathering.add(1, &[9], &[5, 4]);
        gathering.add_numbers(0, 4, 1);
        gathering.add_numbers(2, 1, 1);
        let times = gathering.finish();
        assert_eq!(times.number(), 6);
        assert_eq!(times.between(DAY_MS - 1, DAY_MS + 5), 2);
        assert_eq!(times.upto(DAY_MS - 1), 3);
        assert_eq!(times.nth_last(3, i64::MAX), Some(Located::At(DAY_MS + 3)));
        assert_eq!(times.nth_last(4, i64::MAX), Some(Located::In(0)));
        assert_eq!(times.nth_last(100, i64::MAX), Some(Located::In(0)));
        assert_eq!(times.nth_last(1, -1), None);
    }

    #[test]
    #[should_panic(expected = "known by its number alone")]
    fn nobody_guesses_within_a_day() {
        let mut gathering = Gathering::default();
        gathering.add_numbers(0, 4, 0);
        gathering.finish().upto(7);
    }

    proptest::proptest! {
        #[test]
        fn many_numbers_are_sorted_as_few_are(
            numbers in proptest::collection::vec(0..=u32::MAX, DIGITS - 2..DIGITS + 2),
            shift in 0..32,
        ) {
            // all sizes of numbers
            let mut numbers: Vec<u32> = numbers.into_iter().map(|number| number >> shift).collect();
            let mut expected = numbers.clone();
            expected.sort_unstable();
            sort(&mut numbers);
            proptest::prop_assert_eq!(numbers, expected);
        }

        #[test]
        fn positions_equal_a_brute_force_count(
            times in proptest::collection::vec(-3 * DAY_MS..3 * DAY_MS, 0..60),
            to in -4 * DAY_MS..4 * DAY_MS,
            n in 1usize..70,
        ) {
            let got: Times = times.iter().copied().collect();
            let mut until: Vec<i64> = times.into_iter().filter(|time| *time <= to).collect();
            until.sort_unstable();
            proptest::prop_assert_eq!(got.upto(to), until.len() as u64);
            let expected = until.get(until.len().saturating_sub(n)).map(|time| Located::At(*time));
            proptest::prop_assert_eq!(got.nth_last(n as u64, to), expected);
        }
    }
}
