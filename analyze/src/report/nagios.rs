//! A check as one line of a Nagios plugin: `SERVICE STATUS: text | performance data`, as the Monitoring Plugins
//! Development Guidelines have it ("Plugin Output for Nagios", "Performance data").

use bouncewatch_schemas::printable::printable;

use crate::check::levels::Level;
use crate::check::{Check, Verdict};
use crate::report::table::{percent, words};
use crate::timeline::model::Scope;

/// Longest line: NRPE passes on 4 KiB of older agents, and cuts what is longer in the middle of a number.
const LINE_BYTES_MAX: usize = 4_000;

/// A check as one line. Rates that do not fit are left out of the performance data, the account's last, and it says so.
pub fn check(check: &Check) -> String {
    let mut data: Vec<(usize, String)> = check
        .verdicts
        .iter()
        .map(|verdict| (verdict.scope.0.len(), performance(verdict)))
        .collect();
    // a stable sort: the widest scopes first
    data.sort_by_key(|(words, _)| *words);
    let all = data.len();
    loop {
        let kept = data.len();
        let cut = if kept < all { format!(" ({kept} of {all} rates)") } else { String::new() };
        let text = printable(&text(check)).replace('|', "/");
        let shown: Vec<&str> = data.iter().map(|(_, one)| one.as_str()).collect();
        let bar = if shown.is_empty() { "" } else { " | " };
        let line =
            format!("BOUNCEWATCH {}: {text}{cut}{bar}{}", check.status.as_upper(), shown.join(" "));
        if line.len() < LINE_BYTES_MAX || data.is_empty() {
            return line + "\n";
        }
        data.pop();
    }
}

/// The worst of it in words.
fn text(check: &Check) -> String {
    let bad = check.verdicts.iter().filter(|verdict| verdict.level > Level::Ok);
    let worst = check.verdicts.iter().find(|verdict| verdict.level == check.status);
    let more = match bad.clone().filter(|verdict| verdict.level == check.status).count() {
        0 | 1 => String::new(),
        several => format!(" (+{} more)", several - 1),
    };
    let feed = match &check.feed.newest_event_at {
        None => "no events".to_owned(),
        Some(newest) if check.feed.stale => format!("no event since {newest}"),
        Some(_) => String::new(),
    };
    let Some(worst) = worst.filter(|_| check.status > Level::Ok || feed.is_empty()) else {
        return feed;
    };
    let rate = match (worst.rate, worst.attempts) {
        (Some(rate), Some(attempts)) => {
            format!("{} ({} of {attempts})", percent(Some(rate)), worst.count)
        }
        _ => format!("unknown ({} of an unknown number)", worst.count),
    };
    let feed = if feed.is_empty() { feed } else { format!(", {feed}") };
    format!("{} {rate} in {}, {}{more}{feed}", words(worst.metric), worst.window, worst.scope)
}

/// `'label'=value%;warn;crit;min;max`; an unknown value is `U`.
fn performance(verdict: &Verdict) -> String {
    let value = verdict.rate.map_or_else(|| "U".to_owned(), |rate| format!("{}%", number(rate)));
    format!(
        "'{}'={value};{};{};0;100",
        label(verdict.metric, &verdict.window, &verdict.scope),
        number(verdict.warning),
        number(verdict.critical)
    )
}

/// Quotes are doubled; `=` has no way to be said in a label, and a bar ends the text for some readers.
fn label(metric: &str, window: &str, scope: &Scope) -> String {
    let text = format!("{metric} {window} {scope}");
    printable(&text).replace('\'', "''").replace('=', ":").replace('|', "/")
}

/// A fraction as a number of per cent, without zeros at its end.
fn number(fraction: f64) -> String {
    let text = format!("{:.4}", fraction * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
