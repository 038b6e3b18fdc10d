//! The page as a mail: text and HTML without style sheets and SVG, with the page attached.
//!
//! Mail programs remove style sheets, and Gmail cuts off HTML above 102 KB.

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::PageError;
use crate::layout::{Block, Cell, Page, Row, Section, Table};

/// Most rows of a table.
const ROWS_MAX: usize = 10;
/// Sections that a mail has: what needs attention.
const SECTIONS: [&str; 4] = ["actions", "rates", "contributors", "suppress"];
/// Most tables of groups.
const GROUPS_MAX: usize = 5;
/// Characters of a line of base64 (RFC 2045).
const LINE_CHARS: usize = 76;
/// Length of a full bar.
const BAR_CHARS: f64 = 12.0;
/// Characters of a part of an encoded subject; an encoded word has at most 75 characters (RFC 2047).
const SUBJECT_BYTES: usize = 42;

#[derive(Template)]
#[template(path = "mail.html")]
struct MailTemplate<'a> {
    page: &'a Page,
    sections: Vec<&'a Section>,
    rows_max: usize,
}

/// Returns a bar for a share of its scale.
pub(crate) fn bar(share: f64) -> String {
    let length = (share.clamp(0.0, 1.0) * BAR_CHARS).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most BAR_CHARS"
    )]
    "\u{2588}".repeat(length as usize)
}

fn sections(page: &Page) -> Vec<&Section> {
    let mut groups = 0;
    let is_shown = |section: &&Section| {
        let is_group = section.id.starts_with('g') && section.id != "guide";
        groups += usize::from(is_group);
        SECTIONS.contains(&section.id.as_str()) || (is_group && groups <= GROUPS_MAX)
    };
    page.sections.iter().filter(is_shown).collect()
}

/// Returns a message for `sendmail -t`.
pub(crate) fn render(page: &Page, attachment: &str, to: &str) -> Result<String, PageError> {
    let sections = sections(page);
    let text = text(page, &sections);
    let html = MailTemplate { page, sections, rows_max: ROWS_MAX }.render()?;
    let part = |kind: &str, more: &str, body: &str| {
        format!(
            "Content-Type: {kind}; charset=utf-8\nContent-Transfer-Encoding: base64\n{more}\n{}",
            encoded(body)
        )
    };
    Ok(format!(
        "To: {to}\nSubject: {}\nMIME-Version: 1.0\nAuto-Submitted: auto-generated\nContent-Type: multipart/mixed; boundary=\"bouncewatch-parts\"\n\n\
         --bouncewatch-parts\nContent-Type: multipart/alternative; boundary=\"bouncewatch-forms\"\n\n\
         --bouncewatch-forms\n{}--bouncewatch-forms\n{}--bouncewatch-forms--\n\
         --bouncewatch-parts\n{}--bouncewatch-parts--\n",
        subject(&page.title),
        part("text/plain", "", &text),
        part("text/html", "", &html),
        part(
            "text/html",
            "Content-Disposition: attachment; filename=\"bouncewatch.html\"\n",
            attachment
        ),
    ))
}

/// Returns the subject as the value of a header.
fn subject(title: &str) -> String {
    let title = bouncewatch_schemas::printable::printable(title);
    if title.is_ascii() {
        return title.into_owned();
    }
    let mut words: Vec<String> = Vec::new();
    let mut part = String::new();
    for c in title.chars() {
        if part.len() + c.len_utf8() > SUBJECT_BYTES {
            words.push(std::mem::take(&mut part));
        }
        part.push(c);
    }
    words.push(part);
    let encoded = |part: &String| format!("=?utf-8?B?{}?=", STANDARD.encode(part));
    words.iter().map(encoded).collect::<Vec<_>>().join("\n ")
}

/// Encodes a body in lines of base64.
fn encoded(body: &str) -> String {
    let text = STANDARD.encode(body);
    let mut out = String::with_capacity(text.len() + text.len() / LINE_CHARS + 1);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(LINE_CHARS));
        out.push_str(line);
        out.push('\n');
        rest = more;
    }
    out
}

/// Returns the page as plain text.
fn text(page: &Page, sections: &[&Section]) -> String {
    let mut out = format!("{}\n\n", page.headline);
    let mut add = |line: &str| {
        out.push_str(line.trim_end());
        out.push('\n');
    };
    page.banner.iter().chain(&page.verdict).for_each(|line| add(&line.plain()));
    for section in sections {
        add("");
        add(&section.title);
        add(&"-".repeat(section.title.chars().count()));
        for block in &section.blocks {
            match block {
                Block::Paragraph(line) | Block::Heading(line) => add(&line.plain()),
                Block::Steps(steps) => {
                    for (at, step) in steps.iter().enumerate() {
                        add(&format!(
                            "{}. {} {}",
                            at + 1,
                            step.action.plain(),
                            step.reason.plain()
                        ));
                        if let Some(command) = &step.command {
                            add(&format!("   {command}"));
                        }
                    }
                }
                Block::Table(table) => add(&text_table(table)),
                Block::Chart(_) | Block::Definition(_) | Block::Details(..) | Block::Terms(_) => {}
            }
        }
    }
    out
}

/// Returns one line per row: each cell with the title of its column.
fn text_table(table: &Table) -> String {
    let row = |row: &Row| {
        let cells = table.columns.iter().zip(&row.cells).filter(|(_, cell)| !cell.line.is_empty());
        let cell = |(column, cell): (&crate::layout::Column, &Cell)| {
            let text = cell.line.plain();
            if column.key.is_some() {
                format!("{}: {text}", column.title.to_lowercase())
            } else {
                text
            }
        };
        cells.map(cell).collect::<Vec<_>>().join("; ")
    };
    let mut lines: Vec<String> = table.rows.iter().take(ROWS_MAX).map(row).collect();
    if table.rows.len() > ROWS_MAX {
        lines.push(format!(
            "... {} more rows are in the attached page",
            table.rows.len() - ROWS_MAX
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subject_with_other_characters_is_encoded() {
        assert_eq!(subject("OK: bounce rate"), "OK: bounce rate");
        assert_eq!(subject("a\nBcc: x"), "a\\u{a}Bcc: x");
        let long = subject(&"ä".repeat(60));
        assert!(
            long.lines().all(|line| line.len() <= 76 && line.trim().starts_with("=?utf-8?B?")),
            "{long}"
        );
    }

    #[test]
    fn bars_are_proportional() {
        assert_eq!(bar(0.0), "");
        assert_eq!(bar(0.5).chars().count(), 6);
        assert_eq!(bar(7.0).chars().count(), 12);
    }
}
