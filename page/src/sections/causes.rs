//! Bounce causes, advice, delays, and disagreements with SES.

use super::actions::sentence;
use super::dimension;
use crate::data::{CauseAdvice, CausesData, RollupCount};
use crate::format::{change, known, minute, number, percent};
use crate::layout::{Block, Cell, Chart, Column, Line, Row, Section, Table};
use crate::svg::{StackPart, stacked_bar};

/// Most causes with advice.
const ADVICE_MAX: usize = 3;
/// Most rows of the tables of delays and disagreements.
const ROWS_MAX: usize = 25;

pub(super) fn section(causes: &CausesData) -> Section {
    let mut section = Section::new(
        "causes",
        "Bounce causes",
        &format!(
            "Why mail bounced from {} to {}, by the text of the receiving server. Automatic replies are not bounces.",
            minute(&causes.from),
            minute(&causes.to)
        ),
    );
    section.paragraph(
        Line::default()
            .number(causes.bounces, "/causes/bounces")
            .text(" bounces, ")
            .number(causes.counted, "/causes/counted")
            .text(" of them counted by SES; previous period: ")
            .value(known(causes.bounces_before), "/causes/bounces_before")
            .text("."),
    );
    if causes.bounces == 0 {
        return section;
    }
    rollups(causes, &mut section);
    section.blocks.push(Block::Table(groups(causes)));
    if causes.unknown_bounces > 0 {
        section.paragraph(
            Line::default()
                .number(causes.unknown_bounces, "/causes/unknown_bounces")
                .text(" bounces have a text that matches no rule. List the texts: ")
                .code("bouncewatch causes --unknown --store STORE")
                .text("."),
        );
    }
    let advice = causes.advice.iter().enumerate().take(ADVICE_MAX);
    section.blocks.push(Block::Heading(Line::of("Advice on the most frequent causes")));
    section.blocks.push(Block::Terms(advice.map(|(at, one)| advice_terms(at, one)).collect()));
    delays(causes, &mut section);
    disagreements(causes, &mut section);
    section
}

fn rollup_name(rollup: &str) -> String {
    match rollup {
        "list_quality" => "list quality".to_owned(),
        "sender_health" => "sender health".to_owned(),
        "not_us" => "other".to_owned(),
        other => other.replace('_', " "),
    }
}

fn rollups(causes: &CausesData, section: &mut Section) {
    let shown: Vec<(usize, &RollupCount)> =
        causes.rollups.iter().enumerate().filter(|(_, one)| one.count > 0).collect();
    let part = |(_, one): &(usize, &RollupCount)| StackPart {
        name: rollup_name(&one.rollup),
        share: one.share.unwrap_or_default(),
    };
    let parts: Vec<StackPart> = shown.iter().map(part).collect();
    let name = "Bounces by kind of cause".to_owned();
    section.blocks.push(Block::Chart(Chart { svg: stacked_bar("rollups", &name, &parts), name }));
    let mut line = Line::default();
    for (at, one) in shown {
        let before = if line.is_empty() { "From left to right: " } else { "; " };
        line = line
            .text(format!("{before}{} ", rollup_name(&one.rollup)))
            .number(one.count, format!("/causes/rollups/{at}/count"))
            .text(" (")
            .percent(one.share, format!("/causes/rollups/{at}/share"))
            .text(")");
    }
    section.paragraph(line.text("."));
}

fn groups(causes: &CausesData) -> Table {
    let columns = vec![
        Column::text("Cause"),
        Column::text("Fault"),
        Column::number("Bounces", "count"),
        Column::number("Share", "share"),
        Column::number("Counted by SES", "counted"),
        Column::number("Previous period", "count_before"),
        Column::text("Change"),
        Column::text("Example"),
    ];
    let mut table = Table::new("Bounces by cause", columns);
    table.is_sortable = causes.groups.len() > 1;
    for (at, group) in causes.groups.iter().enumerate() {
        let cause =
            group.scope.0.last().and_then(|(_, value)| value.as_deref()).unwrap_or("unknown");
        let example = group.example.as_deref().unwrap_or("no text");
        table.rows.push(Row {
            pointer: Some(format!("/causes/groups/{at}")),
            cells: vec![
                Cell::header(Line::default().untrusted(cause)),
                Cell::of(dimension(group.fault.as_deref().unwrap_or("unknown"))),
                Cell::of(number(group.count)),
                Cell::of(percent(group.share)),
                Cell::of(number(group.counted)),
                Cell::of(known(group.count_before)),
                Cell::of(change(group.count, group.count_before)),
                Cell::line(Line::default().untrusted(example)),
            ],
        });
    }
    table
}

