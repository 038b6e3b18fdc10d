//! What a queue may do to a consumer: fail, throttle, deny, forget, and answer half.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_types::body::SdkBody;
use bouncewatch_ingest::pipeline::{BatchLimits, Settings, Source, Summary, run};
use bouncewatch_ingest::source::sqs::{self, Queue, QueueError};
use bouncewatch_ingest::telemetry::metrics::Telemetry;
use bouncewatch_store::Store;
use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::gate::Gate;
use crate::scripted::{Script, Watch, error, messages};

const URL: &str = "https://sqs.us-east-1.amazonaws.com/123456789012/bounces";

/// How long a test waits for a run that should end by itself.
pub(crate) const GIVE_UP: Duration = Duration::from_mins(2);

fn nothing() -> Watch {
    Box::new(|_, _| {})
}

/// Asks the run to end when it begins to delete.
fn until_a_delete() -> (Watch, watch::Receiver<bool>) {
    let (ask, stop) = watch::channel(false);
    let watch = Box::new(move |action: &str, _: &Value| {
        if action == "DeleteMessageBatch" {
            ask.send_replace(true);
        }
    });
    (watch, stop)
}

/// Runs until the queue is empty, or `stop` says so.
async fn ingest(
    script: &Arc<Script>,
    store: Store,
    queue_settings: sqs::Settings,
    stop: watch::Receiver<bool>,
) -> Summary {
    let queue = Queue::open(&script.config(), URL, &Telemetry::new()).await.unwrap();
    // a drain never waits for its last batch to grow old
    let age_max =
        if queue_settings.follow { Duration::from_millis(50) } else { Duration::from_hours(1) };
    let limits = BatchLimits { age_max, ..BatchLimits::default() };
    let settings = Settings { workers: 1, limits, queue: queue_settings, ..Settings::default() };
    let sources = vec![Source::Queue(Box::new(queue))];
    let clock = Arc::new(|| 1_800_000_000_000);
    let ended = run(sources, store, settings, clock, Arc::new(Telemetry::new()), stop);
    tokio::time::timeout(GIVE_UP, ended).await.expect("the run ends").unwrap()
}

async fn in_a_folder(script: &Arc<Script>, follow: bool, stop: watch::Receiver<bool>) -> Summary {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_folder(folder.path()).unwrap();
    ingest(script, store, sqs::Settings { follow, ..sqs::Settings::default() }, stop).await
}

