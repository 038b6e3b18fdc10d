//! A file of volumes as a spreadsheet saves it -> points, and the lines that cannot be read, each with the reason.
//!
//! Cells are text, whatever a spreadsheet would make of them. Reasons name the column and never the cell: a line that is
//! shifted by a column holds anything, a mailbox for example (invariant I-8).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use bouncewatch_schemas::time::{DAY_MS, parse_ms};
use bouncewatch_schemas::volume::{SCOPE_COLUMNS, TAG_PREFIX, Volume, VolumeCounts, is_scope_key};
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use crate::send_counts::{VolumesError, is_account};

/// Bytes of a file.
const FILE_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Bytes of a cell.
const CELL_BYTES_MAX: usize = 4 * 1024;
/// Length of a span: a year, and a leap day.
const SPAN_MS_MAX: i64 = 366 * DAY_MS;
/// More mails than anybody sends in a year.
const COUNT_MAX: i64 = 1_000_000_000_000;

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    /// Lines with cells, the header left out.
    pub(super) lines: u64,
    /// Points, each with its line.
    pub(super) points: Vec<(u64, Volume)>,
    /// Lines that cannot be read, with the reason.
    pub(super) refused: Vec<(u64, String)>,
}

/// What a column is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
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

impl Column {
    /// Names of spreadsheets may have capitals; those of tags are as they are.
    fn parse(name: &str) -> Option<Self> {
        let name = name.trim();
        let plain = name.to_ascii_lowercase();
        Some(match plain.as_str() {
            "from" => Self::From,
            "to" => Self::To,
            "attempts" => Self::Attempts,
            "account" => Self::Account,
            "region" => Self::Region,
            "bounces" => Self::Bounces,
            "complaints" => Self::Complaints,
            "rejects" => Self::Rejects,
            _ if is_scope_key(name) => Self::Scope(name.to_owned()),
            _ if is_scope_key(&plain) && !plain.starts_with(TAG_PREFIX) => Self::Scope(plain),
            _ => return None,
        })
    }
}

impl Sheet {
    /// Reads a file. `account` is whose mail it is where a line does not tell.
    pub(super) fn read(path: &Path, account: Option<&str>, now: i64) -> Result<Self, VolumesError> {
        let shown = path.display().to_string();
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
            .map_err(|source| VolumesError::Read { path: shown.clone(), source })?;
        let not_a_table = |why: &str, hint: &str| VolumesError::NotATable {
            path: shown.clone(),
            why: why.to_owned(),
            hint: hint.to_owned(),
        };
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(not_a_table("it is larger than 128 MiB", "split it into several files"));
        }
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            return Err(not_a_table("it is UTF-16", "save it as CSV UTF-8"));
        }
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        Self::parse(text, account, &shown, now).map_err(|why| {
            let hint = format!(
                "its first line names the columns: from,to,attempts, and if you like account,region,bounces,complaints,rejects,{},tag:NAME; events in a file of such a name are read from stdin (`ingest -`)",
                SCOPE_COLUMNS.join(",")
            );
            not_a_table(&why, &hint)
        })
    }

    fn parse(text: &[u8], account: Option<&str>, origin: &str, now: i64) -> Result<Self, String> {
        let Layout { separator, skipped, text } = Layout::of(text);
        let mut lines = Lines { text, at: 0, line: 1 + skipped };
        let reader = ReaderBuilder::new().delimiter(separator).build();
        let mut records =
            Records { reader, text, at: 0 }.map(|(begin, record)| (lines.line_of(begin), record));
        let Some((_, header)) = records.next() else { return Err("it is empty".to_owned()) };
        let columns = columns(&header.ok_or("its first line is no UTF-8")?)?;
        let mut sheet = Self::default();
        for (line, record) in records {
            // an empty line of a spreadsheet has separators
            if record
                .as_ref()
                .is_some_and(|record| record.iter().all(|cell| cell.trim().is_empty()))
            {
                continue;
            }
            sheet.lines += 1;
            let point = match record {
                None => Err("it is no UTF-8".to_owned()),
                Some(record) => Line { columns: &columns, record: &record }.point(account),
            };
            match point {
                Ok(point) => {
                    let point = Volume { received_at: now, origin: origin.to_owned(), ..point };
                    sheet.points.push((line, point));
                }
                Err(why) => sheet.refused.push((line, why)),
            }
        }
        Ok(sheet)
    }
}

/// The records of a table, each with the byte where it begins; `None` in place of one that is no UTF-8.
struct Records<'t> {
    reader: Reader,
    text: &'t [u8],
    at: usize,
}

impl Iterator for Records<'_> {
    type Item = (usize, Option<Vec<String>>);

    fn next(&mut self) -> Option<Self::Item> {
        let begin = self.at;
        let (mut cells, mut ends) = (vec![0; 1_024], vec![0; 32]);
        let (mut written, mut ended) = (0, 0);
        loop {
            let left = self.text.get(self.at..).unwrap_or_default();
            let (cells_left, ends_left) = (&mut cells[written..], &mut ends[ended..]);
            let (result, read, wrote, some) = self.reader.read_record(left, cells_left, ends_left);
            self.at += read;
            written += wrote;
            ended += some;
            match result {
                // nothing more is there: the next call says whether that ends a record
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => cells.resize(cells.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => ends.resize(ends.len() * 2, 0),
                ReadRecordResult::End => return None,
                ReadRecordResult::Record => break,
            }
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let record = starts.zip(ends.iter().take(ended).copied()).map(|(start, end)| {
            let cell = cells.get(start..end).unwrap_or_default();
            std::str::from_utf8(cell).ok().map(str::to_owned)
        });
        Some((begin, record.collect()))
    }
}

/// Counts lines as an editor does. The reader tells them otherwise: it takes a record to begin at the line end before.
struct Lines<'t> {
    text: &'t [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of the record that begins at a byte or behind the line ends there; records come in order.
    fn line_of(&mut self, byte: usize) -> u64 {
        while let Some(this) = self.text.get(self.at) {
            let is_end = matches!(this, b'\r' | b'\n');
            if self.at >= byte && !is_end {
                break;
            }
            self.at += 1;
            // the two bytes of one line end are one
            self.line +=
                u64::from(is_end && !(*this == b'\r' && self.text.get(self.at) == Some(&b'\n')));
        }
        self.line
    }
}

