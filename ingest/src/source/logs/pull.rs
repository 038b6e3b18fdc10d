//! Reads a log group page by page and sends each page to the workers.
//!
//! Log events can arrive late, so each pull starts 15 minutes before the newest known event. The
//! events of this overlap are remembered, so that a run with `--follow` does not store them with
//! every pull. A new run stores them again; the scan counts them once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use xxhash_rust::xxh3::Xxh3;

use crate::decode::documents::DocumentSpan;
use crate::source::backoff::Backoff;
use crate::source::delivery::Delivery;
use crate::source::intake::Intake;
use crate::source::logs::cursor::{Cursor, PageLedger};
use crate::source::logs::error::LogsError;
use crate::source::logs::group::{LogGroup, LogPage};
use crate::source::logs::settings::LogsSettings;
use crate::source::receipt::{Receipt, Settlement};
use crate::telemetry::gauges::GaugeSlot;
use bouncewatch_store::shutdown::stop_requested;

/// Overlap of two pulls. An event is missed if it arrives after a pull found an event that is newer
/// by more than this.
const OVERLAP_MS: i64 = 15 * 60_000;
/// Maximum number of remembered events. If the overlap has more, some events are stored again.
const REMEMBERED_MAX: usize = 200_000;
/// Pause between pulls with `--follow`.
const POLL_INTERVAL: Duration = Duration::from_secs(30);
/// Minimum time between two calls. The quota of `FilterLogEvents` is five calls per second and account, shared with
/// other clients.
const CALL_INTERVAL: Duration = Duration::from_millis(200);
/// Maximum number of settlements that are received together.
const SETTLEMENTS_MAX: usize = 1_024;

/// Reads a log group until no newer event is found; with `follow`, until the run stops. Moves the
/// cursor when pages become durable.
///
/// # Errors
/// If reading ended early. Pages that were sent before that are settled.
pub async fn run(
    group: LogGroup,
    store: bouncewatch_store::Store,
    intake: Intake,
    settings: LogsSettings,
) -> Result<(), LogsError> {
    let cursor = Cursor::new(store, &group.arn);
    let stop = intake.stop.clone();
    let until = cursor.read(stop.clone()).await?;
    let (sender, settlements) = mpsc::unbounded_channel();
    let ledger = Arc::new(Mutex::new(PageLedger::new(until)));
    let puller = LogPuller {
        origin: Arc::from(group.origin()),
        started_at: (intake.clock)(),
        newest: until,
        remembered: BTreeSet::new(),
        is_failing: false,
        failing_since: intake.telemetry.health.receive_failing_since.slot(),
        ledger: Arc::clone(&ledger),
        group,
        settings,
        settlements: sender,
        intake,
    };
    // the puller drops its intake when it ends; then the workers end, and last the settlements
    let (pulled, settled) =
        tokio::join!(puller.run(), settle(settlements, &ledger, &cursor, &stop));
    pulled.and(settled)
}

/// Moves the cursor as pages become durable, until all receipts are dropped.
async fn settle(
    mut settlements: mpsc::UnboundedReceiver<Settlement>,
    ledger: &Mutex<PageLedger>,
    cursor: &Cursor,
    stop: &watch::Receiver<bool>,
) -> Result<(), LogsError> {
    let mut received = Vec::new();
    let mut written = Ok(());
    while settlements.recv_many(&mut received, SETTLEMENTS_MAX).await > 0 {
        let moved = {
            let mut ledger = lock(ledger);
            received.drain(..).for_each(|settlement| ledger.record(settlement));
            ledger.advance()
        };
        let Some(until) = moved else { continue };
        let before = written.is_ok();
        written = cursor.write(until, stop.clone()).await;
        if let (true, Err(error)) = (before, &written) {
            tracing::warn!(%error, "could not write the cursor, retrying with the next batch");
        }
    }
    written
}

fn lock(ledger: &Mutex<PageLedger>) -> std::sync::MutexGuard<'_, PageLedger> {
    ledger.lock().expect("lock is never poisoned")
}

/// One log event in the format of a CloudWatch Logs subscription. Each event is a document of its own, so that an
/// unreadable event is quarantined alone.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SubscriptionDocument<'a> {
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

/// Reads the pages of one group.
struct LogPuller {
    group: LogGroup,
    settings: LogsSettings,
    origin: Arc<str>,
    started_at: i64,
    /// Time of the newest event that was sent, epoch milliseconds.
    newest: Option<i64>,
    /// Times and hashes of sent events within the overlap.
    remembered: BTreeSet<(i64, u128)>,
    is_failing: bool,
    failing_since: GaugeSlot<Instant>,
    ledger: Arc<Mutex<PageLedger>>,
    settlements: mpsc::UnboundedSender<Settlement>,
    intake: Intake,
}

/// How a pull ended.
#[derive(PartialEq, Eq)]
enum PullEnd {
    /// The last page was read.
    LastPage,
    /// The run stops.
    Stopped,
}

