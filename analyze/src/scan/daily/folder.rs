//! The folder with the daily aggregates of one kind of query.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::{format_day, parse_day};
use bouncewatch_store::StoreFiles;
use xxhash_rust::xxh3::xxh3_64;

use crate::scan::daily::aggregate::DailyAggregate;
use crate::scan::daily::measure::Measure;
use crate::scan::daily::shared::SharedAggregates;
use crate::timeline::{Basis, Dimension};

/// Folder of a store with daily aggregates.
const AGGREGATES: &str = "aggregates";
/// Start of the file name of a day.
const DAY_PREFIX: &str = "date=";
/// End of the file name of a day.
const SUFFIX: &str = ".daily";

/// Folder with the daily aggregates of one kind of query.
#[derive(Debug)]
pub(in crate::scan) struct AggregateFolder {
    folder: PathBuf,
    /// Aggregates in the bucket, if the store is in a bucket.
    shared: Option<SharedAggregates>,
}

impl AggregateFolder {
    /// Returns the folder of a measure, basis, service, list of dimensions, and list of excluded domains.
    pub(in crate::scan) fn new(
        store: &StoreFiles,
        measure: Measure,
        (basis, service): (Basis, Service),
        dimensions: &[Dimension],
        own_domains: &[String],
    ) -> Self {
        // unambiguous: neither names nor domains contain NUL
        let names: Vec<String> = dimensions.iter().map(Dimension::name).collect();
        let query = [
            &[measure.as_str(), basis.as_str(), service.as_str()].map(str::to_owned)[..],
            &names,
            &[String::new()],
            own_domains,
        ]
        .concat()
        .join("\0");
        let name = format!("{}-{:016x}", measure.as_str(), xxh3_64(query.as_bytes()));
        let shared = store.bucket().map(|bucket| {
            SharedAggregates::new(Arc::clone(bucket), format!("{AGGREGATES}/{name}"), measure)
        });
        Self { folder: store.folder().join(AGGREGATES).join(name), shared }
    }

    /// Returns the path of the folder, which identifies the query.
    pub(in crate::scan) fn path(&self) -> &Path {
        &self.folder
    }

    fn file(&self, day: i64) -> PathBuf {
        self.folder.join(format!("{DAY_PREFIX}{}{SUFFIX}", format_day(day)))
    }

    /// Returns the aggregates of a day if they are current. `fingerprint` returns the current fingerprint of the
    /// segments from a day on.
    pub(in crate::scan) fn read(
        &self,
        day: i64,
        fingerprint: impl Fn(i64) -> u64,
    ) -> Option<DailyAggregate> {
        let is_current = |aggregate: &DailyAggregate| {
            aggregate.index.fingerprint == fingerprint(aggregate.index.first_segment_day)
        };
        let file = self.file(day);
        DailyAggregate::open(&file)
            .filter(is_current)
            .or_else(|| self.shared.as_ref()?.read(day, &file, &fingerprint))
    }

    /// Writes the aggregates of a day. If that fails, they stay in memory.
    pub(in crate::scan) fn save(&self, day: i64, aggregate: &mut DailyAggregate) {
        match (aggregate.save(&self.file(day)), &self.shared) {
            (Ok(()), Some(shared)) => shared.add(day),
            (Ok(()), None) => {}
            (Err(error), _) => tracing::debug!(
                %error,
                folder = %self.folder.display(),
                "could not write daily aggregates; the next run computes them again"
            ),
        }
    }

