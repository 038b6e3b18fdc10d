//! The policy that the user guide recommends.

use std::collections::BTreeSet;
use std::path::PathBuf;

use bouncewatch_doctor::gather::Action;
use serde_json::Value;

/// The text of `deploy/policies/doctor.json`.
pub(crate) fn text() -> String {
    let package = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
    std::fs::read_to_string(package.join("../deploy/policies/doctor.json")).unwrap()
}

/// The policy without one action.
pub(crate) fn without(action: Action) -> String {
    let mut policy: Value = serde_json::from_str(&text()).unwrap();
    for statement in policy["Statement"].as_array_mut().unwrap() {
        statement["Action"].as_array_mut().unwrap().retain(|allowed| allowed != action.as_str());
    }
    policy.to_string()
}

#[test]
fn policy_allows_exactly_the_actions_of_the_code() {
    let policy: Value = serde_json::from_str(&text()).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let allowed: BTreeSet<&str> = statements
        .iter()
        .inspect(|statement| assert_eq!(statement["Effect"], "Allow"))
        .flat_map(|statement| statement["Action"].as_array().unwrap())
        .map(|action| action.as_str().unwrap())
        .collect();
    let needed = Action::ALL.iter().filter(|action| action.needs_permission());
    let needed: BTreeSet<&str> = needed.map(|action| action.as_str()).collect();
    assert_eq!(allowed, needed);
}

/// A call with an action that no code makes would be an unused permission; a call outside `gather` would be hidden.
#[test]
fn every_action_is_used_in_gather() {
    let package = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
    let files = std::fs::read_dir(package.join("src/gather")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let code: String = files
        .filter(|path| !path.ends_with("action.rs"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    for action in Action::ALL {
        let name = format!("Action::{action:?}");
        let is_used = code.split(&name).skip(1).any(|rest| {
            // a longer name starts with this one
            !rest.starts_with(|c: char| c.is_alphanumeric())
        });
        assert!(is_used, "{name} is not used");
    }
}
