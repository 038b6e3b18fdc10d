//! A provider outage: holds, listing after it, release from the list of SES, and its reports.

use std::collections::{BTreeMap, BTreeSet};

use bouncewatch_fixtures::traffic::{Options, OutageAddresses, Scenario, Shuffle, Traffic};
use serde_json::{Value, json};

use crate::command::{CommandOutput, Workspace};
use crate::messages::NOW;

/// Time after the outage, before other mail to the addresses.
const IN_HOLD: &str = "2026-11-15T00:00:00Z";

/// Returns a store with the outage, ingested with some arguments.
fn outage(ingest: &str) -> (Workspace, OutageAddresses) {
    let workspace = Workspace::new();
    let options = Options {
        events: 8_000,
        seed: 5,
        scenario: Scenario::Outage,
        duplicates: 0.1,
        shuffle: Shuffle::All,
        ..Options::default()
    };
    let mut traffic = Traffic::new(&options).unwrap();
    let events: Vec<String> = traffic.by_ref().collect();
    std::fs::write(workspace.path("events.ndjson"), events.join("\n")).unwrap();
    std::fs::write(workspace.path("key"), "0123456789abcdef0123456789abcdef").unwrap();
    std::fs::write(workspace.path("hash.toml"), "[addresses]\nkey_file = \"key\"\n").unwrap();
    let output = workspace.run(&format!("ingest events.ndjson --store STORE {ingest}"));
    assert_eq!(output.exit_code, 0, "{output:?}");
    (workspace, traffic.truth().outage.clone())
}

fn run(workspace: &Workspace, arguments: &str) -> CommandOutput {
    let output = workspace.run(&format!("{arguments} --store STORE"));
    // the bounce rate of the outage is critical
    let expected = if arguments.starts_with("check") { 0..=2 } else { 0..=0 };
    assert!(expected.contains(&output.exit_code), "{output:?}");
    output
}

/// Returns the reason of each address in a list of the JSON of `suppress`.
fn reasons(list: &Value) -> BTreeMap<&str, &str> {
    let all = list.as_array().unwrap().iter();
    all.map(|one| (one["address"].as_str().unwrap(), one["reason"].as_str().unwrap())).collect()
}

/// Panics unless all addresses have the reason; with `None`, unless none is listed.
fn assert_reason(reasons: &BTreeMap<&str, &str>, addresses: &[String], reason: Option<&str>) {
    for address in addresses {
        assert_eq!(reasons.get(address.as_str()).copied(), reason, "{address}");
    }
}

#[test]
fn suppress_holds_addresses_of_an_outage_and_lists_the_dead_ones_after_it() {
    let (workspace, OutageAddresses { working, dead, mistyped }) = outage("");
    let output = run(&workspace, &format!("suppress --at {IN_HOLD} --format json"));
    let json = output.json();
    let (listed, on_hold) = (reasons(&json["addresses"]), reasons(&json["on_hold"]));
    for addresses in [&working, &dead] {
        assert_reason(&listed, addresses, None);
        assert_reason(&on_hold, addresses, Some("provider_incident"));
    }
    let incident = &json["incidents"][0];
    assert_eq!(json["incidents"].as_array().unwrap().len(), 1);
    assert_eq!((&incident["provider"], &incident["addresses"]), (&json!("apple"), &json!(400)));
    let text = incident["text"].as_str().unwrap();
    assert!(text.starts_with("550 5.1.1 unknown or illegal alias"), "{text}");
    assert!(output.stderr.contains("400 addresses are on hold"), "{}", output.stderr);
    assert!(output.stderr.contains("provider incident of apple"), "{}", output.stderr);
    let csv = run(&workspace, &format!("suppress --at {IN_HOLD}")).stdout;
    let held = csv.lines().filter(|line| line.contains(",provider_incident,"));
    assert!(held.clone().all(|line| line.contains(",2026-11-17T12:")), "{csv}");
    assert_eq!(held.count(), 400);
    for format in ["txt", "ses"] {
        let output = run(&workspace, &format!("suppress --at {IN_HOLD} --format {format}"));
        assert!(!working.iter().chain(&dead).any(|one| output.stdout.contains(one.as_str())));
        assert!(output.stderr.contains("400 addresses are on hold"), "{}", output.stderr);
    }

    // the hold has ended, and there was no further mail
    let json = run(&workspace, "suppress --at 2026-11-18T00:00:00Z --format json").json();
    let (listed, on_hold) = (reasons(&json["addresses"]), reasons(&json["on_hold"]));
    for addresses in [&working, &dead] {
        assert_reason(&listed, addresses, None);
        assert_reason(&on_hold, addresses, None);
    }
    assert!(json["left_out"]["hold_ended"].as_u64().unwrap() >= 400, "{}", json["left_out"]);
    assert_reason(&listed, &mistyped, Some("hard_bounce"));

    let json = run(&workspace, &format!("suppress --at {NOW} --format json")).json();
    let (listed, on_hold) = (reasons(&json["addresses"]), reasons(&json["on_hold"]));
    assert_reason(&listed, &working, None);
    assert_reason(&on_hold, &working, None);
    assert_reason(&listed, &dead, Some("hard_bounce"));
    assert_reason(&listed, &mistyped, Some("hard_bounce"));
}

