//! Addresses to suppress: counts only.

use super::dimension;
use crate::data::{LeftOut, SuppressData};
use crate::format::number;
use crate::layout::{Block, Cell, Column, Line, Row, Section, Table};

pub(super) fn section(suppress: &SuppressData) -> Section {
    let mut section = Section::new(
        "suppress",
        "Addresses to suppress",
        "Addresses that do not exist, complained, or failed repeatedly. This page contains no address.",
    );
    if suppress.addresses == 0 {
        section.paragraph(Line::of("No address to suppress."));
    } else {
        let columns = vec![
            Column::text("Reason"),
            Column::text("Cause"),
            Column::number("Addresses", "count"),
            Column::number("New in 7 days", "new"),
        ];
        let mut table = Table::new("Addresses to suppress by reason and cause", columns);
        for (at, one) in suppress.reasons.iter().enumerate() {
            table.rows.push(Row {
                pointer: Some(format!("/suppress/reasons/{at}")),
                cells: vec![
                    Cell::header(Line::of(dimension(&one.reason))),
                    Cell::of(one.cause.as_deref().map_or("(none)".to_owned(), dimension)),
                    Cell::of(number(one.count)),
                    Cell::of(number(one.new)),
                ],
            });
        }
        section.blocks.push(Block::Table(table));
    }
    if suppress.on_hold > 0 {
        section.paragraph(
            Line::default()
                .number(suppress.on_hold, "/suppress/on_hold")
                .text(" addresses of provider incidents are on hold; mail them again later."),
        );
    }
    add_left_out(&suppress.left_out, &mut section);
    if suppress.addresses > 0 {
        section.paragraph(
            Line::of("Write the list: ")
                .code("bouncewatch suppress --store STORE -o suppress.csv")
                .text(". For an import into SES: ")
                .code("bouncewatch suppress --store STORE --format ses -o ses.csv")
                .text("."),
        );
    }
    section
}

fn add_left_out(left_out: &LeftOut, section: &mut Section) {
    let counts = [
        (
            "dropped",
            left_out.dropped,
            " permanent failures have no address in the store (policy drop, or forgotten).",
        ),
        (
            "on_ses_list",
            left_out.on_ses_list,
            " addresses are on a suppression list of SES; remove them from your mailing lists.",
        ),
        (
            "on_global_list",
            left_out.on_global_list,
            " of these are on the global suppression list of SES; each attempt counts as a bounce.",
        ),
        (
            "unknown_text",
            left_out.unknown_text,
            " addresses failed permanently with an unknown text.",
        ),
    ];
    for (key, count, text) in counts.into_iter().filter(|(_, count, _)| *count > 0) {
        section.paragraph(
            Line::default().number(count, format!("/suppress/left_out/{key}")).text(text),
        );
    }
}
