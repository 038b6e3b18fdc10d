//! The page as plain data: sections of paragraphs, tables and charts. Templates write it as HTML.

use crate::data::Level;
use crate::format;
use crate::svg::Svg;
use crate::untrusted_text::shown;

/// A page.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) headline: String,
    pub(crate) level: Level,
    /// Warning above everything, such as a stale feed.
    pub(crate) banner: Option<Line>,
    /// Paragraphs below the headline.
    pub(crate) verdict: Vec<Line>,
    pub(crate) sections: Vec<Section>,
    pub(crate) footer: Line,
}

/// A section with a heading.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) intro: Line,
    pub(crate) blocks: Vec<Block>,
}

impl Section {
    pub(crate) fn new(id: impl Into<String>, title: impl Into<String>, intro: &str) -> Self {
        Self { id: id.into(), title: title.into(), intro: Line::of(intro), blocks: Vec::new() }
    }

    /// Adds a paragraph.
    pub(crate) fn paragraph(&mut self, line: Line) {
        self.blocks.push(Block::Paragraph(line));
    }
}

/// A part of a section.
#[derive(Debug)]
pub(crate) enum Block {
    Paragraph(Line),
    Heading(Line),
    /// Steps in order.
    Steps(Vec<Step>),
    Table(Table),
    Chart(Chart),
    /// Elements to which charts refer; nothing is shown here.
    Definition(Svg),
    /// A table behind a summary.
    Details(String, Table),
    /// Terms with their descriptions.
    Terms(Vec<(Line, Vec<Line>)>),
}

/// A recommended action.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) action: Line,
    pub(crate) reason: Line,
    pub(crate) command: Option<String>,
    /// ID of a section and its name.
    pub(crate) link: Option<(String, String)>,
}

/// A chart with a name for the region that scrolls.
#[derive(Debug)]
pub(crate) struct Chart {
    pub(crate) name: String,
    pub(crate) svg: Svg,
}

/// A table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) caption: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
    /// A last row that is not sorted.
    pub(crate) foot: Option<Line>,
    pub(crate) is_sortable: bool,
}

/// Rows of a table that a printed page has.
pub(crate) const PRINTED_ROWS: usize = 25;

impl Table {
    pub(crate) fn new(caption: impl Into<String>, columns: Vec<Column>) -> Self {
        let caption = caption.into();
        Self { caption, columns, rows: Vec::new(), foot: None, is_sortable: false }
    }

    /// Returns the style classes of the columns of numbers, `n1` for the first column: one class of the table is shorter
    /// than a class of each cell.
    pub(crate) fn number_classes(&self) -> String {
        let columns = (1..).zip(&self.columns).filter(|(_, column)| column.is_number);
        columns.map(|(number, _)| format!("n{number}")).collect::<Vec<_>>().join(" ")
    }

    /// Returns a note if a printed page has not all rows.
    pub(crate) fn print_note(&self) -> Option<String> {
        (self.rows.len() > PRINTED_ROWS).then(|| {
            format!(
                "A printed page has the first {PRINTED_ROWS} of these {} rows.",
                self.rows.len()
            )
        })
    }
}

/// A column of a table.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) title: String,
    /// Key of the values in the JSON of the row.
    pub(crate) key: Option<&'static str>,
    pub(crate) is_number: bool,
}

impl Column {
    pub(crate) fn text(title: impl Into<String>) -> Self {
        Self { title: title.into(), key: None, is_number: false }
    }

    pub(crate) fn number(title: &str, key: &'static str) -> Self {
        Self { title: title.to_owned(), key: Some(key), is_number: true }
    }
}

/// A row of a table.
#[derive(Debug, Default)]
pub(crate) struct Row {
    /// Pointer to the JSON of the row.
    pub(crate) pointer: Option<String>,
    pub(crate) cells: Vec<Cell>,
}

/// A cell of a table.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    pub(crate) line: Line,
    pub(crate) chart: Option<Svg>,
    /// Length of the chart in a mail, as a share.
    pub(crate) bar: f64,
    /// Value by which the column is sorted, if it is not the text.
    pub(crate) sort: Option<String>,
    pub(crate) is_header: bool,
}

impl Cell {
    pub(crate) fn of(text: impl Into<String>) -> Self {
        Self { line: Line::of(text), ..Self::default() }
    }

    pub(crate) fn line(line: Line) -> Self {
        Self { line, ..Self::default() }
    }

    /// Returns the header of a row.
    pub(crate) fn header(line: Line) -> Self {
        Self { line, is_header: true, ..Self::default() }
    }

    /// Adds a chart after the text; `bar` is its length in a mail, as a share.
    pub(crate) fn with_chart(self, svg: Svg, bar: f64) -> Self {
        Self { chart: Some(svg), bar, ..self }
    }

