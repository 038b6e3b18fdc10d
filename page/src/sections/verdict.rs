//! The verdict: one sentence, then its significance and projection.

use super::{base_verdicts, denominator_text};
use crate::data::{Level, PageData, Verdict};
use crate::format::{self, percent, threshold};
use crate::layout::{LevelMark, Line};
use crate::untrusted_text::shown;

/// Thresholds at which SES acts: review and pause, by metric.
const SES_BOUNCES: [f64; 2] = [0.05, 0.1];
const SES_COMPLAINTS: [f64; 2] = [0.001, 0.005];

/// Returns the level of the page: that of the check.
pub(super) fn level(data: &PageData) -> Level {
    data.check.status
}

/// Returns the verdict to show, with its index: the worst level, then significance, then the greatest rate divided by
/// its threshold.
pub(super) fn worst(data: &PageData) -> Option<(usize, &Verdict)> {
    let severity = |verdict: &Verdict| verdict.rate.unwrap_or_default() / verdict.warning;
    base_verdicts(data).reduce(|worst, one| {
        let (a, b) = (one.1, worst.1);
        let order = a
            .level
            .cmp(&b.level)
            .then_with(|| {
                (a.significant && a.rate.is_some()).cmp(&(b.significant && b.rate.is_some()))
            })
            .then_with(|| severity(a).total_cmp(&severity(b)));
        if order.is_gt() { one } else { worst }
    })
}

/// Returns the threshold that a verdict reached, or the next one.
pub(super) fn relevant_threshold(verdict: &Verdict) -> f64 {
    if verdict.level == Level::Critical { verdict.critical } else { verdict.warning }
}

/// Returns the headline: that SES does not allow sending, or a rate: `WARNING: bounce rate 6.69 % in 24h`.
pub(super) fn headline(data: &PageData) -> String {
    if let Some((_, status)) = data.check.sending.disabled().next() {
        let part = shown(&status.part());
        return format!("{}: SES does not allow sending, {part}", Level::Critical.as_upper());
    }
    let feed = &data.check.feed;
    if feed.newest_event_at.is_none() {
        let service = if data.page.service == "workmail" { "WorkMail" } else { "SES" };
        return format!("UNKNOWN: no {service} events in the store");
    }
    let silent = feed.silent_seconds.unwrap_or_default();
    let Some((_, verdict)) = worst(data) else {
        return format!("UNKNOWN: no events for {}", format::duration(silent));
    };
    if feed.stale && verdict.level < Level::Warning {
        return format!("UNKNOWN: no events for {}", format::duration(silent));
    }
    let word = data.check.status.as_upper();
    match (verdict.rate, verdict.attempts) {
        (Some(_), _) => format!(
            "{word}: {} {} in {}",
            verdict.metric_name(),
            percent(verdict.rate),
            verdict.window
        ),
        (None, Some(0)) if verdict.count == 0 => {
            format!("{word}: no mail sent in {}", verdict.window)
        }
        (None, Some(_)) => {
            format!(
                "{word}: {} in {}, no mail sent",
                format::counted(verdict.count, verdict.noun()),
                verdict.window
            )
        }
        (None, None) => {
            format!(
                "{word}: {} in {}, send count unknown",
                format::counted(verdict.count, verdict.noun()),
                verdict.window
            )
        }
    }
}

/// Returns the title: the headline, then the account.
pub(super) fn title(data: &PageData, headline: &str) -> String {
    if let Some(title) = &data.page.title {
        return format!("{headline} - {title}");
    }
    match worst(data) {
        Some((_, verdict)) => format!("{headline} - {}", verdict.scope.account()),
        None => format!("{headline} - {}", data.page.store),
    }
}

/// Returns the warning above everything: a stale feed.
pub(super) fn banner(data: &PageData) -> Option<Line> {
    let feed = &data.check.feed;
    let newest = feed.newest_event_at.as_deref().filter(|_| feed.stale)?;
    Some(
        Line::of("Data up to ")
            .time(newest, "/check/feed/newest_event_at")
            .text(". No events since then."),
    )
}

