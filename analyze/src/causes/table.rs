//! Why mail failed, as text for people. Texts of strangers are shown, not sent to the terminal.

use std::fmt::Write;

use bouncewatch_schemas::printable::printable;

use crate::causes::{Causes, Counsel, UnknownReport};
use crate::report::table::{grid, percent, words};

/// Causes of which a table tells what to do.
const ADVICE_MAX: usize = 6;
/// Lines of delays in a table.
const DELAYS_MAX: usize = 12;
/// Letters of an example in a table.
const EXAMPLE_MAX: usize = 100;

/// The answer: the three questions first, then the groups, what to do, delays, and where SES says otherwise.
pub fn causes(causes: &Causes) -> String {
    let mut out = format!("why mail failed, from {} to {}\n", causes.from, causes.to);
    let before = match causes.bounces_before {
        Some(before) => format!("{before} in the span before"),
        None => "the span before lies before the store".to_owned(),
    };
    // writing to a String cannot fail
    _ = writeln!(
        out,
        "{} bounces, of which SES counts {}; {before}; {} automatic replies beside them\n",
        causes.bounces, causes.counted, causes.auto_replies
    );
    let rollups: Vec<Vec<String>> = causes
        .rollups
        .iter()
        .filter(|one| one.count > 0 || one.count_before.unwrap_or_default() > 0)
        .map(|one| {
            let [share, before, change] = numbers(one.share, one.count, one.count_before);
            vec![
                question(one.rollup),
                one.count.to_string(),
                share,
                one.counted.to_string(),
                before,
                change,
            ]
        })
        .collect();
    let header = ["", "bounces", "share", "counted", "before", "change"];
    out.push_str(&grid(&header, &rollups, 1));
    out.push('\n');
    out.push_str(&groups(causes));
    for counsel in causes.advice.iter().take(ADVICE_MAX) {
        out.push('\n');
        out.push_str(&advice(counsel));
    }
    out.push_str(&delays(causes));
    out.push_str(&disagreements(causes));
    if causes.unknown.is_empty() {
        return out;
    }
    let unknown: u64 = causes.unknown.iter().map(|one| one.count).sum();
    _ = writeln!(
        out,
        "\n{unknown} bounces have a text that no rule knows, of {} kinds: --unknown lists them",
        causes.unknown.len()
    );
    out
}

/// Share, count before, and change of it.
fn numbers(share: Option<f64>, count: u64, before: Option<u64>) -> [String; 3] {
    let share = share.map_or_else(String::new, |share| percent(Some(share)));
    let change = before.map_or_else(|| "unknown".to_owned(), |before| change(count, before));
    let before = before.map_or_else(|| "unknown".to_owned(), |before| before.to_string());
    [share, before, change]
}

/// By how many there are more or fewer.
fn change(count: u64, before: u64) -> String {
    match count.cmp(&before) {
        std::cmp::Ordering::Less => format!("-{}", before - count),
        std::cmp::Ordering::Equal => "0".to_owned(),
        std::cmp::Ordering::Greater => format!("+{}", count - before),
    }
}

fn question(rollup: &str) -> String {
    let what = match rollup {
        "list_quality" => ": addresses that do not work",
        "sender_health" => ": receivers do not want mail from you",
        "not_us" => ": none of your doing",
        _ => "",
    };
    format!("{}{what}", words(rollup))
}

fn groups(causes: &Causes) -> String {
    let mut out = String::new();
    let mut rest = causes.groups.as_slice();
    // one table for each cut
    while let Some(first) = rest.first() {
        let names: Vec<&String> = first.scope.0.iter().map(|(name, _)| name).collect();
        let is_of_cut = |group: &&super::Group| {
            group.scope.0.iter().map(|(name, _)| name).eq(names.iter().copied())
        };
        let length = rest.iter().take_while(is_of_cut).count();
        let (own, others) = rest.split_at(length.max(1));
        rest = others;
        let has_fault = names.iter().any(|name| *name == "cause");
        let line = |group: &super::Group| {
            let [share, before, change] = numbers(group.share, group.count, group.count_before);
            let mut cells: Vec<String> = group
                .scope
                .0
                .iter()
                .map(|(_, value)| value.clone().unwrap_or_else(|| "-".to_owned()))
                .collect();
            if has_fault {
                cells.push(words(group.fault.unwrap_or_default()));
            }
            let example = group.example.as_deref().map(shortened).unwrap_or_default();
            cells.extend([
                group.count.to_string(),
                share,
                group.counted.to_string(),
                before,
                change,
            ]);
            // the grid pads what is right of it
            cells.push(format!(" {example}"));
            cells
        };
        let mut header: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        if has_fault {
            header.push("fault");
        }
        let texts = header.len();
        header.extend(["bounces", "share", "counted", "before", "change"]);
        let rows: Vec<Vec<String>> = own.iter().map(line).collect();
        out.push_str(&with_texts_at_the_end(&header, rows, texts));
    }
    if causes.groups.len() < causes.groups_total {
        _ = writeln!(
            out,
            "{} of {} groups; without --top all are shown",
            causes.groups.len(),
            causes.groups_total
        );
    }
    out
}

