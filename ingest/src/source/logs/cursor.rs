//! [`Cursor`]: the time up to which all events of a log group are durable. It is a file in the
//! store, so that a run on another machine can continue. [`PageLedger`] decides when it moves.

use std::collections::VecDeque;
use std::time::Duration;

use bouncewatch_schemas::time::{format_ms, parse_ms};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use xxhash_rust::xxh3::xxh3_128;

use crate::source::logs::error::LogsError;
use crate::source::receipt::Settlement;
use bouncewatch_store::shutdown::with_grace_period;
use bouncewatch_store::{Store, is_json_damaged, json_with_checksum};

/// Folder of the cursors in the store.
const CURSORS: &str = "cursors";
/// Timeout for store calls after the run is stopped. If writing fails, the next run reads the
/// events since the old cursor again.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);
/// Format version of the cursor file.
const VERSION: u32 = 1;

/// Content of the cursor file.
#[derive(Debug, Serialize, Deserialize)]
struct CursorFile {
    version: u32,
    log_group: String,
    until: String,
}

/// The cursor of one log group.
#[derive(Debug)]
pub(super) struct Cursor {
    store: Store,
    /// Path relative to the store.
    relative_path: String,
    arn: String,
}

impl Cursor {
    pub(super) fn new(store: Store, arn: &str) -> Self {
        let relative_path = format!("{CURSORS}/{:032x}.json", xxh3_128(arn.as_bytes()));
        Self { store, relative_path, arn: arn.to_owned() }
    }

    /// Reads the cursor, epoch milliseconds; `None` if the store has no cursor of the group.
    pub(super) async fn read(&self, stop: watch::Receiver<bool>) -> Result<Option<i64>, LogsError> {
        let path = self.store.path(&self.relative_path);
        let read =
            with_grace_period(&self.store, stop, STORE_TIMEOUT, self.store.get(&path)).await?;
        let Some(bytes) = read else { return Ok(None) };
        let failed = |why: String| LogsError::Cursor {
            path: format!("{}/{}", self.store.name(), self.relative_path),
            why,
        };
        if is_json_damaged(&bytes) {
            return Err(failed("its content does not match its checksum".to_owned()));
        }
        let file: CursorFile =
            serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
        if file.version > VERSION || file.log_group != self.arn {
            let CursorFile { version, log_group, .. } = file;
            return Err(failed(format!("it has version {version} and belongs to {log_group}")));
        }
        let until = parse_ms(&file.until);
        until.map(Some).ok_or_else(|| failed(format!("not a time: {}", file.until)))
    }

    /// Replaces the cursor atomically and durably.
    pub(super) async fn write(
        &self,
        until: i64,
        stop: watch::Receiver<bool>,
    ) -> Result<(), LogsError> {
        let file =
            CursorFile { version: VERSION, log_group: self.arn.clone(), until: format_ms(until) };
        let json = serde_json::to_vec(&file).expect("a number and two strings are JSON");
        let bytes = json_with_checksum(json);
        let path = self.store.path(&self.relative_path);
        Ok(with_grace_period(&self.store, stop, STORE_TIMEOUT, self.store.put(&path, bytes))
            .await?)
    }
}

/// The pages that were sent to the workers and may not be durable, in order. The cursor is the time
/// up to which all pages are durable.
#[derive(Debug)]
pub(super) struct PageLedger {
    until: Option<i64>,
    /// Number of the first page in `pages`.
    first: u64,
    pages: VecDeque<SentPage>,
    has_lost_page: bool,
}

#[derive(Debug)]
struct SentPage {
    until: i64,
    durable: bool,
}

impl PageLedger {
    /// An empty ledger that starts at a cursor.
    pub(super) fn new(until: Option<i64>) -> Self {
        Self { until, first: 0, pages: VecDeque::new(), has_lost_page: false }
    }

    /// Adds a page; `until` is the time of its last event. Returns the number of the page.
    pub(super) fn add(&mut self, until: i64) -> u64 {
        self.pages.push_back(SentPage { until, durable: false });
        self.first + self.pages.len() as u64 - 1
    }

    /// Records the settlement of a page. A page that is not durable stops the cursor for the rest of the run.
    pub(super) fn record(&mut self, settlement: Settlement) {
        self.has_lost_page |= !settlement.durable;
        let at = settlement.id.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        if let Some(page) = at.and_then(|at| self.pages.get_mut(at)) {
            page.durable = settlement.durable;
        }
    }

    /// Moves the cursor past the longest prefix of durable pages. Returns the new cursor; `None` if it did not move.
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
    pub(super) fn has_lost_page(&self) -> bool {
        self.has_lost_page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(ledger: &mut PageLedger, id: u64, durable: bool) -> Option<i64> {
        ledger.record(Settlement { id, durable });
        ledger.advance()
    }

    #[test]
    fn cursor_moves_past_the_longest_durable_prefix() {
        let mut ledger = PageLedger::new(None);
        let ids: Vec<u64> = [10, 20, 30, 40].into_iter().map(|until| ledger.add(until)).collect();
        assert_eq!(ids, [0, 1, 2, 3]);
        assert_eq!(record(&mut ledger, 1, true), None);
        assert_eq!(record(&mut ledger, 0, true), Some(20));
        assert_eq!(record(&mut ledger, 3, true), None);
        assert_eq!(record(&mut ledger, 2, true), Some(40));
        assert_eq!(ledger.add(50), 4);
        assert!(!ledger.has_lost_page());
    }

    #[test]
    fn page_that_is_not_stored_stops_the_cursor() {
        let mut ledger = PageLedger::new(Some(5));
        let (one, two, three) = (ledger.add(10), ledger.add(20), ledger.add(30));
        assert_eq!(record(&mut ledger, one, true), Some(10));
        assert_eq!(record(&mut ledger, two, false), None);
        assert_eq!(record(&mut ledger, three, true), None);
        assert!(ledger.has_lost_page());
    }

    #[test]
    fn late_page_does_not_move_the_cursor_back() {
        let mut ledger = PageLedger::new(Some(100));
        let late = ledger.add(90);
        assert_eq!(record(&mut ledger, late, true), None);
        let newer = ledger.add(110);
        assert_eq!(record(&mut ledger, newer, true), Some(110));
    }

    #[tokio::test]
    async fn cursor_round_trips_through_the_store() {
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
        store.put(&store.path(&cursor.relative_path), b"{}".to_vec()).await.unwrap();
        let error = cursor.read(stop.clone()).await.unwrap_err().to_string();
        assert!(error.contains("cursors/") && error.contains("hint:"), "{error}");
    }
}
