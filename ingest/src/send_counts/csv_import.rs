//! Parses a CSV file of send counts, as spreadsheets save it, into points and rejected lines.
//!
//! The reason of a rejection names the column, never the content of a cell: if the cells of a line
//! are shifted, any cell can contain an email address (invariant I-8).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use bouncewatch_schemas::send_counts::{
    SCOPE_COLUMNS, SendCountRow, SendCountValues, TAG_PREFIX, is_scope_key,
};
use bouncewatch_schemas::time::{DAY_MS, parse_ms};
use bouncewatch_store::aws::is_account_id;
use csv::{ByteRecord, ReaderBuilder, StringRecord};

use crate::send_counts::error::SendCountsError;

/// Maximum size of a file in bytes.
const FILE_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Maximum size of a cell in bytes.
const CELL_BYTES_MAX: usize = 4 * 1024;
/// Maximum length of an interval: a leap year.
const INTERVAL_MS_MAX: i64 = 366 * DAY_MS;
/// Maximum count. A larger count is rejected as a mistake.
const COUNT_MAX: i64 = 1_000_000_000_000;

/// Content of a CSV file.
#[derive(Debug, Default)]
pub(super) struct CsvFile {
    /// Number of rows, without empty rows and the header.
    pub(super) rows: u64,
    /// Valid points, each with its line number.
    pub(super) points: Vec<(u64, SendCountRow)>,
    /// Invalid rows: line number and reason.
    pub(super) refused: Vec<(u64, String)>,
}

impl CsvFile {
    /// Reads a file. `account` is the account ID of rows that do not name one.
    pub(super) fn read(
        path: &Path,
        account: Option<&str>,
        now: i64,
    ) -> Result<Self, SendCountsError> {
        let shown = path.display().to_string();
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
            .map_err(|source| SendCountsError::Read { path: shown.clone(), source })?;
        let invalid = |why: &str, hint: &str| SendCountsError::InvalidCsv {
            path: shown.clone(),
            why: why.to_owned(),
            hint: hint.to_owned(),
        };
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(invalid("it is larger than 128 MiB", "split it into several files"));
        }
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            return Err(invalid("it is UTF-16", "save it as CSV UTF-8"));
        }
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        Self::parse(text, account, &shown, now).map_err(|why| {
            let hint = format!(
                "the first line must name the columns: from,to,attempts, and optionally account,region,bounces,complaints,rejects,{},tag:NAME; to ingest events from a file with this suffix, use stdin (`ingest -`)",
                SCOPE_COLUMNS.join(",")
            );
            invalid(&why, &hint)
        })
    }

    fn parse(text: &[u8], account: Option<&str>, origin: &str, now: i64) -> Result<Self, String> {
        let Dialect { separator, skipped_lines, text } = Dialect::detect(text);
        let mut lines = LineCounter { text, at: 0, line: 1 + skipped_lines };
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(separator)
            .from_reader(text);
        let mut records = reader.byte_records();
        let header = records.next().ok_or("it is empty")?.map_err(|error| error.to_string())?;
        let columns = parse_header(&decode(header).ok_or("its first line is not UTF-8")?)?;
        let mut file = Self::default();
        for record in records {
            let record = record.map_err(|error| error.to_string())?;
            let start = record.position().map_or(0, csv::Position::byte);
            let line = lines.line_at(usize::try_from(start).unwrap_or(usize::MAX));
            let record = decode(record);
            let is_empty = |record: &StringRecord| record.iter().all(|cell| cell.trim().is_empty());
            // spreadsheets write separators in an empty row
            if record.as_ref().is_some_and(is_empty) {
                continue;
            }
            file.rows += 1;
            let point = match &record {
                None => Err("it is not UTF-8".to_owned()),
                Some(record) => CsvRow { columns: &columns, record }.parse(account),
            };
            match point {
                Ok(point) => {
                    let origin = origin.to_owned();
                    file.points.push((line, SendCountRow { received_at: now, origin, ..point }));
                }
                Err(why) => file.refused.push((line, why)),
            }
        }
        Ok(file)
    }
}

/// A record as text; `None` if it is not UTF-8.
fn decode(record: ByteRecord) -> Option<StringRecord> {
    StringRecord::from_byte_record(record).ok()
}

/// Counts lines like a text editor. It is needed because the CSV reader reports the position of a
/// record before the empty lines that precede it.
struct LineCounter<'t> {
    text: &'t [u8],
    at: usize,
    line: u64,
}

impl LineCounter<'_> {
    /// Line number of the first record at or after byte `start`. Call it in ascending order.
    fn line_at(&mut self, start: usize) -> u64 {
        while let Some(byte) = self.text.get(self.at) {
            let is_end = matches!(byte, b'\r' | b'\n');
            if self.at >= start && !is_end {
                break;
            }
            self.at += 1;
            // CR LF is one line end
            let is_cr_of_crlf = *byte == b'\r' && self.text.get(self.at) == Some(&b'\n');
            self.line += u64::from(is_end && !is_cr_of_crlf);
        }
        self.line
    }
}

/// Separator of a CSV file, and the text without a `sep=` line.
struct Dialect<'t> {
    separator: u8,
    /// Lines before the header.
    skipped_lines: u64,
    text: &'t [u8],
}

