//! What a text for people may contain, and the colors of levels.

use anstyle::{AnsiColor, Style};

use crate::level::AlertLevel;

/// What a text may contain. The default is that of files and pipes: plain text, lines of any length.
#[derive(Debug, Clone, Copy, Default)]
pub struct TextLayout {
    /// Whether levels have colors (ANSI escape sequences).
    pub has_color: bool,
    /// Width of the terminal, in columns.
    pub width: Option<usize>,
    /// Whether the terminal shows block elements (a UTF-8 locale).
    pub has_blocks: bool,
}

impl TextLayout {
    /// Returns a text in a style.
    pub fn styled(self, text: &str, style: Style) -> String {
        if self.has_color { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// Returns the color of a level.
pub fn level_style(level: AlertLevel) -> Style {
    let color = match level {
        AlertLevel::Ok => AnsiColor::Green,
        AlertLevel::Warning => AnsiColor::Yellow,
        AlertLevel::Critical => AnsiColor::Red,
        AlertLevel::Unknown => AnsiColor::Magenta,
    };
    Style::new().fg_color(Some(color.into()))
}
