//! The store: rows -> Parquet segments, published so that a reader sees a whole segment or none.
//!
//! `publish` is the one place that makes files durable, `segment` builds the event table's segments, `quarantine`
//! those of the second table, `inspect` looks at what is there.

pub mod inspect;
pub mod publish;
pub mod quarantine;
pub mod segment;

use std::path::{Path, PathBuf};

use bouncewatch_schemas::table;
use bouncewatch_schemas::time::format_day;

/// What can go wrong with a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder could not be handled.
    #[error("could not {act} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        act: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A segment could not be built.
    #[error("could not build a segment: {0}")]
    Build(String),
    /// A segment could not be read.
    #[error("could not read segment `{}`: {why}", path.display())]
    Read {
        /// The segment.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

impl StoreError {
    fn io(act: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { act, path, source }
    }
}

/// A store in a folder.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store below `root`; nothing is read or made yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder of a table.
    pub fn table(&self, table: &str) -> PathBuf {
        self.root.join(table)
    }

    /// Makes sure that the store can be written, before anything is taken from a source.
    ///
    /// # Errors
    /// If a folder cannot be made or written.
    pub fn prepare(&self) -> Result<(), StoreError> {
        for table in [table::EVENTS, table::QUARANTINE] {
            publish::make_folder(&self.table(table))?;
        }
        publish::probe(&self.table(table::EVENTS))
    }

    /// The folder of one day of a table.
    pub fn day(&self, table: &str, day: i64) -> PathBuf {
        self.table(table).join(format!("{}{}", table::DATE_PREFIX, format_day(day)))
    }

    /// All published segments of a table, by name.
    ///
    /// # Errors
    /// If a folder cannot be listed.
    pub fn segments(&self, table: &str) -> Result<Vec<PathBuf>, StoreError> {
        let mut found = Vec::new();
        for day in list(&self.table(table))? {
            let is_day = day
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(table::DATE_PREFIX));
            if is_day {
                found.extend(list(&day)?.into_iter().filter(|path| is_segment(path)));
            }
        }
        found.sort();
        Ok(found)
    }
}

fn is_segment(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(table::SEGMENT_SUFFIX))
}

/// What is in a folder; nothing, where there is no folder.
fn list(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("list", folder)(error)),
    };
    entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(StoreError::io("list", folder)))
        .collect()
}
