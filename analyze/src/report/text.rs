//! Text formatting; re-exports that of percentages, times and durations.

pub use bouncewatch_schemas::text::{duration, percent, utc_minute, utc_second};

/// Replaces underscores with spaces: `bounce_rate` becomes `bounce rate`.
pub(crate) fn humanize(name: &str) -> String {
    name.replace('_', " ")
}

/// Returns the first `max` characters of a text; `...` stands for the rest.
pub(crate) fn shortened(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}...", text.split_at(end).0),
        None => text.to_owned(),
    }
}
