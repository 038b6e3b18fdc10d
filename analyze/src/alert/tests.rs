//! Alarms over time: a line of levels in steps of five minutes, and what one channel is told.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::alert::advance::{Change, Earlier, advance, due, settle, tell};
use crate::alert::observe::{NO_WINDOW, Run, Seen};
use crate::alert::state::{FEED, Key, ScopeMap, State};
use crate::alert::{Asked, Policy};
use crate::check::levels::Level;

const STEP_MS: i64 = 5 * 60_000;
const START_MS: i64 = 1_795_132_800_000;
const CHANNEL: &str = "sns";
const POLICY: Policy = Policy {
    clear_after_ms: 6 * STEP_MS,
    clear_below: 0.9,
    renotify_after_ms: Some(24 * 12 * STEP_MS),
};

fn key(metric: &str) -> Key {
    let words = [("account", "1"), ("region", "r")].into_iter();
    let scope = if metric == FEED {
        ScopeMap::new()
    } else {
        words.map(|(word, value)| (word.to_owned(), Some(value.to_owned()))).collect()
    };
    Key { service: "ses".to_owned(), metric: metric.to_owned(), scope }
}

fn asked(windows: &[&str]) -> Asked {
    Asked {
        windows: windows.iter().map(|window| (*window).to_owned()).collect(),
        cuts: vec![vec!["account".to_owned(), "region".to_owned()]],
    }
}

/// A letter of a line: `.` ok, `n` below the threshold but within its margin, `W`, `C`, `?` unknown, ` ` the scope is gone.
fn seen(letter: char) -> Option<Seen> {
    let of = |reached, held| Seen::Level { reached, held, rate: None };
    Some(match letter {
        '.' => of(Level::Ok, Level::Ok),
        'n' => of(Level::Ok, Level::Warning),
        'w' | 'W' => of(Level::Warning, Level::Warning),
        'm' => of(Level::Warning, Level::Critical),
        'C' => of(Level::Critical, Level::Critical),
        'U' => of(Level::Unknown, Level::Unknown),
        '?' => Seen::Unknown,
        _ => return None,
    })
}

fn run(step: usize, metric: &str, windows: &[(&str, char)], live: bool) -> Run {
    let seen_in = windows
        .iter()
        .filter_map(|(name, letter)| seen(*letter).map(|what| ((*name).to_owned(), what)));
    let seen_in: BTreeMap<_, _> = seen_in.collect();
    let seen = if seen_in.is_empty() { None } else { Some((key(metric), seen_in)) };
    Run {
        at: START_MS + i64::try_from(step).unwrap() * STEP_MS,
        service: "ses".to_owned(),
        asked: asked(&windows.iter().map(|(name, _)| *name).collect::<Vec<_>>()),
        live,
        seen: seen.into_iter().collect(),
    }
}

/// What a channel is told, as `step:change level`; at steps for which `up` is false it cannot be told.
fn told(policy: &Policy, runs: impl Iterator<Item = Run>, up: impl Fn(usize) -> bool) -> String {
    let mut state = State::default();
    let mut all = Vec::new();
    for (step, run) in runs.enumerate() {
        state = advance(&state, &run, policy).unwrap();
        if up(step) {
            let notices = due(&state, CHANNEL, &run, policy);
            tell(&mut state, CHANNEL, &notices, run.at);
            assert_eq!(due(&state, CHANNEL, &run, policy), [], "what was told is not due any more");
            all.extend(notices.iter().map(|notice| {
                let change = format!("{:?}", notice.change).to_lowercase();
                format!("{step}:{change} {}", notice.alarm.level.as_str())
            }));
        }
        settle(&mut state, &[CHANNEL.to_owned()]);
    }
    all.join(", ")
}

/// Checks lines of levels, one for each window, as a channel is told of them that is always there.
fn check(lines: &[&str], expected: &str) {
    assert_eq!(told(&POLICY, runs("bounce_rate", lines), |_| true), expected, "{lines:?}");
}

const NAMES: [&str; 2] = ["24h", "7d"];

fn runs(metric: &'static str, lines: &[&str]) -> impl Iterator<Item = Run> {
    let lines: Vec<Vec<char>> = lines.iter().map(|line| line.chars().collect()).collect();
    (0..lines[0].len()).map(move |step| {
        let windows: Vec<_> =
            lines.iter().zip(NAMES).map(|(line, name)| (name, line[step])).collect();
        run(step, metric, &windows, true)
    })
}

