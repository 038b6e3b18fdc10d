//! The log groups of CloudWatch Logs: everything that is logged comes into the store, and the cursor never stands behind
//! what is not durable. Against a server of ours behind the SDK that pages as AWS does; `tests/it/workmail.rs` of the command runs
//! against one that others wrote.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_types::body::SdkBody;
use bouncewatch_ingest::pipeline::{
    BatchLimits, IngestError, Settings, Source, Summary, run as pipeline_run,
};
use bouncewatch_ingest::source::logs::{self, Group, LogsError};
use bouncewatch_ingest::telemetry::metrics::Telemetry;
use bouncewatch_schemas::time::format_ms;
use bouncewatch_store::Store;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::stored::rows;

/// The moment at which all runs here happen.
const NOW: i64 = 1_794_200_000_000;
const MINUTE: i64 = 60_000;
const NAME: &str = "/aws/workmail/emailevents/shop";
const ARN: &str = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/workmail/emailevents/shop";

/// What CloudWatch Logs says of a token that is too old.
const OLD_TOKEN: &str = "InvalidParameterException";

/// A server that answers `FilterLogEvents` and `DescribeLogGroups` for one group.
struct Logs {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Time, stream and line.
    events: Vec<(i64, String, String)>,
    page: usize,
    /// Codes of errors that are answered before anything else is.
    faults: VecDeque<&'static str>,
    /// What was asked.
    asked: Vec<Value>,
}

impl State {
    fn answer(&mut self, target: &str, asked: &Value) -> Result<Value, &'static str> {
        self.asked.push(asked.clone());
        // only a token can be too old
        let is_old = |code: &&str| *code == OLD_TOKEN && asked["nextToken"].is_null();
        if let Some(code) = self.faults.front().filter(|code| !is_old(code)) {
            let code = *code;
            self.faults.pop_front();
            return Err(code);
        }
        if target.ends_with("DescribeLogGroups") {
            let group =
                |name: &str| json!({"logGroupName": name, "arn": ARN.replace(NAME, name) + ":*"});
            return Ok(json!({"logGroups": [group(&format!("{NAME}-b")), group(NAME)]}));
        }
        let named = asked["logGroupName"] == NAME || asked["logGroupIdentifier"] == ARN;
        if !target.ends_with("FilterLogEvents") || !named {
            return Err("ResourceNotFoundException");
        }
        let from: usize = asked["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
        let since = asked["startTime"].as_i64().unwrap_or_default();
        self.events.sort();
        let events = self.events.iter().filter(|(time, _, _)| *time >= since);
        let events: Vec<Value> = events
            .map(|(time, stream, line)| {
                json!({"timestamp": time, "logStreamName": stream, "message": line, "eventId": "e"})
            })
            .collect();
        let to = (from + self.page).min(events.len());
        let mut answer = json!({"events": events[from.min(to)..to]});
        if to < events.len() {
            answer["nextToken"] = json!(to.to_string());
        }
        Ok(answer)
    }
}

impl Logs {
    fn new(page: usize) -> Self {
        Self { state: Arc::new(Mutex::new(State { page, ..State::default() })) }
    }

    /// Logs one mail that was sent, so many minutes before now.
    fn sent(&self, trace: usize, minutes_ago: i64) {
        let line = json!({"traceId": format!("trace-{trace}"), "event": {"eventName": "OUTGOING_EMAIL_SENT",
            "recipient": format!("user{trace}@example.org"), "from": "anna@example.com"}});
        self.line(&line.to_string(), minutes_ago);
    }

    fn line(&self, line: &str, minutes_ago: i64) {
        let mut state = self.state.lock().unwrap();
        let stream = format!("stream-{}", state.events.len() % 3);
        state.events.push((NOW - minutes_ago * MINUTE, stream, line.to_owned()));
    }

