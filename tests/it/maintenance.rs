//! Store maintenance: compaction, retention, `forget` and address policies; output and effect on results.

use bouncewatch_fixtures::traffic::{DEFAULT_DAYS, Envelope, Options, Scenario, Shuffle, Traffic};

use crate::command::{CommandOutput, Workspace};
use crate::messages::{Message, message};

/// Time of evaluation, in the past of the system clock: compaction only merges days that are over.
const NOW: &str = "2025-11-20T00:00:00Z";

const GROUPINGS: [&str; 11] = [
    "--by identity",
    "--by configuration_set",
    "--by tenant",
    "--by provider",
    "--by recipient_domain",
    "--by source",
    "--by source_domain",
    "--by source_ip",
    "--by outgoing_ip",
    "--by tag:campaign",
    "--by configuration_set,tag:campaign",
];

/// Returns the output of `check`, `report` and `store quarantine list`.
fn results(workspace: &Workspace) -> Vec<String> {
    let groupings = GROUPINGS.join(" ");
    let check = "check --store STORE --window 24h,7d,volume:1000,volume:100000 --format json";
    let report = "report --store STORE --every 71h --window 24h,volume:500 --format json";
    [
        format!("{check} --at {NOW} {groupings}"),
        format!("{check} --at 2025-11-13T05:06:07.089Z {groupings}"),
        format!("{report} --from 2025-11-10 --to {NOW} {groupings}"),
        "store quarantine list --store STORE --bodies".to_owned(),
    ]
    .iter()
    .map(|arguments| workspace.run(arguments).stdout)
    .collect()
}

#[test]
fn compaction_does_not_change_results() {
    let workspace = Workspace::new();
    let options = Options {
        events: 3_000,
        seed: 11,
        scenario: Scenario::Mixed,
        envelope: Envelope::Mixed,
        duplicates: 0.2,
        shuffle: Shuffle::All,
        accounts: 2,
        ..Options::default()
    }
    .spanning(NOW.parse().unwrap(), DEFAULT_DAYS);
    let events: Vec<String> = Traffic::new(&options).unwrap().collect();
    // the middle third is in both runs
    let third = events.len() / 3;
    for part in [&events[..2 * third], &events[third..]] {
        std::fs::write(workspace.path("part.ndjson"), part.join("\n") + "\nbroken\n").unwrap();
        assert_eq!(workspace.run("ingest part.ndjson --store STORE").exit_code, 1);
    }
    let before = results(&workspace);
    assert!(before.iter().all(|result| result.len() > 100), "{before:?}");
    let done = workspace.run("store compact --store STORE --format json");
    assert_eq!(done.exit_code, 0, "{done:?}");
    let days = done.json()["days"].as_array().unwrap().clone();
    let merged: u64 = days.iter().map(|day| day["copies_merged"].as_u64().unwrap()).sum();
    assert!(days.len() == 30 && merged > 1_000, "{done:?}");
    assert_eq!(results(&workspace), before);
    let removed = workspace.run("store compact --store STORE --grace 0s --format json").json();
    assert_eq!((&removed["days"], &removed["inputs_waiting"]), (&serde_json::json!([]), &0.into()));
    assert_eq!(results(&workspace), before);
    assert_eq!(workspace.run("store verify --store STORE").exit_code, 0);
}

