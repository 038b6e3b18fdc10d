//! `forecast`: what is printed and written for a list, and the exit code.

use std::fmt::Write;

use crate::causes::{Bounce, HARD, bounce};
use crate::command::{CommandOutput, Workspace};
use crate::messages::{Message, NOW, message};

/// Ten days ago.
const EARLIER: &str = "2026-11-08T12:00:00.000Z";

/// A store with 1,200 deliveries and 200 hard bounces.
fn workspace() -> Workspace {
    let workspace = Workspace::new();
    let mut events = String::new();
    for number in 0..1_400 {
        let to = format!("u{number}@example.org");
        let sent = Message { to: to.clone(), at: EARLIER, ..message(number) };
        events.push_str(&sent.send());
        if number < 200 {
            let of = bounce(&to, HARD, "550 5.1.1 user unknown");
            events.push_str(&Bounce { at: EARLIER, ..of }.event(number));
        } else {
            events.push_str(&sent.delivery());
        }
    }
    workspace.ingest(&events);
    workspace
}

fn forecast(workspace: &Workspace, list: &str, arguments: &str) -> CommandOutput {
    let arguments = format!("forecast - --store STORE --at {NOW} {arguments}");
    workspace.run_with_stdin(&arguments, list)
}

/// 5,000 addresses, of which 3 % have mistyped domains and 4 % are known to be invalid, and a hostile line.
fn list() -> String {
    let mut list = "email,source\n".to_owned();
    for number in 0..5_000 {
        let (address, source) = match number {
            0..200 => (format!("u{number}@example.org"), "old"),
            200..350 => (format!("n{number}@gmial.com"), "import"),
            _ => (format!("u{number}@example.org"), "news"),
        };
        writeln!(list, "{address},\"=1+1 {source}\"").unwrap();
    }
    list + "=cmd|' /C calc'!A0\n"
}

#[test]
fn forecast_reports_mistyped_and_invalid_addresses_and_what_remains() {
    let workspace = workspace();
    let output = forecast(&workspace, &list(), "--format json --column source");
    let json = output.json();
    let part = |value: &str| {
        let parts = json["parts"].as_array().unwrap();
        let found = parts.iter().find(|one| one["by"] == "evidence" && one["value"] == value);
        found.map(|one| one["addresses"].as_u64().unwrap())
    };
    assert_eq!((part("bounced"), part("mistyped_domain")), (Some(200), Some(150)));
    let removed: Vec<&str> = json["remaining"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["removed"].as_str().unwrap())
        .collect();
    assert_eq!(removed[..2], ["suppressed addresses", "mistyped domains"]);
    assert_eq!(json["remaining"][1]["addresses"], 5_000 - 200 - 150);
    assert_eq!(json["errors"][0]["line"], 5_002);
    assert_eq!(
        output.exit_code,
        i32::from(u8::try_from(json["exit_code"].as_u64().unwrap()).unwrap())
    );
    assert!(output.stderr.contains("line 5002: not an address"), "{}", output.stderr);
}

#[test]
fn split_writes_both_files_with_escaped_columns() {
    let workspace = workspace();
    let folder = workspace.path("out");
    forecast(&workspace, &list(), "--keep-below 4% --split-dir out");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let (send, hold) = (read("send.csv"), read("hold.csv"));
    assert!(send.starts_with("email,source,bounce_probability,batch\r\n"), "{send}");
    assert!(
        hold.contains("u0@example.org,'=1+1 old,") && hold.contains(",hard_bounce\r\n"),
        "{hold}"
    );
    assert!(!send.contains("u0@example.org"));
    assert_eq!(send.lines().count() + hold.lines().count(), 5_000 + 2);
}

#[test]
fn wrong_arguments_exit_3() {
    let workspace = workspace();
    for arguments in ["--keep-below much", "--column nothing", "--by nothing"] {
        let output = forecast(&workspace, "a@example.org\n", arguments);
        assert_eq!(output.exit_code, 3, "{arguments}: {}", output.stderr);
    }
    assert_eq!(forecast(&workspace, "nothing\n", "").exit_code, 3);
    let backtest = workspace.run(&format!("forecast --backtest --store STORE --at {NOW}"));
    assert_eq!(backtest.exit_code, 0, "{}", backtest.stderr);
}
