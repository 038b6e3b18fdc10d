//! Alert histories: conditions in steps of five minutes as a line of letters, and the notifications of one channel.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::alert::evaluation::{Condition, Evaluation, FeedState, NO_WINDOW};
use crate::alert::notification::{
    AlertChange, drop_cleared, mark_delivered, pending_notifications,
};
use crate::alert::policy::{AlertPolicy, AlertScope};
use crate::alert::state::{Alert, AlertKey, AlertState, FEED, ScopeMap};
use crate::alert::transition::{OutOfOrder, next_state};
use crate::check::level::AlertLevel;

const STEP_MS: i64 = 5 * 60_000;
const START_MS: i64 = 1_795_132_800_000;
const CHANNEL: &str = "sns";
const POLICY: AlertPolicy = AlertPolicy {
    clear_after_ms: 6 * STEP_MS,
    clear_below: 0.9,
    renotify_after_ms: Some(24 * 12 * STEP_MS),
};

fn key(metric: &str) -> AlertKey {
    let account = [("account", "1"), ("region", "r")].into_iter();
    let scope = if metric == FEED {
        ScopeMap::new()
    } else {
        account.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).collect()
    };
    AlertKey { service: "ses".to_owned(), metric: metric.to_owned(), scope }
}

fn account_scope(windows: &[&str]) -> AlertScope {
    AlertScope {
        windows: windows.iter().map(|window| (*window).to_owned()).collect(),
        groupings: vec![vec!["account".to_owned(), "region".to_owned()]],
    }
}

/// Condition of a letter: `.` OK, `n` OK but warning is sustained, `W` warning, `m` warning but critical is sustained,
/// `C` critical, `U` level unknown, `?` condition unknown, ` ` no events in the scope.
fn condition(letter: char) -> Option<Condition> {
    let level = |reached, sustained| Condition::Level { reached, sustained, rate: None };
    Some(match letter {
        '.' => level(AlertLevel::Ok, AlertLevel::Ok),
        'n' => level(AlertLevel::Ok, AlertLevel::Warning),
        'w' | 'W' => level(AlertLevel::Warning, AlertLevel::Warning),
        'm' => level(AlertLevel::Warning, AlertLevel::Critical),
        'C' => level(AlertLevel::Critical, AlertLevel::Critical),
        'U' => level(AlertLevel::Unknown, AlertLevel::Unknown),
        '?' => Condition::Unknown,
        _ => return None,
    })
}

fn run(step: usize, metric: &str, windows: &[(&str, char)], feed: FeedState) -> Evaluation {
    let by_window: BTreeMap<_, _> = windows
        .iter()
        .filter_map(|(name, letter)| Some(((*name).to_owned(), condition(*letter)?)))
        .collect();
    let conditions = if by_window.is_empty() { None } else { Some((key(metric), by_window)) };
    Evaluation {
        at: START_MS + i64::try_from(step).unwrap() * STEP_MS,
        service: "ses".to_owned(),
        scope: account_scope(&windows.iter().map(|(name, _)| *name).collect::<Vec<_>>()),
        feed,
        conditions: conditions.into_iter().collect(),
    }
}

/// Returns the notifications of a channel as `step:change level`. The channel fails in steps where `is_up` is false.
fn notified(
    policy: &AlertPolicy,
    runs: impl Iterator<Item = Evaluation>,
    is_up: impl Fn(usize) -> bool,
) -> String {
    let mut state = AlertState::default();
    let mut all = Vec::new();
    for (step, run) in runs.enumerate() {
        state = next_state(&state, &run, policy).unwrap();
        if is_up(step) {
            let pending = pending_notifications(&state, CHANNEL, &run, policy);
            mark_delivered(&mut state, CHANNEL, &pending, run.at);
            let still_pending = pending_notifications(&state, CHANNEL, &run, policy);
            assert_eq!(still_pending, [], "delivered notifications are not pending");
            all.extend(pending.iter().map(|notification| {
                let change = notification.change.as_str();
                format!("{step}:{change} {}", notification.alert.level.as_str())
            }));
        }
        drop_cleared(&mut state, &[CHANNEL.to_owned()]);
    }
    all.join(", ")
}

/// Asserts the notifications for lines of conditions, one line per window, of a channel that never fails.
fn check(lines: &[&str], expected: &str) {
    assert_eq!(notified(&POLICY, runs("bounce_rate", lines), |_| true), expected, "{lines:?}");
}

const NAMES: [&str; 2] = ["24h", "7d"];

fn runs(metric: &'static str, lines: &[&str]) -> impl Iterator<Item = Evaluation> {
    let lines: Vec<Vec<char>> = lines.iter().map(|line| line.chars().collect()).collect();
    (0..lines[0].len()).map(move |step| {
        let windows: Vec<_> =
            lines.iter().zip(NAMES).map(|(line, name)| (name, line[step])).collect();
        run(step, metric, &windows, FeedState::Live)
    })
}

