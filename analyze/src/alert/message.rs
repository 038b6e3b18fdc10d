//! Notices -> messages: one for each level, worst first, for people and for machines.

use std::fmt::Write;

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::printable::printable;
use bouncewatch_schemas::time::format_ms;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use crate::alert::advance::{Change, Notice};
use crate::alert::observe::scope_map;
use crate::alert::state::{ScopeMap, Time};
use crate::alert::words;
use crate::check::levels::Level;
use crate::check::{Check, Verdict};
use crate::error::AnalyzeError;
use crate::report::table;

/// Notices that one message tells in full.
const NOTICES_MAX: usize = 25;
/// Longest subject: SNS takes less than 100 characters.
const SUBJECT_CHARS_MAX: usize = 99;
/// Most bytes of a message's JSON. SNS takes 256 KiB, in which it stands beside the text and is escaped once more.
const JSON_BYTES_MAX: usize = 80 * 1024;

/// What is told at once: all that is new at one level.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The level that it tells; `Ok` for alarms that ended.
    pub level: Level,
    /// The same for the same news, also when it is sent once more because a run was killed.
    pub id: String,
    /// One line of ASCII.
    pub subject: String,
    /// For people.
    pub text: String,
    /// For machines: what `check --format json` prints, of the scopes concerned, and `alert`.
    pub json: String,
    /// Names and values for the filter policies of subscriptions.
    pub attributes: Vec<(&'static str, Vec<String>)>,
}

#[derive(Serialize)]
struct Machine<'a> {
    #[serde(flatten)]
    check: &'a Check,
    alert: Alert<'a>,
}

#[derive(Serialize)]
struct Alert<'a> {
    id: &'a str,
    level: Level,
    subject: &'a str,
    text: &'a str,
    /// Alarms beyond those that are told here.
    more: usize,
    changes: Vec<ChangeJson<'a>>,
}

#[derive(Serialize)]
struct ChangeJson<'a> {
    change: Change,
    metric: &'a str,
    scope: &'a ScopeMap,
    level: Level,
    /// What this channel was told before.
    was: Option<Level>,
    worst: Level,
    raised_at: Time,
    since: Time,
    cleared_at: Option<Time>,
    windows: Vec<&'a String>,
}

/// The messages about what a channel is to be told, worst level first. `trouble` is a line that each of them tells too.
///
/// # Errors
/// If a message cannot be written as JSON.
pub fn messages(
    check: &Check,
    notices: &[Notice],
    trouble: Option<&str>,
) -> Result<Vec<(Message, Vec<Notice>)>, AnalyzeError> {
    let mut levels: Vec<Level> = notices.iter().map(|notice| notice.alarm.level).collect();
    levels.sort_unstable_by(|a, b| b.cmp(a));
    levels.dedup();
    let message = |level: Level| {
        let mut of_level: Vec<Notice> =
            notices.iter().filter(|notice| notice.alarm.level == level).cloned().collect();
        // the wider a scope, the more it matters; the order of keys is that of a stable sort
        of_level.sort_by_key(|notice| {
            (notice.alarm.key.scope.len(), notice.change, std::cmp::Reverse(rank(check, notice)))
        });
        let mut shown = of_level.len().min(NOTICES_MAX);
        loop {
            let message = compose(check, level, &of_level, shown, trouble)?;
            // texts of strangers may be long: fewer of them are told in full
            if message.json.len() <= JSON_BYTES_MAX || shown == 1 {
                return Ok((message, of_level));
            }
            shown = shown.div_ceil(2);
        }
    };
    levels.into_iter().map(message).collect()
}

/// A rate in millionths, to tell the highest first.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates are small")]
fn rank(check: &Check, notice: &Notice) -> u64 {
    let rate = worst_verdict(check, notice).and_then(|verdict| verdict.rate);
    (rate.unwrap_or_default() * 1e6) as u64
}

fn compose(
    check: &Check,
    level: Level,
    notices: &[Notice],
    shown: usize,
    trouble: Option<&str>,
) -> Result<Message, AnalyzeError> {
    let (told, left) = notices.split_at(shown.min(notices.len()));
    let id = id(notices);
    let subject = subject(check, notices);
    let mut text = String::new();
    for notice in told {
        // writing to a String cannot fail
        _ = writeln!(text, "{}", printable(&words::line(check, notice)));
    }
    if !left.is_empty() {
        _ = writeln!(text, "... and {} more", left.len());
    }
    for line in trouble.into_iter().flat_map(str::lines) {
        _ = writeln!(text, "\n{}", printable(line.trim()));
    }
    let concerned = |verdict: &&Verdict| {
        let scope = scope_map(&verdict.scope);
        told.iter().any(|notice| is_of(notice, verdict) && notice.alarm.key.scope == scope)
    };
    let verdicts = check.verdicts.iter().filter(concerned).cloned().collect();
    let check = &Check { verdicts, ..check.clone() };
    _ = write!(text, "\n{}", table::check(check));
    let changes = told.iter().map(change_json).collect();
    let alert = Alert { id: &id, level, subject: &subject, text: &text, more: left.len(), changes };
    let json = serde_json::to_string(&Machine { check, alert })
        .map_err(|error| AnalyzeError::Write(error.to_string()))?;
    Ok(Message { level, json, attributes: attributes(check, level, notices), id, subject, text })
}