async fn drained(script: &Arc<Script>) -> Summary {
    let (_keep, stop) = watch::channel(false);
    in_a_folder(script, false, stop).await
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_calls_are_tried_again() {
    let script = Script::new(
        vec![
            error("ReceiveMessage", 503, "ServiceUnavailable"),
            error("ReceiveMessage", 400, "RequestThrottled"),
            messages(&["a", "b"]),
            error("DeleteMessageBatch", 500, "InternalError"),
        ],
        nothing(),
    );
    let summary = drained(&script).await;
    assert_eq!((summary.counts.deleted, summary.counts.delete_failed), (2, 0), "{summary:?}");
    assert!(summary.failures.is_empty(), "{summary:?}");
    // both in one call, or in two of which the first failed
    assert!((3..=4).contains(&script.handles("DeleteMessageBatch").len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_fail_are_deleted_again_and_only_those() {
    let script = Script::unwilling(
        vec![messages(&["a", "b", "c"])],
        // what an answer does not name is not known to be deleted
        vec![("handle-b", true), ("handle-c", false)],
        nothing(),
    );
    let summary = drained(&script).await;
    assert_eq!((summary.counts.deleted, summary.counts.delete_failed), (3, 0), "{summary:?}");
    let mut handles = script.handles("DeleteMessageBatch");
    handles.sort();
    assert_eq!(handles, ["handle-a", "handle-b", "handle-b", "handle-c", "handle-c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_receive_is_told_at_once() {
    let script = Script::new(vec![error("ReceiveMessage", 403, "AccessDenied")], nothing());
    let summary = drained(&script).await;
    assert_eq!(summary.failures.len(), 1, "{summary:?}");
    assert!(summary.failures[0].contains("denied: sqs:ReceiveMessage on"), "{summary:?}");
    assert_eq!(script.calls("ReceiveMessage"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_delete_does_not_store_the_same_for_ever() {
    let script = Script::new(
        vec![messages(&["a"]), error("DeleteMessageBatch", 403, "AccessDenied")],
        nothing(),
    );
    let (_keep, stop) = watch::channel(false);
    let summary = in_a_folder(&script, true, stop).await;
    assert!(summary.failures[0].contains("denied: sqs:DeleteMessage on"), "{summary:?}");
    assert_eq!(summary.counts.delete_failed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shall_end_does_not_wait_for_a_network_that_is_gone() {
    let (ended, stop) = until_a_delete();
    let gone = || error("DeleteMessageBatch", 503, "ServiceUnavailable");
    let mut answers = vec![messages(&["a"])];
    answers.extend((0..10).map(|_| gone()));
    let script = Script::new(answers, ended);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_folder(folder.path()).unwrap();
    let settings =
        sqs::Settings { follow: true, last_deletes: Duration::ZERO, ..sqs::Settings::default() };
    let summary = ingest(&script, store, settings, stop).await;
    assert_eq!((summary.counts.deleted, summary.counts.delete_failed), (0, 1), "{summary:?}");
    assert!(script.calls("DeleteMessageBatch") <= 2, "it tried no more: the message comes again");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shall_end_does_not_wait_for_a_store_that_is_gone() {
    let (ask, stop) = watch::channel(false);
    let calls = AtomicU32::new(0);
    // with the second poll the first message is in the batch, or about to be
    let second_poll = Box::new(move |action: &str, _: &Value| {
        if action == "ReceiveMessage" && calls.fetch_add(1, Ordering::Relaxed) == 1 {
            ask.send_replace(true);
        }
    });
    let script = Script::new(vec![messages(&["a"])], second_poll);
    let queue = Queue::open(&script.config(), URL, &Telemetry::new()).await.unwrap();
    let (gate, _closed) = Gate::new();
    let store = Store::in_objects(Arc::new(gate), "", "s3://gone");
    let limits = BatchLimits { last_flush: Duration::ZERO, ..BatchLimits::default() };
    let queue_settings = sqs::Settings { follow: true, ..sqs::Settings::default() };
    let settings = Settings { workers: 1, limits, queue: queue_settings, ..Settings::default() };
    let sources = vec![Source::Queue(Box::new(queue))];
    let clock = Arc::new(|| 1_800_000_000_000);
    let ended = run(sources, store, settings, clock, Arc::new(Telemetry::new()), stop);
    let error = tokio::time::timeout(GIVE_UP, ended).await.expect("the run ends").unwrap_err();
    assert!(error.to_string().starts_with("`s3://gone` did not answer within 0 s"), "{error}");
    assert_eq!(script.calls("DeleteMessageBatch"), 0, "the message comes again");
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_credentials_are_waited_for_by_a_follower() {
    let (ended, stop) = until_a_delete();
    let script = Script::new(
        vec![
            error("ReceiveMessage", 403, "ExpiredToken"),
            error("ReceiveMessage", 403, "ExpiredToken"),
            messages(&["a"]),
        ],
        ended,
    );
    let summary = in_a_folder(&script, true, stop).await;
    assert!(summary.failures.is_empty(), "{summary:?}");
    assert_eq!(summary.counts.deleted, 1);
}

#[tokio::test]
async fn what_is_wrong_at_the_start_has_its_way_out() {
    for (code, hint) in [
        ("AccessDeniedException", "allow sqs:GetQueueAttributes"),
        ("QueueDoesNotExist", "aws sqs list-queues"),
        ("ExpiredToken", "aws sts get-caller-identity"),
        ("UnrecognizedClientException", "aws sts get-caller-identity"),
    ] {
        let script = Script::new(vec![error("GetQueueAttributes", 400, code)], nothing());
        let failed: QueueError =
            Queue::open(&script.config(), URL, &Telemetry::new()).await.unwrap_err();
        assert!(failed.to_string().contains(hint), "{code}: {failed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_stay_hidden_while_the_store_is_slow() {
    let (gate, opener) = Gate::new();
    // the store goes on when the message was hidden again, and not before
    let watching = Box::new(move |action: &str, body: &Value| {
        if action == "ChangeMessageVisibilityBatch" {
            assert_eq!(body["Entries"][0]["ReceiptHandle"], "handle-a");
            assert_eq!(body["Entries"][0]["VisibilityTimeout"], 2);
            opener.send_replace(true);
        }
    });
    let script = Script::new(vec![messages(&["a"])], watching);
    let store = Store::in_objects(Arc::new(gate), "", "slow");
    let (_keep, stop) = watch::channel(false);
    let visibility = Duration::from_secs(2);
    let settings = sqs::Settings { visibility, ..sqs::Settings::default() };
    let summary = ingest(&script, store, settings, stop).await;
    assert_eq!(summary.counts.deleted, 1, "{summary:?}");
    assert!(script.calls("ChangeMessageVisibilityBatch") >= 1);
}

/// A connection may die in the middle of an answer, and never say so.
#[tokio::test(start_paused = true)]
async fn an_answer_that_never_ends_is_given_up() {
    let never_ends = |_: http::Request<SdkBody>| {
        let pieces = futures::stream::pending::<Result<Frame<Bytes>, Infallible>>();
        http::Response::new(SdkBody::from_body_1_x(StreamBody::new(pieces)))
    };
    let script = Script::new(vec![], nothing());
    let config = script.config().to_builder().http_client(infallible_client_fn(never_ends));
    let telemetry = Telemetry::new();
    let config = config.build();
    let opened = tokio::time::timeout(GIVE_UP, Queue::open(&config, URL, &telemetry)).await;
    let told = opened.expect("it is given up").unwrap_err().to_string();
    assert!(told.contains("sqs:GetQueueAttributes failed: "), "{told}");
}

/// Invariant I-8: the SDK's errors hold the answer that could not be read.
#[tokio::test]
async fn an_answer_that_cannot_be_read_names_nobody() {
    let answer = json!({"Attributes": "ann@example.org"});
    let script = Script::new(vec![("GetQueueAttributes", 200, answer)], nothing());
    let error = Queue::open(&script.config(), URL, &Telemetry::new()).await.unwrap_err();
    let told = error.to_string();
    assert!(told.contains("sqs:GetQueueAttributes failed: ") && !told.contains('@'), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_counted_as_they_are_made_and_charged() {
    let large = "x".repeat(100_000);
    let script = Script::new(
        vec![
            messages(&["a", "b"]),
            error("ReceiveMessage", 503, "ServiceUnavailable"),
            messages(&[&large]),
        ],
        nothing(),
    );
    let telemetry = Arc::new(Telemetry::new());
    let queue = Queue::open(&script.config(), URL, &telemetry).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_folder(folder.path()).unwrap();
    let (_keep, stop) = watch::channel(false);
    let sources = vec![Source::Queue(Box::new(queue))];
    let clock = Arc::new(|| 1_800_000_000_000);
    let settings = Settings { workers: 1, ..Settings::default() };
    run(sources, store, settings, clock, Arc::clone(&telemetry), stop).await.unwrap();
    let made = |action: &str| u64::try_from(script.calls(action)).unwrap();
    let counted = telemetry.calls_by_action();
    assert_eq!(counted["sqs:ReceiveMessage"], made("ReceiveMessage"));
    assert_eq!(counted["sqs:DeleteMessage"], made("DeleteMessageBatch"));
    assert_eq!(counted["sqs:GetQueueAttributes"], made("GetQueueAttributes"));
    // 100,000 bytes are charged as two requests
    let billed = telemetry.billed_requests();
    assert_eq!((billed.standard, billed.fifo), (counted.values().sum::<u64>() + 1, 0));
    // who is gone holds nothing any more
    assert_eq!((telemetry.held.sum(), telemetry.receivers.sum()), (0, 0));
    assert_eq!(telemetry.oldest_message_age.max(), None);
}
