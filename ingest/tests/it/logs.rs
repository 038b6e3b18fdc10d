//! Log groups of CloudWatch Logs: all events are stored, and the cursor never passes an event that is not durable. The
//! server is a fake behind the SDK that returns pages like AWS; `tests/it/workmail.rs` of the command uses moto.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::SdkConfig;
use bouncewatch_ingest::pipeline::{
    BatchLimits, IngestError, IngestSettings, IngestSummary, Source, run as pipeline_run,
};
use bouncewatch_ingest::source::logs::{LogGroup, LogsError, LogsSettings};
use bouncewatch_ingest::telemetry::metrics::Telemetry;
use bouncewatch_schemas::time::format_ms;
use bouncewatch_store::Store;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::scripted_aws;
use crate::stored::rows;

/// The time of all runs, epoch milliseconds.
const NOW: i64 = 1_794_200_000_000;
const MINUTE: i64 = 60_000;
const NAME: &str = "/aws/workmail/emailevents/shop";
const ARN: &str = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/workmail/emailevents/shop";

/// Error code of CloudWatch Logs for an expired token.
const EXPIRED_TOKEN: &str = "InvalidParameterException";

/// A fake of `FilterLogEvents` and `DescribeLogGroups` for one group.
struct LogsServer {
    state: Arc<Mutex<ServerState>>,
}

#[derive(Default)]
struct ServerState {
    /// Time, stream and line.
    events: Vec<(i64, String, String)>,
    page: usize,
    /// Error codes of the next responses.
    faults: VecDeque<&'static str>,
    /// The requests so far.
    requests: Vec<Value>,
}

impl ServerState {
    fn respond(&mut self, target: &str, request: &Value) -> Result<Value, &'static str> {
        self.requests.push(request.clone());
        // a request without token cannot have an expired one
        let has_no_token = |code: &&str| *code == EXPIRED_TOKEN && request["nextToken"].is_null();
        if let Some(code) = self.faults.front().filter(|code| !has_no_token(code)) {
            let code = *code;
            self.faults.pop_front();
            return Err(code);
        }
        if target.ends_with("DescribeLogGroups") {
            let group =
                |name: &str| json!({"logGroupName": name, "arn": ARN.replace(NAME, name) + ":*"});
            return Ok(json!({"logGroups": [group(&format!("{NAME}-b")), group(NAME)]}));
        }
        let is_known = request["logGroupName"] == NAME || request["logGroupIdentifier"] == ARN;
        if !target.ends_with("FilterLogEvents") || !is_known {
            return Err("ResourceNotFoundException");
        }
        let from: usize = request["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
        let since = request["startTime"].as_i64().unwrap_or_default();
        self.events.sort();
        let events = self.events.iter().filter(|(time, _, _)| *time >= since);
        let events: Vec<Value> = events
            .map(|(time, stream, line)| {
                json!({"timestamp": time, "logStreamName": stream, "message": line, "eventId": "e"})
            })
            .collect();
        let to = (from + self.page).min(events.len());
        let mut response = json!({"events": events[from.min(to)..to]});
        if to < events.len() {
            response["nextToken"] = json!(to.to_string());
        }
        Ok(response)
    }
}

impl LogsServer {
    fn new(page: usize) -> Self {
        Self { state: Arc::new(Mutex::new(ServerState { page, ..ServerState::default() })) }
    }

    /// Logs one sent mail, `minutes_ago` before now.
    fn log_sent(&self, trace: usize, minutes_ago: i64) {
        let line = json!({"traceId": format!("trace-{trace}"), "event": {"eventName": "OUTGOING_EMAIL_SENT",
            "recipient": format!("user{trace}@example.org"), "from": "anna@example.com"}});
        self.log_line(&line.to_string(), minutes_ago);
    }

    fn log_line(&self, line: &str, minutes_ago: i64) {
        let mut state = self.state.lock().unwrap();
        let stream = format!("stream-{}", state.events.len() % 3);
        state.events.push((NOW - minutes_ago * MINUTE, stream, line.to_owned()));
    }

    fn fail_with(&self, codes: &[&'static str]) {
        self.state.lock().unwrap().faults.extend(codes);
    }

    fn take_requests(&self) -> Vec<Value> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    /// SDK settings that send all calls to the server.
    fn config(&self) -> SdkConfig {
        let state = Arc::clone(&self.state);
        scripted_aws::config(move |action, body| {
            match state.lock().unwrap().respond(action, body) {
                Ok(response) => (200, response),
                Err(code) => (400, json!({"__type": code, "message": "scripted"})),
            }
        })
    }

    async fn open(&self, argument: &str) -> Result<LogGroup, LogsError> {
        LogGroup::open(&self.config(), argument).await
    }
}

/// The store of a test.
struct TestStore {
    folder: tempfile::TempDir,
}

impl TestStore {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// The distinct trace IDs of all rows.
    async fn trace_ids(&self) -> BTreeSet<String> {
        let rows = rows(&self.path()).await;
        rows.iter().map(|row| row["message_id"].as_str().unwrap().to_owned()).collect()
    }

