//! The cursor of a log group: up to where everything that was there is durable. It lies in the store, so that it is
//! where the rows are, and survives the machine that pulls.

use std::collections::VecDeque;
use std::time::Duration;

use bouncewatch_schemas::time::{format_ms, parse_ms};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use xxhash_rust::xxh3::xxh3_128;

use crate::source::Outcome;
use crate::source::logs::LogsError;
use bouncewatch_store::Store;
use bouncewatch_store::shutdown::in_time;

/// Folder of the cursors below a store.
const CURSORS: &str = "cursors";
/// How long the store is waited for when the run shall end; what is behind the old cursor is pulled again.
const PATIENCE: Duration = Duration::from_secs(5);
/// Version of the file.
const VERSION: u32 = 1;

/// A cursor as it lies in the store.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    version: u32,
    log_group: String,
    until: String,
}

/// Where the cursor of one group is kept.
#[derive(Debug)]
pub(super) struct Cursor {
    store: Store,
    /// Its path below the store.
    below: String,
    arn: String,
}

impl Cursor {
    pub(super) fn new(store: Store, arn: &str) -> Self {
        let below = format!("{CURSORS}/{:032x}.json", xxh3_128(arn.as_bytes()));
        Self { store, below, arn: arn.to_owned() }
    }

    /// Up to where everything is durable; `None` where the group was never read.
    pub(super) async fn read(&self, stop: watch::Receiver<bool>) -> Result<Option<i64>, LogsError> {
        let path = self.store.path(&self.below);
        let read = in_time(&self.store, stop, PATIENCE, self.store.get(&path)).await?;
        let Some(bytes) = read else { return Ok(None) };
        let failed = |why: String| LogsError::Cursor {
            path: format!("{}/{}", self.store.shown(), self.below),
            why,
        };
        let written: Written =
            serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
        if written.version > VERSION || written.log_group != self.arn {
            return Err(failed(format!("{written:?} is of another version or group")));
        }
        let until = parse_ms(&written.until);
        until.map(Some).ok_or_else(|| failed(format!("not a time: {}", written.until)))
    }

    /// Replaces it as a whole, durably.
    pub(super) async fn write(
        &self,
        until: i64,
        stop: watch::Receiver<bool>,
    ) -> Result<(), LogsError> {
        let written =
            Written { version: VERSION, log_group: self.arn.clone(), until: format_ms(until) };
        let bytes = serde_json::to_vec(&written).expect("three plain fields are JSON");
        let path = self.store.path(&self.below);
        Ok(in_time(&self.store, stop, PATIENCE, self.store.put(&path, bytes)).await?)
    }
}

/// The pages that were handed over and are not known to be durable, in their order, and up to where all before them
/// are.
#[derive(Debug)]
pub(super) struct Ledger {
    until: Option<i64>,
    /// Number of the first page.
    first: u64,
    pages: VecDeque<Handed>,
    lost: bool,
}

#[derive(Debug)]
struct Handed {
    until: i64,
    durable: bool,
}

impl Ledger {
    /// Begins at a cursor.
    pub(super) fn new(until: Option<i64>) -> Self {
        Self { until, first: 0, pages: VecDeque::new(), lost: false }
    }

    /// Takes a page that is handed over; `until` is the time of its last event. Returns its number.
    pub(super) fn take(&mut self, until: i64) -> u64 {
        self.pages.push_back(Handed { until, durable: false });
        self.first + self.pages.len() as u64 - 1
    }

    /// Notes what became of a page. One that is not durable holds the cursor for good.
    pub(super) fn told(&mut self, outcome: Outcome) {
        self.lost |= !outcome.durable;
        let at = outcome.id.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        if let Some(page) = at.and_then(|at| self.pages.get_mut(at)) {
            page.durable = outcome.durable;
        }
    }

    /// Moves the cursor behind the pages that are durable with all before them; `None` where that is none.
    pub(super) fn advance(&mut self) -> Option<i64> {
        let before = self.until;
        while self.pages.front().is_some_and(|page| page.durable) {
            let page = self.pages.pop_front();
            self.first += 1;
            self.until = self.until.max(page.map(|page| page.until));
        }
        self.until.filter(|_| self.until > before)
    }

    /// Whether a page was not stored.
    pub(super) fn has_lost(&self) -> bool {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(ledger: &mut Ledger, id: u64, durable: bool) -> Option<i64> {
        ledger.told(Outcome { id, durable });
        ledger.advance()
    }

    #[test]
    fn the_cursor_stands_behind_the_longest_durable_prefix() {
        let mut ledger = Ledger::new(None);
        let ids: Vec<u64> = [10, 20, 30, 40].into_iter().map(|until| ledger.take(until)).collect();
        assert_eq!(ids, [0, 1, 2, 3]);
        assert_eq!(told(&mut ledger, 1, true), None);
        assert_eq!(told(&mut ledger, 0, true), Some(20));
        assert_eq!(told(&mut ledger, 3, true), None);
        assert_eq!(told(&mut ledger, 2, true), Some(40));
        assert_eq!(ledger.take(50), 4);
        assert!(!ledger.has_lost());
    }

    #[test]
    fn a_page_that_is_not_stored_holds_the_cursor() {
        let mut ledger = Ledger::new(Some(5));
        let (one, two, three) = (ledger.take(10), ledger.take(20), ledger.take(30));
        assert_eq!(told(&mut ledger, one, true), Some(10));
        assert_eq!(told(&mut ledger, two, false), None);
        assert_eq!(told(&mut ledger, three, true), None);
        assert!(ledger.has_lost());
    }

    #[test]
    fn late_pages_do_not_move_it_back() {
        let mut ledger = Ledger::new(Some(100));
        let late = ledger.take(90);
        assert_eq!(told(&mut ledger, late, true), None);
        let newer = ledger.take(110);
        assert_eq!(told(&mut ledger, newer, true), Some(110));
    }

    #[tokio::test]
    async fn a_cursor_is_kept_in_the_store() {
        let (_keep, stop) = watch::channel(false);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path()).unwrap();
        let arn = "arn:aws:logs:us-east-1:123456789012:log-group:a";
        let cursor = Cursor::new(store.clone(), arn);
        assert_eq!(cursor.read(stop.clone()).await.unwrap(), None);
        for until in [1_794_153_535_226, 1_794_153_535_227] {
            cursor.write(until, stop.clone()).await.unwrap();
            assert_eq!(
                Cursor::new(store.clone(), arn).read(stop.clone()).await.unwrap(),
                Some(until)
            );
        }
        let other = Cursor::new(store.clone(), &format!("{arn}b"));
        assert_eq!(other.read(stop.clone()).await.unwrap(), None);
        store.put(&store.path(&cursor.below), b"{}".to_vec()).await.unwrap();
        let error = cursor.read(stop.clone()).await.unwrap_err().to_string();
        assert!(error.contains("cursors/") && error.contains("hint:"), "{error}");
    }
}
