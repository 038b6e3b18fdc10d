//! Forecasts as text. Control characters in values are escaped.

use std::fmt::Write;

use bouncewatch_schemas::printable::printable;
use bouncewatch_schemas::text_layout::{TextLayout, level_style};

use crate::check::level::AlertLevel;
use crate::forecast::after_send::WindowForecast;
use crate::forecast::model::{
    BacktestReport, Forecast, ListCounts, ListPart, RemainingList, SplitSummary, StoreKnowledge,
};
use crate::forecast::totals::ExpectedCount;
use crate::report::text::{humanize, percent, shortened, utc_second};
use crate::report::text_table::TextTable;

/// Maximum length of a value of the list.
const VALUE_MAX: usize = 40;
/// Maximum number of mailings in a table.
const MAILINGS_MAX: usize = 40;

/// Returns a forecast as text: status, expected numbers, windows, groups, and removal steps.
pub fn forecast(forecast: &Forecast, layout: TextLayout) -> String {
    let mut out = format!(
        "{}  as of {}\n{}{}{}\n",
        layout.styled(forecast.status.as_upper(), level_style(forecast.status).bold()),
        utc_second(&forecast.as_of),
        list_line(forecast.list, forecast.knowledge),
        expected_line("bounces", forecast.bounces),
        expected_line("complaints", forecast.complaints),
    );
    out.push_str(&knowledge_line(forecast.knowledge));
    out.push_str("\nIf the list is sent:\n");
    out.push_str(&windows(&forecast.windows));
    out.push_str("\nWhere the bounces come from:\n");
    out.push_str(&parts(&forecast.parts, layout));
    if !forecast.remaining.is_empty() {
        out.push_str("\nThe list after removing addresses, step by step:\n");
        out.push_str(&remaining(&forecast.remaining, layout));
    }
    if let Some(split) = &forecast.split {
        out.push_str(&split_lines(split));
    }
    out
}

fn list_line(list: ListCounts, knowledge: StoreKnowledge) -> String {
    format!(
        "List: {} addresses, {} with a history, {} always held\n",
        list.addresses, knowledge.known, list.held
    )
}

fn expected_line(name: &str, expected: ExpectedCount) -> String {
    let [low, high] = expected.interval;
    let [low_rate, high_rate] = expected.rate_interval.map_or([None; 2], |rates| rates.map(Some));
    format!(
        "Expected {name}: {:.0} (90 % interval {low:.0} to {high:.0}), {} ({} to {})\n",
        expected.expected,
        percent(expected.rate),
        percent(low_rate),
        percent(high_rate),
    )
}

fn knowledge_line(knowledge: StoreKnowledge) -> String {
    let StoreKnowledge { attempts, addresses, first_rate, is_low, .. } = knowledge;
    let first = percent(Some(first_rate));
    if is_low {
        format!(
            "Low volume: the store has {attempts} attempts. The forecast is mostly a prior; \
             send to a small part of the list first.\n"
        )
    } else {
        format!(
            "The store has {attempts} attempts to {addresses} addresses; \
             {first} of first attempts bounce.\n"
        )
    }
}

/// Returns one line per rate:
/// `7d bounce rate rises from 2.10 % to 6.30 % (4.90 % to 8.00 %): WARNING`.
fn windows(windows: &[WindowForecast]) -> String {
    let mut out = String::new();
    let accounts = windows.iter().any(|one| one.scope != windows[0].scope);
    for one in windows {
        let [low, high] = one.rate_interval.map_or([None; 2], |rates| rates.map(Some));
        let account = if accounts { format!("{} ", one.scope.text("")) } else { String::new() };
        let verb = match one.rate.partial_cmp(&one.rate_now) {
            Some(std::cmp::Ordering::Less) => "falls",
            _ => "rises",
        };
        // writing to a String cannot fail
        _ = write!(
            out,
            "  {}{} {} {verb} from {} to {} ({} to {}): {}",
            printable(&account),
            one.window,
            humanize(one.metric),
            percent(one.rate_now),
            percent(one.rate),
            percent(low),
            percent(high),
            one.level.as_upper(),
        );
        if one.level_upper > one.level && one.level != AlertLevel::Unknown {
            _ = write!(out, ", {} at the upper end", one.level_upper.as_upper());
        }
        out.push('\n');
    }
    out
}

