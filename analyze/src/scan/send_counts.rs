//! The table of imported send counts. It is read completely: a year of 15-minute intervals is a few megabytes.

use std::collections::BTreeMap;

use bouncewatch_schemas::send_counts;
use bouncewatch_store::{StoreFiles, check_segment_file};
use polars::prelude::*;

use crate::error::AnalyzeError;
use crate::scan::frames::{ATTEMPTS_MAX, concat_rows, scan_files};
use crate::scan::upgrade::signed;
use crate::timeline::send_counts::SendCounts;
use crate::timeline::{ACCOUNT_COLUMNS, Grouping, ScopeValues};

/// Name of the column with all names and values of a scope in one text.
const SCOPE_TEXT: &str = "scope text";
/// Separator in the text of a scope.
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
    pub(super) fn read(store: &StoreFiles) -> Result<Self, AnalyzeError> {
        let mut attempts = 1;
        loop {
            match Self::read_once(store) {
                Err(_) if attempts < ATTEMPTS_MAX => attempts += 1,
                result => return result,
            }
        }
    }

    fn read_once(store: &StoreFiles) -> Result<Self, AnalyzeError> {
        let files = store.send_count_files()?;
        if files.is_empty() {
            return Ok(Self(BTreeMap::new()));
        }
        let mut versions = Vec::with_capacity(files.len());
        for file in &files {
            let facts = check_segment_file(file, send_counts::SEND_COUNTS)?;
            versions.push((file.as_path(), facts.version));
        }
        let time = |name: &str| col(name).cast(DataType::Int64).alias(name);
        let field = |name: &str| element().struct_().field_by_name(name);
        let entry = field("key") + lit(SEPARATOR.to_string()) + field("value");
        let separator = lit(SEPARATOR.to_string());
        let scope = col(send_counts::SCOPE).list().eval(entry).list().join(separator, false);
        let columns = send_counts::COLUMNS;
        let upgrade = |rows: LazyFrame| rows.with_column(signed(send_counts::POINT_KEY));
        let frame = concat_rows(scan_files(versions.into_iter(), columns, columns, upgrade)?)?
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

    /// Returns the send counts of a scope. A row without an account counts for every account, and a
    /// row without a region for every region: an import for several accounts names the account of
    /// each row.
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

/// Returns the effective rows by scope. Of several rows with the same key, the last received one is
/// effective; if several were received at that time, the one with most attempts.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Account, scope, attempts, time of the import and key of the intervals of one hour.
    type Row = (Option<&'static str>, &'static str, i64, i64, i64);

    /// Attempts of the scope of an account and its campaign, or of the account alone.
    #[expect(clippy::option_option, reason = "a grouping can have mail without a campaign")]
    fn attempts(rows: &[Row], account: &str, campaign: Option<Option<&str>>) -> u64 {
        let column = |name: &str, number: fn(&Row) -> i64| {
            Column::new(name.into(), rows.iter().map(number).collect::<Vec<_>>())
        };
        let texts = |name: &str, text: fn(&Row) -> Option<&'static str>| {
            Column::new(name.into(), rows.iter().map(text).collect::<Vec<_>>())
        };
        let columns = vec![
            column(send_counts::BEGIN, |row| row.4 * 3_600_000),
            column(send_counts::END, |row| (row.4 + 1) * 3_600_000),
            texts(send_counts::ACCOUNT, |row| row.0),
            texts(send_counts::REGION, |_| None),
            texts(SCOPE_TEXT, |row| Some(row.1)),
            column(send_counts::ATTEMPTS, |row| row.2),
            column(send_counts::RECEIVED_AT, |row| row.3),
            column(send_counts::POINT_KEY, |row| row.4),
        ];
        let frame = DataFrame::new(rows.len(), columns).unwrap();
        let table = SendCountTable(rows_by_scope(&frame).unwrap());
        let mut grouping = Grouping::account();
        let mut values = vec![Some(account.to_owned()), Some("eu-west-1".to_owned())];
        if let Some(campaign) = campaign {
            grouping = Grouping::parse("tag:campaign").unwrap();
            values.push(campaign.map(str::to_owned));
        }
        table.of_scope(&grouping, &values).upto(i64::MAX)
    }

    #[test]
    fn last_import_of_an_interval_counts_then_the_one_with_most_attempts() {
        for (imports, expected) in [
            ([(100, 1), (7, 2)], 7),
            ([(7, 2), (100, 1)], 7),
            ([(7, 1), (100, 1)], 100),
            ([(100, 1), (7, 1)], 100),
        ] {
            let rows = imports.map(|(attempts, received)| (None, "", attempts, received, 1));
            assert_eq!(attempts(&rows, "1", None), expected, "{imports:?}");
        }
    }

    #[test]
    fn row_counts_for_its_account_and_scope_and_for_every_account_if_it_names_none() {
        let campaign = "tag:campaign\u{1f}a";
        let rows = [
            (None, "", 1, 1, 1),
            (Some("1"), "", 10, 1, 2),
            (Some("2"), "", 100, 1, 3),
            (Some("1"), campaign, 1_000, 1, 4),
        ];
        for (account, by_campaign, expected) in [
            ("1", None, 11),
            ("2", None, 101),
            ("3", None, 1),
            ("1", Some(Some("a")), 1_000),
            ("2", Some(Some("a")), 0),
            ("1", Some(Some("b")), 0),
            // mail without a campaign is not the mail of the account
            ("1", Some(None), 0),
        ] {
            let found = attempts(&rows, account, by_campaign);
            assert_eq!(found, expected, "{account} {by_campaign:?}");
        }
    }
}
