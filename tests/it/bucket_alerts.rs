//! Alert state in a bucket: a lease and compare-and-swap instead of a file lock.

use std::process::{Command, Stdio};

use bouncewatch_fixtures::bucket_server::BucketServer;
use serde_json::Value;

use crate::command::{CommandOutput, Workspace};
use crate::emulator::CREDENTIALS;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::messages::sent_and_bounced;
use crate::s3::server;

const STORE: &str = "s3://stores/deep/one";
const STATE: &str = "/stores/deep/one/alerts.json";

/// Returns a store in a bucket with a bounce rate of 6.2 % at 23:00.
fn bucket_with_warning(workspace: &Workspace) -> BucketServer {
    let server = server("stores");
    std::fs::write(workspace.path("in.ndjson"), sent_and_bounced(1_000, 62)).unwrap();
    let mut command = workspace.command(&format!("ingest in.ndjson --store {STORE}"));
    command.args(["--endpoint-url", &server.url()]).envs(CREDENTIALS);
    let output = CommandOutput::from(command.output().unwrap());
    assert_eq!(output.exit_code, 0, "{output:?}");
    server
}

fn check(workspace: &Workspace, url: &str, cache: &str, exec: &str) -> Command {
    let arguments = format!(
        "check --store {STORE} --window 1h --at 2026-11-19T23:30:00Z --cache {cache} --endpoint-url {url}"
    );
    let mut command = workspace.command(&arguments);
    command.args(["--alert-exec", exec]).envs(CREDENTIALS);
    command
}

fn received(workspace: &Workspace) -> Vec<Value> {
    let text = std::fs::read_to_string(workspace.path("received")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn two_checks_at_once_on_a_bucket_notify_once() {
    let workspace = Workspace::new();
    let server = bucket_with_warning(&workspace);
    let proxy = FaultProxy::start(&server.url(), |_, _| Fault::None);
    for round in 0..3 {
        let runs: Vec<_> = ["cache-1", "cache-2", "cache-3"]
            .iter()
            .map(|cache| {
                let mut command = check(&workspace, &proxy.url, cache, "cat >> received");
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for run in runs {
            let output = CommandOutput::from(run.wait_with_output().unwrap());
            assert_eq!(output.exit_code, 1, "{output:?}");
            assert!(!output.stderr.contains("error"), "{output:?}");
        }
        assert_eq!(received(&workspace).len(), 1, "round {round}");
    }
    let writes = proxy.take_requests();
    let is_state = |(method, path, _): &&(String, String, Fault)| method == "PUT" && path == STATE;
    assert!(writes.iter().filter(is_state).count() >= 2, "{writes:?}");
}

#[test]
fn run_killed_between_saving_and_sending_loses_no_alert() {
    let workspace = Workspace::new();
    let server = bucket_with_warning(&workspace);
    let proxy = FaultProxy::start(&server.url(), |_, _| Fault::None);
    // the alert command kills the run, after the state was saved and before the message is delivered
    let mut killed = check(&workspace, &proxy.url, "cache", "kill -9 $PPID");
    let output = CommandOutput::from(killed.output().unwrap());
    assert_eq!(output.exit_code, -1, "{output:?}");
    let saved = proxy.take_requests();
    assert!(saved.iter().any(|(method, path, _)| method == "PUT" && path == STATE), "{saved:?}");
    // the next run waits until the lease of the killed one has ended
    for _ in 0..2 {
        let output = check(&workspace, &proxy.url, "cache", "cat >> received").output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!(received(&workspace).len(), 1);
    }
}

#[test]
fn lost_responses_of_state_writes_repeat_no_alert() {
    let workspace = Workspace::new();
    let server = bucket_with_warning(&workspace);
    let mut writes = 0;
    // each second write of state or lease must be repeated
    let proxy = FaultProxy::start(&server.url(), move |method, path| {
        let is_write = method == "PUT" && path.starts_with(STATE);
        writes += usize::from(is_write);
        if is_write && writes % 2 == 0 { Fault::Busy } else { Fault::None }
    });
    for _ in 0..3 {
        let output = check(&workspace, &proxy.url, "cache", "cat >> received").output().unwrap();
        let output = CommandOutput::from(output);
        assert!(!output.stderr.contains("error"), "{output:?}");
        assert_eq!(received(&workspace).len(), 1);
    }
}

#[test]
fn state_that_cannot_be_saved_repeats_the_alert_and_says_why() {
    let workspace = Workspace::new();
    let server = bucket_with_warning(&workspace);
    let proxy = FaultProxy::start(&server.url(), |method, path| {
        if method == "PUT" && path == STATE { Fault::Refuse } else { Fault::None }
    });
    for run in 1..=2 {
        let output = check(&workspace, &proxy.url, "cache", "cat >> received").output().unwrap();
        let output = CommandOutput::from(output);
        assert!(output.stderr.contains("access denied: s3:PutObject"), "{output:?}");
        let messages = received(&workspace);
        assert_eq!(messages.len(), run);
        let text = messages[run - 1]["alert"]["text"].as_str().unwrap();
        assert!(text.contains("the alert state cannot be saved"), "{text}");
    }
}
