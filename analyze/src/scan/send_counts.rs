//! The table of imported send counts. It is read completely: a year of 15-minute intervals is a few megabytes.

use std::collections::BTreeMap;
use std::path::Path;

use bouncewatch_schemas::send_counts;
use bouncewatch_store::{check_segment_file, list};
use polars::prelude::*;

use crate::error::AnalyzeError;
use crate::scan::frames::{ATTEMPTS_MAX, concat_rows, scan_files};
use crate::scan::upgrade::signed;
use crate::timeline::send_counts::SendCounts;
use crate::timeline::{ACCOUNT_COLUMNS, Grouping, ScopeValues};

/// Name of the column with all names and values of a scope in one text.
const SCOPE_TEXT: &str = "scope text";
/// Separator in that text.
const SEPARATOR: char = '\u{1f}';

/// Rows by the sorted dimensions and values of their scope, account and region excluded.
type RowsByScope = BTreeMap<Vec<(String, String)>, Vec<SendCountRow>>;

/// The table of imported send counts.
#[derive(Debug)]
pub(super) struct SendCountTable(RowsByScope);

/// Send count of one interval.
#[derive(Debug)]
struct SendCountRow {
    account: Option<String>,
    region: Option<String>,
    start: i64,
    end: i64,
    attempts: u64,
}

impl SendCountTable {
    /// Reads the table of a store. If a file is replaced meanwhile, reads it again.
    ///
    /// # Errors
    /// If it cannot be read in [`ATTEMPTS_MAX`] attempts.
    pub(super) fn read(store: &Path) -> Result<Self, AnalyzeError> {
        let mut attempts = 1;
        loop {
            match Self::read_once(store) {
                Err(_) if attempts < ATTEMPTS_MAX => attempts += 1,
                result => return result,
            }
        }
    }

    fn read_once(store: &Path) -> Result<Self, AnalyzeError> {
        let files = list::send_count_files(store)?;
        if files.is_empty() {
            return Ok(Self(BTreeMap::new()));
        }
        let mut versions = Vec::with_capacity(files.len());
        for file in &files {
            versions.push((file.as_path(), check_segment_file(file, send_counts::SEND_COUNTS)?));
        }
        let time = |name: &str| col(name).cast(DataType::Int64).alias(name);
        let field = |name: &str| element().struct_().field_by_name(name);
        let entry = field("key") + lit(SEPARATOR.to_string()) + field("value");
        let separator = lit(SEPARATOR.to_string());
        let scope = col(send_counts::SCOPE).list().eval(entry).list().join(separator, false);
        let upgrade = |rows: LazyFrame| rows.with_column(signed(send_counts::POINT_KEY));
        let frame = concat_rows(scan_files(versions.into_iter(), send_counts::COLUMNS, upgrade)?)?
            .select([
                time(send_counts::BEGIN),
                time(send_counts::END),
                time(send_counts::RECEIVED_AT),
                col(send_counts::ACCOUNT),
                col(send_counts::REGION),
                scope.alias(SCOPE_TEXT),
                col(send_counts::ATTEMPTS),
                col(send_counts::POINT_KEY),
            ])
            .collect()?;
        Ok(Self(rows_by_scope(&frame)?))
    }

    /// Returns the send counts of a scope. A row without account or region is part of every one: an import for several
    /// accounts names the account of each row.
    pub(super) fn of_scope(&self, grouping: &Grouping, values: &ScopeValues) -> SendCounts {
        let mut scope: Vec<(String, String)> = Vec::new();
        let mut account: Vec<(&str, &Option<String>)> = Vec::new();
        for (dimension, value) in grouping.0.iter().zip(values) {
            let name = dimension.name();
            match ACCOUNT_COLUMNS.iter().find(|column| **column == name) {
                Some(column) => account.push((column, value)),
                // an import cannot name a missing value, e.g. mail without a campaign
                None => match value {
                    Some(value) => scope.push((name, value.clone())),
                    None => return SendCounts::new(),
                },
            }
        }
        scope.sort();
        let is_of_account = |row: &&SendCountRow| {
            account.iter().all(|(name, value)| {
                let own = if *name == "account" { &row.account } else { &row.region };
                own.is_none() || own == *value
            })
        };
        let rows = self.0.get(&scope).into_iter().flatten().filter(is_of_account);
        SendCounts::from_intervals(rows.map(|row| (row.start, row.end, row.attempts)))
    }
}

/// Returns the effective rows by scope: of the rows with the same key the last received one, then the one with most
/// attempts.
fn rows_by_scope(frame: &DataFrame) -> Result<RowsByScope, AnalyzeError> {
    let number =
        |name: &str| -> Result<&Int64Chunked, AnalyzeError> { Ok(frame.column(name)?.i64()?) };
    let text =
        |name: &str| -> Result<&StringChunked, AnalyzeError> { Ok(frame.column(name)?.str()?) };
    let (start, end) = (number(send_counts::BEGIN)?, number(send_counts::END)?);
    let (received, attempts) = (number(send_counts::RECEIVED_AT)?, number(send_counts::ATTEMPTS)?);
    let keys = number(send_counts::POINT_KEY)?;
    let (account, region) = (text(send_counts::ACCOUNT)?, text(send_counts::REGION)?);
    let scope = text(SCOPE_TEXT)?;
    let mut effective: BTreeMap<i64, ((i64, i64), usize)> = BTreeMap::new();
    for row in 0..frame.height() {
        let rank = (received.get(row).unwrap_or_default(), attempts.get(row).unwrap_or_default());
        let Some(key) = keys.get(row) else { continue };
        let best = effective.entry(key).or_insert((rank, row));
        if rank > best.0 {
            *best = (rank, row);
        }
    }
    let read_row = |row: usize| {
        let mut parts = scope.get(row).unwrap_or_default().split(SEPARATOR);
        let mut dimensions = Vec::new();
        while let (Some(name), Some(value)) =
            (parts.next().filter(|name| !name.is_empty()), parts.next())
        {
            dimensions.push((name.to_owned(), value.to_owned()));
        }
        let row = SendCountRow {
            account: account.get(row).map(str::to_owned),
            region: region.get(row).map(str::to_owned),
            start: start.get(row)?,
            end: end.get(row)?,
            attempts: u64::try_from(attempts.get(row)?).ok()?,
        };
        Some((dimensions, row))
    };
    let mut rows: RowsByScope = BTreeMap::new();
    for (scope, row) in effective.into_values().filter_map(|(_, at)| read_row(at)) {
        rows.entry(scope).or_default().push(row);
    }
    Ok(rows)
}