/// Whether a verdict says something about an alarm, the scope apart.
fn is_of(notice: &Notice, verdict: &Verdict) -> bool {
    let metric = &notice.alarm.key.metric;
    *metric == verdict.metric || *metric == super::state::DENOMINATOR
}

fn change_json(notice: &Notice) -> ChangeJson<'_> {
    let alarm = &notice.alarm;
    ChangeJson {
        change: notice.change,
        metric: &alarm.key.metric,
        scope: &alarm.key.scope,
        level: alarm.level,
        was: notice.before.map(|told| told.level),
        worst: alarm.worst,
        raised_at: alarm.raised_at,
        since: alarm.since,
        cleared_at: alarm.cleared_at,
        windows: alarm
            .windows
            .iter()
            .filter(|(_, one)| one.level > Level::Ok)
            .map(|(name, _)| name)
            .collect(),
    }
}

/// The same for the same news: what is told of which alarms, and what was told of them before.
fn id(notices: &[Notice]) -> String {
    let mut text = String::new();
    for notice in notices {
        let (alarm, before) = (&notice.alarm, notice.before.map(|told| told.at.0));
        _ = writeln!(
            text,
            "{:?} {:?} {:?} {} {before:?}",
            alarm.key, notice.change, alarm.level, alarm.raised_at.0
        );
    }
    format!("{:016x}", xxh3_64(text.as_bytes()))
}

fn attributes(check: &Check, level: Level, notices: &[Notice]) -> Vec<(&'static str, Vec<String>)> {
    let each = |word: fn(&Notice) -> String| {
        let mut words: Vec<String> = notices.iter().map(word).collect();
        words.sort();
        words.dedup();
        words
    };
    vec![
        ("level", vec![level.as_str().to_owned()]),
        ("service", vec![check.service.as_str().to_owned()]),
        ("metric", each(|notice| notice.alarm.key.metric.clone())),
        ("change", each(|notice| words::change(notice.change).to_owned())),
    ]
}

/// The verdict of an alarm that tells most: the worst level, then the highest rate.
pub(super) fn worst_verdict<'c>(check: &'c Check, notice: &Notice) -> Option<&'c Verdict> {
    let of_alarm = |verdict: &&Verdict| {
        is_of(notice, verdict) && scope_map(&verdict.scope) == notice.alarm.key.scope
    };
    let of_alarm = check.verdicts.iter().filter(of_alarm);
    let rate = |verdict: &Verdict| verdict.rate.unwrap_or_default();
    of_alarm.reduce(|worst, verdict| {
        let worse = verdict.level.cmp(&worst.level).then(rate(verdict).total_cmp(&rate(worst)));
        if worse.is_gt() { verdict } else { worst }
    })
}

/// The first notice in a line, such as `SES WARNING: bounce rate 6.12 % (612 of 10000) in 24h, 123456789012 us-east-1`.
fn subject(check: &Check, notices: &[Notice]) -> String {
    let Some(first) = notices.first() else { return String::new() };
    let service = match check.service {
        Service::Ses => "SES",
        Service::WorkMail => "WorkMail",
    };
    let more = match notices.len() - 1 {
        0 => String::new(),
        more => format!(" (+{more} more)"),
    };
    let still = if first.change == Change::Reminded { "still " } else { "" };
    let head = format!("{service} {}: {still}", first.alarm.level.as_upper());
    let what = words::subject(check, first);
    // SNS takes printable ASCII alone, and scopes may hold what strangers wrote
    let ascii = |text: String| -> String {
        text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
    };
    let room = SUBJECT_CHARS_MAX.saturating_sub(more.len());
    let line: String = ascii(format!("{head}{what}")).chars().take(room).collect();
    line + &more
}

