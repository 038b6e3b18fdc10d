//! Metrics endpoint, health and log of `ingest --follow`: metrics match the queue, `/healthz` fails with the store, and the log
//! has no email address.

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

use crate::command::{Workspace, tool};
use crate::emulator::{CREDENTIALS, Emulator};
use crate::messages::message;

/// Attempts of [`Consumer::wait_for`], 50 ms apart: 1 minute.
const ATTEMPTS: u32 = 1_200;

/// A running `ingest --follow` with its metrics address and the lines of its stderr.
pub(crate) struct Consumer {
    child: Child,
    log: Receiver<String>,
    stderr_lines: Vec<String>,
    at: String,
}

impl Consumer {
    pub(crate) fn start(workspace: &Workspace, emulator: &Emulator, queue: &str) -> Self {
        let arguments = format!(
            "-vvv --log-format json ingest {queue} --store STORE --follow --batch-age 1 --workers 1 --format json --metrics-addr :0"
        );
        let mut command = workspace.command(&arguments);
        command.args(["--endpoint-url", &emulator.url]).envs(CREDENTIALS);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, log) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
        });
        let mut consumer = Self { child, log, stderr_lines: Vec::new(), at: String::new() };
        // the address is a field of a log line before the first receive
        while consumer.at.is_empty() {
            let line = consumer.log.recv_timeout(Duration::from_mins(1)).unwrap();
            let json: Value = serde_json::from_str(&line).unwrap();
            if let Some(at) = json["fields"]["metrics_addr"].as_str() {
                at.clone_into(&mut consumer.at);
            }
            consumer.stderr_lines.push(line);
        }
        consumer
    }

    /// Returns status and body of a response; `None` without a response.
    fn get(&self, path: &str, accept: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(&self.at).ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut response = String::new();
        stream.read_to_string(&mut response).ok()?;
        let status = response.split(' ').nth(1)?.parse().ok()?;
        Some((status, response.split_once("\r\n\r\n")?.1.to_owned()))
    }

    /// Returns a metric, summed over its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics", "*/*").unwrap();
        let value = |line: &str| {
            let rest = line.strip_prefix("bouncewatch_")?.strip_prefix(name)?;
            rest.starts_with([' ', '{']).then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
        };
        text.lines().filter_map(value).sum()
    }

    /// Requests a graceful stop.
    pub(crate) fn stop(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// Returns the largest resident memory so far, kB.
    pub(crate) fn peak_memory_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Waits until a condition holds; panics after 1 minute.
    pub(crate) fn wait_for(&self, condition: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..ATTEMPTS {
            if holds(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("timeout: {condition}; {:?}", self.get("/metrics", "*/*"));
    }

    /// Waits for the exit; returns exit code, stdout as JSON and stderr.
    pub(crate) fn wait(mut self) -> (i32, Value, String) {
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        self.stderr_lines.extend(self.log.iter());
        (code, serde_json::from_str(&out).unwrap_or_default(), self.stderr_lines.join("\n"))
    }
}

/// Returns all words of the texts that look like an email address.
fn addresses(texts: &[String]) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "._+-@".contains(c);
    let words = texts.iter().flat_map(|text| text.split(move |c| !is_part(c)));
    words.filter(|word| word.contains('@') && word.len() > 3).collect()
}

/// Returns the metric families of `/metrics`, read by the official Prometheus parser.
fn families(consumer: &Consumer) -> Vec<Value> {
    let (status, text) = consumer.get("/metrics", "*/*").unwrap();
    assert_eq!(status, 200);
    parse_metrics(&text, "openmetrics")
}

/// Returns the metric families of a text in format `text` or `openmetrics`, read by the official Prometheus parser.
pub(crate) fn parse_metrics(text: &str, format: &str) -> Vec<Value> {
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

/// Checks names, types, units, help texts and labels against the naming conventions of Prometheus.
fn assert_naming_conventions(families: &[Value]) {
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
        let unit = text(family, "unit");
        assert_eq!(units == 1, !unit.is_empty(), "{name}: {unit}");
        assert!(unit.is_empty() || name.ends_with(unit), "{name}: {unit}");
        for sample in family["samples"].as_array().unwrap() {
            let sample_name = sample[0].as_str().unwrap();
            assert!(!sample_name.contains("_total_total"), "{sample_name}");
            assert_eq!(sample_name.ends_with("_total"), kind == "counter", "{sample_name}");
            for (label, value) in sample[1].as_object().unwrap() {
                let value = value.as_str().unwrap();
                assert!(["reason", "service", "action", "version", "le"].contains(&label.as_str()));
                // label values are constants of the program, not input
                let is_identifier = |c: char| c.is_ascii_alphanumeric() || "_:.+".contains(c);
                assert!(value.chars().all(is_identifier), "{sample_name}: {label}={value}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_and_health_are_served_until_the_store_fails() {
    let (emulator, workspace) = (Emulator::start().await, Workspace::new());
    let queue = emulator.create_queue("watched").await;
    let options =
        Options { events: 400, seed: 21, envelope: Envelope::Mixed, ..Options::default() };
    let mut bodies: Vec<String> = Traffic::new(&options).unwrap().collect();
    let events = bodies.len();
    bodies.extend(notices().into_iter().map(|notice| notice.body));
    let ignored = bodies.len() - events;
    bodies.extend(broken(50, 3).map(|broken| broken.body));
    let consumer = Consumer::start(&workspace, &emulator, &queue);
    let refused = consumer.get("/healthz", "*/*");
    assert_eq!(refused, Some((200, "ok\n".to_owned())));
    emulator.send_all(&queue, &bodies).await;
    let total = f64::from(u32::try_from(bodies.len()).unwrap());
    consumer.wait_for("all are deleted", |it| it.metric("messages_deleted_total") >= total);
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
        assert!((consumer.metric(name) - count).abs() < 0.5, "{name} is not {count}");
    }
    assert!(consumer.metric("receivers") >= 1.0);
    assert!(consumer.metric("newest_event_timestamp_seconds") > 1.7e9);
    assert!(consumer.metric("last_flush_timestamp_seconds") > 1.7e9);
    assert!(consumer.metric("aws_requests_total") >= total / 10.0 * 2.0);

    // duplicates are counted; the memory for keys is limited, so the count is a lower bound
    let (rows, first) =
        (consumer.metric("rows_stored_total"), consumer.metric("duplicate_rows_total"));
    emulator.send_all(&queue, &bodies[..events]).await;
    consumer.wait_for("all are deleted again", |it| {
        it.metric("rows_stored_total") > rows * 1.99 && it.metric("messages_held") < 0.5
    });
    let again = consumer.metric("duplicate_rows_total") - first;
    assert!(
        first < rows / 2.0 && again > rows * 0.9 && again <= rows,
        "{first}, {again} of {rows}"
    );

    assert_naming_conventions(&families(&consumer));

    // a file with the name of the folder of a day
    std::fs::write(workspace.path("store/events/date=2026-11-18"), "").unwrap_or_else(|_| {
        std::fs::remove_dir_all(workspace.path("store/events/date=2026-11-18")).unwrap();
        std::fs::write(workspace.path("store/events/date=2026-11-18"), "").unwrap();
    });
    let lost = crate::messages::Message { at: "2026-11-18T12:00:00.000Z", ..message(1) };
    emulator.send_all(&queue, &[lost.send()]).await;
    // /healthz returns 503 until the process exits
    consumer.wait_for("unhealthy or stopped", |it| {
        it.get("/healthz", "*/*").is_none_or(|(status, reason)| {
            status == 503
                && (reason.starts_with("the store failed: ") || reason.contains("stopping"))
        })
    });
    let (code, _, output) = tokio::task::spawn_blocking(|| consumer.wait()).await.unwrap();
    assert_eq!(code, 2, "{output}");
    for line in [
        "ingest started",
        "a batch is durable",
        "documents quarantined",
        "the store cannot be written",
    ] {
        assert!(output.contains(line), "{line}: {output}");
    }
    // the log never has an email address
    let addresses = addresses(&bodies);
    assert!(addresses.len() > 200, "{}", addresses.len());
    let named: Vec<&&str> = addresses.iter().filter(|address| output.contains(**address)).collect();
    assert!(named.is_empty(), "the log names {named:?}");
    assert!(!output.contains('@'), "{output}");
    // the log is throttled: one line for each reason, not for each document
    let warnings = output.lines().filter(|line| line.contains("documents quarantined")).count();
    assert!(warnings <= 9 * 2, "{warnings}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_server_stops_with_the_run_and_the_summary_has_its_cost() {
    let (emulator, workspace) = (Emulator::start().await, Workspace::new());
    let queue = emulator.create_queue("stopped").await;
    let consumer = Consumer::start(&workspace, &emulator, &queue);
    emulator.send_all(&queue, &[message(1).send()]).await;
    consumer.wait_for("it is deleted", |it| it.metric("messages_deleted_total") > 0.5);
    let at = consumer.at.clone();
    consumer.stop();
    let (code, summary, output) = tokio::task::spawn_blocking(|| consumer.wait()).await.unwrap();
    assert_eq!(code, 0, "{output}");
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
fn unusable_metrics_addr_exits_2_before_ingest() {
    let workspace = Workspace::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    for (addr, expected) in
        [(at.to_string(), "could not listen on"), ("here".into(), "not an address")]
    {
        let output = workspace.run_with_stdin(
            &format!("ingest - --store STORE --metrics-addr {addr}"),
            &message(1).send(),
        );
        assert_eq!(output.exit_code, 2, "{output:?}");
        assert!(output.stderr.contains(expected) && output.stderr.contains("hint:"), "{output:?}");
        assert!(!workspace.store().try_exists().unwrap());
    }
}
