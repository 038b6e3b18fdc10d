//! What the terminal shows: colors, its width, and bars.

use std::io::{IsTerminal, Stdout};
use std::path::Path;

use bouncewatch_schemas::text_layout::TextLayout;
use clap::ColorChoice;

/// Returns the layout of text for stdout, or for a file.
pub(crate) fn text_layout(color: ColorChoice, output: Option<&Path>) -> TextLayout {
    let stdout = std::io::stdout();
    if output.is_some() {
        return TextLayout::default();
    }
    let width = terminal_size::terminal_size_of(&stdout).map(|(width, _)| usize::from(width.0));
    TextLayout {
        has_color: has_color(color, &stdout),
        width,
        has_blocks: stdout.is_terminal() && is_utf8(locale().as_deref()),
    }
}

/// Whether a stream shows colors. `auto` follows `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE` and `TERM`.
fn has_color(color: ColorChoice, stream: &Stdout) -> bool {
    match color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => anstream::AutoStream::choice(stream) != anstream::ColorChoice::Never,
    }
}

/// Returns the locale of characters (POSIX: the first of three variables that is not empty).
#[expect(clippy::disallowed_methods, reason = "the environment of the terminal is read here")]
fn locale() -> Option<String> {
    let variables = ["LC_ALL", "LC_CTYPE", "LANG"];
    variables.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

fn is_utf8(locale: Option<&str>) -> bool {
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_need_a_utf8_locale() {
        for (locale, expected) in [
            (Some("en_US.UTF-8"), true),
            (Some("C.utf8"), true),
            (Some("C"), false),
            (Some("de_DE.ISO-8859-1"), false),
            (None, false),
        ] {
            assert_eq!(is_utf8(locale), expected, "{locale:?}");
        }
    }
}
