//! The table of imported send counts: small files without day folders. Readers read all files: one
//! point every 15 minutes is only 35,000 rows per year.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMillisecondType};
use arrow_array::{Array, RecordBatch};
use arrow_buffer::ScalarBuffer;
use bouncewatch_schemas::send_counts::{
    self as columns, SEND_COUNTS, SendCountRow, SendCountValues,
};
use bouncewatch_schemas::table::{INPUTS_KEY, UNIQUE_KEY};

use crate::checksum::Integrity;
use crate::day::DaySegments;
use crate::error::StoreError;
use crate::layout::unique_name;
use crate::open::{Segment, Store};
use crate::read::OpenedSegment;
use crate::table_builder::TableBuilder;
use crate::upgrade::hashes;

/// Maximum number of attempts to read the table while another process replaces files.
const READS_MAX: usize = 5;

/// Reads all rows of the table, including superseded ones.
///
/// # Errors
/// If a file cannot be read.
pub async fn read_all(store: &Store) -> Result<Vec<SendCountRow>, StoreError> {
    let mut reads = 0;
    loop {
        reads += 1;
        match read_files(store, &store.send_count_files().await?).await {
            // a compactor replaced a file; the replacement is in the next listing
            Err(error) if error.is_gone() && reads < READS_MAX => {}
            read => return read,
        }
    }
}

/// Reads all rows of the given files.
pub(crate) async fn read_files(
    store: &Store,
    files: &[Segment],
) -> Result<Vec<SendCountRow>, StoreError> {
    let mut all = Vec::new();
    for file in files {
        all.extend(read_file(store, file).await?);
    }
    Ok(all)
}

/// Reads all rows of a file, and checks its checksum and every row.
pub(crate) async fn read_file(
    store: &Store,
    file: &Segment,
) -> Result<Vec<SendCountRow>, StoreError> {
    let (opened, _) = store.open_checked(SEND_COUNTS, file).await?;
    read_opened(store, file, opened).await
}

/// Runs all checks on a file. Returns the number of rows and the result of the checksum check.
pub(crate) async fn verify_file(
    store: &Store,
    file: &Segment,
) -> Result<(u64, Integrity), StoreError> {
    let (opened, integrity) = store.open_checked(SEND_COUNTS, file).await?;
    Ok((read_opened(store, file, opened).await?.len() as u64, integrity))
}

async fn read_opened(
    store: &Store,
    file: &Segment,
    opened: OpenedSegment,
) -> Result<Vec<SendCountRow>, StoreError> {
    let mut all = Vec::new();
    let each = |batch: &RecordBatch| {
        all.extend(rows(batch).map_err(|why| store.read_error(file, &why))?);
        Ok(())
    };
    store.read_opened(opened, file, None, each).await?;
    Ok(all)
}

/// Publishes rows durably as a new file. Returns the bytes written.
///
/// # Errors
/// If the file cannot be made durable.
pub async fn publish(store: &Store, rows: &[SendCountRow], now: i64) -> Result<usize, StoreError> {
    let bytes = encode(rows, &[])?;
    let length = bytes.len();
    store.publish_send_counts(&unique_name(now), bytes).await?;
    Ok(length)
}

/// Encodes rows as a file with additional footer values.
fn encode(rows: &[SendCountRow], footer: &[(&str, &str)]) -> Result<Vec<u8>, StoreError> {
    let mut builder = TableBuilder::new(SEND_COUNTS, columns::COLUMNS);
    for row in rows {
        builder
            .row()
            .time(Some(row.begin))
            .time(Some(row.end))
            .text(row.account.as_deref())
            .text(row.region.as_deref())
            .scope(&row.scope)
            .int64(Some(row.counts.attempts))
            .int64(row.counts.bounces)
            .int64(row.counts.complaints)
            .int64(row.counts.rejects)
            .time(Some(row.received_at))
            .text(Some(&row.origin))
            .hash(row.point_key())
            .finish();
    }
    builder.encode()?;
    for (key, value) in footer {
        builder.add_footer_value(key, (*value).to_owned());
    }
    builder.finish()
}

/// Encodes rows as a compacted file. It replaces the files named in `inputs`, one per line.
pub(crate) fn encode_compacted(rows: &[SendCountRow], inputs: &str) -> Result<Vec<u8>, StoreError> {
    encode(rows, &[(INPUTS_KEY, inputs), (UNIQUE_KEY, "true")])
}

