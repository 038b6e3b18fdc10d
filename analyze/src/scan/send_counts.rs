//! The table of volumes -> the volumes of scopes. All of it is read: a year of quarters of an hour is some megabytes.

use std::collections::BTreeMap;
use std::path::Path;

use bouncewatch_schemas::volume;
use polars::prelude::*;

use crate::error::AnalyzeError;
use crate::scan::{Scan, TRIES, scan_files};
use crate::timeline::model::{ACCOUNT_COLUMNS, Cut, ScopeValues};
use crate::timeline::send_counts::Volumes;
use bouncewatch_store::list;

/// The rows of each scope below account and region, by its keys and values in order.
pub(super) type Rows = BTreeMap<Vec<(String, String)>, Vec<Row>>;

/// How much was sent in a span, of whose mail.
#[derive(Debug)]
pub(super) struct Row {
    account: Option<String>,
    region: Option<String>,
    begin: i64,
    end: i64,
    attempts: u64,
}

/// Column of the scope's keys and values in one text.
const SCOPE_TEXT: &str = "scope text";
/// Between them.
const SEPARATOR: char = '\u{1f}';

/// The points that hold. A file may be merged into another one while they are read; then they are read again.
pub(super) fn read(store: &Path) -> Result<Rows, AnalyzeError> {
    let mut tries = 1;
    loop {
        match read_once(store) {
            Err(_) if tries < TRIES => tries += 1,
            read => return read,
        }
    }
}

/// The points that hold: of those with one key the last that was received, then the one with most attempts.
fn read_once(store: &Path) -> Result<Rows, AnalyzeError> {
    let files = list::files(&store.join(volume::VOLUMES))?;
    if files.is_empty() {
        return Ok(Rows::new());
    }
    let time = |name: &str| col(name).cast(DataType::Int64).alias(name);
    let field = |name: &str| element().struct_().field_by_name(name);
    let entry = field("key") + lit(SEPARATOR.to_string()) + field("value");
    let scope =
        col(volume::SCOPE).list().eval(entry).list().join(lit(SEPARATOR.to_string()), false);
    let rows = scan_files(files.iter().map(std::path::PathBuf::as_path))?
        .select([
            time(volume::BEGIN),
            time(volume::END),
            time(volume::RECEIVED_AT),
            col(volume::ACCOUNT),
            col(volume::REGION),
            scope.alias(SCOPE_TEXT),
            col(volume::ATTEMPTS),
            col(volume::POINT_KEY),
        ])
        .collect()?;
    let number = |name: &str| -> Result<Int64Chunked, AnalyzeError> {
        Ok(rows.column(name)?.i64()?.clone())
    };
    let text = |name: &str| -> Result<StringChunked, AnalyzeError> {
        Ok(rows.column(name)?.str()?.clone())
    };
    let (begin, end, received) =
        (number(volume::BEGIN)?, number(volume::END)?, number(volume::RECEIVED_AT)?);
    let (attempts, keys) = (number(volume::ATTEMPTS)?, rows.column(volume::POINT_KEY)?.u64()?);
    let (account, region, scope) =
        (text(volume::ACCOUNT)?, text(volume::REGION)?, text(SCOPE_TEXT)?);
    let mut holding: BTreeMap<u64, ((i64, i64), usize)> = BTreeMap::new();
    for row in 0..rows.height() {
        let rank = (received.get(row).unwrap_or_default(), attempts.get(row).unwrap_or_default());
        let Some(key) = keys.get(row) else { continue };
        let held = holding.entry(key).or_insert((rank, row));
        if rank > held.0 {
            *held = (rank, row);
        }
    }
    let row = |row: usize| {
        let mut words = scope.get(row).unwrap_or_default().split(SEPARATOR);
        let mut pairs = Vec::new();
        while let (Some(key), Some(value)) =
            (words.next().filter(|key| !key.is_empty()), words.next())
        {
            pairs.push((key.to_owned(), value.to_owned()));
        }
        let row = Row {
            account: account.get(row).map(str::to_owned),
            region: region.get(row).map(str::to_owned),
            begin: begin.get(row)?,
            end: end.get(row)?,
            attempts: u64::try_from(attempts.get(row)?).ok()?,
        };
        Some((pairs, row))
    };
    let mut rows = Rows::new();
    for (scope, row) in holding.into_values().filter_map(|(_, at)| row(at)) {
        rows.entry(scope).or_default().push(row);
    }
    Ok(rows)
}

impl Scan {
    /// The volumes of a scope. A point without account or region is that of every one: who has several names them.
    pub(super) fn volumes(&self, cut: &Cut, values: &ScopeValues) -> Result<Volumes, AnalyzeError> {
        let rows = if let Some(rows) = self.volumes.get() {
            rows
        } else {
            let rows = read(&self.store)?;
            self.volumes.get_or_init(|| rows)
        };
        let own = |row: &Row, word: &str| match word {
            "account" => row.account.clone(),
            _ => row.region.clone(),
        };
        let mut wanted: Vec<(String, String)> = Vec::new();
        let mut place: Vec<(&str, &Option<String>)> = Vec::new();
        for (word, value) in cut.0.iter().zip(values) {
            let name = word.name();
            match ACCOUNT_COLUMNS.iter().find(|column| **column == name) {
                Some(column) => place.push((column, value)),
                // mail without a campaign, say, is nothing that volumes can name
                None => match value {
                    Some(value) => wanted.push((name, value.clone())),
                    None => return Ok(Volumes::new()),
                },
            }
        }
        wanted.sort();
        let is_here = |row: &&Row| {
            place.iter().all(|(word, value)| {
                let own = own(row, word);
                own.is_none() || own == **value
            })
        };
        let rows = rows.get(&wanted).into_iter().flatten();
        Ok(Volumes::of(rows.filter(is_here).map(|row| (row.begin, row.end, row.attempts))))
    }
}