    fn fail_with(&self, codes: &[&'static str]) {
        self.state.lock().unwrap().faults.extend(codes);
    }

    fn asked(&self) -> Vec<Value> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    /// Settings under which the SDK talks to it.
    fn config(&self) -> SdkConfig {
        let state = Arc::clone(&self.state);
        let client = infallible_client_fn(move |request| {
            let target = request.headers().get("x-amz-target").unwrap().to_str().unwrap();
            let asked = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
            let (status, answer) = match state.lock().unwrap().answer(target, &asked) {
                Ok(answer) => (200, answer),
                Err(code) => (400, json!({"__type": code, "message": "as told"})),
            };
            http::Response::builder()
                .status(status)
                .body(SdkBody::from(answer.to_string()))
                .unwrap()
        });
        let credentials = Credentials::new("test", "test", None, None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .retry_config(RetryConfig::disabled())
            .http_client(client)
            .build()
    }

    async fn open(&self, word: &str) -> Result<Group, LogsError> {
        Group::open(&self.config(), word).await
    }
}

/// A store of its own for a test.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// The traces of all rows, each once.
    async fn traces(&self) -> BTreeSet<String> {
        let rows = rows(&self.path()).await;
        rows.iter().map(|row| row["message_id"].as_str().unwrap().to_owned()).collect()
    }

    /// Up to where the cursor says that all is durable.
    fn cursor(&self) -> Option<String> {
        let mut files = std::fs::read_dir(self.path().join("cursors")).ok()?;
        let file = files.next()?.unwrap().path();
        assert!(files.next().is_none(), "one group has one cursor");
        let cursor: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        assert_eq!(cursor["log_group"], ARN);
        Some(cursor["until"].as_str().unwrap().to_owned())
    }
}

async fn ingest(
    group: Group,
    store: &Path,
    settings: logs::Settings,
    telemetry: &Arc<Telemetry>,
    stop: watch::Receiver<bool>,
) -> Result<Summary, IngestError> {
    let limits = BatchLimits { age_max: Duration::from_millis(100), ..BatchLimits::default() };
    let run_settings = Settings { limits, workers: 2, ..Settings::default() };
    pipeline_run(
        vec![Source::Logs(Box::new(group), settings)],
        Store::in_folder(store).unwrap(),
        run_settings,
        Arc::new(|| NOW),
        Arc::clone(telemetry),
        stop,
    )
    .await
}

async fn drain_since(logs: &Logs, place: &Place, since: Option<i64>) -> Summary {
    let group = logs.open(&format!("cloudwatch-logs:{NAME}")).await.unwrap();
    let settings = logs::Settings { since, ..logs::Settings::default() };
    let (_keep, stop) = watch::channel(false);
    let telemetry = Arc::new(Telemetry::new());
    ingest(group, &place.path(), settings, &telemetry, stop).await.unwrap()
}

async fn drain(logs: &Logs, place: &Place) -> Summary {
    let summary = drain_since(logs, place, None).await;
    assert_eq!(summary.failures, [""; 0]);
    summary
}

fn minutes_ago(minutes: i64) -> String {
    format_ms(NOW - minutes * MINUTE)
}

#[tokio::test]
async fn a_group_is_drained_page_by_page_and_read_on_from_the_cursor() {
    let (logs, place) = (Logs::new(10), Place::new());
    // one a minute: 25 of them, the newest five minutes old
    (0..25).for_each(|trace| logs.sent(trace, 5 + i64::try_from(trace).unwrap()));
    // each is taken once, though the drain looks again whether there is more
    assert_eq!(drain(&logs, &place).await.counts.messages, 25);
    assert_eq!(place.traces().await.len(), 25);
    assert_eq!(place.cursor(), Some(minutes_ago(5)));
    let row = rows(&place.path()).await.remove(0);
    assert_eq!((&row["account"], &row["region"]), (&json!("123456789012"), &json!("us-east-1")));
    assert_eq!(row["origin"], json!(format!("cloudwatch-logs:{NAME}")));
    assert_eq!(row["source"], "anna@example.com");

    // a run from the cursor takes the overlap again, and what came late in it
    logs.asked();
    logs.sent(100, 15);
    logs.sent(101, 1);
    let again = drain(&logs, &place).await;
    assert_eq!(again.counts.messages, 16 + 2);
    assert_eq!(place.traces().await.len(), 27);
    assert_eq!(place.cursor(), Some(minutes_ago(1)));
    let asked = logs.asked();
    assert_eq!(asked[1]["startTime"], NOW - 20 * MINUTE, "{asked:?}");
}

#[tokio::test]
async fn a_first_run_begins_where_it_is_told() {
    let (logs, place) = (Logs::new(10), Place::new());
    (0..10).for_each(|trace| logs.sent(trace, 60 * i64::try_from(trace).unwrap()));
    drain_since(&logs, &place, Some(NOW - 150 * MINUTE)).await;
    assert_eq!(place.traces().await.len(), 3);
    // the cursor knows better from then on
    logs.sent(20, 140);
    drain_since(&logs, &place, Some(NOW - 600 * MINUTE)).await;
    assert_eq!(place.traces().await.len(), 3);
}

#[tokio::test]
async fn what_cannot_be_stored_does_not_move_the_cursor() {
    let (logs, place) = (Logs::new(10), Place::new());
    (0..25).for_each(|trace| logs.sent(trace, 5 + i64::try_from(trace).unwrap()));
    let day = format!("events/date={}", format_ms(NOW).get(..10).unwrap());
    std::fs::create_dir_all(place.path().join("events")).unwrap();
    std::fs::write(place.path().join(&day), "a file where the day should be").unwrap();
    let group = logs.open(ARN).await.unwrap();
    let (_keep, stop) = watch::channel(false);
    let telemetry = Arc::new(Telemetry::new());
    let settings = logs::Settings { follow: true, since: None };
    let failed = ingest(group, &place.path(), settings, &telemetry, stop).await;
    assert!(matches!(failed, Err(IngestError::Store(_))), "{failed:?}");
    assert_eq!(place.cursor(), None);

    std::fs::remove_file(place.path().join(&day)).unwrap();
    drain(&logs, &place).await;
    assert_eq!(place.traces().await.len(), 25);
    assert_eq!(place.cursor(), Some(minutes_ago(5)));
}

#[tokio::test]
async fn a_line_that_cannot_be_read_is_set_aside_alone() {
    let (logs, place) = (Logs::new(10), Place::new());
    logs.sent(1, 3);
    logs.line("START RequestId: 1", 2);
    logs.line("{\"traceId\":\"cut off", 2);
    logs.sent(2, 1);
    let summary = drain(&logs, &place).await;
    assert_eq!((summary.counts.rows, summary.counts.quarantined_total()), (2, 2));
    assert_eq!(place.cursor(), Some(minutes_ago(1)));
}

#[tokio::test]
async fn a_clock_that_runs_ahead_does_not_carry_the_cursor_along() {
    let (logs, place) = (Logs::new(10), Place::new());
    logs.sent(1, 3);
    logs.sent(2, -90);
    drain(&logs, &place).await;
    assert_eq!(place.cursor(), Some(minutes_ago(0)));
    assert_eq!(place.traces().await.len(), 2);
}

#[tokio::test]
async fn failures_that_pass_are_waited_for_and_an_old_token_begins_the_pull_again() {
    let (logs, place) = (Logs::new(10), Place::new());
    (0..25).for_each(|trace| logs.sent(trace, 5 + i64::try_from(trace).unwrap()));
    let group = logs.open(ARN).await.unwrap();
    logs.fail_with(&["ThrottlingException", "ExpiredTokenException", OLD_TOKEN]);
    let telemetry = Arc::new(Telemetry::new());
    let (ask, stop) = watch::channel(false);
    let running = tokio::spawn({
        let (store, telemetry) = (place.path(), Arc::clone(&telemetry));
        async move {
            let settings = logs::Settings { follow: true, since: None };
            ingest(group, &store, settings, &telemetry, stop).await
        }
    });
    while telemetry.received.get() < 25 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    ask.send_replace(true);
    let summary = running.await.unwrap().unwrap();
    assert_eq!((summary.counts.messages, summary.counts.rows), (25, 25));
    assert_eq!(place.traces().await.len(), 25);
    assert_eq!(place.cursor(), Some(minutes_ago(5)));
    let asked = logs.asked();
    assert!(asked.iter().all(|asked| asked["logGroupIdentifier"] == ARN), "{asked:?}");
    let begins = asked.iter().filter(|asked| asked["nextToken"].is_null()).count();
    assert_eq!(begins, 4, "the first, the two after it failed, and the one after the old token");
}

#[tokio::test]
async fn a_drain_gives_up_on_what_does_not_pass() {
    let (logs, place) = (Logs::new(10), Place::new());
    logs.sent(1, 3);
    let group = logs.open(ARN).await.unwrap();
    logs.fail_with(&["AccessDeniedException"]);
    let (_keep, stop) = watch::channel(false);
    let telemetry = Arc::new(Telemetry::new());
    let denied = ingest(group, &place.path(), logs::Settings::default(), &telemetry, stop).await;
    let failures = denied.unwrap().failures.join("\n");
    assert!(failures.contains("access to the log group is denied"), "{failures}");
    assert!(failures.contains("hint: allow logs:FilterLogEvents"), "{failures}");
    assert_eq!(logs.asked().len(), 1, "what is denied is not asked for again");
}

#[tokio::test]
async fn groups_that_are_not_there_or_not_ours_are_told() {
    let logs = Logs::new(10);
    let told = async |word: &str| logs.open(word).await.unwrap_err().to_string();
    let missing = told("cloudwatch-logs:/aws/workmail/emailevents").await;
    assert!(missing.contains("no such log group") && missing.contains("hint:"), "{missing}");
    for word in ["cloudwatch-logs:", "arn:aws:logs:us-east-1:1:destination:x"] {
        assert!(told(word).await.contains("not a log group"), "{word}");
    }
    logs.fail_with(&["AccessDeniedException"]);
    let denied = told("cloudwatch-logs:/aws/workmail/emailevents/shop").await;
    assert!(denied.contains("allow logs:DescribeLogGroups"), "{denied}");
}
