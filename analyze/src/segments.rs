//! Which segments a store has, by day. No polars: what is not listed here is never opened.

use std::path::{Path, PathBuf};

use bouncewatch_schemas::table;
use bouncewatch_schemas::time::parse_day;

use crate::error::AnalyzeError;

/// The published segments of the event table, each with its day, in order of day and name.
///
/// # Errors
/// If there is no store, or a folder cannot be listed.
pub(crate) fn list(store: &Path) -> Result<Vec<(i64, PathBuf)>, AnalyzeError> {
    let events = store.join(table::EVENTS);
    if !events.is_dir() {
        return Err(AnalyzeError::NoStore(store.to_path_buf()));
    }
    let mut segments = Vec::new();
    for folder in entries(&events)? {
        let name =
            folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let Some(day) = name.strip_prefix(table::DATE_PREFIX).and_then(parse_day) else { continue };
        let published = |path: &PathBuf| path.to_string_lossy().ends_with(table::SEGMENT_SUFFIX);
        segments.extend(entries(&folder)?.into_iter().filter(published).map(|path| (day, path)));
    }
    segments.sort();
    Ok(segments)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, AnalyzeError> {
    let failed = |source| AnalyzeError::List { path: folder.to_path_buf(), source };
    std::fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
        .collect()
}
