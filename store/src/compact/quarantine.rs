//! Compaction of a day of the quarantine into one segment that contains each document once.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use bouncewatch_schemas::table;

use crate::compact::task::{CompactedSet, DayTask};
use crate::compacted_name::CompactedName;
use crate::error::StoreError;
use crate::layout::unique_name;
use crate::open::Segment;
use crate::read::next_rows;
use crate::schema::table_schema;
use crate::segment_writer::{RowOrder, SegmentWriter};
use crate::upgrade::upgrade;

/// Documents that are decoded at a time; one can be megabytes large.
const READ_ROWS: usize = 64;

/// Position of a stored copy of a document: time of arrival, segment, row. The smallest position is kept.
type CopyPosition = (i64, usize, usize);

impl DayTask<'_> {
    /// Merges the live segments of the quarantine. Of the copies of a document, the first is kept. `None`, and nothing
    /// is published, if a segment was removed during the merge.
    pub(super) async fn compact_quarantine(&self) -> Result<Option<CompactedSet>, StoreError> {
        let size = self.size().await?;
        let first = self.first_copies().await?;
        let set_name = unique_name(self.now);
        let name = CompactedName::single(&set_name).stem();
        let mut writer =
            SegmentWriter::new(self.store, self.table, self.day, &name, RowOrder::Unsorted)?;
        for (at, segment) in self.live.iter().enumerate() {
            if let Err(error) = self.copy_first(segment, at, &first, &mut writer).await {
                return Err(writer.abandon_after(error).await);
            }
        }
        let mut set = CompactedSet { rows_before: size.rows, ..CompactedSet::default() };
        Ok(self.publish(writer, &mut set).await?.then_some(set))
    }

    /// Position of the first copy of each document, by id.
    async fn first_copies(&self) -> Result<HashMap<String, CopyPosition>, StoreError> {
        let mut first: HashMap<String, CopyPosition> = HashMap::new();
        for (at, segment) in self.live.iter().enumerate() {
            let mut row = 0;
            let each = |rows: &RecordBatch| {
                for (id, received_at) in self.ids_and_times(segment, rows)? {
                    let position = (received_at, at, row);
                    let known = first.entry(id.to_owned()).or_insert(position);
                    *known = (*known).min(position);
                    row += 1;
                }
                Ok(())
            };
            let columns = ["id", table::RECEIVED_AT];
            self.store.read(self.table, segment, Some(&columns), each).await?;
        }
        Ok(first)
    }

    /// Id and time of arrival of each row.
    fn ids_and_times<'r>(
        &self,
        segment: &Segment,
        rows: &'r RecordBatch,
    ) -> Result<Vec<(&'r str, i64)>, StoreError> {
        let ids = rows.column_by_name("id").and_then(|column| column.as_string_opt::<i32>());
        let times = rows
            .column_by_name(table::RECEIVED_AT)
            .and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>());
        let (Some(ids), Some(times)) = (ids, times) else {
            let why = "no text column `id`, or no timestamp column `received_at`";
            return Err(self.store.read_error(segment, &why));
        };
        Ok((0..rows.num_rows()).map(|row| (ids.value(row), times.value(row))).collect())
    }

    /// Writes the rows of segment number `at` that are first copies.
    async fn copy_first(
        &self,
        segment: &Segment,
        at: usize,
        first: &HashMap<String, CopyPosition>,
        writer: &mut SegmentWriter<'_>,
    ) -> Result<(), StoreError> {
        let opened = self.store.open(self.table, segment).await?.with_batch_size(READ_ROWS);
        let failed = |error| self.store.read_error(segment, &error);
        let mut batches = opened.build().map_err(failed)?;
        let schema = table_schema(self.table);
        let mut row = 0;
        loop {
            let rows = match next_rows(&mut batches).await {
                Ok(Some(rows)) => upgrade(&rows, &schema).map_err(StoreError::build)?,
                Ok(None) => return Ok(()),
                Err(error) => return Err(self.store.parquet_error(segment, error).await),
            };
            let is_first: Vec<bool> = (self.ids_and_times(segment, &rows)?.into_iter())
                .enumerate()
                .map(|(offset, (id, received_at))| {
                    first.get(id) == Some(&(received_at, at, row + offset))
                })
                .collect();
            row += rows.num_rows();
            let kept = filter_record_batch(&rows, &BooleanArray::from(is_first));
            writer.write(&kept.map_err(StoreError::build)?).await?;
        }
    }
}
