//! `check --counts`: reads counts of another engine.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, ensure};
use bouncewatch_analyze::counts::{Counts, CountsContext, parse};

use crate::run::stdin_argument::file_or_stdin;

/// Largest input in bytes; a million rows need less.
const BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Reads counts from a file, or from stdin for `-`.
///
/// # Errors
/// If the file cannot be read, or a row is wrong.
pub(super) fn read_counts(path: &Path, context: CountsContext) -> anyhow::Result<Counts> {
    let name = match path.to_str() {
        Some("-") => "stdin".to_owned(),
        _ => format!("`{}`", path.display()),
    };
    let bytes = file_or_stdin(path)
        .and_then(read)
        .with_context(|| format!("could not read counts from {name}"))?;
    ensure!(
        bytes.len() as u64 <= BYTES_MAX,
        "counts from {name}: more than {BYTES_MAX} bytes\n  hint: use fewer groupings or windows"
    );
    parse(bytes, context).map_err(|error| anyhow::anyhow!("counts from {name}: {error}"))
}

fn read(source: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns a note on rates above 100 %. They are possible: feedback arrives later than the window of its mail.
pub(super) fn above_attempts(counts: &Counts) -> Option<String> {
    match counts.above_attempts() {
        0 => None,
        rows => Some(format!(
            "note: {rows} rows of counts have more bounces or complaints than attempts (late feedback, or sends are missing)"
        )),
    }
}