/// Returns since when a part of the account may not send.
fn stopped(data: &PageData) -> Option<Line> {
    let (at, status) = data.check.sending.disabled().next()?;
    Some(
        Line::default()
            .level(LevelMark::new(Level::Critical, true, false))
            .text(" Sending is stopped since ")
            .time(&status.since, format!("/check/sending/statuses/{at}/since"))
            .text(": ")
            .untrusted(&status.part())
            .text("."),
    )
}

/// Returns the paragraphs below the headline.
pub(super) fn paragraphs(data: &PageData) -> Vec<Line> {
    let mut lines: Vec<Line> = stopped(data).into_iter().collect();
    let worst = worst(data);
    // the status of a check with a stopped part is not the level of its rate
    let status = match worst {
        _ if lines.is_empty() => data.check.status,
        Some((_, verdict)) => verdict.level,
        None => Level::Unknown,
    };
    let mark = |significant, has_rate| LevelMark::new(status, significant, has_rate);
    match worst {
        None => lines.push(Line::default().level(mark(true, false)).text(" No rate is known.")),
        Some((at, verdict)) => {
            let base = format!("/check/verdicts/{at}");
            let level =
                Line::default().level(mark(verdict.significant, verdict.rate.is_some())).text(" ");
            lines
                .push(level.then(counts(verdict, &base)).text(" ").text(thresholds(data, verdict)));
            lines.extend(significance(verdict, &base));
            lines.extend(projection(verdict, &base));
            lines.extend(maturity(verdict, &base));
        }
    }
    let groups: u64 = data
        .groups
        .iter()
        .map(|group| group.rows.iter().filter(|row| row.level >= Level::Warning).count() as u64)
        .sum();
    if groups > 0 && data.check.status < Level::Warning {
        lines.push(Line::of(format!(
            "{} below the account at or above a threshold: see the tables of groups.",
            format::counted(groups, "groups")
        )));
    }
    lines.push(context(data));
    lines
}

/// Returns what was counted: `64 of 957 sends bounced.`
fn counts(verdict: &Verdict, base: &str) -> Line {
    let count = Line::default().number(verdict.count, format!("{base}/count"));
    let verb = if verdict.is_bounce() { "bounced" } else { "were reported as spam" };
    match verdict.attempts {
        Some(0) => Line::of("No mail was sent in this window."),
        Some(attempts) => count
            .text(" of ")
            .number(attempts, format!("{base}/attempts"))
            .text(format!(" {} {verb}.", denominator_text(verdict.denominator.as_deref()))),
        None => count.text(format!(" {}. The number of sends is unknown.", verdict.noun())),
    }
}

fn thresholds(data: &PageData, verdict: &Verdict) -> String {
    let [review, pause] = if verdict.is_bounce() { SES_BOUNCES } else { SES_COMPLAINTS };
    let mut text = if data.page.service == "workmail" {
        String::new()
    } else {
        format!(
            "SES reviews accounts at {} and may pause sending at {}.",
            threshold(review),
            threshold(pause)
        )
    };
    #[expect(clippy::float_cmp, reason = "both come from the same decimal")]
    if verdict.warning != review || verdict.critical != pause || text.is_empty() {
        text = format!(
            "{text} Your thresholds are {} (warning) and {} (critical).",
            threshold(verdict.warning),
            threshold(verdict.critical)
        );
    }
    text.trim_start().to_owned()
}

/// Returns how certain the level is.
pub(super) fn significance(verdict: &Verdict, base: &str) -> Option<Line> {
    let [low, high] = verdict.interval?;
    let attempts = verdict.attempts?;
    let limit = relevant_threshold(verdict);
    let interval = |line: Line| line.interval(verdict.interval, format!("{base}/interval"));
    let threshold = threshold(limit);
    if low > limit {
        return Some(
            interval(Line::of("Significant: the 95 % confidence interval ("))
                .text(format!(") is entirely above {threshold}.")),
        );
    }
    if high < limit {
        return Some(
            interval(Line::of("Significant: the 95 % confidence interval ("))
                .text(format!(") is entirely below {threshold}.")),
        );
    }
    if attempts < verdict.minimum_volume && verdict.level < Level::Warning {
        let line = Line::of("Low volume: ")
            .number(verdict.count, format!("{base}/count"))
            .text(" of ")
            .number(attempts, format!("{base}/attempts"))
            .text(". The 95 % confidence interval (");
        return Some(interval(line).text(format!(
            ") is too wide for a conclusion. A level requires {} attempts, or an interval entirely above the threshold.",
            format::number(verdict.minimum_volume)
        )));
    }
    let rest = if verdict.level >= Level::Warning {
        format!(
            ") includes {threshold}. With {} attempts or more, the level still applies.",
            format::number(verdict.minimum_volume)
        )
    } else {
        format!(") includes {threshold}.")
    };
    Some(interval(Line::of("Near the threshold: the 95 % confidence interval (")).text(rest))
}