/// Returns the transcript without file sizes, which differ from run to run.
fn without_bytes(output: &CommandOutput) -> String {
    let transcript = output.transcript();
    let line = |line: &str| match line.split_once("  bytes ") {
        None => line.to_owned(),
        Some((head, tail)) => {
            let rest = tail.split_once("  duplicates").map_or("", |(_, rest)| rest);
            let rest = if rest.is_empty() { String::new() } else { format!("  duplicates{rest}") };
            format!("{head}  bytes _{rest}")
        }
    };
    transcript.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn compact_prints_segments_rows_and_duplicates() {
    let workspace = Workspace::new();
    let old = |number| Message { at: "2025-11-19T23:00:00.000Z", ..message(number) };
    for _ in 0..3 {
        let sends: String = (0..20).map(|number| old(number).send()).collect();
        workspace.ingest(&(sends + &old(0).bounce() + &old(1).bounce()));
    }
    let bounce = old(0);
    let mut detail = bounce.bounce_detail("Permanent", "General");
    detail["bouncedRecipients"][0]["diagnosticCode"] = "smtp; 550 5.1.1 other words".into();
    workspace.ingest(&bounce.feedback("Bounce", "bounce", &detail));
    let dry = workspace.run("store compact --store STORE --dry-run --until 2025-11-19");
    let run = workspace.run("store compact --store STORE --until 2025-11-19 --grace 1h");
    let again = workspace.run("store compact --store STORE --until 2025-11-19 --grace 0s");
    let transcripts = [dry, run, again].iter().map(without_bytes).collect::<Vec<_>>().join("\n\n");
    insta::assert_snapshot!("compact", transcripts);
    assert!(workspace.run("store compact --store STORE --grace soon").stderr.contains("--grace"));
    assert!(workspace.run("store compact --store STORE --until soon").stderr.contains("--until"));
}

#[test]
fn retain_and_forget_print_removed_rows() {
    let workspace = Workspace::new();
    let old = |number| Message { at: "2025-11-19T23:00:00.000Z", ..message(number) };
    let events: String = (0..5).map(|number| old(number).send()).collect();
    workspace.ingest(&(events + &old(0).bounce() + &old(1).delivery()));
    let mut transcripts = String::new();
    let mut run = |arguments: &str| {
        let output = workspace.run(arguments);
        assert!(!output.stderr.contains("user0@"), "{output:?}");
        // the cutoff day depends on the system clock
        let transcript = output.transcript();
        let lines = transcript.lines().map(|line| match line.split_once(" before ") {
            Some((head, tail)) => {
                format!("{head} before _:{}\n", tail.split_once(':').map_or("", |(_, end)| end))
            }
            None => format!("{line}\n"),
        });
        transcripts.extend([format!("$ {arguments}\n"), lines.collect(), "\n".to_owned()]);
    };
    run("store forget user0@example.org --store STORE");
    run("store forget user0@example.org --store STORE --format json");
    run("store forget no-address --store STORE");
    run("store retain --days 1 --kind bounce,delivery --dry-run --store STORE");
    run("store retain --days 1 --kind bounce --store STORE");
    run("store retain --days 1 --quarantine-days 1 --store STORE");
    run("store retain --days 1 --kind bounces --store STORE");
    insta::assert_snapshot!("retain_and_forget", transcripts);
    let read = workspace.run_with_stdin("store forget - --store STORE", "user1@example.org\n");
    assert_eq!(read.exit_code, 0, "{read:?}");
    assert_eq!(workspace.run("store retain --store STORE").exit_code, 2);
}

#[test]
fn commands_report_why_a_path_is_no_store() {
    let workspace = Workspace::new();
    std::fs::create_dir_all(workspace.path("folder/other")).unwrap();
    std::fs::write(workspace.path("file"), "").unwrap();
    std::os::unix::fs::symlink("loop", workspace.path("loop")).unwrap();
    std::fs::write(workspace.path("in.ndjson"), message(0).send()).unwrap();
    for (path, expected) in [
        ("none", "error: no store at `none`"),
        ("folder", "error: `folder` is not a store"),
        ("file", "error: `file` is not a folder"),
        ("loop", "error: could not read the store `loop`: "),
    ] {
        for command in [
            "stats",
            "verify",
            "compact",
            "retain --days 1",
            "forget user0@example.org",
            "quarantine list",
            "quarantine replay",
        ] {
            let output = workspace.run(&format!("store {command} --store {path}"));
            assert_eq!(output.exit_code, 2, "{command}: {output:?}");
            assert!(output.stderr.starts_with(expected), "{command}: {output:?}");
            assert!(output.stderr.contains("hint: "), "{command}: {output:?}");
        }
        for command in ["check", "report", "causes", "suppress"] {
            let output = workspace.run(&format!("{command} --store {path}"));
            assert!(output.exit_code >= 2, "{command}: {output:?}");
            assert!(output.stderr.starts_with(expected), "{command}: {output:?}");
        }
        let ingest = workspace.run(&format!("ingest in.ndjson --store {path}"));
        match path {
            "none" | "folder" => assert_eq!(ingest.exit_code, 0, "{ingest:?}"),
            _ => assert!(ingest.stderr.starts_with(expected), "{ingest:?}"),
        }
    }
}

#[test]
fn forget_of_an_unknown_address_prints_a_note() {
    let workspace = Workspace::new();
    workspace.ingest(&message(0).send());
    let output = workspace.run("store forget unknown@example.org --store STORE");
    assert_eq!(output.exit_code, 0, "{output:?}");
    assert!(
        output.stderr.starts_with("note: the address is not in the store\n  hint: "),
        "{output:?}"
    );
    let output = workspace.run("store forget user0@example.org --store STORE");
    assert_eq!(output.stderr, "", "{output:?}");
}

#[test]
fn address_policy_needs_a_valid_key_and_keeps_results() {
    let workspace = Workspace::new();
    std::fs::write(workspace.path("key"), "a key of twenty bytes\n").unwrap();
    std::fs::write(workspace.path("short"), "a key\n").unwrap();
    let config = |policy: &str, key: &str| {
        std::fs::write(
            workspace.path("c.toml"),
            format!("[addresses]\npolicy = \"{policy}\"\n{key}"),
        )
        .unwrap();
    };
    std::fs::write(workspace.path("in.ndjson"), message(0).send() + &message(0).bounce()).unwrap();
    let ingest = "ingest in.ndjson --store STORE --config c.toml";
    for key in ["", "key_file = \"short\"\n", "key_file = \"none\"\n"] {
        config("hash", key);
        let failed = workspace.run(ingest);
        assert_eq!(failed.exit_code, 2, "{failed:?}");
        assert!(
            failed.stderr.contains("key") && !workspace.store().join("events").is_dir(),
            "{failed:?}"
        );
    }
    config("hash", "key_file = \"key\"\n");
    assert_eq!(workspace.run(ingest).exit_code, 0);
    let check = |config: &str| {
        workspace
            .run(&format!(
                "check --store STORE --at {} --format json {config}",
                crate::messages::NOW
            ))
            .stdout
    };
    let hashed = check("");
    // duplicates under another address policy do not change results
    assert_eq!(workspace.run(&format!("{ingest} --addresses drop")).exit_code, 0);
    assert_eq!(check("").replace(' ', ""), hashed.replace(' ', ""));
    let forgotten =
        workspace.run("store forget user0@example.org --store STORE --config c.toml --format json");
    assert_eq!((forgotten.exit_code, &forgotten.json()["rows"]), (0, &2.into()), "{forgotten:?}");
    assert_eq!(check(""), hashed);
}

#[test]
fn compact_removes_staged_files_that_are_a_day_old() {
    let workspace = Workspace::new();
    workspace.ingest(&message(1).send());
    let day = workspace.store().join("events/date=2026-11-19");
    let (old, new) = (day.join("a.parquet#1"), day.join("b.parquet#1"));
    for path in [&old, &new] {
        std::fs::File::create(path).unwrap();
    }
    let touched = std::process::Command::new("touch").args(["-d", "2 days ago"]).arg(&old).status();
    assert!(touched.unwrap().success());
    let dry = workspace.run("store compact --store STORE --dry-run");
    assert!(dry.exit_code == 0 && old.is_file(), "{dry:?}");
    let run = workspace.run("store compact --store STORE");
    assert!(run.stderr.contains("note: removed 1 staged files of interrupted runs"), "{run:?}");
    assert!(!old.is_file() && new.is_file());
}
