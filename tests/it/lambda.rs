//! Functions of AWS Lambda: nothing is lost or counted twice, and only failed messages come again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use bouncewatch_fixtures::random::SplitMix64;
use serde_json::{Value, json};

use crate::command::{CommandOutput, Workspace};
use crate::emulator::CREDENTIALS;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::messages::{Message, NOW, message, sent_and_bounced};
use crate::runtime_api::{Function, bootstrap};
use crate::s3::server;

/// Days, and times of events on them.
const DAYS: [(&str, &str); 3] = [
    ("2026-11-17", "2026-11-17T12:00:00.000Z"),
    ("2026-11-18", "2026-11-18T12:00:00.000Z"),
    ("2026-11-19", "2026-11-19T12:00:00.000Z"),
];
/// Each 20th message cannot be read.
const POISON_STEP: usize = 20;

/// A message of the queue, and the part of the store that makes it durable.
#[derive(Clone)]
struct Sent {
    id: String,
    body: String,
    part: String,
}

/// Returns messages of three days; 5 % cannot be read, 7 % of the others bounce.
fn queue(count: usize) -> VecDeque<Sent> {
    let one = |number: usize| {
        let (day, at) = DAYS[number % DAYS.len()];
        let message = Message { at, ..message(number / 2) };
        let (body, part) = match number {
            number if number % POISON_STEP == 0 => {
                (format!("{{\"poison\": {number}"), "quarantine/".to_owned())
            }
            number if number % 14 == 1 => (message.bounce(), format!("events/date={day}/")),
            _ => (message.send(), format!("events/date={day}/")),
        };
        Sent { id: format!("id-{number}"), body, part }
    };
    (0..count).map(one).collect()
}