#[test]
fn each_thing_is_told_once() {
    check(&["...."], "");
    check(&[".WWWWW"], "1:raised warning");
    check(&[".WWCCC"], "1:raised warning, 3:worsened critical");
    check(&["CCCCCC"], "0:raised critical");
    // cleared half an hour after it was last at its level
    check(&["W........"], "0:raised warning, 7:cleared ok");
    check(&["WCCC........."], "0:raised warning, 1:worsened critical, 10:cleared ok");
}

#[test]
fn a_rate_that_flaps_is_one_alarm() {
    check(&["W.....W.....W......."], "0:raised warning, 19:cleared ok");
    // below the threshold, but not by the margin
    check(&["Wnnnnnnnnnnn......."], "0:raised warning, 18:cleared ok");
    // the margin holds a level, and raises none
    check(&["nnnn"], "");
    // critical falls to warning without a word; soon after it is no news, half an hour after it is
    check(&["CWWCWWWWWC"], "0:raised critical");
    check(&["CWWWWWWWWC"], "0:raised critical, 9:worsened critical");
    check(&["Cmmmmmmmmm"], "0:raised critical");
    check(&["CWWWWWWWWWW......."], "0:raised critical, 17:cleared ok");
}

#[test]
fn the_windows_of_a_scope_are_one_alarm() {
    // the longer window follows, and stays longer
    check(&["WWWWWW.........", "..WWWWWW......."], "0:raised warning, 14:cleared ok");
    check(
        &["WWCCCC...........", "..WWWWWWWW......."],
        "0:raised warning, 2:worsened critical, 16:cleared ok",
    );
    // people heard that it was critical, and not that it fell: that another window is now is news
    check(&["CWWWWWWWWWW", "WWWWWWWWWWC"], "0:raised critical, 10:worsened critical");
    // what had fallen and comes again is news, though the longer window never fell
    check(&["W.......W", "WWWWWWWWW"], "0:raised warning, 8:worsened warning");
}

#[test]
fn nobody_can_say_is_no_end() {
    check(&["W??????????"], "0:raised warning");
    check(&["W..?......"], "0:raised warning");
    check(&["W..?......."], "0:raised warning, 10:cleared ok");
    // a scope of which nothing is left is below
    check(&["W       "], "0:raised warning, 7:cleared ok");
    // ... but not where no events come at all
    let silent = runs("bounce_rate", &["W         "]).enumerate();
    let silent = silent.map(|(step, run)| Run { live: step == 0, ..run });
    assert_eq!(told(&POLICY, silent, |_| true), "0:raised warning");
}

#[test]
fn what_has_no_rate_is_raised_and_ends_alike() {
    let line: Vec<char> = ".UUU.......".chars().collect();
    for metric in ["denominator", FEED] {
        let runs = line
            .iter()
            .enumerate()
            .map(|(step, letter)| run(step, metric, &[(NO_WINDOW, *letter)], *letter != 'U'));
        assert_eq!(told(&POLICY, runs, |_| true), "1:raised unknown, 10:cleared ok", "{metric}");
    }
}

#[test]
fn what_still_holds_is_told_again() {
    let policy = Policy { renotify_after_ms: Some(3 * STEP_MS), ..POLICY };
    let line = ["WWWCCCCCW"];
    let expected = "0:raised warning, 3:worsened critical, 6:reminded critical";
    assert_eq!(told(&policy, runs("bounce_rate", &line), |_| true), expected);
    let never = Policy { renotify_after_ms: None, ..POLICY };
    let line = ["W".repeat(600)];
    let line = [line[0].as_str()];
    assert_eq!(told(&never, runs("bounce_rate", &line), |_| true), "0:raised warning");
    assert_eq!(
        told(&POLICY, runs("bounce_rate", &line), |_| true),
        "0:raised warning, 288:reminded warning, 576:reminded warning"
    );
}