/// Returns how far the next threshold is, and when the rate reaches it.
fn projection(verdict: &Verdict, base: &str) -> Option<Line> {
    let headroom = verdict.headroom?;
    let (more, next, key) = if verdict.level >= Level::Warning {
        (headroom.critical, verdict.critical, "critical")
    } else {
        (headroom.warning, verdict.warning, "warning")
    };
    let mut line = Line::default();
    if more > 0 {
        let noun = if more == 1 { verdict.noun().trim_end_matches('s') } else { verdict.noun() };
        line = line
            .number(more, format!("{base}/headroom/{key}"))
            .text(format!(" more {noun} until {}.", threshold(next)));
    }
    let crossings = [
        (&verdict.crosses_warning_at, verdict.warning, "crosses_warning_at"),
        (&verdict.crosses_critical_at, verdict.critical, "crosses_critical_at"),
    ];
    if let (Some(pace), Some((Some(at), limit, key))) =
        (&verdict.pace, crossings.into_iter().find(|(at, ..)| at.is_some()))
    {
        #[expect(clippy::cast_possible_truncation, reason = "a span of time in seconds")]
        let length = format::duration(pace.long.seconds as i64);
        line = line
            .text(format!(" At the pace of the last {length} ("))
            .percent(pace.long.rate, format!("{base}/pace/long/rate"))
            .text(", ")
            .number(pace.long.count, format!("{base}/pace/long/count"))
            .text(" of ")
            .number(pace.long.attempts, format!("{base}/pace/long/attempts"))
            .text(format!("), the rate reaches {} at ", threshold(limit)))
            .time(at, format!("{base}/{key}"))
            .text(".");
    }
    if let Some(before) = verdict.before.filter(|before| before.rate.is_some()) {
        line = line
            .text(format!(" Previous {}: ", verdict.window))
            .percent(before.rate, format!("{base}/before/rate"))
            .text(".");
    }
    (!line.is_empty()).then_some(line)
}

fn maturity(verdict: &Verdict, base: &str) -> Option<Line> {
    let mature = verdict.mature?;
    let line = Line::default().percent(Some(mature), format!("{base}/mature"));
    Some(line.text(" mature: results for the last 14 hours are incomplete."))
}

/// Returns account, service, basis and times.
fn context(data: &PageData) -> Line {
    let mut line = Line::default();
    if let Some((_, verdict)) = worst(data) {
        line = line.text("Account ");
        for (position, (name, value)) in verdict.scope.0.iter().enumerate() {
            if position > 0 {
                line = line.text(" ");
            }
            if position > 1 {
                line = line.text(format!("{} ", super::dimension(name)));
            }
            line = line.untrusted(&super::value_text(data, value.as_deref()));
        }
        let service = if data.page.service == "workmail" { "WorkMail" } else { "SES" };
        line = line
            .text(format!(", {service}, counted by time of {}, as of ", verdict.basis))
            .time(&data.check.as_of, "/check/as_of");
    } else {
        line = line.text("As of ").time(&data.check.as_of, "/check/as_of");
    }
    if let (Some(_), Some(silent)) =
        (&data.check.feed.newest_event_at, data.check.feed.silent_seconds)
    {
        line = line.text(format!(", newest event {} earlier", format::duration(silent)));
    }
    if let Some(from) = &data.page.counted_from {
        line = line.text(", counted from ").time(from, "/page/counted_from");
    }
    line.text(".")
}
