//! A segment that is made of others: written piece by piece, so that it is never held as a whole, and visible only
//! when it is finished.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bouncewatch_schemas::table::{self, Column, ColumnType};
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parquet::arrow::AsyncArrowWriter;
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};

use crate::error::StoreError;
use crate::open::Store;
use crate::segment::{properties, schema};

/// Rows of one row group of the event table: these are in order of their keys, so that a reader who looks for some
/// messages skips most groups.
const SORTED_ROW_GROUP_ROWS: usize = 64 * 1024;
/// Encoded bytes of one row group, so that bodies of megabytes are not held until there are many of them.
const ROW_GROUP_BYTES: usize = 64 * 1024 * 1024;

/// A segment that is being written.
pub(super) struct Output<'a> {
    store: &'a Store,
    pub(super) table: &'static str,
    path: Path,
    writer: AsyncArrowWriter<BufWriter>,
    /// Its rows so far.
    pub(super) rows: u64,
}

/// The columns of a table.
pub(super) fn columns(table: &str) -> &'static [Column] {
    if table == table::EVENTS { table::COLUMNS } else { table::QUARANTINE_COLUMNS }
}

/// The columns of a table as arrow knows them.
pub(super) fn table_schema(table: &str) -> SchemaRef {
    schema(columns(table))
}

/// By what the rows of a merged segment of the event table are sorted.
fn sorting() -> Vec<SortingColumn> {
    let leaves = |column: &Column| if column.column_type == ColumnType::Tags { 2 } else { 1 };
    let sorted = |name: &str| {
        let before = table::COLUMNS.iter().take_while(|column| column.name != name);
        let column_idx = before.map(leaves).sum();
        SortingColumn { column_idx, descending: false, nulls_first: false }
    };
    vec![sorted(table::MESSAGE_KEY), sorted(table::EVENT_KEY)]
}

impl<'a> Output<'a> {
    /// Begins a segment; `sorted` tells that its rows will come in order of their keys.
    pub(super) fn new(
        store: &'a Store,
        table: &'static str,
        day: i64,
        name: &str,
        sorted: bool,
    ) -> Result<Self, StoreError> {
        let path = store.segment_path(table, day, name);
        let mut properties = properties(table);
        if sorted {
            properties = properties
                .into_builder()
                .set_max_row_group_row_count(Some(SORTED_ROW_GROUP_ROWS))
                .set_sorting_columns(Some(sorting()))
                .build();
        }
        let writer = store.writer(&path);
        let writer = AsyncArrowWriter::try_new(writer, table_schema(table), Some(properties))
            .map_err(|error| StoreError::Build(error.to_string()))?;
        Ok(Self { store, table, path, writer, rows: 0 })
    }

    /// Adds rows.
    pub(super) async fn write(&mut self, rows: &RecordBatch) -> Result<(), StoreError> {
        self.rows += u64::try_from(rows.num_rows()).unwrap_or_default();
        let mut written = self.writer.write(rows).await;
        if written.is_ok() && self.writer.in_progress_size() >= ROW_GROUP_BYTES {
            written = self.writer.flush().await;
        }
        written.map_err(|error| self.failed(&error))
    }

    /// Adds a value to the footer.
    pub(super) fn note(&mut self, key: &str, value: String) {
        self.writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
    }

    /// Publishes the segment and returns its bytes. When this returns, a power cut loses nothing.
    pub(super) async fn finish(mut self) -> Result<u64, StoreError> {
        let ended = self.writer.finish().await;
        ended.map_err(|error| self.failed(&error))?;
        self.store.sync_days(self.table)?;
        Ok(u64::try_from(self.writer.bytes_written()).unwrap_or_default())
    }

    /// Leaves nothing behind.
    pub(super) async fn abandon(self) -> Result<(), StoreError> {
        let (store, path) = (self.store, self.path);
        self.writer.into_inner().abort().await.map_err(store.failed("abandon", &path))
    }

    fn failed(&self, error: &ParquetError) -> StoreError {
        StoreError::Write { path: self.store.shown_path(&self.path), why: error.to_string() }
    }
}
