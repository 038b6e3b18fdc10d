//! Causes as text tables. Control characters in texts of mail servers are escaped.

use std::fmt::Write;

use bouncewatch_schemas::printable::printable;
use bouncewatch_schemas::text_layout::TextLayout;

use crate::causes::model::{CauseAdvice, CauseGroup, CausesReport, UnknownTextReport};
use crate::incidents::table::incidents;
use crate::report::text::{humanize, percent, shortened, utc_second};
use crate::report::text_table::TextTable;

/// Maximum number of causes in the line with the largest causes.
const LARGEST_MAX: usize = 3;
/// Columns that compare with the previous period.
const COMPARISON: [&str; 2] = ["previous", "change"];
/// Maximum number of causes with advice.
const ADVICE_MAX: usize = 6;
/// Maximum number of delays.
const DELAYS_MAX: usize = 12;
/// Maximum length of an example, in characters.
const EXAMPLE_MAX: usize = 100;

/// Returns a report: rollups, groups, advice, delays, and disagreements with SES.
pub fn causes(causes: &CausesReport, layout: TextLayout) -> String {
    let mut out = format!(
        "causes of bounces from {} to {}\n",
        utc_second(&causes.from),
        utc_second(&causes.to)
    );
    let before = match causes.bounces_before {
        Some(before) => format!("{before} in the previous period"),
        None => "previous period unknown: the store starts later".to_owned(),
    };
    // writing to a String cannot fail
    _ = writeln!(
        out,
        "{} bounces, {} of them counted by SES; {before}; {} automatic replies not included\n{}",
        causes.bounces,
        causes.counted,
        causes.auto_replies,
        largest(causes)
    );
    let rollups: Vec<Vec<String>> = causes
        .rollups
        .iter()
        .filter(|one| one.count > 0 || one.count_before.unwrap_or_default() > 0)
        .map(|one| {
            let [share, comparison @ ..] = numbers(one.share, one.count, one.count_before);
            let counts = [one.count.to_string(), share, one.counted.to_string()];
            [rollup_title(one.rollup)].into_iter().chain(counts).chain(comparison).collect()
        })
        .collect();
    let header = ["", "bounces", "share", "counted", COMPARISON[0], COMPARISON[1]];
    let table = TextTable {
        header: &header,
        left_columns: 1,
        hidden: unknown_comparison(causes),
        optional: &COMPARISON,
        ..TextTable::default()
    };
    out.push_str(&table.text(&rollups, layout));
    out.push('\n');
    out.push_str(&groups(causes, layout));
    out.push_str(&incidents(&causes.incidents));
    for one in causes.advice.iter().take(ADVICE_MAX) {
        out.push('\n');
        out.push_str(&advice(one));
    }
    out.push_str(&delays(causes, layout));
    out.push_str(&disagreements(causes, layout));
    if causes.unknown.is_empty() {
        return out;
    }
    let unknown: u64 = causes.unknown.iter().map(|one| one.count).sum();
    let texts = match causes.unknown.len() {
        1 => "1 distinct text".to_owned(),
        texts => format!("{texts} distinct texts"),
    };
    _ = writeln!(out, "\n{unknown} bounces match no rule ({texts}); list them with --unknown");
    out
}

/// Returns the largest causes in a sentence; empty if there are none.
fn largest(causes: &CausesReport) -> String {
    let largest = causes.advice.iter().take(LARGEST_MAX);
    let largest: Vec<String> = largest
        .map(|one| format!("{} {} ({})", humanize(one.cause), one.count, percent(one.share)))
        .collect();
    match largest.as_slice() {
        [] => String::new(),
        largest => format!("largest causes: {}\n", largest.join(", ")),
    }
}

/// Returns the columns to hide: the comparison with the previous period, if its counts are unknown.
fn unknown_comparison(causes: &CausesReport) -> &'static [&'static str] {
    if causes.bounces_before.is_some() { &[] } else { &COMPARISON }
}

/// Returns share, count of the previous period, and change of the count.
fn numbers(share: Option<f64>, count: u64, before: Option<u64>) -> [String; 3] {
    let share = share.map_or_else(String::new, |share| percent(Some(share)));
    let change = before.map_or_else(|| "unknown".to_owned(), |before| change(count, before));
    let before = before.map_or_else(|| "unknown".to_owned(), |before| before.to_string());
    [share, before, change]
}

/// Returns the difference to the previous period, with sign.
fn change(count: u64, before: u64) -> String {
    match count.cmp(&before) {
        std::cmp::Ordering::Less => format!("-{}", before - count),
        std::cmp::Ordering::Equal => "0".to_owned(),
        std::cmp::Ordering::Greater => format!("+{}", count - before),
    }
}

fn rollup_title(rollup: &str) -> String {
    match rollup {
        "list_quality" => "list quality: addresses that should not be mailed".to_owned(),
        "sender_health" => "sender health: receivers reject your mail".to_owned(),
        "not_us" => "other: network, recipient server, single messages".to_owned(),
        _ => humanize(rollup),
    }
}