// letters of the lines: `W` warning, `C` critical, `.` ok, `?` unknown; `condition` has all of them
#[test]
fn each_change_is_notified_once() {
    check(&["...."], "");
    check(&[".WWWWW"], "1:raised warning");
    check(&[".WWCCC"], "1:raised warning, 3:worsened critical");
    check(&["CCCCCC"], "0:raised critical");
    // cleared half an hour after the level was last reached
    check(&["W........"], "0:raised warning, 7:cleared ok");
    check(&["WCCC........."], "0:raised warning, 1:worsened critical, 10:cleared ok");
}

#[test]
fn flapping_rate_raises_one_alert() {
    check(&["W.....W.....W......."], "0:raised warning, 19:cleared ok");
    // below the threshold, but above `clear_below` of it
    check(&["Wnnnnnnnnnnn......."], "0:raised warning, 18:cleared ok");
    // `clear_below` sustains a level but raises none
    check(&["nnnn"], "");
    // critical falls to warning without a notification; critical again is notified only after `clear_after`
    check(&["CWWCWWWWWC"], "0:raised critical");
    check(&["CWWWWWWWWC"], "0:raised critical, 9:worsened critical");
    check(&["Cmmmmmmmmm"], "0:raised critical");
    check(&["CWWWWWWWWWW......."], "0:raised critical, 17:cleared ok");
}

#[test]
fn windows_of_a_scope_share_one_alert() {
    // the longer window rises and falls later
    check(&["WWWWWW.........", "..WWWWWW......."], "0:raised warning, 14:cleared ok");
    check(
        &["WWCCCC...........", "..WWWWWWWW......."],
        "0:raised warning, 2:worsened critical, 16:cleared ok",
    );
    // critical was notified, its fall was not: critical of another window is notified
    check(&["CWWWWWWWWWW", "WWWWWWWWWWC"], "0:raised critical, 10:worsened critical");
    // a window that fell and rises again is notified, although the longer window never fell
    check(&["W.......W", "WWWWWWWWW"], "0:raised warning, 8:worsened warning");
}

#[test]
fn unknown_level_clears_no_alert() {
    check(&["W??????????"], "0:raised warning");
    check(&["W..?......"], "0:raised warning");
    check(&["W..?......."], "0:raised warning, 10:cleared ok");
    // a scope without events is OK
    check(&["W       "], "0:raised warning, 7:cleared ok");
    // ... but not while the feed is stale
    let stale = runs("bounce_rate", &["W         "]).enumerate().map(|(step, run)| {
        let feed = if step == 0 { FeedState::Live } else { FeedState::Stale };
        Evaluation { feed, ..run }
    });
    assert_eq!(notified(&POLICY, stale, |_| true), "0:raised warning");
}

#[test]
fn denominator_and_feed_alerts_are_raised_and_cleared() {
    let line: Vec<char> = ".UUU.......".chars().collect();
    for metric in ["denominator", FEED] {
        let runs = line.iter().enumerate().map(|(step, letter)| {
            let feed = if *letter == 'U' { FeedState::Stale } else { FeedState::Live };
            run(step, metric, &[(NO_WINDOW, *letter)], feed)
        });
        assert_eq!(
            notified(&POLICY, runs, |_| true),
            "1:raised unknown, 10:cleared ok",
            "{metric}"
        );
    }
}

#[test]
fn active_alert_is_repeated_after_renotify_after() {
    let policy = AlertPolicy { renotify_after_ms: Some(3 * STEP_MS), ..POLICY };
    let line = ["WWWCCCCCW"];
    let expected = "0:raised warning, 3:worsened critical, 6:reminded critical";
    assert_eq!(notified(&policy, runs("bounce_rate", &line), |_| true), expected);
    let never = AlertPolicy { renotify_after_ms: None, ..POLICY };
    let line = ["W".repeat(600)];
    let line = [line[0].as_str()];
    assert_eq!(notified(&never, runs("bounce_rate", &line), |_| true), "0:raised warning");
    assert_eq!(
        notified(&POLICY, runs("bounce_rate", &line), |_| true),
        "0:raised warning, 288:reminded warning, 576:reminded warning"
    );
}