#[test]
fn who_could_not_be_told_is_told_what_is_true_then() {
    let told_of = |lines: &[&str], down: std::ops::Range<usize>| {
        told(&POLICY, runs("bounce_rate", lines), |step| !down.contains(&step))
    };
    let told = |line: &str, down| told_of(&[line], down);
    assert_eq!(told("WWWWW", 0..2), "2:raised warning");
    assert_eq!(told("WWCCC", 0..3), "3:raised critical");
    assert_eq!(told("WCCWWWWWWW", 1..9), "0:raised warning");
    // raised and over meanwhile: told as such, not as a lone all-clear
    assert_eq!(told("CC..........", 0..10), "10:missed ok");
    assert_eq!(told("WW..........", 1..10), "0:raised warning, 10:cleared ok");
    // a window that was high in an alarm of which nobody heard is no news in the next one
    assert_eq!(told_of(&["C.......?C", "........CC"], 0..8), "8:raised critical");
    // nor is one that had fallen before they heard of it
    assert_eq!(told_of(&["........CC", "CWWWWWWWWC"], 0..8), "8:raised critical");
    // over, and raised again before anybody heard that it was over
    assert_eq!(told("WW.........WW", 1..12), "0:raised warning, 12:worsened warning");
}

#[test]
fn each_channel_has_its_own_memory() {
    let mut state = State::default();
    let channels = ["sns".to_owned(), "exec".to_owned()];
    let mut said = Vec::new();
    for (step, run) in runs("bounce_rate", &["WWWC........"]).enumerate() {
        state = advance(&state, &run, &POLICY).unwrap();
        for channel in &channels {
            // one is down for the first steps, the other at the end
            let up = if channel == "sns" { step >= 3 } else { step < 10 };
            for notice in due(&state, channel, &run, &POLICY) {
                if up {
                    tell(&mut state, channel, std::slice::from_ref(&notice), run.at);
                    said.push(format!("{channel} {step}:{:?}", notice.change));
                }
            }
        }
        settle(&mut state, &channels);
    }
    assert_eq!(said, ["exec 0:Raised", "sns 3:Raised", "exec 3:Worsened", "sns 10:Cleared"]);
    // the end is kept for who was not told of it, also when others run
    settle(&mut state, &["sns".to_owned()]);
    assert_eq!(state.alarms.len(), 1);
    assert_eq!(due(&state, "exec", &run(11, "", &[], true), &POLICY)[0].change, Change::Cleared);
}

#[test]
fn what_is_not_asked_stays_and_a_run_of_the_past_changes_nothing() {
    let first = run(9, "bounce_rate", &[("24h", 'W')], true);
    let state = advance(&State::default(), &first, &POLICY).unwrap();
    // other cuts, another service
    let elsewhere = Run {
        asked: Asked {
            cuts: vec![vec!["account".into(), "region".into(), "identity".into()]],
            ..asked(&["24h"])
        },
        ..run(20, "bounce_rate", &[("24h", ' ')], true)
    };
    let other = advance(&state, &elsewhere, &POLICY).unwrap();
    assert_eq!(other.alarms, state.alarms);
    assert_eq!(due(&other, CHANNEL, &elsewhere, &POLICY), []);
    let workmail =
        Run { service: "workmail".into(), ..run(1, "bounce_rate", &[("24h", ' ')], true) };
    assert_eq!(advance(&state, &workmail, &POLICY).unwrap().alarms, state.alarms);
    // another window
    let wider = advance(&state, &run(30, "bounce_rate", &[("7d", '.')], true), &POLICY).unwrap();
    assert_eq!(wider.alarms[0].level, Level::Warning);

    let earlier = run(8, "bounce_rate", &[("24h", '.')], true);
    assert_eq!(advance(&state, &earlier, &POLICY), Err(Earlier { last: first.at }));
    assert_eq!(advance(&state, &first, &POLICY).unwrap(), state);
    // what nobody looks at for a month is forgotten
    let later =
        Run { asked: elsewhere.asked, ..run(40 * 288, "bounce_rate", &[("24h", ' ')], true) };
    assert_eq!(advance(&state, &later, &POLICY).unwrap().alarms, []);
}

#[test]
fn the_state_is_the_same_after_writing_and_reading() {
    let mut state = State::default();
    for run in runs("bounce_rate", &["WWCCWWn..", "..WWWW..."]) {
        state = advance(&state, &run, &POLICY).unwrap();
        let notices = due(&state, CHANNEL, &run, &POLICY);
        tell(&mut state, CHANNEL, &notices, run.at);
        let text = serde_json::to_string_pretty(&state).unwrap();
        assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state, "{text}");
    }
    assert!(!state.alarms.is_empty());
}

