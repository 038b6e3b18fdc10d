//! Pulls a log group page by page, from a while before the cursor up to now, and hands each page to the workers.
//!
//! Log events come late, so each pull begins an overlap before the newest event that is known. What was handed over
//! in this run is remembered for as long, so that a follower does not store the overlap with every pull; a run that
//! begins anew stores it once more, which changes no number.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use xxhash_rust::xxh3::Xxh3;

use crate::decode::documents::Piece;
use crate::source::backoff::Backoff;
use crate::source::logs::cursor::{Cursor, Ledger};
use crate::source::logs::{FilteredLogEvent, Group, LogsError, Page, Settings};
use crate::source::{Intake, Outcome, Parcel, Receipt};
use crate::telemetry::gauges::Slot;
use bouncewatch_store::shutdown::stopped;

/// How late a log event may come and still be found.
const OVERLAP_MS: i64 = 15 * 60_000;
/// Log events that are remembered, at most; beyond that some are stored again.
const REMEMBERED_MAX: usize = 200_000;
/// Pause of a follower after a pull.
const POLL_EVERY: Duration = Duration::from_secs(30);
/// Time from one call to the next: CloudWatch Logs allows five a second to an account, which others use too.
const CALL_EVERY: Duration = Duration::from_millis(200);
/// Outcomes that are taken together.
const OUTCOMES_MAX: usize = 1_024;

/// Pulls until nothing newer is there, or for ever with `follow`; the cursor moves behind what is durable.
///
/// # Errors
/// Why the group was left before its end. What was handed over before is settled all the same.
pub async fn run(
    group: Group,
    store: bouncewatch_store::Store,
    intake: Intake,
    settings: Settings,
) -> Result<(), LogsError> {
    let cursor = Cursor::new(store, &group.arn);
    let stop = intake.stop.clone();
    let until = cursor.read(stop.clone()).await?;
    let (outcomes, told) = mpsc::unbounded_channel();
    let ledger = Arc::new(Mutex::new(Ledger::new(until)));
    let puller = Puller {
        origin: Arc::from(group.shown()),
        started_at: (intake.clock)(),
        newest: until,
        remembered: BTreeSet::new(),
        failing: false,
        failing_since: intake.telemetry.vitals.receiving_fails.slot(),
        ledger: Arc::clone(&ledger),
        group,
        settings,
        outcomes,
        intake,
    };
    // the puller is gone with its sender and its intake when it ends, so that the workers and then the outcomes end
    let (pulled, settled) = tokio::join!(puller.run(), settle(told, &ledger, &cursor, &stop));
    pulled.and(settled)
}

/// Moves the cursor until no receipt can come any more.
async fn settle(
    mut told: mpsc::UnboundedReceiver<Outcome>,
    ledger: &Mutex<Ledger>,
    cursor: &Cursor,
    stop: &watch::Receiver<bool>,
) -> Result<(), LogsError> {
    let mut outcomes = Vec::new();
    let mut written = Ok(());
    while told.recv_many(&mut outcomes, OUTCOMES_MAX).await > 0 {
        let moved = {
            let mut ledger = locked(ledger);
            outcomes.drain(..).for_each(|outcome| ledger.told(outcome));
            ledger.advance()
        };
        let Some(until) = moved else { continue };
        let before = written.is_ok();
        written = cursor.write(until, stop.clone()).await;
        if let (true, Err(error)) = (before, &written) {
            tracing::warn!(%error, "the cursor could not be written, trying again with the next batch");
        }
    }
    written
}

fn locked(ledger: &Mutex<Ledger>) -> std::sync::MutexGuard<'_, Ledger> {
    ledger.lock().expect("nobody panics while holding this lock")
}

/// A log event as CloudWatch Logs passes it to a subscription: a document of its own, so that one that cannot be read
/// is set aside alone.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    message_type: &'static str,
    owner: &'a str,
    region: &'a str,
    log_group: &'a str,
    log_stream: &'a str,
    log_events: [LogEvent<'a>; 1],
}

#[derive(Serialize)]
struct LogEvent<'a> {
    id: &'a str,
    timestamp: i64,
    message: &'a str,
}

/// What goes through the pages of one group.
struct Puller {
    group: Group,
    settings: Settings,
    origin: Arc<str>,
    started_at: i64,
    /// Time of the newest event that was handed over.
    newest: Option<i64>,
    /// Time and hash of the events since then, less the overlap.
    remembered: BTreeSet<(i64, u128)>,
    failing: bool,
    /// For those who watch whether the run is well.
    failing_since: Slot<Instant>,
    ledger: Arc<Mutex<Ledger>>,
    outcomes: mpsc::UnboundedSender<Outcome>,
    intake: Intake,
}

/// How a pull ended.
#[derive(PartialEq, Eq)]
enum Pulled {
    /// With the last page.
    ToTheEnd,
    /// Before, because the run shall end.
    Stopped,
}

impl Puller {
    async fn run(mut self) -> Result<(), LogsError> {
        let mut stop = self.intake.stop.clone();
        loop {
            let before = self.newest;
            if self.pull().await? == Pulled::Stopped {
                return Ok(());
            }
            if !self.settings.follow {
                // on a group that never rests, a drain ends with what was there when it began
                let has_all = self.newest.is_some_and(|newest| newest >= self.started_at);
                if self.newest == before || has_all {
                    return Ok(());
                }
                continue;
            }
            tokio::select! {
                () = stopped(&mut stop) => return Ok(()),
                () = tokio::time::sleep(POLL_EVERY) => {}
            }
        }
    }

