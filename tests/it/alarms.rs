//! Alarms of a cron: each thing is told once, whatever happens to the run, its channel or its state.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::command::{Place, Said, said};
use crate::messages::{Message, message, minutes_after_now, sent_and_bounced};

/// Writes each message to a file, a line each.
const KEEP: &str = "cat >> got";

/// A run so many minutes after midnight; the mail is of an hour before.
fn check(place: &Place, minutes: i64, words: &str) -> Command {
    let at = minutes_after_now(minutes);
    place.command(&format!("check --store STORE --window 1h --at {at} {words}"))
}

fn run(place: &Place, minutes: i64, words: &str, exec: &str) -> Said {
    let mut command = check(place, minutes, words);
    if !exec.is_empty() {
        command.args(["--alert-exec", exec]);
    }
    said(command.output().unwrap())
}

/// What the command got, a message each.
fn got(place: &Place) -> Vec<Value> {
    let text = std::fs::read_to_string(place.path("got")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// `change level` of each change of each message.
fn changes(messages: &[Value]) -> Vec<String> {
    let of = |message: &Value| -> Vec<String> {
        let changes = message["alert"]["changes"].as_array().unwrap();
        changes
            .iter()
            .map(|one| {
                format!("{} {}", one["change"].as_str().unwrap(), one["level"].as_str().unwrap())
            })
            .collect()
    };
    messages.iter().flat_map(of).collect()
}

/// A store in which 6.2 % bounced at 23:00.
fn warned() -> Place {
    let place = Place::new();
    place.ingest(&sent_and_bounced(1_000, 62));
    place
}

#[test]
fn cron_mails_each_thing_once() {
    let place = warned();
    // mail before, so that the feed is not silent
    place.ingest(&Message { at: "2026-11-19T22:00:00.000Z", ..message(5_000) }.send());
    let mut said = Vec::new();
    for step in -14..=10 {
        let told = run(&place, step * 5, "--alert-stdout", "");
        // the exit code is that of the rates now, whatever was told
        assert_eq!(told.code, i32::from((-12..0).contains(&step)), "{step}: {told:?}");
        assert!(!told.err.contains("error"), "{told:?}");
        said.extend((!told.out.is_empty()).then_some((step * 5, told.out)));
    }
    assert_eq!(said.iter().map(|(minutes, _)| *minutes).collect::<Vec<_>>(), [-60, 30]);
    insta::assert_snapshot!(
        "mail",
        said.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("=====\n")
    );
}

#[test]
fn a_dry_run_tells_what_would_be_told_and_changes_nothing() {
    let place = warned();
    let words = "--dry-run --alert-sns arn:aws:sns:us-east-1:1:topic";
    let dry = run(&place, -30, words, KEEP);
    assert_eq!(dry.code, 1, "{dry:?}");
    for part in [
        "would tell sns:arn:aws:sns:us-east-1:1:topic:\nSES WARNING: ",
        "would tell exec:\nSES WARNING: ",
    ] {
        assert!(dry.out.contains(part), "{dry:?}");
    }
    assert!(got(&place).is_empty());
    assert!(!place.path("store/alerts.json").try_exists().unwrap());
    assert_eq!(run(&place, -30, "", KEEP).code, 1);
    let after = run(&place, -25, "--dry-run", KEEP);
    assert!(
        after.out.contains("nothing new") && after.out.contains("would tell exec"),
        "{after:?}"
    );
}

#[test]
fn a_command_gets_json_and_one_that_fails_is_tried_again() {
    let place = warned();
    let failed = run(&place, -30, "", "exit 9");
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.err.contains("error: the alert command failed: exit code 9"), "{failed:?}");
    let told = run(&place, -25, "", "cat >> got; echo talk; echo more >&2");
    assert!(told.err.contains("talk\nmore\n") && told.out.starts_with("WARNING"), "{told:?}");
    assert_eq!(run(&place, -20, "", KEEP).code, 1);
    let messages = got(&place);
    assert_eq!(changes(&messages), ["raised warning"]);
    let message = &messages[0];
    assert_eq!((&message["version"], &message["status"]), (&json!(1), &json!("warning")));
    assert_eq!(message["verdicts"][0]["count"], 62);
    let change = &message["alert"]["changes"][0];
    assert_eq!(change["scope"], json!({"account": "123456789012", "region": "us-east-1"}));
    // it was raised when it was first seen, though it could not be told then
    assert_eq!(change["raised_at"], "2026-11-19T23:30:00.000Z");
    assert_eq!(change["windows"], json!(["1h"]));
}

#[test]
fn what_rose_and_ended_while_nobody_could_be_told_is_told_as_such() {
    let place = warned();
    for minutes in (-30..=30).step_by(10) {
        run(&place, minutes, "", "false");
    }
    run(&place, 40, "", KEEP);
    run(&place, 45, "", KEEP);
    let messages = got(&place);
    assert_eq!(changes(&messages), ["missed ok"]);
    let text = messages[0]["alert"]["text"].as_str().unwrap();
    assert!(
        text.contains("it was WARNING from 2026-11-19 23:30 UTC to 2026-11-20 00:30 UTC"),
        "{text}"
    );
    assert!(
        text.contains("6.20 % at most (62 of 1000 in 1h); nobody could be told while it lasted"),
        "{text}"
    );
}

#[test]
fn a_run_that_is_killed_repeats_one_message_at_most() {
    let place = warned();
    // the command kills the run that started it: after the message was taken, before that was noted
    let killed = run(&place, -30, "", "cat >> got; kill -KILL $PPID");
    assert_eq!(killed.code, -1, "{killed:?}");
    assert_eq!(run(&place, -25, "", KEEP).code, 1);
    assert_eq!(run(&place, -20, "", KEEP).code, 1);
    let messages = got(&place);
    assert_eq!(changes(&messages), ["raised warning", "raised warning"]);
    // by which whoever gets both can tell that they are one
    assert_eq!(messages[0]["alert"]["id"], messages[1]["alert"]["id"]);
    // killed before it could send
    let place = warned();
    assert_eq!(run(&place, -30, "", "kill -KILL $PPID").code, -1);
    run(&place, -25, "", KEEP);
    assert_eq!(changes(&got(&place)), ["raised warning"]);
}

#[test]
fn two_crons_at_once_tell_once() {
    let place = warned();
    for pipe in ["started", "go"] {
        assert!(Command::new("mkfifo").arg(place.path(pipe)).status().unwrap().success());
    }
    // the first one is in the middle of sending
    let held = format!("{KEEP}; echo now > started; read line < go");
    let first =
        check(&place, -30, "").args(["--alert-exec", &held]).stdout(Stdio::null()).spawn().unwrap();
    assert_eq!(std::fs::read_to_string(place.path("started")).unwrap(), "now\n");
    let mut second = check(&place, -30, "-v");
    second.args(["--alert-exec", KEEP]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut second = second.spawn().unwrap();
    let mut log = BufReader::new(second.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(log.any(|line| line.contains("another run holds the alert state")));
    std::fs::write(place.path("go"), "now\n").unwrap();
    for mut run in [first, second] {
        assert_eq!(run.wait().unwrap().code(), Some(1));
    }
    assert_eq!(log.find(|line| line.contains("error")), None);
    assert_eq!(changes(&got(&place)), ["raised warning"]);
}

#[test]
fn a_state_that_cannot_be_used_is_told_and_silences_nobody() {
    let place = warned();
    for (state, told) in [
        ("{\"version\": 1, \"runs\"", "cannot be understood: EOF"),
        ("[]", "it tells no version"),
        ("{\"version\": 2}", "is of version 2, and this bouncewatch knows version 1"),
        ("{\"version\": 1, \"runs\": {}, \"alarms\": [{}]}", "missing field"),
    ] {
        std::fs::write(place.path("store/alerts.json"), state).unwrap();
        let before = got(&place).len();
        for _ in 0..2 {
            let said = run(&place, -30, "", KEEP);
            assert_eq!(said.code, 1, "{said:?}");
            assert!(said.err.contains(told) && said.err.contains("hint:"), "{told}: {said:?}");
        }
        // nobody knows what was told, so each run tells, and says why
        let messages = got(&place);
        assert_eq!(messages.len(), before + 2);
        let text = messages[before]["alert"]["text"].as_str().unwrap();
        assert!(
            text.contains("This message comes again with each run") && text.contains(told),
            "{text}"
        );
        assert_eq!(std::fs::read_to_string(place.path("store/alerts.json")).unwrap(), state);
    }
    // a place that cannot be written
    std::fs::remove_file(place.path("store/alerts.json")).unwrap();
    let said = run(&place, -30, "--alert-state nowhere/alerts.json", KEEP);
    assert!(
        said.code == 1 && said.err.contains("could not lock `nowhere/alerts.json.lock`"),
        "{said:?}"
    );
}

#[test]
fn a_run_of_the_past_tells_nobody() {
    let place = warned();
    run(&place, -20, "", KEEP);
    let state = std::fs::read(place.path("store/alerts.json")).unwrap();
    let said = run(&place, -25, "", KEEP);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.err.contains("error: nobody was told anything: 2026-11-19T23:35:00.000Z lies before"),
        "{said:?}"
    );
    assert!(said.err.contains("--no-alert"), "{said:?}");
    assert_eq!(std::fs::read(place.path("store/alerts.json")).unwrap(), state);
    assert_eq!(got(&place).len(), 1);
}

#[test]
fn a_silent_feed_and_an_unknown_denominator_alarm_on_their_own() {
    let place = Place::new();
    place.ingest(&(0..30).map(|number| message(number).bounce()).collect::<String>());
    for minutes in [-30, -25, 24 * 60 + 5, 24 * 60 + 10] {
        let said = run(&place, minutes, "--window 30d", KEEP);
        assert_eq!(said.code, 3, "{said:?}");
    }
    // sends come again, and with them the rates
    let back = Message { at: "2026-11-21T00:10:00.000Z", ..message(1_000) };
    place.ingest(&(back.send() + &sent_and_bounced(1_000, 30)));
    for minutes in [24 * 60 + 15, 24 * 60 + 45] {
        assert_eq!(run(&place, minutes, "--window 30d", KEEP).code, 0);
    }
    let messages = got(&place);
    let metrics = |message: &Value| -> Vec<String> {
        let changes = message["alert"]["changes"].as_array().unwrap();
        let word = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
        changes.iter().map(|one| word(one, "change") + " " + &word(one, "metric")).collect()
    };
    assert_eq!(
        messages.iter().map(metrics).collect::<Vec<_>>(),
        [
            vec!["raised denominator"],
            // a day later what still holds is told again, in the same message
            vec!["raised feed", "reminded denominator"],
            vec!["cleared feed", "cleared denominator"],
        ]
    );
    let line = |at: usize| {
        messages[at]["alert"]["text"].as_str().unwrap().lines().next().unwrap().to_owned()
    };
    assert!(
        line(0).starts_with("UNKNOWN: the rate is not known, 123456789012 us-east-1; "),
        "{}",
        line(0)
    );
    assert!(
        line(1)
            .starts_with("UNKNOWN: the feed of events is silent; no event since 2026-11-19T23:00"),
        "{}",
        line(1)
    );
}

#[test]
fn scopes_that_rise_at_once_are_one_message_with_the_widest_first() {
    let place = warned();
    let by = "--by identity --by recipient_domain";
    run(&place, -30, by, KEEP);
    let messages = got(&place);
    assert_eq!(changes(&messages), ["raised warning"; 3]);
    assert_eq!(messages.len(), 1);
    assert_eq!(
        messages[0]["alert"]["subject"],
        "SES WARNING: bounce rate 6.20 % (62 of 1000) in 1h, 123456789012 us-east-1 (+2 more)"
    );
    // a run that cuts by less leaves the others alone
    run(&place, 0, "", KEEP);
    run(&place, 30, "", KEEP);
    assert_eq!(changes(&got(&place)[1..]), ["cleared ok"]);
    run(&place, 35, by, KEEP);
    run(&place, 65, by, KEEP);
    assert_eq!(changes(&got(&place)[2..]), ["cleared ok"; 2]);
}

#[test]
fn hostile_names_reach_no_terminal_and_no_shell() {
    let place = Place::new();
    let campaign = "\"; touch pwned; $(touch pwned) \u{1b}[2J\u{202e}'`touch pwned`";
    let of = |number: usize| Message { tags: json!({"campaign": [campaign]}), ..message(number) };
    let sends = (0..100).map(|number| of(number).send());
    place.ingest(&sends.chain((0..50).map(|number| of(number).bounce())).collect::<String>());
    let said = run(&place, -30, "--by tag:campaign", KEEP);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(!place.path("pwned").try_exists().unwrap());
    let message = &got(&place)[0];
    // programs get it as it is, people get what a terminal does not obey
    assert!(
        message["alert"]["changes"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["scope"]["tag:campaign"] == campaign)
    );
    for part in ["text", "subject"] {
        let text = message["alert"][part].as_str().unwrap();
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
    }
}

#[test]
fn settings_name_the_channels_and_what_is_typed_wins() {
    let place = warned();
    let settings = "[alert]\nexec = \"cat >> got\"\nstate = \"told.json\"\nclear_after = \"0s\"\nrenotify_after = \"10m\"\n";
    std::fs::write(place.path("settings.toml"), settings).unwrap();
    let run = |minutes, words: &str| {
        let said = run(&place, minutes, &format!("--config settings.toml {words}"), "");
        assert!(!said.err.contains("error"), "{said:?}");
    };
    run(-30, "--no-alert");
    assert!(got(&place).is_empty() && !place.path("told.json").try_exists().unwrap());
    for minutes in [-30, -25, -20, -15, -10, -5, 0, 5] {
        run(minutes, "");
    }
    let expected = ["raised warning", "reminded warning", "reminded warning", "cleared ok"];
    assert_eq!(changes(&got(&place)), expected);
    let text = got(&place)[1]["alert"]["text"].as_str().unwrap().to_owned();
    assert!(
        text.starts_with("WARNING: still bounce rate 6.20 % ")
            && text.contains("; since 2026-11-19 23:30 UTC"),
        "{text}"
    );
    assert!(place.path("told.json").try_exists().unwrap());
    run(-30, "--alert-state other.json --alert-exec true");
    assert_eq!(got(&place).len(), 4);
}

#[test]
fn a_store_in_a_bucket_needs_a_place_to_remember() {
    let place = Place::new();
    let mut command =
        place.command("check --store s3://nobody/nothing --alert-stdout --cache cache");
    command.args(["--endpoint-url", "http://127.0.0.1:1"]).envs(crate::emulator::CREDENTIALS);
    let said = said(command.output().unwrap());
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("--alert-state FILE"), "{said:?}");
}
