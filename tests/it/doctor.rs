//! `doctor --from`: output, exit codes, errors. Findings have their tests in the package `doctor`.

use serde_json::{Value, json};

use crate::command::Workspace;

/// A snapshot of a healthy account, with one value replaced.
fn snapshot(pointer: &str, value: Value) -> Workspace {
    let text = include_str!("../../fixtures/doctor/healthy.base.json");
    let mut snapshot: Value = serde_json::from_str(text).unwrap();
    *snapshot.pointer_mut(pointer).unwrap() = value;
    let workspace = Workspace::new();
    std::fs::write(workspace.path("account.json"), snapshot.to_string()).unwrap();
    workspace
}

#[test]
fn findings_of_a_snapshot_decide_the_exit_code() {
    for (pointer, value, exit_code, id) in [
        ("/account/value/sending_enabled", json!(true), 0, "account.paused"),
        ("/account/value/production_access", json!(false), 2, "account.sandbox"),
        ("/account", json!({"denied": "ses:GetAccount"}), 3, "account.readable"),
    ] {
        let workspace = snapshot(pointer, value);
        let text = workspace.run("doctor --from account.json");
        assert_eq!(text.exit_code, exit_code, "{text:?}");
        assert!(text.stdout.contains(id), "{text:?}");
        let json = workspace.run("doctor --from account.json --format json");
        assert_eq!((json.exit_code, &json.json()["exit_code"]), (exit_code, &json!(exit_code)));
        let findings = json.json()["findings"].as_array().unwrap().clone();
        assert!(findings.iter().any(|finding| finding["id"] == id), "{findings:?}");
    }
}

#[test]
fn skipped_check_has_no_finding() {
    let workspace = snapshot("/account/value/production_access", json!(false));
    let skipped = workspace.run("doctor --from account.json --skip account.sandbox");
    assert_eq!(skipped.exit_code, 0, "{skipped:?}");
    assert!(!skipped.stdout.contains("account.sandbox"), "{skipped:?}");
    let unknown = workspace.run("doctor --from account.json --skip account.nothing");
    assert_eq!(unknown.exit_code, 3, "{unknown:?}");
    assert!(unknown.stderr.contains("unknown check `account.nothing`"), "{unknown:?}");
}

#[test]
fn file_that_is_no_snapshot_is_an_error() {
    let workspace = Workspace::new();
    std::fs::write(workspace.path("broken.json"), "{").unwrap();
    for (file, message) in [("broken.json", "not a snapshot"), ("none.json", "could not read")] {
        let output = workspace.run(&format!("doctor --from {file}"));
        assert_eq!(output.exit_code, 3, "{output:?}");
        assert!(output.stderr.contains(message) && output.stderr.contains(file), "{output:?}");
    }
}
