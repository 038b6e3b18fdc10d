//! Tables of aligned text, for files, pipes and terminals.

use std::fmt::Write;

use anstyle::Style;
use bouncewatch_schemas::printable::printable;
use bouncewatch_schemas::text_layout::TextLayout;
use unicode_width::UnicodeWidthStr;

/// Maximum number of rows of a table; longer tables omit rows in the middle.
const ROWS_MAX: usize = 400;

/// The columns of a table: the first `left_columns` are aligned left, the others right.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TextTable<'a> {
    /// Titles of the columns.
    pub(crate) header: &'a [&'a str],
    pub(crate) left_columns: usize,
    /// Whether the last column contains sentences; if so, it is aligned left.
    pub(crate) ends_with_text: bool,
    /// Columns that are not shown.
    pub(crate) hidden: &'a [&'a str],
    /// Columns that a narrow terminal omits, in this order.
    pub(crate) optional: &'a [&'a str],
    /// Style of the first cell of each row; empty for none.
    pub(crate) styles: &'a [Style],
}

impl TextTable<'_> {
    /// Returns the table. Control characters in cells are escaped. A table with more than 400 rows
    /// omits rows in the middle, with a note. If a terminal is too narrow, each cell is on its own
    /// line, so that no number is truncated.
    pub(crate) fn text(&self, rows: &[Vec<String>], layout: TextLayout) -> String {
        self.computed_text(rows.len(), |at| rows.get(at).cloned(), layout)
    }

    /// As [`TextTable::text`], for `count` rows. `row` computes a row; it is called only for rows
    /// that are shown.
    pub(crate) fn computed_text(
        &self,
        count: usize,
        row: impl Fn(usize) -> Option<Vec<String>>,
        layout: TextLayout,
    ) -> String {
        let half = ROWS_MAX / 2;
        let is_shortened = count > ROWS_MAX;
        let (first, rest) = if is_shortened { (half, count - half) } else { (count, count) };
        let cells = |at: usize| {
            let cells = row(at)?.iter().map(|cell| printable(cell).into_owned()).collect();
            Some((at, cells))
        };
        let rows: Vec<(usize, Vec<String>)> =
            (0..first).chain(rest..count).filter_map(cells).collect();
        let widths = self.widths(&rows);
        let shown = self.shown_columns(&widths, layout);
        let mut out = String::new();
        if let Some(shown) = &shown {
            let header: Vec<String> = self.header.iter().map(|title| (*title).to_owned()).collect();
            self.add_line(None, &header, &widths, shown, layout, &mut out);
        }
        for (number, (at, cells)) in rows.iter().enumerate() {
            if is_shortened && number == half {
                // writing to a String cannot fail
                _ = writeln!(
                    out,
                    "... {} of {count} rows shown; use --format csv or json for all rows ...",
                    2 * half
                );
            }
            match &shown {
                Some(shown) => self.add_line(Some(*at), cells, &widths, shown, layout, &mut out),
                None => self.add_lines(*at, cells, layout, &mut out),
            }
        }
        out
    }

    fn widths(&self, rows: &[(usize, Vec<String>)]) -> Vec<usize> {
        let cell_width =
            |at: usize| rows.iter().filter_map(move |(_, cells)| Some(cells.get(at)?.width()));
        let width = |(at, title): (usize, &&str)| {
            cell_width(at).max().unwrap_or_default().max(title.width())
        };
        self.header.iter().enumerate().map(width).collect()
    }

    /// Returns the columns that fit; `None` if the table is too wide without the optional columns.
    fn shown_columns(&self, widths: &[usize], layout: TextLayout) -> Option<Vec<usize>> {
        let mut shown: Vec<usize> = (0..widths.len()).filter(|at| !self.is_hidden(*at)).collect();
        let Some(max) = layout.width else { return Some(shown) };
        let fits = |shown: &[usize]| {
            shown.iter().map(|at| widths[*at] + self.gap(*at).len()).sum::<usize>() <= max
        };
        let mut optional = self.optional.iter();
        while !fits(&shown) {
            let title = optional.next()?;
            shown.retain(|at| self.header[*at] != *title);
        }
        Some(shown)
    }

    fn is_hidden(&self, at: usize) -> bool {
        self.hidden.contains(&self.header[at])
    }

    /// Whether a column contains sentences.
    fn is_text(&self, at: usize) -> bool {
        self.ends_with_text && at + 1 == self.header.len()
    }

    fn gap(&self, at: usize) -> &'static str {
        match at {
            0 => "",
            _ if self.is_text(at) => "   ",
            _ => "  ",
        }
    }

    fn add_line(
        &self,
        row: Option<usize>,
        cells: &[String],
        widths: &[usize],
        shown: &[usize],
        layout: TextLayout,
        out: &mut String,
    ) {
        let mut line = String::new();
        for at in shown {
            let Some(cell) = cells.get(*at) else { continue };
            let blanks = " ".repeat(widths[*at] - cell.width());
            line.push_str(self.gap(*at));
            if *at < self.left_columns || self.is_text(*at) {
                line.push_str(&self.styled(row, *at, cell, layout));
                line.push_str(&blanks);
            } else {
                line.push_str(&blanks);
                line.push_str(cell);
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }

    /// Adds a line for each cell of a row.
    fn add_lines(&self, row: usize, cells: &[String], layout: TextLayout, out: &mut String) {
        let titles = self.header.iter().map(|title| title.width()).max().unwrap_or_default();
        if !out.is_empty() {
            out.push('\n');
        }
        for (at, (title, cell)) in self.header.iter().zip(cells).enumerate() {
            if !cell.is_empty() && !self.is_hidden(at) {
                let blanks = " ".repeat(titles - title.width());
                let cell = self.styled(Some(row), at, cell, layout);
                // writing to a String cannot fail
                _ = writeln!(out, "{title}{blanks}  {cell}");
            }
        }
    }

    /// Returns a cell with its style. Only the first cell of a row has a style.
    fn styled(&self, row: Option<usize>, column: usize, cell: &str, layout: TextLayout) -> String {
        match row.and_then(|row| self.styles.get(row)) {
            Some(style) if column == 0 => layout.styled(cell, *style),
            _ => cell.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[[&str; 3]], layout: TextLayout) -> String {
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
        let table = TextTable {
            header: &["name", "rate", "count"],
            left_columns: 1,
            optional: &["rate"],
            styles: &[Style::new().bold()],
            ..TextTable::default()
        };
        table.text(&rows, layout)
    }

    #[test]
    fn rows_in_the_middle_are_omitted_above_400() {
        let rows: Vec<Vec<String>> =
            (0..1_000).map(|n| vec![n.to_string(), "x".to_owned()]).collect();
        let table = TextTable { header: &["n", "x"], left_columns: 2, ..TextTable::default() };
        for width in [None, Some(3)] {
            let text = table.text(&rows, TextLayout { width, ..TextLayout::default() });
            assert!(text.contains("400 of 1000 rows shown"), "{width:?}");
            assert!(
                text.contains("\n199  x\n...") || text.contains("n  199\nx  x\n..."),
                "{width:?}"
            );
            assert!(!text.contains("200  x"), "{width:?}");
            assert!(text.contains("999"), "{width:?}");
        }
    }

    #[test]
    fn columns_are_aligned_by_the_width_on_a_terminal() {
        let names = ["ab", "数据", "e\u{301}", "👩‍👩‍👧", "ｱ"];
        let rows: Vec<[&str; 3]> = names.iter().map(|name| [*name, "1 %", "7"]).collect();
        let text = table(&rows, TextLayout::default());
        let expected = "name  rate  count\nab     1 %      7\n数据   1 %      7\ne\u{301}      1 %      7\n👩‍👩‍👧     1 %      7\nｱ      1 %      7\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn narrow_terminal_omits_optional_columns_then_has_a_line_for_each_cell() {
        let rows = [["a name", "12.34 %", "1234567"], ["b", "", "7"]];
        let at = |width| table(&rows, TextLayout { width: Some(width), ..TextLayout::default() });
        assert_eq!(
            at(24),
            "name       rate    count\na name  12.34 %  1234567\nb                      7\n"
        );
        assert_eq!(at(23), "name      count\na name  1234567\nb             7\n");
        assert_eq!(at(15), at(23));
        assert_eq!(at(14), "name   a name\nrate   12.34 %\ncount  1234567\n\nname   b\ncount  7\n");
    }

    #[test]
    fn first_cells_have_their_style_only_with_color() {
        let layout = TextLayout { has_color: true, ..TextLayout::default() };
        let text = table(&[["a\u{1b}[31m", "1 %", "7"]], layout);
        assert!(text.contains("\u{1b}[1ma\\u{1b}[31m\u{1b}[0m  "), "{text:?}");
        assert!(!table(&[["a", "1 %", "7"]], TextLayout::default()).contains('\u{1b}'));
    }
}
