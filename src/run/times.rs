//! Parses times and durations of arguments and settings.

use anyhow::Context;
use bouncewatch_schemas::time::{parse_duration_ms, parse_ms};

/// Parses a time; returns milliseconds since 1970. `name` is the flag or setting, for the error.
pub(super) fn time_ms(name: &str, text: Option<&str>) -> anyhow::Result<Option<i64>> {
    let parse = |text: &str| {
        parse_ms(text).with_context(|| {
            format!(
                "{name}: invalid time `{text}`\n  hint: write 2026-11-20T00:00:00Z or 2026-11-20"
            )
        })
    };
    text.map(parse).transpose()
}

/// Parses a duration that may be 0; returns milliseconds. `name` is the flag or setting, for the error.
pub(super) fn duration_ms(name: &str, text: &str) -> anyhow::Result<i64> {
    parse_duration_ms(text).with_context(|| {
        format!("{name}: invalid duration `{text}`\n  hint: write 0s, 90s, 15m, 24h or 7d")
    })
}