fn advice_terms(at: usize, advice: &CauseAdvice) -> (Line, Vec<Line>) {
    let base = format!("/causes/advice/{at}");
    let term = Line::of(format!("{}: ", advice.cause))
        .number(advice.count, format!("{base}/count"))
        .text(" bounces (")
        .percent(advice.share, format!("{base}/share"))
        .text(format!("), fault: {}", dimension(&advice.fault)));
    let mut lines = vec![
        Line::of(format!("Meaning: {}", sentence(&advice.meaning))),
        Line::of(format!("What to do: {}", sentence(&advice.remedy))),
    ];
    lines.extend(advice.ses.as_deref().map(|ses| Line::of(format!("With SES: {}", sentence(ses)))));
    let list = |title: &str, parts: Vec<(String, String)>| {
        let mut line = Line::of(format!("{title}: "));
        for (index, (text, rest)) in parts.iter().enumerate() {
            line = line.text(if index == 0 { "" } else { ", " }).untrusted(text).text(rest.clone());
        }
        (!parts.is_empty()).then(|| line.text("."))
    };
    let mostly = advice.mostly.iter().map(|one| {
        (
            format!("{} {}", dimension(&one.by), one.value),
            format!(" ({} of {})", number(one.count), number(advice.count)),
        )
    });
    lines.extend(list("Mostly", mostly.collect()));
    let lists = advice
        .block_lists
        .iter()
        .map(|one| (one.name.clone(), format!(" ({})", number(one.count))));
    lines.extend(list("Block lists", lists.collect()));
    let typos = advice.suggestions.iter().map(|one| {
        (one.domain.clone(), format!(" ({}, probably {})", number(one.count), one.likely))
    });
    lines.extend(list("Probably mistyped", typos.collect()));
    (term, lines)
}

fn delays(causes: &CausesData, section: &mut Section) {
    if causes.delays.is_empty() {
        return;
    }
    section.blocks.push(Block::Heading(Line::of("Delays")));
    section.paragraph(Line::of("Some of these delays become bounces later."));
    let columns = vec![
        Column::text("Type"),
        Column::text("Provider"),
        Column::text("Concerns"),
        Column::number("Delays", "count"),
        Column::text("Change"),
        Column::text("Meaning"),
    ];
    let mut table = Table::new("Delays by type and provider", columns);
    for (at, delay) in causes.delays.iter().enumerate().take(ROWS_MAX) {
        let kind = delay.delay_type.as_deref().unwrap_or("bounce report of a delay");
        table.rows.push(Row {
            pointer: Some(format!("/causes/delays/{at}")),
            cells: vec![
                Cell::header(Line::default().untrusted(kind)),
                Cell::line(Line::default().untrusted(&delay.provider)),
                Cell::of(if delay.about_sender {
                    "the sender"
                } else {
                    "the recipient or a server"
                }),
                Cell::of(number(delay.count)),
                Cell::of(change(delay.count, delay.count_before)),
                Cell::of(delay.meaning.as_deref().unwrap_or("unknown type")),
            ],
        });
    }
    section.blocks.push(Block::Table(table));
}

fn disagreements(causes: &CausesData, section: &mut Section) {
    if causes.disagreements.is_empty() {
        return;
    }
    section.blocks.push(Block::Heading(Line::of("Disagreements with SES")));
    section.paragraph(Line::of("The type of SES and the text of the server contradict each other. Rates use the type of SES."));
    let columns = vec![
        Column::text("Type of SES"),
        Column::text("Cause by the text"),
        Column::number("Bounces", "count"),
        Column::number("Counted by SES", "counted"),
    ];
    let mut table = Table::new("Bounces with contradicting type and text", columns);
    for (at, one) in causes.disagreements.iter().enumerate().take(ROWS_MAX) {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "(none)".to_owned());
        let kind = format!("{}/{}", text(&one.bounce_type), text(&one.bounce_subtype));
        table.rows.push(Row {
            pointer: Some(format!("/causes/disagreements/{at}")),
            cells: vec![
                Cell::header(Line::default().untrusted(&kind)),
                Cell::of(one.cause.clone()),
                Cell::of(number(one.count)),
                Cell::of(number(one.counted)),
            ],
        });
    }
    section.blocks.push(Block::Table(table));
}