/// A grid whose last cells, of which the header knows nothing, stand behind it as they are.
fn with_texts_at_the_end(header: &[&str], rows: Vec<Vec<String>>, texts: usize) -> String {
    let mut header = header.to_vec();
    header.push(" example");
    let longest =
        rows.iter().filter_map(|row| row.last()).map(|text| printable(text).chars().count());
    let longest = longest.max().unwrap_or_default();
    let padded = rows.into_iter().map(|mut row| {
        if let Some(text) = row.last_mut() {
            // the grid sets its last columns right
            let width = printable(text).chars().count();
            text.push_str(&" ".repeat(longest - width));
        }
        row
    });
    let head = format!("{:<longest$}", " example");
    if let Some(last) = header.last_mut() {
        *last = &head;
    }
    grid(&header, &padded.collect::<Vec<_>>(), texts)
}

/// The beginning of a text.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(EXAMPLE_MAX) {
        Some((end, _)) => format!("{}...", text.split_at(end).0),
        None => text.to_owned(),
    }
}

fn advice(counsel: &Counsel) -> String {
    let mut out = format!(
        "{}: {} bounces ({}), fault: {}, action: {}\n",
        counsel.cause,
        counsel.count,
        percent(counsel.share),
        words(counsel.fault),
        words(counsel.action)
    );
    let mut line = |name: &str, value: &str| {
        _ = writeln!(out, "  {name:<12}{}", printable(value));
    };
    let mostly: Vec<String> = counsel
        .mostly
        .iter()
        .map(|common| {
            format!("{} {} {} of {}", words(&common.by), common.value, common.count, counsel.count)
        })
        .collect();
    if !mostly.is_empty() {
        line("mostly", &mostly.join(", "));
    }
    let lists: Vec<String> =
        counsel.block_lists.iter().map(|list| format!("{} {}", list.name, list.count)).collect();
    if !lists.is_empty() {
        line("block lists", &lists.join(", "));
    }
    for typo in &counsel.suggestions {
        line("mistyped", &format!("{} {}: most likely {}", typo.domain, typo.count, typo.likely));
    }
    line("meaning", counsel.meaning);
    line("what to do", counsel.remedy);
    if let Some(ses) = counsel.ses {
        line("with SES", ses);
    }
    out
}

fn delays(causes: &Causes) -> String {
    if causes.delays.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = causes
        .delays
        .iter()
        .take(DELAYS_MAX)
        .map(|delay| {
            let [_, before, change] = numbers(None, delay.count, delay.count_before);
            let about = if delay.about_sender { "you" } else { "" };
            vec![
                delay.delay_type.clone().unwrap_or_else(|| "-".to_owned()),
                delay.provider.clone(),
                about.to_owned(),
                delay.count.to_string(),
                before,
                change,
                format!(" {}", delay.meaning.unwrap_or("a word of SES that is new")),
            ]
        })
        .collect();
    let header = ["delay type", "provider", "about", "delays", "before", "change"];
    let grid = with_texts_at_the_end(&header, rows, 3).replacen(" example", " meaning", 1);
    let more = causes.delays.len().saturating_sub(DELAYS_MAX);
    let more = match more {
        0 => String::new(),
        more => format!("... and {more} lines more; --format json has them\n"),
    };
    format!("\ndelays, which come before bounces\n{grid}{more}")
}

fn disagreements(causes: &Causes) -> String {
    if causes.disagreements.is_empty() {
        return String::new();
    }
    let word = |word: &Option<String>| word.clone().unwrap_or_else(|| "-".to_owned());
    let rows: Vec<Vec<String>> = causes
        .disagreements
        .iter()
        .map(|one| {
            vec![
                format!("{}/{}", word(&one.bounce_type), word(&one.bounce_subtype)),
                one.cause.to_owned(),
                one.count.to_string(),
                one.counted.to_string(),
                format!(" {}", one.example.as_deref().map(shortened).unwrap_or_default()),
            ]
        })
        .collect();
    let grid = with_texts_at_the_end(&["SES says", "the text says", "bounces", "counted"], rows, 2);
    format!("\nwhat SES calls otherwise; here the server's text is believed\n{grid}")
}

/// Texts that no rule knows, for people.
pub fn unknown(report: &UnknownReport<'_>) -> String {
    let mut out = format!(
        "{} of {} bounces from {} to {} have a text that no rule knows\n",
        report.unknown_bounces, report.bounces, report.from, report.to
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
                format!(" {}", one.template.as_deref().unwrap_or("(no text)")),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let header = ["SES says", "code", "status", "bounces"];
        out.push_str(&with_texts_at_the_end(&header, rows, 3).replacen(" example", " text   ", 1));
    }
    out
}
