//! Tables on a terminal (a pseudo-terminal of `script`): colors, width, bars.

use std::process::Command;

use crate::command::Workspace;
use crate::messages::NOW;
use crate::page_states::STATES;

const LEVELS: [&str; 4] = ["OK", "WARNING", "CRITICAL", "UNKNOWN"];

/// A store with a critical bounce rate.
fn workspace() -> Workspace {
    let workspace = Workspace::new();
    let critical = STATES.iter().find(|state| state.name == "critical").unwrap();
    (critical.fill)(&workspace);
    workspace
}

/// Runs a command on a terminal with some columns and returns what it shows.
fn shown(workspace: &Workspace, columns: u16, locale: &str, arguments: &str) -> String {
    let program = env!("CARGO_BIN_EXE_bouncewatch");
    let line = format!("stty cols {columns} rows 50; {program} {arguments} --store store --quiet");
    let output = Command::new("script")
        .args(["-q", "-e", "-c", &line, "/dev/null"])
        .current_dir(workspace.path(""))
        .env_remove("NO_COLOR")
        .envs([("TERM", "xterm"), ("LC_ALL", locale)])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().replace('\r', "")
}

fn check_arguments() -> String {
    format!("check --at {NOW}")
}

#[test]
fn levels_have_colors_on_a_terminal_only() {
    let workspace = workspace();
    let arguments = check_arguments();
    let text = shown(&workspace, 200, "C.UTF-8", &arguments);
    let colored: Vec<&str> = text
        .split('\u{1b}')
        .filter_map(|part| part.split_once('m'))
        .map(|(_, text)| text)
        .filter(|text| !text.is_empty())
        .collect();
    assert!(text.contains("\u{1b}[31mCRITICAL\u{1b}[0m"), "{text}");
    let is_level = |text: &str| LEVELS.iter().any(|level| text.starts_with(level));
    // a reset is followed by the remainder of the line
    assert!(colored.iter().step_by(2).all(|text| is_level(text)), "{colored:?}");
    for (arguments, has_color) in [("--color never", false), ("--color always", true), ("", false)]
    {
        let piped = workspace.run(&format!("{} --store STORE {arguments}", check_arguments()));
        assert_eq!(piped.stdout.contains('\u{1b}'), has_color, "{arguments}: {piped:?}");
    }
    let file =
        workspace.run(&format!("report --to {NOW} --store STORE --color always -o report.txt"));
    assert_eq!(file.exit_code, 0, "{file:?}");
    assert!(!std::fs::read_to_string(workspace.path("report.txt")).unwrap().contains('\u{1b}'));
}

#[test]
fn table_fits_the_terminal_and_keeps_its_numbers() {
    let workspace = workspace();
    let json = workspace.run(&format!("{} --store STORE --format json", check_arguments())).json();
    let verdicts = json["verdicts"].as_array().unwrap();
    let arguments = format!("{} --color never", check_arguments());
    for columns in [250, 140, 110, 80, 40] {
        let text = shown(&workspace, columns, "C.UTF-8", &arguments);
        let table = text.split("\n\n").nth(1).unwrap();
        for line in table.lines() {
            assert!(line.chars().count() <= usize::from(columns), "{columns}: {line}");
        }
        for verdict in verdicts {
            let rate = format!("{:.2} %", verdict["rate"].as_f64().unwrap() * 100.0);
            assert!(text.contains(&rate), "{columns}: {rate} is missing in {text}");
            assert!(text.contains(&format!("{} sends", verdict["attempts"])), "{columns}: {text}");
        }
    }
}

#[test]
fn rates_of_the_last_days_are_bars_in_a_utf8_locale() {
    let workspace = workspace();
    let report = format!("report --to {NOW} --every 1d");
    let full = |text: &str| text.contains('\u{2588}');
    assert!(full(&shown(&workspace, 200, "C.UTF-8", &report)));
    assert!(!full(&shown(&workspace, 200, "C", &report)));
    assert!(full(&shown(&workspace, 200, "C.UTF-8", &check_arguments())));
    assert!(!full(&shown(&workspace, 100, "C.UTF-8", &check_arguments())));
}
