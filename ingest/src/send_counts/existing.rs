//! What the table of volumes holds, and what comes to it. Pure.

use std::collections::BTreeMap;

use bouncewatch_schemas::time::format_ms;
use bouncewatch_schemas::volume::{Volume, VolumeCounts, effective};

/// What became of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It was not there.
    New,
    /// It was there with other numbers.
    Changed,
    /// It was there.
    Unchanged,
}

/// Whether a point was complete when it was told.
pub(super) fn is_settled(point: &Volume) -> bool {
    point.end <= point.received_at
}

/// The points that are there, of each the row that holds, and those that this run adds.
#[derive(Debug, Default)]
pub(super) struct Room {
    points: BTreeMap<u64, Volume>,
    /// Of each series the points with mail: (begin, end) -> key.
    spans: BTreeMap<u64, BTreeMap<(i64, i64), u64>>,
    /// What was told in this run.
    told: BTreeMap<u64, VolumeCounts>,
    /// The rows that this run adds.
    changed: BTreeMap<u64, Volume>,
}

impl Room {
    /// A room with some rows.
    pub(super) fn new(rows: Vec<Volume>) -> Self {
        let mut room = Self::default();
        for point in effective(rows) {
            room.put(point);
        }
        room
    }

    fn put(&mut self, point: Volume) {
        let key = point.point_key();
        let spans = self.spans.entry(point.series_key()).or_default();
        let span = (point.begin, point.end);
        if point.counts.is_nothing() {
            spans.remove(&span);
        } else {
            spans.insert(span, key);
        }
        self.points.insert(key, point);
    }

    /// The point of a key.
    pub(super) fn point(&self, key: u64) -> Option<&Volume> {
        self.points.get(&key)
    }

    /// The points with mail of a series, in order.
    pub(super) fn series(&self, series: u64) -> impl DoubleEndedIterator<Item = &Volume> {
        let keys = self.spans.get(&series).into_iter().flat_map(BTreeMap::values);
        keys.filter_map(|key| self.points.get(key))
    }

    /// Takes a point; it is written only if it is new or differs, or was not complete when it was told before.
    pub(super) fn take(&mut self, point: Volume) -> Taken {
        let key = point.point_key();
        self.told.insert(key, point.counts);
        let taken = match self.points.get(&key) {
            None => Taken::New,
            Some(held) if !point.holds_over(held) => return Taken::Unchanged,
            Some(held) if held.counts != point.counts => Taken::Changed,
            Some(held) if is_settled(held) || !is_settled(&point) => return Taken::Unchanged,
            Some(_) => Taken::Unchanged,
        };
        self.changed.insert(key, point.clone());
        self.put(point);
        taken
    }

    /// Why a point of a file cannot be taken: the file tells it twice with other numbers, or a point with mail is there
    /// whose span overlaps it, so that its mails would count twice.
    pub(super) fn conflict(&self, point: &Volume) -> Option<String> {
        if self.told.get(&point.point_key()).is_some_and(|told| *told != point.counts) {
            return Some("a line before it tells other numbers for the same span and scope; is a column missing that tells them apart?".to_owned());
        }
        if point.counts.is_nothing() {
            return None;
        }
        let spans = self.spans.get(&point.series_key())?;
        // spans with mail do not overlap each other, so that the last one before the end is the one to look at
        let (span, _) = spans.range(..(point.end, i64::MIN)).next_back()?;
        let (begin, end) = *span;
        (end > point.begin && (begin, end) != (point.begin, point.end)).then(|| {
            let from = self.points.get(spans.get(span)?).map_or("", |held| held.origin.as_str());
            Some(format!(
                "its span overlaps one that is there for the same scope, {} to {} from `{from}`, whose mails would count twice; give spans that are alike, or leave this one out",
                format_ms(begin),
                format_ms(end),
            ))
        })?
    }

    /// The rows that have to be written.
    pub(super) fn into_changed(self) -> Vec<Volume> {
        self.changed.into_values().collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A point of an account.
    pub(in crate::send_counts) fn point(
        begin: i64,
        end: i64,
        attempts: i64,
        received_at: i64,
    ) -> Volume {
        Volume {
            begin,
            end,
            account: Some("123456789012".to_owned()),
            region: Some("eu-west-1".to_owned()),
            scope: BTreeMap::new(),
            counts: VolumeCounts { attempts, ..VolumeCounts::default() },
            received_at,
            origin: "a.csv".to_owned(),
        }
    }

    #[test]
    fn only_what_is_new_or_differs_is_written() {
        let mut room =
            Room::new(vec![point(0, 10, 5, 21), point(0, 10, 6, 22), point(10, 20, 1, 21)]);
        assert_eq!(room.take(point(0, 10, 6, 23)), Taken::Unchanged);
        assert_eq!(room.take(point(10, 20, 2, 23)), Taken::Changed);
        assert_eq!(room.take(point(20, 30, 2, 23)), Taken::New);
        // told before: it holds no more
        assert_eq!(room.take(point(10, 20, 9, 0)), Taken::Unchanged);
        let written: Vec<i64> = room.into_changed().iter().map(|row| row.begin).collect();
        assert_eq!(written.len(), 2, "{written:?}");
        assert!(written.contains(&10) && written.contains(&20));
    }

    #[test]
    fn that_a_point_is_complete_is_written_once() {
        let mut room = Room::new(vec![point(0, 10, 5, 4)]);
        assert_eq!(room.take(point(0, 10, 5, 6)), Taken::Unchanged);
        assert_eq!(room.take(point(0, 10, 5, 10)), Taken::Unchanged);
        assert_eq!(room.take(point(0, 10, 5, 12)), Taken::Unchanged);
        assert_eq!(room.into_changed(), [point(0, 10, 5, 10)]);
    }

    #[test]
    fn spans_that_overlap_are_refused() {
        let room = Room::new(vec![point(10, 20, 5, 1), point(20, 30, 0, 1)]);
        for (begin, end, is_refused) in [
            (0, 10, false),
            (0, 11, true),
            (10, 20, false),
            (10, 19, true),
            (12, 15, true),
            (5, 40, true),
            // nothing was sent there
            (20, 40, false),
            (25, 26, false),
        ] {
            let told = room.conflict(&point(begin, end, 1, 2));
            assert_eq!(told.is_some(), is_refused, "{begin} to {end}: {told:?}");
        }
        let mut elsewhere = point(12, 15, 1, 2);
        elsewhere.region = None;
        assert_eq!(room.conflict(&elsewhere), None);
    }

    #[test]
    fn one_file_does_not_contradict_itself() {
        for before in [5, 6] {
            let mut room = Room::new(vec![point(0, 10, before, 1)]);
            assert_eq!(room.conflict(&point(0, 10, 6, 2)), None);
            room.take(point(0, 10, 6, 2));
            assert_eq!(room.conflict(&point(0, 10, 6, 2)), None);
            let told = room.conflict(&point(0, 10, 7, 2)).unwrap();
            assert!(told.contains("a line before it"), "{told}");
        }
    }
}
