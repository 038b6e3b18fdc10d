//! Imports send counts into the store, for accounts without Send events.
//!
//! Sources are `GetSendStatistics` of SES (`statistics`) and CSV files (`csv_import`). A point is
//! the send count of one time interval. `existing` compares points with the stored ones.
//! `intervals` reconciles SES statistics with earlier imports, because their intervals can overlap.
//! Only new and changed points are written, so that repeated imports add few rows.

mod csv_import;
mod error;
mod existing;
mod intervals;
mod statistics;

use std::path::{Path, PathBuf};

use aws_config::SdkConfig;
use bouncewatch_store::Store;
use bouncewatch_store::aws::{is_account_id, is_region_name};
use bouncewatch_store::send_counts as table;

pub use error::SendCountsError;

use csv_import::CsvFile;
use existing::{PointChange, StoredCounts};

/// Prefix of a source that names the SES statistics of a region.
const STATISTICS_PREFIX: &str = "ses-statistics:";
/// Prefix of a source that names a CSV file with any suffix.
const FILE_PREFIX: &str = "volumes:";
/// Suffix of CSV files.
const CSV_SUFFIX: &str = ".csv";

/// A source of send counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendCountSource {
    /// SES statistics of a region.
    Statistics {
        /// The region.
        region: String,
    },
    /// A CSV file.
    File(PathBuf),
}

impl SendCountSource {
    /// Parses a source argument of the command line; `None` if it is not a source of send counts.
    ///
    /// # Errors
    /// If it has the prefix of statistics and names no region.
    pub fn parse(source: &str) -> Result<Option<Self>, SendCountsError> {
        if let Some(region) = source.strip_prefix(STATISTICS_PREFIX) {
            return if is_region_name(region) {
                Ok(Some(Self::Statistics { region: region.to_owned() }))
            } else {
                Err(SendCountsError::NotARegion(region.to_owned()))
            };
        }
        if let Some(path) = source.strip_prefix(FILE_PREFIX) {
            return Ok(Some(Self::File(PathBuf::from(path))));
        }
        Ok(is_csv_file(source).then(|| Self::File(PathBuf::from(source))))
    }
}

/// Whether a source is the path of a CSV file. Objects in S3 are always archives of events.
fn is_csv_file(source: &str) -> bool {
    let suffix = source.len().checked_sub(CSV_SUFFIX.len()).and_then(|at| source.get(at..));
    suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(CSV_SUFFIX))
        && !source.starts_with("s3://")
}

/// Counts of the points of a source.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ImportSummary {
    /// Points read.
    pub points: u64,
    /// Points that were not stored yet.
    pub new: u64,
    /// Points that were stored with different counts.
    pub changed: u64,
    /// Points that were stored already.
    pub unchanged: u64,
    /// Points of SES that are skipped because stored points already count their mails.
    pub covered: u64,
    /// Rejected lines, as `FILE:LINE: REASON`.
    pub refused: Vec<String>,
    /// Bytes written.
    pub bytes: u64,
}

impl ImportSummary {
    /// Adds the counts of another source.
    pub fn add(&mut self, other: Self) {
        let Self { points, new, changed, unchanged, covered, refused, bytes } = other;
        self.points += points;
        self.new += new;
        self.changed += changed;
        self.unchanged += unchanged;
        self.covered += covered;
        self.refused.extend(refused);
        self.bytes += bytes;
    }

    fn count(&mut self, change: PointChange) {
        match change {
            PointChange::New => self.new += 1,
            PointChange::Changed => self.changed += 1,
            PointChange::Unchanged => self.unchanged += 1,
        }
    }
}

/// Imports the SES statistics of a region. `account` is the account ID, by default that of the credentials; `now` is
/// milliseconds since 1970.
///
/// # Errors
/// If SES cannot be queried, or the store cannot be read or written.
pub async fn import_statistics(
    store: &Store,
    region: &str,
    account: Option<&str>,
    aws: &SdkConfig,
    now: i64,
) -> Result<ImportSummary, SendCountsError> {
    check_account(account)?;
    let origin = format!("{STATISTICS_PREFIX}{region}");
    let points = statistics::fetch(aws, region, account, &origin, now).await?;
    let mut stored = StoredCounts::new(table::read_all(store).await?);
    let mut summary = ImportSummary { points: points.len() as u64, ..ImportSummary::default() };
    let reconciled = intervals::reconcile(&stored, points, now);
    summary.covered = reconciled.covered;
    for point in reconciled.points {
        summary.count(stored.apply(point));
    }
    for point in reconciled.superseded {
        stored.apply(point);
    }
    write_changes(store, stored, summary, now).await
}

/// Imports a CSV file. `account` is the account ID of lines that do not name one; `now` is milliseconds since 1970.
/// Invalid and conflicting lines are reported in [`ImportSummary::refused`].
///
/// # Errors
/// If the file is not a CSV file of send counts, or the store cannot be read or written.
pub async fn import_csv(
    store: &Store,
    path: &Path,
    account: Option<&str>,
    now: i64,
) -> Result<ImportSummary, SendCountsError> {
    check_account(account)?;
    let file = CsvFile::read(path, account, now)?;
    let mut stored = StoredCounts::new(table::read_all(store).await?);
    let mut summary = ImportSummary { points: file.rows, ..ImportSummary::default() };
    let mut refused = file.refused;
    for (line, point) in file.points {
        match stored.conflict(&point) {
            None => summary.count(stored.apply(point)),
            Some(why) => refused.push((line, why)),
        }
    }
    refused.sort_by_key(|(line, _)| *line);
    let shown = path.display();
    summary.refused =
        refused.into_iter().map(|(line, why)| format!("{shown}:{line}: {why}")).collect();
    write_changes(store, stored, summary, now).await
}

fn check_account(account: Option<&str>) -> Result<(), SendCountsError> {
    if account.is_none_or(is_account_id) { Ok(()) } else { Err(SendCountsError::NotAnAccount) }
}

/// Publishes the new and changed points.
async fn write_changes(
    store: &Store,
    stored: StoredCounts,
    mut summary: ImportSummary,
    now: i64,
) -> Result<ImportSummary, SendCountsError> {
    let rows = stored.into_changed();
    if !rows.is_empty() {
        summary.bytes = table::publish(store, &rows, now).await? as u64;
    }
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_parses_statistics_and_csv_files() {
        let file = |path: &str| Some(SendCountSource::File(PathBuf::from(path)));
        let region = "eu-west-1".to_owned();
        for (text, expected) in [
            ("volumes.csv", file("volumes.csv")),
            ("a/Sends.CSV", file("a/Sends.CSV")),
            ("volumes:sends.txt", file("sends.txt")),
            ("volumes:s.csv", file("s.csv")),
            ("ses-statistics:eu-west-1", Some(SendCountSource::Statistics { region })),
            ("s3://archive/volumes.csv", None),
            ("archive/2026", None),
            ("-", None),
            ("csv", None),
            ("ü.c", None),
        ] {
            assert_eq!(SendCountSource::parse(text).unwrap(), expected, "{text}");
        }
        for text in ["ses-statistics:", "ses-statistics:evil.example/#", "ses-statistics:a b"] {
            let error = SendCountSource::parse(text).unwrap_err().to_string();
            assert!(error.contains("not a region"), "{error}");
        }
    }
}
