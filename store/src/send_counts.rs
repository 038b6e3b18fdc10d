//! The third table: points of volume, as rows of small files without folders of days. Reading takes all of them: a year
//! of points every 15 minutes is 35,000 rows.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMillisecondType, UInt64Type};
use arrow_array::{Array, RecordBatch};
use bouncewatch_schemas::table::{INPUTS_KEY, UNIQUE_KEY};
use bouncewatch_schemas::volume::{self, VOLUMES, Volume, VolumeCounts};

use crate::day::Day;
use crate::error::StoreError;
use crate::open::unique_name;
use crate::open::{Segment, Store};
use crate::read::check_footer;
use crate::segment::TableBuilder;

/// How often it is begun again when files are replaced while they are read.
const TRIES: usize = 5;

/// Every row of the table, also those that hold no more.
///
/// # Errors
/// If a file cannot be read.
pub async fn read_all(store: &Store) -> Result<Vec<Volume>, StoreError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match read_files(store, &store.volume_files().await?).await {
            // somebody compacts; what replaces it is in a fresh listing
            Err(error) if error.is_gone() && tries < TRIES => {}
            read => return read,
        }
    }
}

/// Every row of some files.
pub(super) async fn read_files(
    store: &Store,
    files: &[Segment],
) -> Result<Vec<Volume>, StoreError> {
    let mut all = Vec::new();
    for file in files {
        all.extend(read_file(store, file).await?);
    }
    Ok(all)
}

/// Every row of a file, each looked at whether it can be.
pub(super) async fn read_file(store: &Store, file: &Segment) -> Result<Vec<Volume>, StoreError> {
    let opened = store.open(file).await?;
    check_footer(&opened, VOLUMES).map_err(|why| store.wrong(file, &why))?;
    let mut all = Vec::new();
    let each = |batch: &RecordBatch| {
        all.extend(rows(batch).map_err(|why| store.wrong(file, &why))?);
        Ok(())
    };
    store.read(file, None, each).await?;
    Ok(all)
}

/// Publishes rows as a new file, and returns its bytes.
///
/// # Errors
/// If it cannot be made durable.
pub async fn publish(store: &Store, rows: &[Volume], now: i64) -> Result<usize, StoreError> {
    let bytes = encoded(rows, &[])?;
    let length = bytes.len();
    store.publish_volumes(&unique_name(now), bytes).await?;
    Ok(length)
}

/// Rows as a file, with what its footer tells besides.
pub(super) fn encoded(rows: &[Volume], notes: &[(&str, String)]) -> Result<Vec<u8>, StoreError> {
    let mut builder = TableBuilder::new(VOLUMES, volume::COLUMNS);
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
            .hash(row.point_key());
    }
    builder.encode()?;
    for (key, value) in notes {
        builder.note(key, value.clone());
    }
    builder.finish()
}

/// Rows as one sealed file that replaces others, by their names.
pub(super) fn encoded_instead(rows: &[Volume], inputs: String) -> Result<Vec<u8>, StoreError> {
    encoded(rows, &[(INPUTS_KEY, inputs), (UNIQUE_KEY, "true".to_owned())])
}

/// Puts a file with some rows left out in the place of each one that has such rows, and returns how many were left
/// out; what cannot be read or is gone comes with its error, and is not touched.
pub(super) async fn leave_out(
    store: &Store,
    now: i64,
    dry_run: bool,
    is_out: impl Fn(&Volume) -> bool,
) -> Result<(u64, Vec<StoreError>), StoreError> {
    let (mut left_out, mut errors) = (0, Vec::new());
    let day = match Day::of(store, VOLUMES, store.volume_files().await?).await {
        Ok(day) => day,
        Err(error) => return Ok((0, vec![error])),
    };
    if !dry_run && !day.replaced.is_empty() {
        // what they were replaced by would not hold when it is gone
        remove(store, day.replaced.iter().map(|(file, _)| file)).await?;
    }
    for file in &day.live {
        let rows = match read_file(store, file).await {
            Ok(rows) => rows,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        let before = rows.len();
        let kept: Vec<Volume> = rows.into_iter().filter(|row| !is_out(row)).collect();
        if kept.len() == before {
            continue;
        }
        left_out += u64::try_from(before - kept.len()).unwrap_or_default();
        if !dry_run {
            if !kept.is_empty() {
                publish(store, &kept, now).await?;
            }
            remove(store, [file]).await?;
        }
    }
    Ok((left_out, errors))
}

/// Removes files whose rows stand elsewhere, or shall be gone.
pub(super) async fn remove<'a>(
    store: &Store,
    files: impl IntoIterator<Item = &'a Segment>,
) -> Result<(), StoreError> {
    // whoever published the rows may not have lived to make the names of their files durable
    store.sync_volumes()?;
    for file in files {
        store.delete(&file.path).await?;
    }
    store.sync_volumes()
}

/// The rows of a batch.
fn rows(batch: &RecordBatch) -> Result<Vec<Volume>, String> {
    let columns = Columns::of(batch)?;
    (0..batch.num_rows()).map(|row| columns.volume(row)).collect()
}

/// The columns of a batch, by their names.
struct Columns<'a> {
    batch: &'a RecordBatch,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, String> {
        let lacks = |name: &&str| batch.column_by_name(name).is_none();
        match volume::COLUMNS.iter().map(|column| column.name).find(lacks) {
            Some(name) => Err(format!("it has no column `{name}`")),
            None => Ok(Self { batch }),
        }
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

    fn hash(&self, name: &str, row: usize) -> Option<u64> {
        let hashes = self.column(name)?.as_primitive_opt::<UInt64Type>()?;
        hashes.is_valid(row).then(|| hashes.value(row))
    }

    fn scope(&self, row: usize) -> Option<BTreeMap<String, String>> {
        let lists = self.column(volume::SCOPE)?.as_list_opt::<i32>()?;
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

    fn volume(&self, row: usize) -> Result<Volume, String> {
        let found = || {
            Some(Volume {
                begin: self.time(volume::BEGIN, row)?,
                end: self.time(volume::END, row)?,
                account: self.text(volume::ACCOUNT, row),
                region: self.text(volume::REGION, row),
                scope: self.scope(row)?,
                counts: VolumeCounts {
                    attempts: self.int(volume::ATTEMPTS, row)?,
                    bounces: self.int(volume::BOUNCES, row),
                    complaints: self.int(volume::COMPLAINTS, row),
                    rejects: self.int(volume::REJECTS, row),
                },
                received_at: self.time(volume::RECEIVED_AT, row)?,
                origin: self.text(volume::ORIGIN, row)?,
            })
        };
        let found = found().ok_or("a row lacks a value, or has one of another type")?;
        if found.begin >= found.end || found.counts.attempts < 0 {
            return Err("a row has a span without length, or less than no attempts".to_owned());
        }
        if self.hash(volume::POINT_KEY, row) != Some(found.point_key()) {
            return Err("the point_key of a row is not that of its point".to_owned());
        }
        Ok(found)
    }
}
