//! SQS against the consumer: failures, throttling, denied access, expired credentials and partial responses.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_types::body::SdkBody;
use bouncewatch_ingest::pipeline::{
    BatchLimits, IngestSettings, IngestSummary, IntakeRules, Source, run,
};
use bouncewatch_ingest::replay::replay_quarantine;
use bouncewatch_ingest::source::sqs::{Queue, QueueError, QueueSettings};
use bouncewatch_ingest::telemetry::metrics::Telemetry;
use bouncewatch_store::Store;
use bouncewatch_store::aws::Buckets;
use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::blocking_store::BlockingStore;
use crate::scripted_sqs::{CallObserver, Script, error, messages};

const URL: &str = "https://sqs.us-east-1.amazonaws.com/123456789012/bounces";

/// Timeout of a run that must end by itself.
pub(crate) const RUN_TIMEOUT: Duration = Duration::from_mins(2);

fn ignore_calls() -> CallObserver {
    Box::new(|_, _| {})
}

/// Stops the run at its first delete call.
fn stop_at_first_delete() -> (CallObserver, watch::Receiver<bool>) {
    let (sender, stop) = watch::channel(false);
    let observer = Box::new(move |action: &str, _: &Value| {
        if action == "DeleteMessageBatch" {
            sender.send_replace(true);
        }
    });
    (observer, stop)
}

/// Runs until the queue is drained or `stop` is true.
async fn ingest(
    script: &Arc<Script>,
    store: Store,
    queue_settings: QueueSettings,
    stop: watch::Receiver<bool>,
) -> IngestSummary {
    let queue = Queue::open(&script.config(), URL, &Telemetry::new()).await.unwrap();
    // a drain flushes its last batch without waiting for the batch age
    let age_max =
        if queue_settings.follow { Duration::from_millis(50) } else { Duration::from_hours(1) };
    let limits = BatchLimits { age_max, ..BatchLimits::default() };
    let settings =
        IngestSettings { workers: 1, limits, queue: queue_settings, ..IngestSettings::default() };
    let sources = vec![Source::Queue(Box::new(queue))];
    let clock = Arc::new(|| 1_800_000_000_000);
    let ended = run(sources, store, settings, clock, Arc::new(Telemetry::new()), stop);
    tokio::time::timeout(RUN_TIMEOUT, ended).await.expect("the run ends").unwrap()
}

async fn ingest_into_folder(
    script: &Arc<Script>,
    follow: bool,
    stop: watch::Receiver<bool>,
) -> IngestSummary {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_folder(folder.path()).unwrap();
    ingest(script, store, QueueSettings { follow, ..QueueSettings::default() }, stop).await
}