impl LogPuller {
    async fn run(mut self) -> Result<(), LogsError> {
        let mut stop = self.intake.stop.clone();
        loop {
            let before = self.newest;
            if self.pull().await? == PullEnd::Stopped {
                return Ok(());
            }
            if !self.settings.follow {
                // a drain reads only the events that existed at its start, so new events do not
                // prolong it
                let caught_up = self.newest.is_some_and(|newest| newest >= self.started_at);
                if self.newest == before || caught_up {
                    return Ok(());
                }
                continue;
            }
            tokio::select! {
                () = stop_requested(&mut stop) => return Ok(()),
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
        }
    }

    /// Reads all pages once, from the overlap up to now.
    async fn pull(&mut self) -> Result<PullEnd, LogsError> {
        let mut stop = self.intake.stop.clone();
        let since = match self.newest {
            Some(newest) => Some(newest.saturating_sub(OVERLAP_MS)),
            None => self.settings.since,
        };
        let mut token: Option<String> = None;
        let mut backoff = Backoff::default();
        loop {
            let next_call = Instant::now() + CALL_INTERVAL;
            // a stop interrupts only the wait for a response, never the sending of a page
            let response = tokio::select! {
                biased;
                () = stop_requested(&mut stop) => return Ok(PullEnd::Stopped),
                page = self.group.page(since, token.as_deref(), &self.intake.telemetry) => page,
            };
            if lock(&self.ledger).has_lost_page() {
                return Err(LogsError::NotStored(self.group.name.clone()));
            }
            let pause_until = match response {
                Ok(LogPage { events, next }) => {
                    self.record_success();
                    backoff = Backoff::default();
                    if self.send(&events).await.is_none() {
                        return Ok(PullEnd::Stopped);
                    }
                    if next.is_none() || next == token {
                        return Ok(PullEnd::LastPage);
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
                () = stop_requested(&mut stop) => return Ok(PullEnd::Stopped),
                () = tokio::time::sleep_until(pause_until) => {}
            }
        }
    }

    /// Returns the pause after a failed call, or the error if a retry cannot succeed. If the page
    /// token has expired, the pull restarts; events that were already sent are remembered and
    /// skipped.
    fn pause_after(
        &mut self,
        error: LogsError,
        token: &mut Option<String>,
        backoff: &mut Backoff,
    ) -> Result<Duration, LogsError> {
        let is_refused = matches!(error, LogsError::Refused { .. });
        if !error.is_transient() || (is_refused && token.is_none()) {
            return Err(error);
        }
        let Some(pause) = backoff.pause(self.settings.follow) else { return Err(error) };
        if is_refused {
            *token = None;
        }
        self.failing_since.set_if_empty(Instant::now());
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::warn!(%error, "could not read log events, retrying with growing pauses");
        }
        Ok(pause)
    }

    fn record_success(&mut self) {
        self.failing_since.clear();
        if std::mem::replace(&mut self.is_failing, false) {
            tracing::warn!("log events can be read again");
        }
    }

    /// Sends the new events of a page to the workers; `None` if all workers have ended.
    async fn send(&mut self, events: &[FilteredLogEvent]) -> Option<()> {
        let now = (self.intake.clock)();
        let Some(last) = events.iter().filter_map(FilteredLogEvent::timestamp).max() else {
            return Some(());
        };
        // an event with a time in the future must not move the cursor past events that arrive later
        let until = last.min(now);
        let mut bytes = Vec::new();
        let mut documents = Vec::new();
        for event in events {
            if self.remembered.insert((event.timestamp().unwrap_or_default(), hash(event))) {
                let start = bytes.len();
                let document = self.document(event);
                serde_json::to_writer(&mut bytes, &document).expect("strings and numbers are JSON");
                documents.push(DocumentSpan { start, end: bytes.len(), is_complete: true });
            }
        }
        self.newest = self.newest.max(Some(until));
        self.forget_old_events();
        if documents.is_empty() {
            return Some(());
        }
        self.intake.telemetry.received.inc_by(documents.len() as u64);
        let id = lock(&self.ledger).add(until);
        let receipt = Receipt::new(id, self.settlements.clone());
        let delivery = Delivery::documents(bytes, documents, Arc::clone(&self.origin), now);
        self.intake.send(delivery.with_receipt(Some(receipt))).await
    }

    fn document<'a>(&'a self, event: &'a FilteredLogEvent) -> SubscriptionDocument<'a> {
        SubscriptionDocument {
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

    /// Removes remembered events before the overlap, and the oldest ones above the maximum.
    fn forget_old_events(&mut self) {
        let from = self.newest.unwrap_or_default().saturating_sub(OVERLAP_MS);
        self.remembered = self.remembered.split_off(&(from, 0));
        while self.remembered.len() > REMEMBERED_MAX {
            self.remembered.pop_first();
        }
    }
}

/// Hash of stream and message. Events with the same time and hash are one event in the table.
fn hash(event: &FilteredLogEvent) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(event.log_stream_name().unwrap_or_default().as_bytes());
    hash.update(&[0]);
    hash.update(event.message().unwrap_or_default().as_bytes());
    hash.digest128()
}
