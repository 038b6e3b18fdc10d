//! State + what a run says -> state, and what a channel is to be told. Pure: the run's own moment is the only clock.
//!
//! A level rises at once. It falls when it was not reached for `clear_after`, and a rate that comes near its threshold
//! again within that time begins it anew. An alarm has the worst level of its windows, and each channel is told of it:
//! when it is raised, when it worsens, when it still holds after `renotify_after`, and when it ends. A window that joins
//! others at a level that people know of is no news; one that had fallen and reaches its level again is.

use std::collections::BTreeMap;

use crate::alert::observe::{Run, Seen};
use crate::alert::state::{
    Alarm, DENOMINATOR, FEED, Fall, Key, Peak, State, Time, Told, WindowState,
};
use crate::alert::{Asked, Policy};
use crate::check::levels::Level;

/// Alarms about what nobody asked for so long are forgotten: a window or cut that the settings no longer name.
const FORGET_AFTER_MS: i64 = 30 * bouncewatch_schemas::time::DAY_MS;

/// A run whose moment lies before that of the last one: it is not told to anybody, and the state stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earlier {
    /// The moment of the last run, epoch milliseconds.
    pub last: i64,
}

/// Why a channel is told of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is new.
    Raised,
    /// It was at a lower level, or a window reached its level again.
    Worsened,
    /// It still holds.
    Reminded,
    /// It ended.
    Cleared,
    /// It was raised and ended while the channel could not be told.
    Missed,
}

/// What a channel is to be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// Why.
    pub change: Change,
    /// What the channel was told before.
    pub before: Option<Told>,
    /// The alarm.
    pub alarm: Alarm,
}

/// What there is to remember after a run.
///
/// # Errors
/// If the run lies before the last one.
pub fn advance(state: &State, run: &Run, policy: &Policy) -> Result<State, Earlier> {
    if let Some(last) = state.runs.get(&run.service)
        && run.at < last.0
    {
        return Err(Earlier { last: last.0 });
    }
    let mut alarms: BTreeMap<Key, Alarm> =
        state.alarms.iter().map(|alarm| (alarm.key.clone(), alarm.clone())).collect();
    for (key, windows) in &run.seen {
        let rises =
            |seen: &Seen| matches!(seen, Seen::Level { reached, .. } if *reached > Level::Ok);
        if !alarms.contains_key(key) && windows.values().any(rises) {
            alarms.insert(key.clone(), new(key, run.at));
        }
    }
    for alarm in alarms.values_mut().filter(|alarm| run.asked.is_about(&alarm.key, run)) {
        step(alarm, run, policy);
    }
    let kept = |alarm: &Alarm| {
        alarm.key.service != run.service || run.at - alarm.seen_at.0 <= FORGET_AFTER_MS
    };
    let mut next = State { alarms: alarms.into_values().filter(kept).collect(), ..state.clone() };
    next.runs.insert(run.service.clone(), Time(run.at));
    Ok(next)
}

impl Asked {
    /// Whether a run looks at an alarm.
    fn is_about(&self, key: &Key, run: &Run) -> bool {
        key.service == run.service
            && (key.metric == FEED
                || self.cuts.iter().any(|cut| {
                    cut.len() == key.scope.len()
                        && cut.iter().all(|word| key.scope.contains_key(word))
                }))
    }
}

fn new(key: &Key, at: i64) -> Alarm {
    Alarm {
        key: key.clone(),
        level: Level::Ok,
        since: Time(at),
        raised_at: Time(at),
        worst: Level::Ok,
        cleared_at: None,
        seen_at: Time(at),
        peak: None,
        windows: BTreeMap::new(),
        told: BTreeMap::new(),
    }
}

fn step(alarm: &mut Alarm, run: &Run, policy: &Policy) {
    let seen = run.seen.get(&alarm.key);
    // a scope of which nothing is left has nothing in its windows
    let gone = Seen::level(Level::Ok);
    let mut names: Vec<&String> = seen.into_iter().flat_map(BTreeMap::keys).collect();
    names.extend(run.asked.windows.iter().filter(|_| seen.is_none()));
    let mut again: Option<Time> = None;
    // a peak belongs to what was raised; it is kept until everybody knows how that ended
    let ended = if alarm.level == Level::Ok { alarm.peak.take() } else { None };
    for name in names {
        let what = seen.and_then(|windows| windows.get(name)).unwrap_or(&gone);
        again = again.max(step_window(alarm, name, what, run, policy));
    }
    let level = alarm.windows.values().map(|window| window.level).max().unwrap_or(Level::Ok);
    let at = Time(run.at);
    if level == Level::Ok && alarm.peak.is_none() {
        alarm.peak = ended;
    }
    if alarm.level == Level::Ok && level > Level::Ok {
        alarm.raised_at = at;
        alarm.worst = level;
        alarm.cleared_at = None;
        // how windows were before it ended is another story
        alarm.windows.retain(|_, window| window.level > Level::Ok);
        alarm.windows.values_mut().for_each(|window| window.fell = None);
    }
    if level != alarm.level {
        alarm.since = at;
    }
    if level < alarm.level {
        if level == Level::Ok {
            alarm.cleared_at = Some(at);
        }
        // people were not told that it fell, but when it rises again that is news
        for told in alarm.told.values_mut().filter(|_| level > Level::Ok) {
            told.level = told.level.min(level);
        }
    }
    // whoever heard of it before the window fell
    for told in alarm.told.values_mut().filter(|told| again >= Some(told.since)) {
        told.again = true;
    }
    alarm.level = level;
    alarm.worst = alarm.worst.max(level);
    alarm.seen_at = at;
}

