//! Open alerts.

use super::value_text;
use crate::data::{AlertData, Level, PageData};
use crate::format::minute;
use crate::layout::{Block, Cell, Column, LevelMark, Line, Row, Section, Table};

pub(super) fn section(data: &PageData) -> Section {
    let mut section =
        Section::new("alerts", "Alerts", "Alerts that are open, and their last notification.");
    let Some(alerts) = &data.alerts else {
        section.paragraph(Line::of("Alerts are not configured (user guide: Alerts)."));
        return section;
    };
    let is_open = |alert: &&AlertData| {
        alert.level > Level::Ok && alert.cleared_at.is_none() && alert.service == data.page.service
    };
    let open: Vec<&AlertData> = alerts.alarms.iter().filter(is_open).collect();
    if open.is_empty() {
        section.paragraph(Line::of("No open alerts."));
        return section;
    }
    let columns =
        ["Subject", "Level", "Since", "Worst level", "Last notification", "Channels not notified"];
    let mut table = Table::new("Open alerts", columns.map(Column::text).into());
    for alert in open {
        let mut subject = Line::of(format!("{} ", alert.metric.replace('_', " ")));
        for (_, value) in &alert.scope.0 {
            subject = subject.untrusted(&value_text(data, value.as_deref())).text(" ");
        }
        table.rows.push(Row {
            pointer: None,
            cells: vec![
                Cell::header(subject),
                Cell::level(LevelMark::Level(alert.level)),
                Cell::of(minute(&alert.since)),
                Cell::level(LevelMark::Level(alert.worst)),
                Cell::of(alert.notified_at.as_deref().map_or_else(|| "none".to_owned(), minute)),
                Cell::of(alert.pending_channels.to_string()),
            ],
        });
    }
    section.blocks.push(Block::Table(table));
    section
}