#[test]
fn mass_guard_is_the_minimum_number_of_addresses_of_an_incident() {
    let (workspace, OutageAddresses { working, .. }) = outage("");
    std::fs::write(workspace.path("c.toml"), "[suppress]\nmass_guard = 401\n").unwrap();
    for (arguments, incidents) in [
        ("--mass-guard 400", 1),
        ("--mass-guard 401", 0),
        ("--mass-guard 0", 0),
        ("--config c.toml", 0),
        ("--config c.toml --mass-guard 20", 1),
    ] {
        let json = run(&workspace, &format!("suppress --at {IN_HOLD} --format json {arguments}"));
        let json = json.json();
        assert_eq!(json["incidents"].as_array().unwrap().len(), incidents, "{arguments}");
        // each of them worked on five days: a single bounce is a hold, also without an incident
        let reason = if incidents > 0 { "provider_incident" } else { "on_hold" };
        assert_reason(&reasons(&json["on_hold"]), &working, Some(reason));
        assert_reason(&reasons(&json["addresses"]), &working, None);
    }
}

#[test]
fn release_lists_working_addresses_in_the_delete_format_of_ses() {
    let (workspace, OutageAddresses { working, dead, mistyped }) = outage("");
    let all = || working.iter().chain(&dead).chain(&mistyped);
    let summary = |(number, address): (usize, &String)| {
        let reason = if number == 7 { "COMPLAINT" } else { "BOUNCE" };
        json!({"EmailAddress": address, "Reason": reason, "LastUpdateTime": "2026-11-14T13:00:00+00:00"})
    };
    let list: Vec<Value> = all().enumerate().map(summary).collect();
    let list = json!({"SuppressedDestinationSummaries": list}).to_string();
    std::fs::write(workspace.path("ses.json"), list).unwrap();
    let release = |arguments: &str| {
        let output = run(&workspace, &format!("suppress --release --diff ses.json {arguments}"));
        let lines: BTreeSet<String> = output.stdout.lines().map(str::to_owned).collect();
        (lines, output)
    };
    let without_complaint = |addresses: &[&String]| -> BTreeSet<String> {
        let kept = addresses.iter().filter(|address| ***address != working[7]);
        kept.map(|address| (*address).clone()).collect()
    };
    let (lines, output) = release(&format!("--at {IN_HOLD}"));
    assert_eq!(lines, without_complaint(&working.iter().chain(&dead).collect::<Vec<_>>()));
    assert!(output.stderr.contains("399 addresses can leave"), "{}", output.stderr);
    let (lines, _) = release(&format!("--at {NOW}"));
    assert_eq!(lines, without_complaint(&working.iter().collect::<Vec<_>>()));

    // without the list of SES: addresses with hard bounces, which SES adds to it
    let output = run(&workspace, &format!("suppress --release --at {IN_HOLD} --format json"));
    let json = output.json();
    let released = reasons(&json["release"]);
    assert_reason(&released, &working, Some("provider_incident"));
    assert_reason(&released, &mistyped, None);
    let json = run(&workspace, &format!("suppress --release --at {NOW} --format json")).json();
    let released = reasons(&json["release"]);
    assert_reason(&released, &dead, None);
    assert_reason(&released, &mistyped, None);
    let (csv, _) = release("--format csv --at 2026-11-18T00:00:00Z");
    assert!(csv.contains("address,reason,delivered_at,bounced_at,evidence"), "{csv:?}");
    assert!(
        csv.iter()
            .any(|line| line.contains(&working[0])
                && line.contains(",provider_incident,2026-11-12T"))
    );
}

#[test]
fn causes_and_check_report_the_incident() {
    let (workspace, OutageAddresses { working, .. }) = outage("");
    let json = run(&workspace, &format!("causes --to {IN_HOLD} --window 24h --format json")).json();
    let group = |cause: &str| {
        let groups = json["groups"].as_array().unwrap().iter();
        groups
            .filter(|group| group["scope"]["cause"] == cause)
            .map(|group| group["count"].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(group("provider_incident"), 400);
    assert!(group("mailbox_unknown") < 20, "{json}");
    assert_eq!(json["incidents"][0]["addresses"], 400);
    let table = run(&workspace, &format!("causes --to {IN_HOLD} --window 24h")).stdout;
    assert!(table.contains("Provider incident: apple, 400 addresses"), "{table}");
    // a period after the incident
    let json = run(&workspace, &format!("causes --to {NOW} --window 24h --format json")).json();
    assert_eq!(json["incidents"], json!([]));

    let check = format!("check --no-alert --at {IN_HOLD} --window 24h");
    let json = run(&workspace, &format!("{check} --format json")).json();
    assert_eq!(
        (&json["incidents"][0]["provider"], &json["incidents"][0]["addresses"]),
        (&json!("apple"), &json!(400))
    );
    let table = run(&workspace, &check).stdout;
    assert!(table.contains("Provider incident: apple, 400 addresses"), "{table}");
    // more than 24 hours later
    let json =
        run(&workspace, "check --no-alert --at 2026-11-15T13:00:00Z --window 24h --format json")
            .json();
    assert_eq!(json.get("incidents"), None);

    let address = &working[0];
    let history = run(&workspace, &format!("history {address} --to {IN_HOLD}")).stdout;
    assert!(history.contains("; on hold until 2026-11-17 12:"), "{history}");
    assert!(history.contains("is put on hold by `suppress`"), "{history}");
}

#[test]
fn hashed_addresses_are_held_too() {
    let (workspace, _) = outage("--addresses hash --config hash.toml");
    let json = run(&workspace, &format!("suppress --at {IN_HOLD} --format json")).json();
    assert_eq!(json["incidents"][0]["addresses"], 400);
    let held = reasons(&json["on_hold"]);
    let in_incident = held.iter().filter(|(_, reason)| **reason == "provider_incident");
    assert_eq!(in_incident.clone().count(), 400);
    assert!(in_incident.clone().all(|(address, _)| address.starts_with("h-")));
}