/// Moves a window on. Where it reaches a level again from which it had fallen: when that was.
fn step_window(
    alarm: &mut Alarm,
    name: &str,
    what: &Seen,
    run: &Run,
    policy: &Policy,
) -> Option<Time> {
    let at = Time(run.at);
    let known = alarm.windows.get_mut(name);
    let Seen::Level { reached, held, rate } = what else {
        // nobody can say that it stays below
        if let Some(window) = known {
            window.below_since.clear();
        }
        return None;
    };
    let before = known.as_ref().map_or(Level::Ok, |window| window.level);
    let now = (*reached).max((*held).min(before));
    let again = match known {
        None if now == Level::Ok => return None,
        None => {
            let fresh =
                WindowState { level: now, since: at, fell: None, below_since: BTreeMap::new() };
            alarm.windows.insert(name.to_owned(), fresh);
            None
        }
        Some(window) if now >= before => {
            window.below_since.clear();
            if now > before {
                (window.level, window.since) = (now, at);
            }
            window.fell.filter(|fell| now > before && now <= fell.from).map(|fell| fell.at)
        }
        Some(window) if alarm.key.metric != FEED && !run.live => {
            window.below_since.clear();
            None
        }
        Some(window) => {
            fall(window, now, &alarm.key.metric, run.at, policy);
            None
        }
    };
    if let Some(rate) = rate
        && now > Level::Ok
        && alarm.peak.as_ref().is_none_or(|peak| rate.rate > peak.rate)
    {
        alarm.peak = Some(Peak { at, ..rate.clone() });
    }
    again
}

/// A window is below a level that it has: it falls from those that it was below for long enough.
fn fall(window: &mut WindowState, now: Level, metric: &str, at: i64, policy: &Policy) {
    let levels: &[Level] = match metric {
        FEED | DENOMINATOR => &[Level::Unknown],
        _ => &[Level::Warning, Level::Critical],
    };
    let had = levels.iter().filter(|level| **level <= window.level);
    let mut left = Level::Ok;
    for level in had.copied() {
        if now >= level {
            window.below_since.remove(&level);
            left = level;
            continue;
        }
        let since = *window.below_since.entry(level).or_insert(Time(at));
        if at - since.0 < policy.clear_after_ms {
            left = level;
        }
    }
    if left < window.level {
        window.below_since.retain(|level, _| *level <= left);
        // what it falls from in steps counts as one fall from the highest
        let from = window.fell.map_or(window.level, |fell| fell.from.max(window.level));
        window.fell = Some(Fall { from, at: Time(at) });
        (window.level, window.since) = (left, Time(at));
    }
}

/// What a channel is to be told after a run, in order of the alarms' keys.
pub fn due(state: &State, channel: &str, run: &Run, policy: &Policy) -> Vec<Notice> {
    // of others this run does not know how they stand
    let looked_at =
        |alarm: &&Alarm| alarm.key.service == run.service && alarm.seen_at == Time(run.at);
    let notice = |alarm: &Alarm| {
        let before = alarm.told.get(channel).copied();
        let change = change(alarm, before, run.at, policy)?;
        Some(Notice { change, before, alarm: alarm.clone() })
    };
    state.alarms.iter().filter(looked_at).filter_map(notice).collect()
}

fn change(alarm: &Alarm, told: Option<Told>, at: i64, policy: &Policy) -> Option<Change> {
    let Some(told) = told else {
        return Some(if alarm.level > Level::Ok { Change::Raised } else { Change::Missed });
    };
    let is_old = || policy.renotify_after_ms.is_some_and(|after| at - told.at.0 >= after);
    match (told.level, alarm.level) {
        (Level::Ok, Level::Ok) => None,
        (Level::Ok, _) => Some(Change::Raised),
        (_, Level::Ok) => Some(Change::Cleared),
        (told_level, level) if level > told_level || told.again => Some(Change::Worsened),
        _ => is_old().then_some(Change::Reminded),
    }
}

/// Notes that a channel was told.
pub fn tell(state: &mut State, channel: &str, notices: &[Notice], at: i64) {
    for notice in notices {
        let alarm = state.alarms.iter_mut().find(|alarm| alarm.key == notice.alarm.key);
        let Some(alarm) = alarm else { continue };
        let before = notice.before.filter(|told| told.level > Level::Ok);
        let since = before.map_or(Time(at), |told| told.since);
        let told = Told { level: notice.alarm.level, at: Time(at), since, again: false };
        alarm.told.insert(channel.to_owned(), told);
    }
}

/// Forgets alarms that ended where everybody knows so. `channels` are those of this run; others that were told of an
/// alarm are told of its end by their own runs.
pub fn settle(state: &mut State, channels: &[String]) {
    let knows = |alarm: &Alarm, channel: &String| {
        alarm.told.get(channel).is_some_and(|told| told.level == Level::Ok)
    };
    state.alarms.retain(|alarm| {
        let told = alarm.told.keys();
        alarm.level > Level::Ok || !channels.iter().chain(told).all(|channel| knows(alarm, channel))
    });
}