#[test]
fn failed_channel_gets_the_current_state_when_it_recovers() {
    let of_lines = |lines: &[&str], down: std::ops::Range<usize>| {
        notified(&POLICY, runs("bounce_rate", lines), |step| !down.contains(&step))
    };
    let of_line = |line: &str, down| of_lines(&[line], down);
    assert_eq!(of_line("WWWWW", 0..2), "2:raised warning");
    assert_eq!(of_line("WWCCC", 0..3), "3:raised critical");
    assert_eq!(of_line("WCCWWWWWWW", 1..9), "0:raised warning");
    // raised and cleared while the channel failed: `missed`, not `cleared`
    assert_eq!(of_line("CC..........", 0..10), "10:missed ok");
    assert_eq!(of_line("WW..........", 1..10), "0:raised warning, 10:cleared ok");
    // a window of an alert that was never notified does not worsen the next alert
    assert_eq!(of_lines(&["C.......?C", "........CC"], 0..8), "8:raised critical");
    // nor does a window that fell before the first notification
    assert_eq!(of_lines(&["........CC", "CWWWWWWWWC"], 0..8), "8:raised critical");
    // cleared and raised again before `cleared` was notified
    assert_eq!(of_line("WW.........WW", 1..12), "0:raised warning, 12:worsened warning");
}

#[test]
fn channels_are_tracked_separately() {
    let mut state = AlertState::default();
    let channels = ["sns".to_owned(), "exec".to_owned()];
    let mut delivered = Vec::new();
    for (step, run) in runs("bounce_rate", &["WWWC........"]).enumerate() {
        state = next_state(&state, &run, &POLICY).unwrap();
        for channel in &channels {
            // one channel fails in the first steps, the other in the last
            let is_up = if channel == "sns" { step >= 3 } else { step < 10 };
            for one in pending_notifications(&state, channel, &run, &POLICY) {
                if is_up {
                    mark_delivered(&mut state, channel, std::slice::from_ref(&one), run.at);
                    delivered.push(format!("{channel} {step}:{:?}", one.change));
                }
            }
        }
        drop_cleared(&mut state, &channels);
    }
    assert_eq!(delivered, ["exec 0:Raised", "sns 3:Raised", "exec 3:Worsened", "sns 10:Cleared"]);
    // a run with another channel keeps the alert until `cleared` is delivered to all
    drop_cleared(&mut state, &["sns".to_owned()]);
    assert_eq!(state.alerts.len(), 1);
    let last = run(11, "", &[], FeedState::Live);
    let pending = pending_notifications(&state, "exec", &last, &POLICY);
    assert_eq!(pending[0].change, AlertChange::Cleared);
}

/// A run with one window of the bounce rate.
fn run_of_window(step: usize, window: &str, letter: char) -> Evaluation {
    run(step, "bounce_rate", &[(window, letter)], FeedState::Live)
}

#[test]
fn out_of_order_run_is_rejected() {
    let first = run_of_window(9, "24h", 'W');
    let state = next_state(&AlertState::default(), &first, &POLICY).unwrap();
    let earlier = next_state(&state, &run_of_window(8, "24h", '.'), &POLICY);
    assert_eq!(earlier, Err(OutOfOrder { last: first.at }));
    // a run at the same time changes nothing
    assert_eq!(next_state(&state, &first, &POLICY).unwrap(), state);
}

#[test]
fn alert_outside_the_scope_of_a_run_does_not_change() {
    let run = run_of_window;
    let first = run(9, "24h", 'W');
    let state = next_state(&AlertState::default(), &first, &POLICY).unwrap();
    // another grouping
    let identity = Evaluation {
        scope: AlertScope {
            groupings: vec![vec!["account".into(), "region".into(), "identity".into()]],
            ..account_scope(&["24h"])
        },
        ..run(20, "24h", ' ')
    };
    let other = next_state(&state, &identity, &POLICY).unwrap();
    assert_eq!(other.alerts, state.alerts);
    assert_eq!(pending_notifications(&other, CHANNEL, &identity, &POLICY), []);
    // another service
    let workmail = Evaluation { service: "workmail".into(), ..run(1, "24h", ' ') };
    assert_eq!(next_state(&state, &workmail, &POLICY).unwrap().alerts, state.alerts);
    // another window
    let wider = next_state(&state, &run(30, "7d", '.'), &POLICY).unwrap();
    assert_eq!(wider.alerts[0].level, AlertLevel::Warning);
    // an alert that no run evaluates for 30 days is dropped
    let later = Evaluation { scope: identity.scope, ..run(40 * 288, "24h", ' ') };
    assert_eq!(next_state(&state, &later, &POLICY).unwrap().alerts, []);
}

#[test]
fn state_survives_serialization() {
    let mut state = AlertState::default();
    for run in runs("bounce_rate", &["WWCCWWn..", "..WWWW..."]) {
        state = next_state(&state, &run, &POLICY).unwrap();
        let pending = pending_notifications(&state, CHANNEL, &run, &POLICY);
        mark_delivered(&mut state, CHANNEL, &pending, run.at);
        let text = serde_json::to_string_pretty(&state).unwrap();
        assert_eq!(serde_json::from_str::<AlertState>(&text).unwrap(), state, "{text}");
    }
    assert!(!state.alerts.is_empty());
}

