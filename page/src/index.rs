//! The index of several pages, one for each group.

use xxhash_rust::xxh3::xxh3_64;

use crate::data::Level;
use crate::error::PageError;
use crate::layout::{Block, Cell, Column, LevelMark, Line, Page, Row, Section, Table};
use crate::{format, html, sections};

/// One page of the index.
#[derive(Debug)]
pub struct IndexEntry {
    /// Value of the group; `None` for mail without a value.
    pub value: Option<String>,
    /// File name of the page; a name without untrusted text.
    pub file: String,
    /// Headline of the page.
    pub headline: String,
    /// Level of the group.
    pub level: Level,
}

impl IndexEntry {
    /// Returns the entry of the group with a value, and the HTML of its page.
    ///
    /// # Errors
    /// If `document` is not the JSON of a page.
    pub fn with_page(value: Option<String>, document: &str) -> Result<(Self, String), PageError> {
        let page = sections::page(&serde_json::from_str(document)?);
        let html = html::render(&page, Some(document))?;
        let file = file_name(value.as_deref());
        Ok((Self { value, file, headline: page.headline, level: page.level }, html))
    }
}

/// Returns the file name of the page of a value: a hash, because a value can contain any character.
fn file_name(value: Option<&str>) -> String {
    let text = value.map_or_else(|| "none".to_owned(), |value| format!("value {value}"));
    format!("{:016x}.html", xxh3_64(text.as_bytes()))
}

/// Returns the index of pages by a dimension, worst level first.
///
/// # Errors
/// If the template cannot be rendered.
pub fn index(by: &str, as_of: &str, entries: &mut [IndexEntry]) -> Result<String, PageError> {
    entries.sort_by(|a, b| b.level.cmp(&a.level).then_with(|| a.value.cmp(&b.value)));
    let by = by.trim_start_matches("tag:").replace('_', " ");
    let level = entries.first().map_or(Level::Unknown, |entry| entry.level);
    let reached = entries.iter().filter(|entry| entry.level >= Level::Warning).count() as u64;
    let headline = format!(
        "{}: {} of {} at or above a threshold",
        level.as_upper(),
        format::number(reached),
        format::counted(entries.len() as u64, "groups")
    );
    let columns = vec![Column::text(by.clone()), Column::text("Level"), Column::text("Verdict")];
    let mut table = Table::new(format!("Groups by {by}"), columns);
    for entry in entries.iter() {
        let name = entry.value.as_deref().unwrap_or("(none)");
        let cells = vec![
            Cell::header(Line::default().file(&entry.file, name)),
            Cell::level(LevelMark::Level(entry.level)),
            Cell::of(entry.headline.clone()),
        ];
        table.rows.push(Row { pointer: None, cells });
    }
    table.is_sortable = entries.len() > 1;
    let mut section =
        Section::new("actions", "Groups", "One page for each group, worst level first.");
    section.blocks.push(Block::Table(table));
    let page = Page {
        title: headline.clone(),
        headline,
        level,
        banner: None,
        verdict: vec![Line::of(format!("As of {}.", format::minute(as_of)))],
        sections: vec![section],
        footer: Line::of("bouncewatch"),
    };
    html::render(&page, None)
}
