//! A follower that is watched: its metrics are what was put into the queue, its health ends with its store, and its log
//! names nobody.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bouncewatch_fixtures::broken::broken;
use bouncewatch_fixtures::notices::notices;
use bouncewatch_fixtures::traffic::{Envelope, Options, Traffic};
use serde_json::Value;

use crate::command::{Place, tool};
use crate::emulator::{CREDENTIALS, Emulator};
use crate::messages::message;

/// Tries of what is waited for, a twentieth of a second apart.
const TRIES: u32 = 1_200;

/// A follower with its metrics, and what it says on stderr.
struct Follower {
    child: Child,
    log: Receiver<String>,
    said: Vec<String>,
    at: String,
}

impl Follower {
    fn start(place: &Place, emulator: &Emulator, queue: &str) -> Self {
        let words = format!(
            "-vvv --log-format json ingest {queue} --store STORE --follow --batch-age 1 --workers 1 --format json --metrics-addr :0"
        );
        let mut command = place.command(&words);
        command.args(["--endpoint-url", &emulator.url]).envs(CREDENTIALS);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (tell, log) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).all(|line| tell.send(line).is_ok())
        });
        let mut follower = Self { child, log, said: Vec::new(), at: String::new() };
        // the address is a field of one line, and told before anything is received
        while follower.at.is_empty() {
            let line = follower.log.recv_timeout(Duration::from_mins(1)).unwrap();
            let json: Value = serde_json::from_str(&line).unwrap();
            if let Some(at) = json["fields"]["metrics_addr"].as_str() {
                at.clone_into(&mut follower.at);
            }
            follower.said.push(line);
        }
        follower
    }

    /// The status and the body of an answer; `None` where nobody answers.
    fn get(&self, path: &str, accept: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(&self.at).ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
    }

    /// A metric, summed over its labels.
    fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics", "text/plain").unwrap();
        let value = |line: &str| {
            let rest = line.strip_prefix("bouncewatch_")?.strip_prefix(name)?;
            rest.starts_with([' ', '{']).then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
        };
        text.lines().filter_map(value).sum()
    }

    fn wait_for(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..TRIES {
            if is_so(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("waited in vain: {what}; {:?}", self.get("/metrics", "text/plain"));
    }

    /// Waits for its end: its exit code, its stdout and its stderr.
    fn ended(mut self) -> (i32, Value, String) {
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        self.said.extend(self.log.iter());
        (code, serde_json::from_str(&out).unwrap_or_default(), self.said.join("\n"))
    }
}

/// Everything in texts that looks like an address.
fn addresses(texts: &[String]) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "._+-@".contains(c);
    let words = texts.iter().flat_map(|text| text.split(move |c| !is_part(c)));
    words.filter(|word| word.contains('@') && word.len() > 3).collect()
}

/// The families of an exposition, as Prometheus's own parser reads it.
fn families(follower: &Follower, format: &str, accept: &str) -> Vec<Value> {
    let (status, text) = follower.get("/metrics", accept).unwrap();
    assert_eq!(status, 200);
    parsed(&text, format)
}

