//! Writing a segment batch by batch, so that it is never completely in memory. It becomes visible when it is finished.

use arrow_array::RecordBatch;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;

use crate::checksum::ChecksumWriter;
use crate::chunk_checksums::ChunkChecksums;
use crate::error::StoreError;
use crate::open::Store;
use crate::schema::{key_order, properties, table_schema};

/// Encoded bytes per row group: limits memory when bodies in quarantine are megabytes large.
const ROW_GROUP_BYTES: usize = 64 * 1024 * 1024;

/// Rows per row group of a segment that is sorted by key.
pub(crate) const SORTED_ROW_GROUP_ROWS: usize = 64 * 1024;

/// Order of the rows of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowOrder {
    /// No order.
    Unsorted,
    /// By (`message_key`, `event_key`). With small row groups, a reader of a few messages skips
    /// most of the segment.
    ByKey {
        /// Rows per row group.
        row_group_rows: usize,
    },
}

/// A segment that is being written.
pub(crate) struct SegmentWriter<'a> {
    store: &'a Store,
    table: &'static str,
    path: Path,
    /// Encodes rows. After each row group, the encoded bytes are written to `output`.
    writer: ArrowWriter<Vec<u8>>,
    output: ChecksumWriter,
    chunks: ChunkChecksums,
    /// Number of rows so far.
    pub(crate) rows: u64,
}

impl<'a> SegmentWriter<'a> {
    /// Starts a segment. `name` has no suffix. The caller writes the rows in the given order.
    pub(crate) fn new(
        store: &'a Store,
        table: &'static str,
        day: i64,
        name: &str,
        order: RowOrder,
    ) -> Result<Self, StoreError> {
        let path = store.segment_path(table, day, name);
        let mut properties = properties(table);
        if let RowOrder::ByKey { row_group_rows } = order {
            properties = properties
                .into_builder()
                .set_max_row_group_row_count(Some(row_group_rows))
                .set_sorting_columns(Some(key_order()))
                .build();
        }
        let writer = ArrowWriter::try_new(Vec::new(), table_schema(table), Some(properties))
            .map_err(StoreError::build)?;
        let output = ChecksumWriter::new(store.writer(&path));
        Ok(Self { store, table, path, writer, output, chunks: ChunkChecksums::default(), rows: 0 })
    }

    /// Adds rows.
    pub(crate) async fn write(&mut self, rows: &RecordBatch) -> Result<(), StoreError> {
        self.rows += rows.num_rows() as u64;
        self.writer.write(rows).map_err(StoreError::build)?;
        if self.writer.in_progress_size() >= ROW_GROUP_BYTES {
            self.writer.flush().map_err(StoreError::build)?;
        }
        self.write_row_groups().await
    }

    /// Writes the bytes of complete row groups to the output.
    async fn write_row_groups(&mut self) -> Result<(), StoreError> {
        if self.writer.flushed_row_groups().len() == self.chunks.len() {
            return Ok(());
        }
        self.writer.sync().map_err(|error| self.write_error(&error))?;
        let bytes = std::mem::take(self.writer.inner_mut());
        self.chunks.add(self.writer.flushed_row_groups(), self.output.written(), &bytes);
        self.output.write(&bytes).await.map_err(|error| self.write_error(&error))
    }

    /// Adds a value to the footer.
    pub(crate) fn add_footer_value(&mut self, key: &str, value: String) {
        self.writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
    }

    /// Publishes the segment and returns its size in bytes. Durable when it returns.
    pub(crate) async fn finish(mut self) -> Result<u64, StoreError> {
        self.writer.flush().map_err(StoreError::build)?;
        self.write_row_groups().await?;
        self.writer.append_key_value_metadata(self.chunks.footer_value());
        self.writer.finish().map_err(StoreError::build)?;
        let footer = std::mem::take(self.writer.inner_mut());
        self.output.finish(footer).await.map_err(|error| self.write_error(&error))?;
        self.store.sync_table(self.table)?;
        Ok(self.output.written())
    }

    /// Discards the segment and its staged data.
    pub(crate) async fn abandon(self) -> Result<(), StoreError> {
        let (store, path) = (self.store, self.path);
        self.output.abort().await.map_err(store.object_error("abandon", &path))
    }

    /// Discards the segment after `error`, and returns `error`.
    pub(crate) async fn abandon_after(self, error: StoreError) -> StoreError {
        self.abandon_quietly().await;
        error
    }

    /// Discards the segment and its staged data, if possible.
    pub(crate) async fn abandon_quietly(self) {
        if let Err(error) = self.abandon().await {
            tracing::debug!(%error, "could not remove staged data of a segment");
        }
    }

    fn write_error(&self, error: &std::io::Error) -> StoreError {
        StoreError::Write { path: self.store.display_path(&self.path), why: error.to_string() }
    }
}