    /// Uploads the saved aggregates if the store is in a bucket, and removes the aggregates of days
    /// that are not in `days`.
    pub(in crate::scan) fn finish(&self, days: &BTreeSet<i64>) {
        if let Some(shared) = &self.shared {
            shared.upload(days, |day| self.file(day));
        }
        let Ok(files) = std::fs::read_dir(&self.folder) else { return };
        for path in files.filter_map(|file| Some(file.ok()?.path())) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let day = name
                .strip_prefix(DAY_PREFIX)
                // a copy of a part of the file has a further suffix
                .and_then(|name| name.split_once(SUFFIX))
                .and_then(|(day, _)| parse_day(day));
            if day.is_some_and(|day| !days.contains(&day)) {
                _ = std::fs::remove_file(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::daily::delta::{Sign, TimelineDelta};
    use crate::scan::daily::time_lists::PARTS;
    use crate::timeline::Outcome;
    use crate::timeline::times::TimesBuilder;
    use bouncewatch_schemas::time::DAY_MS;

    fn delta() -> TimelineDelta {
        let mut delta = TimelineDelta::default();
        let scope = || vec![Some("123456789012".to_owned()), None];
        let plus = [2 * DAY_MS + 7, 2 * DAY_MS + 5, DAY_MS, 2 * DAY_MS + 86_399_999];
        let times = |times: &[i64]| times.iter().copied().collect();
        delta.add(scope(), Outcome::Send.code(), times(&plus), Sign::Plus);
        delta.add(scope(), Outcome::Send.code(), times(&[DAY_MS, 9]), Sign::Minus);
        delta
    }

    fn folder(store: &Path) -> AggregateFolder {
        AggregateFolder::new(&store.into(), Measure::Events, (Basis::Event, Service::Ses), &[], &[])
    }

    #[test]
    fn saved_aggregates_are_read_unchanged_until_the_fingerprint_changes() {
        let store = tempfile::tempdir().unwrap();
        let folder = folder(store.path());
        let times = |aggregate: &DailyAggregate| {
            let mut builder = TimesBuilder::default();
            let times = aggregate.times((0..PARTS).collect()).unwrap();
            for list in &aggregate.index.scopes[0].lists {
                let (plus, minus) = times.of(list);
                assert_eq!((plus.len() as u64, minus.len() as u64), (list.plus, list.minus));
                builder.add(list.day, &plus, &minus);
            }
            builder.finish()
        };
        let expected = [2 * DAY_MS + 5, 2 * DAY_MS + 7, 2 * DAY_MS + 86_399_999];
        for long_min in [1, 3, 9] {
            let mut aggregate = DailyAggregate::new(delta(), 42, 1, long_min);
            assert_eq!(times(&aggregate), expected.into_iter().collect());
            folder.save(2, &mut aggregate);
            let saved = folder.read(2, |from| if from == 1 { 42 } else { 0 }).unwrap();
            assert_eq!(saved.index, aggregate.index);
            assert_eq!(saved.index.has_long_lists(), long_min < 9);
            assert_eq!(times(&saved), times(&aggregate));
        }
        // another fingerprint, another day
        assert!(folder.read(2, |_| 43).is_none());
        assert!(folder.read(3, |_| 42).is_none());
        folder.finish(&BTreeSet::from([1]));
        assert!(folder.read(2, |_| 42).is_none());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "tests damaged files")]
    fn every_flipped_bit_and_every_truncation_is_detected() {
        let store = tempfile::tempdir().unwrap();
        let folder = folder(store.path());
        folder.save(2, &mut DailyAggregate::new(delta(), 42, 1, 3));
        let path = folder.file(2);
        let bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            std::fs::write(&path, &flipped).unwrap();
            let is_detected =
                folder.read(2, |_| 42).is_none_or(|one| one.times((0..PARTS).collect()).is_err());
            assert!(is_detected, "byte {at}");
            std::fs::write(&path, &bytes[..at]).unwrap();
            let is_detected =
                folder.read(2, |_| 42).is_none_or(|one| one.times((0..PARTS).collect()).is_err());
            assert!(is_detected, "truncated at {at}");
        }
    }

    #[test]
    fn each_kind_of_query_has_a_folder_of_its_own() {
        let folder = |measure, columns: &[&'static str], own_domains: &[&str]| {
            let dimensions: Vec<_> = columns.iter().map(|name| Dimension::Column(name)).collect();
            let own_domains: Vec<_> = own_domains.iter().map(|name| (*name).to_owned()).collect();
            let of = (Basis::Event, Service::Ses);
            AggregateFolder::new(&Path::new("s").into(), measure, of, &dimensions, &own_domains)
                .folder
        };
        let all = [
            folder(Measure::Events, &["account"], &[]),
            folder(Measure::Pairs, &["account"], &[]),
            folder(Measure::Events, &["account", "region"], &[]),
            folder(Measure::Events, &["account"], &["region"]),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