async fn drain(script: &Arc<Script>) -> IngestSummary {
    let (_keep, stop) = watch::channel(false);
    ingest_into_folder(script, false, stop).await
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_calls_are_retried() {
    let script = Script::new(
        vec![
            error("ReceiveMessage", 503, "ServiceUnavailable"),
            error("ReceiveMessage", 400, "RequestThrottled"),
            messages(&["a", "b"]),
            error("DeleteMessageBatch", 500, "InternalError"),
        ],
        ignore_calls(),
    );
    let summary = drain(&script).await;
    assert_eq!((summary.counts.deleted, summary.counts.delete_failed), (2, 0), "{summary:?}");
    assert!(summary.failures.is_empty(), "{summary:?}");
    // one call with both, or two calls of which the first failed
    assert!((3..=4).contains(&script.handles("DeleteMessageBatch").len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_failed_entries_of_a_delete_call_are_retried() {
    let script = Script::with_failing_deletes(
        vec![messages(&["a", "b", "c"])],
        // named as failed, and in neither list of the response
        vec![("handle-b", true), ("handle-c", false)],
        ignore_calls(),
    );
    let summary = drain(&script).await;
    assert_eq!((summary.counts.deleted, summary.counts.delete_failed), (3, 0), "{summary:?}");
    let mut handles = script.handles("DeleteMessageBatch");
    handles.sort();
    assert_eq!(handles, ["handle-a", "handle-b", "handle-b", "handle-c", "handle-c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_receive_ends_the_run_after_one_call() {
    let script = Script::new(vec![error("ReceiveMessage", 403, "AccessDenied")], ignore_calls());
    let summary = drain(&script).await;
    assert_eq!(summary.failures.len(), 1, "{summary:?}");
    assert!(summary.failures[0].contains("denied: sqs:ReceiveMessage on"), "{summary:?}");
    assert_eq!(script.calls("ReceiveMessage"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_delete_ends_a_following_run() {
    let script = Script::new(
        vec![messages(&["a"]), error("DeleteMessageBatch", 403, "AccessDenied")],
        ignore_calls(),
    );
    let (_keep, stop) = watch::channel(false);
    let summary = ingest_into_folder(&script, true, stop).await;
    assert!(summary.failures[0].contains("denied: sqs:DeleteMessage on"), "{summary:?}");
    assert_eq!(summary.counts.delete_failed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_run_does_not_wait_for_a_failed_network() {
    let (observer, stop) = stop_at_first_delete();
    let unavailable = || error("DeleteMessageBatch", 503, "ServiceUnavailable");
    let mut responses = vec![messages(&["a"])];
    responses.extend((0..10).map(|_| unavailable()));
    let script = Script::new(responses, observer);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_folder(folder.path()).unwrap();
    let settings =
        QueueSettings { follow: true, last_deletes: Duration::ZERO, ..QueueSettings::default() };
    let summary = ingest(&script, store, settings, stop).await;
    assert_eq!((summary.counts.deleted, summary.counts.delete_failed), (0, 1), "{summary:?}");
    assert!(
        script.calls("DeleteMessageBatch") <= 2,
        "no further retry: the message becomes visible again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_run_does_not_wait_for_a_failed_store() {
    let (sender, stop) = watch::channel(false);
    let calls = AtomicU32::new(0);
    // at the second poll the first message is in the batch or in the intake
    let second_poll = Box::new(move |action: &str, _: &Value| {
        if action == "ReceiveMessage" && calls.fetch_add(1, Ordering::Relaxed) == 1 {
            sender.send_replace(true);
        }
    });
    let script = Script::new(vec![messages(&["a"])], second_poll);
    let queue = Queue::open(&script.config(), URL, &Telemetry::new()).await.unwrap();
    let (gate, _closed) = BlockingStore::new();
    let store = Store::in_objects(Arc::new(gate), "", "s3://gone");
    let limits = BatchLimits { last_flush: Duration::ZERO, ..BatchLimits::default() };
    let queue_settings = QueueSettings { follow: true, ..QueueSettings::default() };
    let settings =
        IngestSettings { workers: 1, limits, queue: queue_settings, ..IngestSettings::default() };
    let sources = vec![Source::Queue(Box::new(queue))];
    let clock = Arc::new(|| 1_800_000_000_000);
    let ended = run(sources, store, settings, clock, Arc::new(Telemetry::new()), stop);
    let error = tokio::time::timeout(RUN_TIMEOUT, ended).await.expect("the run ends").unwrap_err();
    assert!(error.to_string().starts_with("`s3://gone` did not respond within 0 s"), "{error}");
    assert_eq!(script.calls("DeleteMessageBatch"), 0, "the message becomes visible again");
}

#[tokio::test(flavor = "multi_thread")]
async fn following_run_retries_expired_credentials() {
    let (observer, stop) = stop_at_first_delete();
    let script = Script::new(
        vec![
            error("ReceiveMessage", 403, "ExpiredToken"),
            error("ReceiveMessage", 403, "ExpiredToken"),
            messages(&["a"]),
        ],
        observer,
    );
    let summary = ingest_into_folder(&script, true, stop).await;
    assert!(summary.failures.is_empty(), "{summary:?}");
    assert_eq!(summary.counts.deleted, 1);
}

#[tokio::test]
async fn errors_of_open_have_a_hint() {
    for (code, hint) in [
        ("QueueDoesNotExist", "aws sqs list-queues"),
        ("ExpiredToken", "aws sts get-caller-identity"),
        ("UnrecognizedClientException", "aws sts get-caller-identity"),
    ] {
        let script = Script::new(vec![error("GetQueueAttributes", 400, code)], ignore_calls());
        let failed: QueueError =
            Queue::open(&script.config(), URL, &Telemetry::new()).await.unwrap_err();
        assert!(failed.to_string().contains(hint), "{code}: {failed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn visibility_is_extended_while_the_store_is_slow() {
    let (gate, opener) = BlockingStore::new();
    // the store continues after the first extension
    let observer = Box::new(move |action: &str, body: &Value| {
        if action == "ChangeMessageVisibilityBatch" {
            assert_eq!(body["Entries"][0]["ReceiptHandle"], "handle-a");
            assert_eq!(body["Entries"][0]["VisibilityTimeout"], 2);
            opener.send_replace(true);
        }
    });
    let script = Script::new(vec![messages(&["a"])], observer);
    let store = Store::in_objects(Arc::new(gate), "", "slow");
    let (_keep, stop) = watch::channel(false);
    let visibility = Duration::from_secs(2);
    let settings = QueueSettings { visibility, ..QueueSettings::default() };
    let summary = ingest(&script, store, settings, stop).await;
    assert_eq!(summary.counts.deleted, 1, "{summary:?}");
    assert!(script.calls("ChangeMessageVisibilityBatch") >= 1);
}

/// A connection can stall in the middle of a response without an error.
#[tokio::test(start_paused = true)]
async fn stalled_response_times_out() {
    let never_ends = |_: http::Request<SdkBody>| {
        let frames = futures::stream::pending::<Result<Frame<Bytes>, Infallible>>();
        http::Response::new(SdkBody::from_body_1_x(StreamBody::new(frames)))
    };
    let script = Script::new(vec![], ignore_calls());
    let config = script.config().to_builder().http_client(infallible_client_fn(never_ends));
    let telemetry = Telemetry::new();
    let config = config.build();
    let opened = tokio::time::timeout(RUN_TIMEOUT, Queue::open(&config, URL, &telemetry)).await;
    let error = opened.expect("the call times out").unwrap_err().to_string();
    assert!(error.contains("sqs:GetQueueAttributes failed: "), "{error}");
}

/// Invariant I-8: errors of the SDK contain the unreadable response.
#[tokio::test]
async fn error_of_an_unreadable_response_contains_no_address() {
    let response = json!({"Attributes": "ann@example.org"});
    let script = Script::new(vec![("GetQueueAttributes", 200, response)], ignore_calls());
    let error = Queue::open(&script.config(), URL, &Telemetry::new()).await.unwrap_err();
    let error = error.to_string();
    assert!(error.contains("sqs:GetQueueAttributes failed: ") && !error.contains('@'), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_and_billed_requests_are_counted() {
    let large = "x".repeat(100_000);
    let script = Script::new(
        vec![
            messages(&["a", "b"]),
            error("ReceiveMessage", 503, "ServiceUnavailable"),
            messages(&[&large]),
        ],
        ignore_calls(),
    );
    let telemetry = Arc::new(Telemetry::new());
    let queue = Queue::open(&script.config(), URL, &telemetry).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_folder(folder.path()).unwrap();
    let (_keep, stop) = watch::channel(false);
    let sources = vec![Source::Queue(Box::new(queue))];
    let clock = Arc::new(|| 1_800_000_000_000);
    let settings = IngestSettings { workers: 1, ..IngestSettings::default() };
    run(sources, store, settings, clock, Arc::clone(&telemetry), stop).await.unwrap();
    let made = |action: &str| u64::try_from(script.calls(action)).unwrap();
    let counted = telemetry.aws.by_action();
    assert_eq!(counted["sqs:ReceiveMessage"], made("ReceiveMessage"));
    assert_eq!(counted["sqs:DeleteMessage"], made("DeleteMessageBatch"));
    assert_eq!(counted["sqs:GetQueueAttributes"], made("GetQueueAttributes"));
    // SQS charges 100,000 bytes as two requests
    let billed = telemetry.aws.billed_requests();
    assert_eq!((billed.standard, billed.fifo), (counted.values().sum::<u64>() + 1, 0));
    // the gauges of an ended queue are empty
    assert_eq!((telemetry.in_flight.sum(), telemetry.receivers.sum()), (0, 0));
    assert_eq!(telemetry.oldest_message_age.max(), None);
}

fn attributes(visible: u32, in_flight: u32) -> (&'static str, u16, Value) {
    let attributes = json!({"ApproximateNumberOfMessages": visible.to_string(),
        "ApproximateNumberOfMessagesNotVisible": in_flight.to_string(), "VisibilityTimeout": "600"});
    ("GetQueueAttributes", 200, json!({"Attributes": attributes}))
}

#[tokio::test(flavor = "multi_thread")]
async fn drain_reports_messages_in_flight_elsewhere() {
    // at the start, at the end of the drain, and after it
    let script =
        Script::new(vec![attributes(0, 7), attributes(0, 7), attributes(0, 7)], ignore_calls());
    let summary = drain(&script).await;
    let in_flight = summary.in_flight.unwrap();
    assert_eq!((in_flight.messages, in_flight.is_denied), (7, false));
    // the queue has a longer timeout than the run
    assert_eq!(in_flight.visible_by, Some(1_800_000_600_000));
    assert!(summary.failures.is_empty(), "{summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn own_messages_are_not_in_flight_elsewhere() {
    // SQS counts the deleted message once more
    let script = Script::new(
        vec![attributes(1, 0), messages(&["a"]), attributes(0, 1), attributes(0, 1)],
        ignore_calls(),
    );
    let summary = drain(&script).await;
    assert_eq!(summary.counts.deleted, 1, "{summary:?}");
    assert_eq!(summary.in_flight.map(|in_flight| in_flight.messages), Some(0), "{summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn drain_without_permission_for_attributes_has_a_note_and_no_failure() {
    let denied = || error("GetQueueAttributes", 403, "AccessDeniedException");
    let mut responses = vec![messages(&["a"])];
    responses.extend((0..20).map(|_| denied()));
    let script = Script::new(responses, ignore_calls());
    let summary = drain(&script).await;
    assert!(summary.failures.is_empty(), "{summary:?}");
    assert_eq!(summary.counts.deleted, 1);
    assert!(summary.in_flight.is_some_and(|in_flight| in_flight.is_denied), "{summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn drain_waits_for_messages_in_flight_elsewhere() {
    let empty = || ("ReceiveMessage", 200, json!({}));
    let script = Script::new(
        vec![
            attributes(0, 1),
            empty(),
            empty(),
            // the other consumer was killed; its message becomes visible
            attributes(0, 1),
            messages(&["a"]),
        ],
        ignore_calls(),
    );
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_folder(folder.path()).unwrap();
    let settings = QueueSettings { wait_in_flight: true, ..QueueSettings::default() };
    let (_keep, stop) = watch::channel(false);
    let summary = ingest(&script, store, settings, stop).await;
    assert_eq!(summary.counts.deleted, 1, "{summary:?}");
    assert_eq!(summary.in_flight.map(|in_flight| in_flight.messages), Some(0), "{summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn message_with_another_md5_stays_in_the_queue() {
    let message = |body: &str, hash: &str| json!({"Body": body, "MD5OfBody": hash, "ReceiptHandle": format!("handle-{body}")});
    let received = json!({"Messages": [message("a", "0cc175b9c0f1b6a831c399e269772661"), message("b", "0cc175b9c0f1b6a831c399e269772661")]});
    let script = Script::new(vec![("ReceiveMessage", 200, received)], ignore_calls());
    let summary = drain(&script).await;
    assert_eq!((summary.counts.deleted, summary.counts.left), (1, 1), "{summary:?}");
    assert_eq!(script.handles("DeleteMessageBatch"), ["handle-a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unsigned_message_is_quarantined_and_a_replay_does_not_accept_it() {
    let event = json!({"eventType": "Send", "mail": {"timestamp": "2026-11-19T10:00:00.000Z", "messageId": "m1", "destination": ["ann@example.org"]}, "send": {}});
    let script = Script::new(vec![messages(&[&event.to_string()])], ignore_calls());
    let queue = Queue::open(&script.config(), URL, &Telemetry::new()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_folder(folder.path()).unwrap();
    let (_keep, stop) = watch::channel(false);
    let rules = IntakeRules { verifier: Some(Arc::default()), ..IntakeRules::default() };
    let settings = IngestSettings { workers: 1, rules: rules.clone(), ..IngestSettings::default() };
    let sources = vec![Source::Queue(Box::new(queue))];
    let clock = Arc::new(|| 1_800_000_000_000);
    let telemetry = Arc::new(Telemetry::new());
    let summary = run(sources, store.clone(), settings, clock, telemetry, stop).await.unwrap();
    let quarantined = [("signature_invalid", 1)].into();
    assert_eq!((summary.counts.events, &summary.counts.quarantined), (0, &quarantined));
    assert_eq!(summary.counts.deleted, 1);
    let replay = async |rules| {
        let buckets = Buckets::new(script.config());
        replay_quarantine(&store, buckets, rules, 1_800_000_000_000).await.unwrap()
    };
    let counts = replay(rules).await;
    assert_eq!((counts.events, &counts.quarantined), (0, &quarantined));
    // without the check it is an event like any other
    assert_eq!(replay(IntakeRules::default()).await.events, 1);
}
