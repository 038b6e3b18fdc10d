//! Damaged files of a store: every command reports them, and none uses them silently.

use std::path::{Path, PathBuf};

use bouncewatch_fixtures::random::SplitMix64;

use crate::command::{CommandOutput, Workspace};
use crate::messages::{NOW, sent_and_bounced};

/// Flipped bits; `make flip-test` sets the variable to a thousand.
const FLIPS: u64 = 24;
const FLIPS_VARIABLE: &str = "BOUNCEWATCH_FLIPS";
const SEED_VARIABLE: &str = "BOUNCEWATCH_SEED";

/// Commands that together read every file of a store.
fn commands() -> [String; 4] {
    let check = format!("check --store STORE --at {NOW} --window 24h");
    [
        format!("{check} --by identity --format json --no-alert"),
        format!("{check} --alert-stdout"),
        "store stats --store STORE".to_owned(),
        "store quarantine list --store STORE --bodies --format json".to_owned(),
    ]
}

/// Returns a store with two segments of events, and with files of every other kind.
fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.ingest(&sent_and_bounced(300, 20));
    let more = sent_and_bounced(400, 30) + "broken\n";
    assert_eq!(workspace.run_with_stdin("ingest - --store STORE", &more).exit_code, 1);
    let counts =
        "from,to,attempts,account,region\n2026-11-18,2026-11-19,9,123456789012,us-east-1\n";
    std::fs::write(workspace.path("counts.csv"), counts).unwrap();
    assert_eq!(workspace.run("ingest counts.csv --store STORE").exit_code, 0);
    for command in commands() {
        workspace.run(&command);
    }
    workspace
}

