//! What a question has computed of closed days, kept in files, so that it is computed once.
//!
//! The files say nothing that the segments do not say: they are safe to delete, and made again when what they were made
//! of has changed. A folder holds those of one question: what is asked, of which service, cut by which words, without
//! which domains. Who may not write there asks without them, and waits longer.

mod day;

use std::path::{Path, PathBuf};

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::{format_day, parse_day};
use xxhash_rust::xxh3::xxh3_64;

use crate::timeline::model::Basis;

pub(crate) use day::{Daily, Delta};

/// The folder of a store that holds them.
const FOLDER: &str = "aggregates";
/// Prefix of a day's file.
const DAY_PREFIX: &str = "date=";
/// How files end.
const SUFFIX: &str = ".daily";

/// What is computed of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Events by outcome.
    Events,
    /// (message, recipient) pairs that were tried.
    Pairs,
    /// Scopes that have rows, without times.
    Scopes,
    /// Which provider hosts a domain.
    Hosts,
}

impl Measure {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Pairs => "pairs",
            Self::Scopes => "scopes",
            Self::Hosts => "hosts",
        }
    }
}

/// The folder of one question.
#[derive(Debug)]
pub(crate) struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    /// The folder of a question.
    pub(crate) fn new(
        store: &Path,
        measure: Measure,
        basis: Basis,
        service: Service,
        words: &[String],
        own_domains: &[String],
    ) -> Self {
        // neither words nor domains hold what stands between them
        let question = [
            &[measure.as_str(), basis.as_str(), service.as_str()].map(str::to_owned)[..],
            words,
            &[String::new()],
            own_domains,
        ]
        .concat()
        .join("\0");
        let name = format!("{}-{:016x}", measure.as_str(), xxh3_64(question.as_bytes()));
        Self { folder: store.join(FOLDER).join(name) }
    }

    fn path(&self, day: i64) -> PathBuf {
        self.folder.join(format!("{DAY_PREFIX}{}{SUFFIX}", format_day(day)))
    }

    /// What is kept of a day, if it is still true: `fingerprint` tells what a day was made of, from the day on that made
    /// a difference.
    pub(crate) fn read(&self, day: i64, fingerprint: impl Fn(i64) -> u64) -> Option<Daily> {
        let daily = Daily::open(&self.path(day))?;
        let is_true = daily.index.fingerprint == fingerprint(daily.index.depends_from);
        is_true.then_some(daily)
    }

    /// Keeps a day. Where that is not possible the day stays in memory.
    pub(crate) fn keep(&self, day: i64, daily: &mut Daily) {
        if let Err(error) = daily.keep(&self.path(day)) {
            tracing::debug!(%error, folder = %self.folder.display(), "an aggregate could not be kept; it is made again when it is asked for");
        }
    }

    /// Removes what is kept of days that the store has no more.
    pub(crate) fn forget_others(&self, is_there: impl Fn(i64) -> bool) {
        let Ok(files) = std::fs::read_dir(&self.folder) else { return };
        for path in files.filter_map(|file| Some(file.ok()?.path())) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let day = name
                .strip_prefix(DAY_PREFIX)
                .and_then(|name| name.strip_suffix(SUFFIX))
                .and_then(parse_day);
            if day.is_some_and(|day| !is_there(day)) {
                _ = std::fs::remove_file(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::model::Outcome;
    use crate::timeline::times::Gathering;
    use bouncewatch_schemas::time::DAY_MS;

    fn delta() -> Delta {
        let mut delta = Delta::default();
        let values = vec![Some("123456789012".to_owned()), None];
        let change = delta.scopes.entry(values).or_default();
        change.first_send = Some(5);
        let plus = vec![2 * DAY_MS + 7, 2 * DAY_MS + 5, DAY_MS, 2 * DAY_MS + 86_399_999];
        change.lists.insert(Outcome::Send.code(), (plus, vec![DAY_MS, 9]));
        delta
    }

    #[test]
    fn what_is_kept_comes_back() {
        let store = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(store.path(), Measure::Events, Basis::Event, Service::Ses, &[], &[]);
        let mut daily = Daily::new(delta(), 42, 1);
        let times = |daily: &Daily| {
            let mut gathering = Gathering::default();
            let times = daily.times().unwrap();
            for list in &daily.index.scopes[0].lists {
                let (plus, minus) = times.of(list);
                assert_eq!((plus.len() as u64, minus.len() as u64), (list.plus, list.minus));
                gathering.add(list.day, &plus, &minus);
            }
            gathering.finish()
        };
        let expected = [2 * DAY_MS + 5, 2 * DAY_MS + 7, 2 * DAY_MS + 86_399_999];
        assert_eq!(times(&daily), expected.into_iter().collect());
        shelf.keep(2, &mut daily);
        let again = shelf.read(2, |from| if from == 1 { 42 } else { 0 }).unwrap();
        assert_eq!(again.index, daily.index);
        assert_eq!(times(&again), times(&daily));
        // another listing, another day
        assert!(shelf.read(2, |_| 43).is_none());
        assert!(shelf.read(3, |_| 42).is_none());
        shelf.forget_others(|day| day != 2);
        assert!(shelf.read(2, |_| 42).is_none());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a half-written file is what is tested")]
    fn damage_is_found() {
        let store = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(store.path(), Measure::Events, Basis::Event, Service::Ses, &[], &[]);
        shelf.keep(2, &mut Daily::new(delta(), 42, 1));
        let path = shelf.path(2);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            let is_found = shelf.read(2, |_| 42).is_none_or(|daily| daily.times().is_err());
            assert!(is_found, "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            let is_found = shelf.read(2, |_| 42).is_none_or(|daily| daily.times().is_err());
            assert!(is_found, "cut at {at}");
        }
    }

    #[test]
    fn questions_do_not_meet() {
        let shelf = |measure, words: &[&str], own: &[&str]| {
            let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
            let (words, own): (Vec<String>, Vec<String>) = (owned(words), owned(own));
            Shelf::new(Path::new("s"), measure, Basis::Event, Service::Ses, &words, &own).folder
        };
        let all = [
            shelf(Measure::Events, &["account"], &[]),
            shelf(Measure::Pairs, &["account"], &[]),
            shelf(Measure::Events, &["account", "region"], &[]),
            shelf(Measure::Events, &["account"], &["region"]),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