    /// Goes once through all pages, from the overlap on up to now.
    async fn pull(&mut self) -> Result<Pulled, LogsError> {
        let mut stop = self.intake.stop.clone();
        let since = match self.newest {
            Some(newest) => Some(newest.saturating_sub(OVERLAP_MS)),
            None => self.settings.since,
        };
        let mut token: Option<String> = None;
        let mut backoff = Backoff::default();
        loop {
            let next_call = Instant::now() + CALL_EVERY;
            // the signal is heard only while waiting, never while a page is handed over
            let answer = tokio::select! {
                biased;
                () = stopped(&mut stop) => return Ok(Pulled::Stopped),
                answer = self.group.page(since, token.as_deref(), &self.intake.telemetry) => answer,
            };
            if locked(&self.ledger).has_lost() {
                return Err(LogsError::NotStored(self.group.name.clone()));
            }
            let pause_until = match answer {
                Ok(Page { events, next }) => {
                    self.recovered();
                    backoff = Backoff::default();
                    if self.hand_over(&events).await.is_none() {
                        return Ok(Pulled::Stopped);
                    }
                    if next.is_none() || next == token {
                        return Ok(Pulled::ToTheEnd);
                    }
                    token = next;
                    next_call
                }
                Err(error) => {
                    let pause = self.pause_after(error, &mut token, &mut backoff)?;
                    Instant::now() + pause
                }
            };
            tokio::select! {
                () = stopped(&mut stop) => return Ok(Pulled::Stopped),
                () = tokio::time::sleep_until(pause_until) => {}
            }
        }
    }

    /// How long to wait after a failed call, where waiting can help. A token may be too old: then the pull begins
    /// again, and what was handed over is passed by.
    fn pause_after(
        &mut self,
        error: LogsError,
        token: &mut Option<String>,
        backoff: &mut Backoff,
    ) -> Result<Duration, LogsError> {
        let is_refused = matches!(error, LogsError::Refused { .. });
        if !error.may_pass() || (is_refused && token.is_none()) {
            return Err(error);
        }
        let Some(pause) = backoff.pause(self.settings.follow) else { return Err(error) };
        if is_refused {
            *token = None;
        }
        self.failing_since.set_if_empty(Instant::now());
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(%error, "pulling log events failed, trying again with growing pauses");
        }
        Ok(pause)
    }

    fn recovered(&mut self) {
        self.failing_since.clear();
        if std::mem::replace(&mut self.failing, false) {
            tracing::warn!("pulling log events works again");
        }
    }

    /// Hands the new events of a page to the workers; `None` when there are no workers any more.
    async fn hand_over(&mut self, events: &[FilteredLogEvent]) -> Option<()> {
        let now = (self.intake.clock)();
        let Some(last) = events.iter().filter_map(FilteredLogEvent::timestamp).max() else {
            return Some(());
        };
        // a clock that runs ahead must not carry the cursor over what is still to come
        let until = last.min(now);
        let mut bytes = Vec::new();
        let mut pieces = Vec::new();
        for event in events {
            if self.remembered.insert((event.timestamp().unwrap_or_default(), hash(event))) {
                let start = bytes.len();
                let document = self.document(event);
                serde_json::to_writer(&mut bytes, &document).expect("texts and numbers are JSON");
                pieces.push(Piece { start, end: bytes.len(), whole: true });
            }
        }
        self.newest = self.newest.max(Some(until));
        self.forget();
        if pieces.is_empty() {
            return Some(());
        }
        self.intake.telemetry.received.inc_by(pieces.len() as u64);
        let id = locked(&self.ledger).take(until);
        let receipt = Receipt::new(id, self.outcomes.clone());
        let parcel = Parcel::documents(bytes, pieces, Arc::clone(&self.origin), now);
        self.intake.send(parcel.with_receipt(Some(receipt))).await
    }

    fn document<'a>(&'a self, event: &'a FilteredLogEvent) -> Document<'a> {
        Document {
            message_type: "DATA_MESSAGE",
            owner: &self.group.account,
            region: &self.group.region,
            log_group: &self.group.name,
            log_stream: event.log_stream_name().unwrap_or_default(),
            log_events: [LogEvent {
                id: event.event_id().unwrap_or_default(),
                timestamp: event.timestamp().unwrap_or_default(),
                message: event.message().unwrap_or_default(),
            }],
        }
    }

    /// Forgets events that no pull asks for again, and the oldest where there are too many.
    fn forget(&mut self) {
        let from = self.newest.unwrap_or_default().saturating_sub(OVERLAP_MS);
        self.remembered = self.remembered.split_off(&(from, 0));
        while self.remembered.len() > REMEMBERED_MAX {
            self.remembered.pop_first();
        }
    }
}

/// What makes a log event this log event. Two that agree in it are one event in the table.
fn hash(event: &FilteredLogEvent) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(event.log_stream_name().unwrap_or_default().as_bytes());
    hash.update(&[0]);
    hash.update(event.message().unwrap_or_default().as_bytes());
    hash.digest128()
}