impl<'t> Dialect<'t> {
    /// Detects the separator. Spreadsheets use a semicolon in locales with a decimal comma, and some write a first line
    /// such as `sep=;`.
    fn detect(text: &'t [u8]) -> Self {
        let end = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1);
        let (first, rest) = text.split_at(end);
        if let [b's', b'e', b'p', b'=', separator] = first.trim_ascii_end() {
            return Self { separator: *separator, skipped_lines: 1, text: rest };
        }
        let occurs = |separator: &u8| first.contains(separator);
        let separator = [b',', b';', b'\t'].into_iter().find(occurs).unwrap_or(b',');
        Self { separator, skipped_lines: 0, text }
    }
}

/// Meaning of a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum CsvColumn {
    From,
    To,
    Attempts,
    Account,
    Region,
    Bounces,
    Complaints,
    Rejects,
    Scope(String),
}

impl CsvColumn {
    /// Parses a column name, ignoring case except in the names of tags.
    fn parse(name: &str) -> Option<Self> {
        let name = name.trim();
        let lower = name.to_ascii_lowercase();
        Some(match lower.as_str() {
            "from" => Self::From,
            "to" => Self::To,
            "attempts" => Self::Attempts,
            "account" => Self::Account,
            "region" => Self::Region,
            "bounces" => Self::Bounces,
            "complaints" => Self::Complaints,
            "rejects" => Self::Rejects,
            _ if is_scope_key(name) => Self::Scope(name.to_owned()),
            _ if is_scope_key(&lower) && !lower.starts_with(TAG_PREFIX) => Self::Scope(lower),
            _ => return None,
        })
    }
}

/// Columns of a header.
fn parse_header(header: &StringRecord) -> Result<Vec<CsvColumn>, String> {
    let mut columns = Vec::new();
    for (at, name) in header.iter().enumerate() {
        let number = at + 1;
        let column = CsvColumn::parse(name)
            .ok_or_else(|| format!("column {number} of its first line is not a known column"))?;
        if columns.contains(&column) {
            return Err(format!("column {number} of its first line is a duplicate"));
        }
        columns.push(column);
    }
    for (column, name) in
        [(CsvColumn::From, "from"), (CsvColumn::To, "to"), (CsvColumn::Attempts, "attempts")]
    {
        if !columns.contains(&column) {
            return Err(format!("it has no column `{name}`"));
        }
    }
    Ok(columns)
}

/// A row with the meaning of its columns.
struct CsvRow<'a> {
    columns: &'a [CsvColumn],
    record: &'a StringRecord,
}

impl CsvRow<'_> {
    /// Parses the row into a point, without time and origin of the import. The error is the reason
    /// of the rejection.
    fn parse(&self, account: Option<&str>) -> Result<SendCountRow, String> {
        let (cells, columns) = (self.record.len(), self.columns.len());
        if cells != columns {
            return Err(format!(
                "it has {cells} cells, but the first line has {columns} columns (unclosed quote?)"
            ));
        }
        if self.record.iter().any(|cell| cell.len() > CELL_BYTES_MAX) {
            return Err(format!("a cell has more than {CELL_BYTES_MAX} bytes"));
        }
        let (begin, end) = (self.time(&CsvColumn::From, "from")?, self.time(&CsvColumn::To, "to")?);
        if begin >= end {
            return Err(
                "`to` is not after `from`; `to` is the end of the interval, excluded".to_owned()
            );
        }
        if end - begin > INTERVAL_MS_MAX {
            return Err("the interval is longer than a year".to_owned());
        }
        let account = self.cell(&CsvColumn::Account).map(str::trim).or(account);
        if account.is_some_and(|account| !is_account_id(account)) {
            return Err("`account` is not 12 digits; spreadsheets remove leading zeros, format the column as text".to_owned());
        }
        let attempts = self.count(&CsvColumn::Attempts, "attempts")?;
        let scope = self.columns.iter().filter_map(|column| {
            let CsvColumn::Scope(key) = column else { return None };
            Some((key.clone(), self.cell(column)?.to_owned()))
        });
        Ok(SendCountRow {
            begin,
            end,
            account: account.map(str::to_owned),
            region: self.cell(&CsvColumn::Region).map(|region| region.trim().to_owned()),
            scope: scope.collect::<BTreeMap<_, _>>(),
            counts: SendCountValues {
                attempts: attempts.ok_or("`attempts` is empty")?,
                bounces: self.count(&CsvColumn::Bounces, "bounces")?,
                complaints: self.count(&CsvColumn::Complaints, "complaints")?,
                rejects: self.count(&CsvColumn::Rejects, "rejects")?,
            },
            received_at: 0,
            origin: String::new(),
        })
    }

    /// Cell of a column; `None` if the column does not exist or the cell is empty.
    fn cell(&self, column: &CsvColumn) -> Option<&str> {
        let at = self.columns.iter().position(|other| other == column)?;
        self.record.get(at).filter(|cell| !cell.trim().is_empty())
    }

    fn time(&self, column: &CsvColumn, name: &str) -> Result<i64, String> {
        let cell = self.cell(column).ok_or_else(|| format!("`{name}` is empty"))?;
        parse_ms(cell).ok_or_else(|| {
            format!("`{name}` is not a time; write 2026-11-20T00:00:00Z or 2026-11-20")
        })
    }

    fn count(&self, column: &CsvColumn, name: &str) -> Result<Option<i64>, String> {
        let Some(cell) = self.cell(column) else { return Ok(None) };
        let cell = cell.trim();
        let is_plain = cell.bytes().all(|byte| byte.is_ascii_digit());
        let count = cell.parse().ok().filter(|count| is_plain && *count <= COUNT_MAX);
        count.map(Some).ok_or_else(|| {
            format!("`{name}` is not an integer; write digits only, at most {COUNT_MAX}")
        })
    }
}
