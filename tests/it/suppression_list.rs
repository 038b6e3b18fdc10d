//! `suppress --pull` and `--push`: the account-level suppression list of SES.

use crate::causes::{HARD, bounce};
use crate::command::{CommandOutput, Workspace};
use crate::emulator::CREDENTIALS;
use crate::endpoint::Endpoint;
use crate::messages::{Message, NOW, message};

/// A list with an address that bounced, and one that received mail after it was listed.
const LIST: (&str, &str) = (
    "200 OK",
    r#"{"SuppressedDestinationSummaries": [
        {"EmailAddress": "b@example.org", "Reason": "BOUNCE", "LastUpdateTime": 1795000000},
        {"EmailAddress": "C@example.org", "Reason": "BOUNCE", "LastUpdateTime": 1600000000}]}"#,
);
const DONE: (&str, &str) = ("200 OK", "{}");

/// A store in which a@example.org and b@example.org do not exist, and c@example.org receives mail.
fn workspace() -> Workspace {
    let workspace = Workspace::new();
    let dead = |to: &str, number| bounce(to, HARD, "550 5.1.1 user unknown").event(number);
    let delivered =
        Message { to: "c@example.org".to_owned(), at: "2026-11-18T12:00:00.000Z", ..message(3) };
    workspace
        .ingest(&(dead("a@example.org", 1) + &dead("b@example.org", 2) + &delivered.delivery()));
    workspace
}

/// Runs `suppress` with a list that gives some answers; returns also method and path of each request.
fn suppress(
    extra: &str,
    answers: Vec<(&'static str, &'static str)>,
) -> (CommandOutput, Vec<String>) {
    let workspace = workspace();
    let endpoint = Endpoint::start("", answers);
    let url = endpoint.url.trim_end_matches('/');
    let arguments = format!("suppress --store STORE --at {NOW} --endpoint-url {url} {extra}");
    let output = workspace.command(&arguments).envs(CREDENTIALS).output().unwrap();
    let output = CommandOutput::from(output);
    let requests = endpoint.requests.join().unwrap();
    let lines = requests.iter().map(|(head, body)| {
        let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1");
        format!("{line} {body}").trim_end().to_owned()
    });
    (output, lines.collect())
}

#[test]
fn pull_compares_with_the_list_and_counts_entries_that_events_contradict() {
    let (output, requests) = suppress("--pull --format txt", vec![LIST]);
    assert_eq!(
        (output.exit_code, output.stdout.as_str()),
        (0, "+ a@example.org\n- c@example.org\n")
    );
    assert!(
        output.stderr.contains("note: 1 addresses on the list of SES can leave it"),
        "{output:?}"
    );
    assert_eq!(requests, ["GET /v2/email/suppression/addresses?PageSize=1000"]);
}

#[test]
fn push_changes_nothing_in_a_dry_run_and_above_the_maximum() {
    let (output, requests) = suppress("--push --dry-run --format ses", vec![LIST]);
    assert_eq!((output.exit_code, output.stdout.as_str()), (0, "a@example.org,BOUNCE\n"));
    let note = "note: dry run: 1 addresses would be added to the suppression list of SES in us-east-1, by 1 calls";
    assert!(output.stderr.contains(note), "{output:?}");
    assert_eq!(requests.len(), 1, "{requests:?}");
    let (output, requests) = suppress("--push --push-max 0", vec![LIST]);
    assert_eq!(output.exit_code, 1, "{output:?}");
    assert!(output.stdout.contains("a@example.org"), "{output:?}");
    assert!(output.stderr.contains("error: nothing was changed: 1 addresses"), "{output:?}");
    assert_eq!(requests.len(), 1, "{requests:?}");
}

#[test]
fn push_adds_missing_addresses_and_reports_that_they_have_no_effect() {
    let account = r#"{"SuppressionAttributes": {"SuppressedReasons": ["COMPLAINT"]}}"#;
    let (output, requests) = suppress("--push", vec![LIST, DONE, ("200 OK", account)]);
    assert_eq!(output.exit_code, 1, "{output:?}");
    let note = "note: 1 of 1 addresses were added to the suppression list of SES in us-east-1";
    assert!(output.stderr.contains(note), "{output:?}");
    assert!(output.stderr.contains("does not suppress for the reason BOUNCE"), "{output:?}");
    let put =
        r#"PUT /v2/email/suppression/addresses {"EmailAddress":"a@example.org","Reason":"BOUNCE"}"#;
    assert_eq!(requests[1..], [put, "GET /v2/email/account"]);
}

#[test]
fn release_with_push_removes_the_spelling_of_the_list() {
    let (output, requests) = suppress("--release --push", vec![LIST, DONE]);
    assert_eq!((output.exit_code, output.stdout.as_str()), (0, "c@example.org\n"), "{output:?}");
    assert_eq!(requests[1], "DELETE /v2/email/suppression/addresses/C%40example.org");
    let note = "note: 1 of 1 addresses were removed from the suppression list of SES in us-east-1";
    assert!(output.stderr.contains(note), "{output:?}");
}

#[test]
fn denied_call_ends_the_command_before_anything_is_changed() {
    let denied = ("403 Forbidden", r#"{"__type": "AccessDeniedException", "message": "x"}"#);
    let (output, requests) = suppress("--push", vec![denied]);
    assert_eq!((output.exit_code, output.stdout.as_str()), (2, ""), "{output:?}");
    let error = "access to ses:ListSuppressedDestinations is denied\n  hint: deploy/policies/suppression.json";
    assert!(output.stderr.contains(error), "{output:?}");
    assert_eq!(requests.len(), 1);
    let output = workspace().run("suppress --store STORE --push --import-bucket bucket");
    assert!(output.stderr.contains("`bucket` is not the URL of a bucket"), "{output:?}");
}