    pub(crate) fn level(mark: LevelMark) -> Self {
        Self::line(Line::default().level(mark))
    }

    /// Returns a cell that is sorted as a number.
    pub(crate) fn sorted(text: impl Into<String>, value: Option<f64>) -> Self {
        let sort = value.map_or_else(|| "x".to_owned(), |value| format!("{value:.6}"));
        Self { line: Line::of(text), sort: Some(sort), ..Self::default() }
    }
}

/// A level with its significance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LevelMark {
    Level(Level),
    /// OK, but the volume is too low for a conclusion.
    LowVolume,
}

impl LevelMark {
    pub(crate) fn new(level: Level, significant: bool, has_rate: bool) -> Self {
        if level == Level::Ok && !significant && has_rate {
            Self::LowVolume
        } else {
            Self::Level(level)
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Level(level) => level.as_upper(),
            Self::LowVolume => "OK (low volume)",
        }
    }

    /// Returns a shape, so that the level does not depend on color.
    pub(crate) fn shape(self) -> &'static str {
        match self {
            Self::Level(Level::Ok) => "\u{25cf}",
            Self::Level(Level::Unknown) => "?",
            Self::Level(Level::Warning) => "\u{25b2}",
            Self::Level(Level::Critical) => "\u{25a0}",
            Self::LowVolume => "\u{25cb}",
        }
    }

    /// Returns the name of its style.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Level(Level::Ok) => "ok",
            Self::Level(Level::Unknown) => "un",
            Self::Level(Level::Warning) => "wa",
            Self::Level(Level::Critical) => "cr",
            Self::LowVolume => "lo",
        }
    }
}

/// A piece of a line.
#[derive(Debug)]
pub(crate) enum Inline {
    Text(String),
    Strong(String),
    /// Text that senders or receivers control.
    Untrusted(String),
    Code(String),
    /// A value of the document, with its pointer.
    Value {
        text: String,
        pointer: String,
    },
    Time {
        time: String,
        text: String,
        pointer: String,
    },
    Level(LevelMark),
    /// File of another page, and untrusted text.
    File(String, String),
}

/// A line of text.
#[derive(Debug, Default)]
pub(crate) struct Line(pub(crate) Vec<Inline>);

impl Line {
    pub(crate) fn of(text: impl Into<String>) -> Self {
        Self::default().text(text)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn with(mut self, inline: Inline) -> Self {
        self.0.push(inline);
        self
    }

    pub(crate) fn text(self, text: impl Into<String>) -> Self {
        let text = text.into();
        if text.is_empty() { self } else { self.with(Inline::Text(text)) }
    }

    pub(crate) fn strong(self, text: impl Into<String>) -> Self {
        self.with(Inline::Strong(text.into()))
    }

    pub(crate) fn untrusted(self, text: &str) -> Self {
        self.with(Inline::Untrusted(shown(text)))
    }

    pub(crate) fn code(self, text: impl Into<String>) -> Self {
        self.with(Inline::Code(text.into()))
    }

    pub(crate) fn level(self, mark: LevelMark) -> Self {
        self.with(Inline::Level(mark))
    }

    /// Adds a link to another page; `text` is untrusted.
    pub(crate) fn file(self, file: &str, text: &str) -> Self {
        self.with(Inline::File(file.to_owned(), shown(text)))
    }

    pub(crate) fn value(self, text: impl Into<String>, pointer: impl Into<String>) -> Self {
        self.with(Inline::Value { text: text.into(), pointer: pointer.into() })
    }

    pub(crate) fn percent(self, rate: Option<f64>, pointer: impl Into<String>) -> Self {
        self.value(format::percent(rate), pointer)
    }

    pub(crate) fn number(self, number: u64, pointer: impl Into<String>) -> Self {
        self.value(format::number(number), pointer)
    }

    pub(crate) fn interval(self, interval: Option<[f64; 2]>, pointer: impl Into<String>) -> Self {
        self.value(format::interval(interval), pointer)
    }

    pub(crate) fn time(self, time: &str, pointer: impl Into<String>) -> Self {
        let text = format::minute(time);
        self.with(Inline::Time { time: time.to_owned(), text, pointer: pointer.into() })
    }

    /// Appends another line.
    pub(crate) fn then(mut self, line: Self) -> Self {
        self.0.extend(line.0);
        self
    }

    /// Returns the line as plain text.
    pub(crate) fn plain(&self) -> String {
        let plain = |inline: &Inline| match inline {
            Inline::Text(text)
            | Inline::Strong(text)
            | Inline::Untrusted(text)
            | Inline::Code(text)
            | Inline::Value { text, .. }
            | Inline::Time { text, .. } => text.clone(),
            Inline::Level(mark) => format!("{} {}", mark.shape(), mark.word()),
            Inline::File(_, name) => name.clone(),
        };
        self.0.iter().map(plain).collect()
    }
}
