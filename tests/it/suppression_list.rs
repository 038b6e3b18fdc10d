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

/// Runs `suppress` with a list that gives some answers; returns also method, path and body of each request.
fn suppress(
    extra: &str,
    answers: Vec<(&'static str, &'static str)>,
) -> (CommandOutput, Vec<String>) {
    suppress_in(&workspace(), extra, answers)
}

fn suppress_in(
    workspace: &Workspace,
    extra: &str,
    answers: Vec<(&'static str, &'static str)>,
) -> (CommandOutput, Vec<String>) {
    let endpoint = Endpoint::start("", answers);
    let url = endpoint.url.trim_end_matches('/');
    let arguments = format!("suppress --store STORE --at {NOW} --endpoint-url {url} {extra}");
    let output = workspace.command(&arguments).envs(CREDENTIALS).output().unwrap();
    (CommandOutput::from(output), endpoint.finish_lines())
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

/// Answers until an import of 301 addresses is complete.
const IMPORTED: [(&str, &str); 4] = [
    ("200 OK", r#"{"SuppressedDestinationSummaries": []}"#),
    // the file is written
    DONE,
    ("200 OK", r#"{"JobId": "job-1"}"#),
    (
        "200 OK",
        r#"{"JobStatus": "COMPLETED", "ProcessedRecordsCount": 301, "FailedRecordsCount": 2}"#,
    ),
];

/// Pushes 301 addresses with a bucket; `removal` is the answer to the removal of the file.
fn push_with_bucket(removal: (&'static str, &'static str)) -> (CommandOutput, Vec<String>) {
    let workspace = Workspace::new();
    let dead =
        |number: usize| bounce(&format!("a{number}@example.org"), HARD, "550 5.1.1 user unknown");
    workspace.ingest(&(1..=301).map(|number| dead(number).event(number)).collect::<String>());
    let account = r#"{"SuppressionAttributes": {"SuppressedReasons": ["BOUNCE", "COMPLAINT"]}}"#;
    let answers = IMPORTED.into_iter().chain([removal, ("200 OK", account)]);
    suppress_in(&workspace, "--push --import-bucket s3://own-bucket/lists", answers.collect())
}

#[test]
fn many_addresses_are_imported_with_a_file_that_is_removed() {
    let (output, requests) = push_with_bucket(("200 OK", "<DeleteResult></DeleteResult>"));
    let note = "note: 299 of 301 addresses were added to the suppression list of SES in us-east-1";
    assert!(output.stderr.contains(note), "{output:?}");
    assert!(output.stderr.contains("error: SES does not accept 2 addresses"), "{output:?}");
    assert_eq!(output.exit_code, 1, "{output:?}");
    let file = requests[1].split(' ').nth(1).unwrap();
    assert!(file.starts_with("/own-bucket/lists/bouncewatch-suppression-"), "{file}");
    assert!(requests[1].contains("a1@example.org,BOUNCE\n"), "{}", requests[1]);
    assert!(requests[2].contains(&format!("s3:/{file}")), "{}", requests[2]);
    assert_eq!(requests[3], "GET /v2/email/import-jobs/job-1");
    assert!(requests[4].contains(file.trim_start_matches("/own-bucket/")), "{}", requests[4]);
}

#[test]
fn imported_addresses_are_counted_if_the_file_cannot_be_removed() {
    let (output, _) =
        push_with_bucket(("403 Forbidden", "<Error><Code>AccessDenied</Code></Error>"));
    assert_eq!(output.exit_code, 1, "{output:?}");
    assert!(output.stderr.contains("note: 299 of 301 addresses were added"), "{output:?}");
    assert!(output.stderr.contains("error: the removal of s3://own-bucket/lists/"), "{output:?}");
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