fn groups(causes: &CausesReport, layout: TextLayout) -> String {
    let mut out = String::new();
    let mut rest = causes.groups.as_slice();
    // one table per grouping
    while let Some(first) = rest.first() {
        let names: Vec<&String> = first.scope.0.iter().map(|(name, _)| name).collect();
        let is_of_grouping = |group: &&CauseGroup| {
            group.scope.0.iter().map(|(name, _)| name).eq(names.iter().copied())
        };
        let length = rest.iter().take_while(is_of_grouping).count();
        let (own, others) = rest.split_at(length.max(1));
        rest = others;
        let has_fault = names.iter().any(|name| *name == "cause");
        let line = |group: &CauseGroup| {
            let [share, before, change] = numbers(group.share, group.count, group.count_before);
            let mut cells: Vec<String> = group
                .scope
                .0
                .iter()
                .map(|(_, value)| value.clone().unwrap_or_else(|| "-".to_owned()))
                .collect();
            if has_fault {
                cells.push(humanize(group.fault.unwrap_or_default()));
            }
            cells.extend([
                group.count.to_string(),
                share,
                group.counted.to_string(),
                before,
                change,
            ]);
            cells.push(example_cell(group.example.as_deref()));
            cells
        };
        let mut header: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        if has_fault {
            header.push("fault");
        }
        let texts = header.len();
        header.extend(["bounces", "share", "counted", COMPARISON[0], COMPARISON[1], "example"]);
        let table = TextTable {
            header: &header,
            left_columns: texts,
            ends_with_text: true,
            hidden: unknown_comparison(causes),
            optional: &COMPARISON,
            ..TextTable::default()
        };
        let rows: Vec<Vec<String>> = own.iter().map(line).collect();
        out.push_str(&table.text(&rows, layout));
    }
    if causes.groups.len() < causes.groups_total {
        _ = writeln!(
            out,
            "{} of {} groups; omit --top to show all",
            causes.groups.len(),
            causes.groups_total
        );
    }
    out
}

fn advice(advice: &CauseAdvice) -> String {
    let mut out = format!(
        "{}: {} bounces ({}), fault: {}, action: {}\n",
        advice.cause,
        advice.count,
        percent(advice.share),
        humanize(advice.fault),
        humanize(advice.action)
    );
    let mut line = |name: &str, value: &str| {
        _ = writeln!(out, "  {name:<12}{}", printable(value));
    };
    let mostly: Vec<String> = advice
        .mostly
        .iter()
        .map(|common| {
            format!(
                "{} {} {} of {}",
                humanize(&common.by),
                common.value,
                common.count,
                advice.count
            )
        })
        .collect();
    if !mostly.is_empty() {
        line("mostly", &mostly.join(", "));
    }
    let lists: Vec<String> =
        advice.block_lists.iter().map(|list| format!("{} {}", list.name, list.count)).collect();
    if !lists.is_empty() {
        line("block lists", &lists.join(", "));
    }
    for typo in &advice.suggestions {
        line("mistyped", &format!("{} {}: probably {}", typo.domain, typo.count, typo.likely));
    }
    line("meaning", advice.meaning);
    line("what to do", advice.remedy);
    if let Some(ses) = advice.ses {
        line("in SES", ses);
    }
    out
}

fn delays(causes: &CausesReport, layout: TextLayout) -> String {
    if causes.delays.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = causes
        .delays
        .iter()
        .take(DELAYS_MAX)
        .map(|delay| {
            let [_, before, change] = numbers(None, delay.count, delay.count_before);
            let about = if delay.about_sender { "sender" } else { "" };
            vec![
                delay.delay_type.clone().unwrap_or_else(|| "-".to_owned()),
                delay.provider.clone(),
                about.to_owned(),
                delay.count.to_string(),
                before,
                change,
                delay.meaning.unwrap_or("unknown delay type").to_owned(),
            ]
        })
        .collect();
    let [previous, change] = COMPARISON;
    let header = ["delay type", "provider", "caused by", "delays", previous, change, "meaning"];
    let table = TextTable {
        header: &header,
        left_columns: 3,
        ends_with_text: true,
        hidden: unknown_comparison(causes),
        optional: &COMPARISON,
        ..TextTable::default()
    };
    let table = table.text(&rows, layout);
    let more = causes.delays.len().saturating_sub(DELAYS_MAX);
    let more = match more {
        0 => String::new(),
        more => format!("... {more} more lines; see --format json\n"),
    };
    format!("\ndelivery delays (bounces can follow)\n{table}{more}")
}

fn example_cell(example: Option<&str>) -> String {
    shortened(example.unwrap_or_default(), EXAMPLE_MAX)
}

fn disagreements(causes: &CausesReport, layout: TextLayout) -> String {
    if causes.disagreements.is_empty() {
        return String::new();
    }
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let rows: Vec<Vec<String>> = causes
        .disagreements
        .iter()
        .map(|one| {
            vec![
                format!("{}/{}", text(&one.bounce_type), text(&one.bounce_subtype)),
                one.cause.to_owned(),
                one.count.to_string(),
                one.counted.to_string(),
                example_cell(one.example.as_deref()),
            ]
        })
        .collect();
    let table = TextTable {
        header: &["SES type", "cause by text", "bounces", "counted", "example"],
        left_columns: 2,
        ends_with_text: true,
        ..TextTable::default()
    };
    let table = table.text(&rows, layout);
    format!(
        "\nbounces with an SES type that contradicts the server's text; the text decides\n{table}"
    )
}

/// Returns the texts that match no rule.
pub fn unknown(report: &UnknownTextReport<'_>, layout: TextLayout) -> String {
    let mut out = format!(
        "{} of {} bounces from {} to {} match no rule\n",
        report.unknown_bounces,
        report.bounces,
        utc_second(report.from),
        utc_second(report.to)
    );
    let rows: Vec<Vec<String>> = report
        .unknown
        .iter()
        .map(|one| {
            let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            vec![
                format!("{}/{}", text(&one.bounce_type), text(&one.bounce_subtype)),
                one.smtp_code.map_or_else(|| "-".to_owned(), |code| code.to_string()),
                text(&one.enhanced_status),
                one.count.to_string(),
                one.template.as_deref().unwrap_or("(no text)").to_owned(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let table = TextTable {
            header: &["SES type", "code", "status", "bounces", "text"],
            left_columns: 3,
            ends_with_text: true,
            ..TextTable::default()
        };
        out.push_str(&table.text(&rows, layout));
    }
    out
}
