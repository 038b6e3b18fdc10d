//! Looking after a store changes no number, and says what it did.

use bouncewatch_fixtures::traffic::{DEFAULT_DAYS, Envelope, Options, Scenario, Shuffle, Traffic};

use crate::command::{Place, Said};
use crate::messages::{Message, message};

/// After all events of these tests, and before any clock that runs them: their days are over.
const NOW: &str = "2025-11-20T00:00:00Z";

const CUTS: [&str; 11] = [
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

/// Everything that is told about a store.
fn told(place: &Place) -> Vec<String> {
    let cuts = CUTS.join(" ");
    let check = "check --store STORE --window 24h,7d,volume:1000,volume:100000 --format json";
    let report = "report --store STORE --every 71h --window 24h,volume:500 --format json";
    [
        format!("{check} --at {NOW} {cuts}"),
        format!("{check} --at 2025-11-13T05:06:07.089Z {cuts}"),
        format!("{report} --from 2025-11-10 --to {NOW} {cuts}"),
        "store quarantine list --store STORE --bodies".to_owned(),
    ]
    .iter()
    .map(|words| place.run(words).out)
    .collect()
}

#[test]
fn compaction_changes_no_byte_of_any_answer() {
    let place = Place::new();
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
    // three runs, the middle part twice
    let third = events.len() / 3;
    for part in [&events[..2 * third], &events[third..]] {
        std::fs::write(place.path("part.ndjson"), part.join("\n") + "\nbroken\n").unwrap();
        assert_eq!(place.run("ingest part.ndjson --store STORE").code, 1);
    }
    let before = told(&place);
    assert!(before.iter().all(|answer| answer.len() > 100), "{before:?}");
    let done = place.run("store compact --store STORE --format json");
    assert_eq!(done.code, 0, "{done:?}");
    let days = done.json()["days"].as_array().unwrap().clone();
    let merged: u64 = days.iter().map(|day| day["copies_merged"].as_u64().unwrap()).sum();
    assert!(days.len() == 30 && merged > 1_000, "{done:?}");
    assert_eq!(told(&place), before);
    let removed = place.run("store compact --store STORE --grace 0s --format json").json();
    assert_eq!((&removed["days"], &removed["inputs_waiting"]), (&serde_json::json!([]), &0.into()));
    assert_eq!(told(&place), before);
    assert_eq!(place.run("store verify --store STORE").code, 0);
}

/// An answer without what differs from run to run: sizes of files.
fn without_bytes(said: &Said) -> String {
    let whole = said.whole();
    let line = |line: &str| match line.split_once("  bytes ") {
        None => line.to_owned(),
        Some((head, tail)) => {
            let rest = tail.split_once("  copies").map_or("", |(_, rest)| rest);
            let rest = if rest.is_empty() { String::new() } else { format!("  copies{rest}") };
            format!("{head}  bytes _{rest}")
        }
    };
    whole.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_a_compaction_says() {
    let place = Place::new();
    let old = |number| Message { at: "2025-11-19T23:00:00.000Z", ..message(number) };
    for _ in 0..3 {
        let sends: String = (0..20).map(|number| old(number).send()).collect();
        place.ingest(&(sends + &old(0).bounce() + &old(1).bounce()));
    }
    let bounce = old(0);
    let mut detail = bounce.bounce_detail("Permanent", "General");
    detail["bouncedRecipients"][0]["diagnosticCode"] = "smtp; 550 5.1.1 other words".into();
    place.ingest(&bounce.feedback("Bounce", "bounce", &detail));
    let dry = place.run("store compact --store STORE --dry-run --until 2025-11-19");
    let run = place.run("store compact --store STORE --until 2025-11-19 --grace 1h");
    let again = place.run("store compact --store STORE --until 2025-11-19 --grace 0s");
    let words = [dry, run, again].iter().map(without_bytes).collect::<Vec<_>>().join("\n\n");
    insta::assert_snapshot!("compact", words);
    assert!(place.run("store compact --store STORE --grace soon").err.contains("--grace"));
    assert!(place.run("store compact --store STORE --until soon").err.contains("--until"));
}

#[test]
fn what_retention_and_forgetting_say() {
    let place = Place::new();
    let old = |number| Message { at: "2025-11-19T23:00:00.000Z", ..message(number) };
    let events: String = (0..5).map(|number| old(number).send()).collect();
    place.ingest(&(events + &old(0).bounce() + &old(1).delivery()));
    let mut said = String::new();
    let mut say = |words: &str| {
        let told = place.run(words);
        assert!(!told.err.contains("user0@"), "{told:?}");
        // the day until which is kept hangs on the clock
        let whole = told.whole();
        let lines = whole.lines().map(|line| match line.split_once(" before ") {
            Some((head, tail)) => {
                format!("{head} before _:{}\n", tail.split_once(':').map_or("", |(_, end)| end))
            }
            None => format!("{line}\n"),
        });
        said.extend([format!("$ {words}\n"), lines.collect(), "\n".to_owned()]);
    };
    say("store forget user0@example.org --store STORE");
    say("store forget user0@example.org --store STORE --format json");
    say("store forget nobody --store STORE");
    say("store retain --days 1 --kind bounce,delivery --dry-run --store STORE");
    say("store retain --days 1 --kind bounce --store STORE");
    say("store retain --days 1 --quarantine-days 1 --store STORE");
    say("store retain --days 1 --kind bounces --store STORE");
    insta::assert_snapshot!("retain_and_forget", said);
    let read = place.run_with("store forget - --store STORE", "user1@example.org\n");
    assert_eq!(read.code, 0, "{read:?}");
    assert_eq!(place.run("store retain --store STORE").code, 2);
}

#[test]
fn addresses_are_stored_as_the_policy_says() {
    let place = Place::new();
    std::fs::write(place.path("key"), "a key of twenty bytes\n").unwrap();
    std::fs::write(place.path("short"), "a key\n").unwrap();
    let config = |policy: &str, key: &str| {
        std::fs::write(place.path("c.toml"), format!("[addresses]\npolicy = \"{policy}\"\n{key}"))
            .unwrap();
    };
    std::fs::write(place.path("in.ndjson"), message(0).send() + &message(0).bounce()).unwrap();
    let ingest = "ingest in.ndjson --store STORE --config c.toml";
    for key in ["", "key_file = \"short\"\n", "key_file = \"none\"\n"] {
        config("hash", key);
        let failed = place.run(ingest);
        assert_eq!(failed.code, 2, "{failed:?}");
        assert!(failed.err.contains("key") && !place.store().join("events").is_dir(), "{failed:?}");
    }
    config("hash", "key_file = \"key\"\n");
    assert_eq!(place.run(ingest).code, 0);
    let check = |config: &str| {
        place
            .run(&format!(
                "check --store STORE --at {} --format json {config}",
                crate::messages::NOW
            ))
            .out
    };
    let hashed = check("");
    // the same events once more, under another policy, change no number
    assert_eq!(place.run(&format!("{ingest} --addresses drop")).code, 0);
    assert_eq!(check("").replace(' ', ""), hashed.replace(' ', ""));
    let forgotten =
        place.run("store forget user0@example.org --store STORE --config c.toml --format json");
    assert_eq!((forgotten.code, &forgotten.json()["rows"]), (0, &2.into()), "{forgotten:?}");
    assert_eq!(check(""), hashed);
}