/// Returns the files below a folder, sorted.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Makes a store equal to a copy of it.
fn restore(store: &Path, copy: &[(PathBuf, Vec<u8>)]) {
    std::fs::remove_dir_all(store).unwrap();
    for (path, content) in copy {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

fn flip(path: &Path, bit: u64) {
    let mut content = std::fs::read(path).unwrap();
    content[usize::try_from(bit / 8).unwrap()] ^= 1 << (bit % 8);
    std::fs::write(path, content).unwrap();
}

fn segments(workspace: &Workspace) -> Vec<PathBuf> {
    files(&workspace.store().join("events"))
}

/// Flips a bit in the first page of a segment.
fn damage(path: &Path) {
    flip(path, 8 * 600);
}

#[test]
fn flipped_bit_changes_no_result_silently() {
    let number = |name: &str| std::env::var(name).ok().map(|number| number.parse::<u64>().unwrap());
    let (flips, seed) =
        (number(FLIPS_VARIABLE).unwrap_or(FLIPS), number(SEED_VARIABLE).unwrap_or(1));
    let workspace = workspace();
    let store = workspace.store();
    let read = |path: PathBuf| (path.clone(), std::fs::read(path).unwrap());
    let copy: Vec<_> = files(&store).into_iter().map(read).collect();
    let run = || commands().map(|command| workspace.run(&command));
    let expected = run();
    assert!(expected[0].stdout.contains("\"count\":30"), "{expected:?}");
    let kinds = ["/events/", "/quarantine/", "/volumes/", "/aggregates/", "/alerts.json"];
    let mut random = SplitMix64::new(seed);
    let mut reported = [0; 5];
    for number in 0..flips {
        let kind = usize::try_from(number).unwrap() % kinds.len();
        let of_kind: Vec<_> = copy
            .iter()
            .filter(|(path, content)| {
                path.to_string_lossy().contains(kinds[kind]) && !content.is_empty()
            })
            .collect();
        let (path, content) = of_kind[usize::try_from(random.below(of_kind.len() as u64)).unwrap()];
        restore(&store, &copy);
        if kinds[kind] != "/aggregates/" {
            // with the aggregates, the scan does not read the segments
            std::fs::remove_dir_all(store.join("aggregates")).unwrap();
        }
        let bit = random.below(8 * content.len() as u64);
        flip(path, bit);
        for (expected, found) in expected.iter().zip(run()) {
            let is_same =
                (&expected.stdout, expected.exit_code) == (&found.stdout, found.exit_code);
            let is_reported = found.stderr.contains("error:");
            assert!(is_same || is_reported, "bit {bit} of {}: {found:?}", path.display());
            reported[kind] += u32::from(is_reported);
        }
    }
    assert!([0, 1, 2, 4].iter().all(|kind| reported[*kind] > 0), "{reported:?}");
}

#[test]
fn damaged_segment_is_named_moved_aside_and_its_day_is_incomplete() {
    let workspace = workspace();
    let check = |workspace: &Workspace| workspace.run(&commands()[0]);
    let expected = check(&workspace);
    std::fs::remove_dir_all(workspace.store().join("aggregates")).unwrap();
    let damaged = segments(&workspace).remove(0);
    let name = damaged.file_name().unwrap().to_str().unwrap().to_owned();
    damage(&damaged);
    let is_named = |output: &CommandOutput, text: &str| output.transcript().contains(text);
    for (command, exit_code) in [
        (commands()[0].as_str(), 3),
        ("store verify --store STORE", 1),
        ("store compact --store STORE --grace 0s", 1),
        ("store retain --store STORE --days 0 --kind open", 1),
        ("store stats --store STORE", 2),
    ] {
        let output = workspace.run(command);
        assert_eq!(output.exit_code, exit_code, "{command}: {output:?}");
        assert!(is_named(&output, &name), "{command}: {output:?}");
        assert!(is_named(&output, "does not match its checksum"), "{command}: {output:?}");
    }
    assert!(damaged.exists() && segments(&workspace).len() == 2);

    let repaired = workspace.run("store repair --store STORE --format json");
    assert_eq!(repaired.exit_code, 1, "{repaired:?}");
    let report = repaired.json();
    assert_eq!(report["moved"].as_array().unwrap().len(), 1, "{report}");
    assert!(report["moved"][0]["moved_to"].as_str().unwrap().contains("damaged/events/date="));
    assert_eq!(workspace.run("store repair --store STORE").exit_code, 0);
    let incomplete = check(&workspace);
    assert_eq!(incomplete.json()["incomplete_days"][0], "2026-11-19");
    assert!(incomplete.stderr.contains("day is incomplete"), "{incomplete:?}");
    let forgotten = workspace.run("store forget a@example.com --store STORE");
    assert!(is_named(&forgotten, "not searched for the address"), "{forgotten:?}");

    // the events arrive again
    std::fs::remove_dir_all(workspace.store().join("damaged")).unwrap();
    workspace.ingest(&(sent_and_bounced(300, 20) + &sent_and_bounced(400, 30)));
    let complete = check(&workspace);
    assert_eq!((complete.stdout, complete.stderr), (expected.stdout, expected.stderr));
}

#[test]
fn damaged_compacted_segment_does_not_replace_its_inputs() {
    let workspace = workspace();
    let expected = workspace.run(&commands()[0]);
    let inputs = segments(&workspace);
    assert_eq!(workspace.run("store compact --store STORE --grace 1h").exit_code, 0);
    let compacted = segments(&workspace);
    let set = compacted.iter().find(|path| path.to_string_lossy().contains(".sealed")).unwrap();
    damage(set);
    for command in [
        "store compact --store STORE --grace 0s",
        "store retain --store STORE --days 0 --kind open",
    ] {
        let output = workspace.run(command);
        assert_eq!(output.exit_code, 1, "{output:?}");
        assert_eq!(segments(&workspace), compacted, "{output:?}");
    }
    assert_eq!(workspace.run("store repair --store STORE").exit_code, 1);
    assert_eq!(segments(&workspace), inputs);
    std::fs::remove_dir_all(workspace.store().join("damaged")).unwrap();
    assert_eq!(workspace.run(&commands()[0]).stdout, expected.stdout);
}

/// Files found by fuzzing. Most have no checksum, like the segments of the first releases.
#[test]
fn verify_exits_1_and_list_exits_2_on_damaged_segment() {
    let damaged = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/segments/damaged");
    for path in files(&damaged) {
        let workspace = Workspace::new();
        let folder = workspace.store().join("quarantine/date=2026-11-01");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(&path, folder.join("1793491200000-0011223344556677.parquet")).unwrap();
        for (command, exit_code) in [("store verify", 1), ("store quarantine list", 2)] {
            let output = workspace.run(&format!("{command} --store STORE"));
            assert_eq!(output.exit_code, exit_code, "{command} {}: {output:?}", path.display());
            let transcript = output.transcript();
            let reasons = [
                "columns outside of the file",
                "pages cannot be decoded",
                "content does not match its checksum",
            ];
            assert!(reasons.iter().any(|reason| transcript.contains(reason)), "{transcript}");
            assert!(!transcript.contains("panicked"), "{transcript}");
        }
    }
}

#[test]
fn segment_without_checksum_is_read_and_counted() {
    let workspace = Workspace::new();
    let folder = workspace.store().join("volumes");
    std::fs::create_dir_all(&folder).unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/segments/v2/volumes.parquet");
    std::fs::copy(golden, folder.join("a.parquet")).unwrap();
    let verified = workspace.run("store verify --store STORE --format json").json();
    assert_eq!(
        (&verified["no_checksum"], &verified["segments"]),
        (&1.into(), &1.into()),
        "{verified}"
    );
}