/// The families of a text in `text` or `openmetrics` format.
pub(crate) fn parsed(text: &str, format: &str) -> Vec<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/referee/exposition.py");
    let mut parser = Command::new(tool("venv/bin/python"))
        .args([script, format])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    parser.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = parser.wait_with_output().unwrap();
    assert!(output.status.success(), "{format}: {text}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

/// Names, types, units, help texts and labels, by the conventions of Prometheus.
fn assert_well_named(families: &[Value], open_metrics: bool) {
    assert!(families.len() > 20, "{families:?}");
    for family in families {
        let (name, kind) = (text(family, "name"), text(family, "type"));
        assert!(name.starts_with("bouncewatch_") && !name.contains("_total"), "{name}");
        assert!(["counter", "gauge", "histogram", "info"].contains(&kind), "{name}: {kind}");
        let help = text(family, "help");
        assert!(help.ends_with('.') && help.len() > 10 && !help.ends_with(".."), "{name}: {help}");
        let words: Vec<&str> = name.split('_').collect();
        let units = words.iter().filter(|word| ["seconds", "bytes"].contains(word)).count();
        assert!(units <= 1, "{name} has more than one unit");
        assert!(!words.iter().any(|word| ["ms", "milliseconds", "kb", "minutes"].contains(word)));
        if open_metrics {
            let unit = text(family, "unit");
            assert_eq!(units == 1, !unit.is_empty(), "{name}: {unit}");
            assert!(unit.is_empty() || name.ends_with(unit), "{name}: {unit}");
        }
        for sample in family["samples"].as_array().unwrap() {
            let sample_name = sample[0].as_str().unwrap();
            assert!(!sample_name.contains("_total_total"), "{sample_name}");
            assert_eq!(sample_name.ends_with("_total"), kind == "counter", "{sample_name}");
            for (label, value) in sample[1].as_object().unwrap() {
                let value = value.as_str().unwrap();
                assert!(["reason", "service", "action", "version", "le"].contains(&label.as_str()));
                // words that stand in the program, and no text that came from outside
                let is_word = |c: char| c.is_ascii_alphanumeric() || "_:.+".contains(c);
                assert!(value.chars().all(is_word), "{sample_name}: {label}={value}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_is_watched_until_its_store_fails() {
    let (emulator, place) = (Emulator::start().await, Place::new());
    let queue = emulator.queue("watched").await;
    let options =
        Options { events: 400, seed: 21, envelope: Envelope::Mixed, ..Options::default() };
    let mut bodies: Vec<String> = Traffic::new(&options).unwrap().collect();
    let events = bodies.len();
    bodies.extend(notices().into_iter().map(|notice| notice.body));
    let ignored = bodies.len() - events;
    bodies.extend(broken(50, 3).map(|broken| broken.body));
    let follower = Follower::start(&place, &emulator, &queue);
    let refused = follower.get("/healthz", "*/*");
    assert_eq!(refused, Some((200, "ok\n".to_owned())));
    emulator.put(&queue, &bodies).await;
    let total = f64::from(u32::try_from(bodies.len()).unwrap());
    follower.wait_for("all are deleted", |it| it.metric("messages_deleted_total") >= total);
    for (name, count) in [
        ("messages_received_total", bodies.len()),
        ("messages_deleted_total", bodies.len()),
        ("events_stored_total", events),
        ("documents_ignored_total", ignored),
        ("documents_quarantined_total", 50),
        ("message_delete_failures_total", 0),
        ("messages_held", 0),
        ("batch_age_seconds", 0),
    ] {
        let count = f64::from(u32::try_from(count).unwrap());
        assert!((follower.metric(name) - count).abs() < 0.5, "{name} is not {count}");
    }
    assert!(follower.metric("receivers") >= 1.0);
    assert!(follower.metric("newest_event_timestamp_seconds") > 1.7e9);
    assert!(follower.metric("last_flush_timestamp_seconds") > 1.7e9);
    assert!(follower.metric("aws_requests_total") >= total / 10.0 * 2.0);

    // what comes again is counted; the memory is small, so that not each of them is known
    let (rows, first) =
        (follower.metric("rows_stored_total"), follower.metric("duplicate_rows_total"));
    emulator.put(&queue, &bodies[..events]).await;
    follower.wait_for("all are deleted again", |it| {
        it.metric("rows_stored_total") > rows * 1.99 && it.metric("messages_held") < 0.5
    });
    let again = follower.metric("duplicate_rows_total") - first;
    assert!(
        first < rows / 2.0 && again > rows * 0.9 && again <= rows,
        "{first}, {again} of {rows}"
    );

    let accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3";
    assert_well_named(&families(&follower, "openmetrics", accept), true);
    assert_well_named(&families(&follower, "text", "text/plain"), false);

    // a file where the folder of a day should be
    std::fs::write(place.path("store/events/date=2026-11-18"), "").unwrap_or_else(|_| {
        std::fs::remove_dir_all(place.path("store/events/date=2026-11-18")).unwrap();
        std::fs::write(place.path("store/events/date=2026-11-18"), "").unwrap();
    });
    let lost = crate::messages::Message { at: "2026-11-18T12:00:00.000Z", ..message(1) };
    emulator.put(&queue, &[lost.send()]).await;
    // it says so for as long as it can, and ends
    follower.wait_for("it is ill or gone", |it| {
        it.get("/healthz", "*/*").is_none_or(|(status, reason)| {
            status == 503
                && (reason.starts_with("the store failed: ") || reason.contains("stopping"))
        })
    });
    let (code, _, said) = tokio::task::spawn_blocking(|| follower.ended()).await.unwrap();
    assert_eq!(code, 2, "{said}");
    for line in [
        "ingest begins",
        "a batch is durable",
        "documents were set aside",
        "the store cannot be written",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    // invariant I-8
    let addresses = addresses(&bodies);
    assert!(addresses.len() > 200, "{}", addresses.len());
    let named: Vec<&&str> = addresses.iter().filter(|address| said.contains(**address)).collect();
    assert!(named.is_empty(), "the log names {named:?}");
    assert!(!said.contains('@'), "{said}");
    // one line for each reason, however many came
    let warnings = said.lines().filter(|line| line.contains("documents were set aside")).count();
    assert!(warnings <= 9 * 2, "{warnings}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_ends_with_the_run_which_tells_its_cost() {
    let (emulator, place) = (Emulator::start().await, Place::new());
    let queue = emulator.queue("ended").await;
    let follower = Follower::start(&place, &emulator, &queue);
    emulator.put(&queue, &[message(1).send()]).await;
    follower.wait_for("it is deleted", |it| it.metric("messages_deleted_total") > 0.5);
    let at = follower.at.clone();
    let pid = follower.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let (code, summary, said) = tokio::task::spawn_blocking(|| follower.ended()).await.unwrap();
    assert_eq!(code, 0, "{said}");
    assert!(TcpStream::connect(&at).is_err());
    assert!(summary["requests"]["sqs:ReceiveMessage"].as_u64().unwrap() >= 2, "{summary}");
    assert_eq!(summary["requests"]["sqs:DeleteMessage"], 1, "{summary}");
    assert_eq!(summary["requests"]["sqs:GetQueueAttributes"], 1, "{summary}");
    assert_eq!(summary["cost"]["month_idle"]["requests"], 129_600, "{summary}");
    assert_eq!(summary["cost"]["month"], Value::Null, "{summary}");
    let asked: u64 =
        summary["requests"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!(summary["cost"]["run"]["requests"], asked, "{summary}");
}

#[test]
fn a_port_that_is_taken_is_told_before_anything_is_received() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    for (addr, told) in [(at.to_string(), "could not listen on"), ("here".into(), "not an address")]
    {
        let said = place
            .run_with(&format!("ingest - --store STORE --metrics-addr {addr}"), &message(1).send());
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains(told) && said.err.contains("hint:"), "{said:?}");
        assert!(!place.store().try_exists().unwrap());
    }
}