/// A moment, for people.
pub(super) fn moment(time: Time) -> String {
    let text = format_ms(time.0);
    let (date, clock) = text.split_once('T').unwrap_or((&text, ""));
    format!("{date} {} UTC", clock.chars().take(5).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::advance::{advance, due};
    use crate::alert::observe::observe;
    use crate::alert::samples::{AT, check_of, verdict};
    use crate::alert::state::State;
    use crate::alert::{Asked, Policy};
    use crate::check::contribution::Contributor;

    /// The messages about everything that a check says, to somebody who knows nothing.
    fn of(check: &Check) -> Vec<Message> {
        let policy = Policy { clear_after_ms: 0, clear_below: 0.9, renotify_after_ms: None };
        let words = ["account", "region"].map(str::to_owned);
        let finer = [&words[..], &["identity".to_owned()]].concat();
        let asked = Asked { windows: vec!["24h".into()], cuts: vec![words.to_vec(), finer] };
        let run = observe(check, AT, &asked, &policy);
        let state = advance(&State::default(), &run, &policy).unwrap();
        let messages = messages(check, &due(&state, "sns", &run, &policy), None).unwrap();
        messages.into_iter().map(|(message, _)| message).collect()
    }

    fn part(value: &str, count: u64, rate_without: f64) -> Contributor {
        Contributor {
            by: "recipient_domain".to_owned(),
            value: Some(value.to_owned()),
            count,
            attempts: Some(1),
            rate_without: Some(rate_without),
        }
    }

    #[test]
    fn one_message_for_each_level_worst_first() {
        let identity =
            |name, count| verdict("bounce_rate", &[("identity", name)], "24h", count, Some(1_000));
        let got = of(&check_of(vec![
            identity("a", 60),
            identity("b", 120),
            verdict("bounce_rate", &[], "24h", 70, Some(2_000)),
            verdict("complaint_rate", &[], "24h", 4, Some(2_000)),
            identity("c", 200),
        ]));
        let subjects: Vec<&str> = got.iter().map(|message| message.subject.as_str()).collect();
        assert_eq!(
            subjects,
            [
                "SES CRITICAL: bounce rate 20.00 % (200 of 1000) in 24h, 1 r identity=c (+1 more)",
                "SES WARNING: complaint rate 0.20 % (4 of 2000) in 24h, 1 r (+1 more)",
            ]
        );
        assert_eq!(
            got[1].attributes[2],
            ("metric", vec!["bounce_rate".to_owned(), "complaint_rate".to_owned()])
        );
        assert!(got[0].id != got[1].id);
    }

    #[test]
    fn the_first_line_tells_what_drives_it_and_not_who_gets_most() {
        let mut bad = verdict("bounce_rate", &[], "24h", 120, Some(1_000));
        bad.contributors = vec![part("gmail.com", 70, 0.13), part("typo.test", 40, 0.08)];
        let line = |verdict: &Verdict| {
            let text = of(&check_of(vec![verdict.clone()])).remove(0).text;
            text.lines().next().unwrap().to_owned()
        };
        assert_eq!(
            line(&bad),
            "CRITICAL: bounce rate 12.00 % (120 of 1000) in 24h, 1 r; at or over 10.00 %, where SES may pause the account; \
             sure: 95 % interval 10.13 % to 14.16 %; no head-room: 10.00 % is reached; driven by recipient domain typo.test: 40 of 120 bounces, \
             without it 8.00 %; to do: hold back mail to typo.test, and check the list that it came from \
             (`bouncewatch report --by tag:campaign`)"
        );
        bad.contributors.truncate(1);
        assert!(!line(&bad).contains("gmail.com"), "{}", line(&bad));
        // a cause is no part of the mail that could be held back
        bad.contributors
            .push(Contributor { by: "cause".to_owned(), ..part("mailbox_unknown", 90, 0.03) });
        let line = line(&bad);
        assert!(!line.contains("driven by"), "{line}");
        let mostly = "; mostly mailbox unknown: 90 of 120 bounces (`bouncewatch causes` tells what to do); to do: find";
        assert!(line.contains(mostly), "{line}");
    }

    #[test]
    fn names_of_any_length_fit_into_a_message() {
        let scopes = (0..200).map(|number| {
            let name = format!("{number}\"\n\u{1b}{}", "\u{1f600}".repeat(2_000));
            verdict("bounce_rate", &[("identity", &name)], "24h", 200, Some(1_000))
        });
        let got = of(&check_of(scopes.collect()));
        assert_eq!(got.len(), 1);
        let message = &got[0];
        assert!(message.json.len() <= JSON_BYTES_MAX, "{}", message.json.len());
        // as it goes to SNS: all bodies in one JSON
        let bodies = serde_json::json!({"default": message.json, "email": message.text, "sms": message.subject});
        assert!(bodies.to_string().len() < 256 * 1024, "{}", bodies.to_string().len());
        assert!(message.subject.len() <= SUBJECT_CHARS_MAX && message.subject.is_ascii());
        assert!(message.subject.ends_with(" (+199 more)") && !message.text.contains('\u{1b}'));
        let json: serde_json::Value = serde_json::from_str(&message.json).unwrap();
        let told = json["alert"]["changes"].as_array().unwrap().len() as u64;
        assert_eq!(told + json["alert"]["more"].as_u64().unwrap(), 200);
        assert_eq!(json["verdicts"].as_array().unwrap().len() as u64, told);
    }
}
