//! Feed and store.

use crate::data::{PageData, StoreData};
use crate::format::{duration, known, minute};
use crate::layout::{Block, Cell, Column, Line, Row, Section, Table};

pub(super) fn section(data: &PageData) -> Section {
    let mut section = Section::new(
        "feed",
        "Feed and store",
        "Rates are only as current as the newest event, and only as complete as the event types that arrive.",
    );
    let (feed, store) = (&data.check.feed, &data.store);
    let mut terms: Vec<(Line, Vec<Line>)> = Vec::new();
    let mut add = |name: &str, line: Line| terms.push((Line::of(name), vec![line]));
    add(
        "Newest event",
        match (&feed.newest_event_at, feed.silent_seconds) {
            (Some(newest), Some(silent)) => {
                let state = if feed.stale { " earlier: the feed is stale" } else { " earlier" };
                Line::default()
                    .time(newest, "/check/feed/newest_event_at")
                    .text(format!(", {}{state}", duration(silent)))
            }
            _ => Line::of("none"),
        },
    );
    add(
        "Missing event types",
        Line::of(if feed.missing.is_empty() { "none".to_owned() } else { feed.missing.join(", ") }),
    );
    add(
        "Days",
        match (&store.first_day, &store.last_day) {
            (Some(first), Some(last)) => Line::default()
                .value(first.clone(), "/store/first_day")
                .text(" to ")
                .value(last.clone(), "/store/last_day"),
            _ => Line::of("none"),
        },
    );
    add(
        "Stored rows",
        Line::default()
            .number(store.rows, "/store/rows")
            .text(" (copies of an event are counted once in rates)"),
    );
    add("Segments", Line::default().number(store.segments, "/store/segments"));
    add(
        "Format version",
        Line::default().value(store.format_version.to_string(), "/store/format_version"),
    );
    section.blocks.push(Block::Terms(terms));
    add_quarantine(store, &mut section);
    section
}

fn add_quarantine(store: &StoreData, section: &mut Section) {
    if store.quarantine.is_empty() {
        return section.paragraph(Line::of("No quarantined documents."));
    }
    let columns = vec![
        Column::text("Reason"),
        Column::number("Documents", "count"),
        Column::number("Newest", "newest"),
    ];
    let mut table = Table::new("Quarantined documents by reason", columns);
    for (at, one) in store.quarantine.iter().enumerate() {
        table.rows.push(Row {
            pointer: Some(format!("/store/quarantine/{at}")),
            cells: vec![
                Cell::header(Line::default().untrusted(&one.reason)),
                Cell::of(known(Some(one.count))),
                Cell::of(minute(&one.newest)),
            ],
        });
    }
    section.blocks.push(Block::Table(table));
    section.paragraph(
        Line::of("List them: ").code("bouncewatch store quarantine list --store STORE").text("."),
    );
}