/// Removes rows: replaces each file that has matching rows by one without them. Returns the number of matching rows,
/// and an error for each file that cannot be read and was left unchanged. A dry run only counts.
pub(crate) async fn remove_rows(
    store: &Store,
    now: i64,
    dry_run: bool,
    matches: impl Fn(&SendCountRow) -> bool,
) -> Result<(u64, Vec<StoreError>), StoreError> {
    let (mut removed, mut errors) = (0, Vec::new());
    let files = match DaySegments::split(store, SEND_COUNTS, store.send_count_files().await?).await
    {
        Ok(files) => files,
        Err(error) => return Ok((0, vec![error])),
    };
    if !dry_run && !files.replaced.is_empty() {
        // rows of a replaced file would count again after its replacement is gone
        remove_files(store, files.replaced_segments()).await?;
    }
    for file in &files.live {
        let rows = match read_file(store, file).await {
            Ok(rows) => rows,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        let (matching, kept): (Vec<SendCountRow>, Vec<SendCountRow>) =
            rows.into_iter().partition(&matches);
        if matching.is_empty() {
            continue;
        }
        removed += matching.len() as u64;
        if !dry_run {
            if !kept.is_empty() {
                publish(store, &kept, now).await?;
            }
            remove_files(store, [file]).await?;
        }
    }
    Ok((removed, errors))
}

/// Removes files after their rows were published elsewhere.
pub(crate) async fn remove_files<'a>(
    store: &Store,
    files: impl IntoIterator<Item = &'a Segment>,
) -> Result<(), StoreError> {
    // the process that published the replacement may have died before it synced the folder
    store.sync_send_counts()?;
    for file in files {
        store.delete(&file.path).await?;
    }
    store.sync_send_counts()
}

/// Rows of a batch; the error is the cause as text.
fn rows(batch: &RecordBatch) -> Result<Vec<SendCountRow>, String> {
    let columns = BatchColumns::new(batch)?;
    (0..batch.num_rows()).map(|row| columns.send_count_row(row)).collect()
}

/// Access to the values of a batch by column name.
struct BatchColumns<'a> {
    batch: &'a RecordBatch,
    point_keys: ScalarBuffer<i64>,
}

impl<'a> BatchColumns<'a> {
    fn new(batch: &'a RecordBatch) -> Result<Self, String> {
        let is_missing = |name: &&str| batch.column_by_name(name).is_none();
        if let Some(name) = columns::COLUMNS.iter().map(|column| column.name).find(is_missing) {
            return Err(format!("no column `{name}`"));
        }
        let point_keys = hashes(batch, columns::POINT_KEY).map_err(|why| why.to_string())?;
        Ok(Self { batch, point_keys })
    }

    fn column(&self, name: &str) -> Option<&'a dyn Array> {
        self.batch.column_by_name(name).map(AsRef::as_ref)
    }

    fn text(&self, name: &str, row: usize) -> Option<String> {
        let texts = self.column(name)?.as_string_opt::<i32>()?;
        texts.is_valid(row).then(|| texts.value(row).to_owned())
    }

    fn int(&self, name: &str, row: usize) -> Option<i64> {
        let numbers = self.column(name)?.as_primitive_opt::<Int64Type>()?;
        numbers.is_valid(row).then(|| numbers.value(row))
    }

    fn time(&self, name: &str, row: usize) -> Option<i64> {
        let times = self.column(name)?.as_primitive_opt::<TimestampMillisecondType>()?;
        times.is_valid(row).then(|| times.value(row))
    }

    fn scope(&self, row: usize) -> Option<BTreeMap<String, String>> {
        let lists = self.column(columns::SCOPE)?.as_list_opt::<i32>()?;
        if lists.is_null(row) {
            return Some(BTreeMap::new());
        }
        let entries = lists.value(row);
        let entries = entries.as_struct_opt()?;
        let keys = entries.column_by_name("key")?.as_string_opt::<i32>()?;
        let values = entries.column_by_name("value")?.as_string_opt::<i32>()?;
        let entry = |at| (keys.value(at).to_owned(), values.value(at).to_owned());
        Some((0..entries.len()).map(entry).collect())
    }

    fn send_count_row(&self, row: usize) -> Result<SendCountRow, String> {
        let parse = || {
            Some(SendCountRow {
                begin: self.time(columns::BEGIN, row)?,
                end: self.time(columns::END, row)?,
                account: self.text(columns::ACCOUNT, row),
                region: self.text(columns::REGION, row),
                scope: self.scope(row)?,
                counts: SendCountValues {
                    attempts: self.int(columns::ATTEMPTS, row)?,
                    bounces: self.int(columns::BOUNCES, row),
                    complaints: self.int(columns::COMPLAINTS, row),
                    rejects: self.int(columns::REJECTS, row),
                },
                received_at: self.time(columns::RECEIVED_AT, row)?,
                origin: self.text(columns::ORIGIN, row)?,
            })
        };
        let parsed = parse()
            .ok_or("a row has no value in a required column, or a column has the wrong type")?;
        if parsed.begin >= parsed.end || parsed.counts.attempts < 0 {
            return Err("a row has an empty interval or a negative count".to_owned());
        }
        if self.point_keys[row] != parsed.point_key().cast_signed() {
            return Err("the point_key of a row does not match its other columns".to_owned());
        }
        Ok(parsed)
    }
}