fn record(sent: &Sent) -> Value {
    json!({"messageId": sent.id, "body": sent.body, "eventSource": "aws:sqs", "receiptHandle": "r",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:ses", "attributes": {}})
}

fn failures(response: &Value) -> BTreeSet<String> {
    let failures = response["batchItemFailures"].as_array().unwrap().iter();
    failures.map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect()
}

/// Runs a command on the store in the bucket.
fn run(workspace: &Workspace, url: &str, arguments: &str) -> CommandOutput {
    let mut command = workspace.command(arguments);
    command.args(["--endpoint-url", url]).envs(CREDENTIALS);
    CommandOutput::from(command.output().unwrap())
}

/// Of the writes of a store, 15 % are refused, 5 % are done and then refused, and 1 % must be repeated.
fn faults() -> impl FnMut(&str, &str) -> Fault + Send + 'static {
    let mut random = SplitMix64::new(7);
    move |method, path| {
        let chance = random.index(100);
        match chance {
            _ if method != "PUT" => Fault::None,
            0..15 => Fault::Refuse,
            15..20 if path.contains("/events/") => Fault::RefuseDone,
            20 => Fault::Busy,
            _ => Fault::None,
        }
    }
}

/// Parts of the store for which the last write in these requests failed.
fn failed_parts(requests: &[(String, String, Fault)]) -> BTreeSet<String> {
    let failed =
        requests.iter().filter(|(_, _, fault)| matches!(fault, Fault::Refuse | Fault::RefuseDone));
    let part = |path: &str| {
        let path = path.strip_prefix("/stores/queue/").unwrap().replace("%3D", "=");
        let end = if path.starts_with("events/") { 2 } else { 1 };
        path.split_inclusive('/').take(end).collect()
    };
    failed.map(|(_, path, _)| part(path)).collect()
}

#[test]
fn only_messages_that_are_not_durable_come_again() {
    let count = std::env::var("BOUNCEWATCH_LAMBDA_MESSAGES");
    let count: usize = count.map_or(1_500, |count| count.parse().unwrap());
    let (server, workspace) = (server("stores"), Workspace::new());
    let proxy = FaultProxy::start(&server.url(), faults());
    let started = Instant::now();
    let function = Function::start(
        &workspace,
        "ingest",
        &[("BOUNCEWATCH_STORE", "s3://stores/queue"), ("AWS_ENDPOINT_URL", &proxy.url)],
    );
    let mut waiting = queue(count);
    let all: Vec<Sent> = waiting.iter().cloned().collect();
    let mut random = SplitMix64::new(1);
    let (mut invocations, mut failed_invocations, mut deliveries) = (0, 0, 0);
    let mut first_response = None;
    while !waiting.is_empty() {
        let batch: Vec<Sent> =
            waiting.drain(..(10 + random.index(91)).min(waiting.len())).collect();
        let event = json!({"Records": batch.iter().map(record).collect::<Vec<_>>()});
        invocations += 1;
        deliveries += batch.len();
        let answer = function.invoke(&event);
        first_response.get_or_insert_with(|| started.elapsed());
        let requests = proxy.take_requests();
        let failed_parts = failed_parts(&requests);
        let not_durable: BTreeSet<String> = batch
            .iter()
            .filter(|sent| failed_parts.contains(&sent.part))
            .map(|sent| sent.id.clone())
            .collect();
        match answer {
            Ok(response) => assert_eq!(failures(&response), not_durable, "{requests:?}"),
            Err(error) => {
                failed_invocations += 1;
                assert_eq!(not_durable.len(), batch.len(), "{error}");
                assert!(error["errorMessage"].as_str().unwrap().contains("denied"), "{error}");
            }
        }
        waiting.extend(batch.into_iter().filter(|sent| not_durable.contains(&sent.id)));
    }
    eprintln!(
        "{count} messages: {deliveries} deliveries in {invocations} invocations ({failed_invocations} failed), {:.1} s, first response after {:.2} s, {} MiB",
        started.elapsed().as_secs_f64(),
        first_response.unwrap().as_secs_f64(),
        function.memory_mib_max()
    );
    assert!(deliveries > count, "no failure was injected");
    check_store(&workspace, &server.url(), &all);
}

/// Compares the store in the bucket with one in a folder that has each message once.
fn check_store(workspace: &Workspace, url: &str, all: &[Sent]) {
    let (poison, events): (Vec<&Sent>, Vec<&Sent>) =
        all.iter().partition(|sent| sent.part == "quarantine/");
    workspace.ingest(&events.iter().map(|sent| sent.body.as_str()).collect::<String>());
    let report = |store: &str| {
        let arguments = format!(
            "report --store {store} --cache cache --from 2026-11-16 --to {NOW} --every 1d --window 24h --format json"
        );
        run(workspace, url, &arguments).json()
    };
    let truth = report("STORE");
    assert_eq!(report("s3://stores/queue"), truth);
    let sum = |name: &str| {
        let rows = truth["rows"].as_array().unwrap().iter();
        rows.map(|row| row[name].as_u64().unwrap()).sum::<u64>()
    };
    assert!(sum("sends") > 0 && sum("bounces") > 0, "{truth}");
    let list = "store quarantine list --store s3://stores/queue --format json --bodies";
    let list = run(workspace, url, list).json();
    let mut quarantined: BTreeMap<&str, u32> = BTreeMap::new();
    for entry in list["entries"].as_array().unwrap() {
        *quarantined.entry(entry["body"].as_str().unwrap()).or_default() += 1;
    }
    let expected: BTreeMap<&str, u32> = poison.iter().map(|sent| (sent.body.as_str(), 1)).collect();
    assert_eq!(quarantined, expected);
}

#[test]
fn poison_message_is_left_to_the_dead_letter_queue() {
    let (server, workspace) = (server("stores"), Workspace::new());
    let function = Function::start(
        &workspace,
        "ingest",
        &[
            ("BOUNCEWATCH_STORE", "s3://stores/queue"),
            ("BOUNCEWATCH_ARGUMENTS", "--poison leave"),
            ("AWS_ENDPOINT_URL", &server.url()),
        ],
    );
    let all = queue(21);
    let records: Vec<Value> = all.iter().map(record).collect();
    let answer = function.invoke(&json!({"Records": records})).unwrap();
    assert_eq!(failures(&answer), ["id-0".to_owned(), "id-20".to_owned()].into());
    // also if it is the only one
    let answer = function.invoke(&json!({"Records": [records[0].clone()]})).unwrap();
    assert_eq!(failures(&answer), ["id-0".to_owned()].into());
}

#[test]
fn damaged_message_and_foreign_event_are_not_deleted() {
    let (server, workspace) = (server("stores"), Workspace::new());
    let function = Function::start(
        &workspace,
        "ingest",
        &[("BOUNCEWATCH_STORE", "s3://stores/queue"), ("AWS_ENDPOINT_URL", &server.url())],
    );
    let all = queue(3);
    let mut records: Vec<Value> = all.iter().map(record).collect();
    records[1]["md5OfBody"] = json!("0123456789abcdef0123456789abcdef");
    let answer = function.invoke(&json!({"Records": records})).unwrap();
    assert_eq!(failures(&answer), ["id-1".to_owned()].into());
    let error = function.invoke(&json!({"detail-type": "Scheduled Event"})).unwrap_err();
    let message = error["errorMessage"].as_str().unwrap();
    assert!(message.starts_with("not an event of an SQS trigger"), "{message}");
    assert_eq!(function.invoke(&json!({"Records": []})), Ok(json!({"batchItemFailures": []})));
}

#[test]
fn check_and_compact_run_with_a_settings_file_in_the_bucket() {
    let (server, workspace) = (server("stores"), Workspace::new());
    let url = server.url();
    std::fs::write(workspace.path("in.ndjson"), sent_and_bounced(1_000, 62)).unwrap();
    for _ in 0..2 {
        let arguments = "ingest in.ndjson --store s3://stores/queue";
        let ingested = run(&workspace, &url, arguments);
        assert_eq!(ingested.exit_code, 0, "{ingested:?}");
    }
    let settings = "[alert]\nexec = \"cat >> received\"\n";
    server.put_object("stores", "bouncewatch.toml", settings.as_bytes()).unwrap();
    let tmp = workspace.path("tmp");
    std::fs::create_dir(&tmp).unwrap();
    let variables = |arguments| {
        [
            ("BOUNCEWATCH_STORE", "s3://stores/queue"),
            ("BOUNCEWATCH_CONFIG", "s3://stores/bouncewatch.toml"),
            ("BOUNCEWATCH_ARGUMENTS", arguments),
            ("AWS_ENDPOINT_URL", url.as_str()),
            ("TMPDIR", tmp.to_str().unwrap()),
        ]
    };
    let arguments = format!("--window 24h --at {NOW}");
    let check = Function::start(&workspace, "check", &variables(&arguments));
    for _ in 0..2 {
        let answer = check.invoke(&json!({}));
        assert_eq!(answer, Ok(json!({"results": [{"exit_code": 1, "status": "warning"}]})));
    }
    let received = std::fs::read_to_string(workspace.path("received")).unwrap();
    assert_eq!(received.lines().count(), 1, "{received}");
    // the alert cannot be sent: the invocation fails, so that the alarm is raised
    let settings = "[alert]\nexec = \"exit 1\"\n";
    server.put_object("stores", "bouncewatch.toml", settings.as_bytes()).unwrap();
    let later = "--window 24h --at 2026-11-21T01:00:00Z";
    let check = Function::start(&workspace, "check", &variables(later));
    let error = check.invoke(&json!({})).unwrap_err();
    assert!(error["errorMessage"].as_str().unwrap().starts_with("error: "), "{error}");
    let retain = [("BOUNCEWATCH_RETAIN_ARGUMENTS", "--days 100000")];
    let variables = [&variables("--grace 0s")[..], &retain].concat();
    let compact = Function::start(&workspace, "compact", &variables);
    let answer = compact.invoke(&json!({}));
    assert_eq!(answer, Ok(json!({"results": [{"exit_code": 0}, {"exit_code": 0}]})));
    let stats = run(&workspace, &url, "store stats --store s3://stores/queue --format json");
    assert_eq!(stats.exit_code, 0, "{stats:?}");
}

#[test]
fn function_with_wrong_settings_ends_with_the_reason() {
    let workspace = Workspace::new();
    for (handler, variables, expected) in [
        ("bootstrap", vec![], "unknown handler of the function: `bootstrap`"),
        ("ingest", vec![("BOUNCEWATCH_STORE", "")], "no store given"),
        ("check", vec![("BOUNCEWATCH_ARGUMENTS", "--windows 1h")], "--windows"),
        ("compact", vec![("BOUNCEWATCH_ARGUMENTS", "--days 1")], "--days"),
    ] {
        let output = bootstrap(&workspace, handler).envs(variables).output().unwrap();
        let output = CommandOutput::from(output);
        assert_eq!(output.exit_code, 2, "{output:?}");
        assert!(output.stderr.contains(expected), "{expected}: {output:?}");
    }
    let output = workspace.run("lambda check");
    assert!(output.stderr.contains("AWS_LAMBDA_RUNTIME_API is not set"), "{output:?}");
}
