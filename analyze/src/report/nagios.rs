//! Check as the output line of a Nagios plugin: `SERVICE STATUS: text | performance data` (Monitoring Plugins
//! Development Guidelines, "Plugin Output for Nagios" and "Performance data").

use bouncewatch_schemas::printable::printable;

use crate::check::level::AlertLevel;
use crate::check::{CheckReport, Verdict};
use crate::report::text::{humanize, percent, utc_minute};
use crate::timeline::Scope;

/// Maximum length of the line in bytes: NRPE truncates the output of older agents at 4 KiB.
const LINE_BYTES_MAX: usize = 4_000;

/// Returns a check as one line. Performance data that does not fit is dropped, finest groups first, with a note.
pub fn check(check: &CheckReport) -> String {
    let mut data: Vec<(usize, String)> = check
        .verdicts
        .iter()
        .map(|verdict| (verdict.scope.0.len(), performance(verdict)))
        .collect();
    // stable: scopes with the fewest dimensions first
    data.sort_by_key(|(dimensions, _)| *dimensions);
    let all = data.len();
    let mut bytes = 0;
    let fits = |(_, one): &&(usize, String)| {
        bytes += one.len() + 1;
        bytes < LINE_BYTES_MAX
    };
    data.truncate(data.iter().take_while(fits).count());
    let text = printable(&text(check)).replace('|', "/");
    loop {
        let kept = data.len();
        let dropped = if kept < all {
            format!(" (performance data: {kept} of {all} rates)")
        } else {
            String::new()
        };
        let shown: Vec<&str> = data.iter().map(|(_, one)| one.as_str()).collect();
        let bar = if shown.is_empty() { "" } else { " | " };
        let line = format!(
            "BOUNCEWATCH {}: {text}{dropped}{bar}{}",
            check.status.as_upper(),
            shown.join(" ")
        );
        if line.len() < LINE_BYTES_MAX || data.is_empty() {
            return line + "\n";
        }
        data.pop();
    }
}

/// Returns the part of the account for which SES does not allow sending; if there is none, the
/// worst verdict and a stale feed.
fn text(check: &CheckReport) -> String {
    let mut of_status = check.verdicts.iter().filter(|verdict| verdict.level == check.status);
    let worst = of_status.next();
    let more = match of_status.count() {
        others if others > 0 && check.status > AlertLevel::Ok => format!(" (+{others} more)"),
        _ => String::new(),
    };
    if let Some(status) = check.sending.disabled().next() {
        let more = match check.sending.disabled().count() {
            1 => String::new(),
            all => format!(" (+{} more)", all - 1),
        };
        return format!(
            "SES does not allow sending since {}, {}{more}",
            utc_minute(&status.since),
            status.scope
        );
    }
    let feed = match &check.feed.newest_event_at {
        None => "no events".to_owned(),
        Some(newest) if check.feed.stale => {
            format!("no event since {}", utc_minute(newest))
        }
        Some(_) => String::new(),
    };
    let Some(worst) = worst.filter(|_| check.status > AlertLevel::Ok || feed.is_empty()) else {
        return feed;
    };
    let rate = match (worst.rate, worst.attempts) {
        (Some(rate), Some(attempts)) => {
            format!("{} ({} of {attempts})", percent(Some(rate)), worst.count)
        }
        _ => format!("unknown ({}, attempts unknown)", worst.count),
    };
    let feed = if feed.is_empty() { feed } else { format!(", {feed}") };
    format!("{} {rate} in {}, {}{more}{feed}", humanize(worst.metric), worst.window, worst.scope)
}

/// Returns `'label'=value%;warn;crit;min;max`; an unknown value is `U`.
fn performance(verdict: &Verdict) -> String {
    let value = verdict.rate.map_or_else(|| "U".to_owned(), |rate| format!("{}%", number(rate)));
    format!(
        "'{}'={value};{};{};0;100",
        label(verdict.metric, &verdict.window, &verdict.scope),
        number(verdict.warning),
        number(verdict.critical)
    )
}

/// Returns the text of a quoted label: quotes are doubled; `=` and `|`, which labels must not contain, are replaced.
fn label(metric: &str, window: &str, scope: &Scope) -> String {
    let text = format!("{metric} {window} {}", scope.text("-"));
    printable(&text).replace('\'', "''").replace('=', ":").replace('|', "/")
}

/// Formats a fraction as percent without trailing zeros: `6.2`.
fn number(fraction: f64) -> String {
    let text = format!("{:.4}", fraction * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
