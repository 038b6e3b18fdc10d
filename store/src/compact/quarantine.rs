//! The live segments of a day of the quarantine -> one sealed segment that holds each body once.

use std::collections::HashMap;

use crate::compacted_name::SealedName;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use bouncewatch_schemas::table;
use futures::TryStreamExt;

use crate::compact::events::{Sealed, Task, abandoned, conformed};
use crate::error::StoreError;
use crate::open::Segment;
use crate::open::unique_name;
use crate::segment_writer::{Output, table_schema};

/// Bodies that are decoded at a time; one may have megabytes.
const READ_BODIES: usize = 64;

/// Where a body stands: when it was taken, in which segment, in which row. The least is the one that stays.
type Place = (i64, usize, usize);

impl Task<'_> {
    /// Merges the live segments of the quarantine: of a body that came again, the first stays. `None`, where a segment
    /// was removed meanwhile.
    pub(super) async fn quarantine(&self) -> Result<Option<Sealed>, StoreError> {
        let size = self.size().await?;
        let first = self.first_places().await?;
        let set = unique_name(self.now);
        let name = SealedName { set: &set, part: 1, parts: 1 };
        let mut output = Output::new(self.store, self.table, self.day, &name.stem(), false)?;
        for (at, segment) in self.live.iter().enumerate() {
            if let Err(error) = self.copy_bodies(segment, at, &first, &mut output).await {
                return Err(abandoned(output, error).await);
            }
        }
        let mut sealed = Sealed { rows_before: size.rows, ..Sealed::default() };
        Ok(self.publish(output, &mut sealed).await?.then_some(sealed))
    }

    /// Where each body stands first.
    async fn first_places(&self) -> Result<HashMap<String, Place>, StoreError> {
        let mut first: HashMap<String, Place> = HashMap::new();
        for (at, segment) in self.live.iter().enumerate() {
            let mut row = 0;
            let each = |rows: &RecordBatch| {
                for (id, received_at) in self.names(segment, rows)? {
                    let place = (received_at, at, row);
                    let known = first.entry(id.to_owned()).or_insert(place);
                    *known = (*known).min(place);
                    row += 1;
                }
                Ok(())
            };
            self.store.read(segment, Some(&["id", table::RECEIVED_AT]), each).await?;
        }
        Ok(first)
    }

    /// Ids and times of bodies.
    fn names<'r>(
        &self,
        segment: &Segment,
        rows: &'r RecordBatch,
    ) -> Result<Vec<(&'r str, i64)>, StoreError> {
        let ids = rows.column_by_name("id").and_then(|column| column.as_string_opt::<i32>());
        let times = rows
            .column_by_name(table::RECEIVED_AT)
            .and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>());
        let (Some(ids), Some(times)) = (ids, times) else {
            return Err(self.store.wrong(segment, &"it has no ids and times of bodies"));
        };
        Ok((0..rows.num_rows()).map(|row| (ids.value(row), times.value(row))).collect())
    }

    /// Writes the bodies of a segment that stand there first.
    async fn copy_bodies(
        &self,
        segment: &Segment,
        at: usize,
        first: &HashMap<String, Place>,
        output: &mut Output<'_>,
    ) -> Result<(), StoreError> {
        let opened = self.store.open(segment).await?.with_batch_size(READ_BODIES);
        let mut batches = opened.build().map_err(|error| self.store.wrong(segment, &error))?;
        let build = |error: arrow_schema::ArrowError| StoreError::Build(error.to_string());
        let mut row = 0;
        loop {
            let rows = match batches.try_next().await {
                Ok(Some(rows)) => conformed(&rows, &table_schema(self.table)).map_err(build)?,
                Ok(None) => return Ok(()),
                Err(error) => return Err(self.store.unreadable(segment, error).await),
            };
            let is_first: Vec<bool> = (self.names(segment, &rows)?.into_iter())
                .enumerate()
                .map(|(below, (id, received_at))| {
                    first.get(id) == Some(&(received_at, at, row + below))
                })
                .collect();
            row += rows.num_rows();
            let kept = filter_record_batch(&rows, &BooleanArray::from(is_first)).map_err(build)?;
            output.write(&kept).await?;
        }
    }
}