/// Invariant I-10: every later version reads this file. Never change it; add a file for each new version.
#[test]
fn state_of_version_1_is_readable() {
    let text = include_str!("../../../fixtures/alerts/v1.json");
    let state: AlertState = serde_json::from_str(text).unwrap();
    assert_eq!(state.version, 1);
    let count = |level| state.alerts.iter().filter(|alert| alert.level == level).count();
    assert_eq!([AlertLevel::Ok, AlertLevel::Critical].map(count), [2, 5]);
    let is_complete = |alert: &Alert| alert.notified.contains_key("exec") && alert.peak.is_some();
    assert!(state.alerts.iter().all(is_complete));
}

/// Histories: the letters of two windows, and whether the channel is up.
fn histories() -> impl Strategy<Value = Vec<(char, char, bool)>> {
    let letter = prop::sample::select(vec!['.', '.', '.', '.', 'n', 'W', 'W', 'm', 'C', '?', ' ']);
    let step = (letter.clone(), letter, prop::bool::weighted(0.8));
    prop::collection::vec(step, 1..120)
}

proptest! {
    #[test]
    fn notifications_match_every_history(line in histories()) {
        let policy = AlertPolicy { renotify_after_ms: Some(40 * STEP_MS), ..POLICY };
        let mut state = AlertState::default();
        // level that the channel was notified of, time of that notification, and of the first one of the alert
        let (mut known, mut notified_at, mut first_notified_at) = (AlertLevel::Ok, 0, 0);
        // time of the last fall of a window
        let mut fell_at = 0;
        for (step, (one, two, is_up)) in line.iter().enumerate() {
            let run = run(step, "bounce_rate", &[("24h", *one), ("7d", *two)], FeedState::Live);
            let before = state.clone();
            state = next_state(&state, &run, &policy).unwrap();
            let level = state.alerts.first().map_or(AlertLevel::Ok, |alert| alert.level);
            // a level rises at once: no window reaches a level above that of the alert
            for letter in [one, two] {
                if let Some(Condition::Level { reached, .. }) = condition(*letter) {
                    prop_assert!(level >= reached);
                }
            }
            // a window falls only from a level that it did not reach during `clear_after`
            let line_of = |name: &str| -> Vec<char> {
                line[..=step].iter().map(|(one, two, _)| if name == NAMES[0] { *one } else { *two }).collect()
            };
            for (name, window) in state.alerts.first().into_iter().flat_map(|alert| &alert.windows) {
                let previous = before.alerts.first().and_then(|alert| alert.windows.get(name));
                let previous = previous.map_or(AlertLevel::Ok, |window| window.level);
                let letters = line_of(name);
                let last = letters.len().checked_sub(7).map(|first| &letters[first..]);
                let is_below = |letter: &char| match condition(*letter) {
                    Some(Condition::Level { reached, .. }) => reached < previous,
                    Some(Condition::Unknown) => false,
                    None => true,
                };
                let was_below = last.is_some_and(|letters| letters.iter().all(is_below));
                prop_assert!(window.level >= previous || was_below, "{name} fell at {step}");
                if window.level < previous {
                    fell_at = run.at;
                }
            }
            if *is_up {
                let pending = pending_notifications(&state, CHANNEL, &run, &policy);
                prop_assert!(pending.len() <= 1);
                if let Some(notification) = pending.first() {
                    let is_valid = match notification.change {
                        AlertChange::Raised => known == AlertLevel::Ok && level > AlertLevel::Ok,
                        AlertChange::Worsened => known > AlertLevel::Ok && level > AlertLevel::Ok,
                        AlertChange::Reminded => {
                            known > AlertLevel::Ok && level <= known && run.at - notified_at >= 40 * STEP_MS
                        }
                        AlertChange::Cleared => known > AlertLevel::Ok && level == AlertLevel::Ok,
                        AlertChange::Missed => known == AlertLevel::Ok && level == AlertLevel::Ok,
                    };
                    prop_assert!(is_valid, "{:?} at {step}", notification.change);
                    // the same level is notified again only after a fall since the first notification
                    let is_repeat = notification.change == AlertChange::Worsened && level <= known;
                    prop_assert!(!is_repeat || fell_at >= first_notified_at, "repeated at {step} without a fall");
                    if known == AlertLevel::Ok {
                        first_notified_at = run.at;
                    }
                    (known, notified_at) = (level, run.at);
                }
                mark_delivered(&mut state, CHANNEL, &pending, run.at);
                prop_assert_eq!(pending_notifications(&state, CHANNEL, &run, &policy), vec![]);
                // a channel that is up knows the level of every active alert
                prop_assert!(level <= known || level == AlertLevel::Ok);
                prop_assert!((level == AlertLevel::Ok) == (known == AlertLevel::Ok));
            }
            drop_cleared(&mut state, &[CHANNEL.to_owned()]);
        }
    }
}
