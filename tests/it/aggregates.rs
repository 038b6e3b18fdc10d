//! What is kept of closed days changes no answer: not when events come late, not when it is damaged, not when it cannot be
//! kept, and not when a store is compacted in between.

use std::path::{Path, PathBuf};

use bouncewatch_fixtures::traffic::{Envelope, Options, Scenario, Shuffle, Traffic};

use crate::command::Place;

const MOMENTS: [&str; 2] = ["2026-11-18T11:22:33.444Z", "2026-11-20T00:00:00Z"];
const CUTS: &str = "--by tag:campaign --by provider";

/// All answers about a store.
fn told(place: &Place) -> Vec<String> {
    let mut all = Vec::new();
    for at in MOMENTS {
        for words in [
            format!("check --at {at} --window 24h,volume:300 {CUTS} --no-alert"),
            format!("check --at {at} --window 36h --basis send --no-alert"),
            format!("report --from 2026-11-16 --to {at} --every 29h --window 24h --by provider"),
            format!("reconcile --at {at} --window 3d --own-domain example.com"),
        ] {
            all.push(place.run(&(words + " --store STORE --format json")).out);
        }
    }
    assert!(all.iter().all(|answer| answer.len() > 100), "{all:?}");
    all
}

/// The answers without anything that is kept, which is as it was afterwards.
fn afresh(place: &Place) -> Vec<String> {
    let (kept, aside) = (place.store().join("aggregates"), place.path("aside"));
    std::fs::rename(&kept, &aside).unwrap();
    let told = told(place);
    std::fs::remove_dir_all(&kept).unwrap();
    std::fs::rename(&aside, &kept).unwrap();
    told
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    files.into_iter().chain(folders.iter().flat_map(|folder| self::files(folder))).collect()
}

#[test]
fn what_is_kept_changes_no_answer() {
    let place = Place::new();
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
    // the copies of an event, and the events of a message, come in different parts
    for (number, part) in events.chunks(events.len().div_ceil(2)).enumerate() {
        place.ingest(&part.join("\n"));
        let made = told(&place);
        assert_eq!(told(&place), made, "part {number}");
        assert_eq!(afresh(&place), made, "part {number}");
    }
    assert_eq!(place.run("store compact --store STORE --grace 0s").code, 0);
    let expected = told(&place);
    assert_eq!(afresh(&place), expected, "compacted");
    let kept = files(&place.store().join("aggregates"));
    assert!(kept.len() > 20, "{kept:?}");
    // half of each file: an index without its times, or half of an index
    for path in &kept {
        let bytes = std::fs::read(path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    }
    assert_eq!(told(&place), expected);
    // the last byte of each: times that are not those that were written
    for path in &kept {
        let mut bytes = std::fs::read(path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(path, &bytes).unwrap();
    }
    assert_eq!(told(&place), expected);
    // nothing can be kept
    std::fs::remove_dir_all(place.store().join("aggregates")).unwrap();
    std::fs::write(place.store().join("aggregates"), "a file").unwrap();
    assert_eq!(told(&place), expected);
}