fn parts(parts: &[ListPart], layout: TextLayout) -> String {
    let row = |one: &ListPart| {
        let value = if one.value.is_empty() { "(none)" } else { &one.value };
        vec![
            printable(&one.by).into_owned(),
            shortened(&printable(value), VALUE_MAX),
            one.addresses.to_string(),
            format!("{:.1}", one.bounces),
            percent(Some(one.rate)),
            percent(one.rate_without),
        ]
    };
    let rows: Vec<Vec<String>> = parts.iter().map(row).collect();
    let header = ["by", "value", "addresses", "bounces", "rate", "rate without"];
    TextTable { header: &header, left_columns: 2, ..TextTable::default() }.text(&rows, layout)
}

fn remaining(steps: &[RemainingList], layout: TextLayout) -> String {
    let row = |one: &RemainingList| {
        let [low, high] = one.bounces.rate_interval.map_or([None; 2], |rates| rates.map(Some));
        vec![
            one.removed.to_owned(),
            one.count.to_string(),
            one.addresses.to_string(),
            percent(one.bounces.rate),
            format!("{} to {}", percent(low), percent(high)),
        ]
    };
    let rows: Vec<Vec<String>> = steps.iter().map(row).collect();
    let header = ["removed", "removed addresses", "remaining", "rate", "90 % interval"];
    TextTable { header: &header, left_columns: 1, ..TextTable::default() }.text(&rows, layout)
}

fn split_lines(split: &SplitSummary) -> String {
    let SplitSummary { keep_below, send, hold, bounces, .. } = split;
    format!(
        "\nTo stay below {}: send to {send} addresses, hold {hold}\n{}{}",
        percent(Some(*keep_below)),
        expected_line("bounces of these", *bounces),
        windows(&split.windows)
    )
}

/// Returns a backtest as text: coverage, Brier scores, reliability, split, and the mailings.
pub fn backtest(report: &BacktestReport, layout: TextLayout) -> String {
    let count = report.mailings.len();
    let mut out = format!(
        "{count} mailings from {} with {} attempts, each forecast from the mail of earlier days\n",
        utc_second(&report.from),
        report.attempts
    );
    if count == 0 {
        return out;
    }
    let (brier, split) = (report.brier, report.split);
    // writing to a String cannot fail
    _ = write!(
        out,
        "Mailings in the 90 % interval: {} by bounces, {} by complaints\n\
         Brier score: forecast {:.6}, rate of the account {:.6}, rate of the domain {:.6}\n\
         Split at {}: {} of {} mailings below it; {} would not be below it without a split. \
         Addresses held in these: {}, by an oracle: {}\n\n",
        percent(report.coverage),
        percent(report.complaint_coverage),
        brier.forecast,
        brier.account_rate,
        brier.domain_rate,
        percent(Some(split.keep_below)),
        split.below,
        split.mailings,
        split.above_without,
        split.held,
        split.oracle,
    );
    let bins = report.reliability.iter().map(|one| {
        vec![
            percent(Some(one.from)),
            one.attempts.to_string(),
            percent(Some(one.forecast)),
            percent(Some(one.observed)),
        ]
    });
    let header = ["probability from", "attempts", "forecast", "observed"];
    let table = TextTable { header: &header, ..TextTable::default() };
    out.push_str(&table.text(&bins.collect::<Vec<_>>(), layout));
    out.push('\n');
    out.push_str(&mailings(report, layout));
    out
}

fn mailings(report: &BacktestReport, layout: TextLayout) -> String {
    let first = report.mailings.len().saturating_sub(MAILINGS_MAX);
    let rows = report.mailings.iter().skip(first).map(|one| {
        let [low, high] = one.bounces.interval;
        vec![
            shortened(&printable(one.campaign.as_deref().unwrap_or("(none)")), VALUE_MAX),
            one.day.clone(),
            one.attempts.to_string(),
            format!("{:.1}", one.bounces.expected),
            format!("{low:.0} to {high:.0}"),
            one.observed.to_string(),
        ]
    });
    let header = ["campaign", "day (UTC)", "attempts", "expected", "90 % interval", "bounces"];
    let rows: Vec<Vec<String>> = rows.collect();
    TextTable { header: &header, left_columns: 2, ..TextTable::default() }.text(&rows, layout)
}
