//! Daily aggregates do not change results: with late events, damaged files, an unwritable folder, and after compaction.

use std::path::{Path, PathBuf};

use bouncewatch_fixtures::traffic::{Envelope, Options, Scenario, Shuffle, Traffic};

use crate::command::Workspace;

const TIMES: [&str; 2] = ["2026-11-18T11:22:33.444Z", "2026-11-20T00:00:00Z"];
const GROUPINGS: &str = "--by tag:campaign --by provider";

/// Returns the output of `check`, `report` and `reconcile` for several times.
fn results(workspace: &Workspace) -> Vec<String> {
    let mut all = Vec::new();
    for at in TIMES {
        for arguments in [
            format!("check --at {at} --window 24h,volume:300 {GROUPINGS} --no-alert"),
            format!("check --at {at} --window 36h --basis send --no-alert"),
            format!("report --from 2026-11-16 --to {at} --every 29h --window 24h --by provider"),
            format!("reconcile --at {at} --window 3d --own-domain example.com"),
        ] {
            all.push(workspace.run(&(arguments + " --store STORE --format json")).stdout);
        }
    }
    assert!(all.iter().all(|result| result.len() > 100), "{all:?}");
    all
}

/// Returns the results without stored aggregates; restores the folder afterwards.
fn results_without_aggregates(workspace: &Workspace) -> Vec<String> {
    let (folder, backup) = (workspace.store().join("aggregates"), workspace.path("backup"));
    std::fs::rename(&folder, &backup).unwrap();
    let results = results(workspace);
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::rename(&backup, &folder).unwrap();
    results
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    files.into_iter().chain(folders.iter().flat_map(|folder| self::files(folder))).collect()
}

#[test]
fn daily_aggregates_do_not_change_results() {
    let workspace = Workspace::new();
    let options = Options {
        events: 1_500,
        seed: 23,
        scenario: Scenario::Mixed,
        envelope: Envelope::Mixed,
        duplicates: 0.2,
        shuffle: Shuffle::All,
        ..Options::default()
    }
    .spanning("2026-11-20T00:00:00Z".parse().unwrap(), 6);
    let events: Vec<String> = Traffic::new(&options).unwrap().collect();
    // duplicates of an event and events of a message are in different parts
    for (number, part) in events.chunks(events.len().div_ceil(2)).enumerate() {
        workspace.ingest(&part.join("\n"));
        let first = results(&workspace);
        assert_eq!(results(&workspace), first, "part {number}");
        assert_eq!(results_without_aggregates(&workspace), first, "part {number}");
    }
    assert_eq!(workspace.run("store compact --store STORE --grace 0s").exit_code, 0);
    let expected = results(&workspace);
    assert_eq!(results_without_aggregates(&workspace), expected, "compacted");
    let aggregates = files(&workspace.store().join("aggregates"));
    assert!(aggregates.len() > 20, "{aggregates:?}");
    // truncate each file to half of its size
    for path in &aggregates {
        let bytes = std::fs::read(path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    }
    assert_eq!(results(&workspace), expected);
    // flip a bit of the last byte of each file
    for path in &aggregates {
        let mut bytes = std::fs::read(path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(path, &bytes).unwrap();
    }
    assert_eq!(results(&workspace), expected);
    // the folder cannot be created
    std::fs::remove_dir_all(workspace.store().join("aggregates")).unwrap();
    std::fs::write(workspace.store().join("aggregates"), "a file").unwrap();
    assert_eq!(results(&workspace), expected);
}