    /// The cursor, RFC 3339.
    fn cursor(&self) -> Option<String> {
        let mut files = std::fs::read_dir(self.path().join("cursors")).ok()?;
        let file = files.next()?.unwrap().path();
        assert!(files.next().is_none(), "a group has one cursor");
        let cursor: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        assert_eq!(cursor["log_group"], ARN);
        Some(cursor["until"].as_str().unwrap().to_owned())
    }
}

async fn ingest(
    group: LogGroup,
    folder: &Path,
    settings: LogsSettings,
    telemetry: &Arc<Telemetry>,
    stop: watch::Receiver<bool>,
) -> Result<IngestSummary, IngestError> {
    let limits = BatchLimits { age_max: Duration::from_millis(100), ..BatchLimits::default() };
    let run_settings = IngestSettings { limits, workers: 2, ..IngestSettings::default() };
    pipeline_run(
        vec![Source::Logs(Box::new(group), settings)],
        Store::in_folder(folder).unwrap(),
        run_settings,
        Arc::new(|| NOW),
        Arc::clone(telemetry),
        stop,
    )
    .await
}

async fn drain_since(logs: &LogsServer, store: &TestStore, since: Option<i64>) -> IngestSummary {
    let group = logs.open(&format!("cloudwatch-logs:{NAME}")).await.unwrap();
    let settings = LogsSettings { since, ..LogsSettings::default() };
    let (_keep, stop) = watch::channel(false);
    let telemetry = Arc::new(Telemetry::new());
    ingest(group, &store.path(), settings, &telemetry, stop).await.unwrap()
}

async fn drain(logs: &LogsServer, store: &TestStore) -> IngestSummary {
    let summary = drain_since(logs, store, None).await;
    assert_eq!(summary.failures, [""; 0]);
    summary
}

fn minutes_ago(minutes: i64) -> String {
    format_ms(NOW - minutes * MINUTE)
}

#[tokio::test]
async fn second_run_continues_from_the_cursor_with_an_overlap() {
    let (logs, store) = (LogsServer::new(10), TestStore::new());
    // 25 events, one per minute, the newest five minutes old
    (0..25).for_each(|trace| logs.log_sent(trace, 5 + i64::try_from(trace).unwrap()));
    // a drain pulls until it finds no newer event, and stores each event once
    assert_eq!(drain(&logs, &store).await.counts.messages, 25);
    assert_eq!(store.trace_ids().await.len(), 25);
    assert_eq!(store.cursor(), Some(minutes_ago(5)));
    let row = rows(&store.path()).await.remove(0);
    assert_eq!((&row["account"], &row["region"]), (&json!("123456789012"), &json!("us-east-1")));
    assert_eq!(row["origin"], json!(format!("cloudwatch-logs:{NAME}")));
    assert_eq!(row["source"], "anna@example.com");

    // the second run reads the overlap again, with the late event in it
    logs.take_requests();
    logs.log_sent(100, 15);
    logs.log_sent(101, 1);
    let again = drain(&logs, &store).await;
    assert_eq!(again.counts.messages, 16 + 2);
    assert_eq!(store.trace_ids().await.len(), 27);
    assert_eq!(store.cursor(), Some(minutes_ago(1)));
    let requests = logs.take_requests();
    assert_eq!(requests[1]["startTime"], NOW - 20 * MINUTE, "{requests:?}");
}

#[tokio::test]
async fn since_applies_only_to_a_group_without_cursor() {
    let (logs, store) = (LogsServer::new(10), TestStore::new());
    (0..10).for_each(|trace| logs.log_sent(trace, 60 * i64::try_from(trace).unwrap()));
    drain_since(&logs, &store, Some(NOW - 150 * MINUTE)).await;
    assert_eq!(store.trace_ids().await.len(), 3);
    // from now on the cursor applies
    logs.log_sent(20, 140);
    drain_since(&logs, &store, Some(NOW - 600 * MINUTE)).await;
    assert_eq!(store.trace_ids().await.len(), 3);
}

#[tokio::test]
async fn cursor_does_not_move_if_the_store_fails() {
    let (logs, store) = (LogsServer::new(10), TestStore::new());
    (0..25).for_each(|trace| logs.log_sent(trace, 5 + i64::try_from(trace).unwrap()));
    let day = format!("events/date={}", format_ms(NOW).get(..10).unwrap());
    std::fs::create_dir_all(store.path().join("events")).unwrap();
    std::fs::write(store.path().join(&day), "a file in place of the folder of the day").unwrap();
    let group = logs.open(ARN).await.unwrap();
    let (_keep, stop) = watch::channel(false);
    let telemetry = Arc::new(Telemetry::new());
    let settings = LogsSettings { follow: true, since: None };
    let failed = ingest(group, &store.path(), settings, &telemetry, stop).await;
    assert!(matches!(failed, Err(IngestError::Store(_))), "{failed:?}");
    assert_eq!(store.cursor(), None);

    std::fs::remove_file(store.path().join(&day)).unwrap();
    drain(&logs, &store).await;
    assert_eq!(store.trace_ids().await.len(), 25);
    assert_eq!(store.cursor(), Some(minutes_ago(5)));
}

#[tokio::test]
async fn unreadable_line_is_quarantined_alone() {
    let (logs, store) = (LogsServer::new(10), TestStore::new());
    logs.log_sent(1, 3);
    logs.log_line("START RequestId: 1", 2);
    logs.log_line("connected", 2);
    logs.log_line("{\"traceId\":\"cut off", 2);
    logs.log_sent(2, 1);
    let summary = drain(&logs, &store).await;
    assert_eq!(summary.counts.ignored_total(), 1);
    assert_eq!((summary.counts.rows, summary.counts.quarantined_total()), (2, 2));
    assert_eq!(store.cursor(), Some(minutes_ago(1)));
}

#[tokio::test]
async fn cursor_does_not_move_to_an_event_in_the_future() {
    let (logs, store) = (LogsServer::new(10), TestStore::new());
    logs.log_sent(1, 3);
    logs.log_sent(2, -90);
    drain(&logs, &store).await;
    assert_eq!(store.cursor(), Some(minutes_ago(0)));
    assert_eq!(store.trace_ids().await.len(), 2);
}

#[tokio::test]
async fn transient_errors_are_retried_and_an_expired_token_restarts_the_pull() {
    let (logs, store) = (LogsServer::new(10), TestStore::new());
    (0..25).for_each(|trace| logs.log_sent(trace, 5 + i64::try_from(trace).unwrap()));
    let group = logs.open(ARN).await.unwrap();
    logs.fail_with(&["ThrottlingException", "ExpiredTokenException", EXPIRED_TOKEN]);
    let telemetry = Arc::new(Telemetry::new());
    let (sender, stop) = watch::channel(false);
    let running = tokio::spawn({
        let (folder, telemetry) = (store.path(), Arc::clone(&telemetry));
        async move {
            let settings = LogsSettings { follow: true, since: None };
            ingest(group, &folder, settings, &telemetry, stop).await
        }
    });
    while telemetry.received.get() < 25 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    sender.send_replace(true);
    let summary = running.await.unwrap().unwrap();
    assert_eq!((summary.counts.messages, summary.counts.rows), (25, 25));
    assert_eq!(store.trace_ids().await.len(), 25);
    assert_eq!(store.cursor(), Some(minutes_ago(5)));
    let requests = logs.take_requests();
    assert!(requests.iter().all(|request| request["logGroupIdentifier"] == ARN), "{requests:?}");
    let first_pages = requests.iter().filter(|request| request["nextToken"].is_null()).count();
    assert_eq!(first_pages, 4, "the first, two retries, and one after the expired token");
}

#[tokio::test]
async fn drain_ends_at_denied_access_after_one_request() {
    let (logs, store) = (LogsServer::new(10), TestStore::new());
    logs.log_sent(1, 3);
    let group = logs.open(ARN).await.unwrap();
    logs.fail_with(&["AccessDeniedException"]);
    let (_keep, stop) = watch::channel(false);
    let telemetry = Arc::new(Telemetry::new());
    let denied = ingest(group, &store.path(), LogsSettings::default(), &telemetry, stop).await;
    let failures = denied.unwrap().failures.join("\n");
    assert!(failures.contains("access to the log group is denied"), "{failures}");
    assert!(failures.contains("hint: allow logs:FilterLogEvents"), "{failures}");
    assert_eq!(logs.take_requests().len(), 1, "denied access is not retried");
}

#[tokio::test]
async fn missing_denied_and_invalid_groups_fail_at_open() {
    let logs = LogsServer::new(10);
    let open_error = async |argument: &str| logs.open(argument).await.unwrap_err().to_string();
    let missing = open_error("cloudwatch-logs:/aws/workmail/emailevents").await;
    assert!(missing.contains("no such log group") && missing.contains("hint:"), "{missing}");
    for argument in ["cloudwatch-logs:", "arn:aws:logs:us-east-1:1:destination:x"] {
        assert!(open_error(argument).await.contains("not a log group"), "{argument}");
    }
    logs.fail_with(&["AccessDeniedException"]);
    let denied = open_error("cloudwatch-logs:/aws/workmail/emailevents/shop").await;
    assert!(denied.contains("allow logs:DescribeLogGroups"), "{denied}");
}