/// How cells are separated.
struct Layout<'t> {
    separator: u8,
    /// Lines that stand before the header.
    skipped: u64,
    text: &'t [u8],
}

impl<'t> Layout<'t> {
    /// Spreadsheets separate by a semicolon where the comma is the decimal point, and some say so in a line before.
    fn of(text: &'t [u8]) -> Self {
        let end = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1);
        let (first, rest) = text.split_at(end);
        if let [b's', b'e', b'p', b'=', separator] = first.trim_ascii_end() {
            return Self { separator: *separator, skipped: 1, text: rest };
        }
        let is_there = |separator: &u8| first.contains(separator);
        let separator = [b',', b';', b'\t'].into_iter().find(is_there).unwrap_or(b',');
        Self { separator, skipped: 0, text }
    }
}

/// What the columns are.
fn columns(header: &[String]) -> Result<Vec<Column>, String> {
    let mut columns = Vec::new();
    for (at, name) in header.iter().enumerate() {
        let told = || format!("column {} of its first line", at + 1);
        let column = Column::parse(name)
            .ok_or_else(|| format!("{} has a name that no column of volumes has", told()))?;
        if columns.contains(&column) {
            return Err(format!("{} has the name of another one", told()));
        }
        columns.push(column);
    }
    for (column, name) in
        [(Column::From, "from"), (Column::To, "to"), (Column::Attempts, "attempts")]
    {
        if !columns.contains(&column) {
            return Err(format!("it has no column `{name}`"));
        }
    }
    Ok(columns)
}

/// A line of a file.
struct Line<'a> {
    columns: &'a [Column],
    record: &'a [String],
}

impl Line<'_> {
    /// Its point, without when and whence it came.
    fn point(&self, account: Option<&str>) -> Result<Volume, String> {
        let (cells, columns) = (self.record.len(), self.columns.len());
        if cells != columns {
            return Err(format!(
                "it has {cells} cells, but there are {columns} columns (a quote that is never closed?)"
            ));
        }
        if self.record.iter().any(|cell| cell.len() > CELL_BYTES_MAX) {
            return Err(format!("a cell has more than {CELL_BYTES_MAX} bytes"));
        }
        let (begin, end) = (self.time(&Column::From, "from")?, self.time(&Column::To, "to")?);
        if begin >= end {
            return Err(
                "`to` is not after `from`; it is the first moment after the span".to_owned()
            );
        }
        if end - begin > SPAN_MS_MAX {
            return Err("the span is longer than a year".to_owned());
        }
        let account = self.cell(&Column::Account).map(str::trim).or(account);
        if account.is_some_and(|account| !is_account(account)) {
            return Err("`account` has not 12 digits; spreadsheets take leading zeros away, format the column as text".to_owned());
        }
        let attempts = self.count(&Column::Attempts, "attempts")?;
        let scope = self.columns.iter().filter_map(|column| {
            let Column::Scope(key) = column else { return None };
            Some((key.clone(), self.cell(column)?.to_owned()))
        });
        Ok(Volume {
            begin,
            end,
            account: account.map(str::to_owned),
            region: self.cell(&Column::Region).map(|region| region.trim().to_owned()),
            scope: scope.collect::<BTreeMap<_, _>>(),
            counts: VolumeCounts {
                attempts: attempts.ok_or("`attempts` is empty")?,
                bounces: self.count(&Column::Bounces, "bounces")?,
                complaints: self.count(&Column::Complaints, "complaints")?,
                rejects: self.count(&Column::Rejects, "rejects")?,
            },
            received_at: 0,
            origin: String::new(),
        })
    }

    /// The cell of a column; `None`, where there is no such column or nothing in it.
    fn cell(&self, column: &Column) -> Option<&str> {
        let at = self.columns.iter().position(|other| other == column)?;
        self.record.get(at).map(String::as_str).filter(|cell| !cell.trim().is_empty())
    }

    fn time(&self, column: &Column, name: &str) -> Result<i64, String> {
        let cell = self.cell(column).ok_or_else(|| format!("`{name}` is empty"))?;
        parse_ms(cell)
            .ok_or_else(|| format!("`{name}` is no time; write 2026-11-20T00:00:00Z or 2026-11-20"))
    }

    fn count(&self, column: &Column, name: &str) -> Result<Option<i64>, String> {
        let Some(cell) = self.cell(column) else { return Ok(None) };
        let cell = cell.trim();
        let is_plain = cell.bytes().all(|byte| byte.is_ascii_digit());
        let count = cell.parse().ok().filter(|count| is_plain && *count <= COUNT_MAX);
        count.map(Some).ok_or_else(|| {
            format!("`{name}` is no whole number; write digits alone, without signs and points")
        })
    }
}