/// Invariant I-10: a file of this version is read for ever. It is never changed; another version gets a file of its own.
#[test]
fn a_state_of_version_1_can_be_read() {
    let text = include_str!("../../../fixtures/alerts/v1.json");
    let state: State = serde_json::from_str(text).unwrap();
    assert_eq!(state.version, 1);
    let of = |level| state.alarms.iter().filter(|alarm| alarm.level == level).count();
    assert_eq!([Level::Ok, Level::Critical].map(of), [2, 5]);
    assert!(
        state.alarms.iter().all(|alarm| alarm.told.contains_key("exec") && alarm.peak.is_some())
    );
}

/// What is true of every history: an alarm's line of levels, and when the channel could be told.
fn letters() -> impl Strategy<Value = Vec<(char, char, bool)>> {
    let letter = prop::sample::select(vec!['.', '.', '.', '.', 'n', 'W', 'W', 'm', 'C', '?', ' ']);
    let step = (letter.clone(), letter, prop::bool::weighted(0.8));
    prop::collection::vec(step, 1..120)
}

proptest! {
    #[test]
    fn every_history_is_told_once(line in letters()) {
        let policy = Policy { renotify_after_ms: Some(40 * STEP_MS), ..POLICY };
        let mut state = State::default();
        // what the people at the channel believe, when they were told, and when they first heard of it
        let (mut believed, mut told_at, mut heard_at) = (Level::Ok, 0, 0);
        // when a window last fell
        let mut fell_at = 0;
        for (step, (one, two, up)) in line.iter().enumerate() {
            let run = run(step, "bounce_rate", &[("24h", *one), ("7d", *two)], true);
            let before = state.clone();
            state = advance(&state, &run, &policy).unwrap();
            let level = state.alarms.first().map_or(Level::Ok, |alarm| alarm.level);
            // at once: nothing that is reached is above the alarm
            for letter in [one, two] {
                if let Some(Seen::Level { reached, .. }) = seen(*letter) {
                    prop_assert!(level >= reached);
                }
            }
            // a window falls only from levels that it was below for all of `clear_after`
            let line_of = |name: &str| -> Vec<char> {
                line[..=step].iter().map(|(one, two, _)| if name == NAMES[0] { *one } else { *two }).collect()
            };
            for (name, window) in state.alarms.first().into_iter().flat_map(|alarm| &alarm.windows) {
                let had = before.alarms.first().and_then(|alarm| alarm.windows.get(name));
                let had = had.map_or(Level::Ok, |window| window.level);
                let letters = line_of(name);
                let last = letters.len().checked_sub(7).map(|first| &letters[first..]);
                let is_below = |letter: &char| match seen(*letter) {
                    Some(Seen::Level { reached, .. }) => reached < had,
                    Some(Seen::Unknown) => false,
                    None => true,
                };
                let was_below = last.is_some_and(|letters| letters.iter().all(is_below));
                prop_assert!(window.level >= had || was_below, "{name} fell at {step}");
                if window.level < had {
                    fell_at = run.at;
                }
            }
            if *up {
                let notices = due(&state, CHANNEL, &run, &policy);
                prop_assert!(notices.len() <= 1);
                if let Some(notice) = notices.first() {
                    let legal = match notice.change {
                        Change::Raised => believed == Level::Ok && level > Level::Ok,
                        Change::Worsened => believed > Level::Ok && level > Level::Ok,
                        Change::Reminded => believed > Level::Ok && level <= believed && run.at - told_at >= 40 * STEP_MS,
                        Change::Cleared => believed > Level::Ok && level == Level::Ok,
                        Change::Missed => believed == Level::Ok && level == Level::Ok,
                    };
                    prop_assert!(legal, "{:?} at {step}", notice.change);
                    // never the same again without a fall since they know of it
                    let is_repeat = notice.change == Change::Worsened && level <= believed;
                    prop_assert!(!is_repeat || fell_at >= heard_at, "told again at {step} though nothing fell");
                    if believed == Level::Ok {
                        heard_at = run.at;
                    }
                    (believed, told_at) = (level, run.at);
                }
                tell(&mut state, CHANNEL, &notices, run.at);
                prop_assert_eq!(due(&state, CHANNEL, &run, &policy), vec![]);
                // whoever can be told knows of all that stands
                prop_assert!(level <= believed || level == Level::Ok);
                prop_assert!((level == Level::Ok) == (believed == Level::Ok));
            }
            settle(&mut state, &[CHANNEL.to_owned()]);
        }
    }
}
